-- Several logs and mode SAFE: what each log said about a sale is in rows of their own, and the cancels of each log are kept.
ALTER TABLE sale RENAME TO sale_of_one_log;

-- As before, without the words of logs. state 10 stands between 2 and 3 in mode SAFE. confirmed_at says since when the
-- customer may have the preimage.
CREATE TABLE sale (
    number INTEGER PRIMARY KEY,
    order_id BLOB NOT NULL UNIQUE CHECK (length(order_id) = 32),
    txid BLOB NOT NULL UNIQUE CHECK (length(txid) = 32),
    good BLOB NOT NULL,
    version INTEGER NOT NULL,
    answered_at INTEGER NOT NULL,
    account BLOB NOT NULL CHECK (length(account) = 32),
    offer BLOB NOT NULL,
    is_safe INTEGER NOT NULL CHECK (is_safe IN (0, 1)),
    state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 10),
    due_at INTEGER NOT NULL,
    accept BLOB,
    accepted_at INTEGER,
    sent_at INTEGER,
    confirmed_at INTEGER,
    captured_at INTEGER,
    capture BLOB,
    reason INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    ended_at INTEGER,
    CHECK (state = 1 OR accept IS NOT NULL OR state = 9),
    CHECK (state NOT IN (3, 4, 5, 6, 7, 8) OR sent_at IS NOT NULL),
    CHECK (state <> 10 OR (is_safe = 1 AND sent_at IS NULL)),
    CHECK (state NOT IN (5, 6, 7, 8) OR confirmed_at IS NOT NULL)
) STRICT;
INSERT INTO sale
SELECT number, order_id, txid, good, version, answered_at, account, offer, 0, state, due_at, accept, accepted_at, sent_at,
       CASE WHEN promise IS NOT NULL THEN sent_at ELSE captured_at END,
       captured_at, capture, reason, attempts, ended_at
FROM sale_of_one_log;

-- What a log promised about a sale: deed 1 prepare, 2 commit. is_told: the promise went to the customer with the preimage,
-- and stands in every repeat of that answer. evidence is a checkpoint that contradicts the promise.
CREATE TABLE sale_leaf (
    sale INTEGER NOT NULL,
    deed INTEGER NOT NULL CHECK (deed IN (1, 2)),
    log BLOB NOT NULL CHECK (length(log) = 32),
    promise BLOB NOT NULL,
    is_told INTEGER NOT NULL DEFAULT 0 CHECK (is_told IN (0, 1)),
    receipt BLOB,
    evidence BLOB,
    PRIMARY KEY (sale, deed, log)
) STRICT;
-- A promise begins with the log's name.
INSERT INTO sale_leaf
SELECT number, 2, substr(promise, 1, 32), promise, 1, receipt, evidence
FROM sale_of_one_log WHERE promise IS NOT NULL;
DROP TABLE sale_of_one_log;

-- What somebody has to do something about, and when.
CREATE INDEX sale_due ON sale (state, due_at) WHERE ended_at IS NULL;

-- How far each log has been read for cancels, and from which sale on that shows everything.
CREATE TABLE log_position (
    log BLOB PRIMARY KEY CHECK (length(log) = 32),
    size INTEGER NOT NULL CHECK (size >= 0),
    hashes BLOB NOT NULL CHECK (length(hashes) % 32 = 0),
    first_sale INTEGER NOT NULL
) STRICT;

-- Cancels in the logs, whoever's they are, until the locks have expired.
CREATE TABLE cancel (
    lock_tag BLOB NOT NULL CHECK (length(lock_tag) = 32),
    log BLOB NOT NULL CHECK (length(log) = 32),
    leaf_index INTEGER NOT NULL,
    expiry INTEGER NOT NULL,
    preimage BLOB NOT NULL CHECK (length(preimage) = 32),
    PRIMARY KEY (lock_tag, log, leaf_index)
) STRICT;
CREATE INDEX cancel_expiry ON cancel (expiry);
