-- What analytics counts, by the business time of the events. SQL common to SQLite and PostgreSQL.

CREATE TABLE analytics_minutes (
    minute   BIGINT NOT NULL, -- minutes since 1970
    currency TEXT   NOT NULL,
    placed   BIGINT NOT NULL, -- orders
    paid     BIGINT NOT NULL, -- orders
    revenue  BIGINT NOT NULL, -- what was paid, in minor units
    refunded BIGINT NOT NULL, -- what went back, in minor units
    PRIMARY KEY (minute, currency)
);

CREATE TABLE analytics_cancellations (
    minute BIGINT NOT NULL,
    reason TEXT   NOT NULL, -- outOfStock, paymentDeclined, reservationExpired, customerRequest, operator
    orders BIGINT NOT NULL,
    PRIMARY KEY (minute, reason)
);

-- What was ordered, whatever became of it.
CREATE TABLE analytics_products (
    day      BIGINT NOT NULL, -- days since 1970
    currency TEXT   NOT NULL,
    sku      TEXT   NOT NULL,
    quantity BIGINT NOT NULL,
    amount   BIGINT NOT NULL, -- in minor units
    PRIMARY KEY (day, currency, sku)
);
