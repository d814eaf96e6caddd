import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import {
  END,
  PersistentSubscriptionDoesNotExistError,
  PersistentSubscriptionDroppedError,
  PersistentSubscriptionExistsError,
  PersistentSubscriptionFailedError,
  PersistentSubscriptionMaximumSubscribersReachedError,
  START,
  UnavailableError,
  persistentSubscriptionToAllSettingsFromDefaults as settingsToAll,
  persistentSubscriptionToStreamSettingsFromDefaults as settingsToStream,
  streamNameFilter,
} from "@kurrent/kurrentdb-client";

import { Server, events, fresh, ids } from "./given.js";

const GROUP = "group";
let server, client;
before(async () => {
  server = await Server.start();
  client = server.client();
});
after(async () => {
  await client.dispose();
  assert.equal(await server.stop(), 0);
});

const create = (stream, settings = {}) =>
  client.createPersistentSubscriptionToStream(
    stream,
    GROUP,
    settingsToStream({ startFrom: START, ...settings }),
  );

const info = (stream) => client.getPersistentSubscriptionToStreamInfo(stream, GROUP);

/** The first of what is delivered, each answered. */
async function taken(count, consumer, answer = (event) => consumer.ack(event)) {
  const taken = [];
  for await (const event of consumer.iterator({ destroyOnReturn: false })) {
    taken.push(event);
    await answer(event);
    if (taken.length === count) return taken;
  }
}

async function until(isSo) {
  while (!(await isSo()));
}

/** What a consumer ends with. */
const failure = (consumer) => new Promise((resolve) => consumer.on("error", resolve).resume());

test("events are parked, replayed and acknowledged", async () => {
  const stream = fresh();
  const appended = events(3);
  await client.appendToStream(stream, appended);
  await create(stream);
  const consumer = client.subscribeToPersistentSubscriptionToStream(stream, GROUP);

  const parked = await taken(3, consumer, (event) => consumer.nack("park", "no stock", event));
  assert.deepEqual(ids(parked), ids(appended));
  await until(async () => (await info(stream)).stats.parkedMessageCount === 3n);
  await client.replayParkedMessagesToStream(stream, GROUP, { stopAt: 2 });
  assert.deepEqual(ids(await taken(2, consumer)), ids(appended.slice(0, 2)));
  await until(async () => (await info(stream)).stats.outstandingMessagesCount === 0);

  assert.equal((await info(stream)).stats.parkedMessageCount, 1n);
  await consumer.unsubscribe();
});

test("all events are filtered", async () => {
  const [group, stream] = [fresh("group"), fresh()];
  const filter = streamNameFilter({ prefixes: [stream] });
  await client.createPersistentSubscriptionToAll(group, settingsToAll({ startFrom: END }), {
    filter,
  });
  const consumer = client.subscribeToPersistentSubscriptionToAll(group);
  const appended = events(2);
  await client.appendToStream(fresh(), events(1));
  await client.appendToStream(stream, appended);

  assert.deepEqual(ids(await taken(2, consumer)), ids(appended));

  const { eventSource, settings } = await client.getPersistentSubscriptionToAllInfo(group);
  assert.deepEqual([eventSource, settings.startFrom], ["$all", END]);
  const listed = await client.listPersistentSubscriptionsToAll();
  assert.ok(listed.some(({ groupName }) => groupName === group));
  await consumer.unsubscribe();
});

test("errors are told by their kinds", async () => {
  const stream = fresh();
  const missing = PersistentSubscriptionDoesNotExistError;
  await assert.rejects(info(stream), missing);
  await assert.rejects(client.deletePersistentSubscriptionToStream(stream, GROUP), missing);
  await assert.rejects(client.replayParkedMessagesToStream(stream, GROUP), missing);
  await assert.rejects(client.listPersistentSubscriptionsToStream(stream), missing);
  const connect = () => client.subscribeToPersistentSubscriptionToStream(stream, GROUP);
  assert.ok((await failure(connect())) instanceof missing);

  await assert.rejects(create(stream, { readBatchSize: 501 }), PersistentSubscriptionFailedError);
  await create(stream, { maxSubscriberCount: 1 });
  await assert.rejects(create(stream), (error) => {
    assert.ok(error instanceof PersistentSubscriptionExistsError);
    assert.deepEqual([error.streamName, error.groupName], [stream, GROUP]);
    return true;
  });
  const consumer = connect();
  await new Promise((resolve) => consumer.on("confirmation", resolve));
  const full = PersistentSubscriptionMaximumSubscribersReachedError;
  assert.ok((await failure(connect())) instanceof full);

  const dropped = failure(consumer);
  await client.updatePersistentSubscriptionToStream(
    stream,
    GROUP,
    settingsToStream({ maxRetryCount: 7 }),
  );
  assert.ok((await dropped) instanceof PersistentSubscriptionDroppedError);
  assert.equal((await info(stream)).settings.maxRetryCount, 7);
  await client.deletePersistentSubscriptionToStream(stream, GROUP);
  await assert.rejects(info(stream), missing);
});

test("the subsystem is restarted, and a server that stops says so", async () => {
  const own = await Server.start();
  const client = own.client();
  const stream = fresh();
  await client.createPersistentSubscriptionToStream(stream, GROUP, settingsToStream());
  const connect = () => client.subscribeToPersistentSubscriptionToStream(stream, GROUP);
  const connected = (consumer) => new Promise((done) => consumer.on("confirmation", done));
  const first = connect();
  const dropped = failure(first);
  await connected(first);

  await client.restartPersistentSubscriptionSubsystem();
  assert.ok((await dropped) instanceof PersistentSubscriptionDroppedError);
  const second = connect();
  const stopped = failure(second);
  await connected(second);
  assert.equal(await own.stop(), 0);
  assert.ok((await stopped) instanceof UnavailableError);
  await client.dispose();
});
