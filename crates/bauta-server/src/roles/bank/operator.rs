//! What the bank's operator does, beside the running bank: on the store's file, in transactions of its own.

use bauta_proto::{
    account::Statement,
    ids::AccountId,
    money::{Currency, Money},
    time::Timestamp,
};
use bauta_store::{
    StoreError,
    bank::{
        AccountRow, Audit, BankCommand, BankReader, BankStore, Operation, REFERENCE_BYTES_MAX,
        Refusal,
    },
};

use super::BankConfig;

/// Why an operator's command was not done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The store cannot be used.
    #[error("the bank's store cannot be used")]
    Store(#[from] StoreError),
    /// The books do not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nothing to book.
    #[error("the amount is zero")]
    Zero,
    /// The bank does not keep accounts in this currency.
    #[error("the bank does not keep accounts in {0}")]
    Currency(Currency),
    /// The reference cannot name a payment.
    #[error("the reference must have 1 to {REFERENCE_BYTES_MAX} bytes and no control characters")]
    Reference,
}

/// Books money that came in for an account, which is opened if it is new. The reference names the payment outside:
/// the same reference is booked once, however often this is called.
///
/// # Errors
/// [`OperatorError`].
pub fn credit(
    config: &BankConfig,
    account: AccountId,
    money: Money,
    reference: &str,
    now: Timestamp,
) -> Result<(), OperatorError> {
    let operation = operation(config, account, money, reference, now)?;
    apply(config, BankCommand::Credit(operation))
}

/// Books money that was paid out to the account's owner; once for each reference.
///
/// # Errors
/// [`OperatorError`].
pub fn payout(
    config: &BankConfig,
    account: AccountId,
    money: Money,
    reference: &str,
    now: Timestamp,
) -> Result<(), OperatorError> {
    let operation = operation(config, account, money, reference, now)?;
    apply(config, BankCommand::Payout(operation))
}

/// Freezes an account: nothing can be taken from it or claimed into it. What returns from its own locks still does.
///
/// # Errors
/// [`OperatorError`].
pub fn freeze(config: &BankConfig, account: AccountId) -> Result<(), OperatorError> {
    apply(config, BankCommand::SetFrozen(account, true))
}

/// Lets a frozen account be used again.
///
/// # Errors
/// [`OperatorError`].
pub fn unfreeze(config: &BankConfig, account: AccountId) -> Result<(), OperatorError> {
    apply(config, BankCommand::SetFrozen(account, false))
}

/// Hands every account to `each`, one row for each currency.
///
/// # Errors
/// [`OperatorError::Store`].
pub fn accounts(config: &BankConfig, each: impl FnMut(AccountRow)) -> Result<(), OperatorError> {
    Ok(reader(config)?.accounts(each)?)
}

/// Hands an account's whole statement to `each`, page by page; nothing if there is no such account.
///
/// # Errors
/// [`OperatorError::Store`].
pub fn export(
    config: &BankConfig,
    account: AccountId,
    currency: Currency,
    mut each: impl FnMut(Statement),
) -> Result<(), OperatorError> {
    let reader = reader(config)?;
    let mut after = 0;
    while let Some(page) = reader.statement(account, currency, after)? {
        let last = page.entries.last().map(|entry| entry.number);
        if last.is_some() || after == 0 {
            each(page);
        }
        match last {
            Some(number) => after = number,
            None => break,
        }
    }
    Ok(())
}

/// The conservation report: the books, and whether the rows agree with them.
///
/// # Errors
/// [`OperatorError::Store`].
pub fn audit(config: &BankConfig) -> Result<Audit, OperatorError> {
    Ok(reader(config)?.audit()?)
}

fn reader(config: &BankConfig) -> Result<BankReader, StoreError> {
    BankReader::open(&config.store_path())
}

fn operation(
    config: &BankConfig,
    account: AccountId,
    money: Money,
    reference: &str,
    at: Timestamp,
) -> Result<Operation, OperatorError> {
    if money.amount.is_zero() {
        return Err(OperatorError::Zero);
    }
    if !config.currencies.contains(&money.currency) {
        return Err(OperatorError::Currency(money.currency));
    }
    let length = 1..=REFERENCE_BYTES_MAX;
    if !length.contains(&reference.len()) || reference.contains(char::is_control) {
        return Err(OperatorError::Reference);
    }
    Ok(Operation {
        reference: reference.to_owned(),
        account,
        money,
        at,
    })
}

fn apply(config: &BankConfig, command: BankCommand) -> Result<(), OperatorError> {
    let mut store = BankStore::open_existing(&config.store_path())?;
    store
        .apply(vec![command])?
        .into_iter()
        .try_for_each(|result| result.map(drop))?;
    Ok(())
}
