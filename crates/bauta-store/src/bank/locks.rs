//! Locks: value held, captured, released and claimed. Each change of a lock's state is one conditional statement, so
//! that of two contrary decisions one is made and the other finds no row.

use bauta_proto::{
    account::EntryKind,
    codec::Message,
    decision::{Outcome, bank_takes},
    ids::{AccountId, HashLock, LockTag, PayeeCommitment},
    lock::{ClaimOutcome, LockPublic, LockReply, opens},
    money::{Amount, Money},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::{
    accounts,
    books::{Books, KeysetMove, LedgerAccount, Postings},
    coins::{self, Taken},
    column,
    command::{
        BankResult, CheckedClaim, CoinSpend, Done, KeysetNumber, LockPayer, NewLock, Refusal,
        SeenLock, given, is_balanced, wanted,
    },
    log,
};
use crate::StoreError;

/// `locks.state`.
pub(super) const HELD: i64 = 1;
pub(super) const CAPTURED: i64 = 2;
pub(super) const PREPARED: i64 = 3;
pub(super) const RELEASED: i64 = 4;

/// Whether the logs may still decide about a lock.
pub(super) fn are_undecided(transaction: &Transaction<'_>) -> Result<bool, StoreError> {
    const ANY: &str = "SELECT EXISTS (SELECT 1 FROM locks WHERE state IN (1, 3))";
    Ok(transaction.query_row(ANY, [], |row| row.get(0))?)
}

pub(super) fn lock(
    transaction: &Transaction<'_>,
    books: &mut Books,
    lock: &NewLock,
    postings: &mut Postings,
) -> Result<BankResult, StoreError> {
    if !insert(transaction, lock)? {
        let earlier = reply(transaction, lock.lock_tag)?;
        return Ok(earlier.map(Done::Locked).ok_or(Refusal::UnknownLock));
    }
    if let Some(earlier) = coins::issue(transaction, books, lock.request, &lock.change, postings)? {
        return Ok(Err(earlier.err().unwrap_or(Refusal::OutputReused)));
    }
    let paid = match &lock.payer {
        LockPayer::Coins(inputs) => pay_by_coins(transaction, books, lock, inputs, postings)?,
        LockPayer::Account(account) => pay_by_account(transaction, lock, *account, postings)?,
    };
    Ok(paid.map(|()| Done::Locked(lock.reply.clone())))
}

fn insert(transaction: &Transaction<'_>, lock: &NewLock) -> Result<bool, StoreError> {
    let payer = match lock.payer {
        LockPayer::Coins(_) => None,
        LockPayer::Account(account) => Some(account.0),
    };
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO locks (lock_tag, state, currency, amount, hash_lock, payee, expiry, due, settle_until, payer, reply)
             VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            lock.lock_tag.0,
            lock.money.currency.code(),
            column::amount(lock.money.amount),
            lock.hash_lock.0,
            lock.payee.0,
            column::time(lock.expiry),
            column::time(lock.settle_until),
            payer,
            lock.reply
        ])?;
    Ok(inserted == 1)
}

/// What a lock request was answered with.
pub(super) fn reply(
    connection: &Connection,
    lock_tag: LockTag,
) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT reply FROM locks WHERE lock_tag = ?1")?
        .query_row([lock_tag.0], |row| row.get(0))
        .optional()?)
}

fn pay_by_coins(
    transaction: &Transaction<'_>,
    books: &mut Books,
    lock: &NewLock,
    inputs: &[CoinSpend],
    postings: &mut Postings,
) -> Result<Result<(), Refusal>, StoreError> {
    let taken = std::iter::once(lock.money.amount).chain(wanted(&lock.change));
    if !is_balanced(given(inputs), taken) {
        return Ok(Err(Refusal::Unbalanced));
    }
    let mut due = lock.money.amount;
    for input in inputs {
        let amount = input.spend.body.amount;
        let locked = amount.min(due);
        let redeemed = amount.minus(locked).unwrap_or_default();
        let taken = Taken { redeemed, locked };
        if let Err(refusal) = coins::spend(transaction, books, input, taken, postings)? {
            return Ok(Err(refusal));
        }
        if !locked.is_zero() {
            keep_input(transaction, lock.lock_tag, input, locked)?;
        }
        due = due.minus(locked).unwrap_or_default();
        coins::exchanged(lock.money.currency, redeemed, postings);
    }
    postings.transfer(
        lock.money.currency,
        LedgerAccount::Circulation,
        LedgerAccount::Locked,
        lock.money.amount,
    );
    Ok(Ok(()))
}

fn keep_input(
    transaction: &Transaction<'_>,
    lock_tag: LockTag,
    input: &CoinSpend,
    locked: Amount,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached("INSERT INTO lock_inputs VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![
            lock_tag.0,
            input.spend.body.key.0,
            input.keyset.0,
            input.exponent,
            column::amount(locked)
        ])?;
    Ok(())
}

fn pay_by_account(
    transaction: &Transaction<'_>,
    lock: &NewLock,
    account: AccountId,
    postings: &mut Postings,
) -> Result<Result<(), Refusal>, StoreError> {
    if !lock.change.is_empty() {
        return Ok(Err(Refusal::Unbalanced));
    }
    let kind = EntryKind::Locked;
    if let Err(refusal) = accounts::take(transaction, account, lock.money, kind, lock.at)? {
        return Ok(Err(refusal));
    }
    postings.transfer(
        lock.money.currency,
        LedgerAccount::Accounts,
        LedgerAccount::Locked,
        lock.money.amount,
    );
    Ok(Ok(()))
}

/// Takes a preimage that came to the bank itself, as long as the rule lets it.
pub(super) fn capture_by(
    transaction: &Transaction<'_>,
    lock_tag: LockTag,
    preimage: &[u8; 32],
    at: Timestamp,
    postings: &mut Postings,
) -> Result<BankResult, StoreError> {
    let Some(row) = row(transaction, lock_tag)? else {
        return Ok(Err(Refusal::UnknownLock));
    };
    if !opens(preimage, &row.hash_lock) {
        return Ok(Err(Refusal::WrongPreimage));
    }
    let outcome = match row.state {
        CAPTURED => return Ok(Ok(Done::Captured(*preimage))),
        RELEASED => return Ok(Err(Refusal::LockDecided)),
        PREPARED => Outcome::Prepared,
        _ => Outcome::Held,
    };
    let lock = public_half(transaction, lock_tag)?;
    if at > lock.commit_until() {
        return Ok(Err(Refusal::LockTime));
    }
    if !bank_takes(&lock, outcome, at) {
        return Ok(Err(Refusal::NotPrepared));
    }
    let captured = capture(transaction, lock_tag, preimage, postings)?;
    Ok(if captured {
        Ok(Done::Captured(*preimage))
    } else {
        Err(Refusal::LockDecided)
    })
}

/// Decides an undecided lock for its payee; `false` if there is no such undecided lock.
pub(super) fn capture(
    transaction: &Transaction<'_>,
    lock_tag: LockTag,
    preimage: &[u8; 32],
    postings: &mut Postings,
) -> Result<bool, StoreError> {
    let changed = transaction
        .prepare_cached(
            "UPDATE locks SET state = 2, preimage = ?2 WHERE lock_tag = ?1 AND state IN (1, 3)",
        )?
        .execute(params![lock_tag.0, preimage])?;
    if changed == 1 {
        end_inputs(transaction, lock_tag, KeysetMove::Capture, postings)?;
    }
    Ok(changed == 1)
}

/// Adds to what is known of an undecided lock; `false` if it is none. Held becomes prepared, never the other way.
pub(super) fn keep_undecided(
    transaction: &Transaction<'_>,
    seen: &SeenLock,
) -> Result<bool, StoreError> {
    let state = if seen.is_prepared { PREPARED } else { HELD };
    let changed = transaction
        .prepare_cached(
            "UPDATE locks SET state = max(state, ?2), due = min(max(due, ?3), settle_until),
             preimage = coalesce(preimage, ?4) WHERE lock_tag = ?1 AND state IN (1, 3)",
        )?
        .execute(params![
            seen.lock_tag.0,
            state,
            column::time(seen.due),
            seen.preimage
        ])?;
    Ok(changed == 1)
}

/// The public half of a lock, which stands in what its request was answered with.
fn public_half(connection: &Connection, lock_tag: LockTag) -> Result<LockPublic, StoreError> {
    let reply = reply(connection, lock_tag)?.unwrap_or_default();
    let reply = LockReply::from_bytes(&reply).map_err(|_| StoreError::Damaged("lock"))?;
    Ok(reply.lock.public)
}

/// Which undecided locks a release is meant for.
pub(super) enum ReleaseBy {
    /// The logs, whose words decide.
    Logs,
    /// The payee that this commitment names.
    Payee(PayeeCommitment),
    /// The end of the lock's time.
    Time(Timestamp),
}

/// Decides an undecided lock for its payer; `false` if none matches.
pub(super) fn release(
    transaction: &Transaction<'_>,
    lock_tag: LockTag,
    by: &ReleaseBy,
    at: Timestamp,
    postings: &mut Postings,
) -> Result<bool, StoreError> {
    let Some((money, payer)) = set_released(transaction, lock_tag, by)? else {
        return Ok(false);
    };
    end_inputs(transaction, lock_tag, KeysetMove::Release, postings)?;
    let back = match payer {
        Some(account) => {
            accounts::put(transaction, account, money, EntryKind::Released, at)?;
            LedgerAccount::Accounts
        }
        None => LedgerAccount::Circulation,
    };
    postings.transfer(money.currency, LedgerAccount::Locked, back, money.amount);
    Ok(true)
}

fn set_released(
    transaction: &Transaction<'_>,
    lock_tag: LockTag,
    by: &ReleaseBy,
) -> Result<Option<(Money, Option<AccountId>)>, StoreError> {
    const BY_LOGS: &str = "UPDATE locks SET state = 4, preimage = NULL
        WHERE lock_tag = ?1 AND state IN (1, 3) RETURNING currency, amount, payer";
    const BY_PAYEE: &str = "UPDATE locks SET state = 4, preimage = NULL
        WHERE lock_tag = ?1 AND state IN (1, 3) AND payee = ?2 RETURNING currency, amount, payer";
    const BY_TIME: &str = "UPDATE locks SET state = 4, preimage = NULL
        WHERE lock_tag = ?1 AND state IN (1, 3) AND settle_until <= ?2 RETURNING currency, amount, payer";
    match by {
        ReleaseBy::Logs => column::first(
            transaction.prepare_cached(BY_LOGS)?.query([lock_tag.0])?,
            read_returned,
        ),
        ReleaseBy::Payee(payee) => column::first(
            transaction
                .prepare_cached(BY_PAYEE)?
                .query(params![lock_tag.0, payee.0])?,
            read_returned,
        ),
        ReleaseBy::Time(now) => column::first(
            transaction
                .prepare_cached(BY_TIME)?
                .query(params![lock_tag.0, column::time(*now)])?,
            read_returned,
        ),
    }
}

fn read_returned(row: &Row<'_>) -> Result<(Money, Option<AccountId>), StoreError> {
    let money = column::read_amount(row, 1)?.of(column::read_currency(row, 0)?);
    Ok((money, column::read::<Option<_>>(row, 2)?.map(AccountId)))
}

pub(super) fn release_by_payee(
    transaction: &Transaction<'_>,
    lock_tag: LockTag,
    payee: PayeeCommitment,
    at: Timestamp,
    postings: &mut Postings,
) -> Result<BankResult, StoreError> {
    if release(
        transaction,
        lock_tag,
        &ReleaseBy::Payee(payee),
        at,
        postings,
    )? {
        return Ok(Ok(Done::Released));
    }
    Ok(match row(transaction, lock_tag)? {
        None => Err(Refusal::UnknownLock),
        Some(row) if row.payee != payee => Err(Refusal::WrongPayee),
        Some(row) if row.state == RELEASED => Ok(Done::Released),
        Some(_) => Err(Refusal::LockDecided),
    })
}

pub(super) fn release_outlived(
    transaction: &Transaction<'_>,
    lock_tag: LockTag,
    at: Timestamp,
    postings: &mut Postings,
) -> Result<BankResult, StoreError> {
    if release(transaction, lock_tag, &ReleaseBy::Time(at), at, postings)? {
        return Ok(Ok(Done::Released));
    }
    Ok(match row(transaction, lock_tag)? {
        None => Err(Refusal::UnknownLock),
        Some(row) if row.state == RELEASED => Ok(Done::Released),
        Some(row) if row.state == CAPTURED => Err(Refusal::LockDecided),
        Some(_) => Err(Refusal::LockTime),
    })
}

/// Ends the hold on a lock's coins: the value leaves them, or is free again.
fn end_inputs(
    transaction: &Transaction<'_>,
    lock_tag: LockTag,
    movement: KeysetMove,
    postings: &mut Postings,
) -> Result<(), StoreError> {
    let inputs = inputs(transaction, lock_tag)?;
    let change = match movement {
        KeysetMove::Release => {
            "UPDATE coins SET locked = locked - ?4, remaining = remaining + ?4
             WHERE key = ?1 AND keyset = ?2 AND exponent = ?3"
        }
        _ => {
            "UPDATE coins SET locked = locked - ?4 WHERE key = ?1 AND keyset = ?2 AND exponent = ?3"
        }
    };
    let mut statement = transaction.prepare_cached(change)?;
    for input in inputs {
        statement.execute(params![
            input.key,
            input.keyset.0,
            input.exponent,
            column::amount(input.amount)
        ])?;
        postings.keyset(input.keyset, movement, input.amount);
    }
    Ok(())
}

struct HeldInput {
    key: [u8; 32],
    keyset: KeysetNumber,
    exponent: u8,
    amount: Amount,
}

fn inputs(transaction: &Transaction<'_>, lock_tag: LockTag) -> Result<Vec<HeldInput>, StoreError> {
    let mut statement = transaction.prepare_cached(
        "SELECT key, keyset, exponent, amount FROM lock_inputs WHERE lock_tag = ?1",
    )?;
    column::rows(statement.query([lock_tag.0])?, |row| {
        Ok(HeldInput {
            key: column::read(row, 0)?,
            keyset: KeysetNumber(column::read(row, 1)?),
            exponent: column::read_u8(row, 2)?,
            amount: column::read_amount(row, 3)?,
        })
    })
}

/// Pays the payee of a captured lock, capturing it before if the claim's proofs decide it.
pub(super) fn claim(
    transaction: &Transaction<'_>,
    claim: &CheckedClaim,
    postings: &mut Postings,
) -> Result<BankResult, StoreError> {
    let outcome = match row(transaction, claim.lock_tag)? {
        None => ClaimOutcome::Unknown,
        Some(row) if row.payee != claim.payee => ClaimOutcome::WrongPayee,
        Some(row) => claim_of(transaction, claim, &row, postings)?,
    };
    Ok(Ok(Done::Claimed(outcome)))
}

fn claim_of(
    transaction: &Transaction<'_>,
    claim: &CheckedClaim,
    row: &LockRow,
    postings: &mut Postings,
) -> Result<ClaimOutcome, StoreError> {
    if row.claimed_by.is_some() {
        return Ok(ClaimOutcome::Credited);
    }
    match (row.state, &claim.proven) {
        (RELEASED, _) => return Ok(ClaimOutcome::Released),
        (CAPTURED, _) => {}
        (_, Some(preimage)) if opens(preimage, &row.hash_lock) => {
            capture(transaction, claim.lock_tag, preimage, postings)?;
        }
        (_, Some(_)) => return Ok(ClaimOutcome::BadReceipt),
        (_, None) => {
            if let Some(seen) = &claim.seen {
                log::keep_seen(transaction, seen)?;
            }
            return Ok(ClaimOutcome::Undecided);
        }
    }
    // What the log has decided stands, whatever the operator thinks of the payee: only the credit waits.
    if accounts::is_frozen(transaction, claim.account)? {
        return Ok(ClaimOutcome::Frozen);
    }
    pay(transaction, claim, postings)
}

fn pay(
    transaction: &Transaction<'_>,
    claim: &CheckedClaim,
    postings: &mut Postings,
) -> Result<ClaimOutcome, StoreError> {
    let mut statement = transaction.prepare_cached(
        "UPDATE locks SET claimed_by = ?2 WHERE lock_tag = ?1 AND state = 2 AND claimed_by IS NULL
         RETURNING currency, amount, payer",
    )?;
    let rows = statement.query(params![claim.lock_tag.0, claim.account.0])?;
    let Some((money, _)) = column::first(rows, read_returned)? else {
        return Ok(ClaimOutcome::Undecided);
    };
    accounts::open(transaction, claim.account)?;
    accounts::put(
        transaction,
        claim.account,
        money,
        EntryKind::Claim,
        claim.at,
    )?;
    postings.transfer(
        money.currency,
        LedgerAccount::Locked,
        LedgerAccount::Accounts,
        money.amount,
    );
    Ok(ClaimOutcome::Credited)
}

/// What decisions depend on.
struct LockRow {
    state: i64,
    hash_lock: HashLock,
    payee: PayeeCommitment,
    claimed_by: Option<[u8; 32]>,
}

fn row(transaction: &Transaction<'_>, lock_tag: LockTag) -> Result<Option<LockRow>, StoreError> {
    let mut statement = transaction.prepare_cached(
        "SELECT state, hash_lock, payee, claimed_by FROM locks WHERE lock_tag = ?1",
    )?;
    column::first(statement.query([lock_tag.0])?, |row| {
        Ok(LockRow {
            state: column::read(row, 0)?,
            hash_lock: HashLock(column::read(row, 1)?),
            payee: PayeeCommitment(column::read(row, 2)?),
            claimed_by: column::read(row, 3)?,
        })
    })
}
