//! New coins: planning outputs, keeping the request before it is sent, and verifying what comes back.

use bauta_crypto::blind::{self, BlindSignature, IssuerPublicKey};
use bauta_proto::ids::AccountId;
use bauta_proto::{
    account::WithdrawRequest,
    codec::Message,
    coin::{ExchangeRequest, Input, Issued, Keyset, Output, authorize},
    ids::{BankId, KeysetId},
    limits::INPUTS_MAX,
    money::{Amount, Currency, Money},
    transport::{Transport, bank as endpoints},
};

use crate::{
    bank::is_decided,
    error::{Result, WalletError},
    observer::{Send, Write},
    records::{Action, Bank, Branch, Coin, CoinUse, Counter, Intent},
    seed::{CoinSecrets, CoinSlot},
    selection::{Held, split},
    store::Batch,
    wallet::Wallet,
};

/// Outputs in the order in which they are asked for, and where their secrets come from.
pub(crate) struct Planned {
    pub(crate) outputs: Vec<Output>,
    pub(crate) slots: Vec<CoinSlot>,
}

/// New coins, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct IssuedReport {
    /// What they are worth together.
    pub value: crate::report::MoneyReport,
    /// How many there are.
    pub coins: usize,
}

impl<T: Transport> Wallet<T> {
    /// Turns money of the owner's account at `bank` into coins.
    ///
    /// # Errors
    /// [`WalletError`]. After [`WalletError::is_temporary`] errors the request stands and [`Wallet::resume`] repeats it.
    pub async fn withdraw(&mut self, bank: BankId, amount: Money) -> Result<IssuedReport> {
        let bank = self.scanned_bank(bank).await?;
        if amount.amount.is_zero() {
            return Err(WalletError::Amount);
        }
        let keyset = self.issuing_keyset(&bank, amount.currency).await?;
        let mut batch = Batch::new();
        let planned = self.plan(&bank, &keyset, amount.amount, &mut batch)?;
        let key = self.seed.account_key(bank.bank);
        let request = WithdrawRequest {
            bank: bank.bank,
            account: AccountId::from(key.verifying_key()),
            outputs: planned.outputs,
        };
        let intent = Intent {
            request: request.request_id(),
            bank: bank.bank,
            value: amount,
            action: Action::Withdraw(Box::new(request.signed(&key))),
            outputs: planned.slots,
            created_at: self.now(),
        };
        batch.put(&intent);
        self.commit(Write::CoinIntent, batch)?;
        self.drive_intent(intent).await
    }

    /// Exchanges whole coins of one bank and currency for coins of the newest keyset, at most [`INPUTS_MAX`].
    pub(crate) async fn exchange(
        &mut self,
        bank: &Bank,
        currency: Currency,
        mut coins: Vec<Coin>,
    ) -> Result<IssuedReport> {
        coins.truncate(INPUTS_MAX);
        let keyset = self.issuing_keyset(bank, currency).await?;
        let value = Amount::sum(coins.iter().map(|coin| coin.remaining))?;
        let mut batch = Batch::new();
        let planned = self.plan(bank, &keyset, value, &mut batch)?;
        let (inputs, secrets) = self.inputs(&mut coins);
        let body = ExchangeRequest {
            bank: bank.bank,
            inputs: inputs.clone(),
            outputs: planned.outputs,
        };
        let keys: Vec<_> = secrets.iter().map(|secrets| &secrets.key).collect();
        let request = authorize(body, &inputs, &keys);
        let intent = Intent {
            request: request.request_id(),
            bank: bank.bank,
            value: value.of(currency),
            action: Action::Exchange(Box::new(request)),
            outputs: planned.slots,
            created_at: self.now(),
        };
        for coin in &mut coins {
            coin.state = CoinUse::Exchanging(intent.request);
            batch.put(coin);
        }
        batch.put(&intent);
        self.commit(Write::CoinIntent, batch)?;
        self.drive_intent(intent).await
    }

    /// Sends an intent and keeps what comes back.
    pub(crate) async fn drive_intent(&mut self, intent: Intent) -> Result<IssuedReport> {
        let url = self.bank(intent.bank)?.url;
        let reply = match &intent.action {
            Action::Withdraw(request) => {
                self.call::<endpoints::Withdraw>(Send::Withdraw, &url, request)
                    .await
            }
            Action::Exchange(request) => {
                self.call::<endpoints::Exchange>(Send::Exchange, &url, request)
                    .await
            }
        };
        match reply {
            Ok(issued) => self.finish_intent(&intent, &issued),
            Err(error) if is_decided(&error) => {
                self.drop_intent(&intent)?;
                self.ask_unsure_coins(intent.bank).await?;
                Err(WalletError::Bank(error))
            }
            Err(error) => Err(WalletError::Bank(error)),
        }
    }

    fn finish_intent(&mut self, intent: &Intent, issued: &Issued) -> Result<IssuedReport> {
        let coins = self.verified_coins(intent.bank, &intent.outputs, &issued.signatures)?;
        let mut batch = Batch::new();
        coins.iter().for_each(|coin| batch.put(coin));
        for coin in self.coins_of_intent(intent)? {
            batch.remove(&coin);
        }
        batch.remove(intent);
        self.commit(Write::CoinResult, batch)?;
        Ok(IssuedReport {
            value: intent.value.into(),
            coins: coins.len(),
        })
    }

    /// The bank did not do it and says so: coins that were to be spent are free again, once the bank said what is on them.
    fn drop_intent(&mut self, intent: &Intent) -> Result<()> {
        let mut batch = Batch::new();
        for mut coin in self.coins_of_intent(intent)? {
            coin.state = CoinUse::Unsure;
            batch.put(&coin);
        }
        batch.remove(intent);
        self.commit(Write::CoinResult, batch)
    }

    fn coins_of_intent(&self, intent: &Intent) -> Result<Vec<Coin>> {
        let mut coins = self.store.all::<Coin>()?;
        coins.retain(|coin| coin.state == CoinUse::Exchanging(intent.request));
        Ok(coins)
    }

    /// Outputs worth `amount`, chosen so that later payments need little change. Their counters go into `batch`, which
    /// must be on disk before the outputs are sent.
    pub(crate) fn plan(
        &self,
        bank: &Bank,
        keyset: &Keyset,
        amount: Amount,
        batch: &mut Batch,
    ) -> Result<Planned> {
        let Branch::Device(device) = bank.branch else {
            return Err(WalletError::UnknownBank);
        };
        let held = self.held(bank.bank, keyset.currency)?;
        let exponents = split(amount, &held, keyset.keys.len()).map_err(|_| WalletError::Amount)?;
        let keyset_id = keyset.keyset_id();
        let mut planned = Vec::new();
        for exponents in exponents.chunk_by(|a, b| a == b) {
            let mut counter = self.counter(keyset_id, exponents[0], device)?;
            for _ in exponents {
                let slot = CoinSlot {
                    keyset: keyset_id,
                    exponent: counter.exponent,
                    device,
                    index: counter.next,
                };
                counter.next = counter.next.checked_add(1).ok_or(WalletError::Amount)?;
                planned.push((self.seed.coin(bank.bank, &slot).output(), slot));
            }
            batch.put(&counter);
        }
        planned.sort_by_key(|(output, _)| output.blinded);
        let (outputs, slots) = planned.into_iter().unzip();
        Ok(Planned { outputs, slots })
    }

    fn counter(&self, keyset: KeysetId, exponent: u8, device: u32) -> Result<Counter> {
        let name = Counter::name_of(keyset, exponent, device);
        Ok(self.store.one(&name)?.unwrap_or(Counter {
            keyset,
            exponent,
            device,
            next: 0,
        }))
    }

    fn held(&self, bank: BankId, currency: Currency) -> Result<Held> {
        let coins = self.coins_of(bank, currency)?;
        Ok(Held::count(
            coins.iter().map(|(coin, _)| coin.slot.exponent),
        ))
    }

    /// Whole coins as inputs in the order of their keys, with the secrets in the same order. Sorts `coins` likewise.
    pub(crate) fn inputs(&self, coins: &mut Vec<Coin>) -> (Vec<Input>, Vec<CoinSecrets>) {
        let mut keyed: Vec<(Coin, CoinSecrets)> = coins
            .drain(..)
            .map(|coin| {
                let secrets = self.seed.coin(coin.bank, &coin.slot);
                (coin, secrets)
            })
            .collect();
        keyed.sort_by_key(|(_, secrets)| secrets.name.key);
        let input = |(coin, secrets): &(Coin, CoinSecrets)| Input {
            keyset: coin.slot.keyset,
            exponent: coin.slot.exponent,
            key: secrets.name.key,
            signature: coin.signature,
            sequence: coin.sequence,
            amount: coin.remaining,
        };
        let inputs = keyed.iter().map(input).collect();
        let (sorted, secrets) = keyed.into_iter().unzip();
        *coins = sorted;
        (inputs, secrets)
    }

    /// Takes the blinding off and verifies every signature. What this returns is money.
    pub(crate) fn verified_coins(
        &mut self,
        bank: BankId,
        slots: &[CoinSlot],
        signatures: &[BlindSignature],
    ) -> Result<Vec<Coin>> {
        if slots.len() != signatures.len() {
            return Err(WalletError::BankAnswer);
        }
        let mut coins = Vec::with_capacity(slots.len());
        let mut names = Vec::with_capacity(slots.len());
        for (slot, signature) in slots.iter().zip(signatures) {
            let secrets = self.seed.coin(bank, slot);
            let signature = blind::unblind_unchecked(&secrets.factor, signature)
                .map_err(|_| WalletError::BadIssue)?;
            names.push((self.issuer_key(bank, slot)?, secrets.name.to_bytes()));
            coins.push(fresh_coin(bank, slot, signature)?);
        }
        let items: Vec<_> = names
            .iter()
            .zip(&coins)
            .map(|((key, name), coin)| (*key, name.as_slice(), coin.signature))
            .collect();
        if blind::verify_batch(&items, &mut self.rng) {
            Ok(coins)
        } else {
            Err(WalletError::BadIssue)
        }
    }

    fn issuer_key(&self, bank: BankId, slot: &CoinSlot) -> Result<IssuerPublicKey> {
        let keyset = self.keyset(bank, slot.keyset)?;
        let key = keyset.key(slot.exponent).copied();
        key.ok_or(WalletError::BankAnswer)
    }
}

fn fresh_coin(bank: BankId, slot: &CoinSlot, signature: blind::CoinSignature) -> Result<Coin> {
    Ok(Coin {
        bank,
        slot: *slot,
        signature,
        sequence: 0,
        remaining: Amount::power_of_two(slot.exponent).ok_or(WalletError::BankAnswer)?,
        state: CoinUse::Available,
    })
}
