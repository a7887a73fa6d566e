//! Taking back a lock that its merchant has not prepared yet (mode SAFE, figure 3).

use bauta_crypto::merkle::Frontier;
use bauta_proto::{
    codec::Signed,
    decision::{LogView, Outcome, Words, outcome},
    lock::{Lock, LockState},
    log::{
        leaf::Deed,
        policy::KnownLog,
        reader::{LogReader, ReadError},
    },
    offer::Mode,
    submission::{Promise, Submission},
    time::{CLOCK_TOLERANCE, Seconds, Timestamp},
    transport::{Transport, archive::SubmitLeaf, call},
};
use futures_util::future::join_all;
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use super::{
    Accepting, Purchase, PurchaseId, Stage,
    drive::{Progress, Waiting, waiting},
    settle::{RELEASE_GRACE, SOON, begin_at},
};
use crate::{
    error::{Result, WalletError},
    observer::{Event, Send, Write},
    records::Bank,
    store::Batch,
    wallet::Wallet,
};

/// The owner wants a purchase in mode SAFE back.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Cancelling {
    /// What logs promised: the cancel stands there.
    pub promises: Vec<Signed<Promise>>,
    /// What became of it.
    pub outcome: CancelOutcome,
}

/// What became of the wish to cancel.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize, serde::Serialize,
)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum CancelOutcome {
    /// The logs decide; the purchase ends with the money back, or this becomes too late.
    Wanted = 1,
    /// The merchant had prepared: the purchase goes on.
    TooLate = 2,
}

impl Purchase {
    /// Whether it waits for a cancel to be decided.
    pub(super) fn is_cancelling(&self) -> bool {
        let cancel = self.cancel.as_ref();
        cancel.is_some_and(|cancel| cancel.outcome == CancelOutcome::Wanted)
    }

    /// How it is decided.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match &self.stage {
            Stage::Ordering(ordering) => ordering.order.mode,
            stage => stage
                .offered()
                .map_or(Mode::Fast, |offered| offered.order.mode),
        }
    }
}

impl<T: Transport> Wallet<T> {
    /// Gives up a purchase: at once if no money has been asked for, in mode SAFE also when it is locked, until the merchant
    /// has prepared. What was begun is decided by [`Wallet::finish_purchase`] or [`Wallet::resume`].
    ///
    /// # Errors
    /// [`WalletError::TooLate`] when it goes further than that.
    pub fn cancel(&mut self, id: PurchaseId) -> Result<()> {
        let mut purchase = self.purchase(id)?;
        match purchase.stage {
            Stage::Ordering(_) | Stage::Offered(_) | Stage::Downloaded(_) => {
                BY_THE_OWNER.clone_into(&mut purchase.trouble);
                self.commit_refused(purchase, Batch::new())
            }
            Stage::Refused => Ok(()),
            Stage::Locking(_) | Stage::Accepting(_) if purchase.mode() == Mode::Safe => {
                self.want_back(purchase)
            }
            _ => Err(WalletError::TooLate),
        }
    }

    fn want_back(&mut self, mut purchase: Purchase) -> Result<()> {
        match &purchase.cancel {
            Some(cancel) if cancel.outcome == CancelOutcome::TooLate => Err(WalletError::TooLate),
            Some(_) => Ok(()),
            None => {
                purchase.cancel = Some(Cancelling {
                    promises: Vec::new(),
                    outcome: CancelOutcome::Wanted,
                });
                BY_THE_OWNER.clone_into(&mut purchase.trouble);
                self.write_cancel(&purchase)
            }
        }
    }

    fn write_cancel(&mut self, purchase: &Purchase) -> Result<()> {
        let mut batch = Batch::new();
        batch.put(purchase);
        self.commit(Write::Cancel, batch)
    }

    /// Brings the cancel to the logs and asks what became of the lock. The merchant hears nothing of it: a lock that it has
    /// not seen it cannot prepare.
    pub(super) async fn take_lock_back(
        &mut self,
        purchase: Purchase,
        accepting: Accepting,
    ) -> Result<Progress> {
        let purchase = self.submit_cancel(purchase, &accepting.lock).await?;
        let now = self.now();
        let decided_at = accepting.lock.public.expiry.plus(CLOCK_TOLERANCE);
        let is_overdue = now > decided_at.plus(RELEASE_GRACE);
        match self.state_at_bank(&purchase, &accepting).await {
            Ok((LockState::Captured { .. } | LockState::Prepared, _)) => {
                return self.cancel_is_too_late(purchase);
            }
            Ok((LockState::Released, word)) => {
                return self.take_back(purchase, accepting, word).await;
            }
            Ok(_) if !is_overdue => return Ok(waiting(now, SOON)),
            // The bank does not decide or is out of reach: the logs say whether it still can go back.
            Ok(_) | Err(WalletError::Bank(_)) => {}
            Err(error) => return Err(error),
        }
        match self.outcome_in_logs(&purchase, &accepting).await? {
            Outcome::Prepared | Outcome::Captured => self.cancel_is_too_late(purchase),
            Outcome::Held | Outcome::Released => Ok(Progress::Waiting(Waiting {
                again_at: now.plus(RELEASE_GRACE),
                is_long: is_overdue,
            })),
        }
    }

    /// The merchant has prepared: the purchase goes on as any other.
    fn cancel_is_too_late(&mut self, mut purchase: Purchase) -> Result<Progress> {
        if let Some(cancel) = &mut purchase.cancel {
            cancel.outcome = CancelOutcome::TooLate;
        }
        TOO_LATE.clone_into(&mut purchase.trouble);
        self.write_cancel(&purchase)?;
        Ok(Progress::Moved)
    }

    /// Brings the cancel to every log that has not promised it yet, and keeps the promises.
    async fn submit_cancel(&mut self, mut purchase: Purchase, lock: &Lock) -> Result<Purchase> {
        let Some(cancel) = purchase.cancel.as_mut() else {
            return Ok(purchase);
        };
        if self.now() > lock.public.taken_until(Deed::Cancel) {
            return Ok(purchase);
        }
        let bank = self.bank(purchase.bank)?;
        let policy = bank.parsed_policy()?;
        let order = purchase.stage.offered().map(|offered| &offered.order);
        let nonce = order.map(|order| order.nonce).unwrap_or_default();
        let secret = self.seed.cancel_secret(purchase.bank, &nonce);
        let submission = Submission::new(lock, Deed::Cancel, *secret.expose());
        let has_promised = |log: &&KnownLog| {
            let name = Promise::log_name(&log.key.name);
            cancel.promises.iter().any(|said| said.body.log == name)
        };
        let logs = policy.logs_for(lock.public.expiry);
        let asked: Vec<&KnownLog> = logs.filter(|log| !has_promised(log)).collect();
        if asked.is_empty() {
            return Ok(purchase);
        }
        self.observer.observe(Event::BeforeSend(Send::Cancel));
        let transport = &*self.transport;
        let calls = asked.iter().map(|log| submit(transport, log, &submission));
        let promises = join_all(calls).await;
        self.observer.observe(Event::AfterSend(Send::Cancel));
        let known = cancel.promises.len();
        cancel.promises.extend(promises.into_iter().flatten());
        if cancel.promises.len() > known {
            self.write_cancel(&purchase)?;
        }
        Ok(purchase)
    }

    /// What the logs themselves say about the lock, as the rule has it.
    async fn outcome_in_logs(
        &mut self,
        purchase: &Purchase,
        accepting: &Accepting,
    ) -> Result<Outcome> {
        let bank: Bank = self.bank(purchase.bank)?;
        let readers = self.log_readers(&bank, accepting.lock.public.expiry)?;
        let threshold = bank.parsed_policy()?.log_threshold();
        self.observe(Event::BeforeSend(Send::Log));
        let views = readers.iter().map(|reader| words(reader, accepting));
        let views = join_all(views).await;
        self.observe(Event::AfterSend(Send::Log));
        // A log that does not answer has said nothing.
        let views: Vec<Words> = views
            .into_iter()
            .map(|view| view.unwrap_or(SILENT))
            .collect();
        Ok(outcome(&views, threshold))
    }
}

const BY_THE_OWNER: &str = "cancelled by the owner";
const TOO_LATE: &str = "too late to cancel: the seller had prepared";
const SILENT: Words = Words {
    taken: bauta_proto::decision::Word::Open,
    committed: bauta_proto::decision::Word::Open,
};

/// One log's promise of the cancel; none if it did not give one that it signed for this leaf.
async fn submit<T: Transport>(
    transport: &T,
    log: &KnownLog,
    submission: &Submission,
) -> Option<Signed<Promise>> {
    let promise = call::<SubmitLeaf, _>(transport, log.url.as_ref()?, submission).await;
    let promise = promise.ok()?;
    let said = promise.verified(&log.key.key).ok()?;
    let is_meant =
        said.log == Promise::log_name(&log.key.name) && said.leaf_hash == submission.leaf().hash();
    is_meant.then_some(promise)
}

/// What one log has shown about a lock since it was asked for.
async fn words<T: Transport>(
    reader: &LogReader<T>,
    accepting: &Accepting,
) -> std::result::Result<Words, ReadError> {
    let lock = &accepting.lock.public;
    let checkpoint = reader.checkpoint().await?;
    let mut frontier: Frontier = begin_at(reader, &accepting.locking);
    let mut view = LogView::default();
    loop {
        let read = reader.entries(&frontier, &checkpoint).await?;
        let deeds = read.leaves.iter().filter_map(|leaf| lock.deed_of(leaf));
        deeds.for_each(|deed| view.read(lock, deed, checkpoint.checked()));
        if read.complete {
            return Ok(view.words(lock, Some(checkpoint.checked())));
        }
        frontier = read.frontier;
    }
}

/// Until when a purchase that stands like this can be cancelled; none if it cannot, or ends by cancelling at any time.
pub(super) fn cancellable_until(purchase: &Purchase) -> Option<Timestamp> {
    if purchase.mode() != Mode::Safe || purchase.cancel.is_some() {
        return None;
    }
    match &purchase.stage {
        Stage::Locking(locking) => Some(locking.request.body.expiry),
        Stage::Accepting(accepting) => Some(accepting.lock.public.expiry),
        _ => None,
    }
}

/// When a lock that is held at this moment will be decided at the latest, as far as its payer knows.
pub(super) fn decided_at(lock: &Lock, is_prepared: bool, now: Timestamp) -> Timestamp {
    let slack = |moment: Timestamp| moment.plus(CLOCK_TOLERANCE).plus(Seconds(RELEASE_GRACE.0));
    let by_expiry = slack(lock.public.expiry);
    if is_prepared || now > by_expiry {
        slack(lock.public.commit_until())
    } else {
        by_expiry
    }
}
