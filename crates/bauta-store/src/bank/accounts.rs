//! Accounts: balances, their entries, and what the operator books.

use bauta_proto::{
    account::EntryKind,
    ids::AccountId,
    money::{Amount, Currency, Money},
    time::Timestamp,
};
use rusqlite::{Connection, Row, Transaction, params};

use super::{
    books::{LedgerAccount, Postings},
    column,
    command::{BankResult, Done, Operation, Refusal},
};
use crate::StoreError;

/// `accounts.standing`, numbered as on the wire.
const OPEN: i64 = 1;
const FROZEN: i64 = 2;

pub(super) fn credit(
    transaction: &Transaction<'_>,
    operation: &Operation,
    postings: &mut Postings,
) -> Result<BankResult, StoreError> {
    if let Some(earlier) = record(transaction, operation, EntryKind::Credit)? {
        return Ok(earlier);
    }
    if !has_room(transaction, operation.money)? {
        return Ok(Err(Refusal::TooMuch));
    }
    let Operation {
        account, money, at, ..
    } = operation;
    open(transaction, *account)?;
    if is_frozen(transaction, *account)? {
        return Ok(Err(Refusal::AccountFrozen));
    }
    put(transaction, *account, *money, EntryKind::Credit, *at)?;
    postings.transfer(
        money.currency,
        LedgerAccount::Reserve,
        LedgerAccount::Accounts,
        money.amount,
    );
    Ok(Ok(Done::Booked))
}

pub(super) fn payout(
    transaction: &Transaction<'_>,
    operation: &Operation,
    postings: &mut Postings,
) -> Result<BankResult, StoreError> {
    if let Some(earlier) = record(transaction, operation, EntryKind::Payout)? {
        return Ok(earlier);
    }
    let Operation {
        account, money, at, ..
    } = operation;
    if let Err(refusal) = take(transaction, *account, *money, EntryKind::Payout, *at)? {
        return Ok(Err(refusal));
    }
    postings.transfer(
        money.currency,
        LedgerAccount::Accounts,
        LedgerAccount::Reserve,
        money.amount,
    );
    Ok(Ok(Done::Booked))
}

pub(super) fn set_frozen(
    transaction: &Transaction<'_>,
    account: AccountId,
    frozen: bool,
) -> Result<BankResult, StoreError> {
    let standing = if frozen { FROZEN } else { OPEN };
    let changed = transaction
        .prepare_cached("UPDATE accounts SET standing = ?2 WHERE account = ?1")?
        .execute(params![account.0, standing])?;
    Ok(if changed == 1 {
        Ok(Done::Booked)
    } else {
        Err(Refusal::UnknownAccount)
    })
}

/// Takes money from an account, or says why not: one conditional statement.
pub(super) fn take(
    transaction: &Transaction<'_>,
    account: AccountId,
    money: Money,
    kind: EntryKind,
    at: Timestamp,
) -> Result<Result<(), Refusal>, StoreError> {
    let mut statement = transaction.prepare_cached(
        "UPDATE balances SET balance = balance - ?3, entries = entries + 1
         WHERE account = ?1 AND currency = ?2 AND balance >= ?3
           AND EXISTS (SELECT 1 FROM accounts WHERE account = ?1 AND standing = 1)
         RETURNING entries, balance",
    )?;
    let parameters = params![
        account.0,
        money.currency.code(),
        column::amount(money.amount)
    ];
    match column::first(statement.query(parameters)?, entry_position)? {
        Some(position) => {
            enter(transaction, account, money, kind, at, position)?;
            Ok(Ok(()))
        }
        None => Ok(Err(why_not(transaction, account)?)),
    }
}

/// Whether [`take`] would take the money now, or why it would not.
pub(super) fn can_take(
    connection: &Connection,
    account: AccountId,
    money: Money,
) -> Result<Result<(), Refusal>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM accounts a JOIN balances b ON b.account = a.account
         WHERE a.account = ?1 AND a.standing = 1 AND b.currency = ?2 AND b.balance >= ?3",
    )?;
    let amount = column::amount(money.amount);
    if statement.exists(params![account.0, money.currency.code(), amount])? {
        return Ok(Ok(()));
    }
    Ok(Err(why_not(connection, account)?))
}

/// Adds money to an account that exists. A frozen one takes it too: what returns or was earned must be somewhere.
pub(super) fn put(
    transaction: &Transaction<'_>,
    account: AccountId,
    money: Money,
    kind: EntryKind,
    at: Timestamp,
) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO balances VALUES (?1, ?2, ?3, 1)
         ON CONFLICT DO UPDATE SET balance = balance + excluded.balance, entries = entries + 1
         RETURNING entries, balance",
    )?;
    let parameters = params![
        account.0,
        money.currency.code(),
        column::amount(money.amount)
    ];
    let position = column::first(statement.query(parameters)?, entry_position)?;
    let position = position.ok_or(StoreError::Damaged("balance"))?;
    enter(transaction, account, money, kind, at, position)
}

/// Opens an account unless it is open.
pub(super) fn open(transaction: &Transaction<'_>, account: AccountId) -> Result<(), StoreError> {
    transaction
        .prepare_cached("INSERT INTO accounts VALUES (?1, 1) ON CONFLICT DO NOTHING")?
        .execute([account.0])?;
    Ok(())
}

pub(super) fn is_frozen(
    transaction: &Transaction<'_>,
    account: AccountId,
) -> Result<bool, StoreError> {
    Ok(standing(transaction, account)? == Some(FROZEN))
}

fn why_not(connection: &Connection, account: AccountId) -> Result<Refusal, StoreError> {
    Ok(match standing(connection, account)? {
        None => Refusal::UnknownAccount,
        Some(FROZEN) => Refusal::AccountFrozen,
        Some(_) => Refusal::InsufficientFunds,
    })
}

fn standing(connection: &Connection, account: AccountId) -> Result<Option<i64>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT standing FROM accounts WHERE account = ?1")?;
    column::first(statement.query([account.0])?, |row| column::read(row, 0))
}

fn entry_position(row: &Row<'_>) -> Result<(i64, i64), StoreError> {
    Ok((row.get(0)?, row.get(1)?))
}

fn enter(
    transaction: &Transaction<'_>,
    account: AccountId,
    money: Money,
    kind: EntryKind,
    at: Timestamp,
    (number, balance): (i64, i64),
) -> Result<(), StoreError> {
    transaction
        .prepare_cached("INSERT INTO entries VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![
            account.0,
            money.currency.code(),
            number,
            column::time(at),
            kind as i64,
            column::amount(money.amount),
            balance
        ])?;
    Ok(())
}

/// Takes the operation's reference; if it is taken, what is to be answered.
fn record(
    transaction: &Transaction<'_>,
    operation: &Operation,
    kind: EntryKind,
) -> Result<Option<BankResult>, StoreError> {
    let row = params![
        operation.reference,
        kind as i64,
        operation.account.0,
        operation.money.currency.code(),
        column::amount(operation.money.amount)
    ];
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO operations VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        )?
        .execute(row)?;
    if inserted == 1 {
        return Ok(None);
    }
    let same = transaction
        .prepare_cached(
            "SELECT 1 FROM operations
             WHERE reference = ?1 AND kind = ?2 AND account = ?3 AND currency = ?4 AND amount = ?5",
        )?
        .exists(row)?;
    Ok(Some(if same {
        Ok(Done::Booked)
    } else {
        Err(Refusal::ReferenceReused)
    }))
}

/// Whether the reserve can take this much more. Nothing else in the books is ever larger than the reserve, so that this
/// is the one place where a balance could overflow.
fn has_room(transaction: &Transaction<'_>, money: Money) -> Result<bool, StoreError> {
    let reserve = reserve(transaction, money.currency)?;
    Ok(reserve.plus(money.amount).is_ok())
}

fn reserve(transaction: &Transaction<'_>, currency: Currency) -> Result<Amount, StoreError> {
    let mut statement =
        transaction.prepare_cached("SELECT reserve FROM books WHERE currency = ?1")?;
    let reserve = column::first(statement.query([currency.code()])?, |row| {
        column::read_amount(row, 0)
    })?;
    Ok(reserve.unwrap_or_default())
}
