-- What an operator gave up: dead letters, and notifications that could not be sent. SQL common to
-- SQLite and PostgreSQL.

CREATE TABLE discarded_letters (
    id           TEXT   NOT NULL PRIMARY KEY, -- that it had as a dead letter, or as a notification
    owner        TEXT   NOT NULL,             -- relay, a consumer, or delivery
    key          TEXT   NOT NULL,             -- the stream that it is about
    kind         TEXT   NOT NULL,             -- the event's type
    error        TEXT   NOT NULL,             -- what was wrong with it
    reason       TEXT   NOT NULL,             -- why it was given up
    discarded_by TEXT   NOT NULL,
    discarded_at BIGINT NOT NULL              -- microseconds since 1970
);
