// What the tests are given: servers of this repository, and the official client of them.

import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createInterface } from "node:readline";

import { KurrentDBClient, jsonEvent } from "@kurrent/kurrentdb-client";

/** A server process; without a folder, its events are gone with it. */
export class Server {
  static async start(folder, address = "127.0.0.1:0", password) {
    const more = [folder, password].filter(Boolean);
    const process_ = spawn(process.env.DAYBOOK_SERVE, [address, ...more], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [uri] = await once(createInterface(process_.stdout), "line");
    return new Server(process_, uri, folder);
  }

  constructor(process_, uri, folder) {
    Object.assign(this, { process: process_, uri, folder });
    this.address = new URL(uri).host;
    this.ended = once(process_, "exit");
  }

  client(options = "") {
    return KurrentDBClient.connectionString(`${this.uri}${options}`);
  }

  /** Ends it as a power cut would. */
  async kill() {
    this.process.kill("SIGKILL");
    await this.ended;
  }

  /** Ends it as an operator would; its exit code. */
  async stop() {
    this.process.kill("SIGTERM");
    return (await this.ended)[0];
  }

  /** The same store at the same address. */
  again() {
    return Server.start(this.folder, this.address);
  }
}

/** A name that nobody else uses. */
export const fresh = (category = "stream") => `${category}${randomUUID().replaceAll("-", "")}-1`;

export const events = (count, type = "Tested") =>
  Array.from({ length: count }, (_, n) => jsonEvent({ type, data: { n }, metadata: { by: "node" } }));

/** The ids of the first of what may never end. */
export async function take(count, responses) {
  const taken = [];
  for await (const response of responses) {
    if (response.event) taken.push(response);
    if (taken.length === count) break;
  }
  return taken;
}

export const ids = (read) => read.map(({ event, id }) => event?.id ?? id);

export async function all(responses) {
  return take(Infinity, responses);
}
