import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { START, excludeSystemEvents } from "@kurrent/kurrentdb-client";

import { Server, all, events, fresh, ids, take } from "./given.js";

/** Appends to its own stream, one batch after another, until the server is gone. */
async function write(client, writer) {
  for (;;) {
    writer.unknown = events(1 + (writer.acknowledged.length % 3));
    try {
      await client.appendToStream(writer.stream, writer.unknown);
    } catch {
      return;
    }
    writer.acknowledged.push(...writer.unknown);
  }
}

test("what was acknowledged is there after a kill, and a subscription resumes", async () => {
  const folder = await mkdtemp(join(tmpdir(), "store-"));
  let server = await Server.start(join(folder, "data"));
  const seen = [];
  for (let round = 0; round < 3; round += 1) {
    const client = server.client();
    const writers = Array.from({ length: 8 }, () => ({ stream: fresh(), acknowledged: [] }));
    const written = writers.map((writer) => write(client, writer));
    const fromPosition = seen.at(-1)?.event.position ?? START;
    const subscription = client.subscribeToAll({ fromPosition, filter: excludeSystemEvents() });
    const followed = (async () => {
      for await (const event of subscription) seen.push(event);
    })().catch(() => {});
    const least = 200 * (round + 1);
    while (seen.length < least) await new Promise((resolve) => setTimeout(resolve, 5));
    await server.kill();
    await Promise.all([...written, followed]);
    await client.dispose();

    server = await server.again();
    const after = server.client();
    for (const { stream, acknowledged, unknown } of writers) {
      // The last append may have been made without its answer; never a part of it.
      const read = ids(await all(after.readStream(stream)));
      const last = read.length > acknowledged.length ? unknown : [];
      assert.deepEqual(read, ids([...acknowledged, ...last]));
    }
    await after.dispose();
  }

  const client = server.client();
  const everything = await all(client.readAll({ filter: excludeSystemEvents() }));
  const fromPosition = seen.at(-1).event.position;
  const resumed = client.subscribeToAll({ fromPosition, filter: excludeSystemEvents() });
  const missing = everything.length - seen.length;
  if (missing) seen.push(...(await take(missing, resumed)));
  else await resumed.unsubscribe();
  assert.deepEqual(ids(seen), ids(everything));
  await client.dispose();
  await server.stop();
  await rm(folder, { recursive: true });
});
