-- What there is of each SKU.
CREATE TABLE stock_v{generation} (
    sku         TEXT   NOT NULL,
    on_hand     BIGINT NOT NULL, -- in the house, held or not
    reserved    BIGINT NOT NULL, -- of those, held for orders
    updated_at  BIGINT NOT NULL, -- when the store took the last event; microseconds since 1970
    revision    BIGINT NOT NULL, -- of the stock stream
    PRIMARY KEY (sku)
) {clustered};

-- Who holds or held how many.
CREATE TABLE reservations_v{generation} (
    order_id   TEXT   NOT NULL,
    sku        TEXT   NOT NULL,
    quantity   BIGINT NOT NULL,
    expires_at BIGINT NOT NULL, -- microseconds since 1970
    status     TEXT   NOT NULL, -- held, released, committed
    reason     TEXT,            -- of a release: cancelled, paymentFailed, expired
    revision   BIGINT NOT NULL, -- of the stock stream
    PRIMARY KEY (order_id, sku)
) {clustered};

CREATE INDEX reservations_v{generation}_held ON reservations_v{generation} (sku, order_id) WHERE status = 'held';
