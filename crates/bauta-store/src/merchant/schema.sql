-- What may be sold: one row for each version of a good. state: 1 for sale, 2 withdrawn, 3 superseded by a newer version.
-- content_key opens the ciphertext: the file is readable by its owner only.
CREATE TABLE version (
    good BLOB NOT NULL CHECK (length(good) = 16),
    version INTEGER NOT NULL CHECK (version >= 1),
    state INTEGER NOT NULL CHECK (state IN (1, 2, 3)),
    title TEXT NOT NULL,
    file_name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    description TEXT NOT NULL,
    licence TEXT NOT NULL,
    refund_rule TEXT NOT NULL,
    currency TEXT NOT NULL,
    price INTEGER NOT NULL CHECK (price > 0),
    pt_root BLOB NOT NULL CHECK (length(pt_root) = 32),
    pt_len INTEGER NOT NULL CHECK (pt_len >= 0),
    ct_root BLOB NOT NULL UNIQUE CHECK (length(ct_root) = 32),
    ct_len INTEGER NOT NULL CHECK (ct_len > 0),
    content_key BLOB NOT NULL CHECK (length(content_key) = 16),
    added_at INTEGER NOT NULL,
    PRIMARY KEY (good, version)
) STRICT;
CREATE UNIQUE INDEX version_current ON version (good) WHERE state <> 3;

-- Goes up by one with every change of the table above, so that a running role notices what another process did.
CREATE TABLE shelf (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO shelf VALUES (1, 0);

-- One row for each order that was answered. The reply, the preimage and the payee's opening follow from it, from the
-- version's row and from the merchant's seed; the customer is in it as a pseudonym inside the offer, and nothing else.
CREATE TABLE sale (
    number INTEGER PRIMARY KEY,
    order_id BLOB NOT NULL UNIQUE CHECK (length(order_id) = 32),
    txid BLOB NOT NULL UNIQUE CHECK (length(txid) = 32),
    good BLOB NOT NULL,
    version INTEGER NOT NULL,
    answered_at INTEGER NOT NULL,
    account BLOB NOT NULL CHECK (length(account) = 32),
    offer BLOB NOT NULL,
    state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 9),
    due_at INTEGER NOT NULL,
    accept BLOB,
    accepted_at INTEGER,
    sent_at INTEGER,
    promise BLOB,
    captured_at INTEGER,
    capture BLOB,
    receipt BLOB,
    evidence BLOB,
    reason INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    ended_at INTEGER,
    CHECK (state = 1 OR accept IS NOT NULL OR state = 9),
    CHECK (state NOT IN (3, 4, 5, 6, 7, 8) OR sent_at IS NOT NULL),
    CHECK (state NOT IN (7, 8) OR receipt IS NOT NULL OR promise IS NOT NULL OR captured_at IS NOT NULL)
) STRICT;
-- What somebody has to do something about, and when.
CREATE INDEX sale_due ON sale (state, due_at) WHERE state < 8;
