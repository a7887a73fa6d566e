//! A customer without a wallet: it composes every request itself, and so can lie in each.

use std::sync::Arc;

use bauta_crypto::{
    blind::{BlindSignature, BlindingFactor, CoinSignature, blind, unblind},
    secret::Secret,
    sign::SigningKey,
};
use bauta_proto::{
    accept::{Accept, AcceptRequest, Delivery},
    account::{PayeeOpening, WithdrawRequest},
    codec::{Message, Signed},
    coin::{
        Authorized, CoinName, CoinState, CoinStateRequest, Input, Keyset, KeysetList, Output,
        authorize,
    },
    ids::{AccountId, HashLock, Pseudonym},
    lock::{Lock, LockReply, LockRequest, Payer},
    offer::{Mode, Offer, OrderReply, OrderRequest},
    problem::Problem,
    time::Seconds,
    transport::{Request, bank, fetch, merchant},
};
use bauta_server::roles::merchant::goods::AddedGood;

use crate::{
    net::{BANK, Caller, SHOP},
    town::{Town, money},
};

/// A coin before it is signed.
#[derive(Clone)]
pub(crate) struct FreshCoin {
    key: SigningKey,
    pub(crate) name: CoinName,
    factor: Arc<BlindingFactor>,
    pub(crate) output: Output,
}

/// A coin that the bank has signed.
#[derive(Clone)]
pub(crate) struct PurseCoin {
    pub(crate) key: SigningKey,
    pub(crate) name: CoinName,
    pub(crate) signature: CoinSignature,
}

/// Some coins in a request: how often each was spent before, and what is taken from it in cents.
pub(crate) type Spends<'a> = &'a [(&'a PurseCoin, u32, u64)];

pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([number; 32]))
}

pub(crate) fn account(number: u8) -> AccountId {
    key(number).verifying_key().into()
}

/// The pseudonym of a purse's purchases.
pub(crate) fn pseudonym() -> SigningKey {
    key(201)
}

impl FreshCoin {
    /// A coin worth 2^exponent cents, made from a number.
    pub(crate) fn new(keyset: &Keyset, number: u8, exponent: u8) -> Self {
        let key = key(number);
        let name = CoinName {
            keyset: keyset.keyset_id(),
            exponent,
            key: key.verifying_key(),
        };
        let factor = BlindingFactor::from_seed(&Secret::new([number; 32]));
        let output = Output {
            keyset: name.keyset,
            exponent,
            blinded: blind(&name.to_bytes(), &factor),
        };
        Self {
            key,
            name,
            factor: Arc::new(factor),
            output,
        }
    }

    /// The coin, if the signature is the bank's.
    pub(crate) fn finish(&self, signature: &BlindSignature, keyset: &Keyset) -> Option<PurseCoin> {
        let public = keyset.key(self.name.exponent)?;
        let signature = unblind(&self.name.to_bytes(), &self.factor, signature, public).ok()?;
        Some(PurseCoin {
            key: self.key.clone(),
            name: self.name.clone(),
            signature,
        })
    }
}

/// Outputs in the protocol's order.
pub(crate) fn outputs(coins: &[FreshCoin]) -> Vec<Output> {
    let mut outputs: Vec<_> = coins.iter().map(|coin| coin.output.clone()).collect();
    outputs.sort_by_key(|output| output.blinded);
    outputs
}

/// Inputs in the protocol's order, and the keys that sign them.
pub(crate) fn inputs(coins: Spends<'_>) -> (Vec<Input>, Vec<SigningKey>) {
    let mut coins = coins.to_vec();
    coins.sort_by_key(|(coin, ..)| coin.name.key);
    let input = |(coin, sequence, cents): &(&PurseCoin, u32, u64)| Input {
        keyset: coin.name.keyset,
        exponent: coin.name.exponent,
        key: coin.name.key,
        signature: coin.signature,
        sequence: *sequence,
        amount: money(*cents).amount,
    };
    let keys = coins.iter().map(|(coin, ..)| coin.key.clone()).collect();
    (coins.iter().map(input).collect(), keys)
}

/// The consent of each coin to a request that spends them.
pub(crate) fn authorized<M: Message>(
    coins: Spends<'_>,
    body: impl FnOnce(Vec<Input>) -> M,
) -> Authorized<M> {
    let (inputs, keys) = inputs(coins);
    authorize(
        body(inputs.clone()),
        &inputs,
        &keys.iter().collect::<Vec<_>>(),
    )
}

impl Town {
    /// The keyset that the bank published last.
    pub(crate) async fn keyset(&self) -> Keyset {
        let request = Request::get(format!("{BANK}{}", bank::KEYSETS_PATH));
        let list = fetch(&self.net(Caller::Stranger), request, KeysetList::BYTES_MAX).await;
        let list = KeysetList::from_bytes(&list.expect("answers")).expect("a list");
        list.keysets.last().expect("published").keyset.body.clone()
    }

    /// Withdraws coins worth 2^exponent each, made from these numbers, from the account of this number, after paying in
    /// what they cost.
    pub(crate) async fn coins(
        &self,
        owner: u8,
        numbers: std::ops::Range<u8>,
        exponent: u8,
    ) -> Vec<PurseCoin> {
        let keyset = self.keyset().await;
        let cents = u64::try_from(numbers.len()).expect("few") << exponent;
        self.credit(account(owner), cents, &format!("{owner} {numbers:?}"));
        let fresh: Vec<_> = numbers
            .map(|number| FreshCoin::new(&keyset, number, exponent))
            .collect();
        let request = self.withdrawal(owner, &fresh).signed(&key(owner));
        let issued = self.ask::<bank::Withdraw>(BANK, &request).await;
        let issued = issued.expect("issued");
        finish(&fresh, &issued.signatures, &keyset)
    }

    /// The request for coins from an account.
    pub(crate) fn withdrawal(&self, owner: u8, coins: &[FreshCoin]) -> WithdrawRequest {
        WithdrawRequest {
            bank: self.bank.bank_id(),
            account: account(owner),
            outputs: outputs(coins),
        }
    }

    /// A payee's opening that the purse makes up.
    pub(crate) fn opening(&self, owner: u8) -> PayeeOpening {
        PayeeOpening {
            bank: self.bank.bank_id(),
            account: account(owner),
            salt: [owner; 32],
        }
    }

    /// An order under the purse's pseudonym.
    pub(crate) fn order_of(&self, good: &AddedGood, nonce: u8) -> OrderRequest {
        OrderRequest {
            merchant: self.merchant.merchant_id(),
            good: good.good,
            version: good.version,
            bank: self.bank.bank_id(),
            log_policy: self.policy().policy_id(),
            pseudonym: Pseudonym::from(pseudonym().verifying_key()),
            nonce: [nonce; 32],
            mode: Mode::Fast,
        }
    }

    /// The shop's offer for a good.
    pub(crate) async fn offer(&self, good: &AddedGood, nonce: u8) -> OrderReply {
        let order = self.order_of(good, nonce);
        let offered = self.ask::<merchant::Order>(SHOP, &order).await;
        offered.expect("offered")
    }

    /// What an honest customer would ask of the bank for this offer.
    pub(crate) fn lock_body(&self, offer: &Offer, payer: Payer) -> LockRequest {
        LockRequest {
            bank: offer.bank,
            hash_lock: offer.hash_lock,
            amount: offer.price,
            payee: offer.payee,
            log_policy: offer.log_policy,
            expiry: self.now().plus(Seconds(80)),
            mode: offer.mode.lock_mode(HashLock([0; 32])),
            dispute_window: offer.dispute_window,
            payer,
            change: Vec::new(),
        }
    }

    /// A lock for this offer, changed by a liar before the coins sign it.
    pub(crate) async fn lock_changed(
        &self,
        offer: &Offer,
        coin: (&PurseCoin, u32, u64),
        change: impl FnOnce(&mut LockRequest),
    ) -> Result<LockReply, Problem> {
        let request = authorized(&[coin], |inputs| {
            let mut body = self.lock_body(offer, Payer::Coins(inputs));
            change(&mut body);
            body
        });
        self.ask::<bank::LockValue>(BANK, &request).await
    }

    /// An honest lock for this offer.
    pub(crate) async fn lock(&self, offer: &Offer, coin: (&PurseCoin, u32, u64)) -> Lock {
        let locked = self.lock_changed(offer, coin, |_| ()).await;
        locked.expect("locked").lock
    }

    /// Hands a lock to the shop.
    pub(crate) async fn accept(&self, offer: &Offer, lock: &Lock) -> Result<Delivery, Problem> {
        let request = acceptance(offer, lock);
        self.ask::<merchant::AcceptOffer>(SHOP, &request).await
    }

    /// What the bank knows of a coin.
    pub(crate) async fn coin_state(&self, coin: &PurseCoin) -> CoinState {
        let request = CoinStateRequest {
            bank: self.bank.bank_id(),
            coin: coin.name.clone(),
        };
        let state = self.ask::<bank::State>(BANK, &request).await;
        state.expect("answers")
    }
}

/// The acceptance of an offer with this lock, under the purse's pseudonym.
pub(crate) fn acceptance(offer: &Offer, lock: &Lock) -> AcceptRequest {
    acceptance_by(&pseudonym(), offer, lock)
}

/// The same under another key.
pub(crate) fn acceptance_by(signer: &SigningKey, offer: &Offer, lock: &Lock) -> AcceptRequest {
    let accept: Signed<Accept> = Accept {
        txid: offer.txid(),
        lock_tag: lock.lock_tag(),
    }
    .signed(signer);
    AcceptRequest {
        lock: lock.clone(),
        accept,
    }
}

/// Coins out of a bank's answer, which follows the order of the outputs.
pub(crate) fn finish(
    fresh: &[FreshCoin],
    signatures: &[BlindSignature],
    keyset: &Keyset,
) -> Vec<PurseCoin> {
    let mut fresh = fresh.to_vec();
    fresh.sort_by_key(|coin| coin.output.blinded);
    fresh
        .iter()
        .zip(signatures)
        .filter_map(|(coin, signature)| coin.finish(signature, keyset))
        .collect()
}
