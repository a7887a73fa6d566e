-- A sale's number is never given again, also when the newest offers have lapsed and are forgotten: a log is followed for every
-- sale whose number is not below its first_sale.
DROP INDEX sale_due;
ALTER TABLE sale RENAME TO sale_with_numbers_again;

-- As before, but for AUTOINCREMENT: the greatest number that was ever given stands in sqlite_sequence.
CREATE TABLE sale (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
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
-- Also the numbers that a log's first_sale remembers and that have been forgotten since.
INSERT INTO sqlite_sequence (name, seq)
SELECT 'sale', max(coalesce((SELECT max(number) FROM sale_with_numbers_again), 0),
                   coalesce((SELECT max(first_sale) - 1 FROM log_position), 0));
INSERT INTO sale
SELECT number, order_id, txid, good, version, answered_at, account, offer, is_safe, state, due_at, accept, accepted_at, sent_at,
       confirmed_at, captured_at, capture, reason, attempts, ended_at
FROM sale_with_numbers_again;
DROP TABLE sale_with_numbers_again;

-- What somebody has to do something about, and when.
CREATE INDEX sale_due ON sale (state, due_at) WHERE ended_at IS NULL;
