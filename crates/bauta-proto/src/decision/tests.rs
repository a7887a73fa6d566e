use bauta_crypto::note::{Checkpoint, CosignerSigner, LogSigner, cosign, sign_checkpoint};
use proptest::prelude::*;

use super::*;
use crate::{
    ids::{HashLock, PolicyId, Serial},
    log::{
        policy::Policy,
        test_log::{ORIGIN, TestLog, key},
    },
    time::Seconds,
};

const EXPIRY: Timestamp = Timestamp(1_000);
const WINDOW: Seconds = Seconds(100);

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

/// What somebody who reads only one of the two trees concludes: with the commit, and without.
fn outcomes(policy: &Policy, witnesses: &[Times]) -> [Option<Outcome>; 2] {
    let with: Vec<_> = witnesses.iter().map(|times| times.with).collect();
    let without: Vec<_> = witnesses.iter().map(|times| times.without).collect();
    let concluded = |tree: Option<CheckedCheckpoint>, leaves: &[Deed]| {
        tree.map(|tree| outcome(&[words(&fast(), leaves, &tree)], 1))
    };
    [
        concluded(checkpoint(policy, 8, &with), &[Deed::Commit]),
        concluded(checkpoint(policy, 7, &without), &[]),
    ]
}

/// Whether some bank could capture by one of the two trees and another release by the other.
fn both(policy: &Policy, witnesses: &[Times]) -> bool {
    outcomes(policy, witnesses) == [Some(Outcome::Captured), Some(Outcome::Released)]
}

fn words(lock: &LockPublic, leaves: &[Deed], tree: &CheckedCheckpoint) -> Words {
    let mut view = LogView::default();
    leaves.iter().for_each(|deed| view.read(lock, *deed, tree));
    view.words(lock, Some(tree))
}

fn lock(mode: LockMode) -> LockPublic {
    LockPublic {
        bank: key(3).verifying_key().into(),
        serial: Serial([4; 16]),
        hash_lock: HashLock([5; 32]),
        expiry: EXPIRY,
        log_policy: PolicyId([6; 32]),
        mode,
    }
}

fn fast() -> LockPublic {
    lock(LockMode::Fast)
}

fn safe() -> LockPublic {
    lock(LockMode::Safe {
        prepare_hash: HashLock([7; 32]),
        cancel_hash: HashLock([8; 32]),
        reveal_window: WINDOW,
    })
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

/// A tree that the one witness cosigned at this time.
fn tree(time_s: u64) -> CheckedCheckpoint {
    let log = TestLog::new(8);
    let note = log.checkpoint(8, time_s);
    log.policy().check(&note).expect("cosigned")
}

/// What one log decides about a lock if each leaf is first read in a tree of this time, and the last tree read is of the
/// last time.
fn decided(lock: &LockPublic, leaves: &[(u64, Deed)], last: u64) -> Outcome {
    let mut view = LogView::default();
    for (time_s, deed) in leaves {
        view.read(lock, *deed, &tree(*time_s));
    }
    outcome(&[view.words(lock, Some(&tree(last)))], 1)
}

#[test]
fn a_commit_counts_up_to_the_tolerance_and_its_lack_only_after() {
    let line = EXPIRY.plus(CLOCK_TOLERANCE).0;
    for (time_s, expected) in [(0, Age::Early), (line, Age::Early), (line + 1, Age::Late)] {
        assert_eq!(age(&tree(time_s), EXPIRY), expected, "{time_s}");
    }
    let commit = |time_s| [(time_s, Deed::Commit)];
    assert_eq!(decided(&fast(), &commit(line), line), Outcome::Captured);
    assert_eq!(decided(&fast(), &commit(line), line + 1), Outcome::Captured);
    assert_eq!(decided(&fast(), &commit(line + 1), line + 1), Outcome::Held);
    assert_eq!(decided(&fast(), &[], line), Outcome::Held);
    assert_eq!(decided(&fast(), &[], line + 1), Outcome::Released);
}

#[test]
fn a_commit_first_read_late_counts_once_an_early_checkpoint_is_shown() {
    let line = EXPIRY.plus(CLOCK_TOLERANCE).0;
    let mut view = LogView::default();
    view.prove(&fast(), Deed::Commit, &tree(line));
    assert_eq!(view, LogView::default(), "what was not read proves nothing");
    view.read(&fast(), Deed::Commit, &tree(line + 9));
    assert_eq!(
        view.words(&fast(), Some(&tree(line + 9))).taken,
        Word::Unproven
    );
    view.prove(&fast(), Deed::Commit, &tree(line));
    assert_eq!(
        outcome(&[view.words(&fast(), Some(&tree(line + 9)))], 1),
        Outcome::Captured
    );
}

#[test]
fn of_prepare_commit_and_cancel_the_first_decides() {
    use Deed::{Cancel, Commit, Prepare};
    let line = EXPIRY.plus(CLOCK_TOLERANCE).0;
    let end = line + u64::from(WINDOW.0);
    type Row<'a> = (&'a [(u64, Deed)], u64, Outcome);
    let rows: &[Row<'_>] = &[
        (&[(9, Cancel)], 9, Outcome::Released),
        (
            &[(9, Cancel), (9, Prepare), (9, Commit)],
            9,
            Outcome::Released,
        ),
        (&[(9, Prepare), (9, Cancel)], 9, Outcome::Prepared),
        (&[(9, Prepare), (9, Cancel)], end, Outcome::Prepared),
        (&[(9, Prepare), (9, Cancel)], end + 1, Outcome::Released),
        (
            &[(9, Prepare), (9, Cancel), (end, Commit)],
            end + 1,
            Outcome::Captured,
        ),
        (
            &[(9, Prepare), (end + 1, Commit)],
            end + 1,
            Outcome::Prepared,
        ),
        (&[(line + 1, Prepare)], line + 1, Outcome::Held),
        (&[(line + 1, Prepare)], end + 1, Outcome::Released),
        (&[(9, Commit), (9, Cancel)], 9, Outcome::Captured),
        (&[(line, Commit)], line, Outcome::Captured),
        (&[(line + 1, Commit)], end, Outcome::Held),
        (&[], line, Outcome::Held),
        (&[], line + 1, Outcome::Released),
    ];
    for (leaves, last, expected) in rows {
        assert_eq!(
            decided(&safe(), leaves, *last),
            *expected,
            "{leaves:?} {last}"
        );
    }
}

#[test]
fn cosignatures_on_both_sides_without_a_quorum_on_either_decide_nothing() {
    let policy = policy(3, 2);
    let split = |times: [Option<u64>; 3]| checkpoint(&policy, 8, &times).expect("a quorum");
    let neither = split([Some(1_030), Some(1_031), None]);
    assert_eq!(age(&neither, EXPIRY), Age::Neither);
    assert_eq!(
        words(&fast(), &[Deed::Commit], &neither).taken,
        Word::Unproven
    );
    assert_eq!(words(&fast(), &[], &neither).taken, Word::Open);
    let early = split([Some(1_030), Some(1_031), Some(1_029)]);
    assert_eq!(age(&early, EXPIRY), Age::Early);
    let late = split([Some(1_030), Some(1_031), Some(1_032)]);
    assert_eq!(age(&late, EXPIRY), Age::Late);
}

/// A log's answers, of which one may still become yes or no.
fn a_log() -> impl Strategy<Value = Words> {
    let word = prop::sample::select(vec![Word::Yes, Word::No, Word::Unproven, Word::Open]);
    (word.clone(), word).prop_map(|(taken, committed)| Words { taken, committed })
}

/// What the log may say to somebody who looks later, or sees other proofs: yes and no stay.
fn later(word: Word) -> impl Strategy<Value = Word> {
    match word {
        Word::Yes | Word::No => Just(word).boxed(),
        Word::Unproven | Word::Open => {
            prop::sample::select(vec![Word::Yes, Word::No, Word::Unproven, Word::Open]).boxed()
        }
    }
}

proptest! {
    /// Two parties that hear the same logs at different times: what one takes as decided, the other never takes as
    /// decided otherwise.
    #[test]
    fn v4_no_two_parties_decide_differently_whatever_logs_say_to_each(
        (first, second) in prop::collection::vec(a_log(), 1..=5).prop_flat_map(|words| {
            let later: Vec<_> = words
                .iter()
                .map(|w| (later(w.taken), later(w.committed)).prop_map(|(taken, committed)| Words { taken, committed }))
                .collect();
            (Just(words), later)
        }),
        threshold in 1_usize..=5,
    ) {
        let threshold = threshold.min(first.len());
        let outcomes = [outcome(&first, threshold), outcome(&second, threshold)];
        prop_assert!(!(outcomes.contains(&Outcome::Captured) && outcomes.contains(&Outcome::Released)));
        let settled = second.iter().all(|w| {
            matches!(w.taken, Word::Yes | Word::No) && matches!(w.committed, Word::Yes | Word::No)
        });
        if settled {
            prop_assert!(matches!(outcomes[1], Outcome::Captured | Outcome::Released));
        }
    }
}

#[test]
fn a_bank_takes_the_preimage_itself_only_while_nothing_can_contradict_it() {
    use Outcome::{Captured, Held, Prepared, Released};
    let end = EXPIRY.plus(WINDOW);
    let after = |moment: Timestamp| moment.plus(Seconds(1));
    assert!(bank_takes(&fast(), Held, EXPIRY));
    assert!(!bank_takes(&fast(), Held, after(EXPIRY)));
    assert!(
        !bank_takes(&safe(), Held, EXPIRY),
        "a cancel may be on its way"
    );
    assert!(bank_takes(&safe(), Prepared, end));
    assert!(!bank_takes(&safe(), Prepared, after(end)));
    for decided in [Captured, Released] {
        assert!(!bank_takes(&fast(), decided, EXPIRY));
        assert!(!bank_takes(&safe(), decided, EXPIRY));
    }
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
