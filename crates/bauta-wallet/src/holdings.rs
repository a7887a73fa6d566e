//! What the wallet holds, what each part of it is waiting for, and keeping it fresh.

use std::{collections::BTreeMap, sync::Arc};

use bauta_proto::{
    coin::{CoinName, CoinStateRequest, Keyset},
    ids::BankId,
    limits::INPUTS_MAX,
    money::{Amount, Currency, Money},
    time::Timestamp,
    transport::{Transport, bank as endpoints},
};
use rand_core::CryptoRng;

use crate::{
    error::{Result, WalletError},
    issue::IssuedReport,
    observer::{Send, Write},
    purchase::{Purchase, PurchaseId},
    records::{Action, Bank, Branch, Coin, CoinUse, Intent},
    report::MoneyReport,
    selection::{Candidate, SelectionError, select},
    store::Batch,
    wallet::Wallet,
};

/// A coin and its keyset.
type Known = (Coin, Arc<Keyset>);

/// What the wallet holds at one bank in one currency.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Balance {
    /// The bank.
    pub bank: String,
    /// Can be spent now.
    pub available: MoneyReport,
    /// How many coins that is.
    pub coins: usize,
    /// Part of `available` that should be exchanged soon, because the keyset of its coins ends.
    pub expiring: MoneyReport,
    /// When the first of these can no longer be spent, in seconds since 1970.
    pub expires_at: Option<u64>,
    /// In purchases that are not decided.
    pub locked: Vec<LockedMoney>,
    /// In requests to the bank that have no answer yet.
    pub pending: Vec<PendingMoney>,
    /// On coins of which the bank has to be asked first.
    pub unsure: MoneyReport,
}

/// Money in a purchase.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LockedMoney {
    /// The purchase.
    pub purchase: PurchaseId,
    /// What is being bought.
    pub title: String,
    /// The price; change of it that has not come back yet is included.
    pub amount: MoneyReport,
    /// When it returns if it does not pay, in seconds since 1970; none while the bank has not answered.
    pub until: Option<u64>,
}

/// Money in a request.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PendingMoney {
    /// `withdrawal` or `exchange`.
    pub kind: &'static str,
    /// How much.
    pub amount: MoneyReport,
    /// Since when, in seconds since 1970.
    pub since: u64,
}

/// What an exchange of ageing coins did.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RefreshReport {
    /// One entry for each exchange.
    pub exchanged: Vec<IssuedReport>,
}

impl<T: Transport> Wallet<T> {
    /// What the wallet holds, by bank and currency. Nothing is asked of anybody.
    ///
    /// # Errors
    /// [`WalletError::Store`].
    pub fn balance(&self) -> Result<Vec<Balance>> {
        let mut parts: BTreeMap<(BankId, Currency), Vec<Known>> = BTreeMap::new();
        for coin in self.store.all::<Coin>()? {
            let keyset = self.keyset(coin.bank, coin.slot.keyset)?;
            let part = parts.entry((coin.bank, keyset.currency)).or_default();
            part.push((coin, keyset));
        }
        for intent in self.store.all::<Intent>()? {
            parts
                .entry((intent.bank, intent.value.currency))
                .or_default();
        }
        let parts = parts.into_iter();
        parts
            .map(|((bank, currency), coins)| self.balance_of(bank, currency, &coins))
            .collect()
    }

    fn balance_of(&self, bank: BankId, currency: Currency, coins: &[Known]) -> Result<Balance> {
        let now = self.now();
        let sum = |test: &dyn Fn(&Known) -> bool| {
            let chosen = coins.iter().filter(|coin| test(coin));
            Amount::sum(chosen.map(|(coin, _)| coin.remaining)).map(|sum| sum.of(currency))
        };
        let is_available = |(coin, _): &Known| coin.state == CoinUse::Available;
        let is_expiring = |entry: &Known| is_available(entry) && is_ageing(&entry.1, now);
        let expiring = coins.iter().filter(|entry| is_expiring(entry));
        Ok(Balance {
            bank: bank.hex(),
            available: sum(&is_available)?.into(),
            coins: coins.iter().filter(|entry| is_available(entry)).count(),
            expiring: sum(&is_expiring)?.into(),
            expires_at: expiring.map(|(_, keyset)| keyset.spend_until.0).min(),
            locked: self.locked_money(bank, currency, coins)?,
            pending: self.pending_money(bank, currency)?,
            unsure: sum(&|(coin, _)| coin.state == CoinUse::Unsure)?.into(),
        })
    }

    fn locked_money(
        &self,
        bank: BankId,
        currency: Currency,
        coins: &[Known],
    ) -> Result<Vec<LockedMoney>> {
        let mut locked: BTreeMap<PurchaseId, Amount> = BTreeMap::new();
        for (coin, _) in coins {
            if let CoinUse::Paying(purchase) = coin.state {
                let sum = locked.entry(purchase).or_default();
                *sum = sum.plus(coin.remaining)?;
            }
        }
        let mut report = Vec::new();
        for (id, given) in locked {
            let purchase = self.store.one::<Purchase>(&id.0)?;
            let purchase = purchase.ok_or(WalletError::UnknownPurchase)?;
            // Once the lock is there, the change is among the coins already.
            let lock = purchase.stage.accepting().map(|accepting| &accepting.lock);
            let amount = lock.map_or(given.of(currency), |lock| lock.private.amount);
            report.push(LockedMoney {
                purchase: id,
                title: purchase.title,
                amount: amount.into(),
                until: lock.map(|lock| lock.public.expiry.0),
            });
        }
        debug_assert!(coins.iter().all(|(coin, _)| coin.bank == bank));
        Ok(report)
    }

    fn pending_money(&self, bank: BankId, currency: Currency) -> Result<Vec<PendingMoney>> {
        let mut intents = self.store.all::<Intent>()?;
        intents.retain(|intent| intent.bank == bank && intent.value.currency == currency);
        let report = |intent: &Intent| PendingMoney {
            kind: match intent.action {
                Action::Withdraw(_) => "withdrawal",
                Action::Exchange(_) => "exchange",
            },
            amount: intent.value.into(),
            since: intent.created_at.0,
        };
        Ok(intents.iter().map(report).collect())
    }

    /// Exchanges coins whose keyset is about to end, coins that came back from a lock, and coins that another device with
    /// the same words made.
    ///
    /// # Errors
    /// [`WalletError`]; what was exchanged before stays so.
    pub async fn refresh(&mut self) -> Result<RefreshReport> {
        let mut exchanged = Vec::new();
        for bank in self.store.all::<Bank>()? {
            let bank = self.scanned_bank(bank.bank).await?;
            self.ask_unsure_coins(bank.bank).await?;
            for (currency, coins) in self.coins_to_refresh(&bank)? {
                for coins in coins.chunks(INPUTS_MAX) {
                    exchanged.push(self.exchange(&bank, currency, coins.to_vec()).await?);
                }
            }
        }
        Ok(RefreshReport { exchanged })
    }

    fn coins_to_refresh(&self, bank: &Bank) -> Result<BTreeMap<Currency, Vec<Coin>>> {
        let now = self.now();
        let mut by_currency: BTreeMap<Currency, Vec<Coin>> = BTreeMap::new();
        for coin in self.store.all::<Coin>()? {
            if coin.bank != bank.bank || coin.state != CoinUse::Available {
                continue;
            }
            let keyset = self.keyset(coin.bank, coin.slot.keyset)?;
            let is_own = bank.branch == Branch::Device(coin.slot.device);
            let is_due = is_ageing(&keyset, now) || coin.sequence > 0 || !is_own;
            if is_due && now < keyset.settle_until {
                by_currency.entry(keyset.currency).or_default().push(coin);
            }
        }
        Ok(by_currency)
    }

    /// Exchanges coins of all keysets but the newest.
    pub(crate) async fn refresh_older_coins(
        &mut self,
        bank: BankId,
        currency: Currency,
    ) -> Result<()> {
        let bank = self.bank(bank)?;
        let newest = self.issuing_keyset(&bank, currency).await?.keyset_id();
        let mut coins = self.coins_of(bank.bank, currency)?;
        coins.retain(|(coin, _)| coin.slot.keyset != newest);
        let coins: Vec<Coin> = coins.into_iter().map(|(coin, _)| coin).collect();
        for coins in coins.chunks(INPUTS_MAX) {
            self.exchange(&bank, currency, coins.to_vec()).await?;
        }
        Ok(())
    }

    /// The coins that are neither spent nor lost, of a bank and currency, with their keysets.
    pub(crate) fn coins_of(&self, bank: BankId, currency: Currency) -> Result<Vec<Known>> {
        let mut coins = Vec::new();
        for coin in self.store.all::<Coin>()? {
            if coin.bank == bank && coin.state == CoinUse::Available {
                let keyset = self.keyset(bank, coin.slot.keyset)?;
                if keyset.currency == currency {
                    coins.push((coin, keyset));
                }
            }
        }
        Ok(coins)
    }

    /// What can be spent now.
    pub(crate) fn spendable(&self, bank: BankId, currency: Currency) -> Result<Amount> {
        let coins = self.spendable_coins(bank, currency, self.now())?;
        Ok(Amount::sum(coins.iter().map(|(coin, _)| coin.remaining))?)
    }

    fn spendable_coins(
        &self,
        bank: BankId,
        currency: Currency,
        until: Timestamp,
    ) -> Result<Vec<Known>> {
        let now = self.now();
        let mut coins = self.coins_of(bank, currency)?;
        coins.retain(|(_, keyset)| now < keyset.spend_until && until <= keyset.settle_until);
        Ok(coins)
    }

    /// Whole coins for `price` in a lock that ends by `until`. Small coins are exchanged for larger ones first when there
    /// are too many of them for one request.
    pub(crate) async fn select_coins(
        &mut self,
        bank: &Bank,
        price: Money,
        until: Timestamp,
    ) -> Result<Vec<Coin>> {
        loop {
            let mut coins = self.spendable_coins(bank.bank, price.currency, until)?;
            let candidates: Vec<_> = coins
                .iter()
                .map(|(coin, keyset)| Candidate {
                    value: coin.remaining,
                    spend_until: keyset.spend_until,
                })
                .collect();
            match select(&candidates, price.amount) {
                Ok(chosen) => {
                    let chosen = chosen.iter().map(|position| coins[*position].0.clone());
                    let (seen, fresh): (Vec<Coin>, Vec<Coin>) =
                        chosen.partition(|coin| coin.sequence > 0);
                    if seen.is_empty() {
                        return Ok(fresh);
                    }
                    // The bank knows these from a lock that was released: they would link this purchase to that one.
                    self.exchange(bank, price.currency, seen).await?;
                }
                Err(SelectionError::Insufficient { available }) => {
                    return Err(WalletError::Insufficient {
                        needed: price,
                        available: available.of(price.currency),
                    });
                }
                // 64 coins become fewer with every turn.
                Err(SelectionError::Scattered) => {
                    coins.sort_by_key(|(coin, _)| coin.remaining);
                    let smallest = coins.into_iter().map(|(coin, _)| coin);
                    let smallest = smallest.take(INPUTS_MAX).collect();
                    self.exchange(bank, price.currency, smallest).await?;
                }
            }
        }
    }

    /// Asks the bank about every coin of which the wallet is not sure.
    pub(crate) async fn ask_unsure_coins(&mut self, bank: BankId) -> Result<()> {
        let mut coins = self.store.all::<Coin>()?;
        coins.retain(|coin| coin.bank == bank && coin.state == CoinUse::Unsure);
        self.ask_coins(bank, coins).await
    }

    /// Asks what is on each coin, one question at a time and in random order, so that the questions say little about
    /// which coins belong together; keeps those on which there is something.
    pub(crate) async fn ask_coins(&mut self, bank: BankId, mut coins: Vec<Coin>) -> Result<()> {
        let url = self.bank(bank)?.url;
        shuffle(&mut coins, &mut self.rng);
        for mut coin in coins {
            let name: CoinName = self.seed.coin(bank, &coin.slot).name;
            let question = CoinStateRequest { bank, coin: name };
            let state = self
                .call::<endpoints::State>(Send::CoinQuestion, &url, &question)
                .await
                .map_err(WalletError::Bank)?;
            let mut batch = Batch::new();
            coin.sequence = state.sequence;
            coin.remaining = state.remaining;
            if !state.remaining.is_zero() {
                coin.state = CoinUse::Available;
                batch.put(&coin);
            } else if !state.locked.is_zero() {
                coin.state = CoinUse::Unsure;
                coin.remaining = state.locked;
                batch.put(&coin);
            } else {
                batch.remove(&coin);
            }
            self.commit(Write::CoinState, batch)?;
        }
        Ok(())
    }
}

/// Whether coins of a keyset should be exchanged: it issues no more, and half of the time until it can no longer be spent
/// has gone.
pub(crate) fn is_ageing(keyset: &Keyset, now: Timestamp) -> bool {
    let left = keyset.spend_until.since(keyset.issue_until).0 / 2;
    now >= keyset.issue_until.plus(bauta_proto::time::Seconds(left))
}

/// A uniform order (Fisher and Yates).
pub(crate) fn shuffle<I>(items: &mut [I], rng: &mut impl CryptoRng) {
    for end in (1..items.len()).rev() {
        let bound = end as u64 + 1;
        let limit = u64::MAX - u64::MAX % bound;
        let drawn = std::iter::repeat_with(|| rng.next_u64()).find(|drawn| *drawn < limit);
        let place = drawn.map_or(0, |drawn| drawn % bound);
        items.swap(end, usize::try_from(place).unwrap_or(end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rng;

    #[test]
    fn a_shuffle_keeps_everything_and_changes_the_order() {
        let mut items: Vec<u32> = (0..100).collect();
        shuffle(&mut items, &mut rng());
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
