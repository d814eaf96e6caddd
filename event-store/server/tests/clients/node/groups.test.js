import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import {
  END,
  PARK,
  PersistentSubscriptionDoesNotExistError,
  PersistentSubscriptionExistsError,
  PersistentSubscriptionMaximumSubscribersReachedError,
  RETRY,
  ROUND_ROBIN,
  SKIP,
  START,
  eventTypeFilter,
  persistentSubscriptionToAllSettingsFromDefaults,
  persistentSubscriptionToStreamSettingsFromDefaults,
} from "@kurrent/kurrentdb-client";

import { Server, events, fresh, ids, take } from "./given.js";

let folder, server, client;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "store-"));
  server = await Server.start(join(folder, "data"));
  client = server.client();
});
after(async () => {
  await client.dispose();
  assert.equal(await server.stop(), 0);
  await rm(folder, { recursive: true });
});

const settings = persistentSubscriptionToStreamSettingsFromDefaults;

/** A group on a stream of its own, with so many events in it. */
async function given(count, options = {}) {
  const [stream, appended] = [fresh(), events(count)];
  if (count) await client.appendToStream(stream, appended);
  await client.createPersistentSubscriptionToStream(stream, "group", settings({ startFrom: START, ...options }));
  return [stream, appended];
}

const subscribe = (stream, options) =>
  client.subscribeToPersistentSubscriptionToStream(stream, "group", options);

const info = (stream) => client.getPersistentSubscriptionToStreamInfo(stream, "group");

/** Waits for what a server does on its own. */
async function eventually(holds) {
  const deadline = Date.now() + 60_000;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, "it did not come true");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Takes so many events and answers each. */
async function answered(count, subscription, answer = (event) => subscription.ack(event)) {
  const taken = [];
  for await (const event of subscription) {
    taken.push(event);
    await answer(event);
    if (taken.length === count) break;
  }
  // Whoever only stops reading stays connected.
  await subscription.unsubscribe();
  return taken;
}

describe("persistent subscriptions", () => {
  test("deliver what is there and what comes", async () => {
    const [stream, appended] = await given(3);
    const subscription = subscribe(stream);
    const taken = answered(5, subscription);
    await once(subscription, "confirmation");
    appended.push(...events(2));
    await client.appendToStream(stream, appended.slice(3));
    assert.deepEqual(ids(await taken), ids(appended));
  });

  test("start where they are told", async () => {
    for (const [startFrom, skipped] of [[2n, 2], [END, 3]]) {
      const [stream, appended] = await given(0, { startFrom: START });
      appended.push(...events(3));
      await client.appendToStream(stream, appended);
      await client.createPersistentSubscriptionToStream(stream, "late", settings({ startFrom }));
      appended.push(...events(2));
      await client.appendToStream(stream, appended.slice(3));
      const subscription = client.subscribeToPersistentSubscriptionToStream(stream, "late");
      assert.deepEqual(ids(await answered(5 - skipped, subscription)), ids(appended.slice(skipped)));
    }
  });

  test("deliver again what is to be retried", async () => {
    const [stream, [event]] = await given(1);
    const subscription = subscribe(stream);
    const seen = [];
    await answered(2, subscription, (taken) => {
      seen.push([taken.event.id, taken.retryCount]);
      return seen.length === 1 ? subscription.nack(RETRY, "again", taken) : subscription.ack(taken);
    });
    assert.deepEqual(seen, [[event.id, 0], [event.id, 1]]);
  });

  test("keep what is parked until it is replayed", async () => {
    const [stream, appended] = await given(3);
    const subscription = subscribe(stream);
    const actions = [PARK, SKIP, PARK];
    await answered(3, subscription, async (event) => {
      await subscription.nack(actions.shift(), "not now", event);
      if (!actions.length) await eventually(async () => (await info(stream)).stats.parkedMessageCount === 2n);
    });
    await client.replayParkedMessagesToStream(stream, "group");
    const replayed = await answered(2, subscribe(stream));
    assert.deepEqual(new Set(ids(replayed)), new Set(ids([appended[0], appended[2]])));
    await eventually(async () => (await info(stream)).stats.parkedMessageCount === 0n);
  });

  test("let in as many as they are for", async () => {
    const [stream] = await given(0, { maxSubscriberCount: 1 });
    const subscription = subscribe(stream);
    subscription.resume();
    await once(subscription, "confirmation");
    const reached = PersistentSubscriptionMaximumSubscribersReachedError;
    await assert.rejects(take(1, subscribe(stream)), reached);
    await subscription.unsubscribe();
  });

  test("are told of, listed, changed and deleted", async () => {
    const given_ = { startFrom: 4n, resolveLinkTos: true, messageTimeout: 7_000, maxRetryCount: 3,
      checkPointLowerBound: 2, checkPointUpperBound: 20, maxSubscriberCount: 8, liveBufferSize: 50,
      readBatchSize: 5, historyBufferSize: 60, consumerStrategyName: ROUND_ROBIN };
    const [stream] = await given(0, given_);
    await assert.rejects(
      client.createPersistentSubscriptionToStream(stream, "group", settings()),
      PersistentSubscriptionExistsError,
    );
    const told = await info(stream);
    assert.deepEqual([told.eventSource, told.groupName], [stream, "group"]);
    for (const [name, value] of Object.entries(given_)) assert.equal(told.settings[name], value, name);

    const changed = settings({ ...given_, messageTimeout: 9_000 });
    await client.updatePersistentSubscriptionToStream(stream, "group", changed);
    assert.equal((await info(stream)).settings.messageTimeout, 9_000);
    const listed = await client.listPersistentSubscriptionsToStream(stream);
    assert.deepEqual(listed.map(({ groupName }) => groupName), ["group"]);
    const everywhere = await client.listAllPersistentSubscriptions();
    assert.ok(everywhere.some(({ eventSource }) => eventSource === stream));

    await client.deletePersistentSubscriptionToStream(stream, "group");
    const gone = PersistentSubscriptionDoesNotExistError;
    await assert.rejects(info(stream), gone);
    await assert.rejects(take(1, subscribe(stream)), gone);
    await assert.rejects(client.deletePersistentSubscriptionToStream(stream, "group"), gone);
    await assert.rejects(client.replayParkedMessagesToStream(stream, "group"), gone);
  });

  test("to all deliver what a filter lets through", async () => {
    const [group, type] = [fresh("group"), `Kind${fresh("").slice(0, -2)}`];
    const wanted = events(2, type);
    await client.appendToStream(fresh(), [...events(2, "Unwanted"), ...wanted]);
    const filter = eventTypeFilter({ prefixes: [type] });
    const all = persistentSubscriptionToAllSettingsFromDefaults({ startFrom: START });
    await client.createPersistentSubscriptionToAll(group, all, { filter });
    const subscription = client.subscribeToPersistentSubscriptionToAll(group);
    assert.deepEqual(ids(await answered(2, subscription)), ids(wanted));
    const listed = await client.listPersistentSubscriptionsToAll();
    assert.ok(listed.some(({ groupName }) => groupName === group));
    await client.deletePersistentSubscriptionToAll(group);
  });

  test("and their subsystem can be restarted", async () => {
    const [stream, appended] = await given(1);
    await client.restartPersistentSubscriptionSubsystem();
    assert.deepEqual(ids(await answered(1, subscribe(stream))), ids(appended));
  });
});
