-- A read model can be built anew by the same code: its tables are numbered by generation, and
-- the version is that of the code that fills them.

ALTER TABLE projections RENAME COLUMN version TO generation;
ALTER TABLE projections ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE projections ADD COLUMN retired_at BIGINT; -- when another took its place; microseconds since 1970
UPDATE projections SET version = generation;

ALTER TABLE parked_events RENAME COLUMN version TO generation;
CREATE INDEX parked_events_stream ON parked_events (projection, generation, stream, position);

-- Events that an operator gave up: no generation of the projection has them.
CREATE TABLE discarded_events (
    projection   TEXT   NOT NULL,
    position     BIGINT NOT NULL,
    stream       TEXT   NOT NULL,
    kind         TEXT   NOT NULL,
    error        TEXT   NOT NULL, -- what was wrong with it
    reason       TEXT   NOT NULL, -- why it was given up
    discarded_at BIGINT NOT NULL, -- microseconds since 1970
    PRIMARY KEY (projection, position)
);

-- Projections whose live generation is to stay where it is.
CREATE TABLE paused_projections (
    name      TEXT   NOT NULL,
    paused_at BIGINT NOT NULL, -- microseconds since 1970
    PRIMARY KEY (name)
);
