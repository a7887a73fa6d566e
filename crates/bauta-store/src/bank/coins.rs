//! Coins: what is taken from them, what is signed for them.

use bauta_crypto::{blind::BlindSignature, sign::Signature, sign::VerifyingKey};
use bauta_proto::{
    account::EntryKind,
    coin::Spend,
    ids::RequestId,
    money::{Amount, Currency},
};
use rusqlite::{Connection, Row, Transaction, params};

use super::{
    accounts,
    books::{Books, KeysetMove, LedgerAccount, Postings},
    column,
    command::{
        BankResult, CoinSpend, Done, Exchange, Refusal, SignedOutput, Withdrawal, given,
        is_balanced, value, wanted,
    },
};
use crate::StoreError;

pub(super) fn withdraw(
    transaction: &Transaction<'_>,
    books: &mut Books,
    withdrawal: &Withdrawal,
    postings: &mut Postings,
) -> Result<BankResult, StoreError> {
    let Withdrawal {
        request,
        account,
        money,
        outputs,
        at,
    } = withdrawal;
    if !is_balanced([money.amount], wanted(outputs)) {
        return Ok(Err(Refusal::Unbalanced));
    }
    if let Some(earlier) = issue(transaction, books, *request, outputs, postings)? {
        return Ok(earlier);
    }
    let kind = EntryKind::Withdrawal;
    if let Err(refusal) = accounts::take(transaction, *account, *money, kind, *at)? {
        return Ok(Err(refusal));
    }
    postings.transfer(
        money.currency,
        LedgerAccount::Accounts,
        LedgerAccount::Circulation,
        money.amount,
    );
    Ok(Ok(issued(outputs)))
}

pub(super) fn exchange(
    transaction: &Transaction<'_>,
    books: &mut Books,
    exchange: &Exchange,
    postings: &mut Postings,
) -> Result<BankResult, StoreError> {
    let Exchange {
        request,
        currency,
        inputs,
        outputs,
    } = exchange;
    if !is_balanced(given(inputs), wanted(outputs)) {
        return Ok(Err(Refusal::Unbalanced));
    }
    if let Some(earlier) = issue(transaction, books, *request, outputs, postings)? {
        return Ok(earlier);
    }
    for input in inputs {
        let taken = Taken {
            redeemed: input.spend.body.amount,
            locked: Amount::ZERO,
        };
        if let Err(refusal) = spend(transaction, books, input, taken, postings)? {
            return Ok(Err(refusal));
        }
        exchanged(*currency, taken.redeemed, postings);
    }
    Ok(Ok(issued(outputs)))
}

/// Coins for coins: the ledger shows the turnover, no total changes.
pub(super) fn exchanged(currency: Currency, amount: Amount, postings: &mut Postings) {
    postings.transfer(
        currency,
        LedgerAccount::Circulation,
        LedgerAccount::Circulation,
        amount,
    );
}

pub(super) fn issued(outputs: &[SignedOutput]) -> Done {
    Done::Issued(outputs.iter().map(|output| output.signature).collect())
}

/// Keeps the outputs' signatures. If one of them was signed before: the answer to a repeat, or the refusal.
pub(super) fn issue(
    transaction: &Transaction<'_>,
    books: &mut Books,
    request: RequestId,
    outputs: &[SignedOutput],
    postings: &mut Postings,
) -> Result<Option<BankResult>, StoreError> {
    for output in outputs {
        let inserted = transaction
            .prepare_cached(
                "INSERT INTO issued VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                output.blinded.0,
                output.keyset.0,
                output.exponent,
                output.signature.0,
                request.0
            ])?;
        if inserted == 0 {
            let blinded = outputs.iter().map(|output| &output.blinded.0);
            let earlier = signatures_of(transaction, request, blinded)?;
            return Ok(Some(earlier.map(Done::Issued).ok_or(Refusal::OutputReused)));
        }
        if books.is_closed(transaction, output.keyset)? {
            return Ok(Some(Err(Refusal::KeysetClosed)));
        }
        postings.keyset(output.keyset, KeysetMove::Issue, value(output.exponent));
    }
    Ok(None)
}

/// What a request was answered with, if it was done: all of its outputs were signed for just this request.
pub(super) fn signatures_of<'a>(
    connection: &Connection,
    request: RequestId,
    blinded: impl Iterator<Item = &'a [u8; 48]>,
) -> Result<Option<Vec<BlindSignature>>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT signature FROM issued WHERE blinded = ?1 AND request = ?2")?;
    let mut signatures = Vec::new();
    for blinded in blinded {
        let rows = statement.query(params![blinded, request.0])?;
        let signature = column::first(rows, |row| column::read(row, 0))?;
        match signature {
            Some(signature) => signatures.push(BlindSignature(signature)),
            None => return Ok(None),
        }
    }
    Ok((!signatures.is_empty()).then_some(signatures))
}

/// How what is taken from a coin is used.
#[derive(Clone, Copy)]
pub(super) struct Taken {
    /// Given for other coins.
    pub(super) redeemed: Amount,
    /// Held by a lock.
    pub(super) locked: Amount,
}

/// Takes from a coin at just its sequence number, or proves that it was spent: one conditional statement.
pub(super) fn spend(
    transaction: &Transaction<'_>,
    books: &mut Books,
    input: &CoinSpend,
    taken: Taken,
    postings: &mut Postings,
) -> Result<Result<(), Refusal>, StoreError> {
    if books.is_closed(transaction, input.keyset)? {
        return Ok(Err(Refusal::KeysetClosed));
    }
    let changed = if input.spend.body.sequence == 0 {
        first_spend(transaction, input, taken)?
    } else {
        next_spend(transaction, input, taken)?
    };
    if changed == 0 {
        let proof = last_spend(transaction, input)?.map(Box::new);
        return Ok(Err(Refusal::CoinSpent { proof }));
    }
    postings.keyset(input.keyset, KeysetMove::Redeem, taken.redeemed);
    postings.keyset(input.keyset, KeysetMove::Lock, taken.locked);
    Ok(Ok(()))
}

fn first_spend(
    transaction: &Transaction<'_>,
    input: &CoinSpend,
    taken: Taken,
) -> Result<usize, StoreError> {
    let body = &input.spend.body;
    let Ok(remaining) = value(input.exponent).minus(body.amount) else {
        return Ok(0);
    };
    Ok(transaction
        .prepare_cached(
            "INSERT INTO coins VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            body.key.0,
            input.keyset.0,
            input.exponent,
            column::amount(remaining),
            column::amount(taken.locked),
            body.request.0,
            column::amount(body.amount),
            input.spend.signature.0
        ])?)
}

fn next_spend(
    transaction: &Transaction<'_>,
    input: &CoinSpend,
    taken: Taken,
) -> Result<usize, StoreError> {
    let body = &input.spend.body;
    Ok(transaction
        .prepare_cached(
            "UPDATE coins SET remaining = remaining - ?5, locked = locked + ?6, sequence = sequence + 1,
                spend_request = ?7, spend_amount = ?5, spend_signature = ?8
             WHERE key = ?1 AND keyset = ?2 AND exponent = ?3 AND sequence = ?4 AND remaining >= ?5",
        )?
        .execute(params![
            body.key.0,
            input.keyset.0,
            input.exponent,
            body.sequence,
            column::amount(body.amount),
            column::amount(taken.locked),
            body.request.0,
            input.spend.signature.0
        ])?)
}

fn last_spend(
    transaction: &Transaction<'_>,
    input: &CoinSpend,
) -> Result<Option<(Spend, Signature)>, StoreError> {
    let mut statement = transaction.prepare_cached(
        "SELECT spend_request, sequence - 1, spend_amount, spend_signature FROM coins
         WHERE key = ?1 AND keyset = ?2 AND exponent = ?3",
    )?;
    let key = input.spend.body.key;
    let rows = statement.query(params![key.0, input.keyset.0, input.exponent])?;
    column::first(rows, |row| read_spend(row, key))
}

fn read_spend(row: &Row<'_>, key: VerifyingKey) -> Result<(Spend, Signature), StoreError> {
    let spend = Spend {
        request: RequestId(column::read(row, 0)?),
        key,
        sequence: column::read(row, 1)?,
        amount: column::read_amount(row, 2)?,
    };
    Ok((spend, Signature(column::read(row, 3)?)))
}
