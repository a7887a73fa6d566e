//! Keysets: kept, published with their receipts, and ended when nothing of them is locked any more.

use bauta_proto::{codec::Message, money::Amount, time::Timestamp};
use rusqlite::{Transaction, params};

use super::{
    books::{KeysetMove, LedgerAccount, Postings},
    column,
    command::{BankResult, Done, KeysetNumber, NewKeyset, Refusal},
};
use crate::StoreError;

pub(super) fn add(
    transaction: &Transaction<'_>,
    new: &NewKeyset,
) -> Result<BankResult, StoreError> {
    let keyset = &new.record.body;
    transaction
        .prepare_cached(
            "INSERT INTO keysets (keyset, currency, generation, record, settle_until) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            keyset.keyset_id().0,
            keyset.currency.code(),
            new.generation,
            new.record.to_bytes(),
            column::time(keyset.settle_until)
        ])?;
    let mut statement =
        transaction.prepare_cached("SELECT number FROM keysets WHERE keyset = ?1")?;
    let number = column::first(statement.query([keyset.keyset_id().0])?, |row| {
        column::read(row, 0)
    })?;
    Ok(number
        .map(|number| Done::Keyset(KeysetNumber(number)))
        .ok_or(Refusal::KeysetConflict))
}

pub(super) fn set_receipt(
    transaction: &Transaction<'_>,
    number: KeysetNumber,
    receipt: &[u8],
) -> Result<BankResult, StoreError> {
    let changed = transaction
        .prepare_cached("UPDATE keysets SET receipt = coalesce(receipt, ?2) WHERE number = ?1")?
        .execute(params![number.0, receipt])?;
    Ok(if changed == 1 {
        Ok(Done::Booked)
    } else {
        Err(Refusal::UnknownKeyset)
    })
}

/// The totals must have been written before: what is left in circulation is read from them.
pub(super) fn close(
    transaction: &Transaction<'_>,
    number: KeysetNumber,
    at: Timestamp,
    postings: &mut Postings,
) -> Result<BankResult, StoreError> {
    let mut statement = transaction.prepare_cached(
        "UPDATE keysets SET closed = 1 WHERE number = ?1 AND closed = 0 AND locked = 0 AND settle_until <= ?2
         RETURNING currency, circulation",
    )?;
    let rows = statement.query(params![number.0, column::time(at)])?;
    let closed = column::first(rows, |row| {
        Ok((column::read_currency(row, 0)?, column::read_amount(row, 1)?))
    })?;
    let Some((currency, circulation)) = closed else {
        return already_closed(transaction, number);
    };
    postings.keyset(number, KeysetMove::Expire, circulation);
    if circulation > Amount::ZERO {
        postings.transfer(
            currency,
            LedgerAccount::Circulation,
            LedgerAccount::Income,
            circulation,
        );
    }
    Ok(Ok(Done::Booked))
}

fn already_closed(
    transaction: &Transaction<'_>,
    number: KeysetNumber,
) -> Result<BankResult, StoreError> {
    let closed = transaction
        .prepare_cached("SELECT 1 FROM keysets WHERE number = ?1 AND closed = 1")?
        .exists([number.0])?;
    Ok(if closed {
        Ok(Done::Booked)
    } else {
        Err(Refusal::KeysetConflict)
    })
}
