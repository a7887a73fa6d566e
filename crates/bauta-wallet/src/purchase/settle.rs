//! The steps behind the lock: the preimage, from whoever has it, or the money back; then the receipt.

use std::time::Duration;

use bauta_crypto::merkle::Frontier;
use bauta_proto::{
    accept::Delivery,
    codec::Signed,
    decision::{Age, age},
    ids::LockTag,
    lock::{LockState, LockStatus, LockStatusRequest},
    log::{
        leaf::{Deed, Leaf},
        reader::{FetchedCheckpoint, LogReader, ReadError},
    },
    problem::ProblemKind,
    submission::Promise,
    time::{CLOCK_TOLERANCE, Seconds},
    transport::{CallError, Transport, bank as bank_endpoints, merchant},
};

use super::{
    Accepting, Delivered, Purchase, Receipted, Stage,
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
const RELEASE_GRACE: Seconds = Seconds(10);
const SOON: Duration = Duration::from_secs(1);

/// The preimage, and who says so.
struct Found {
    preimage: [u8; 32],
    promise: Option<Signed<Promise>>,
    captured: Option<Signed<LockStatus>>,
}

/// A leaf in the log.
struct FoundLeaf {
    leaf: Leaf,
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
                    promise: delivery.promises.into_iter().next(),
                    captured: None,
                };
                return self.deliver(purchase, accepting, found);
            }
            Ok(_) => Trouble::Final("the merchant sent a wrong key".to_owned()),
            Err(error) => Trouble::of(&error),
        };
        let is_over = self.now() > accepting.lock.public.expiry;
        if matches!(trouble, Trouble::Pending) && !is_over {
            return Ok(waiting(self.now(), SOON));
        }
        match self.state_at_bank(&purchase, &accepting).await {
            Ok((LockState::Captured { preimage }, status)) if opens(&accepting, &preimage) => {
                let found = Found {
                    preimage,
                    promise: None,
                    captured: Some(status),
                };
                return self.deliver(purchase, accepting, found);
            }
            Ok((LockState::Released, _)) => return self.take_back(purchase, accepting).await,
            // Held, unknown or out of reach: the log may know.
            Ok(_) | Err(WalletError::Bank(_)) => {}
            Err(error) => return Err(error),
        }
        match self.leaf_in_log(&purchase, &accepting).await {
            Ok(Some(found)) if opens(&accepting, &found.leaf.value) => {
                let found = Found {
                    preimage: found.leaf.value,
                    promise: None,
                    captured: None,
                };
                self.deliver(purchase, accepting, found)
            }
            Ok(_) | Err(WalletError::Log(_)) => self.keep_waiting(purchase, &accepting, trouble),
            Err(error) => Err(error),
        }
    }

    /// Nobody has decided yet. Notes what the merchant said, and when to come again.
    fn keep_waiting(
        &mut self,
        mut purchase: Purchase,
        accepting: &Accepting,
        trouble: Trouble,
    ) -> Result<Progress> {
        let now = self.now();
        let decided_at = accepting
            .lock
            .public
            .expiry
            .plus(CLOCK_TOLERANCE)
            .plus(RELEASE_GRACE);
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

    /// Keeps the preimage; the coins are the merchant's now.
    fn deliver(
        &mut self,
        purchase: Purchase,
        accepting: Accepting,
        found: Found,
    ) -> Result<Progress> {
        let mut batch = Batch::new();
        for coin in self.paying_coins(&purchase)? {
            batch.remove(&coin);
        }
        let delivered = Delivered {
            accepting,
            preimage: found.preimage,
            promise: found.promise,
            captured: found.captured,
        };
        let stage = Stage::Delivered(Box::new(delivered));
        self.advance(purchase, stage, Write::Delivery, batch)
    }

    /// The lock was released: the coins have their value back, under a new sequence number that the bank is asked for.
    async fn take_back(&mut self, purchase: Purchase, accepting: Accepting) -> Result<Progress> {
        let bank = purchase.bank;
        let mut batch = Batch::new();
        for mut coin in self.paying_coins(&purchase)? {
            coin.state = CoinUse::Unsure;
            batch.put(&coin);
        }
        let trouble = purchase.trouble.clone();
        let mut returned = purchase;
        returned.stage = Stage::Returned(Box::new(accepting));
        returned.trouble = trouble;
        batch.put(&returned);
        self.commit(Write::Ended, batch)?;
        self.ask_unsure_coins(bank).await?;
        Ok(Progress::Ended)
    }

    async fn state_at_bank(
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

    async fn leaf_in_log(
        &mut self,
        purchase: &Purchase,
        accepting: &Accepting,
    ) -> Result<Option<FoundLeaf>> {
        let bank = self.bank(purchase.bank)?;
        let reader = self.log_reader(&bank)?;
        self.observe(Event::BeforeSend(Send::Log));
        let found = search(&reader, accepting).await;
        self.observe(Event::AfterSend(Send::Log));
        Ok(found?.1)
    }

    /// Fetches the receipt: the promise says where the leaf is, otherwise it is looked for.
    pub(crate) async fn fetch_receipt(
        &mut self,
        purchase: Purchase,
        delivered: Delivered,
    ) -> Result<Progress> {
        let bank = self.bank(purchase.bank)?;
        let reader = self.log_reader(&bank)?;
        self.observe(Event::BeforeSend(Send::Log));
        let receipt = receipt(&reader, &delivered).await;
        self.observe(Event::AfterSend(Send::Log));
        match receipt {
            Ok(Some(receipt)) => {
                let stage = Stage::Receipted(Box::new(Receipted { delivered, receipt }));
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

/// Looks for the commit of a lock in what the log got since the lock was asked for.
async fn search<T: Transport>(
    reader: &LogReader<T>,
    accepting: &Accepting,
) -> Result<(FetchedCheckpoint, Option<FoundLeaf>)> {
    let checkpoint = reader.checkpoint().await.map_err(WalletError::Log)?;
    let found = search_in(reader, accepting, &checkpoint).await?;
    Ok((checkpoint, found))
}

async fn search_in<T: Transport>(
    reader: &LogReader<T>,
    accepting: &Accepting,
    checkpoint: &FetchedCheckpoint,
) -> Result<Option<FoundLeaf>> {
    let locking = &accepting.locking;
    let tag: LockTag = accepting.lock.lock_tag();
    let start = Frontier::from_parts(locking.log_size, locking.log_edge.clone());
    let mut frontier = start.unwrap_or_default();
    loop {
        let begun_at = frontier.size();
        let read = reader.entries(&frontier, checkpoint).await;
        let read = read.map_err(WalletError::Log)?;
        let place = read
            .leaves
            .iter()
            .position(|leaf| leaf.about_lock() == Some((tag, Deed::Commit)));
        if let Some(place) = place {
            return Ok(Some(FoundLeaf {
                leaf: read.leaves[place].clone(),
                index: begun_at + place as u64,
            }));
        }
        if read.complete {
            return Ok(None);
        }
        frontier = read.frontier;
    }
}

/// The receipt's text; none as long as it is not there; empty when it never will be.
async fn receipt<T: Transport>(
    reader: &LogReader<T>,
    delivered: &Delivered,
) -> Result<Option<Vec<u8>>> {
    let public = &delivered.accepting.lock.public;
    let leaf = public.leaf(Deed::Commit, delivered.preimage);
    let checkpoint = reader.checkpoint().await.map_err(WalletError::Log)?;
    let is_late = age(checkpoint.checked(), public.expiry) == Age::Late;
    if let Some(promise) = &delivered.promise {
        match reader.receipt(promise.body.index, &leaf, &checkpoint).await {
            Ok(receipt) => return Ok(Some(receipt.to_text().into_bytes())),
            Err(ReadError::NotYet) if !is_late => return Ok(None),
            // The promise is not to be believed: the leaf is looked for.
            Err(ReadError::NotYet | ReadError::OtherLeaf(_)) => {}
            Err(error) => return Err(WalletError::Log(error)),
        }
    }
    match search_in(reader, &delivered.accepting, &checkpoint).await? {
        Some(found) => {
            let receipt = reader.receipt(found.index, &leaf, &checkpoint).await;
            let receipt = receipt.map_err(WalletError::Log)?;
            Ok(Some(receipt.to_text().into_bytes()))
        }
        // After a late checkpoint no leaf can come any more: the bank took the preimage itself.
        None if is_late => Ok(Some(Vec::new())),
        None => Ok(None),
    }
}
