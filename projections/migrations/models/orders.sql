-- Every order as it stands.
CREATE TABLE orders_v{generation} (
    id            TEXT   NOT NULL,
    customer_id   TEXT   NOT NULL,
    status        TEXT   NOT NULL, -- pending, confirmed, paid, partiallyFulfilled, fulfilled, cancelled
    cancel_reason TEXT,            -- outOfStock, paymentDeclined, reservationExpired, customerRequest, operator
    cancel_detail TEXT,            -- the SKU, what the provider said, or the operator's note
    payment       TEXT   NOT NULL, -- none, captured
    payment_id    TEXT,            -- once captured
    shipment      TEXT   NOT NULL, -- none, partial, full
    sellers       BIGINT NOT NULL, -- how many have a share in it
    shipped       BIGINT NOT NULL, -- how many of them shipped
    refund        TEXT   NOT NULL, -- none, partial, full
    currency      TEXT   NOT NULL,
    total         BIGINT NOT NULL, -- minor units
    refunded      BIGINT NOT NULL, -- minor units
    method        TEXT   NOT NULL,
    placed_at     BIGINT NOT NULL, -- business time; microseconds since 1970
    recorded_at   BIGINT NOT NULL, -- when the store took the order; microseconds since 1970
    updated_at    BIGINT NOT NULL, -- when the store took its last event; microseconds since 1970
    revision      BIGINT NOT NULL, -- of the order stream
    PRIMARY KEY (id)
) {clustered};

CREATE INDEX orders_v{generation}_customer ON orders_v{generation} (customer_id, placed_at, id);

-- What was agreed, line by line.
CREATE TABLE order_lines_v{generation} (
    order_id   TEXT   NOT NULL,
    line       BIGINT NOT NULL, -- from 1
    sku        TEXT   NOT NULL,
    seller     TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    quantity   BIGINT NOT NULL,
    unit_price BIGINT NOT NULL, -- minor units of the order's currency
    PRIMARY KEY (order_id, line)
) {clustered};

-- Each seller's share of an order.
CREATE TABLE order_shipments_v{generation} (
    order_id     TEXT   NOT NULL,
    seller       TEXT   NOT NULL,
    tracking     TEXT,   -- once shipped
    shipped_at   BIGINT, -- business time; microseconds since 1970
    fulfilled_at BIGINT, -- business time; microseconds since 1970
    PRIMARY KEY (order_id, seller)
) {clustered};

-- What happened to an order, event by event.
CREATE TABLE order_timeline_v{generation} (
    order_id    TEXT   NOT NULL,
    revision    BIGINT NOT NULL,
    kind        TEXT   NOT NULL, -- the event's type
    detail      TEXT,            -- what else there is to say, for people
    actor       TEXT   NOT NULL,
    at          BIGINT NOT NULL, -- business time; microseconds since 1970
    recorded_at BIGINT NOT NULL, -- microseconds since 1970
    PRIMARY KEY (order_id, revision)
) {clustered};
