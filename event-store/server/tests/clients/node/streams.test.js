import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";

import {
  ANY,
  AppendConsistencyViolationError,
  BACKWARDS,
  END,
  MaxAppendSizeExceededError,
  NO_STREAM,
  START,
  STREAM_EXISTS,
  STREAM_STATE,
  StreamDeletedError,
  StreamNotFoundError,
  StreamTombstonedError,
  UnavailableError,
  WrongExpectedVersionError,
  binaryEvent,
  eventTypeFilter,
  excludeSystemEvents,
  jsonEvent,
  streamNameFilter,
} from "@kurrent/kurrentdb-client";

import { Server, all, events, fresh, ids, take } from "./given.js";

let server, client;
before(async () => {
  server = await Server.start();
  client = server.client();
});
after(async () => {
  await client.dispose();
  assert.equal(await server.stop(), 0);
});

// Without credentials the client appends in batches, and with them one by one.
const paths = { batchAppend: {}, append: { credentials: { username: "a", password: "b" } } };

for (const [path, options] of Object.entries(paths)) {
  describe(path, () => {
    const append = (stream, streamState, appended) =>
      client.appendToStream(stream, appended, { streamState, ...options });

    test("what was appended is read back", async () => {
      const stream = fresh();
      const json = jsonEvent({ type: "Json", data: { ünï: ["cödé", 1] }, metadata: { a: null } });
      const binary = binaryEvent({ type: "Binary", data: Buffer.from([0, 255]) });
      const result = await append(stream, NO_STREAM, [json, binary]);
      assert.equal(result.success, true);
      assert.equal(result.nextExpectedRevision, 1n);

      const [first, second] = (await all(client.readStream(stream))).map(({ event }) => event);
      assert.deepEqual(
        [first.id, first.type, first.data, first.metadata, first.isJson, first.revision],
        [json.id, "Json", json.data, json.metadata, true, 0n],
      );
      assert.deepEqual([second.id, second.isJson], [binary.id, false]);
      assert.deepEqual(Buffer.from(second.data), Buffer.from([0, 255]));
      assert.deepEqual(second.position, result.position);
      assert.ok(Math.abs(second.created - Date.now()) < 300_000);
    });

    const holding = [[0, NO_STREAM], [0, ANY], [1, ANY], [1, STREAM_EXISTS], [1, 0n], [3, 2n]];
    for (const [already, expected] of holding) {
      test(`after ${already} events, ${expected} holds`, async () => {
        const stream = fresh();
        if (already) await append(stream, ANY, events(already));
        const { nextExpectedRevision } = await append(stream, expected, events(2));
        assert.equal(nextExpectedRevision, BigInt(already) + 1n);
      });
    }

    const wrong = [[1, NO_STREAM, 0n], [0, STREAM_EXISTS, NO_STREAM], [0, 0n, NO_STREAM], [3, 1n, 2n]];
    for (const [already, expected, actual] of wrong) {
      test(`after ${already} events, ${expected} does not hold`, async () => {
        const stream = fresh();
        if (already) await append(stream, ANY, events(already));
        await assert.rejects(append(stream, expected, events(1)), (error) => {
          assert.ok(error instanceof WrongExpectedVersionError);
          assert.deepEqual([error.expectedState, error.actualState], [expected, actual]);
          return true;
        });
      });
    }

    test("a repeated append is appended once", async () => {
      const [stream, appended] = [fresh(), events(3)];
      const once = await append(stream, NO_STREAM, appended);
      for (const again of [NO_STREAM, ANY, STREAM_EXISTS]) {
        assert.deepEqual(await append(stream, again, appended), once);
      }
      assert.deepEqual(ids(await all(client.readStream(stream))), ids(appended));
    });

    for (const mib of [1, 2, 5]) {
      test(`an append of over ${mib} MiB is refused`, async () => {
        const stream = fresh();
        const large = binaryEvent({ type: "Large", data: Buffer.alloc(mib << 20) });
        await assert.rejects(append(stream, ANY, large), (error) => {
          assert.ok(error instanceof MaxAppendSizeExceededError, `${error}`);
          assert.equal(error.maxAppendSize, 1 << 20);
          return true;
        });
        await append(stream, NO_STREAM, events(1));
      });
    }

    test("an id that is none is refused, and the next append is not", async () => {
      const stream = fresh();
      const malformed = jsonEvent({ id: "no-uuid", type: "Tested", data: {} });
      await assert.rejects(append(stream, ANY, malformed));
      await append(stream, NO_STREAM, events(1));
    });

    test("many appends at once are each answered", async () => {
      const streams = Array.from({ length: 200 }, () => fresh());
      const appended = await Promise.all(streams.map((s) => append(s, NO_STREAM, events(2))));
      assert.equal(new Set(appended.map(({ position }) => position.commit)).size, 200);
    });

    test("a tombstoned stream takes no more", async () => {
      const stream = fresh();
      await append(stream, ANY, events(1));
      await client.tombstoneStream(stream);
      await assert.rejects(append(stream, ANY, events(1)), StreamDeletedError);
      await assert.rejects(all(client.readStream(stream)), StreamDeletedError);
    });
  });
}

describe("reads", () => {
  const stream = fresh("read");
  const ten = events(10);
  before(() => client.appendToStream(stream, ten));

  const reads = [
    [{}, ten],
    [{ fromRevision: START, maxCount: 3 }, ten.slice(0, 3)],
    [{ fromRevision: 4n }, ten.slice(4)],
    [{ fromRevision: 10n }, []],
    [{ direction: BACKWARDS, fromRevision: END }, [...ten].reverse()],
    [{ direction: BACKWARDS, fromRevision: 4n, maxCount: 2 }, [ten[4], ten[3]]],
  ];
  for (const [options, expected] of reads) {
    test(`of a stream with ${Object.entries(options).join(" ")}`, async () => {
      assert.deepEqual(ids(await all(client.readStream(stream, options))), ids(expected));
    });
  }

  test("of a stream that never was", async () => {
    await assert.rejects(all(client.readStream(fresh())), StreamNotFoundError);
  });

  test("of all, from a position: forward with it, backward without it", async () => {
    const read = await all(client.readStream(stream));
    const fromPosition = read[4].event.position;
    const forward = await all(client.readAll({ fromPosition, maxCount: 3 }));
    assert.deepEqual(ids(forward), ids(ten.slice(4, 7)));
    const backward = await all(client.readAll({ fromPosition, maxCount: 3, direction: BACKWARDS }));
    assert.deepEqual(ids(backward), ids(ten.slice(1, 4).reverse()));
  });

  test("of all, filtered", async () => {
    const filter = streamNameFilter({ prefixes: [stream] });
    assert.deepEqual(ids(await all(client.readAll({ filter }))), ids(ten));
  });

  test("of a category with its links resolved", async () => {
    const category = `$ce-${stream.split("-")[0]}`;
    const read = await all(client.readStream(category, { resolveLinkTos: true }));
    assert.deepEqual(ids(read), ids(ten));
    assert.deepEqual([read[3].link.streamId, read[3].link.revision], [category, 3n]);
    assert.deepEqual([read[3].event.streamId, read[3].event.revision], [stream, 3n]);
  });

  test("of more events than a window holds", async () => {
    const large = fresh("large");
    for (let n = 0; n < 5; n += 1) await client.appendToStream(large, events(1_000));
    const read = await all(client.readStream(large));
    assert.deepEqual(read.map(({ event }) => event.revision), [...Array(5_000).keys()].map(BigInt));
  });
});

describe("subscriptions", () => {
  const told = (subscription, what) =>
    new Promise((resolve, reject) => subscription.once(what, resolve).once("error", reject));

  test("to a stream: what is there, then that it is, then what comes", async () => {
    const [stream, old, come] = [fresh(), events(3), events(2)];
    await client.appendToStream(stream, old);
    const subscription = client.subscribeToStream(stream, { fromRevision: START });
    const caughtUp = told(subscription, "caughtUp");
    const taken = take(5, subscription);
    const { revision } = await caughtUp;
    assert.equal(revision, 2n);
    await client.appendToStream(stream, come);
    assert.deepEqual(ids(await taken), ids([...old, ...come]));
  });

  test("to a stream from after a revision", async () => {
    const [stream, appended] = [fresh(), events(3)];
    await client.appendToStream(stream, appended);
    const taken = await take(1, client.subscribeToStream(stream, { fromRevision: 1n }));
    assert.deepEqual(ids(taken), ids(appended.slice(2)));
  });

  test("to all from the end", async () => {
    const subscription = client.subscribeToAll({ fromPosition: END, filter: excludeSystemEvents() });
    const caughtUp = told(subscription, "caughtUp");
    const taken = take(2, subscription);
    await caughtUp;
    const appended = events(2);
    await client.appendToStream(fresh(), appended);
    assert.deepEqual(ids(await taken), ids(appended));
  });

  for (const [name, filter] of Object.entries({
    prefix: (type) => eventTypeFilter({ prefixes: [type] }),
    expression: (type) => eventTypeFilter({ regex: `^(?!Un)${type}$` }),
  })) {
    test(`to all with a ${name}`, async () => {
      const type = `Wanted${randomUUID()}`;
      const [wanted, come] = [events(2, type), events(1, type)];
      await client.appendToStream(fresh(), events(2, "Unwanted"));
      await client.appendToStream(fresh(), wanted);
      const taken = take(3, client.subscribeToAll({ filter: filter(type) }));
      await client.appendToStream(fresh(), [...events(1, "Unwanted"), ...come]);
      assert.deepEqual(ids(await taken), ids([...wanted, ...come]));
    });
  }

  test("to all with checkpoints, from which it resumes", async () => {
    const type = `Wanted${randomUUID()}`;
    await client.appendToStream(fresh(), events(100, "Unwanted"));
    const checkpoints = [];
    const checkpointReached = async (_, position) => checkpoints.push(position);
    const options = { maxSearchWindow: 10, checkpointInterval: 2, checkpointReached };
    const filter = eventTypeFilter({ prefixes: [type], ...options });
    const taken = take(1, client.subscribeToAll({ filter }));
    const wanted = events(2, type);
    await client.appendToStream(fresh(), wanted.slice(0, 1));
    assert.deepEqual(ids(await taken), ids(wanted.slice(0, 1)));
    assert.ok(checkpoints.length >= 5);

    await client.appendToStream(fresh(), wanted.slice(1));
    const resumed = client.subscribeToAll({ fromPosition: checkpoints.at(-1), filter });
    assert.ok(ids(wanted).includes(ids(await take(1, resumed))[0]));
  });

  test("that cannot be are told why", async () => {
    const subscription = client.subscribeToAll({ filter: eventTypeFilter({ regex: "(" }) });
    await assert.rejects(take(1, subscription), /expression/);
  });

  test("end with an error when the server stops", async () => {
    const other = await Server.start();
    const others = other.client("&defaultDeadline=5000");
    await others.appendToStream(fresh(), events(1));
    const subscription = others.subscribeToAll({ filter: excludeSystemEvents() });
    const ended = assert.rejects(take(Infinity, subscription), UnavailableError);
    await told(subscription, "caughtUp");
    assert.equal(await other.stop(), 0);
    await ended;
    await others.dispose();
  });
});

describe("deletions and metadata", () => {
  test("a deleted stream is not found and begins anew", async () => {
    const stream = fresh();
    await client.appendToStream(stream, events(3));
    await client.deleteStream(stream, { expectedRevision: 2n });
    await assert.rejects(all(client.readStream(stream)), StreamNotFoundError);
    const { nextExpectedRevision } = await client.appendToStream(stream, events(1), {
      streamState: NO_STREAM,
    });
    assert.equal(nextExpectedRevision, 3n);
  });

  for (const end of ["deleteStream", "tombstoneStream"]) {
    test(`${end} checks its expectation`, async () => {
      const stream = fresh();
      await client.appendToStream(stream, events(3));
      await assert.rejects(client[end](stream, { expectedRevision: 1n }), WrongExpectedVersionError);
    });
  }

  test("metadata is kept and bounds the stream", async () => {
    const stream = fresh();
    await client.appendToStream(stream, events(5));
    assert.equal((await client.getStreamMetadata(stream)).metadata, undefined);
    const metadata = {
      maxCount: 2,
      maxAge: 3600,
      cacheControl: 60,
      acl: { readRoles: ["$all"], writeRoles: "$admins" },
      own: { any: ["thing"] },
    };
    await client.setStreamMetadata(stream, metadata, { streamState: NO_STREAM });
    assert.deepEqual((await client.getStreamMetadata(stream)).metadata, metadata);
    assert.equal((await all(client.readStream(stream))).length, 2);
    await client.setStreamMetadata(stream, { truncateBefore: 4 }, { streamState: 0n });
    assert.equal((await all(client.readStream(stream))).length, 1);
  });
});

describe("appends to several streams", () => {
  const append = (streams, expected = {}) =>
    client.multiStreamAppend(
      streams.map((streamName) => ({
        streamName,
        expectedState: expected[streamName] ?? NO_STREAM,
        events: [jsonEvent({ type: "Tested", data: { streamName }, metadata: { by: "node" } })],
      })),
    );

  test("are made at once", async () => {
    const streams = [fresh("order"), fresh("payment")];
    const { position, responses } = await append(streams);
    assert.deepEqual(responses, streams.map((streamName) => ({ streamName, revision: 0n })));
    const [{ event }] = await all(client.readStream(streams[1]));
    assert.deepEqual([event.data, event.metadata], [{ streamName: streams[1] }, { by: "node" }]);
    assert.equal(event.position.commit, position);
  });

  test("are made not at all where one expectation is wrong", async () => {
    const streams = [fresh("order"), fresh("payment")];
    await assert.rejects(append(streams, { [streams[1]]: 3n }), (error) => {
      assert.ok(error instanceof WrongExpectedVersionError, `${error}`);
      assert.deepEqual([error.streamName, error.expectedState], [streams[1], 3n]);
      return true;
    });
    await assert.rejects(all(client.readStream(streams[0])), StreamNotFoundError);
  });

  test("are refused by a tombstone", async () => {
    const streams = [fresh("order"), fresh("payment")];
    await client.appendToStream(streams[1], events(1));
    await client.tombstoneStream(streams[1]);
    await assert.rejects(append(streams, { [streams[1]]: ANY }), StreamTombstonedError);
  });
});

describe("records of several streams", () => {
  const record = (streamName) => ({
    streamName,
    record: jsonEvent({ type: "Tested", data: { streamName }, metadata: { by: "node" } }),
  });
  const check = (streamName, expectedState) => ({ type: STREAM_STATE, streamName, expectedState });

  test("stand in their order", async () => {
    const [one, other] = [fresh("order"), fresh("payment")];
    const records = [one, other, one, other].map(record);
    const { position, responses } = await client.appendRecords(records, [check(one, NO_STREAM)]);
    assert.deepEqual(
      Object.fromEntries(responses.map(({ streamName, revision }) => [streamName, revision])),
      { [one]: 1n, [other]: 1n },
    );
    const filter = streamNameFilter({ prefixes: [one, other] });
    const read = await all(client.readAll({ filter }));
    assert.deepEqual(ids(read), records.map(({ record }) => record.id));
    assert.deepEqual([read[0].event.data, read[0].event.metadata], [{ streamName: one }, { by: "node" }]);
    assert.equal(read[3].event.position.commit, position);
  });

  test("are appended only if all checks hold, of whatever streams", async () => {
    const [one, other, third] = ["order", "payment", "stock"].map(fresh);
    await client.appendToStream(other, events(2));
    const append = (...checks) => client.appendRecords([record(one)], checks);

    await assert.rejects(append(check(other, 0n), check(third, STREAM_EXISTS)), (error) => {
      assert.ok(error instanceof AppendConsistencyViolationError, `${error}`);
      assert.deepEqual(error.violations, [
        { checkIndex: 0, streamName: other, expectedState: 0n, actualState: 1n },
        { checkIndex: 1, streamName: third, expectedState: STREAM_EXISTS, actualState: NO_STREAM },
      ]);
      return true;
    });
    await assert.rejects(all(client.readStream(one)), StreamNotFoundError);
    await append(check(other, 1n), check(third, NO_STREAM));
    assert.equal((await all(client.readStream(one))).length, 1);
  });

  test("are refused by a tombstone", async () => {
    const [one, ended] = [fresh("order"), fresh("payment")];
    await client.appendToStream(ended, events(1));
    await client.tombstoneStream(ended);
    await assert.rejects(client.appendRecords([record(one)], [check(ended, ANY)]), (error) => {
      assert.ok(error instanceof AppendConsistencyViolationError, `${error}`);
      assert.equal(error.violations[0].actualState, -6n);
      return true;
    });
  });
});
