//! How an order goes from state to state: each step is one conditional statement, so that a repeat changes nothing.

use bauta_proto::{
    accept::AcceptRequest,
    codec::{Message, Signed},
    ids::{AccountId, Txid},
    lock::LockStatus,
    log::leaf::Deed,
    offer::{Offer, OrderRequest},
    submission::Promise,
    time::Timestamp,
};
use rusqlite::{Params, Transaction, params};

use super::{
    order::{Order, OrderState, Reason},
    row::{self, integer},
    sale_leaf,
};
use crate::sqlite::StoreError;

/// An order with its answer, before it is on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// The order.
    pub request: OrderRequest,
    /// The offer that answers it.
    pub offer: Signed<Offer>,
    /// The account that is paid.
    pub account: AccountId,
    /// When it was answered.
    pub answered_at: Timestamp,
    /// Unpaid, it is kept until then.
    pub keep_until: Timestamp,
}

/// What is done to one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MerchantCommand {
    /// Writes an order and its answer; an order that is there already keeps its answer.
    Offer(Box<NewOrder>),
    /// Offered -> Accepted, or at once Sent (in mode SAFE Preparing): the lock and the acceptance, which have been checked.
    Accept {
        /// Lock and acceptance.
        request: Box<AcceptRequest>,
        /// When they came.
        at: Timestamp,
        /// Whether the preimage, or what prepares, leaves as soon as this is on disk.
        send: bool,
    },
    /// A step behind acceptance.
    Step(Txid, Step),
}

/// A step of an order that has its lock. In a state that the step does not start from, it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Accepted -> Preparing, in mode SAFE: what prepares leaves as soon as this is on disk.
    Prepare {
        /// When.
        at: Timestamp,
    },
    /// Accepted, in mode SAFE Preparing -> Sent: the preimage leaves as soon as this is on disk. In mode SAFE the caller has
    /// seen that the lock is prepared.
    Send {
        /// When.
        at: Timestamp,
    },
    /// Promises of logs, which have been checked. Sent or Unknown -> Promised, once enough logs promised the commit.
    Promise {
        /// What was promised: prepare or commit.
        deed: Deed,
        /// The promises.
        promises: Vec<Signed<Promise>>,
        /// How many logs are enough.
        threshold: usize,
        /// When they came.
        at: Timestamp,
        /// When to look for the receipts.
        due_at: Timestamp,
    },
    /// Sent, Unknown or Promised -> Captured: the bank has the preimage.
    Capture {
        /// The bank's signed word for that, which has been checked.
        word: Box<Signed<LockStatus>>,
        /// When it was confirmed.
        at: Timestamp,
    },
    /// The receipt of a leaf, which has been checked and is early. Promised -> Logged, once there are enough of the commit.
    Log {
        /// The log's name.
        log: [u8; 32],
        /// Which leaf of the sale.
        deed: Deed,
        /// The tlog-proof as text.
        receipt: Vec<u8>,
        /// How many logs are enough.
        threshold: usize,
        /// When to claim, or to go on with a sale that is being prepared.
        due_at: Timestamp,
    },
    /// A log has something else where it promised the leaf. Promised -> Unknown, if too few promises of the commit are left.
    BreakPromise {
        /// The log's name.
        log: [u8; 32],
        /// Which leaf of the sale.
        deed: Deed,
        /// The checkpoint that contradicts the promise, as text.
        evidence: Vec<u8>,
        /// How many logs are enough.
        threshold: usize,
        /// When to ask the bank.
        due_at: Timestamp,
    },
    /// Sent -> Unknown: the last moment passed without an answer.
    Lose {
        /// When to ask.
        due_at: Timestamp,
    },
    /// Promised, Captured or Logged -> Claimed: the bank has credited the account.
    Claim {
        /// When.
        at: Timestamp,
    },
    /// Any state with a lock but Claimed -> Failed.
    Fail {
        /// Why.
        reason: Reason,
        /// When.
        at: Timestamp,
    },
    /// Same state: its owner tried without success and comes again later.
    Defer {
        /// The state that is meant.
        state: OrderState,
        /// What hinders it; none leaves what was known.
        reason: Option<Reason>,
        /// When to come again.
        due_at: Timestamp,
    },
}

/// A step is refused; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MerchantRefusal {
    /// No such offer is on record.
    #[error("the shop made no such offer")]
    UnknownOffer,
    /// Another lock pays for the offer.
    #[error("another lock pays for this offer")]
    OtherLock,
    /// Too many offers wait to be paid.
    #[error("too many offers wait to be paid")]
    TooManyOffers,
}

/// Takes one step; the order as it is afterwards.
pub(super) fn apply(
    transaction: &Transaction<'_>,
    command: &MerchantCommand,
) -> Result<Result<Order, MerchantRefusal>, StoreError> {
    match command {
        MerchantCommand::Offer(new) => {
            row::insert(transaction, new)?;
            let order = row::by_order_id(transaction, &new.request.id())?;
            Ok(order.ok_or(MerchantRefusal::UnknownOffer))
        }
        MerchantCommand::Accept { request, at, send } => accept(transaction, request, *at, *send),
        MerchantCommand::Step(txid, step) => {
            take(transaction, *txid, step)?;
            let order = row::by_txid(transaction, *txid)?;
            Ok(order.ok_or(MerchantRefusal::UnknownOffer))
        }
    }
}

fn accept(
    transaction: &Transaction<'_>,
    request: &AcceptRequest,
    at: Timestamp,
    send: bool,
) -> Result<Result<Order, MerchantRefusal>, StoreError> {
    let txid = request.accept.body.txid;
    let state = if send {
        OrderState::Sent
    } else {
        OrderState::Accepted
    };
    execute(
        transaction,
        "UPDATE sale SET state = CASE WHEN ?2 = 3 AND is_safe = 1 THEN 10 ELSE ?2 END, due_at = ?3, accept = ?4, \
         accepted_at = ?3, sent_at = CASE WHEN ?2 = 3 AND is_safe = 0 THEN ?3 END WHERE txid = ?1 AND state = 1",
        params![
            txid.as_bytes(),
            state as u8,
            integer(at.0),
            request.to_bytes()
        ],
    )?;
    let Some(order) = row::by_txid(transaction, txid)? else {
        return Ok(Err(MerchantRefusal::UnknownOffer));
    };
    let lock = order.accept.as_ref().map(|accept| &accept.lock);
    Ok(if lock == Some(&request.lock) {
        Ok(order)
    } else {
        Err(MerchantRefusal::OtherLock)
    })
}

/// One conditional statement for each step.
fn take(transaction: &Transaction<'_>, txid: Txid, step: &Step) -> Result<(), StoreError> {
    let txid = txid.as_bytes();
    match step {
        Step::Prepare { at } => execute(
            transaction,
            "UPDATE sale SET state = 10, due_at = ?2, reason = NULL, attempts = 0 \
             WHERE txid = ?1 AND state = 2 AND is_safe = 1",
            params![txid, integer(at.0)],
        ),
        Step::Send { at } => execute(
            transaction,
            "UPDATE sale SET state = 3, sent_at = ?2, due_at = ?2, reason = NULL, attempts = 0 \
             WHERE txid = ?1 AND state = CASE is_safe WHEN 0 THEN 2 ELSE 10 END",
            params![txid, integer(at.0)],
        ),
        Step::Promise {
            deed,
            promises,
            threshold,
            at,
            due_at,
        } => {
            sale_leaf::insert(transaction, txid, *deed, promises)?;
            confirm_promised(transaction, txid, *threshold, *at, *due_at)
        }
        Step::Capture { word, at } => execute(
            transaction,
            "UPDATE sale SET state = 6, capture = ?2, captured_at = ?3, confirmed_at = coalesce(confirmed_at, ?3), \
             due_at = ?3, reason = NULL, attempts = 0 WHERE txid = ?1 AND state IN (3, 4, 5)",
            params![txid, word.to_bytes(), integer(at.0)],
        ),
        Step::Log {
            log,
            deed,
            receipt,
            threshold,
            due_at,
        } => {
            sale_leaf::keep_receipt(transaction, txid, (log, *deed), receipt)?;
            execute(
                transaction,
                "UPDATE sale SET state = 7, due_at = ?3, reason = NULL, attempts = 0 WHERE txid = ?1 AND state = 5 \
                 AND (SELECT count(*) FROM sale_leaf WHERE sale = number AND deed = 2 AND receipt IS NOT NULL) >= ?2",
                params![txid, integer(*threshold as u64), integer(due_at.0)],
            )?;
            execute(
                transaction,
                "UPDATE sale SET due_at = min(due_at, ?2) WHERE txid = ?1 AND state = 10",
                params![txid, integer(due_at.0)],
            )
        }
        Step::BreakPromise {
            log,
            deed,
            evidence,
            threshold,
            due_at,
        } => {
            sale_leaf::keep_evidence(transaction, txid, (log, *deed), evidence)?;
            execute(
                transaction,
                "UPDATE sale SET state = 4, due_at = ?3, reason = ?4, attempts = 0 WHERE txid = ?1 AND state = 5 \
                 AND (SELECT count(*) FROM sale_leaf WHERE sale = number AND deed = 2 AND evidence IS NULL) < ?2",
                params![
                    txid,
                    integer(*threshold as u64),
                    integer(due_at.0),
                    Reason::BrokenPromise as u8
                ],
            )
        }
        Step::Lose { due_at } => execute(
            transaction,
            "UPDATE sale SET state = 4, due_at = ?2, attempts = 0 WHERE txid = ?1 AND state = 3",
            params![txid, integer(due_at.0)],
        ),
        Step::Claim { at } => execute(
            transaction,
            "UPDATE sale SET state = 8, ended_at = ?2, reason = NULL \
             WHERE txid = ?1 AND state IN (5, 6, 7)",
            params![txid, integer(at.0)],
        ),
        Step::Fail { reason, at } => execute(
            transaction,
            "UPDATE sale SET state = 9, ended_at = ?2, reason = ?3 \
             WHERE txid = ?1 AND state IN (2, 3, 4, 5, 6, 7, 10)",
            params![txid, integer(at.0), *reason as u8],
        ),
        Step::Defer {
            state,
            reason,
            due_at,
        } => execute(
            transaction,
            "UPDATE sale SET due_at = ?3, reason = coalesce(?4, reason), attempts = attempts + 1 \
             WHERE txid = ?1 AND state = ?2",
            params![
                txid,
                *state as u8,
                integer(due_at.0),
                reason.map(|reason| reason as u8)
            ],
        ),
    }
}

/// Sent or Unknown -> Promised once enough logs have promised the commit and not broken that. The promises of that moment
/// are what the customer is told, for ever.
fn confirm_promised(
    transaction: &Transaction<'_>,
    txid: &[u8],
    threshold: usize,
    at: Timestamp,
    due_at: Timestamp,
) -> Result<(), StoreError> {
    let threshold = integer(threshold as u64);
    execute(
        transaction,
        "UPDATE sale_leaf SET is_told = 1 WHERE deed = 2 AND evidence IS NULL AND sale = \
         (SELECT number FROM sale WHERE txid = ?1 AND state IN (3, 4) AND confirmed_at IS NULL AND \
          (SELECT count(*) FROM sale_leaf WHERE sale = number AND deed = 2 AND evidence IS NULL) >= ?2)",
        params![txid, threshold],
    )?;
    execute(
        transaction,
        "UPDATE sale SET state = 5, confirmed_at = coalesce(confirmed_at, ?3), due_at = ?4, reason = NULL, attempts = 0 \
         WHERE txid = ?1 AND state IN (3, 4) AND \
         (SELECT count(*) FROM sale_leaf WHERE sale = number AND deed = 2 AND evidence IS NULL) >= ?2",
        params![txid, threshold, integer(at.0), integer(due_at.0)],
    )
}

fn execute(
    transaction: &Transaction<'_>,
    sql: &str,
    parameters: impl Params,
) -> Result<(), StoreError> {
    transaction.prepare_cached(sql)?.execute(parameters)?;
    Ok(())
}
