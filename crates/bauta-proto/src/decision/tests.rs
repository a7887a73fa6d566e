use bauta_crypto::note::{Checkpoint, CosignerSigner, LogSigner, cosign, sign_checkpoint};
use proptest::prelude::*;

use super::*;
use crate::{
    log::{
        policy::Policy,
        test_log::{ORIGIN, TestLog, key},
    },
    time::Seconds,
};

const EXPIRY: Timestamp = Timestamp(1_000);

/// When a witness cosigned the tree without the leaf and the tree with it, if it did.
#[derive(Clone, Copy, Debug)]
struct Times {
    without: Option<u64>,
    with: Option<u64>,
}

fn witness(number: usize) -> CosignerSigner {
    let number = u8::try_from(number).expect("few witnesses");
    CosignerSigner::new(&format!("witness{number}.example"), &key(10 + number)).expect("a name")
}

/// `threshold` of so many witnesses.
fn policy(witnesses: usize, threshold: usize) -> Policy {
    let log = LogSigner::new(ORIGIN, &key(1)).expect("a name");
    let mut text = format!("log {}\n", log.vkey());
    for number in 0..witnesses {
        text += &format!("witness {number} {}\n", witness(number).vkey());
    }
    let names: String = (0..witnesses).map(|number| format!(" {number}")).collect();
    text += &format!("group g {threshold}{names}\nquorum g\n");
    text.parse().expect("a policy")
}

/// A checkpoint of the log with these cosignatures; none without a quorum.
fn checkpoint(policy: &Policy, size: u64, times: &[Option<u64>]) -> Option<CheckedCheckpoint> {
    let log = LogSigner::new(ORIGIN, &key(1)).expect("a name");
    let checkpoint = Checkpoint {
        origin: ORIGIN.to_owned(),
        size,
        root: [1; 32],
    };
    let mut note = sign_checkpoint(&checkpoint, &log).expect("signs");
    for (number, time) in times.iter().enumerate() {
        if let Some(time_s) = time {
            note = cosign(&note, &witness(number), *time_s).expect("cosigns");
        }
    }
    policy.check(&note).ok()
}

/// Whether some bank could capture by one of the two trees and another release by the other.
fn both(policy: &Policy, witnesses: &[Times]) -> bool {
    let with: Vec<_> = witnesses.iter().map(|times| times.with).collect();
    let without: Vec<_> = witnesses.iter().map(|times| times.without).collect();
    let with = checkpoint(policy, 8, &with);
    let without = checkpoint(policy, 7, &without);
    with.is_some_and(|tree| verdict(&tree, EXPIRY, true) == Verdict::Capture)
        && without.is_some_and(|tree| verdict(&tree, EXPIRY, false) == Verdict::Release)
}

/// An honest witness never cosigns the tree without the leaf after the tree with it.
fn honest() -> impl Strategy<Value = Times> {
    let time = 1_010_u64..1_050;
    let times = (time.clone(), time, any::<(bool, bool)>());
    times.prop_map(|(a, b, (without, with))| Times {
        without: without.then_some(a.min(b)),
        with: with.then_some(a.max(b)),
    })
}

/// A bad one cosigns what it likes.
fn bad() -> impl Strategy<Value = Times> {
    let time = 1_010_u64..1_050;
    (time.clone(), time).prop_map(|(without, with)| Times {
        without: Some(without),
        with: Some(with),
    })
}

/// n, q and f with 2q - n > f, and what n witnesses do of which f are bad.
fn worlds() -> impl Strategy<Value = (usize, usize, Vec<Times>)> {
    (1_usize..=5)
        .prop_flat_map(|n| (Just(n), n / 2 + 1..=n))
        .prop_flat_map(|(n, q)| (Just(n), Just(q), 0..(2 * q - n).min(n + 1)))
        .prop_flat_map(|(n, q, f)| {
            let honest = prop::collection::vec(honest(), n - f);
            let bad = prop::collection::vec(bad(), f);
            (Just(n), Just(q), honest, bad)
        })
        .prop_map(|(n, q, honest, bad)| (n, q, [honest, bad].concat()))
}

proptest! {
    #[test]
    fn v4_never_both_committed_and_released((n, q, witnesses) in worlds()) {
        prop_assert!(!both(&policy(n, q), &witnesses));
    }
}

#[test]
fn the_bound_on_quorums_is_tight() {
    let early = Times {
        without: None,
        with: Some(1_030),
    };
    let late = Times {
        without: Some(1_031),
        with: None,
    };
    let cheat = Times {
        without: Some(1_031),
        with: Some(1_030),
    };
    assert!(
        both(&policy(2, 1), &[early, late]),
        "2q - n = 0, nobody bad"
    );
    assert!(
        both(&policy(3, 2), &[early, late, cheat]),
        "2q - n = 1, one bad"
    );
    assert!(!both(&policy(3, 3), &[early, late, cheat]));
}

#[test]
fn a_leaf_counts_up_to_the_tolerance_and_its_lack_only_after() {
    let log = TestLog::new(8);
    let at = |time_s| {
        log.policy()
            .check(&log.checkpoint(8, time_s))
            .expect("cosigned")
    };
    let line = EXPIRY.plus(CLOCK_TOLERANCE).0;
    for (time_s, expected) in [(0, Age::Early), (line, Age::Early), (line + 1, Age::Late)] {
        assert_eq!(age(&at(time_s), EXPIRY), expected, "{time_s}");
    }
    let rows = [
        (line, true, Verdict::Capture),
        (line, false, Verdict::Wait),
        (line + 1, true, Verdict::AwaitReceipt),
        (line + 1, false, Verdict::Release),
    ];
    for (time_s, has_leaf, expected) in rows {
        assert_eq!(verdict(&at(time_s), EXPIRY, has_leaf), expected);
    }
}

#[test]
fn cosignatures_on_both_sides_without_a_quorum_on_either_decide_nothing() {
    let policy = policy(3, 2);
    let split = |times: [Option<u64>; 3]| checkpoint(&policy, 8, &times).expect("a quorum");
    let neither = split([Some(1_030), Some(1_031), None]);
    assert_eq!(age(&neither, EXPIRY), Age::Neither);
    assert_eq!(verdict(&neither, EXPIRY, true), Verdict::AwaitReceipt);
    assert_eq!(verdict(&neither, EXPIRY, false), Verdict::Wait);
    let early = split([Some(1_030), Some(1_031), Some(1_029)]);
    assert_eq!(age(&early, EXPIRY), Age::Early);
    let late = split([Some(1_030), Some(1_031), Some(1_032)]);
    assert_eq!(age(&late, EXPIRY), Age::Late);
}

#[test]
fn a_lock_that_never_expires_is_never_late() {
    let log = TestLog::new(8);
    let checked = log
        .policy()
        .check(&log.checkpoint(8, i64::MAX.cast_unsigned()))
        .expect("cosigned");
    assert_eq!(age(&checked, Timestamp::MAX), Age::Early);
    assert_eq!(Timestamp::MAX.plus(Seconds(1)), Timestamp::MAX);
}
