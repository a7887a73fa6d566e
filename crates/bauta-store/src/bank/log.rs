//! The bank's positions in the logs, moved together with what was read there, and what the logs have shown about locks.

use bauta_proto::{decision::LogView, ids::LockTag, log::leaf::Deed};
use rusqlite::{Connection, Transaction, params};

use super::{
    books::Postings,
    column,
    command::{BankResult, Decisions, Done, LogAdvance, Refusal, SeenLock},
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
    decide(transaction, &advance.decisions, postings)
}

pub(super) fn decide(
    transaction: &Transaction<'_>,
    decisions: &Decisions,
    postings: &mut Postings,
) -> Result<BankResult, StoreError> {
    let (mut captured, mut released) = (0, 0);
    for seen in &decisions.undecided {
        keep_seen(transaction, seen)?;
    }
    for (lock_tag, preimage) in &decisions.captures {
        captured += usize::from(locks::capture(transaction, *lock_tag, preimage, postings)?);
    }
    for lock_tag in &decisions.releases {
        let by = ReleaseBy::Logs;
        let done = locks::release(transaction, *lock_tag, &by, decisions.at, postings)?;
        released += usize::from(done);
    }
    Ok(Ok(Done::Decided { captured, released }))
}

/// Forgets the logs that were followed, and the proofs that keysets stand in them. No lock is undecided.
pub(super) fn begin_anew(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    transaction.execute_batch(
        "DELETE FROM log_positions; DELETE FROM log_views;
         UPDATE keysets SET receipt = NULL WHERE closed = 0;",
    )?;
    Ok(())
}

/// A log that was never read stands at 0.
fn set_position(transaction: &Transaction<'_>, advance: &LogAdvance) -> Result<bool, StoreError> {
    let size = |size: u64| i64::try_from(size).map_err(|_| StoreError::Damaged("log size"));
    let from_size = size(advance.from_size)?;
    let changed = transaction
        .prepare_cached(
            "INSERT INTO log_positions (origin, size, hashes, checkpoint) SELECT ?1, ?3, ?4, ?5
             WHERE ?2 = 0 OR EXISTS (SELECT 1 FROM log_positions WHERE origin = ?1)
             ON CONFLICT DO UPDATE SET size = ?3, hashes = ?4, checkpoint = ?5 WHERE size = ?2",
        )?
        .execute(params![
            advance.origin,
            from_size,
            size(advance.frontier.size())?,
            advance.frontier.hashes().concat(),
            advance.checkpoint
        ])?;
    Ok(changed == 1)
}

/// Adds to what is known of a lock, if it is undecided.
pub(super) fn keep_seen(transaction: &Transaction<'_>, seen: &SeenLock) -> Result<(), StoreError> {
    if !locks::keep_undecided(transaction, seen)? {
        return Ok(());
    }
    let mut statement = transaction.prepare_cached(
        "INSERT INTO log_views VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET view = view | ?3",
    )?;
    for (origin, view) in &seen.views {
        statement.execute(params![seen.lock_tag.0, origin, bits(view)])?;
    }
    Ok(())
}

/// What logs have shown about a lock, by their origin lines.
pub(super) fn views(
    connection: &Connection,
    lock_tag: LockTag,
) -> Result<Vec<(String, LogView)>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT origin, view FROM log_views WHERE lock_tag = ?1")?;
    column::rows(statement.query([lock_tag.0])?, |row| {
        let view = view(column::read(row, 1)?).ok_or(StoreError::Damaged("view of a log"))?;
        Ok((column::read(row, 0)?, view))
    })
}

const FIRST_EARLY: i64 = 4;
const COMMITTED: i64 = 8;
const COMMIT_EARLY: i64 = 16;

/// The lowest two bits are the first deed, which never changes; each of the others is set once. So two views of one log
/// together are both numbers' bits.
fn bits(view: &LogView) -> i64 {
    let flag = |is_set: bool, bit: i64| if is_set { bit } else { 0 };
    view.first.map_or(0, |deed| deed as i64)
        | flag(view.first_early, FIRST_EARLY)
        | flag(view.committed, COMMITTED)
        | flag(view.commit_early, COMMIT_EARLY)
}

fn view(bits: i64) -> Option<LogView> {
    let first = Deed::ALL.into_iter().find(|deed| *deed as i64 == bits & 3);
    (first.is_some() && bits < 2 * COMMIT_EARLY).then_some(LogView {
        first,
        first_early: bits & FIRST_EARLY != 0,
        committed: bits & COMMITTED != 0,
        commit_early: bits & COMMIT_EARLY != 0,
    })
}
