//! Mode SAFE (figure 3): what prepares goes to the logs first, and the preimage only once no cancel can come before it.

use std::sync::Arc;

use bauta_proto::{
    lock::{Lock, LockPublic, LockState},
    log::leaf::Deed,
    transport::Transport,
};
use bauta_store::{
    StoreError,
    merchant::{Cancel, LogPosition, Order, OrderState, Reason, SaleLeaf, Step},
};

use super::{
    Merchant, locked,
    logs::Log,
    receipts::Proof,
    sale::{BankWord, Unconfirmed},
};
use crate::work::compute;

/// What the logs have shown about a lock that is being prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preparation {
    /// A later look will say.
    Open,
    /// The payer cannot cancel any more.
    Prepared,
    /// The payer has cancelled.
    Cancelled,
    /// Too many logs broke their promises.
    Broken,
}

/// What one log has shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Nothing,
    Prepared,
    Cancelled,
    Broken,
}

impl<T: Transport + 'static> Merchant<T> {
    /// Brings a sale forward that is being prepared; once it is, the preimage goes.
    pub(super) async fn prepare(self: &Arc<Self>, order: Order) -> Option<Order> {
        let lock = order.accept.as_ref()?.lock.clone();
        let order = if self.now() <= lock.public.expiry {
            let submitted = self.submit_all(&order, &lock, Deed::Prepare).await;
            self.record_promises(order, Deed::Prepare, submitted.promises)
                .await?
        } else {
            order
        };
        let order = self.collect_prepared(order, &lock).await?;
        let preparation = self.preparation(&order, &lock).await.ok()?;
        let now = self.now();
        let fail = |reason| Step::Fail { reason, at: now };
        let is_too_late = lock.public.commit_until() < now.plus(self.margins.lock_min());
        let step = match preparation {
            Preparation::Cancelled => fail(Reason::Cancelled),
            Preparation::Broken => fail(Reason::BrokenPromise),
            _ if is_too_late => fail(Reason::TooLate),
            Preparation::Prepared => self.prepared(&order, &lock).await,
            // The bank has read the logs, too.
            Preparation::Open if now > lock.public.expiry => {
                self.ended(&order, self.status(&lock).await)
            }
            Preparation::Open => self.later(&order, None),
        };
        let order = self.step(order.txid, step).await?;
        match order.state {
            OrderState::Sent => self.confirm(order).await,
            _ => Some(order),
        }
    }

    /// The preimage may go once the bank says under its signature that it has seen the lock prepared, too: then it takes the
    /// preimage itself should the logs stop showing it what they show this shop.
    async fn prepared(&self, order: &Order, lock: &Lock) -> Step {
        match self.status(lock).await {
            Ok(word) if word.state == LockState::Prepared => Step::Send { at: self.now() },
            word => self.ended(order, word),
        }
    }

    /// What follows from the bank's word about a sale that is being prepared. It ends the sale, but never lets the preimage go:
    /// only what the shop has seen itself does.
    fn ended(&self, order: &Order, word: Result<BankWord, Unconfirmed>) -> Step {
        match word {
            // The preimage went when these records were newer than they are now.
            Ok(word) if self.is_published(order, &word.state) => Step::Send { at: self.now() },
            Ok(word) if matches!(word.state, LockState::Captured { .. }) => {
                self.later(order, Some(Reason::Undecided))
            }
            word => self.captured(order, word),
        }
    }

    /// Whether the bank shows the preimage of this sale itself.
    fn is_published(&self, order: &Order, state: &LockState) -> bool {
        let secrets = self.secrets(order);
        matches!(state, LockState::Captured { preimage } if preimage == secrets.preimage.expose())
    }

    /// Keeps the proofs that what prepares stood in logs in time, as far as the last look at them can show it.
    async fn collect_prepared(&self, mut order: Order, lock: &Lock) -> Option<Order> {
        let preimage = self.secrets(&order).prepare_preimage;
        let leaf = lock.public.leaf(Deed::Prepare, *preimage.expose());
        for promised in order.leaves.clone().iter().filter(|leaf| is_open(leaf)) {
            let Some(log) = self.log(&promised.log) else {
                continue;
            };
            let Some(checkpoint) = locked(&log.latest).clone() else {
                continue;
            };
            let proof = self.proof(log, promised, &leaf, &checkpoint, lock.public.expiry);
            let step = match proof.await {
                Proof::Early(receipt) => self.logged(promised, receipt),
                Proof::Broken(checkpoint) => self.broken(promised, &checkpoint),
                Proof::Late | Proof::Unread(_) => continue,
            };
            order = self.step(order.txid, step).await?;
        }
        Some(order)
    }

    async fn preparation(
        self: &Arc<Self>,
        order: &Order,
        lock: &Lock,
    ) -> Result<Preparation, StoreError> {
        let (shop, order, public) = (Arc::clone(self), order.clone(), lock.public.clone());
        compute(move || {
            let reader = shop.reader();
            let cancels = reader.cancels(public.lock_tag())?;
            let mut shown = Vec::new();
            for Log { name, .. } in shop.logs_for(public.expiry) {
                let position = reader.log_position(name)?;
                let cancel = first_cancel(&public, name, &cancels);
                shown.push(shown_by(&order, name, position.as_ref(), cancel));
            }
            Ok(preparation(&shown, shop.policy.log_threshold()))
        })
        .await
    }
}

fn is_open(leaf: &SaleLeaf) -> bool {
    leaf.deed == Deed::Prepare && leaf.receipt.is_none() && leaf.evidence.is_none()
}

/// Where the lock's first cancel stands in a log.
fn first_cancel(lock: &LockPublic, log: &[u8; 32], cancels: &[Cancel]) -> Option<u64> {
    let is_its =
        |cancel: &&Cancel| cancel.log == *log && lock.deed_of(&cancel.leaf) == Some(Deed::Cancel);
    let indices = cancels.iter().filter(is_its).map(|cancel| cancel.index);
    indices.min()
}

/// What one log has shown, if it was read from `position` on and has this first cancel.
fn shown_by(
    order: &Order,
    log: &[u8; 32],
    position: Option<&LogPosition>,
    first_cancel: Option<u64>,
) -> Shown {
    let prepare = order.leaf(log, Deed::Prepare);
    let Some(prepare) = prepare else {
        // What would be promised now would come behind the cancel.
        return first_cancel.map_or(Shown::Nothing, |_| Shown::Cancelled);
    };
    let index = prepare.promise.body.index;
    if first_cancel.is_some_and(|cancel| cancel < index) {
        return Shown::Cancelled;
    }
    if prepare.evidence.is_some() {
        return Shown::Broken;
    }
    let all_read = position.is_some_and(|position| {
        position.first_sale <= order.number && position.frontier.size() > index
    });
    if all_read && prepare.receipt.is_some() {
        Shown::Prepared
    } else {
        Shown::Nothing
    }
}

/// As the decision rule counts: so many logs must say yes; when too few can any more, it is off.
fn preparation(shown: &[Shown], threshold: usize) -> Preparation {
    let count = |wanted: &[Shown]| shown.iter().filter(|shown| wanted.contains(shown)).count();
    if count(&[Shown::Prepared]) >= threshold {
        Preparation::Prepared
    } else if shown.len() - count(&[Shown::Cancelled]) < threshold {
        Preparation::Cancelled
    } else if shown.len() - count(&[Shown::Cancelled, Shown::Broken]) < threshold {
        Preparation::Broken
    } else {
        Preparation::Open
    }
}

#[cfg(test)]
mod tests {
    use super::{Preparation as P, Shown as S, *};

    #[test]
    fn as_many_logs_must_show_it_as_the_rule_counts_and_one_bad_log_stops_nothing() {
        let rows: [(&[S], usize, P); 9] = [
            (&[S::Nothing], 1, P::Open),
            (&[S::Prepared], 1, P::Prepared),
            (&[S::Cancelled], 1, P::Cancelled),
            (&[S::Broken], 1, P::Broken),
            (&[S::Prepared, S::Broken], 1, P::Prepared),
            (&[S::Cancelled, S::Nothing], 1, P::Open),
            (&[S::Prepared, S::Cancelled, S::Nothing], 2, P::Open),
            (&[S::Prepared, S::Cancelled, S::Prepared], 2, P::Prepared),
            (&[S::Prepared, S::Cancelled, S::Cancelled], 2, P::Cancelled),
        ];
        for (shown, threshold, expected) in rows {
            assert_eq!(preparation(shown, threshold), expected);
        }
    }
}
