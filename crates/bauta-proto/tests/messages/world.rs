//! One purchase from fixed seeds: every value that the vectors hold.

use std::sync::LazyLock;

use bauta_crypto::{
    blind::{BlindedMessage, BlindingFactor, CoinSignature, IssuerKey, blind, unblind},
    merkle::{Frontier, Hash},
    note::{Checkpoint, CosignerSigner, LogSigner, cosign, sign_checkpoint},
    secret::Secret,
    sign::SigningKey,
};
use bauta_proto::{
    account::PayeeOpening,
    codec::{Message, Signed},
    coin::{CoinName, Input, Keyset, Output},
    customer::{CheckedLock, OpenedOffer},
    ids::{
        AccountId, BankId, CiphertextRoot, GoodId, HashLock, MerchantId, PlaintextRoot, PolicyId,
        Pseudonym, Serial,
    },
    lock::{Lock, LockMode, LockPrivate, LockPublic, LockRequest, Payer},
    log::{leaf::Deed, policy::Policy, receipt::Receipt},
    merchant::{ComposedOffer, Conditions, GoodForSale, SaleSecrets, Seller, compose_offer},
    money::{Amount, Currency, Money},
    offer::{Mode, Offer, OfferMode, OrderRequest, Terms},
    submission::{Record, Submission},
    time::{Seconds, Timestamp},
};

/// When everything happens.
pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000);
const ORIGIN: &str = "log.example/bauta";

/// Who takes part and what they hold.
pub(crate) struct World {
    pub(crate) bank: SigningKey,
    pub(crate) merchant: SigningKey,
    pub(crate) account: SigningKey,
    pub(crate) archive: SigningKey,
    pub(crate) pseudonym: SigningKey,
    pub(crate) keyset: Keyset,
    pub(crate) coins: Vec<Coin>,
    pub(crate) order: OrderRequest,
    pub(crate) offer: OpenedOffer,
    pub(crate) payee: PayeeOpening,
    pub(crate) preimage: Secret<32>,
    pub(crate) lock_request: LockRequest,
    pub(crate) lock: CheckedLock,
}

/// A coin with its key.
pub(crate) struct Coin {
    pub(crate) key: SigningKey,
    pub(crate) input: Input,
}

/// The one world.
pub(crate) static WORLD: LazyLock<World> = LazyLock::new(World::new);

/// What prepares and what cancels the lock in mode SAFE.
pub(crate) const SAFE_PREIMAGES: [[u8; 32]; 2] = [[0x1d; 32], [0x1e; 32]];

impl World {
    fn new() -> Self {
        let (bank, merchant, account) = (key(1), key(2), key(3));
        let (archive, pseudonym) = (key(4), key(6));
        let keyset = keyset(&bank);
        let order = order(&merchant, &bank, &pseudonym);
        let composed = composed(&merchant, &account, &order);
        let listed = euro(499);
        let offer = OpenedOffer::check(composed.reply, &order, listed, NOW);
        let offer = offer.expect("the offer answers the order");
        let coins = vec![coin(&keyset, 8, 7), coin(&keyset, 8, 8)];
        let mut coins: Vec<Coin> = coins;
        coins.sort_by_key(|coin| coin.input.key);
        let inputs = coins.iter().map(|coin| coin.input.clone()).collect();
        let change = outputs(&keyset, &[0, 2, 3]);
        let expiry = offer.lock_expiry(NOW);
        let lock_request =
            offer.lock_request(expiry, HashLock([0; 32]), Payer::Coins(inputs), change);
        let lock = CheckedLock::check(lock(&lock_request, &bank), &lock_request);
        Self {
            preimage: SaleSecrets::derive(&Secret::new([9; 32]), &order, NOW).preimage,
            lock: lock.expect("the lock answers the request"),
            payee: composed.payee,
            bank,
            merchant,
            account,
            archive,
            pseudonym,
            keyset,
            coins,
            order,
            offer,
            lock_request,
        }
    }

    pub(crate) fn bank_id(&self) -> BankId {
        BankId::from(self.bank.verifying_key())
    }

    pub(crate) fn account_id(&self) -> AccountId {
        AccountId::from(self.account.verifying_key())
    }

    pub(crate) fn inputs(&self) -> Vec<Input> {
        self.coins.iter().map(|coin| coin.input.clone()).collect()
    }

    pub(crate) fn coin_keys(&self) -> Vec<&SigningKey> {
        self.coins.iter().map(|coin| &coin.key).collect()
    }

    /// Issues what an output asks for.
    pub(crate) fn issue(&self, output: &Output) -> bauta_crypto::blind::BlindSignature {
        let signed = issuer(output.exponent).sign(&output.blinded);
        signed.expect("the output is a point")
    }

    pub(crate) fn record(&self) -> Record {
        Record {
            bank: self.bank_id(),
            valid_until: self.keyset.settle_until,
            subject: self.keyset.keyset_id().0,
        }
    }

    /// The sale's offer in mode SAFE.
    pub(crate) fn safe_offer(&self) -> Signed<Offer> {
        let mut offer = self.offer.offer().clone();
        offer.mode = OfferMode::Safe {
            prepare_hash: hash_lock(SAFE_PREIMAGES[0]),
            reveal_window: Seconds(300),
        };
        offer.signed(&self.merchant)
    }

    /// The sale's lock in mode SAFE.
    pub(crate) fn safe_lock(&self) -> Lock {
        let lock = self.lock.lock().clone();
        let public = LockPublic {
            mode: LockMode::Safe {
                prepare_hash: hash_lock(SAFE_PREIMAGES[0]),
                cancel_hash: hash_lock(SAFE_PREIMAGES[1]),
                reveal_window: Seconds(300),
            },
            ..lock.public
        };
        Lock::new(public, lock.private, &self.bank)
    }

    /// The commit leaf of the sale.
    pub(crate) fn commit_leaf(&self) -> Hash {
        let commit = Submission::new(self.lock.lock(), Deed::Commit, *self.preimage.expose());
        commit.checked_leaf().expect("the commit is good").hash()
    }

    /// The receipt of one of two leaves: the keyset's record, then the sale's commit.
    pub(crate) fn receipt(&self, index: u64) -> Vec<u8> {
        let leaves = [self.record().leaf().hash(), self.commit_leaf()];
        let mut tree = Frontier::new();
        leaves.iter().for_each(|leaf| tree.append(*leaf));
        let checkpoint = Checkpoint {
            origin: ORIGIN.to_owned(),
            size: 2,
            root: tree.root(),
        };
        let log = LogSigner::new(ORIGIN, &self.archive).expect("a valid name");
        let note = sign_checkpoint(&checkpoint, &log).expect("of this log");
        let receipt = Receipt {
            index,
            path: vec![leaves[1 - usize::from(index == 1)]],
            checkpoint: cosign(&note, &cosigner(), NOW.0 + 10).expect("a checkpoint"),
        };
        receipt.to_text().into_bytes()
    }

    /// The policy that offer and lock refer to.
    pub(crate) fn policy(&self) -> Policy {
        policy()
    }
}

/// The signing key from a seed of 32 times one byte.
pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([seed; 32]))
}

pub(crate) fn euro(cents: u64) -> Money {
    amount(cents).of(Currency::from_code("EUR").expect("a currency"))
}

pub(crate) fn amount(units: u64) -> Amount {
    Amount::new(units).expect("a small amount")
}

fn cosigner() -> CosignerSigner {
    CosignerSigner::new("log.example/cosigner", &key(5)).expect("a valid name")
}

fn policy() -> Policy {
    let log = LogSigner::new(ORIGIN, &key(4)).expect("a valid name");
    let policy = Policy::of_one_log(log.vkey(), "https://log.example", cosigner().vkey());
    policy.expect("names and address of one word each")
}

fn issuer(exponent: u8) -> IssuerKey {
    IssuerKey::from_seed(&Secret::new([0x40 + exponent; 32]))
}

fn keyset(bank: &SigningKey) -> Keyset {
    Keyset {
        bank: BankId::from(bank.verifying_key()),
        currency: euro(0).currency,
        issue_from: NOW.minus(Seconds::days(1)),
        issue_until: NOW.plus(Seconds::days(30)),
        spend_until: NOW.plus(Seconds::days(90)),
        settle_until: NOW.plus(Seconds::days(180)),
        keys: (0..10)
            .map(|exponent| issuer(exponent).public_key())
            .collect(),
    }
}

/// A coin that the bank has signed, all of it to be spent.
fn coin(keyset: &Keyset, exponent: u8, seed: u8) -> Coin {
    let signing = key(seed);
    let name = CoinName {
        keyset: keyset.keyset_id(),
        exponent,
        key: signing.verifying_key(),
    };
    let input = Input {
        keyset: name.keyset,
        exponent,
        key: name.key,
        signature: coin_signature(&name, keyset),
        sequence: 0,
        amount: Amount::power_of_two(exponent).expect("a denomination"),
    };
    Coin {
        key: signing,
        input,
    }
}

fn coin_signature(name: &CoinName, keyset: &Keyset) -> CoinSignature {
    let factor = BlindingFactor::from_seed(&Secret::new(name.key.0));
    let message = name.to_bytes();
    let issued = issuer(name.exponent).sign(&blind(&message, &factor));
    let public = keyset.key(name.exponent).expect("a denomination");
    unblind(
        &message,
        &factor,
        &issued.expect("the blinded message is a point"),
        public,
    )
    .expect("the issuer signed")
}

/// Outputs of these denominations, in the order that requests need.
pub(crate) fn outputs(keyset: &Keyset, exponents: &[u8]) -> Vec<Output> {
    let output = |exponent: &u8| Output {
        keyset: keyset.keyset_id(),
        exponent: *exponent,
        blinded: blinded(keyset, *exponent),
    };
    let mut outputs: Vec<Output> = exponents.iter().map(output).collect();
    outputs.sort_by_key(|output| output.blinded);
    outputs
}

fn blinded(keyset: &Keyset, exponent: u8) -> BlindedMessage {
    let name = CoinName {
        keyset: keyset.keyset_id(),
        exponent,
        key: key(0x80 + exponent).verifying_key(),
    };
    let factor = BlindingFactor::from_seed(&Secret::new([0xa0 + exponent; 32]));
    blind(&name.to_bytes(), &factor)
}

fn order(merchant: &SigningKey, bank: &SigningKey, pseudonym: &SigningKey) -> OrderRequest {
    OrderRequest {
        merchant: MerchantId::from(merchant.verifying_key()),
        good: GoodId([0x11; 16]),
        version: 1,
        mode: Mode::Fast,
        bank: BankId::from(bank.verifying_key()),
        log_policy: policy_id(),
        pseudonym: Pseudonym::from(pseudonym.verifying_key()),
        nonce: [0x12; 32],
    }
}

fn hash_lock(preimage: [u8; 32]) -> HashLock {
    HashLock(bauta_crypto::hash::sha256(&[&preimage]))
}

fn policy_id() -> PolicyId {
    policy().policy_id()
}

fn composed(merchant: &SigningKey, account: &SigningKey, order: &OrderRequest) -> ComposedOffer {
    let seller = Seller {
        key: merchant,
        sale_secret: &Secret::new([9; 32]),
        account: AccountId::from(account.verifying_key()),
    };
    let pt_len = 20_000_000;
    let good = GoodForSale {
        price: euro(499),
        terms: terms(),
        pt_root: PlaintextRoot([0x13; 32]),
        pt_len,
        ct_root: CiphertextRoot([0x14; 32]),
        ct_len: bauta_crypto::content::ciphertext_len(pt_len).expect("a small good"),
        content_key: Secret::new([0x15; 16]),
    };
    let conditions = Conditions {
        offer_span: Seconds::hours(1),
        lock_min: Seconds(30),
        lock_max: Seconds::days(1),
        reveal_window: Seconds(300),
        dispute_window: Seconds::days(14),
    };
    compose_offer(seller, &good, order, conditions, NOW)
}

fn terms() -> Terms {
    Terms {
        salt: [0; 32],
        title: "Nocturne in B flat minor".to_owned(),
        file_name: "nocturne.flac".to_owned(),
        media_type: "audio/flac".to_owned(),
        description: "Recorded in one take; 24 bits, 96 kHz. \u{266d}".to_owned(),
        licence: "CC BY 4.0".to_owned(),
        refund_rule: "Money back if the file does not play.".to_owned(),
    }
}

fn lock(request: &LockRequest, bank: &SigningKey) -> Lock {
    let public = LockPublic {
        bank: request.bank,
        serial: Serial([0x16; 16]),
        hash_lock: request.hash_lock,
        expiry: request.expiry,
        log_policy: request.log_policy,
        mode: request.mode,
    };
    let dispute_until = request.expiry.plus(request.dispute_window);
    let private = LockPrivate {
        amount: request.amount,
        payee: request.payee,
        dispute_until,
        settle_until: dispute_until.plus(Seconds::days(1)),
        salt: [0x17; 16],
    };
    Lock::new(public, private, bank)
}
