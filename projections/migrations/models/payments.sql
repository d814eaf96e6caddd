-- Every payment as it stands.
CREATE TABLE payments_v{generation} (
    id           TEXT   NOT NULL,
    order_id     TEXT   NOT NULL,
    status       TEXT   NOT NULL, -- requested, authorized, captured, voided, declined, refunded
    method       TEXT   NOT NULL,
    currency     TEXT   NOT NULL,
    amount       BIGINT NOT NULL, -- owed; minor units
    captured     BIGINT NOT NULL, -- minor units
    refunded     BIGINT NOT NULL, -- minor units
    reference    TEXT,            -- the provider's name for the authorization
    decline      TEXT,            -- what the provider said
    requested_at BIGINT NOT NULL, -- business time; microseconds since 1970
    updated_at   BIGINT NOT NULL, -- when the store took its last event; microseconds since 1970
    revision     BIGINT NOT NULL, -- of the payment stream
    PRIMARY KEY (id)
) {clustered};

CREATE INDEX payments_v{generation}_order ON payments_v{generation} (order_id);
