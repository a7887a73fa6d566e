//! The bank's position in the log, moved together with what the log decided.

use rusqlite::{Transaction, params};

use super::{
    books::Postings,
    command::{BankResult, Done, LogAdvance, Refusal},
    locks::{self, ReleaseBy},
};
use crate::StoreError;

pub(super) fn advance(
    transaction: &Transaction<'_>,
    advance: &LogAdvance,
    postings: &mut Postings,
) -> Result<BankResult, StoreError> {
    if !set_position(transaction, advance)? {
        return Ok(Err(Refusal::LogMoved));
    }
    let (mut captured, mut released) = (0, 0);
    for (lock_tag, preimage) in &advance.captures {
        captured += usize::from(locks::capture(transaction, *lock_tag, preimage, postings)?);
    }
    for (lock_tag, preimage) in &advance.await_receipt {
        locks::await_receipt(transaction, *lock_tag, preimage)?;
    }
    for lock_tag in &advance.releases {
        let by = ReleaseBy::Log;
        let done = locks::release(transaction, *lock_tag, &by, advance.at, postings)?;
        released += usize::from(done);
    }
    Ok(Ok(Done::Advanced { captured, released }))
}

/// Forgets the log that was followed, and the proofs that keysets stand in it.
pub(super) fn begin_anew(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    transaction.execute_batch(
        "UPDATE log_position SET size = 0, hashes = x'', checkpoint = '';
         UPDATE keysets SET receipt = NULL WHERE closed = 0;",
    )?;
    Ok(())
}

fn set_position(transaction: &Transaction<'_>, advance: &LogAdvance) -> Result<bool, StoreError> {
    let size = |size: u64| i64::try_from(size).map_err(|_| StoreError::Damaged("log size"));
    let changed = transaction
        .prepare_cached(
            "UPDATE log_position SET size = ?2, hashes = ?3, checkpoint = ?4 WHERE one = 1 AND size = ?1",
        )?
        .execute(params![
            size(advance.from_size)?,
            size(advance.frontier.size())?,
            advance.frontier.hashes().concat(),
            advance.checkpoint
        ])?;
    Ok(changed == 1)
}
