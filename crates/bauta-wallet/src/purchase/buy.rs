//! Beginning a purchase and waiting for its end.

use std::time::Duration;

use bauta_proto::{
    catalogue::{Catalogue, Listing},
    ids::{BankId, GoodId, MerchantId, Pseudonym},
    log::policy::Policy,
    money::{Amount, Currency, Money},
    offer::{Mode, OrderRequest},
    time::{Seconds, Timestamp},
    transport::Transport,
};
use rand_core::Rng;

use super::{Ordering, PayerKind, Purchase, PurchaseId, PurchaseReport, Stage, drive::Progress};
use crate::{
    bank::checked_address,
    error::{Result, WalletError},
    observer::Write,
    records::Bank,
    shop::find_listing,
    store::Batch,
    wallet::Wallet,
};

/// First and longest pause between two questions, in milliseconds.
const PAUSE_MS: (u64, u64) = (50, 2_000);
/// Purchases that are begun faster than one a second are dated ahead by this at most.
const SAME_MOMENT_MAX: Seconds = Seconds(600);

/// How to buy.
#[derive(Clone, Debug)]
pub struct BuyOptions {
    /// Refuses when the good costs more.
    pub price_max: Option<Money>,
    /// Pays from this bank; otherwise from the first that the shop accepts and that holds enough.
    pub bank: Option<BankId>,
    /// How the purchase is decided; otherwise FAST, unless the shop sells in mode SAFE alone. Until the seller commits, the
    /// owner can cancel a purchase in mode SAFE, which takes a little longer.
    pub mode: Option<Mode>,
    /// Locks the money for this long; otherwise as short as the offer allows.
    pub lock_span: Option<Seconds>,
    /// Pays from the account, by name, instead of with coins.
    pub from_account: bool,
    /// How long to wait for goods and receipt. Afterwards the purchase goes on with [`Wallet::resume`].
    pub patience: Duration,
}

impl Default for BuyOptions {
    fn default() -> Self {
        Self {
            price_max: None,
            bank: None,
            mode: None,
            lock_span: None,
            from_account: false,
            patience: Duration::from_secs(60),
        }
    }
}

impl<T: Transport> Wallet<T> {
    /// Buys a good (its id, the beginning of its id or title) in the shop at `shop_url`.
    ///
    /// Returns when goods and receipt are there, when the purchase has ended otherwise, or when patience has: the report's
    /// state says which.
    ///
    /// # Errors
    /// [`WalletError`]. What was begun stays in the records; [`Wallet::resume`] ends it in goods or money.
    pub async fn buy(
        &mut self,
        shop_url: &str,
        good: &str,
        options: &BuyOptions,
    ) -> Result<PurchaseReport> {
        let id = self.begin_purchase(shop_url, good, options).await?;
        self.finish_purchase(id, options.patience).await
    }

    /// Writes the record of a purchase; [`Wallet::finish_purchase`] or [`Wallet::resume`] does the rest.
    ///
    /// # Errors
    /// [`WalletError`]; nothing was begun.
    pub async fn begin_purchase(
        &mut self,
        shop_url: &str,
        good: &str,
        options: &BuyOptions,
    ) -> Result<PurchaseId> {
        let shop_url = checked_address(shop_url)?;
        let catalogue = self.catalogue(&shop_url).await?;
        let listing = find_listing(&catalogue, good)?;
        let price = listed_price(listing)?;
        if let Some(price_max) = options.price_max
            && (price_max.currency != price.currency || price.amount > price_max.amount)
        {
            return Err(WalletError::PriceAbove { price, price_max });
        }
        let bank = self.paying_bank(&catalogue, price, options).await?;
        let order = self.compose_order(
            parse::<MerchantId>(&catalogue.merchant)?,
            (parse::<GoodId>(&listing.good)?, listing.version),
            chosen_mode(&catalogue, options.mode)?,
            &bank,
        )?;
        let mut id = [0; 8];
        self.rng.fill_bytes(&mut id);
        let purchase = Purchase {
            id: PurchaseId(id),
            created_at: self.next_moment()?,
            shop_url,
            bank: bank.bank,
            title: listing.title.clone(),
            listed: price,
            payer: if options.from_account {
                PayerKind::Account
            } else {
                PayerKind::Coins
            },
            lock_span: options.lock_span.map(|span| span.0),
            attempts: 0,
            trouble: String::new(),
            defect: None,
            cancel: None,
            stage: Stage::Ordering(Box::new(Ordering { order })),
        };
        let mut batch = Batch::new();
        batch.put(&purchase);
        self.commit(Write::Order, batch)?;
        Ok(purchase.id)
    }

    /// Drives a purchase until it ends or patience does.
    ///
    /// # Errors
    /// [`WalletError`]; [`Wallet::resume`] goes on from there.
    pub async fn finish_purchase(
        &mut self,
        id: PurchaseId,
        patience: Duration,
    ) -> Result<PurchaseReport> {
        let begun = tokio::time::Instant::now();
        let mut pause_ms = PAUSE_MS.0;
        loop {
            let purchase = self.purchase(id)?;
            match self.step(purchase).await? {
                Progress::Moved => pause_ms = PAUSE_MS.0,
                Progress::Ended => return self.show(id),
                Progress::Waiting(_) if begun.elapsed() >= patience => return self.show(id),
                // The merchant has said no for good: waiting here brings nothing.
                Progress::Waiting(waiting) if waiting.is_long => return self.show(id),
                Progress::Waiting(_) => {
                    self.pause(Duration::from_millis(pause_ms)).await;
                    pause_ms = (pause_ms * 2).min(PAUSE_MS.1);
                }
            }
        }
    }

    /// Now, or as much later as makes the order of purchases the order of their times: they count in seconds.
    fn next_moment(&self) -> Result<Timestamp> {
        let now = self.now();
        let purchases = self.store.all::<Purchase>()?;
        let latest = purchases.iter().map(|purchase| purchase.created_at).max();
        // A time that is far ahead is of a clock that was wrong.
        let latest = latest.filter(|latest| latest.since(now) < SAME_MOMENT_MAX);
        Ok(latest.map_or(now, |latest| now.max(latest.plus(Seconds(1)))))
    }

    pub(crate) fn purchase(&self, id: PurchaseId) -> Result<Purchase> {
        let purchase = self.store.one(&id.0)?;
        purchase.ok_or(WalletError::UnknownPurchase)
    }

    /// An order under a fresh pseudonym.
    pub(crate) fn compose_order(
        &mut self,
        merchant: MerchantId,
        (good, version): (GoodId, u32),
        mode: Mode,
        bank: &Bank,
    ) -> Result<OrderRequest> {
        let mut nonce = [0; 32];
        self.rng.fill_bytes(&mut nonce);
        let pseudonym = self.seed.purchase_key(bank.bank, &nonce).verifying_key();
        Ok(OrderRequest {
            merchant,
            good,
            version,
            bank: bank.bank,
            log_policy: bank.parsed_policy()?.policy_id(),
            mode,
            pseudonym: Pseudonym::from(pseudonym),
            nonce,
        })
    }

    /// The bank to pay from: accepted by the shop, under the same log policy, with enough money.
    async fn paying_bank(
        &mut self,
        catalogue: &Catalogue,
        price: Money,
        options: &BuyOptions,
    ) -> Result<Bank> {
        let policy: Policy = catalogue
            .log_policy
            .parse()
            .map_err(|_| WalletError::Catalogue)?;
        let mut banks = self.store.all::<Bank>()?;
        banks.retain(|bank| {
            let is_wanted = options.bank.is_none_or(|wanted| wanted == bank.bank);
            let hex = bank.bank.hex();
            let is_accepted = catalogue.banks.iter().any(|accepted| accepted.bank == hex);
            is_wanted && is_accepted && bank.policy == policy.text()
        });
        if options.from_account {
            return banks.into_iter().next().ok_or(WalletError::BankNotAccepted);
        }
        let mut best = None;
        for bank in banks {
            let bank = self.scanned_bank(bank.bank).await?;
            let available = self.spendable(bank.bank, price.currency)?;
            if best.as_ref().is_none_or(|(_, most)| available > *most) {
                best = Some((bank, available));
            }
        }
        let (bank, available) = best.ok_or(WalletError::BankNotAccepted)?;
        if available < price.amount {
            return Err(WalletError::Insufficient {
                needed: price,
                available: available.of(price.currency),
            });
        }
        Ok(bank)
    }
}

fn chosen_mode(catalogue: &Catalogue, asked: Option<Mode>) -> Result<Mode> {
    let choice = asked.map_or(Mode::ALL.to_vec(), |mode| vec![mode]);
    let offered = choice.into_iter().find(|mode| catalogue.offers(*mode));
    offered.ok_or(WalletError::ModeNotOffered)
}

fn listed_price(listing: &Listing) -> Result<Money> {
    let currency = Currency::from_code(&listing.currency).map_err(|_| WalletError::Catalogue)?;
    let amount = Amount::new(listing.price_minor_units).ok_or(WalletError::Catalogue)?;
    Ok(amount.of(currency))
}

fn parse<I: std::str::FromStr>(text: &str) -> Result<I> {
    text.parse().map_err(|_| WalletError::Catalogue)
}
