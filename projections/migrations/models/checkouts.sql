-- Where the checkout of each order stands.
CREATE TABLE checkouts_v{generation} (
    order_id   TEXT    NOT NULL,
    stage      TEXT    NOT NULL, -- reserving, confirming, authorizing, capturing, markingPaid, settled, shipped, compensating, calledOff
    unanswered BIGINT  NOT NULL, -- reservations that were asked for and not answered
    held       BIGINT  NOT NULL, -- reservations that were made and not released
    reason     TEXT,             -- why it is, or was, undone: outOfStock, paymentDeclined, reservationExpired, customerRequest, operator
    detail     TEXT,             -- the SKU, what the provider said, or the operator's note
    started_at BIGINT  NOT NULL, -- microseconds since 1970
    updated_at BIGINT  NOT NULL, -- when the store took its last record; microseconds since 1970
    revision   BIGINT  NOT NULL, -- of the checkout stream
    PRIMARY KEY (order_id)
) {clustered};

-- Those that still have something to do, the longest silent first.
CREATE INDEX checkouts_v{generation}_open ON checkouts_v{generation} (updated_at)
    WHERE stage NOT IN ('settled', 'shipped', 'calledOff');
