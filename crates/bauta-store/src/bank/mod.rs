//! The bank's records: accounts, coins, locks, and the books over all of them.
//!
//! [`BankStore`] is the one writer: it takes whole batches of [`BankCommand`]s through one durable transaction, each of
//! them done wholly or refused. [`BankReader`] reads beside it. Both stand behind [`BankStoreOps`] for the list of promises
//! that every database has to keep.

mod accounts;
mod audit;
mod books;
mod coins;
mod column;
mod command;
#[cfg(test)]
mod conformance;
mod keysets;
mod locks;
mod log;
mod read;
mod schema;
#[cfg(test)]
mod tests;

use std::path::Path;

use bauta_proto::{
    decision::LogView,
    ids::{BankId, LockTag, PolicyId},
};
use rusqlite::Transaction;

use crate::{
    StoreError,
    sqlite::{Database, attempt},
};

pub use audit::{Audit, CurrencyTotals, Defect, KeysetTotals, TransferTotal};
pub use books::LedgerAccount;
pub use command::{
    BankCommand, BankResult, CheckedClaim, CoinSpend, Decisions, Done, Exchange, KeysetNumber,
    LockPayer, LogAdvance, NewKeyset, NewLock, Operation, Refusal, SeenLock, SignedOutput,
    Withdrawal,
};
pub use read::{AccountRow, BankReader, KeysetRow, LockRow, LogPosition, UndecidedLock};

use books::{Books, Postings};

/// The longest reference of an operation, in bytes.
pub const REFERENCE_BYTES_MAX: usize = 255;

/// The bank's writer. A second process may hold another one (an operator's command); they take turns.
#[derive(Debug)]
pub struct BankStore {
    database: Database,
}

/// What every database that keeps a bank's records can do.
pub trait BankStoreOps {
    /// Takes a batch through one transaction that is on disk when this returns; one result for each command, in order.
    ///
    /// # Errors
    /// [`StoreError`]: nothing of the whole batch was done.
    fn apply(&mut self, commands: Vec<BankCommand>) -> Result<Vec<BankResult>, StoreError>;

    /// Sums all rows and compares them with the totals.
    ///
    /// # Errors
    /// [`StoreError`] when the rows cannot be read.
    fn audit(&self) -> Result<Audit, StoreError>;

    /// What logs have shown about a lock, by their origin lines and in their order.
    ///
    /// # Errors
    /// [`StoreError`] when the rows cannot be read.
    fn log_views(&self, lock_tag: LockTag) -> Result<Vec<(String, LogView)>, StoreError>;
}

impl BankStore {
    /// Opens or makes the file of the bank with this key.
    ///
    /// # Errors
    /// [`StoreError::Foreign`] when the file is another bank's or no bank's, and whatever opening can fail with.
    pub fn open(path: &Path, bank: BankId) -> Result<Self, StoreError> {
        let mut database = Database::open(path, &schema::SCHEMA)?;
        database.transaction(|transaction| bind(transaction, bank))?;
        Ok(Self { database })
    }

    /// Opens the file of a bank that exists, whichever it is: for its operator's commands.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when there is no such file, and whatever opening can fail with.
    pub fn open_existing(path: &Path) -> Result<Self, StoreError> {
        drop(Database::open_reader(path)?);
        let database = Database::open(path, &schema::SCHEMA)?;
        Ok(Self { database })
    }

    /// Goes by a log policy from now on; whether it may. A lock is decided by the policy that it names, so that another
    /// one is refused while locks are undecided. With it reading the logs begins anew, and every keyset has to be shown
    /// there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn go_by(&mut self, policy: PolicyId) -> Result<bool, StoreError> {
        self.database.transaction(|transaction| {
            let known: Option<Vec<u8>> =
                transaction.query_row("SELECT log_policy FROM identity", [], |row| row.get(0))?;
            match known {
                Some(known) if known == policy.as_bytes() => return Ok(true),
                Some(_) if locks::are_undecided(transaction)? => return Ok(false),
                Some(_) => log::begin_anew(transaction)?,
                None => {}
            }
            transaction.execute("UPDATE identity SET log_policy = ?1", [policy.as_bytes()])?;
            Ok(true)
        })
    }

    /// Takes a batch through one durable transaction; one result for each command, in order.
    ///
    /// # Errors
    /// [`StoreError`]: nothing of the whole batch was done.
    pub fn apply(&mut self, commands: Vec<BankCommand>) -> Result<Vec<BankResult>, StoreError> {
        self.database.transaction(|transaction| {
            let mut books = Books::default();
            let results = commands
                .iter()
                .map(|command| apply_one(transaction, &mut books, command))
                .collect::<Result<_, _>>()?;
            books.write(transaction)?;
            Ok(results)
        })
    }
}

impl BankStoreOps for BankStore {
    fn apply(&mut self, commands: Vec<BankCommand>) -> Result<Vec<BankResult>, StoreError> {
        Self::apply(self, commands)
    }

    fn audit(&self) -> Result<Audit, StoreError> {
        audit::audit(self.database.connection())
    }

    fn log_views(&self, lock_tag: LockTag) -> Result<Vec<(String, LogView)>, StoreError> {
        log::views(self.database.connection(), lock_tag)
    }
}

/// A bank's store is tied to its key at first use, so that it is never served under another one.
fn bind(transaction: &Transaction<'_>, bank: BankId) -> Result<(), StoreError> {
    transaction.execute(
        "INSERT INTO identity VALUES (1, ?1, NULL) ON CONFLICT DO NOTHING",
        [bank.0],
    )?;
    let bound: [u8; 32] =
        transaction.query_row("SELECT bank FROM identity", [], |row| row.get(0))?;
    if bound == bank.0 {
        Ok(())
    } else {
        Err(StoreError::Foreign)
    }
}

fn apply_one(
    transaction: &Transaction<'_>,
    books: &mut Books,
    command: &BankCommand,
) -> Result<BankResult, StoreError> {
    if let BankCommand::CloseKeyset(..) | BankCommand::Credit(_) = command {
        // These two decide by the totals, which therefore have to include what came before in the batch.
        books.write(transaction)?;
    }
    let mut postings = Postings::default();
    let result = attempt(transaction, || {
        decide(transaction, books, command, &mut postings)
    })?;
    if result.is_ok() {
        books.post(postings);
    }
    Ok(result)
}

fn decide(
    transaction: &Transaction<'_>,
    books: &mut Books,
    command: &BankCommand,
    postings: &mut Postings,
) -> Result<BankResult, StoreError> {
    use BankCommand as Command;
    match command {
        Command::Credit(operation) => accounts::credit(transaction, operation, postings),
        Command::Payout(operation) => accounts::payout(transaction, operation, postings),
        Command::SetFrozen(account, frozen) => accounts::set_frozen(transaction, *account, *frozen),
        Command::AddKeyset(new) => keysets::add(transaction, new),
        Command::SetReceipt(number, receipt) => keysets::set_receipt(transaction, *number, receipt),
        Command::CloseKeyset(number, at) => keysets::close(transaction, *number, *at, postings),
        Command::Withdraw(withdrawal) => coins::withdraw(transaction, books, withdrawal, postings),
        Command::Exchange(exchange) => coins::exchange(transaction, books, exchange, postings),
        Command::Lock(lock) => locks::lock(transaction, books, lock, postings),
        Command::Capture {
            lock_tag,
            preimage,
            at,
        } => locks::capture_by(transaction, *lock_tag, preimage, *at, postings),
        Command::AdvanceLog(advance) => log::advance(transaction, advance, postings),
        Command::Decide(decisions) => log::decide(transaction, decisions, postings),
        Command::Release {
            lock_tag,
            payee,
            at,
        } => locks::release_by_payee(transaction, *lock_tag, *payee, *at, postings),
        Command::ReleaseOutlived { lock_tag, at } => {
            locks::release_outlived(transaction, *lock_tag, *at, postings)
        }
        Command::Claim(claim) => locks::claim(transaction, claim, postings),
    }
}
