-- What each order adds to the sums below, so that a refund or cancellation can take it out again.
CREATE TABLE sales_orders_v{generation} (
    order_id  TEXT    NOT NULL,
    day       TEXT    NOT NULL, -- of the order's business time in UTC; YYYY-MM-DD
    currency  TEXT    NOT NULL,
    lines     TEXT    NOT NULL, -- JSON: [[sku, quantity, amount in minor units], ...]
    refunded  BIGINT  NOT NULL, -- minor units
    stage     TEXT    NOT NULL, -- unpaid, paid, cancelled
    PRIMARY KEY (order_id)
) {clustered};

-- Paid orders by the day on which they were placed, less what was cancelled or refunded.
CREATE TABLE sales_by_day_v{generation} (
    day      TEXT   NOT NULL, -- business day in UTC; YYYY-MM-DD
    currency TEXT   NOT NULL,
    orders   BIGINT NOT NULL,
    lines    BIGINT NOT NULL,
    quantity BIGINT NOT NULL,
    amount   BIGINT NOT NULL, -- minor units; a sum must not overflow
    PRIMARY KEY (day, currency),
    CHECK (amount BETWEEN -9000000000000000000 AND 9000000000000000000)
) {clustered};

-- The same by product. A refund is spread over an order's lines by their share of its total.
CREATE TABLE sales_by_product_v{generation} (
    sku      TEXT   NOT NULL,
    currency TEXT   NOT NULL,
    orders   BIGINT NOT NULL,
    lines    BIGINT NOT NULL,
    quantity BIGINT NOT NULL,
    amount   BIGINT NOT NULL, -- minor units; a sum must not overflow
    PRIMARY KEY (sku, currency),
    CHECK (amount BETWEEN -9000000000000000000 AND 9000000000000000000)
) {clustered};

CREATE INDEX sales_by_product_v{generation}_top ON sales_by_product_v{generation} (currency, amount, sku);
