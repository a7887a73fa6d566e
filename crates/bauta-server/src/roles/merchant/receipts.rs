//! The proofs that logs kept their promises. Every log is read for itself, so that no sale waits for a log that it does not
//! need.

use std::{collections::BTreeSet, sync::Arc};

use bauta_proto::{
    decision::{Age, age},
    ids::Txid,
    log::{
        leaf::{Deed, Leaf},
        reader::{FetchedCheckpoint, ReadError},
    },
    merchant::Route,
    time::Timestamp,
    transport::Transport,
};
use bauta_store::merchant::{Order, OrderState, SaleLeaf, Step};
use futures_util::{StreamExt, future::join_all, stream};
use tokio::time::Instant;

use super::{
    JobError, Merchant,
    jobs::{CLAIM_PAUSE_MAX, PUSHES_AT_ONCE},
    logs::{Log, PATIENCE},
    sale::doubled,
};

/// What a log has shown of a leaf that it promised.
pub(super) enum Proof {
    /// The tlog-proof of the leaf in an early checkpoint, as text.
    Early(Vec<u8>),
    /// The leaf is there, and no early checkpoint of it was kept: that proves nothing to a bank.
    Late,
    /// Another leaf stands there in this checkpoint.
    Broken(Box<FetchedCheckpoint>),
    /// Nothing yet, or it does not answer.
    Unread(ReadError),
}

/// What one look at one log came to.
#[derive(Default)]
struct Look {
    /// Sales that now have the receipts of enough logs.
    logged: BTreeSet<Txid>,
    /// Sales whose promise is worth nothing: no proof of it will be early.
    worthless: BTreeSet<Txid>,
}

impl<T: Transport + 'static> Merchant<T> {
    /// Fetches the proofs that logs kept their promises, for every sale that was promised. Returns of how many sales there
    /// are enough.
    ///
    /// # Errors
    /// [`JobError`]; a log that does not answer is one, a single receipt that is not there yet is not.
    pub async fn collect_receipts(self: &Arc<Self>) -> Result<usize, JobError> {
        let orders = self.due(OrderState::Promised).await?;
        let is_asked = |log: &&Log<T>| orders.iter().any(|order| promise_of(order, log).is_some());
        let logs = self.logs.iter().filter(is_asked);
        let looks = logs.map(|log| self.look_at(log, &orders));
        let (mut all, mut outcome) = (Look::default(), Ok(()));
        for (look, read) in join_all(looks).await {
            all.logged.extend(look.logged);
            all.worthless.extend(look.worthless);
            outcome = outcome.and(read.map_err(JobError::from));
        }
        let waiting = self.due(OrderState::Promised).await?.into_iter();
        let waiting = stream::iter(waiting).map(|order| {
            let is_worthless = all.worthless.contains(&order.txid);
            self.await_receipts(order, is_worthless)
        });
        waiting.buffer_unordered(PUSHES_AT_ONCE).count().await;
        outcome.map(|()| all.logged.len())
    }

    /// Reads what one log shows of what it promised, and writes it down as it comes. Ends with the first question that it
    /// does not answer.
    async fn look_at(&self, log: &Log<T>, orders: &[Order]) -> (Look, Result<(), ReadError>) {
        let begun = Instant::now();
        let mut look = Look::default();
        let checkpoint = match log.answer(self.now(), log.reader.checkpoint()).await {
            Ok(checkpoint) => checkpoint,
            Err(error) => return (look, Err(error)),
        };
        for order in orders {
            if begun.elapsed() >= PATIENCE {
                break;
            }
            let (Some(promised), Some(accept)) = (promise_of(order, log), &order.accept) else {
                continue;
            };
            let lock = &accept.lock.public;
            let preimage = self.secrets(order).preimage;
            let leaf = lock.leaf(Deed::Commit, *preimage.expose());
            let proof = self.proof(log, promised, &leaf, &checkpoint, lock.commit_until());
            let step = match proof.await {
                Proof::Early(receipt) => self.logged(promised, receipt),
                Proof::Broken(checkpoint) => self.broken(promised, &checkpoint),
                Proof::Late => {
                    look.worthless.insert(order.txid);
                    continue;
                }
                Proof::Unread(ReadError::Call(error)) => return (look, Err(error.into())),
                Proof::Unread(_) => continue,
            };
            let order = self.step(order.txid, step).await;
            let is_logged = |order: &Order| order.state == OrderState::Logged;
            look.logged
                .extend(order.filter(is_logged).map(|order| order.txid));
            tokio::task::yield_now().await;
        }
        log.has_answered();
        (look, Ok(()))
    }

    /// What a log shows of a promised leaf that had to be there by `until`. If the checkpoint that was fetched is not early for
    /// that, because this shop or the log was away, one that the log kept may be.
    pub(super) async fn proof(
        &self,
        log: &Log<T>,
        promised: &SaleLeaf,
        leaf: &Leaf,
        checkpoint: &FetchedCheckpoint,
        until: Timestamp,
    ) -> Proof {
        let index = promised.promise.body.index;
        let is_early =
            |checkpoint: &FetchedCheckpoint| age(checkpoint.checked(), until) == Age::Early;
        let mut shown = checkpoint.clone();
        if !is_early(checkpoint) && index < checkpoint.size() {
            match log
                .answer(self.now(), log.reader.early_checkpoint(until))
                .await
            {
                Ok(Some(kept)) if index < kept.size() => shown = kept,
                Ok(_) => {}
                Err(error) => return Proof::Unread(error),
            }
        }
        let receipt = log.reader.receipt(index, leaf, &shown);
        match log.answer(self.now(), receipt).await {
            Ok(receipt) if is_early(&shown) => Proof::Early(receipt.to_text().into_bytes()),
            Ok(_) => Proof::Late,
            Err(ReadError::OtherLeaf(_)) => Proof::Broken(Box::new(shown)),
            Err(error) => Proof::Unread(error),
        }
    }

    /// Waits for receipts. From half of the time on the preimage goes to the bank as well, at once if a promise is worth
    /// nothing: what is not kept in time is not.
    async fn await_receipts(&self, order: Order, is_worthless: bool) -> Option<Order> {
        let is_due = match self.route_of(&order)? {
            Route::LogAndBank => true,
            Route::Log => is_worthless,
            Route::Unknown | Route::Nowhere => false,
        };
        if is_due && let Some(order) = self.insure(&order).await {
            return Some(order);
        }
        self.step(order.txid, self.look_again(&order)).await
    }

    /// Looks at the promise again with the next checkpoint; ever more rarely when it is too late for what that would show.
    fn look_again(&self, order: &Order) -> Step {
        let (interval, now) = (self.margins.checkpoint_interval, self.now());
        let is_over = order.commit_until().is_some_and(|until| now > until);
        let attempts = if is_over { order.attempts } else { 0 };
        Step::Defer {
            state: OrderState::Promised,
            reason: None,
            due_at: now.plus(doubled(interval, attempts, CLAIM_PAUSE_MAX)),
        }
    }
}

/// The log's promise of the commit that is neither proved nor broken yet.
fn promise_of<'a, T>(order: &'a Order, log: &Log<T>) -> Option<&'a SaleLeaf> {
    let leaf = order.leaf(&log.name, Deed::Commit)?;
    (leaf.receipt.is_none() && leaf.evidence.is_none()).then_some(leaf)
}
