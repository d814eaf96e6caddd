-- What customers are told, and whom that is. SQL common to SQLite and PostgreSQL.

CREATE TABLE notification_customers (
    customer_id TEXT    NOT NULL PRIMARY KEY,
    revision    BIGINT  NOT NULL, -- of the customer's stream
    name        TEXT    NOT NULL,
    email       TEXT,
    closed      BOOLEAN NOT NULL
);

CREATE TABLE notification_orders (
    order_id    TEXT NOT NULL PRIMARY KEY,
    customer_id TEXT NOT NULL
);

-- What a customer wishes. Without a row, email goes to the customer's address and nothing else.
CREATE TABLE notification_preferences (
    customer_id TEXT    NOT NULL,
    channel     TEXT    NOT NULL, -- email, sms, push
    wanted      BOOLEAN NOT NULL,
    address     TEXT,             -- a phone number, or a device's token; of email, in place of the customer's
    updated_at  BIGINT  NOT NULL, -- microseconds since 1970
    PRIMARY KEY (customer_id, channel)
);

CREATE TABLE notifications (
    id         TEXT   NOT NULL PRIMARY KEY, -- derived from the event and the channel
    event_id   TEXT   NOT NULL,
    order_id   TEXT   NOT NULL,
    revision   BIGINT NOT NULL,             -- of the order's stream
    kind       TEXT   NOT NULL,             -- the event's type
    channel    TEXT   NOT NULL,
    facts      TEXT   NOT NULL,             -- JSON: what the template is filled with
    status     TEXT   NOT NULL,             -- pending, sent, unwanted, failed, discarded
    via        TEXT,                        -- sink, smtp, http
    address    TEXT,
    subject    TEXT,
    body       TEXT,
    error      TEXT,                        -- of the last attempt
    attempts   BIGINT NOT NULL,
    due_at     BIGINT NOT NULL,             -- microseconds since 1970, as all instants here
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE INDEX notifications_due ON notifications (due_at) WHERE status = 'pending';
CREATE INDEX notifications_order ON notifications (order_id, channel, revision);
