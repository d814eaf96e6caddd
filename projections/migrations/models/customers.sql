-- Every customer's account as it stands.
CREATE TABLE customers_v{generation} (
    id            TEXT   NOT NULL,
    status        TEXT   NOT NULL, -- open, closed
    name          TEXT   NOT NULL,
    email         TEXT,
    country       TEXT,            -- ISO 3166-1 alpha-2
    registered_at BIGINT NOT NULL, -- business time; microseconds since 1970
    updated_at    BIGINT NOT NULL, -- when the store took its last event; microseconds since 1970
    revision      BIGINT NOT NULL, -- of the customer stream
    PRIMARY KEY (id)
) {clustered};
