-- What the relay and the consumers keep. SQL common to SQLite and PostgreSQL.

-- Who follows the store, and how far each has come.
CREATE TABLE followers (
    name        TEXT   NOT NULL PRIMARY KEY, -- relay, or a consumer that is fed in process
    position    BIGINT,                      -- every event up to here is done with
    updated_at  BIGINT NOT NULL DEFAULT 0,   -- microseconds since 1970
    owner       TEXT,                        -- the process that holds the lease
    token       BIGINT NOT NULL DEFAULT 0,   -- fencing token: grows with every new owner
    lease_until BIGINT NOT NULL DEFAULT 0    -- microseconds since 1970
);

-- Which events a consumer has processed. An event's id is its own within its stream.
CREATE TABLE consumed_events (
    consumer TEXT NOT NULL,
    stream   TEXT NOT NULL,
    event_id TEXT NOT NULL,
    PRIMARY KEY (consumer, stream, event_id)
);

-- What could not be processed, and what came after it on the same key.
CREATE TABLE dead_letters (
    id       TEXT    NOT NULL PRIMARY KEY, -- in the order in which they came
    consumer TEXT    NOT NULL,             -- relay, or a consumer
    origin   TEXT    NOT NULL,             -- what a second delivery of the same is known by
    topic    TEXT    NOT NULL,             -- without the installation's prefix
    key      TEXT    NOT NULL,
    headers  TEXT    NOT NULL,             -- JSON: pairs of name and value
    payload  TEXT    NOT NULL,
    encoded  BOOLEAN NOT NULL,             -- whether the payload is in Base64
    error    TEXT,                         -- none: it only waits for those before it
    attempts BIGINT  NOT NULL,
    died_at  BIGINT  NOT NULL              -- the last attempt; microseconds since 1970
);

CREATE UNIQUE INDEX dead_letters_origin ON dead_letters (consumer, origin);
CREATE INDEX dead_letters_key ON dead_letters (consumer, topic, key);
