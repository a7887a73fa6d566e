//! One step of a purchase, up to the lock: order, offer, ciphertext, money.

use std::time::Duration;

use bauta_crypto::merkle::Frontier;
use bauta_proto::{
    codec::Message,
    coin::{Authorized, authorize},
    customer::{CheckedLock, OpenedOffer},
    ids::AccountId,
    lock::{LockReply, Payer, change_due},
    log::{policy::CheckedCheckpoint, reader::FetchedCheckpoint},
    problem::ProblemKind,
    time::{CLOCK_TOLERANCE, Seconds, Timestamp},
    transport::{CallError, Transport, bank as bank_endpoints, merchant},
};
use rand_core::Rng;

use super::{
    Accepting, Locking, Offered, Ordering, PayerKind, Purchase, PurchaseId, Stage,
    download::{Download, Outcome},
};
use crate::{
    error::{Result, WalletError},
    observer::{Event, Send, Write},
    records::{Bank, Coin, CoinUse},
    store::Batch,
    wallet::Wallet,
};

/// How often a purchase may go back to an earlier stage before it is given up.
const ATTEMPTS_MAX: u8 = 5;
/// How old a log's latest checkpoint may be before money is locked under it: then either the log stands still or this
/// machine's clock is ahead, and both are reasons not to lock.
const CHECKPOINT_AGE_MAX: Seconds = Seconds(600);
/// How long after the expiry of a lock that the bank got wrong its coins are asked about.
const BAD_LOCK_GRACE: Seconds = Seconds(60);
/// An offer must stand for this much longer when money is locked for it.
const OFFER_MARGIN: Seconds = Seconds(2);

/// What a step led to.
pub(crate) enum Progress {
    /// The next stage.
    Moved,
    /// Nothing, for now.
    Waiting(Waiting),
    /// The end.
    Ended,
}

/// Nothing can be done for now.
pub(crate) struct Waiting {
    /// When to come again.
    pub(crate) again_at: Timestamp,
    /// Whether that is so far off that nobody should wait for it.
    pub(crate) is_long: bool,
}

impl<T: Transport> Wallet<T> {
    /// Does the next thing that a purchase waits for.
    pub(crate) async fn step(&mut self, purchase: Purchase) -> Result<Progress> {
        match purchase.stage.clone() {
            Stage::Ordering(ordering) => self.order(purchase, *ordering).await,
            Stage::Offered(offered) => self.download(purchase, *offered).await,
            Stage::Downloaded(offered) => self.prepare_lock(purchase, *offered).await,
            Stage::Locking(locking) => self.lock(purchase, *locking).await,
            Stage::Accepting(accepting) => self.accept(purchase, *accepting).await,
            Stage::Delivered(delivered) => self.fetch_receipt(purchase, *delivered).await,
            Stage::Receipted(_) | Stage::Returned(_) | Stage::Refused => Ok(Progress::Ended),
        }
    }

    /// Writes a purchase in its new stage, with what belongs to it.
    pub(crate) fn advance(
        &mut self,
        mut purchase: Purchase,
        stage: Stage,
        write: Write,
        mut batch: Batch,
    ) -> Result<Progress> {
        purchase.stage = stage;
        purchase.trouble.clear();
        batch.put(&purchase);
        self.commit(write, batch)?;
        Ok(if purchase.is_ended() {
            Progress::Ended
        } else {
            Progress::Moved
        })
    }

    /// Ends a purchase before anything was locked, for a reason.
    fn refuse(&mut self, mut purchase: Purchase, reason: WalletError) -> Result<Progress> {
        purchase.trouble = reason.to_string();
        self.commit_refused(purchase, Batch::new())?;
        Err(reason)
    }

    fn commit_refused(&mut self, mut purchase: Purchase, mut batch: Batch) -> Result<()> {
        purchase.stage = Stage::Refused;
        batch.put(&purchase);
        self.commit(Write::Ended, batch)
    }

    /// Gives up a purchase for which no money has been locked or asked for.
    ///
    /// # Errors
    /// [`WalletError::TooLate`] when it goes further than that.
    pub fn cancel(&mut self, id: PurchaseId) -> Result<()> {
        let mut purchase = self.purchase(id)?;
        match purchase.stage {
            Stage::Ordering(_) | Stage::Offered(_) | Stage::Downloaded(_) => {
                "cancelled by the owner".clone_into(&mut purchase.trouble);
                self.commit_refused(purchase, Batch::new())
            }
            Stage::Refused => Ok(()),
            _ => Err(WalletError::TooLate),
        }
    }

    async fn order(&mut self, purchase: Purchase, ordering: Ordering) -> Result<Progress> {
        let order = ordering.order;
        let reply = self
            .call::<merchant::Order>(Send::Order, &purchase.shop_url, &order)
            .await;
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) if error.is_temporary() => return Err(WalletError::Shop(error)),
            Err(error) => return self.refuse(purchase, WalletError::Shop(error)),
        };
        let now = self.now();
        match OpenedOffer::check(reply, &order, purchase.listed, now) {
            Ok(opened) => {
                let reply = opened.reply().clone();
                let offered = Box::new(Offered { order, reply });
                self.advance(
                    purchase,
                    Stage::Offered(offered),
                    Write::Offer,
                    Batch::new(),
                )
            }
            Err(error) => self.refuse(purchase, error.into()),
        }
    }

    async fn download(&mut self, purchase: Purchase, offered: Offered) -> Result<Progress> {
        for _ in 0..2 {
            if self.fetch_ciphertext(&purchase, &offered).await? == Outcome::Intact {
                let stage = Stage::Downloaded(Box::new(offered));
                return self.advance(purchase, stage, Write::Downloaded, Batch::new());
            }
        }
        self.refuse(purchase, WalletError::Ciphertext)
    }

    pub(crate) async fn fetch_ciphertext(
        &mut self,
        purchase: &Purchase,
        offered: &Offered,
    ) -> Result<Outcome> {
        let offer = &offered.reply.offer.body;
        let path = self.store.download_path(offer.ct_root.as_bytes());
        let download = Download {
            shop_url: &purchase.shop_url,
            path: &path,
            root: offer.ct_root,
            length: offer.ct_len,
        };
        self.observer.observe(Event::BeforeSend(Send::Download));
        let (id, bytes_total) = (purchase.id, offer.ct_len);
        let observer = &mut self.observer;
        let mut progress = |bytes| {
            observer.observe(Event::Downloading {
                purchase: id,
                bytes,
                bytes_total,
            });
        };
        let outcome = download.run(&*self.transport, &mut progress).await;
        self.observer.observe(Event::AfterSend(Send::Download));
        outcome
    }

    async fn prepare_lock(&mut self, purchase: Purchase, offered: Offered) -> Result<Progress> {
        if offered.reply.offer.body.offer_until < self.now().plus(OFFER_MARGIN) {
            return self.order_again(purchase, &offered);
        }
        match self.write_lock_request(purchase.clone(), offered).await {
            Err(error) if ends_purchase(&error) => self.refuse(purchase, error),
            outcome => outcome,
        }
    }

    /// Composes the lock request and writes it down, with what it spends.
    async fn write_lock_request(
        &mut self,
        purchase: Purchase,
        offered: Offered,
    ) -> Result<Progress> {
        let opened = offered.opened();
        let offer = opened.offer();
        let bank = self.scanned_bank(purchase.bank).await?;
        let (checkpoint, edge) = self.checked_clock(&bank).await?;
        let expiry = lock_expiry(&purchase, &opened, self.now())?;
        let mut batch = Batch::new();
        let (request, change) = match purchase.payer {
            PayerKind::Account => (self.account_request(&bank, &opened, expiry), Vec::new()),
            PayerKind::Coins => {
                let coins = self
                    .select_coins(&bank, offer.price, expiry.plus(offer.dispute_window))
                    .await?;
                self.coin_request(&purchase, &bank, &opened, expiry, coins, &mut batch)
                    .await?
            }
        };
        let locking = Locking {
            offered,
            request,
            change,
            log_size: checkpoint.size(),
            log_edge: edge.hashes().to_vec(),
        };
        let stage = Stage::Locking(Box::new(locking));
        self.advance(purchase, stage, Write::LockIntent, batch)
    }

    fn account_request(
        &mut self,
        bank: &Bank,
        opened: &OpenedOffer,
        expiry: Timestamp,
    ) -> Authorized<bauta_proto::lock::LockRequest> {
        let key = self.seed.account_key(bank.bank);
        let mut nonce = [0; 16];
        self.rng.fill_bytes(&mut nonce);
        let payer = Payer::Account {
            account: AccountId::from(key.verifying_key()),
            nonce,
        };
        let body = opened.lock_request(expiry, payer, Vec::new());
        let signatures = vec![body.sign(&key)];
        Authorized { body, signatures }
    }

    async fn coin_request(
        &mut self,
        purchase: &Purchase,
        bank: &Bank,
        opened: &OpenedOffer,
        expiry: Timestamp,
        mut coins: Vec<Coin>,
        batch: &mut Batch,
    ) -> Result<(
        Authorized<bauta_proto::lock::LockRequest>,
        Vec<crate::seed::CoinSlot>,
    )> {
        let price = opened.offer().price;
        let given = bauta_proto::money::Amount::sum(coins.iter().map(|coin| coin.remaining))?;
        let due = change_due(given, price.amount).map_err(|_| WalletError::Amount)?;
        let (outputs, slots) = if due.is_zero() {
            (Vec::new(), Vec::new())
        } else {
            let keyset = self.issuing_keyset(bank, price.currency).await?;
            let planned = self.plan(bank, &keyset, due, batch)?;
            (planned.outputs, planned.slots)
        };
        let (inputs, secrets) = self.inputs(&mut coins);
        let keys: Vec<_> = secrets.iter().map(|secrets| &secrets.key).collect();
        let body = opened.lock_request(expiry, Payer::Coins(inputs.clone()), outputs);
        for coin in &mut coins {
            coin.state = CoinUse::Paying(purchase.id);
            batch.put(coin);
        }
        Ok((authorize(body, &inputs, &keys), slots))
    }

    async fn lock(&mut self, purchase: Purchase, locking: Locking) -> Result<Progress> {
        let bank = self.bank(purchase.bank)?;
        let reply = self
            .call::<bank_endpoints::LockValue>(Send::Lock, &bank.url, &locking.request)
            .await;
        match reply {
            Ok(reply) => match self.take_lock(purchase.clone(), locking.clone(), reply) {
                Err(error) if is_banks_fault(&error) => {
                    self.bad_lock(purchase, &locking, error).await
                }
                outcome => outcome,
            },
            Err(error @ CallError::Refused(_)) if !error.is_temporary() => {
                self.lock_refused(purchase, &locking, error).await
            }
            Err(error) => Err(WalletError::Bank(error)),
        }
    }

    fn take_lock(
        &mut self,
        purchase: Purchase,
        locking: Locking,
        reply: LockReply,
    ) -> Result<Progress> {
        let change = self.verified_coins(purchase.bank, &locking.change, &reply.change)?;
        let checked = CheckedLock::check(reply.lock, &locking.request.body)?;
        let nonce = locking.offered.order.nonce;
        let pseudonym = self.seed.purchase_key(purchase.bank, &nonce);
        let accept = locking.offered.opened().accept(&checked, &pseudonym);
        let mut batch = Batch::new();
        change.iter().for_each(|coin| batch.put(coin));
        let accepting = Accepting {
            locking,
            lock: checked.lock().clone(),
            accept,
        };
        let stage = Stage::Accepting(Box::new(accepting));
        self.advance(purchase, stage, Write::Lock, batch)
    }

    /// The bank's answer is wrong. The merchant never sees this lock, so that the money returns after its expiry; until
    /// then the same answer can be had again, as evidence.
    async fn bad_lock(
        &mut self,
        mut purchase: Purchase,
        locking: &Locking,
        error: WalletError,
    ) -> Result<Progress> {
        if self.now() <= locking.request.body.expiry.plus(BAD_LOCK_GRACE) {
            return Err(error);
        }
        let bank = purchase.bank;
        let mut batch = Batch::new();
        for mut coin in self.paying_coins(&purchase)? {
            coin.state = CoinUse::Unsure;
            batch.put(&coin);
        }
        purchase.trouble = error.to_string();
        self.commit_refused(purchase, batch)?;
        self.ask_unsure_coins(bank).await?;
        Err(error)
    }

    /// The bank did not lock, and says so: the coins are free again, once the bank has said what is on them.
    async fn lock_refused(
        &mut self,
        mut purchase: Purchase,
        locking: &Locking,
        error: CallError,
    ) -> Result<Progress> {
        let bank = purchase.bank;
        let mut batch = Batch::new();
        for mut coin in self.paying_coins(&purchase)? {
            coin.state = CoinUse::Unsure;
            batch.put(&coin);
        }
        purchase.attempts += 1;
        // Either the span is too long, or the coins' keyset ends before the lock can be settled: newer coins may do, once.
        let is_too_far = is_too_far(&error) && purchase.attempts == 1;
        let may_again = is_too_far || may_lock_again(&error);
        let progress = if may_again && purchase.attempts < ATTEMPTS_MAX {
            let stage = Stage::Downloaded(Box::new(locking.offered.clone()));
            self.advance(purchase, stage, Write::Ended, batch)
        } else {
            let error = WalletError::Bank(error);
            purchase.trouble = error.to_string();
            self.commit_refused(purchase, batch)?;
            Err(error)
        };
        self.ask_unsure_coins(bank).await?;
        self.refresh_keysets(bank).await?;
        if is_too_far && progress.is_ok() {
            self.refresh_older_coins(bank, locking.request.body.amount.currency)
                .await?;
        }
        progress
    }

    pub(crate) fn paying_coins(&self, purchase: &Purchase) -> Result<Vec<Coin>> {
        let mut coins = self.store.all::<Coin>()?;
        coins.retain(|coin| coin.state == CoinUse::Paying(purchase.id));
        Ok(coins)
    }

    /// The offer has become too old before money was locked for it: asks for a new one, which must cost the same.
    fn order_again(&mut self, mut purchase: Purchase, offered: &Offered) -> Result<Progress> {
        purchase.attempts += 1;
        if purchase.attempts >= ATTEMPTS_MAX {
            let expired = bauta_proto::customer::OfferError::Expired;
            return self.refuse(purchase, expired.into());
        }
        let bank = self.bank(purchase.bank)?;
        let order = &offered.order;
        let order = self.compose_order(order.merchant, order.good, order.version, &bank)?;
        let stage = Stage::Ordering(Box::new(Ordering { order }));
        self.advance(purchase, stage, Write::Order, Batch::new())
    }

    /// The log's latest checkpoint and the edge of its tree, if its witnesses' clocks and this machine's agree.
    pub(crate) async fn checked_clock(
        &mut self,
        bank: &Bank,
    ) -> Result<(FetchedCheckpoint, Frontier)> {
        let reader = self.log_reader(bank)?;
        self.observe(Event::BeforeSend(Send::Log));
        let checkpoint = reader.checkpoint().await;
        self.observe(Event::AfterSend(Send::Log));
        let checkpoint = checkpoint.map_err(WalletError::Log)?;
        if let Some(time) = quorum_time(checkpoint.checked()) {
            check_clock(self.now(), time)?;
        }
        let edge = reader.edge(&checkpoint).await.map_err(WalletError::Log)?;
        Ok((checkpoint, edge))
    }
}

/// What a purchase waits for will not be there before `span` has passed.
pub(crate) fn waiting(now: Timestamp, span: Duration) -> Progress {
    let seconds = Seconds(u32::try_from(span.as_secs()).unwrap_or(u32::MAX));
    Progress::Waiting(Waiting {
        again_at: now.plus(seconds),
        is_long: false,
    })
}

/// What does not pass by waiting, before anything is locked.
const fn ends_purchase(error: &WalletError) -> bool {
    matches!(
        error,
        WalletError::Insufficient { .. } | WalletError::Expiry { .. } | WalletError::Amount
    )
}

const fn is_banks_fault(error: &WalletError) -> bool {
    matches!(
        error,
        WalletError::BadIssue | WalletError::BankAnswer | WalletError::Lock(_)
    )
}

/// Refusals that other coins, a newer keyset or a newer expiry get around.
fn may_lock_again(error: &CallError) -> bool {
    use ProblemKind as Kind;
    matches!(error, CallError::Refused(problem) if matches!(
        problem.kind,
        Kind::CoinSpent | Kind::KeysetNotIssuing | Kind::KeysetExpired | Kind::ExpiryTooNear
    ))
}

fn is_too_far(error: &CallError) -> bool {
    matches!(error, CallError::Refused(problem) if problem.kind == ProblemKind::ExpiryTooFar)
}

fn lock_expiry(purchase: &Purchase, opened: &OpenedOffer, now: Timestamp) -> Result<Timestamp> {
    let offer = opened.offer();
    match purchase.lock_span.map(Seconds) {
        None => Ok(opened.lock_expiry(now)),
        Some(span) if (offer.lock_min..=offer.lock_max).contains(&span) => Ok(now.plus(span)),
        Some(_) => Err(WalletError::Expiry {
            lock_min: offer.lock_min,
            lock_max: offer.lock_max,
        }),
    }
}

/// The latest moment at or after which a quorum cosigned; none when the policy asks for no cosignature.
pub(crate) fn quorum_time(checkpoint: &CheckedCheckpoint) -> Option<Timestamp> {
    if checkpoint.quorum_within(|_| false) {
        return None;
    }
    // The greatest time for which the test holds, bit by bit.
    let mut latest = 0_u64;
    for bit in (0..63).rev() {
        let candidate = latest | 1 << bit;
        if checkpoint.quorum_within(|time| time.0 >= candidate) {
            latest = candidate;
        }
    }
    Some(Timestamp(latest))
}

/// Refuses when this machine's clock and the log's are apart by more than honest clocks are.
pub(crate) fn check_clock(now: Timestamp, log: Timestamp) -> Result<()> {
    let behind = log.since(now);
    if behind > CLOCK_TOLERANCE {
        return Err(WalletError::ClockWrong {
            apart: behind,
            direction: "behind",
        });
    }
    let ahead = now.since(log);
    if ahead > CHECKPOINT_AGE_MAX {
        return Err(WalletError::ClockWrong {
            apart: ahead,
            direction: "ahead of",
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_wrong_by_hours_is_told_in_its_direction() {
        let log = Timestamp(1_000_000);
        assert!(check_clock(log, log).is_ok());
        assert!(check_clock(log.plus(CHECKPOINT_AGE_MAX), log).is_ok());
        assert!(check_clock(log.minus(CLOCK_TOLERANCE), log).is_ok());
        let direction = |now| match check_clock(now, log) {
            Err(WalletError::ClockWrong { direction, .. }) => direction,
            _ => "right",
        };
        assert_eq!(direction(log.plus(Seconds::hours(2))), "ahead of");
        assert_eq!(direction(log.minus(Seconds::hours(2))), "behind");
        assert_eq!(direction(log.minus(Seconds(31))), "behind");
    }
}
