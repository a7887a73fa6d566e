//! What the promises are tried with: commands of small numbers, and what the books say afterwards.

use bauta_crypto::{
    blind::{BlindSignature, BlindedMessage, IssuerPublicKey},
    hash,
    merkle::Frontier,
    sign::{Signature, VerifyingKey},
};
use bauta_proto::{
    codec::{Message, Signed},
    coin::{Keyset, Spend},
    ids::{AccountId, BankId, HashLock, LockTag, PayeeCommitment, PolicyId, RequestId, Serial},
    lock::{Lock, LockMode, LockPrivate, LockPublic, LockReply},
    money::{Amount, Currency, Money},
    time::{Seconds, Timestamp},
};

use super::*;

pub(in crate::bank) const NOW: Timestamp = Timestamp(1_000);
pub(in crate::bank) const EXPIRY: Timestamp = Timestamp(2_000);
pub(in crate::bank) const SETTLE: Timestamp = Timestamp(3_000);
pub(in crate::bank) const KEYSET_SETTLE: Timestamp = Timestamp(9_000);
pub(in crate::bank) const PREIMAGE: [u8; 32] = [0x77; 32];

pub(in crate::bank) fn euros(cents: u64) -> Money {
    let euro = Currency::from_code("EUR").expect("a currency");
    amount(cents).of(euro)
}

pub(in crate::bank) fn amount(cents: u64) -> Amount {
    Amount::new(cents).expect("a small amount")
}

pub(in crate::bank) fn account(number: u8) -> AccountId {
    AccountId([number; 32])
}

pub(in crate::bank) fn one(store: &mut dyn BankStoreOps, command: BankCommand) -> BankResult {
    let mut results = store.apply(vec![command]).expect("the store works");
    assert_eq!(results.len(), 1);
    results.remove(0)
}

pub(in crate::bank) fn operation(reference: &str, number: u8, cents: u64) -> Operation {
    Operation {
        reference: reference.to_owned(),
        account: account(number),
        money: euros(cents),
        at: NOW,
    }
}

pub(in crate::bank) fn new_keyset(generation: u32) -> BankCommand {
    let keyset = Keyset {
        bank: BankId([9; 32]),
        currency: euros(0).currency,
        issue_from: Timestamp(u64::from(generation)),
        issue_until: Timestamp(5_000),
        spend_until: Timestamp(7_000),
        settle_until: KEYSET_SETTLE,
        keys: vec![IssuerPublicKey([1; 96])],
    };
    let record = Signed {
        body: keyset,
        signature: Signature([0; 64]),
    };
    BankCommand::AddKeyset(Box::new(NewKeyset { record, generation }))
}

pub(in crate::bank) fn output(number: u8, exponent: u8) -> SignedOutput {
    SignedOutput {
        keyset: KeysetNumber(1),
        exponent,
        blinded: BlindedMessage([number; 48]),
        signature: BlindSignature([number; 48]),
    }
}

pub(in crate::bank) fn coin(request: u8, key: u8, sequence: u32, cents: u64) -> CoinSpend {
    let body = Spend {
        request: RequestId([request; 32]),
        key: VerifyingKey([key; 32]),
        sequence,
        amount: amount(cents),
    };
    CoinSpend {
        keyset: KeysetNumber(1),
        exponent: 4,
        spend: Signed {
            body,
            signature: Signature([request; 64]),
        },
    }
}

pub(in crate::bank) fn withdrawal(
    request: u8,
    cents: u64,
    outputs: Vec<SignedOutput>,
) -> BankCommand {
    BankCommand::Withdraw(Withdrawal {
        request: RequestId([request; 32]),
        account: account(1),
        money: euros(cents),
        outputs,
        at: NOW,
    })
}

pub(in crate::bank) fn exchange(
    request: u8,
    inputs: Vec<CoinSpend>,
    outputs: Vec<SignedOutput>,
) -> BankCommand {
    BankCommand::Exchange(Exchange {
        request: RequestId([request; 32]),
        currency: euros(0).currency,
        inputs,
        outputs,
    })
}

pub(in crate::bank) fn tag(number: u8) -> LockTag {
    fast_lock(number).lock_tag()
}

pub(in crate::bank) fn fast_lock(number: u8) -> LockPublic {
    public(number, LockMode::Fast)
}

pub(in crate::bank) fn public(number: u8, mode: LockMode) -> LockPublic {
    LockPublic {
        bank: BankId([9; 32]),
        serial: Serial([number; 16]),
        hash_lock: HashLock(hash::sha256(&[&PREIMAGE])),
        expiry: EXPIRY,
        log_policy: PolicyId([9; 32]),
        mode,
    }
}

pub(in crate::bank) const SAFE: LockMode = LockMode::Safe {
    prepare_hash: HashLock([1; 32]),
    cancel_hash: HashLock([2; 32]),
    reveal_window: Seconds(100),
};

pub(in crate::bank) fn reply(public: LockPublic, money: Money) -> Vec<u8> {
    let private = LockPrivate {
        amount: money,
        payee: payee(7),
        dispute_until: public.expiry,
        settle_until: SETTLE,
        salt: [0; 16],
    };
    let lock = Lock {
        public,
        private,
        signature: Signature([0; 64]),
    };
    let change = Vec::new();
    LockReply { lock, change }.to_bytes()
}

pub(in crate::bank) fn payee(number: u8) -> PayeeCommitment {
    PayeeCommitment([number; 32])
}

pub(in crate::bank) fn new_lock(
    number: u8,
    cents: u64,
    payer: LockPayer,
    change: Vec<SignedOutput>,
) -> BankCommand {
    lock_of(number, cents, (payer, change), LockMode::Fast)
}

pub(in crate::bank) fn lock_of(
    number: u8,
    cents: u64,
    (payer, change): (LockPayer, Vec<SignedOutput>),
    mode: LockMode,
) -> BankCommand {
    let public = public(number, mode);
    BankCommand::Lock(Box::new(NewLock {
        request: RequestId([number; 32]),
        lock_tag: public.lock_tag(),
        reply: reply(public, euros(cents)),
        money: euros(cents),
        hash_lock: HashLock(hash::sha256(&[&PREIMAGE])),
        payee: payee(7),
        expiry: EXPIRY,
        settle_until: SETTLE,
        payer,
        change,
        at: NOW,
    }))
}

pub(in crate::bank) fn capture(number: u8, at: Timestamp) -> BankCommand {
    BankCommand::Capture {
        lock_tag: tag(number),
        preimage: PREIMAGE,
        at,
    }
}

pub(in crate::bank) fn release(number: u8) -> BankCommand {
    BankCommand::Release {
        lock_tag: tag(number),
        payee: payee(7),
        at: NOW,
    }
}

pub(in crate::bank) fn claim(number: u8, proven: Option<[u8; 32]>) -> BankCommand {
    BankCommand::Claim(CheckedClaim {
        lock_tag: tag(number),
        payee: payee(7),
        account: account(2),
        proven,
        seen: None,
        at: NOW,
    })
}

pub(in crate::bank) fn advance(from_size: u64, to_size: u64) -> LogAdvance {
    let mut frontier = Frontier::new();
    (0..to_size).for_each(|number| frontier.append([number as u8; 32]));
    LogAdvance {
        origin: "log.example".to_owned(),
        from_size,
        frontier,
        checkpoint: "note".to_owned(),
        decisions: Decisions::default(),
    }
}

/// Account 1 with 1.00 EUR, keyset 1, and coin keys 1 to 4 worth 0.16 each in circulation.
pub(in crate::bank) fn funded(store: &mut dyn BankStoreOps) {
    one(store, BankCommand::Credit(operation("start", 1, 100))).expect("credited");
    one(store, new_keyset(1)).expect("added");
    let outputs = (1..=4).map(|number| output(number, 4)).collect();
    one(store, withdrawal(250, 64, outputs)).expect("withdrawn");
}

/// Nothing may be missing anywhere, after whatever was done or refused.
pub(in crate::bank) fn sound(store: &dyn BankStoreOps) -> Audit {
    let audit = store.audit().expect("readable");
    assert_eq!(audit.defects, []);
    audit
}

pub(in crate::bank) fn balance(store: &dyn BankStoreOps) -> u64 {
    sound(store)
        .currencies
        .first()
        .map_or(0, |totals| totals.accounts.minor_units())
}

pub(in crate::bank) fn circulation(store: &dyn BankStoreOps) -> u64 {
    sound(store).currencies[0].circulation.minor_units()
}

pub(in crate::bank) fn held_lock(store: &mut dyn BankStoreOps) {
    funded(store);
    let payer = LockPayer::Coins(vec![coin(9, 1, 0, 16)]);
    one(store, new_lock(9, 16, payer, Vec::new())).expect("locked");
}
