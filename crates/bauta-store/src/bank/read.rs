//! Reading beside the writer: what requests, jobs and the operator ask of the rows.

use std::{fmt, path::Path};

use bauta_crypto::{
    blind::{BlindSignature, BlindedMessage},
    merkle::{Frontier, Hash},
    sign::VerifyingKey,
};
use bauta_proto::{
    account::{Entry, EntryKind, Standing, Statement},
    codec::{Message, Signed},
    coin::{CoinState, Keyset},
    decision::LogView,
    ids::{AccountId, LockTag, PayeeCommitment, RequestId},
    limits::STATEMENT_ENTRIES_MAX,
    lock::{LockPublic, LockReply, LockState},
    money::{Amount, Currency, Money},
    time::Timestamp,
};
use rusqlite::{Row, params};

use super::{
    accounts,
    audit::{self, Audit},
    coins, column,
    command::{KeysetNumber, Refusal, opaque_debug, value},
    locks, log,
};
use crate::{StoreError, sqlite::Database};

/// The first condition names the partial index, which SQLite takes only when it stands in the query word for word.
/// Locks that are not due are passed over in the index.
pub(super) const DUE: &str = "SELECT lock_tag, expiry FROM locks
    WHERE state IN (1, 3) AND expiry < ?1 AND due < ?1 AND (expiry, lock_tag) > (?2, ?3)
    ORDER BY expiry, lock_tag LIMIT ?4";
pub(super) const OUTLIVED: &str = "SELECT lock_tag, expiry FROM locks
    WHERE state IN (1, 3) AND expiry <= ?1 AND due <= ?1 AND settle_until <= ?1
    ORDER BY expiry LIMIT ?2";
pub(super) const OLDEST: &str =
    "SELECT expiry FROM locks WHERE state IN (1, 3) ORDER BY expiry LIMIT 1";
pub(super) const UNDECIDED_WITHIN: &str =
    "SELECT 1 FROM locks WHERE state IN (1, 3) AND expiry >= ?1 AND expiry < ?2 LIMIT 1";

/// Reads what was committed; never waits for the writer.
#[derive(Debug)]
pub struct BankReader {
    database: Database,
}

/// A keyset as it is kept.
#[derive(Clone, Debug)]
pub struct KeysetRow {
    /// Its short name.
    pub number: KeysetNumber,
    /// The number in its currency from which its keys are derived.
    pub generation: u32,
    /// The record under the bank's signature.
    pub record: Signed<Keyset>,
    /// The log's proof that everybody can see it, once it has come.
    pub receipt: Option<Vec<u8>>,
    /// Whether it has ended.
    pub closed: bool,
}

/// A lock as decisions need it.
#[derive(Clone)]
pub struct LockRow {
    /// Where its value is.
    pub state: LockState,
    /// The half that the logs' words are about.
    pub public: LockPublic,
    /// Who will be paid.
    pub payee: PayeeCommitment,
    /// When the logs' silence can mean something.
    pub due: Timestamp,
    /// When it ends whatever happens.
    pub settle_until: Timestamp,
    /// The preimage as far as the bank knows it, also while it is undecided.
    pub preimage: Option<[u8; 32]>,
}

impl LockRow {
    /// Whether the logs may still decide.
    #[must_use]
    pub const fn is_undecided(&self) -> bool {
        matches!(self.state, LockState::Held | LockState::Prepared)
    }
}

opaque_debug!(LockRow);

/// An undecided lock, for the jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UndecidedLock {
    /// The lock.
    pub lock_tag: LockTag,
    /// Its expiry.
    pub expiry: Timestamp,
}

/// How far a log has been read.
#[derive(Clone, Debug, Default)]
pub struct LogPosition {
    /// The right edge of the tree.
    pub frontier: Frontier,
    /// The last checkpoint, verbatim; empty before the first.
    pub checkpoint: String,
}

/// One account in one currency, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// The account.
    pub account: AccountId,
    /// Whether it may be used.
    pub standing: Standing,
    /// What it holds.
    pub balance: Money,
    /// How many entries it has.
    pub entries: u64,
}

impl BankReader {
    /// Opens the file of a running bank for reading.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when there is no such file.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Database::open_reader(path)?;
        Ok(Self { database })
    }

    /// What a request for outputs was answered with, if it was done before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn issued(
        &self,
        request: RequestId,
        blinded: &[BlindedMessage],
    ) -> Result<Option<Vec<BlindSignature>>, StoreError> {
        let blinded = blinded.iter().map(|blinded| &blinded.0);
        coins::signatures_of(self.database.connection(), request, blinded)
    }

    /// What a lock request was answered with, if it was done before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn lock_reply(&self, lock_tag: LockTag) -> Result<Option<Vec<u8>>, StoreError> {
        locks::reply(self.database.connection(), lock_tag)
    }

    /// Whether the account could pay this much at the moment, or why not. The writer decides; this keeps strangers from
    /// having anything computed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn can_pay(
        &self,
        account: AccountId,
        money: Money,
    ) -> Result<Result<(), Refusal>, StoreError> {
        accounts::can_take(self.database.connection(), account, money)
    }

    /// An output that was signed: keyset, exponent and signature.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn restore(
        &self,
        blinded: &BlindedMessage,
    ) -> Result<Option<(KeysetNumber, u8, BlindSignature)>, StoreError> {
        let mut statement =
            self.prepare("SELECT keyset, exponent, signature FROM issued WHERE blinded = ?1")?;
        column::first(statement.query([blinded.0])?, |row| {
            let signature = BlindSignature(column::read(row, 2)?);
            Ok((
                KeysetNumber(column::read(row, 0)?),
                column::read_u8(row, 1)?,
                signature,
            ))
        })
    }

    /// What is left on a coin; one that was never spent holds its whole value.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn coin_state(
        &self,
        keyset: KeysetNumber,
        exponent: u8,
        key: VerifyingKey,
    ) -> Result<CoinState, StoreError> {
        let mut statement = self.prepare(
            "SELECT sequence, remaining, locked FROM coins WHERE key = ?1 AND keyset = ?2 AND exponent = ?3",
        )?;
        let rows = statement.query(params![key.0, keyset.0, exponent])?;
        let state = column::first(rows, |row| {
            Ok(CoinState {
                sequence: column::read(row, 0)?,
                remaining: column::read_amount(row, 1)?,
                locked: column::read_amount(row, 2)?,
            })
        })?;
        Ok(state.unwrap_or(CoinState {
            sequence: 0,
            remaining: value(exponent),
            locked: Amount::ZERO,
        }))
    }

    /// A lock, if there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn lock(&self, lock_tag: LockTag) -> Result<Option<LockRow>, StoreError> {
        let mut statement = self.prepare(
            "SELECT state, reply, payee, settle_until, preimage, due FROM locks WHERE lock_tag = ?1",
        )?;
        column::first(statement.query([lock_tag.0])?, read_lock)
    }

    /// What logs have shown about a lock, by their origin lines.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn log_views(&self, lock_tag: LockTag) -> Result<Vec<(String, LogView)>, StoreError> {
        log::views(self.database.connection(), lock_tag)
    }

    /// The first expiry of an undecided lock.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn oldest_undecided(&self) -> Result<Option<Timestamp>, StoreError> {
        let mut statement = self.prepare(OLDEST)?;
        column::first(statement.query([])?, |row| column::read_time(row, 0))
    }

    /// Whether there are undecided locks whose expiry is `from` or later, and before `until`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn has_undecided(&self, from: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
        let within = params![column::time(from), column::time(until)];
        Ok(self.prepare(UNDECIDED_WITHIN)?.exists(within)?)
    }

    /// Undecided locks about which the logs' silence before `moment` may say something, by their expiries and tags; from the
    /// one behind `after` on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn due_before(
        &self,
        moment: Timestamp,
        after: Option<UndecidedLock>,
        count_max: usize,
    ) -> Result<Vec<UndecidedLock>, StoreError> {
        let mut statement = self.prepare(DUE)?;
        let (expiry, lock_tag) = match &after {
            Some(after) => (column::time(after.expiry), after.lock_tag.0.as_slice()),
            None => (-1, [].as_slice()),
        };
        let moment = column::time(moment);
        let rows = statement.query(params![moment, expiry, lock_tag, limit(count_max)])?;
        column::rows(rows, read_undecided)
    }

    /// Undecided locks that have reached their last moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn outlived(
        &self,
        now: Timestamp,
        count_max: usize,
    ) -> Result<Vec<UndecidedLock>, StoreError> {
        let mut statement = self.prepare(OUTLIVED)?;
        let rows = statement.query(params![column::time(now), limit(count_max)])?;
        column::rows(rows, read_undecided)
    }

    /// All keysets, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keysets(&self) -> Result<Vec<KeysetRow>, StoreError> {
        let mut statement = self.prepare(
            "SELECT number, generation, record, receipt, closed FROM keysets ORDER BY number",
        )?;
        column::rows(statement.query([])?, |row| {
            let record: Vec<u8> = column::read(row, 2)?;
            Ok(KeysetRow {
                number: KeysetNumber(column::read(row, 0)?),
                generation: column::read(row, 1)?,
                record: Signed::from_bytes(&record).map_err(|_| StoreError::Damaged("keyset"))?,
                receipt: column::read(row, 3)?,
                closed: column::read(row, 4)?,
            })
        })
    }

    /// How far a log has been read; none if nothing of it ever was, and it will be read from its beginning.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn log_position(&self, origin: &str) -> Result<Option<LogPosition>, StoreError> {
        let mut statement =
            self.prepare("SELECT size, hashes, checkpoint FROM log_positions WHERE origin = ?1")?;
        column::first(statement.query([origin])?, read_position)
    }

    /// One page of an account's entries; none if there is no such account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn statement(
        &self,
        account: AccountId,
        currency: Currency,
        after: u64,
    ) -> Result<Option<Statement>, StoreError> {
        let mut statement = self.prepare(
            "SELECT a.standing, coalesce(b.balance, 0) FROM accounts a
             LEFT JOIN balances b ON b.account = a.account AND b.currency = ?2 WHERE a.account = ?1",
        )?;
        let rows = statement.query(params![account.0, currency.code()])?;
        let head = column::first(rows, |row| {
            Ok((read_standing(row, 0)?, column::read_amount(row, 1)?))
        })?;
        let Some((standing, balance)) = head else {
            return Ok(None);
        };
        Ok(Some(Statement {
            currency,
            balance,
            standing,
            entries: self.entries(account, currency, after)?,
        }))
    }

    /// Hands every account to `each`, in the order of their keys, one row for each currency.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn accounts(&self, mut each: impl FnMut(AccountRow)) -> Result<(), StoreError> {
        let mut statement = self.prepare(
            "SELECT a.account, a.standing, b.currency, b.balance, b.entries FROM balances b
             JOIN accounts a ON a.account = b.account ORDER BY b.account, b.currency",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            each(read_account(row)?);
        }
        Ok(())
    }

    /// Sums all rows and compares them with the totals.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn audit(&self) -> Result<Audit, StoreError> {
        audit::audit(self.database.connection())
    }

    fn entries(
        &self,
        account: AccountId,
        currency: Currency,
        after: u64,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut statement = self.prepare(
            "SELECT number, booked_at, kind, amount, balance FROM entries
             WHERE account = ?1 AND currency = ?2 AND number > ?3 ORDER BY number LIMIT ?4",
        )?;
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let page = limit(STATEMENT_ENTRIES_MAX);
        let rows = statement.query(params![account.0, currency.code(), after, page])?;
        column::rows(rows, |row| {
            Ok(Entry {
                number: column::count(column::read(row, 0)?)?,
                booked_at: column::read_time(row, 1)?,
                kind: read_kind(row, 2)?,
                amount: column::read_amount(row, 3)?,
                balance: column::read_amount(row, 4)?,
            })
        })
    }

    fn prepare(&self, sql: &str) -> Result<rusqlite::CachedStatement<'_>, StoreError> {
        Ok(self.database.connection().prepare_cached(sql)?)
    }
}

fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn read_account(row: &Row<'_>) -> Result<AccountRow, StoreError> {
    Ok(AccountRow {
        account: AccountId(column::read(row, 0)?),
        standing: read_standing(row, 1)?,
        balance: column::read_amount(row, 3)?.of(column::read_currency(row, 2)?),
        entries: column::count(column::read(row, 4)?)?,
    })
}

fn read_undecided(row: &Row<'_>) -> Result<UndecidedLock, StoreError> {
    Ok(UndecidedLock {
        lock_tag: LockTag(column::read(row, 0)?),
        expiry: column::read_time(row, 1)?,
    })
}

fn read_lock(row: &Row<'_>) -> Result<LockRow, StoreError> {
    let preimage: Option<[u8; 32]> = column::read(row, 4)?;
    let state = match (column::read(row, 0)?, preimage) {
        (locks::HELD, _) => LockState::Held,
        (locks::PREPARED, _) => LockState::Prepared,
        (locks::CAPTURED, Some(preimage)) => LockState::Captured { preimage },
        (locks::RELEASED, _) => LockState::Released,
        _ => return Err(StoreError::Damaged("lock")),
    };
    let reply: Vec<u8> = column::read(row, 1)?;
    let reply = LockReply::from_bytes(&reply).map_err(|_| StoreError::Damaged("lock"))?;
    Ok(LockRow {
        state,
        public: reply.lock.public,
        payee: PayeeCommitment(column::read(row, 2)?),
        due: column::read_time(row, 5)?,
        settle_until: column::read_time(row, 3)?,
        preimage,
    })
}

fn read_position(row: &Row<'_>) -> Result<LogPosition, StoreError> {
    let size = column::count(column::read(row, 0)?)?;
    let hashes: Vec<u8> = column::read(row, 1)?;
    let (hashes, rest) = hashes.as_chunks::<{ size_of::<Hash>() }>();
    let frontier = Frontier::from_parts(size, hashes.to_vec()).filter(|_| rest.is_empty());
    Ok(LogPosition {
        frontier: frontier.ok_or(StoreError::Damaged("log position"))?,
        checkpoint: column::read(row, 2)?,
    })
}

fn read_standing(row: &Row<'_>, column: usize) -> Result<Standing, StoreError> {
    match column::read_u8(row, column)? {
        1 => Ok(Standing::Open),
        2 => Ok(Standing::Frozen),
        _ => Err(StoreError::Damaged("standing")),
    }
}

fn read_kind(row: &Row<'_>, column: usize) -> Result<EntryKind, StoreError> {
    Ok(match column::read_u8(row, column)? {
        1 => EntryKind::Credit,
        2 => EntryKind::Withdrawal,
        3 => EntryKind::Locked,
        4 => EntryKind::Released,
        5 => EntryKind::Claim,
        6 => EntryKind::Payout,
        _ => return Err(StoreError::Damaged("entry")),
    })
}
