-- Every product as it is, or was last, offered.
CREATE TABLE products_v{generation} (
    sku         TEXT   NOT NULL,
    status      TEXT   NOT NULL, -- listed, delisted
    seller      TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    description TEXT   NOT NULL,
    category    TEXT   NOT NULL,
    brand       TEXT,
    currency    TEXT   NOT NULL,
    price       BIGINT NOT NULL, -- minor units
    listed_at   BIGINT NOT NULL, -- business time; microseconds since 1970
    updated_at  BIGINT NOT NULL, -- when the store took its last event; microseconds since 1970
    revision    BIGINT NOT NULL, -- of the product stream
    PRIMARY KEY (sku)
) {clustered};
