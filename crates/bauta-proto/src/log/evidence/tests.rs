use std::sync::Arc;

use bauta_crypto::note::{Checkpoint, sign_checkpoint};

use super::*;
use crate::{
    ids::LockTag,
    log::{
        leaf::Deed,
        reader::FetchedCheckpoint,
        test_log::{MemoryFiles, ORIGIN, TestLog, key, leaf, run},
    },
    time::Timestamp,
};

const TIME_S: u64 = 5_000;

fn opened(log: &TestLog, size: u64, time_s: u64) -> SignedCheckpoint {
    SignedCheckpoint::open(&log.checkpoint(size, time_s), &log.policy()).expect("signed")
}

/// A log that another entry made another one, in two sizes.
fn fork(first: u64, second: u64) -> Evidence {
    let log = TestLog::new(first);
    let mut other = TestLog::new(second);
    other.entries[1] = leaf(1_000).to_bytes();
    let files = Arc::new(MemoryFiles::default());
    other.publish(&files, second, TIME_S);
    let shown = opened(&other, second, TIME_S);
    let prefix = run(other.reader(&files).prefix(first, &shown)).expect("reads");
    Evidence::Fork(Fork {
        first: log.checkpoint(first, TIME_S),
        second: shown.note().to_owned(),
        prefix_root: HashText(prefix.root),
        proof: prefix.proof.into_iter().map(HashText).collect(),
    })
}

/// The log's promise, in base64.
fn promise(index: u64, leaf: &Leaf) -> String {
    let body = Promise {
        log: Promise::log_name(ORIGIN),
        leaf_hash: leaf.hash(),
        index,
        promised_at: Timestamp(1_000),
    };
    let signature = body.sign(&key(1));
    BASE64.encode(&Signed { body, signature }.to_bytes())
}

fn standing(log: &TestLog, index: u64) -> (Leaf, Receipt) {
    let files = Arc::new(MemoryFiles::default());
    let size = log.entries.len() as u64;
    log.publish(&files, size, TIME_S);
    let reader = log.reader(&files);
    let checkpoint: FetchedCheckpoint = run(reader.checkpoint()).expect("published");
    let leaf = Leaf::from_bytes(&log.entries[index as usize]).expect("a leaf");
    let receipt = run(reader.receipt(index, &leaf, &checkpoint)).expect("in the tree");
    (leaf, receipt)
}

fn broken_promise() -> Evidence {
    let (there, receipt) = standing(&TestLog::new(5), 3);
    Evidence::BrokenPromise(BrokenPromise {
        promise: promise(3, &leaf(77)),
        leaf_hash: HashText(there.hash()),
        receipt: receipt.to_text(),
    })
}

fn overdue_promise(time_s: u64) -> Evidence {
    Evidence::OverduePromise(OverduePromise {
        promise: promise(5, &leaf(5)),
        checkpoint: TestLog::new(5).checkpoint(5, time_s),
    })
}

fn contradiction() -> Evidence {
    let mut log = TestLog::new(5);
    let tag = LockTag(leaf(1).subject);
    let other = Leaf::of_lock(Deed::Commit, tag, leaf(1).expiry, [8; 32]);
    log.entries[4] = other.to_bytes();
    let [first, second] = [1, 4].map(|index| {
        let (leaf, receipt) = standing(&log, index);
        Standing::new(&leaf, &receipt)
    });
    Evidence::Contradiction(Contradiction { first, second })
}

fn time_went_back() -> Evidence {
    let log = TestLog::new(5);
    Evidence::TimeWentBack(TimeWentBack {
        witness: "self".into(),
        smaller: log.checkpoint(3, 100),
        larger: log.checkpoint(5, 99),
    })
}

fn all() -> Vec<Evidence> {
    let kept_by = 1_000 + u64::from(PROMISE_KEPT_WITHIN.0);
    vec![
        fork(3, 3),
        fork(2, 7),
        fork(3, 700),
        broken_promise(),
        overdue_promise(kept_by + 1),
        contradiction(),
        time_went_back(),
    ]
}

#[test]
fn evidence_of_every_kind_holds_by_the_policy_alone_and_survives_its_file() {
    let policy = TestLog::new(0).policy();
    for evidence in all() {
        let text = evidence.to_text();
        let read = Evidence::from_text(text.as_bytes()).expect("a file of ours");
        assert_eq!(read, evidence);
        let verdict = read.check(&policy).expect("holds");
        assert!(!verdict.accused.is_empty() && text.contains(verdict.kind));
    }
}

#[test]
fn a_fork_accuses_the_log_and_the_witnesses_that_cosigned_both() {
    let verdict = fork(3, 7).check(&TestLog::new(0).policy()).expect("holds");
    assert_eq!(verdict.accused, [ORIGIN, "witness self"]);
    assert_eq!(verdict.severity, Severity::Proof);
}

/// Every string in a JSON value, by the path to it.
fn strings(value: &serde_json::Value, path: String, found: &mut Vec<String>) {
    match value {
        serde_json::Value::String(_) => found.push(path),
        serde_json::Value::Array(items) => (0..).zip(items).for_each(|(number, item): (u32, _)| {
            strings(item, format!("{path}/{number}"), found);
        }),
        serde_json::Value::Object(fields) => fields.iter().for_each(|(name, item)| {
            strings(item, format!("{path}/{name}"), found);
        }),
        _ => {}
    }
}

#[test]
fn evidence_with_any_field_changed_shows_nothing() {
    let policy = TestLog::new(0).policy();
    for evidence in all() {
        let file: serde_json::Value = serde_json::from_str(&evidence.to_text()).expect("JSON");
        let mut paths = Vec::new();
        strings(&file, String::new(), &mut paths);
        assert!(paths.len() >= 3);
        for path in paths {
            for place in [0, 24, 60] {
                let mut changed = file.clone();
                let field = changed.pointer_mut(&path).expect("there");
                let mut text = field.as_str().expect("a text").as_bytes().to_vec();
                // An earlier place of a short text. One letter becomes another, a digit another one.
                let place = place.min(text.len() - 2);
                text[place] = if text[place] == b'5' { b'6' } else { b'5' };
                *field = String::from_utf8(text).expect("ASCII up to there").into();
                let read = Evidence::from_text(changed.to_string().as_bytes());
                let verdict = read.and_then(|evidence| evidence.check(&policy));
                assert!(verdict.is_err(), "{} {path} {place}", evidence.kind());
            }
            let mut cut = file.clone();
            *cut.pointer_mut(&path).expect("there") = "".into();
            let read = Evidence::from_text(cut.to_string().as_bytes());
            assert!(read.and_then(|evidence| evidence.check(&policy)).is_err());
        }
    }
}

#[test]
fn evidence_with_a_field_or_version_that_is_not_known_is_refused() {
    let text = fork(3, 3).to_text();
    for (from, to) in [
        ("bauta-evidence/1", "bauta-evidence/2"),
        ("\"proof\"", "\"more\": \"\", \"proof\""),
        ("\"fork\"", "\"spoon\""),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        let error = Evidence::from_text(changed.as_bytes()).expect_err(to);
        assert!(matches!(error, EvidenceError::Form));
    }
}

#[test]
fn an_honest_logs_checkpoints_show_nothing() {
    let log = TestLog::new(7);
    let files = Arc::new(MemoryFiles::default());
    log.publish(&files, 7, TIME_S);
    let shown = opened(&log, 7, TIME_S);
    for size in 0..=7 {
        let prefix = run(log.reader(&files).prefix(size, &shown)).expect("reads");
        let evidence = Evidence::Fork(Fork {
            first: log.checkpoint(size, TIME_S),
            second: shown.note().to_owned(),
            prefix_root: HashText(prefix.root),
            proof: prefix.proof.into_iter().map(HashText).collect(),
        });
        let error = evidence.check(&log.policy()).expect_err("honest");
        assert!(matches!(error, EvidenceError::Harmless), "{error:?}");
    }
}

#[test]
fn a_promise_that_was_kept_or_is_not_due_yet_shows_nothing() {
    let log = TestLog::new(5);
    let (there, receipt) = standing(&log, 3);
    let kept = Evidence::BrokenPromise(BrokenPromise {
        promise: promise(3, &there),
        leaf_hash: HashText(there.hash()),
        receipt: receipt.to_text(),
    });
    let early = overdue_promise(1_000 + u64::from(PROMISE_KEPT_WITHIN.0));
    for evidence in [kept, early] {
        let error = evidence.check(&log.policy()).expect_err("honest");
        assert!(matches!(error, EvidenceError::Harmless), "{error:?}");
    }
}

#[test]
fn a_leaf_of_another_shard_accuses_the_log_and_one_of_its_own_does_not() {
    let origin = "log.example/bauta/20261101-20270201";
    let signer = bauta_crypto::note::LogSigner::new(origin, &key(1)).expect("a name");
    let cosigner = TestLog::new(0).cosigner;
    let policy = Policy::of_one_log(signer.vkey(), "http://log.example", cosigner.vkey());
    let policy = policy.expect("a policy");
    let verdict = |expiry| {
        let leaf = Leaf::of_lock(Deed::Commit, LockTag([1; 32]), Timestamp(expiry), [2; 32]);
        let tree = Checkpoint {
            origin: origin.to_owned(),
            size: 1,
            root: leaf.hash(),
        };
        let receipt = Receipt {
            index: 0,
            path: Vec::new(),
            checkpoint: sign_checkpoint(&tree, &signer).expect("signs"),
        };
        Evidence::Misplaced(Standing::new(&leaf, &receipt)).check(&policy)
    };
    assert!(verdict(1_793_491_199).is_ok());
    assert!(verdict(1_801_440_000).is_ok());
    assert!(matches!(
        verdict(1_793_491_200),
        Err(EvidenceError::Harmless)
    ));
}
