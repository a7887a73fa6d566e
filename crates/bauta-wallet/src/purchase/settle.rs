//! The steps behind the lock: the preimage, from whoever has it, or the money back; then the receipt.

use std::time::Duration;

use bauta_crypto::merkle::Frontier;
use bauta_proto::{
    accept::Delivery,
    codec::Signed,
    decision::{Age, age},
    lock::{LockState, LockStatus, LockStatusRequest},
    log::{
        leaf::Deed,
        reader::{FetchedCheckpoint, LogReader, ReadError},
    },
    problem::ProblemKind,
    submission::Promise,
    time::{Seconds, Timestamp},
    transport::{CallError, Transport, bank as bank_endpoints, merchant},
};

use futures_util::future::join_all;

use super::{
    Accepting, Delivered, Locking, Purchase, Receipted, Returned, Stage,
    cancel::decided_at,
    drive::{Progress, Waiting, waiting},
};
use crate::{
    error::{Result, WalletError},
    observer::{Event, Send, Write},
    records::CoinUse,
    store::Batch,
    wallet::Wallet,
};

/// How long after expiry and tolerance a bank may take to read the log's next checkpoint.
pub(super) const RELEASE_GRACE: Seconds = Seconds(10);
pub(super) const SOON: Duration = Duration::from_secs(1);

/// The preimage, and who says so.
struct Found {
    preimage: [u8; 32],
    promises: Vec<Signed<Promise>>,
    /// What the bank says about the lock, if it was asked.
    word: Option<Signed<LockStatus>>,
    /// Whether it says that the money is back.
    is_released: bool,
}

/// A commit in a log.
struct FoundLeaf {
    preimage: [u8; 32],
    index: u64,
}

impl<T: Transport> Wallet<T> {
    /// Asks the merchant for the preimage, and when it does not give it, the bank and the log: whoever paid the merchant
    /// has it.
    pub(crate) async fn accept(
        &mut self,
        purchase: Purchase,
        accepting: Accepting,
    ) -> Result<Progress> {
        let asked = self
            .call::<merchant::AcceptOffer>(Send::Accept, &purchase.shop_url, &accepting.accept)
            .await;
        let trouble = match asked {
            Ok(delivery) if is_right(&delivery, &accepting) => {
                let found = Found {
                    preimage: delivery.preimage,
                    promises: delivery.promises,
                    word: None,
                    is_released: false,
                };
                return self.deliver(purchase, accepting, found).await;
            }
            Ok(_) => Trouble::Final("the merchant sent a wrong key".to_owned()),
            Err(error) => Trouble::of(&error),
        };
        let is_over = self.now() > accepting.lock.public.expiry;
        if matches!(trouble, Trouble::Pending) && !is_over {
            return Ok(waiting(self.now(), SOON));
        }
        let (mut is_prepared, mut released) = (false, None);
        match self.state_at_bank(&purchase, &accepting).await {
            Ok((LockState::Captured { preimage }, status)) if opens(&accepting, &preimage) => {
                let found = Found {
                    preimage,
                    promises: Vec::new(),
                    word: Some(status),
                    is_released: false,
                };
                return self.deliver(purchase, accepting, found).await;
            }
            // A bank that lies would say this, too.
            Ok((LockState::Released, status)) => released = Some(status),
            // Held, unknown or out of reach: the logs may know.
            Ok((state, _)) => is_prepared = state == LockState::Prepared,
            Err(WalletError::Bank(_)) => {}
            Err(error) => return Err(error),
        }
        let in_logs = self.leaf_in_logs(&purchase, &accepting).await;
        match (in_logs, released) {
            (Ok(Some(preimage)), released) => {
                let found = Found {
                    preimage,
                    promises: Vec::new(),
                    is_released: released.is_some(),
                    word: released,
                };
                self.deliver(purchase, accepting, found).await
            }
            (Ok(None) | Err(WalletError::Log(_)), Some(released)) => {
                self.take_back(purchase, accepting, released).await
            }
            (Ok(None) | Err(WalletError::Log(_)), None) => {
                let decided_at = decided_at(&accepting.lock, is_prepared, self.now());
                self.keep_waiting(purchase, decided_at, trouble)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Nobody has decided yet. Notes what the merchant said, and when to come again.
    fn keep_waiting(
        &mut self,
        mut purchase: Purchase,
        decided_at: Timestamp,
        trouble: Trouble,
    ) -> Result<Progress> {
        let now = self.now();
        let is_long = match trouble {
            Trouble::Pending | Trouble::Passing => false,
            Trouble::Final(trouble) => {
                if purchase.trouble != trouble {
                    purchase.trouble = trouble;
                    let mut batch = Batch::new();
                    batch.put(&purchase);
                    self.commit(Write::Lock, batch)?;
                }
                now < decided_at
            }
        };
        Ok(Progress::Waiting(Waiting {
            again_at: decided_at.max(now.plus(RELEASE_GRACE)),
            is_long,
        }))
    }

    /// Keeps the preimage; the coins are the merchant's now, unless the bank says that their value is back.
    async fn deliver(
        &mut self,
        purchase: Purchase,
        accepting: Accepting,
        found: Found,
    ) -> Result<Progress> {
        let (bank, mut batch) = (purchase.bank, Batch::new());
        for mut coin in self.paying_coins(&purchase)? {
            coin.state = CoinUse::Unsure;
            match found.is_released {
                true => batch.put(&coin),
                false => batch.remove(&coin),
            }
        }
        let delivered = Delivered {
            accepting,
            preimage: found.preimage,
            promises: found.promises,
            word: found.word,
        };
        let stage = Stage::Delivered(Box::new(delivered));
        let progress = self.advance(purchase, stage, Write::Delivery, batch)?;
        if found.is_released {
            self.ask_unsure_coins(bank).await?;
        }
        Ok(progress)
    }

    /// The lock was released: the coins have their value back, under a new sequence number that the bank is asked for. Its
    /// signed word is kept: should the value not be there, it is the proof.
    pub(super) async fn take_back(
        &mut self,
        purchase: Purchase,
        accepting: Accepting,
        word: Signed<LockStatus>,
    ) -> Result<Progress> {
        let bank = purchase.bank;
        let mut batch = Batch::new();
        for mut coin in self.paying_coins(&purchase)? {
            coin.state = CoinUse::Unsure;
            batch.put(&coin);
        }
        let trouble = purchase.trouble.clone();
        let mut returned = purchase;
        returned.stage = Stage::Returned(Box::new(Returned { accepting, word }));
        returned.trouble = trouble;
        batch.put(&returned);
        self.commit(Write::Ended, batch)?;
        self.ask_unsure_coins(bank).await?;
        Ok(Progress::Ended)
    }

    pub(super) async fn state_at_bank(
        &mut self,
        purchase: &Purchase,
        accepting: &Accepting,
    ) -> Result<(LockState, Signed<LockStatus>)> {
        let bank = self.bank(purchase.bank)?;
        let lock_tag = accepting.lock.lock_tag();
        let request = LockStatusRequest {
            bank: bank.bank,
            lock_tags: vec![lock_tag],
        };
        let status = self
            .call::<bank_endpoints::Status>(Send::LockStatus, &bank.url, &request)
            .await
            .map_err(WalletError::Bank)?;
        let verified = status.verified(&bank.bank.key());
        let verified = verified.map_err(|_| WalletError::BankAnswer)?;
        match verified.locks.as_slice() {
            [answer] if answer.lock_tag == lock_tag && verified.bank == bank.bank => {
                let state = answer.state.clone();
                Ok((state, status))
            }
            _ => Err(WalletError::BankAnswer),
        }
    }

    /// The preimage, if any log has it; an error only if no log could be read.
    async fn leaf_in_logs(
        &mut self,
        purchase: &Purchase,
        accepting: &Accepting,
    ) -> Result<Option<[u8; 32]>> {
        let bank = self.bank(purchase.bank)?;
        let readers = self.log_readers(&bank, accepting.lock.public.expiry)?;
        self.observe(Event::BeforeSend(Send::Log));
        let searches = readers.iter().map(|reader| search(reader, accepting));
        let found = join_all(searches).await;
        self.observe(Event::AfterSend(Send::Log));
        let is_silent = found.iter().all(Result::is_err);
        let mut failure = None;
        for found in found {
            match found {
                Ok(Some(found)) => return Ok(Some(found.preimage)),
                Ok(None) => {}
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if is_silent => Err(error),
            _ => Ok(None),
        }
    }

    /// Fetches the receipts of enough logs: their promises say where the leaf is, otherwise it is looked for.
    pub(crate) async fn fetch_receipt(
        &mut self,
        purchase: Purchase,
        delivered: Delivered,
    ) -> Result<Progress> {
        let bank = self.bank(purchase.bank)?;
        let expiry = delivered.accepting.lock.public.expiry;
        let readers = self.log_readers(&bank, expiry)?;
        let threshold = bank.parsed_policy()?.log_threshold();
        self.observe(Event::BeforeSend(Send::Log));
        let looks = readers.iter().map(|reader| receipt(reader, &delivered));
        let looks = join_all(looks).await;
        self.observe(Event::AfterSend(Send::Log));
        match receipts(looks, threshold) {
            Ok(Some(receipts)) => {
                let stage = Stage::Receipted(Box::new(Receipted {
                    delivered,
                    receipts,
                }));
                self.advance(purchase, stage, Write::Receipt, Batch::new())
            }
            Ok(None) => Ok(waiting(self.now(), SOON)),
            Err(WalletError::Log(error)) if error.is_temporary() => Ok(waiting(self.now(), SOON)),
            Err(error) => Err(error),
        }
    }
}

/// What the merchant's refusal means.
enum Trouble {
    /// It is at work.
    Pending,
    /// No answer, or none that lasts.
    Passing,
    /// It will not deliver, in its own words.
    Final(String),
}

impl Trouble {
    fn of(error: &CallError) -> Self {
        match error {
            CallError::Refused(problem)
                if matches!(
                    problem.kind,
                    ProblemKind::DeliveryPending | ProblemKind::Overloaded
                ) =>
            {
                Self::Pending
            }
            error if error.is_temporary() => Self::Passing,
            error => Self::Final(error.to_string()),
        }
    }
}

fn is_right(delivery: &Delivery, accepting: &Accepting) -> bool {
    delivery.txid == accepting.locking.offered.opened().txid()
        && opens(accepting, &delivery.preimage)
}

fn opens(accepting: &Accepting, preimage: &[u8; 32]) -> bool {
    bauta_proto::lock::opens(preimage, &accepting.lock.public.hash_lock)
}

/// Where reading a log for this lock begins. A log that did not answer when the lock was asked for is read from its first
/// leaf on.
pub(super) fn begin_at<T: Transport>(reader: &LogReader<T>, locking: &Locking) -> Frontier {
    let name = Promise::log_name(reader.origin());
    let mark = locking.logs.iter().find(|mark| mark.log == name);
    let begin = mark.and_then(|mark| Frontier::from_parts(mark.size, mark.edge.clone()));
    begin.unwrap_or_default()
}

/// Looks for the commit of a lock in what a log got since the lock was asked for.
async fn search<T: Transport>(
    reader: &LogReader<T>,
    accepting: &Accepting,
) -> Result<Option<FoundLeaf>> {
    let checkpoint = reader.checkpoint().await.map_err(WalletError::Log)?;
    search_in(reader, accepting, &checkpoint).await
}

async fn search_in<T: Transport>(
    reader: &LogReader<T>,
    accepting: &Accepting,
    checkpoint: &FetchedCheckpoint,
) -> Result<Option<FoundLeaf>> {
    let lock = &accepting.lock.public;
    let mut frontier = begin_at(reader, &accepting.locking);
    loop {
        let read = reader.entries(&frontier, checkpoint).await;
        let read = read.map_err(WalletError::Log)?;
        let mut leaves = read.indices.iter().zip(&read.leaves);
        let found = leaves.find(|(_, leaf)| lock.deed_of(leaf) == Some(Deed::Commit));
        if let Some((index, leaf)) = found {
            return Ok(Some(FoundLeaf {
                preimage: leaf.value,
                index: *index,
            }));
        }
        if read.complete {
            return Ok(None);
        }
        frontier = read.frontier;
    }
}

/// What one log has to show for a commit.
enum Shown {
    /// The receipt's text.
    Receipt(Vec<u8>),
    /// Nothing yet.
    NotYet,
    /// Nothing, for ever.
    Never,
}

async fn receipt<T: Transport>(reader: &LogReader<T>, delivered: &Delivered) -> Result<Shown> {
    let public = &delivered.accepting.lock.public;
    let leaf = public.leaf(Deed::Commit, delivered.preimage);
    let checkpoint = reader.checkpoint().await.map_err(WalletError::Log)?;
    let is_late = age(checkpoint.checked(), public.commit_until()) == Age::Late;
    let name = Promise::log_name(reader.origin());
    let mut promises = delivered.promises.iter();
    if let Some(promise) = promises.find(|promise| promise.body.log == name) {
        match reader.receipt(promise.body.index, &leaf, &checkpoint).await {
            Ok(receipt) => return Ok(Shown::Receipt(receipt.to_text().into_bytes())),
            Err(ReadError::NotYet) if !is_late => return Ok(Shown::NotYet),
            // The promise is not to be believed: the leaf is looked for.
            Err(ReadError::NotYet | ReadError::OtherLeaf(_)) => {}
            Err(error) => return Err(WalletError::Log(error)),
        }
    }
    match search_in(reader, &delivered.accepting, &checkpoint).await? {
        Some(found) => {
            let receipt = reader.receipt(found.index, &leaf, &checkpoint).await;
            let receipt = receipt.map_err(WalletError::Log)?;
            Ok(Shown::Receipt(receipt.to_text().into_bytes()))
        }
        // After a late checkpoint no leaf can come any more: the bank took the preimage itself.
        None if is_late => Ok(Shown::Never),
        None => Ok(Shown::NotYet),
    }
}

/// The receipts of enough logs, or all that there will ever be; none as long as more may come.
fn receipts(looks: Vec<Result<Shown>>, threshold: usize) -> Result<Option<Vec<Vec<u8>>>> {
    let (mut receipts, mut open, mut failure) = (Vec::new(), 0, None);
    for look in looks {
        match look {
            Ok(Shown::Receipt(receipt)) => receipts.push(receipt),
            Ok(Shown::NotYet) => open += 1,
            Ok(Shown::Never) => {}
            Err(error) => failure = Some(error),
        }
    }
    if receipts.len() >= threshold {
        return Ok(Some(receipts));
    }
    match failure {
        Some(error) if open == 0 => Err(error),
        None if receipts.len() + open < threshold => Ok(Some(receipts)),
        _ => Ok(None),
    }
}
