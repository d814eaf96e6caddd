// Certificates and passwords.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { AccessDeniedError, KurrentDBClient, UnavailableError } from "@kurrent/kurrentdb-client";

import { Server, all, events, fresh } from "./given.js";

const PASSWORD = "correct";

describe("certificates and passwords", () => {
  let folder, server, other;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "secure-"));
    server = await Server.start(join(folder, "data"), undefined, PASSWORD);
    other = await Server.start(join(folder, "other"), undefined, PASSWORD);
  });

  after(async () => {
    await Promise.all([server.stop(), other.stop()]);
    await rm(folder, { recursive: true });
  });

  const client = (who, certificate = "data") => {
    const uri = server.uri.replace("://", who ? `://${who}@` : "://");
    const trusted = join(folder, `${certificate}.crt`);
    return KurrentDBClient.connectionString(
      `${uri}&tlsCaFile=${trusted}&maxDiscoverAttempts=3&discoveryInterval=50&defaultDeadline=10000`,
    );
  };

  test("who knows the password is served encrypted", async () => {
    const admin = client(`admin:${PASSWORD}`);
    const stream = fresh("secure");
    await admin.appendToStream(stream, events(2));
    assert.equal((await all(admin.readStream(stream))).length, 2);
    assert.ok((await all(admin.readAll())).length >= 2);
    await admin.dispose();
  });

  for (const who of ["admin:wrong", "nobody:wrong", null]) {
    test(`${who ?? "nobody"} is refused`, async () => {
      const stranger = client(who);
      const refused = (error) => error instanceof AccessDeniedError;
      await assert.rejects(stranger.appendToStream(fresh("refused"), events(1)), refused);
      await assert.rejects(all(stranger.readStream(fresh("refused"))), refused);
      await assert.rejects(all(stranger.readAll()), refused);
      await stranger.dispose();
    });
  }

  test("a password may come with a call", async () => {
    const nobody = client(null);
    const credentials = { username: "admin", password: PASSWORD };
    await nobody.appendToStream(fresh("secure"), events(1), { credentials });
    await nobody.dispose();
  });

  test("a certificate that is not trusted is not", async () => {
    const distrustful = client(`admin:${PASSWORD}`, "other");
    await assert.rejects(distrustful.appendToStream(fresh("untrusted"), events(1)), (error) => {
      return error instanceof UnavailableError || /certificate|discover/i.test(error.message);
    });
    await distrustful.dispose();
  });
});
