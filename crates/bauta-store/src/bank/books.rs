//! The double-entry ledger: every movement of value has two sides, and the totals move with it in the same transaction.

use std::collections::{BTreeMap, HashMap};

use bauta_proto::money::{Amount, Currency};
use rusqlite::{OptionalExtension, Transaction, params};

use super::command::KeysetNumber;
use crate::StoreError;

/// The ledger's accounts, per currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LedgerAccount {
    /// Money that the bank really has.
    Reserve = 1,
    /// What it owes to account holders.
    Accounts = 2,
    /// What it owes to whoever holds coins.
    Circulation = 3,
    /// What it holds for locks, until released or claimed.
    Locked = 4,
    /// Coins that nobody exchanged in time.
    Income = 5,
}

/// One movement of value: from `debit` to `credit`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transfer {
    pub(super) currency: Currency,
    pub(super) debit: LedgerAccount,
    pub(super) credit: LedgerAccount,
    pub(super) amount: Amount,
}

/// Where a keyset's value stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum KeysetMove {
    /// New coins.
    Issue,
    /// Coins given for other coins.
    Redeem,
    /// Coins into a lock.
    Lock,
    /// A lock decided for the payee.
    Capture,
    /// A lock decided for the payer.
    Release,
    /// Coins that have ended.
    Expire,
}

/// What one command moves; counts only when the command is done.
#[derive(Debug, Default)]
pub(super) struct Postings {
    transfers: Vec<Transfer>,
    keysets: Vec<(KeysetNumber, KeysetMove, Amount)>,
}

impl Postings {
    pub(super) fn transfer(
        &mut self,
        currency: Currency,
        debit: LedgerAccount,
        credit: LedgerAccount,
        amount: Amount,
    ) {
        if !amount.is_zero() {
            self.transfers.push(Transfer {
                currency,
                debit,
                credit,
                amount,
            });
        }
    }

    pub(super) fn keyset(&mut self, keyset: KeysetNumber, movement: KeysetMove, amount: Amount) {
        self.keysets.push((keyset, movement, amount));
    }
}

/// Sums of one batch. 128 bits, so that no batch can overflow them.
#[derive(Debug, Default)]
pub(super) struct Books {
    transfers: BTreeMap<(Currency, LedgerAccount, LedgerAccount), (i128, i64)>,
    keysets: BTreeMap<KeysetNumber, KeysetChange>,
    closed: HashMap<KeysetNumber, bool>,
}

#[derive(Debug, Default)]
struct KeysetChange {
    issued: i128,
    circulation: i128,
    locked: i128,
    redeemed: i128,
    expired: i128,
}

impl Books {
    /// Takes over what a command that is done has moved.
    pub(super) fn post(&mut self, postings: Postings) {
        for transfer in postings.transfers {
            let key = (transfer.currency, transfer.debit, transfer.credit);
            let sum = self.transfers.entry(key).or_default();
            sum.0 += i128::from(transfer.amount.minor_units());
            sum.1 += 1;
        }
        for (keyset, movement, amount) in postings.keysets {
            let amount = i128::from(amount.minor_units());
            self.keysets
                .entry(keyset)
                .or_default()
                .add(movement, amount);
        }
    }

    /// Whether the keyset has ended (or is not there); asked once a batch.
    pub(super) fn is_closed(
        &mut self,
        transaction: &Transaction<'_>,
        keyset: KeysetNumber,
    ) -> Result<bool, StoreError> {
        if let Some(closed) = self.closed.get(&keyset) {
            return Ok(*closed);
        }
        let closed: Option<bool> = transaction
            .prepare_cached("SELECT closed FROM keysets WHERE number = ?1")?
            .query_row([keyset.0], |row| row.get(0))
            .optional()?;
        let closed = closed.unwrap_or(true);
        self.closed.insert(keyset, closed);
        Ok(closed)
    }

    /// Writes the sums; the tables' own rules are checked by this.
    pub(super) fn write(&mut self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        self.closed.clear();
        let mut currencies: BTreeMap<Currency, [i128; 5]> = BTreeMap::new();
        for ((currency, debit, credit), (amount, count)) in std::mem::take(&mut self.transfers) {
            let sums = currencies.entry(currency).or_default();
            sums[debit as usize - 1] += side(debit, amount);
            sums[credit as usize - 1] -= side(credit, amount);
            write_transfer(transaction, currency, (debit, credit), (amount, count))?;
        }
        for (currency, sums) in currencies {
            write_currency(transaction, currency, sums)?;
        }
        for (keyset, change) in std::mem::take(&mut self.keysets) {
            change.write(transaction, keyset)?;
        }
        Ok(())
    }
}

/// A debit adds to what the bank has and takes from what it owes.
const fn side(account: LedgerAccount, amount: i128) -> i128 {
    match account {
        LedgerAccount::Reserve => amount,
        _ => -amount,
    }
}

impl KeysetChange {
    fn add(&mut self, movement: KeysetMove, amount: i128) {
        match movement {
            KeysetMove::Issue => {
                self.issued += amount;
                self.circulation += amount;
            }
            KeysetMove::Redeem => {
                self.circulation -= amount;
                self.redeemed += amount;
            }
            KeysetMove::Lock => {
                self.circulation -= amount;
                self.locked += amount;
            }
            KeysetMove::Capture => {
                self.locked -= amount;
                self.redeemed += amount;
            }
            KeysetMove::Release => {
                self.locked -= amount;
                self.circulation += amount;
            }
            KeysetMove::Expire => {
                self.circulation -= amount;
                self.expired += amount;
            }
        }
    }

    fn write(&self, transaction: &Transaction<'_>, keyset: KeysetNumber) -> Result<(), StoreError> {
        transaction
            .prepare_cached(
                "UPDATE keysets SET issued = issued + ?2, circulation = circulation + ?3, locked = locked + ?4,
                    redeemed = redeemed + ?5, expired = expired + ?6 WHERE number = ?1",
            )?
            .execute(params![
                keyset.0,
                total(self.issued)?,
                total(self.circulation)?,
                total(self.locked)?,
                total(self.redeemed)?,
                total(self.expired)?,
            ])?;
        Ok(())
    }
}

fn write_transfer(
    transaction: &Transaction<'_>,
    currency: Currency,
    (debit, credit): (LedgerAccount, LedgerAccount),
    (amount, count): (i128, i64),
) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "INSERT INTO transfers VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET amount = amount + excluded.amount, count = count + excluded.count",
        )?
        .execute(params![
            currency.code(),
            debit as i64,
            credit as i64,
            total(amount)?,
            count
        ])?;
    Ok(())
}

fn write_currency(
    transaction: &Transaction<'_>,
    currency: Currency,
    sums: [i128; 5],
) -> Result<(), StoreError> {
    let [reserve, accounts, circulation, locked, income] = sums;
    transaction
        .prepare_cached("INSERT INTO books VALUES (?1, 0, 0, 0, 0, 0) ON CONFLICT DO NOTHING")?
        .execute([currency.code()])?;
    transaction
        .prepare_cached(
            "UPDATE books SET reserve = reserve + ?2, accounts = accounts + ?3, circulation = circulation + ?4,
                locked = locked + ?5, income = income + ?6 WHERE currency = ?1",
        )?
        .execute(params![
            currency.code(),
            total(reserve)?,
            total(accounts)?,
            total(circulation)?,
            total(locked)?,
            total(income)?,
        ])?;
    Ok(())
}

fn total(sum: i128) -> Result<i64, StoreError> {
    i64::try_from(sum).map_err(|_| StoreError::Damaged("total"))
}
