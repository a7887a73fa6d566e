//! What the shop does by itself: finishes sales, collects receipts, claims its money, forgets lapsed offers. Each step can
//! be called alone, and repeated at any time.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use bauta_io::threads::blocking;
use bauta_proto::{
    ids::BankId,
    limits::{CLAIMS_MAX, LEAF_PROOFS_MAX, REVEAL_WINDOW_MAX},
    lock::{Claim, ClaimOutcome, ClaimRequest, LeafProof},
    log::{leaf::Deed, reader::ReadError},
    time::{CLOCK_TOLERANCE, Seconds},
    transport::{CallError, Transport, bank::ClaimLocks, call},
};
use bauta_store::{
    StoreError,
    merchant::{MerchantStore, Order, OrderState, Reason, SaleLeaf, Step},
};
use futures_util::{StreamExt, future::join_all, stream};
use std::sync::atomic::Ordering;
use tokio::{sync::watch, time::MissedTickBehavior};

use super::{Merchant, locked, sale::doubled};
use crate::work::compute;

/// Orders that one look takes from the store.
const LOOK_MAX: usize = 1_024;
/// Sales that are brought forward at once.
pub(super) const PUSHES_AT_ONCE: usize = 64;
/// Lapsed offers that one transaction forgets.
const PRUNE_MAX: usize = 1_000;
/// Bytes of receipts in one request with claims; the rest of the request has room beside them.
const RECEIPTS_BYTES_MAX: usize = 900_000;
/// For how long cancels are kept behind the expiry of their locks: every sale whose preimage has not gone by then has failed.
const CANCELS_KEPT: Seconds = Seconds(REVEAL_WINDOW_MAX.0 + Seconds::hours(1).0);
/// Longest pause between two claims of one lock.
pub(super) const CLAIM_PAUSE_MAX: Seconds = Seconds::hours(1);
/// Time between two looks for unfinished sales and receipts.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Time between two looks for lapsed offers.
const PRUNE_INTERVAL: Duration = Duration::from_secs(60);

/// Why a step was not finished. What it did until then stands; the next round goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The store failed.
    #[error("the shop's store cannot be read or written")]
    Store(#[from] StoreError),
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Log(#[from] ReadError),
    /// A bank does not answer claims.
    #[error("a bank does not answer claims")]
    Bank(#[source] CallError),
    /// A bank answers claims with fewer or more outcomes than there were claims: it is at fault.
    #[error("a bank's answer does not fit the claims")]
    Outcomes,
    /// The process is shutting down.
    #[error("the process is shutting down")]
    Stopping,
}

/// All jobs side by side: a log or a bank that does not answer holds up nothing else.
pub(super) async fn run<T: Transport + 'static>(
    merchant: &Arc<Merchant<T>>,
    shutdown: watch::Receiver<bool>,
) {
    let claims = merchant.claim_interval;
    tokio::join!(
        every(LOOK_INTERVAL, shutdown.clone(), "pushing sales", || {
            merchant.push_commits()
        }),
        every(
            LOOK_INTERVAL,
            shutdown.clone(),
            "collecting receipts",
            || { merchant.collect_receipts() }
        ),
        every(
            LOOK_INTERVAL,
            shutdown.clone(),
            "following the logs",
            || { merchant.follow_logs() }
        ),
        every(claims, shutdown.clone(), "claiming", || merchant.claim()),
        every(PRUNE_INTERVAL, shutdown, "forgetting offers", || {
            merchant.expire()
        }),
    );
}

/// Takes a step at every interval until shutdown. A failure is logged when it begins, not for as long as it lasts.
async fn every<F: Future<Output = Result<usize, JobError>>>(
    interval: Duration,
    mut shutdown: watch::Receiver<bool>,
    job: &'static str,
    step: impl Fn() -> F,
) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_failing = false;
    loop {
        tokio::select! {
            // A sender that is gone means shutdown, too.
            _stopped = shutdown.wait_for(|stop| *stop) => return,
            _tick = ticks.tick() => {}
        }
        let outcome = step().await;
        if let Err(error) = &outcome
            && !was_failing
        {
            tracing::warn!(job, error = error as &dyn std::error::Error, "a job failed");
        }
        was_failing = outcome.is_err();
    }
}

impl<T: Transport + 'static> Merchant<T> {
    /// Brings forward every sale that is paid and not confirmed: after a crash, when the log did not answer, and when it
    /// became unknown. Returns how many came forward.
    ///
    /// # Errors
    /// [`JobError::Store`].
    pub async fn push_commits(self: &Arc<Self>) -> Result<usize, JobError> {
        let mut pushed = 0;
        for state in [
            OrderState::Sent,
            OrderState::Unknown,
            OrderState::Preparing,
            OrderState::Accepted,
        ] {
            let orders = self.due(state).await?;
            let attempts = stream::iter(orders).map(|order| self.advance(order));
            let outcomes = attempts.buffer_unordered(PUSHES_AT_ONCE);
            let came_forward = outcomes.filter(|order| {
                let came = order.as_ref().is_some_and(|order| order.state != state);
                std::future::ready(came)
            });
            pushed += came_forward.count().await;
        }
        Ok(pushed)
    }

    /// Claims the money of every sale that can be claimed. Returns how many were credited.
    ///
    /// # Errors
    /// [`JobError`]; banks that do answer are not kept waiting by one that does not.
    pub async fn claim(self: &Arc<Self>) -> Result<usize, JobError> {
        let mut by_bank: BTreeMap<BankId, Vec<Order>> = BTreeMap::new();
        for order in self.claimable().await? {
            let bank = order.offer.body.bank;
            by_bank.entry(bank).or_default().push(order);
        }
        let claims = by_bank
            .into_iter()
            .map(|(bank, orders)| self.claim_at(bank, orders));
        let outcomes = join_all(claims).await;
        outcomes.into_iter().sum()
    }

    /// Forgets offers that lapsed unpaid, and cancels of locks that expired. Returns how many offers.
    ///
    /// # Errors
    /// [`JobError::Store`].
    pub async fn expire(self: &Arc<Self>) -> Result<usize, JobError> {
        let now = self.now();
        let expired = now.minus(CANCELS_KEPT);
        self.prune(move |store| store.prune_cancels(expired, PRUNE_MAX))
            .await?;
        self.prune(move |store| store.prune(now, PRUNE_MAX)).await
    }

    /// Forgets some until there are no more.
    async fn prune(
        &self,
        some: impl Fn(&mut MerchantStore) -> Result<usize, StoreError> + Copy + Send + 'static,
    ) -> Result<usize, JobError> {
        let mut pruned = 0;
        loop {
            let store = Arc::clone(&self.store);
            let count = blocking(move || some(&mut locked(&store))).await;
            let count = count.map_err(|_| JobError::Stopping)??;
            pruned += count;
            if count < PRUNE_MAX {
                return Ok(pruned);
            }
        }
    }

    pub(super) async fn due(self: &Arc<Self>, state: OrderState) -> Result<Vec<Order>, JobError> {
        let (shop, now) = (Arc::clone(self), self.now());
        let due = compute(move || shop.reader().due(state, now, LOOK_MAX)).await;
        self.healthy.store(due.is_ok(), Ordering::Relaxed);
        Ok(due?)
    }

    /// Sales with a receipt or the bank's word, and those whose expiry has passed without one: the bank may have seen what
    /// this shop did not.
    async fn claimable(self: &Arc<Self>) -> Result<Vec<Order>, JobError> {
        let mut orders = self.due(OrderState::Logged).await?;
        orders.extend(self.due(OrderState::Captured).await?);
        let (promised, now) = (self.due(OrderState::Promised).await?, self.now());
        let is_over = |order: &Order| {
            let until = order.commit_until();
            until.is_some_and(|until| now > until.plus(CLOCK_TOLERANCE))
        };
        orders.extend(promised.into_iter().filter(is_over));
        Ok(orders)
    }

    async fn claim_at(&self, bank: BankId, orders: Vec<Order>) -> Result<usize, JobError> {
        let Some(payment) = self.banks.get(&bank) else {
            return Ok(0);
        };
        let mut credited = 0;
        for some in orders.chunks(CLAIMS_MAX) {
            let some: Vec<&Order> = some.iter().collect();
            let undecided = self
                .claim_some(bank, &payment.url, &some, false, &mut credited)
                .await?;
            for some in by_bytes(undecided) {
                self.claim_some(bank, &payment.url, &some, true, &mut credited)
                    .await?;
            }
        }
        Ok(credited)
    }

    /// One request. Claims that the bank has not decided yet and that can be proved come back.
    async fn claim_some<'a>(
        &self,
        bank: BankId,
        url: &str,
        orders: &[&'a Order],
        with_proof: bool,
        credited: &mut usize,
    ) -> Result<Vec<&'a Order>, JobError> {
        let claims = orders
            .iter()
            .filter_map(|order| self.claim_of(order, with_proof));
        let request = ClaimRequest {
            bank,
            claims: claims.collect(),
        };
        let transport = &*self.world.transport;
        let reply = call::<ClaimLocks, _>(transport, url, &request);
        let outcomes = reply.await.map_err(JobError::Bank)?.outcomes;
        if outcomes.len() != orders.len() || request.claims.len() != orders.len() {
            return Err(JobError::Outcomes);
        }
        let can_be_proved = |order: &&Order, outcome: ClaimOutcome| {
            !with_proof && outcome == ClaimOutcome::Undecided && receipts(order).next().is_some()
        };
        let (mut undecided, mut steps) = (Vec::new(), Vec::new());
        for (order, outcome) in orders.iter().copied().zip(outcomes) {
            if can_be_proved(&order, outcome) {
                undecided.push(order);
            } else {
                steps.push(self.step(order.txid, self.after_claim(order, outcome)));
            }
        }
        let taken = join_all(steps).await;
        let is_claimed = |order: &&Order| order.state == OrderState::Claimed;
        *credited += taken.iter().flatten().filter(is_claimed).count();
        Ok(undecided)
    }

    fn claim_of(&self, order: &Order, with_proof: bool) -> Option<Claim> {
        let lock = &order.accept.as_ref()?.lock;
        let secrets = self.secrets(order);
        let proof = |leaf: &SaleLeaf, receipt: &Vec<u8>| LeafProof {
            deed: leaf.deed,
            preimage: match leaf.deed {
                Deed::Commit => *secrets.preimage.expose(),
                Deed::Prepare | Deed::Cancel => *secrets.prepare_preimage.expose(),
            },
            receipt: receipt.clone(),
        };
        let proofs = receipts(order).filter(|_| with_proof);
        Some(Claim {
            lock_tag: lock.lock_tag(),
            payee: secrets.payee(lock.public.bank, order.account),
            proofs: proofs
                .take(LEAF_PROOFS_MAX)
                .map(|(leaf, receipt)| proof(leaf, receipt))
                .collect(),
        })
    }

    /// What follows from the bank's outcome.
    fn after_claim(&self, order: &Order, outcome: ClaimOutcome) -> Step {
        let at = self.now();
        let reason = match outcome {
            ClaimOutcome::Credited => return Step::Claim { at },
            ClaimOutcome::Released => {
                let reason = Reason::Released;
                return Step::Fail { reason, at };
            }
            ClaimOutcome::Undecided => Reason::Undecided,
            ClaimOutcome::Unknown => Reason::LockDenied,
            ClaimOutcome::WrongPayee => Reason::WrongPayee,
            ClaimOutcome::BadReceipt => Reason::BadReceipt,
            ClaimOutcome::Frozen => Reason::Frozen,
        };
        let lock = order.accept.as_ref().map(|accept| &accept.lock);
        let is_over = lock.is_some_and(|lock| at > lock.private.settle_until);
        // Money that only the operator keeps back does not end with the lock.
        if is_over && reason != Reason::Frozen {
            return Step::Fail { reason, at };
        }
        let interval = u32::try_from(self.claim_interval.as_secs()).unwrap_or(u32::MAX);
        let pause = doubled(Seconds(interval.max(1)), order.attempts, CLAIM_PAUSE_MAX);
        Step::Defer {
            state: order.state,
            reason: Some(reason),
            due_at: at.plus(pause),
        }
    }
}

/// What can be proved of a sale.
fn receipts(order: &Order) -> impl Iterator<Item = (&SaleLeaf, &Vec<u8>)> {
    let leaves = order.leaves.iter();
    leaves.filter_map(|leaf| Some((leaf, leaf.receipt.as_ref()?)))
}

/// Groups whose receipts fit into one request.
fn by_bytes(orders: Vec<&Order>) -> Vec<Vec<&Order>> {
    let mut groups: Vec<Vec<&Order>> = Vec::new();
    let mut room = 0;
    for order in orders {
        let bytes = receipts(order).map(|(_, receipt)| receipt.len()).sum();
        match groups.last_mut() {
            Some(group) if bytes <= room => group.push(order),
            _ => {
                groups.push(vec![order]);
                room = RECEIPTS_BYTES_MAX;
            }
        }
        room = room.saturating_sub(bytes);
    }
    groups
}
