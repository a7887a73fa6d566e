//! Signatures of everybody who has something to say in the town: a request that was changed is signed again, so that the
//! change reaches what comes after the check of signatures.

use std::collections::HashMap;

use bauta_crypto::{
    blind::BlindedMessage,
    sign::{Signature, SigningKey, VerifyingKey},
};
use bauta_proto::{
    accept::AcceptRequest,
    account::{StatementRequest, WithdrawRequest},
    codec::{Message, Signed},
    coin::{Authorized, ExchangeRequest, Input as Coin, KeysetList, Output},
    ids::{BankId, RequestId, Txid},
    lock::{Lock, LockRequest, Payer, Release, lock_statement},
    money::Amount,
    submission::{Record, Submission},
    time::Timestamp,
};
use bauta_wallet::seed::{CoinSlot, Seed};

use crate::input::Input;

/// Everybody's keys.
#[derive(Default)]
pub(crate) struct Keys {
    /// By their public halves.
    known: HashMap<VerifyingKey, SigningKey>,
    /// Coins by their keys: what the bank signs for each.
    coins: HashMap<VerifyingKey, BlindedMessage>,
    /// Customers' keys by what they buy.
    purchases: HashMap<Txid, SigningKey>,
}

/// Coins of each denomination whose keys are known.
const COINS: u32 = 24;

impl Keys {
    pub(crate) fn add(&mut self, key: SigningKey) {
        self.known.insert(key.verifying_key(), key);
    }

    pub(crate) fn add_purchase(&mut self, txid: Txid, key: SigningKey) {
        self.purchases.insert(txid, key);
    }

    /// What a payee whose key is known says.
    pub(crate) fn signed(&self, release: Release) -> Option<Signed<Release>> {
        let key = self.known.get(&release.payee.account.key())?;
        Some(release.signed(key))
    }

    /// The keys of a wallet: its account and its first coins of every keyset and denomination.
    pub(crate) fn add_wallet(&mut self, seed: &Seed, bank: BankId, keysets: &KeysetList) {
        self.add(seed.account_key(bank));
        for keyset in &keysets.keysets {
            let keyset = &keyset.keyset.body;
            for exponent in 0..u8::try_from(keyset.keys.len()).expect("few denominations") {
                for index in 0..COINS {
                    let slot = CoinSlot {
                        keyset: keyset.keyset_id(),
                        exponent,
                        device: 0,
                        index,
                    };
                    let coin = seed.coin(bank, &slot);
                    self.coins.insert(coin.name.key, coin.output().blinded);
                    self.add(coin.key);
                }
            }
        }
    }

    /// What the bank must have signed for this coin, if it is one of the known.
    pub(crate) fn blinded(&self, coin: &VerifyingKey) -> Option<&BlindedMessage> {
        self.coins.get(coin)
    }

    fn sign<M: Message>(&self, message: &M, key: &VerifyingKey, old: &Signature) -> Signature {
        self.known.get(key).map_or(*old, |key| message.sign(key))
    }
}

/// A message that people sign.
pub(crate) trait Consent: Message {
    /// The same with the signatures of everybody whose key is known; others stay as they are.
    fn signed_again(self, keys: &Keys) -> Self;

    /// The coins that it spends, and the outputs that it asks for.
    fn coins(&self) -> (&[Coin], &[Output]) {
        (&[], &[])
    }

    /// Another amount, expiry or order, where the sums still hold or nearly do.
    fn shift(&mut self, _input: &mut Input<'_>) {}
}

/// Another amount and sequence number of one coin; whether more is given now, and how much.
fn shift_coin(inputs: &mut [Coin], input: &mut Input<'_>) -> (bool, u64) {
    let is_more = input.rarely(2);
    let difference = u64::from(input.byte());
    if inputs.is_empty() {
        return (is_more, difference);
    }
    let place = input.below(inputs.len());
    let coin = &mut inputs[place];
    coin.amount = shifted(coin.amount, is_more, difference);
    if input.rarely(4) {
        coin.sequence = coin.sequence.wrapping_add(u32::from(input.byte() % 4));
    }
    (is_more, difference)
}

fn shifted(amount: Amount, is_more: bool, difference: u64) -> Amount {
    let units = amount.minor_units();
    let units = if is_more {
        units.saturating_add(difference)
    } else {
        units.saturating_sub(difference)
    };
    Amount::new(units).unwrap_or(amount)
}

fn coins<M: Message>(request: &mut Authorized<M>, inputs: &[Coin], keys: &Keys) {
    let id = RequestId(request.body.id());
    let inputs = inputs.iter().zip(&mut request.signatures);
    for (input, signature) in inputs {
        *signature = keys.sign(&input.spend(id), &input.key, signature);
    }
}

impl Consent for Authorized<ExchangeRequest> {
    fn coins(&self) -> (&[Coin], &[Output]) {
        (&self.body.inputs, &self.body.outputs)
    }

    fn shift(&mut self, input: &mut Input<'_>) {
        shift_coin(&mut self.body.inputs, input);
        if let Some(output) = self.body.outputs.first_mut()
            && input.rarely(2)
        {
            output.exponent = input.byte();
        }
        if input.rarely(4) {
            self.body.outputs.pop();
        }
    }

    fn signed_again(mut self, keys: &Keys) -> Self {
        let inputs = self.body.inputs.clone();
        coins(&mut self, &inputs, keys);
        self
    }
}

impl Consent for Authorized<LockRequest> {
    fn coins(&self) -> (&[Coin], &[Output]) {
        match &self.body.payer {
            Payer::Coins(coins) => (coins, &self.body.change),
            Payer::Account { .. } => (&[], &[]),
        }
    }

    fn shift(&mut self, input: &mut Input<'_>) {
        let body = &mut self.body;
        if let Payer::Coins(coins) = &mut body.payer {
            let (is_more, difference) = shift_coin(coins, input);
            body.amount.amount = shifted(body.amount.amount, is_more, difference);
        }
        if input.rarely(4) {
            let seconds = u64::from(input.byte());
            body.expiry = Timestamp(body.expiry.0.saturating_add(seconds));
        }
        if input.rarely(4) {
            body.hash_lock.0[0] ^= input.byte();
        }
        if input.rarely(4) {
            body.change.pop();
        }
    }

    fn signed_again(mut self, keys: &Keys) -> Self {
        match self.body.payer.clone() {
            Payer::Coins(inputs) => coins(&mut self, &inputs, keys),
            Payer::Account { account, .. } => {
                for signature in &mut self.signatures {
                    *signature = keys.sign(&self.body, &account.key(), signature);
                }
            }
        }
        self
    }
}

impl Consent for Signed<WithdrawRequest> {
    fn coins(&self) -> (&[Coin], &[Output]) {
        (&[], &self.body.outputs)
    }

    fn signed_again(mut self, keys: &Keys) -> Self {
        self.signature = keys.sign(&self.body, &self.body.account.key(), &self.signature);
        self
    }
}

macro_rules! signed_by {
    ($($message:ty: $key:expr,)*) => {$(
        impl Consent for Signed<$message> {
            fn signed_again(mut self, keys: &Keys) -> Self {
                let signer: fn(&$message) -> VerifyingKey = $key;
                self.signature = keys.sign(&self.body, &signer(&self.body), &self.signature);
                self
            }
        }
    )*};
}
signed_by! {
    StatementRequest: |body| body.account.key(),
    Release: |body| body.payee.account.key(),
    Record: |body| body.bank.key(),
}

fn lock_signed_again(lock: &mut Lock, keys: &Keys) {
    if let Some(bank) = keys.known.get(&lock.public.bank.key()) {
        *lock = Lock::new(lock.public.clone(), lock.private.clone(), bank);
    }
}

impl Consent for AcceptRequest {
    /// Amount, expiry or payee of the lock, which the acceptance then names.
    fn shift(&mut self, input: &mut Input<'_>) {
        let seconds = u64::from(input.byte());
        self.lock.public.expiry = Timestamp(self.lock.public.expiry.0.saturating_add(seconds));
        let amount = &mut self.lock.private.amount.amount;
        *amount = shifted(*amount, input.rarely(2), u64::from(input.byte() % 2));
        self.accept.body.lock_tag = self.lock.lock_tag();
    }

    fn signed_again(mut self, keys: &Keys) -> Self {
        lock_signed_again(&mut self.lock, keys);
        if let Some(key) = keys.purchases.get(&self.accept.body.txid) {
            self.accept.signature = self.accept.body.sign(key);
        }
        self
    }
}

impl Consent for Submission {
    fn signed_again(mut self, keys: &Keys) -> Self {
        if let Some(bank) = keys.known.get(&self.lock.bank.key()) {
            let statement = lock_statement(self.lock.lock_tag(), &self.private_id);
            self.signature = bank.sign(Lock::TYPE as u16, &statement);
        }
        self
    }
}
