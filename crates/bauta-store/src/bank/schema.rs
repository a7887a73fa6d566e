//! The bank's tables.
//!
//! Accounts, coins, outputs and locks are found by 32 or 48 random bytes, the first of which can name one of 1,024
//! buckets where they are spread over servers. No row refers to a row of another bucket by a foreign key. Keysets,
//! totals and the positions in the logs are few rows that change once a batch.

use crate::sqlite::Schema;

/// Marks a bank's file: `BANK` in ASCII.
pub(super) const SCHEMA: Schema = Schema {
    application_id: 0x4241_4e4b,
    migrations: &[VERSION_1, VERSION_2],
};

/// The rules of the books stand in the tables themselves, so that the database refuses what would break them:
/// per currency `reserve = accounts + circulation + locked + income`,
/// per keyset `issued = circulation + locked + redeemed + expired`.
const VERSION_1: &str = "
CREATE TABLE identity (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    bank BLOB NOT NULL,
    log_policy BLOB
) STRICT;

CREATE TABLE books (
    currency TEXT PRIMARY KEY,
    reserve INTEGER NOT NULL CHECK (reserve >= 0),
    accounts INTEGER NOT NULL CHECK (accounts >= 0),
    circulation INTEGER NOT NULL CHECK (circulation >= 0),
    locked INTEGER NOT NULL CHECK (locked >= 0),
    income INTEGER NOT NULL CHECK (income >= 0),
    CHECK (reserve = accounts + circulation + locked + income)
) STRICT, WITHOUT ROWID;

CREATE TABLE transfers (
    currency TEXT NOT NULL,
    debit INTEGER NOT NULL,
    credit INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    count INTEGER NOT NULL,
    PRIMARY KEY (currency, debit, credit)
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
    account BLOB PRIMARY KEY,
    standing INTEGER NOT NULL CHECK (standing IN (1, 2))
) STRICT, WITHOUT ROWID;

CREATE TABLE balances (
    account BLOB NOT NULL,
    currency TEXT NOT NULL,
    balance INTEGER NOT NULL CHECK (balance >= 0),
    entries INTEGER NOT NULL,
    PRIMARY KEY (account, currency)
) STRICT, WITHOUT ROWID;

CREATE TABLE entries (
    account BLOB NOT NULL,
    currency TEXT NOT NULL,
    number INTEGER NOT NULL,
    booked_at INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    balance INTEGER NOT NULL CHECK (balance >= 0),
    PRIMARY KEY (account, currency, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE operations (
    reference TEXT PRIMARY KEY,
    kind INTEGER NOT NULL,
    account BLOB NOT NULL,
    currency TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE keysets (
    number INTEGER PRIMARY KEY,
    keyset BLOB NOT NULL UNIQUE,
    currency TEXT NOT NULL,
    generation INTEGER NOT NULL,
    record BLOB NOT NULL,
    settle_until INTEGER NOT NULL,
    receipt BLOB,
    closed INTEGER NOT NULL DEFAULT 0 CHECK (closed IN (0, 1)),
    issued INTEGER NOT NULL DEFAULT 0 CHECK (issued >= 0),
    circulation INTEGER NOT NULL DEFAULT 0 CHECK (circulation >= 0),
    locked INTEGER NOT NULL DEFAULT 0 CHECK (locked >= 0),
    redeemed INTEGER NOT NULL DEFAULT 0 CHECK (redeemed >= 0),
    expired INTEGER NOT NULL DEFAULT 0 CHECK (expired >= 0),
    CHECK (issued = circulation + locked + redeemed + expired),
    UNIQUE (currency, generation)
) STRICT;

CREATE TABLE coins (
    key BLOB NOT NULL,
    keyset INTEGER NOT NULL,
    exponent INTEGER NOT NULL,
    remaining INTEGER NOT NULL CHECK (remaining >= 0),
    locked INTEGER NOT NULL CHECK (locked >= 0),
    sequence INTEGER NOT NULL,
    spend_request BLOB NOT NULL,
    spend_amount INTEGER NOT NULL,
    spend_signature BLOB NOT NULL,
    PRIMARY KEY (key, keyset, exponent),
    CHECK (remaining + locked <= (1 << exponent))
) STRICT, WITHOUT ROWID;

CREATE TABLE issued (
    blinded BLOB PRIMARY KEY,
    keyset INTEGER NOT NULL,
    exponent INTEGER NOT NULL,
    signature BLOB NOT NULL,
    request BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE locks (
    lock_tag BLOB PRIMARY KEY,
    state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4),
    currency TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    hash_lock BLOB NOT NULL,
    payee BLOB NOT NULL,
    expiry INTEGER NOT NULL,
    settle_until INTEGER NOT NULL,
    payer BLOB,
    preimage BLOB,
    claimed_by BLOB,
    reply BLOB NOT NULL,
    CHECK ((state IN (2, 3)) = (preimage IS NOT NULL)),
    CHECK (claimed_by IS NULL OR state = 2)
) STRICT, WITHOUT ROWID;

CREATE INDEX locks_undecided ON locks (state, expiry) WHERE state IN (1, 3);

CREATE TABLE lock_inputs (
    lock_tag BLOB NOT NULL,
    key BLOB NOT NULL,
    keyset INTEGER NOT NULL,
    exponent INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    PRIMARY KEY (lock_tag, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE log_position (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    size INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    checkpoint TEXT NOT NULL
) STRICT;
INSERT INTO log_position VALUES (1, 0, x'', '');
";

/// Several logs and the modes of locks. A lock that waited for a receipt is held, and looked at again at its end. The mode of
/// earlier locks (FAST, 1) goes behind the 120 bytes of their public half, so that they read as locks; leaves of the old
/// form are not theirs any more, so that such a lock is decided by its payee or by time.
const VERSION_2: &str = "
CREATE TABLE locks_2 (
    lock_tag BLOB PRIMARY KEY,
    state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4),
    currency TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    hash_lock BLOB NOT NULL,
    payee BLOB NOT NULL,
    expiry INTEGER NOT NULL,
    due INTEGER NOT NULL,
    settle_until INTEGER NOT NULL,
    payer BLOB,
    preimage BLOB,
    claimed_by BLOB,
    reply BLOB NOT NULL,
    CHECK (state <> 2 OR preimage IS NOT NULL),
    CHECK (claimed_by IS NULL OR state = 2)
) STRICT, WITHOUT ROWID;
INSERT INTO locks_2
    SELECT lock_tag, iif(state = 3, 1, state), currency, amount, hash_lock, payee, expiry,
        iif(state = 1, expiry, settle_until), settle_until, payer, preimage, claimed_by,
        CAST(substr(reply, 1, 120) || x'01' || substr(reply, 121) AS BLOB) FROM locks;
DROP TABLE locks;
ALTER TABLE locks_2 RENAME TO locks;
CREATE INDEX locks_undecided ON locks (expiry, lock_tag, due, state) WHERE state IN (1, 3);

CREATE TABLE log_positions (
    origin TEXT PRIMARY KEY,
    size INTEGER NOT NULL CHECK (size >= 0),
    hashes BLOB NOT NULL,
    checkpoint TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO log_positions
    SELECT substr(checkpoint, 1, instr(checkpoint, char(10)) - 1), size, hashes, checkpoint
    FROM log_position WHERE checkpoint <> '';
DROP TABLE log_position;

CREATE TABLE log_views (
    lock_tag BLOB NOT NULL,
    origin TEXT NOT NULL,
    view INTEGER NOT NULL CHECK (view BETWEEN 1 AND 31),
    PRIMARY KEY (lock_tag, origin)
) STRICT, WITHOUT ROWID;
";
