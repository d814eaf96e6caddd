-- What the runner itself keeps. SQL common to SQLite and PostgreSQL.

-- One row per version of a projection: its lease and its checkpoint.
CREATE TABLE projections (
    name        TEXT    NOT NULL,
    version     BIGINT  NOT NULL,
    declaration TEXT    NOT NULL,               -- of its tables, as they were made
    live        BOOLEAN NOT NULL DEFAULT FALSE, -- whether queries read this version's tables
    position    BIGINT,                         -- every matching event up to here is in the rows
    updated_at  BIGINT  NOT NULL DEFAULT 0,     -- of the checkpoint; microseconds since 1970
    owner       TEXT,                           -- the worker that holds the lease
    token       BIGINT  NOT NULL DEFAULT 0,     -- fencing token: grows with every new owner
    lease_until BIGINT  NOT NULL DEFAULT 0,     -- microseconds since 1970
    PRIMARY KEY (name, version)
);

CREATE UNIQUE INDEX projections_live ON projections (name) WHERE live;

-- Events that a projection could not read or apply. The rows lack what they said.
CREATE TABLE parked_events (
    projection TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    position   BIGINT NOT NULL,
    stream     TEXT   NOT NULL,
    revision   BIGINT NOT NULL,
    event_id   TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    error      TEXT   NOT NULL,
    attempts   BIGINT NOT NULL,
    parked_at  BIGINT NOT NULL, -- the last attempt; microseconds since 1970
    PRIMARY KEY (projection, version, position)
);
