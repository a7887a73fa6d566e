//! The step that locks money: composing the request, keeping it, and what the bank makes of it.

use bauta_crypto::hash;
use bauta_proto::{
    codec::Message,
    coin::{Authorized, authorize},
    customer::{CheckedLock, OpenedOffer},
    ids::{AccountId, HashLock},
    lock::{LockReply, LockRequest, Payer},
    money::Amount,
    offer::OfferMode,
    problem::ProblemKind,
    time::{Seconds, Timestamp},
    transport::{CallError, Transport, bank as bank_endpoints},
};
use rand_core::Rng;

use super::{
    Accepting, Locking, Offered, PayerKind, Purchase, Stage,
    drive::{ATTEMPTS_MAX, Progress},
};
use crate::{
    bank::is_decided,
    error::{Result, WalletError},
    observer::{Send, Write},
    records::{Bank, Coin, CoinUse},
    seed::CoinSlot,
    store::Batch,
    wallet::Wallet,
};

/// How long after the expiry of a lock that the bank got wrong its coins are asked about.
const BAD_LOCK_GRACE: Seconds = Seconds(60);
/// Longest lock that a shop gets without its owner's asking for one: a shop that wants more could hold money for months
/// and sell nothing.
const SPAN_UNASKED_MAX: Seconds = Seconds::hours(24);
/// An offer must stand for this much longer when money is locked for it.
const OFFER_MARGIN: Seconds = Seconds(2);

impl<T: Transport> Wallet<T> {
    /// Keeps the exact request for a lock under the offer, unless the offer has become too old.
    pub(super) async fn prepare_lock(
        &mut self,
        purchase: Purchase,
        offered: Offered,
    ) -> Result<Progress> {
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
        let expiry = lock_expiry(&purchase, &opened, self.now())?;
        let logs = self.checked_clock(&bank, expiry).await?;
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
            logs,
        };
        let stage = Stage::Locking(Box::new(locking));
        self.advance(purchase, stage, Write::LockIntent, batch)
    }

    fn account_request(
        &mut self,
        bank: &Bank,
        opened: &OpenedOffer,
        expiry: Timestamp,
    ) -> Authorized<LockRequest> {
        let key = self.seed.account_key(bank.bank);
        let mut nonce = [0; 16];
        self.rng.fill_bytes(&mut nonce);
        let payer = Payer::Account {
            account: AccountId::from(key.verifying_key()),
            nonce,
        };
        let body = opened.lock_request(expiry, self.cancel_hash(opened), payer, Vec::new());
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
    ) -> Result<(Authorized<LockRequest>, Vec<CoinSlot>)> {
        let price = opened.offer().price;
        let given = Amount::sum(coins.iter().map(|coin| coin.remaining))?;
        let due = given.minus(price.amount).map_err(|_| WalletError::Amount)?;
        let (outputs, slots) = if due.is_zero() {
            (Vec::new(), Vec::new())
        } else {
            let keyset = self.issuing_keyset(bank, price.currency).await?;
            let planned = self.plan(bank, &keyset, due, batch)?;
            (planned.outputs, planned.slots)
        };
        let (inputs, secrets) = self.inputs(&mut coins);
        let keys: Vec<_> = secrets.iter().map(|secrets| &secrets.key).collect();
        let body = opened.lock_request(
            expiry,
            self.cancel_hash(opened),
            Payer::Coins(inputs.clone()),
            outputs,
        );
        for coin in &mut coins {
            coin.state = CoinUse::Paying(purchase.id);
            batch.put(coin);
        }
        Ok((authorize(body, &inputs, &keys), slots))
    }

    /// The hash of what cancels the purchase.
    fn cancel_hash(&self, opened: &OpenedOffer) -> HashLock {
        let offer = opened.offer();
        let secret = self.seed.cancel_secret(offer.bank, &offer.nonce);
        HashLock(hash::sha256(&[secret.expose()]))
    }

    /// Sends the request, as often as it takes, and keeps the lock.
    pub(super) async fn lock(&mut self, purchase: Purchase, locking: Locking) -> Result<Progress> {
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
            Err(error) if is_decided(&error) => self.lock_refused(purchase, &locking, error).await,
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
        let is_wanted = purchase.cancel.is_none() && purchase.attempts < ATTEMPTS_MAX;
        let progress = if may_again && is_wanted {
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
    let reveal_window = match offer.mode {
        OfferMode::Fast => Seconds(0),
        OfferMode::Safe { reveal_window, .. } => reveal_window,
    };
    let is_short = offer.lock_min <= SPAN_UNASKED_MAX && reveal_window <= SPAN_UNASKED_MAX;
    match purchase.lock_span.map(Seconds) {
        None if is_short => Ok(opened.lock_expiry(now)),
        Some(span) if (offer.lock_min..=offer.lock_max).contains(&span) => Ok(now.plus(span)),
        _ => Err(WalletError::Expiry {
            lock_min: offer.lock_min,
            lock_max: offer.lock_max,
        }),
    }
}
