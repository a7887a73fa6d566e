//! What brings one paid order forward: its preimage goes to the log, to the bank when time runs out, and afterwards both
//! are asked what became of it.

use std::{future::Future, sync::Arc, time::Duration};

use bauta_proto::{
    codec::Signed,
    ids::{LockTag, Txid},
    lock::{Capture, Lock, LockState, LockStatus, LockStatusRequest},
    log::{leaf::Deed, reader::FetchedCheckpoint},
    merchant::{Route, route},
    offer::Mode,
    problem::{Problem, ProblemKind},
    submission::{Promise, Submission},
    time::{Seconds, Timestamp},
    transport::{
        CallError, Transport, TransportError,
        archive::SubmitLeaf,
        bank::{CaptureLock, Status},
        call,
    },
};
use bauta_store::merchant::{MerchantCommand, Order, OrderState, Reason, SaleLeaf, Step};
use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, join},
    stream::FuturesUnordered,
};

use super::{Merchant, locked};

/// Longest pause between two questions about a sale that nobody decides.
const PAUSE_MAX: Seconds = Seconds(300);

/// What a bank says about a lock, under its signature.
pub(super) struct BankWord {
    pub(super) state: LockState,
    signed: Box<Signed<LockStatus>>,
}

/// Why log or bank did not confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unconfirmed {
    /// It may later: it was not reached, or was too busy.
    Temporary,
    /// It will not, however often it is asked.
    Refused,
    /// The bank denies the lock.
    Denied,
}

/// What logs said to a submission.
pub(super) struct Submitted {
    /// Their promises, which have been checked.
    pub(super) promises: Vec<Signed<Promise>>,
    /// Whether too many refused for good.
    is_hopeless: bool,
}

/// Keeps other tasks from an order for as long as it lives.
struct InHand<'a, T> {
    merchant: &'a Merchant<T>,
    txid: Txid,
}

impl<T> Drop for InHand<'_, T> {
    fn drop(&mut self) {
        locked(&self.merchant.in_hand).remove(&self.txid);
    }
}

impl<T: Transport + 'static> Merchant<T> {
    /// Stores a checked acceptance and brings its order forward at once; as [`advance`](Self::advance) otherwise.
    ///
    /// The order is in hand before it is on record: the job that finishes sales would else take it between the two, and
    /// its customer would have to ask again.
    pub(super) async fn sell(
        self: &Arc<Self>,
        txid: Txid,
        accept: MerchantCommand,
    ) -> Result<Option<Order>, Problem> {
        let in_hand = self.take_in_hand(txid);
        let order = self.apply(accept).await?;
        match in_hand {
            Some(_in_hand) => Ok(self.bring_forward(order).await),
            None => Ok(None),
        }
    }

    /// One attempt to bring a paid order forward; the order as it is on record afterwards. None if another task is at it,
    /// or the store failed.
    pub(super) async fn advance(self: &Arc<Self>, order: Order) -> Option<Order> {
        let _in_hand = self.take_in_hand(order.txid)?;
        self.bring_forward(order).await
    }

    async fn bring_forward(self: &Arc<Self>, order: Order) -> Option<Order> {
        let order = match order.state {
            OrderState::Accepted => self.begin(order).await?,
            _ => order,
        };
        match order.state {
            OrderState::Preparing => self.prepare(order).await,
            OrderState::Sent => self.confirm(order).await,
            OrderState::Unknown => self.ask(order).await,
            _ => Some(order),
        }
    }

    fn take_in_hand(&self, txid: Txid) -> Option<InHand<'_, T>> {
        let is_free = locked(&self.in_hand).insert(txid);
        is_free.then_some(InHand {
            merchant: self,
            txid,
        })
    }

    /// Lets the preimage, in mode SAFE what prepares, go if there is still time for it: two checkpoints and a bank round
    /// trip.
    async fn begin(&self, order: Order) -> Option<Order> {
        let now = self.now();
        let expiry = order.expiry()?;
        let step = if expiry < now.plus(self.margins.lock_min()) {
            Step::Fail {
                reason: Reason::TooLate,
                at: now,
            }
        } else {
            match order.offer.body.mode.mode() {
                Mode::Fast => Step::Send { at: now },
                Mode::Safe => Step::Prepare { at: now },
            }
        };
        self.step(order.txid, step).await
    }

    /// Brings the preimage where it has to go by now.
    pub(super) async fn confirm(self: &Arc<Self>, order: Order) -> Option<Order> {
        let lock = order.accept.as_ref()?.lock.clone();
        let submit = || self.submit_all(&order, &lock, Deed::Commit);
        let (submitted, word) = match self.route_of(&order)? {
            Route::Log => (submit().await, None),
            Route::LogAndBank => {
                let capture = self.capture(&order, &lock);
                let (submitted, word) = join(submit(), capture).await;
                (submitted, Some(word))
            }
            Route::Unknown | Route::Nowhere => {
                let lost = Step::Lose { due_at: self.now() };
                let order = self.step(order.txid, lost).await?;
                return self.ask(order).await;
            }
        };
        let order = self
            .record_promises(order, Deed::Commit, submitted.promises)
            .await?;
        if order.state != OrderState::Sent {
            return Some(order);
        }
        let step = match word {
            Some(word) => self.captured(&order, word),
            // Too few logs will ever take it: there is no reason to wait for half of the time.
            None if submitted.is_hopeless => {
                self.captured(&order, self.capture(&order, &lock).await)
            }
            None => self.later(&order, Some(Reason::OutOfReach)),
        };
        self.step(order.txid, step).await
    }

    /// Where the preimage of a sale goes, once it may go at all.
    pub(super) fn route_of(&self, order: &Order) -> Option<Route> {
        let since = match order.offer.body.mode.mode() {
            Mode::Fast => order.accepted_at?,
            Mode::Safe => order.sent_at?,
        };
        Some(route(since, order.commit_until()?, true, self.now()))
    }

    /// Asks logs and bank what became of a sale whose preimage was sent.
    async fn ask(self: &Arc<Self>, order: Order) -> Option<Order> {
        let lock = order.accept.as_ref()?.lock.clone();
        // A log that broke its promise would only repeat it, and is not asked again.
        let submitted = self.submit_all(&order, &lock, Deed::Commit).await;
        let order = self
            .record_promises(order, Deed::Commit, submitted.promises)
            .await?;
        if order.state != OrderState::Unknown {
            return Some(order);
        }
        let word = if self.now() <= lock.public.commit_until() {
            self.capture(&order, &lock).await
        } else {
            self.status(&lock).await
        };
        let step = self.captured(&order, word);
        self.step(order.txid, step).await
    }

    /// Writes the promises down, and what follows from them.
    pub(super) async fn record_promises(
        &self,
        order: Order,
        deed: Deed,
        promises: Vec<Signed<Promise>>,
    ) -> Option<Order> {
        if promises.is_empty() {
            return Some(order);
        }
        self.step(order.txid, self.promised(deed, promises)).await
    }

    /// Brings the preimage of a sale to the bank although the log has promised it: the log is late with the proof.
    pub(super) async fn insure(&self, order: &Order) -> Option<Order> {
        let lock = order.accept.as_ref()?.lock.clone();
        let word = self.capture(order, &lock).await.ok()?;
        if !matches!(word.state, LockState::Captured { .. }) {
            return None;
        }
        let step = self.captured(order, Ok(word));
        self.step(order.txid, step).await
    }

    /// P4: a leaf of the sale, brought to every log that takes it and has not promised it yet, all at once. Waits until
    /// enough have promised; what the others promise later is written down as it comes.
    pub(super) async fn submit_all(
        self: &Arc<Self>,
        order: &Order,
        lock: &Lock,
        deed: Deed,
    ) -> Submitted {
        let threshold = self.policy.log_threshold();
        let secrets = self.secrets(order);
        let preimage = match deed {
            Deed::Commit => *secrets.preimage.expose(),
            Deed::Prepare | Deed::Cancel => *secrets.prepare_preimage.expose(),
        };
        let submission = Arc::new(Submission::new(lock, deed, preimage));
        let is_kept = |leaf: &&SaleLeaf| leaf.deed == deed && leaf.evidence.is_none();
        let mut promised = order.leaves.iter().filter(is_kept).count();
        let logs = self.logs_for(lock.public.expiry);
        let names = logs.map(|log| log.name);
        let mut calls: FuturesUnordered<_> = names
            .filter(|name| order.leaf(name, deed).is_none())
            .map(|name| {
                Arc::clone(self)
                    .submit(name, Arc::clone(&submission))
                    .boxed()
            })
            .collect();
        let (mut promises, mut may_come_later) = (Vec::new(), 0);
        while promised < threshold
            && let Some(answer) = calls.next().await
        {
            match answer {
                Ok(promise) => {
                    promised += 1;
                    promises.push(promise);
                }
                Err(Unconfirmed::Temporary) => may_come_later += 1,
                Err(Unconfirmed::Refused | Unconfirmed::Denied) => {}
            }
        }
        if !calls.is_empty() {
            tokio::spawn(Arc::clone(self).record_later(order.txid, deed, calls));
        }
        Submitted {
            promises,
            is_hopeless: promised + may_come_later < threshold,
        }
    }

    /// Writes down what slower logs promise.
    async fn record_later(
        self: Arc<Self>,
        txid: Txid,
        deed: Deed,
        mut calls: FuturesUnordered<BoxFuture<'static, Result<Signed<Promise>, Unconfirmed>>>,
    ) {
        while let Some(answer) = calls.next().await {
            if let Ok(promise) = answer {
                let _written_or_logged = self.step(txid, self.promised(deed, vec![promise])).await;
            }
        }
    }

    /// One submission to one log. The promise has been checked to be the log's and for this leaf.
    async fn submit(
        self: Arc<Self>,
        log: [u8; 32],
        submission: Arc<Submission>,
    ) -> Result<Signed<Promise>, Unconfirmed> {
        let log = self.log(&log).ok_or(Unconfirmed::Refused)?;
        let transport = &*self.world.transport;
        let call = call::<SubmitLeaf, _>(transport, log.reader.url(), &submission);
        let promise = self.in_time(call).await;
        let promise = promise.map_err(|error| unconfirmed(&error))?;
        let said = promise
            .verified(&log.known.key.key)
            .map_err(|_| Unconfirmed::Refused)?;
        if said.log == log.name && said.leaf_hash == submission.leaf().hash() {
            Ok(promise)
        } else {
            tracing::warn!("a log's promise is for something else than was sent");
            Err(Unconfirmed::Refused)
        }
    }

    /// The preimage, brought to the bank.
    async fn capture(&self, order: &Order, lock: &Lock) -> Result<BankWord, Unconfirmed> {
        let payment = self.banks.get(&lock.public.bank);
        let url = &payment.ok_or(Unconfirmed::Temporary)?.url;
        let capture = Capture {
            lock_tag: lock.lock_tag(),
            preimage: *self.secrets(order).preimage.expose(),
        };
        let transport = &*self.world.transport;
        let answer = self.in_time(call::<CaptureLock, _>(transport, url, &capture));
        match answer.await {
            Ok(status) => bank_word(lock, status),
            Err(CallError::Refused(problem)) if is_decided(problem.kind) => self.status(lock).await,
            Err(error) => Err(unconfirmed(&error)),
        }
    }

    /// What the bank says about a lock.
    pub(super) async fn status(&self, lock: &Lock) -> Result<BankWord, Unconfirmed> {
        let payment = self.banks.get(&lock.public.bank);
        let url = &payment.ok_or(Unconfirmed::Temporary)?.url;
        let request = LockStatusRequest {
            bank: lock.public.bank,
            lock_tags: vec![lock.lock_tag()],
        };
        let transport = &*self.world.transport;
        let status = self.in_time(call::<Status, _>(transport, url, &request));
        bank_word(lock, status.await.map_err(|error| unconfirmed(&error))?)
    }

    /// Waits for an answer no longer than log or bank may take.
    async fn in_time<R>(
        &self,
        call: impl Future<Output = Result<R, CallError>>,
    ) -> Result<R, CallError> {
        let limit = Duration::from_secs(u64::from(self.margins.bank_round_trip.0));
        tokio::time::timeout(limit, call)
            .await
            .unwrap_or(Err(CallError::Transport(TransportError::Timeout)))
    }

    fn promised(&self, deed: Deed, promises: Vec<Signed<Promise>>) -> Step {
        let at = self.now();
        Step::Promise {
            deed,
            promises,
            threshold: self.policy.log_threshold(),
            at,
            due_at: at.plus(self.margins.checkpoint_interval),
        }
    }

    /// The step that keeps the proof of a kept promise.
    pub(super) fn logged(&self, leaf: &SaleLeaf, receipt: Vec<u8>) -> Step {
        Step::Log {
            log: leaf.log,
            deed: leaf.deed,
            receipt,
            threshold: self.policy.log_threshold(),
            due_at: self.now(),
        }
    }

    /// The step that keeps the proof of a broken promise.
    pub(super) fn broken(&self, leaf: &SaleLeaf, checkpoint: &FetchedCheckpoint) -> Step {
        tracing::error!("a log has another leaf where it promised one; both are kept");
        Step::BreakPromise {
            log: leaf.log,
            deed: leaf.deed,
            evidence: checkpoint.note().as_bytes().to_vec(),
            threshold: self.policy.log_threshold(),
            due_at: self.now(),
        }
    }

    /// The step that follows from the bank's word.
    pub(super) fn captured(&self, order: &Order, word: Result<BankWord, Unconfirmed>) -> Step {
        let now = self.now();
        match word {
            Ok(BankWord { state, signed }) => match state {
                LockState::Captured { .. } => Step::Capture {
                    word: signed,
                    at: now,
                },
                LockState::Released => Step::Fail {
                    reason: Reason::Released,
                    at: now,
                },
                LockState::Held | LockState::Prepared => self.later(order, None),
                LockState::Unknown => self.denied(order, now),
            },
            Err(Unconfirmed::Denied) => self.denied(order, now),
            Err(Unconfirmed::Temporary | Unconfirmed::Refused) => {
                self.later(order, Some(Reason::OutOfReach))
            }
        }
    }

    /// The bank denies its own lock: the operator has to talk to it, until the lock would have ended anyway.
    fn denied(&self, order: &Order, now: Timestamp) -> Step {
        let reason = Reason::LockDenied;
        let lock = order.accept.as_ref().map(|accept| &accept.lock);
        if lock.is_some_and(|lock| now > lock.private.settle_until) {
            Step::Fail { reason, at: now }
        } else {
            self.later(order, Some(reason))
        }
    }

    /// Another attempt: soon before the expiry, ever more rarely after it.
    pub(super) fn later(&self, order: &Order, reason: Option<Reason>) -> Step {
        let now = self.now();
        let pause = match order.state {
            OrderState::Unknown => doubled(Seconds(1), order.attempts, PAUSE_MAX),
            OrderState::Preparing => pause_since(order.expiry(), now),
            _ => Seconds(1),
        };
        Step::Defer {
            state: order.state,
            reason,
            due_at: now.plus(pause),
        }
    }

    /// Takes one step; none when it could not be written, which the writer has logged.
    pub(super) async fn step(&self, txid: Txid, step: Step) -> Option<Order> {
        self.apply(MerchantCommand::Step(txid, step)).await.ok()
    }
}

/// `pause`, doubled with each attempt.
pub(super) fn doubled(pause: Seconds, attempts: u32, longest: Seconds) -> Seconds {
    let factor = 1_u32.checked_shl(attempts).unwrap_or(u32::MAX);
    Seconds(pause.0.saturating_mul(factor).min(longest.0))
}

/// A quarter of the time that has passed since the expiry: what was just too late is noticed at once, and what stays
/// undecided through a long reveal window is not asked about again and again.
fn pause_since(expiry: Option<Timestamp>, now: Timestamp) -> Seconds {
    let passed = expiry.map_or(Seconds(0), |expiry| now.since(expiry));
    Seconds((passed.0 / 4).clamp(1, PAUSE_MAX.0))
}

/// The bank's word about `lock`, once its signature has been checked.
fn bank_word(lock: &Lock, status: Signed<LockStatus>) -> Result<BankWord, Unconfirmed> {
    let bank = lock.public.bank;
    let state = status
        .verified(&bank.key())
        .ok()
        .filter(|said| said.bank == bank)
        .and_then(|said| state_of(said, lock.lock_tag()))
        .ok_or(Unconfirmed::Refused)?;
    Ok(BankWord {
        state,
        signed: Box::new(status),
    })
}

fn state_of(status: &LockStatus, lock_tag: LockTag) -> Option<LockState> {
    let said = status.locks.iter().find(|said| said.lock_tag == lock_tag)?;
    Some(said.state.clone())
}

/// Refusals that mean that the bank has, or will have, a decision to tell.
const fn is_decided(problem: ProblemKind) -> bool {
    matches!(problem, ProblemKind::LockDecided | ProblemKind::LockExpired)
}

fn unconfirmed(error: &CallError) -> Unconfirmed {
    match error {
        CallError::Refused(problem) if problem.kind == ProblemKind::UnknownLock => {
            Unconfirmed::Denied
        }
        error if error.is_temporary() => Unconfirmed::Temporary,
        _ => Unconfirmed::Refused,
    }
}
