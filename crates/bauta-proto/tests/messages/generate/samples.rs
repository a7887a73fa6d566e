//! One good message of every kind, with the places of its parts.

use bauta_crypto::sign::{SigningKey, VerifyingKey};
use bauta_proto::{
    accept::Delivery,
    account::{Entry, EntryKind, Standing, Statement, StatementRequest, WithdrawRequest},
    codec::{Message, MessageType},
    coin::{
        CoinState, CoinStateRequest, ExchangeRequest, Issued, KeysetList, PublishedKeyset,
        RestoreRequest, Restored, RestoredOutput, authorize,
    },
    ids::LockTag,
    lock::{
        Capture, Claim, ClaimOutcome, ClaimReply, ClaimRequest, LeafProof, LockReply, LockState,
        LockStatus, LockStatusRequest, Release, TaggedLockState,
    },
    log::{leaf::Deed, policy::Policy},
    submission::{Promise, Submission},
};

use super::{
    Mark::{self, Amount, Currency, LastVector, Signed, Text, Variant, Vector},
    Sample,
};
use crate::{
    kinds::Kind,
    world::{NOW, SAFE_PREIMAGES, WORLD, amount, euro, outputs},
};

/// Every sample.
pub(super) fn all() -> Vec<Sample> {
    let mut samples = coins();
    samples.extend(accounts());
    samples.extend(locks());
    samples.extend(lock_outcomes());
    samples.extend(offers());
    samples.extend(log());
    samples
}

fn sample(
    slug: &'static str,
    kind: &'static str,
    comment: &'static str,
    bytes: Vec<u8>,
    border: usize,
    marks: &[Mark],
) -> Sample {
    Sample {
        slug,
        kind: Kind::named(kind).expect("a kind of the table"),
        signer: None,
        comment,
        bytes,
        border,
        marks: marks.to_vec(),
    }
}

fn by(signer: &SigningKey, sample: Sample) -> Sample {
    let signer: VerifyingKey = signer.verifying_key();
    Sample {
        signer: Some(signer),
        ..sample
    }
}

fn coins() -> Vec<Sample> {
    let world = &*WORLD;
    let keyset = world.keyset.clone().signed(&world.bank);
    let list = KeysetList {
        keysets: vec![PublishedKeyset {
            keyset: keyset.clone(),
            receipt: world.receipt(0),
        }],
    };
    let input = &world.coins[0].input;
    let exchange = ExchangeRequest {
        bank: world.bank_id(),
        inputs: world.inputs(),
        outputs: outputs(&world.keyset, &[9]),
    };
    let keys = world.coin_keys();
    let exchange = authorize(exchange, &world.inputs(), &keys);
    let spend = input.spend(exchange.request_id());
    let asked = outputs(&world.keyset, &[0, 2, 3]);
    let issued = asked.iter().map(|output| world.issue(output)).collect();
    let restored = asked.iter().map(|output| RestoredOutput {
        output: output.clone(),
        signature: world.issue(output),
    });
    let restore = RestoreRequest {
        bank: world.bank_id(),
        blinded: asked.iter().map(|output| output.blinded).collect(),
    };
    let state_request = CoinStateRequest {
        bank: world.bank_id(),
        coin: input.name(),
    };
    let state = CoinState {
        sequence: 1,
        remaining: amount(13),
        locked: amount(243),
    };
    let issued = Issued { signatures: issued };
    let restored = Restored {
        outputs: restored.collect(),
    };
    vec![
        by(
            &world.bank,
            sample(
                "keyset",
                "Signed<Keyset>",
                "ten denominations of EUR",
                keyset.to_bytes(),
                67,
                &[Currency(32), Vector(67), Signed(66), Signed(1_092)],
            ),
        ),
        sample(
            "keyset-list",
            "KeysetList",
            "one keyset with the receipt of its record",
            list.to_bytes(),
            2,
            &[LastVector(0), Currency(34), Signed(1_031)],
        ),
        sample(
            "coin-name",
            "CoinName",
            "what the bank's blind signature is on",
            input.name().to_bytes(),
            33,
            &[],
        ),
        sample(
            "spend",
            "Spend",
            "a coin's consent to the exchange of exchange-request-good",
            spend.to_bytes(),
            64,
            &[Amount(68)],
        ),
        sample(
            "exchange-request",
            "Authorized<ExchangeRequest>",
            "two coins of 256 for one of 512",
            exchange.to_bytes(),
            284,
            &[
                Vector(32),
                Vector(284),
                LastVector(367),
                Amount(151),
                Signed(0),
                Signed(158 + 125 + 10),
                Signed(400),
            ],
        ),
        sample(
            "issued",
            "Issued",
            "blind signatures for three outputs",
            issued.to_bytes(),
            2,
            &[LastVector(0)],
        ),
        sample(
            "restore-request",
            "RestoreRequest",
            "three outputs asked about",
            restore.to_bytes(),
            32,
            &[LastVector(32)],
        ),
        sample(
            "restored",
            "Restored",
            "all three were signed",
            restored.to_bytes(),
            2 + 129,
            &[LastVector(0)],
        ),
        sample(
            "coin-state-request",
            "CoinStateRequest",
            "one coin asked about",
            state_request.to_bytes(),
            64,
            &[],
        ),
        sample(
            "coin-state",
            "CoinState",
            "spent once, 13 left, 243 in an undecided lock",
            state.to_bytes(),
            4,
            &[Amount(4), Amount(12)],
        ),
    ]
}

fn accounts() -> Vec<Sample> {
    let world = &*WORLD;
    let withdraw = WithdrawRequest {
        bank: world.bank_id(),
        account: world.account_id(),
        outputs: outputs(&world.keyset, &[0, 2, 3]),
    };
    let statement_request = StatementRequest {
        bank: world.bank_id(),
        account: world.account_id(),
        currency: euro(0).currency,
        after: 0,
        asked_at: NOW,
    };
    let entry = |number, kind, units, balance| Entry {
        number,
        booked_at: NOW,
        kind,
        amount: amount(units),
        balance: amount(balance),
    };
    let statement = Statement {
        currency: euro(0).currency,
        balance: amount(512),
        standing: Standing::Open,
        entries: vec![
            entry(1, EntryKind::Credit, 10_000, 10_000),
            entry(2, EntryKind::Withdrawal, 9_987, 13),
            entry(3, EntryKind::Claim, 499, 512),
        ],
    };
    vec![
        by(
            &world.account,
            sample(
                "withdraw-request",
                "Signed<WithdrawRequest>",
                "coins of 1, 4 and 8 cents",
                withdraw.signed(&world.account).to_bytes(),
                64,
                &[Vector(64), Signed(32), Signed(309)],
            ),
        ),
        by(
            &world.account,
            sample(
                "statement-request",
                "Signed<StatementRequest>",
                "all entries of the account in EUR",
                statement_request.signed(&world.account).to_bytes(),
                67,
                &[Currency(64), Signed(82), Signed(83)],
            ),
        ),
        sample(
            "statement",
            "Statement",
            "three entries",
            statement.to_bytes(),
            12,
            &[
                Currency(0),
                Amount(3),
                Variant(11),
                LastVector(12),
                Variant(30),
                Amount(31),
                Amount(39),
            ],
        ),
        sample(
            "payee-opening",
            "PayeeOpening",
            "its id is the payee commitment of offer-good and lock-good",
            world.payee.to_bytes(),
            64,
            &[],
        ),
    ]
}

fn locks() -> Vec<Sample> {
    let world = &*WORLD;
    let lock = world.lock.lock();
    let keys = world.coin_keys();
    let request = authorize(world.lock_request.clone(), &world.inputs(), &keys);
    let change = world.lock_request.change.iter();
    let reply = LockReply {
        lock: lock.clone(),
        change: change.map(|output| world.issue(output)).collect(),
    };
    vec![
        sample(
            "lock-request",
            "Authorized<LockRequest>",
            "two coins of 256 pay 499, three outputs take the change",
            request.to_bytes(),
            152,
            &[
                Currency(64),
                Amount(67),
                Variant(147),
                Variant(152),
                Vector(153),
                Amount(272),
                Vector(405),
                LastVector(650),
                Signed(0),
                Signed(146),
                Signed(652),
            ],
        ),
        sample(
            "lock-public",
            "LockPublic",
            "its id is the lock tag",
            lock.public.to_bytes(),
            48,
            &[Variant(120)],
        ),
        sample(
            "lock-public-safe",
            "LockPublic",
            "mode SAFE with its hashes and window",
            world.safe_lock().public.to_bytes(),
            121,
            &[Variant(120)],
        ),
        sample(
            "lock-private",
            "LockPrivate",
            "the half for payer and payee",
            lock.private.to_bytes(),
            11,
            &[Currency(0), Amount(3)],
        ),
        sample(
            "lock",
            "Lock",
            "signed over the ids of both halves",
            lock.to_bytes(),
            121,
            &[
                Currency(121),
                Amount(124),
                Signed(47),
                Signed(131),
                Signed(196),
            ],
        ),
        sample(
            "lock-reply",
            "LockReply",
            "the lock and three blind signatures",
            reply.to_bytes(),
            260,
            &[LastVector(260), Signed(100)],
        ),
    ]
}

fn lock_outcomes() -> Vec<Sample> {
    let world = &*WORLD;
    let lock_tag = world.lock.lock().lock_tag();
    let preimage = *world.preimage.expose();
    let capture = Capture { lock_tag, preimage };
    let release = Release {
        lock_tag,
        payee: world.payee.clone(),
    };
    let claim = ClaimRequest {
        bank: world.bank_id(),
        claims: vec![Claim {
            lock_tag,
            payee: world.payee.clone(),
            proofs: vec![LeafProof {
                deed: Deed::Commit,
                preimage,
                receipt: world.receipt(1),
            }],
        }],
    };
    use ClaimOutcome as O;
    let claim_reply = ClaimReply {
        outcomes: vec![
            O::Credited,
            O::Undecided,
            O::Released,
            O::Unknown,
            O::WrongPayee,
            O::BadReceipt,
            O::Frozen,
        ],
    };
    let status_request = LockStatusRequest {
        bank: world.bank_id(),
        lock_tags: vec![lock_tag, LockTag([0x18; 32])],
    };
    let tagged = |tag: u8, state| TaggedLockState {
        lock_tag: LockTag([tag; 32]),
        state,
    };
    let status = LockStatus {
        bank: world.bank_id(),
        locks: vec![
            tagged(0x18, LockState::Unknown),
            tagged(0x19, LockState::Held),
            tagged(0x1a, LockState::Captured { preimage }),
            tagged(0x1b, LockState::Released),
            tagged(0x1c, LockState::Prepared),
        ],
    };
    vec![
        sample(
            "capture",
            "Capture",
            "the preimage for the bank",
            capture.to_bytes(),
            32,
            &[],
        ),
        by(
            &world.account,
            sample(
                "release",
                "Signed<Release>",
                "the payee gives the money back",
                release.signed(&world.account).to_bytes(),
                32,
                &[Signed(0), Signed(128)],
            ),
        ),
        sample(
            "claim-request",
            "ClaimRequest",
            "one claim with the proof of its commit",
            claim.to_bytes(),
            162,
            &[LastVector(32), Variant(164), Vector(197)],
        ),
        sample(
            "claim-reply",
            "ClaimReply",
            "every outcome once",
            claim_reply.to_bytes(),
            1,
            &[LastVector(0), Variant(1), Variant(7)],
        ),
        sample(
            "lock-status-request",
            "LockStatusRequest",
            "two locks asked about",
            status_request.to_bytes(),
            32,
            &[LastVector(32)],
        ),
        by(
            &world.bank,
            sample(
                "lock-status",
                "Signed<LockStatus>",
                "every state once",
                status.signed(&world.bank).to_bytes(),
                34,
                &[Vector(32), Variant(66), Signed(0), Signed(231)],
            ),
        ),
    ]
}

fn offers() -> Vec<Sample> {
    let world = &*WORLD;
    let reply = world.offer.reply();
    let mut other_type = reply.offer.clone();
    let body = other_type.body.to_bytes();
    other_type.signature = world.merchant.sign(MessageType::Terms as u16, &body);
    assert!(
        other_type
            .verified(&world.merchant.verifying_key())
            .is_err()
    );
    let accept = world.offer.accept(&world.lock, &world.pseudonym);
    vec![
        sample(
            "order-request",
            "OrderRequest",
            "one good, under a fresh pseudonym",
            world.order.to_bytes(),
            48,
            &[Variant(116)],
        ),
        by(
            &world.merchant,
            sample(
                "offer",
                "Signed<Offer>",
                "its id is the txid",
                reply.offer.to_bytes(),
                163,
                &[
                    Variant(1),
                    Variant(2),
                    Currency(163),
                    Amount(166),
                    Signed(35),
                    Signed(173),
                    Signed(318),
                    Signed(385),
                    Signed(386),
                ],
            ),
        ),
        by(
            &world.merchant,
            sample(
                "offer-safe",
                "Signed<Offer>",
                "the same in mode SAFE",
                world.safe_offer().to_bytes(),
                39,
                &[Variant(2), Signed(3), Signed(38)],
            ),
        ),
        sample(
            "terms",
            "Terms",
            "their id stands in offer-good",
            reply.terms.to_bytes(),
            32,
            &[Vector(32), Text(33)],
        ),
        sample(
            "order-reply",
            "OrderReply",
            "offer and terms",
            reply.to_bytes(),
            450,
            &[Variant(2), Vector(482), Text(483), Signed(386)],
        ),
        by(
            &world.pseudonym,
            sample(
                "accept",
                "Signed<Accept>",
                "signed by the pseudonym of offer-good",
                accept.accept.to_bytes(),
                32,
                &[Signed(0), Signed(63), Signed(64)],
            ),
        ),
        by(
            &world.pseudonym,
            sample(
                "accept-request",
                "AcceptRequest",
                "the lock and the acceptance",
                accept.to_bytes(),
                260,
                &[
                    Currency(121),
                    Amount(124),
                    Signed(195),
                    Signed(196),
                    Signed(324),
                ],
            ),
        ),
    ]
}

fn log() -> Vec<Sample> {
    let world = &*WORLD;
    let policy: Policy = world.policy();
    let origin = &policy.logs()[0].key.name;
    let commit = Submission::new(world.lock.lock(), Deed::Commit, *world.preimage.expose());
    let promise = Promise {
        log: Promise::log_name(origin),
        leaf_hash: world.commit_leaf(),
        index: 1,
        promised_at: NOW,
    };
    let delivery = Delivery {
        txid: world.offer.txid(),
        preimage: *world.preimage.expose(),
        promises: vec![promise.clone().signed(&world.archive)],
    };
    vec![
        by(
            &world.archive,
            sample(
                "delivery",
                "Delivery",
                "the preimage and the log's promise",
                delivery.to_bytes(),
                64,
                &[LastVector(64), Signed(66), Signed(146)],
            ),
        ),
        sample(
            "submission",
            "Submission",
            "the sale of lock-good",
            commit.to_bytes(),
            154,
            &[
                Variant(0),
                Variant(121),
                Signed(81),
                Signed(122),
                Signed(154),
                Signed(218),
            ],
        ),
        submission(
            "submission-prepare",
            "prepares lock-public-safe",
            Deed::Prepare,
            SAFE_PREIMAGES[0],
        ),
        submission(
            "submission-cancel",
            "cancels lock-public-safe",
            Deed::Cancel,
            SAFE_PREIMAGES[1],
        ),
        by(
            &world.archive,
            sample(
                "promise",
                "Signed<Promise>",
                "the commit's leaf has index 1",
                promise.signed(&world.archive).to_bytes(),
                64,
                &[Signed(71), Signed(79), Signed(80)],
            ),
        ),
        by(
            &world.bank,
            sample(
                "record",
                "Signed<Record>",
                "the keyset of keyset-good, for the log",
                world.record().signed(&world.bank).to_bytes(),
                40,
                &[Signed(39), Signed(71), Signed(72)],
            ),
        ),
    ]
}

/// A deed for the lock in mode SAFE; the preimage of another one is refused.
fn submission(slug: &'static str, comment: &'static str, deed: Deed, preimage: [u8; 32]) -> Sample {
    let submission = Submission::new(&WORLD.safe_lock(), deed, preimage);
    let marks = [
        Variant(0),
        Variant(121),
        Signed(122),
        Signed(190),
        Signed(286),
    ];
    sample(
        slug,
        "Submission",
        comment,
        submission.to_bytes(),
        222,
        &marks,
    )
}
