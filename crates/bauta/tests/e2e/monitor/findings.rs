//! Every kind of finding, through the command: a log that misbehaves in one way is told by just that name.

use bauta_proto::{
    log::{evidence::PROMISE_KEPT_WITHIN, leaf::Leaf},
    time::Seconds,
};

use super::{
    evidence,
    forged::{FRESH, ForgedLog},
    kinds, verify,
};

/// Exit codes.
const IN_ORDER: i32 = 0;
const CHEATED: i32 = 5;
const FAULTY: i32 = 6;

/// One round finds just this.
#[track_caller]
fn finds(log: &ForgedLog, more: &[&str], kind: &str, code: i32) {
    let found = log.monitor(more);
    let round = found.json();
    assert_eq!(kinds(&round), [kind], "{round}");
    assert_eq!(found.code, Some(code), "{found:?}");
    assert_eq!(round["ok"], code == IN_ORDER, "{round}");
}

/// One round finds just this, and what it kept proves it to whoever has the policy.
#[track_caller]
fn proves(log: &ForgedLog, more: &[&str], kind: &str, code: i32) {
    finds(log, more, kind, code);
    let round = log.monitor(more).json();
    let files = evidence(&round, kind);
    assert!(!files.is_empty(), "{round}");
    for file in files {
        let verdict = verify(&log.path(""), &file).good();
        assert_eq!(verdict["evidence"][0]["kind"], kind);
    }
}

/// One round finds nothing, the second just this: it may have passed.
#[track_caller]
fn finds_when_it_lasts(log: &ForgedLog, kind: &str, code: i32) {
    let patience = ["--patience", "2"];
    let first = log.monitor(&patience).json();
    assert!(kinds(&first).is_empty(), "{first}");
    finds(log, &patience, kind, code);
}

#[track_caller]
fn honest_round(log: &ForgedLog) {
    let round = log.monitor(&[]).good();
    assert!(kinds(&round).is_empty(), "{round}");
}

#[test]
fn two_preimages_for_one_deed_of_a_lock_are_proved() {
    let mut log = ForgedLog::new();
    honest_round(&log);
    let value = [9; 32];
    log.leaves.push(Leaf {
        value,
        ..log.leaves[1].clone()
    });
    log.show(4, FRESH);
    proves(&log, &[], "contradiction", CHEATED);
}

#[test]
fn a_leaf_in_the_wrong_shard_is_proved() {
    let mut log = ForgedLog::shard();
    honest_round(&log);
    log.leaves[2].expiry = log.leaves[2].expiry.plus(Seconds::days(31));
    log.show(3, FRESH);
    proves(&log, &[], "misplaced", CHEATED);
}

#[test]
fn a_promise_that_is_not_kept_within_an_hour_is_proved() {
    let log = ForgedLog::new();
    let promised = |age| log.promise(7, age).to_str().expect("plain").to_owned();
    let young = promised(Seconds(PROMISE_KEPT_WITHIN.0 - 60));
    let young = log.monitor(&["--promise", &young]).good();
    assert!(kinds(&young).is_empty(), "{young}");
    let old = promised(Seconds(PROMISE_KEPT_WITHIN.0 + 60));
    proves(&log, &["--promise", &old], "overdue-promise", FAULTY);
}

#[test]
fn a_witness_whose_times_go_back_is_proved() {
    let log = ForgedLog::new();
    honest_round(&log);
    log.show(3, [Some(0), Some(20)]);
    proves(&log, &[], "time-went-back", FAULTY);
}

#[test]
fn times_ahead_of_the_clock_are_seen() {
    let log = ForgedLog::new();
    log.show(2, [Some(0), Some(-120)]);
    finds(&log, &[], "clock-ahead", FAULTY);
}

#[test]
fn new_cosignatures_with_old_times_are_seen() {
    let log = ForgedLog::new();
    log.show(2, [Some(100), Some(100)]);
    honest_round(&log);
    log.show(3, [Some(90), Some(90)]);
    finds_when_it_lasts(&log, "clock-behind", FAULTY);
}

#[test]
fn a_checkpoint_that_nobody_cosigns_any_more_is_seen() {
    let log = ForgedLog::new();
    log.show(2, [Some(200), Some(200)]);
    honest_round(&log);
    finds(&log, &["--stale-after", "3m"], "stale", FAULTY);
}

#[test]
fn a_checkpoint_without_a_quorum_is_seen() {
    let log = ForgedLog::new();
    honest_round(&log);
    log.show(3, [None, None]);
    let first = log.monitor(&["--patience", "2"]).json();
    // Without any cosignature there is no time at which it was fresh.
    assert_eq!(kinds(&first), ["stale"], "{first}");
    let second = log.monitor(&["--patience", "2"]);
    assert_eq!(kinds(&second.json()), ["no-quorum", "stale"]);
    assert_eq!(second.code, Some(FAULTY));
}

#[test]
fn a_checkpoint_of_another_key_is_seen() {
    let log = ForgedLog::new();
    log.show_of_another_key(2);
    finds_when_it_lasts(&log, "bad-checkpoint", FAULTY);
}

#[test]
fn files_of_another_tree_are_seen() {
    let log = ForgedLog::new();
    log.damage("tile/entries/");
    finds_when_it_lasts(&log, "files", FAULTY);
}

#[test]
fn a_log_that_shows_nothing_is_seen() {
    let log = ForgedLog::new();
    log.remove("checkpoint");
    finds_when_it_lasts(&log, "unreachable", FAULTY);
}

#[test]
fn a_log_that_shows_less_than_it_has_signed_is_seen() {
    let log = ForgedLog::new();
    log.show(3, FRESH);
    honest_round(&log);
    log.show(2, FRESH);
    finds_when_it_lasts(&log, "behind", FAULTY);
}

#[test]
fn a_witness_that_does_not_take_part_is_a_warning() {
    let log = ForgedLog::new();
    log.show(3, [Some(0), None]);
    finds_when_it_lasts(&log, "witness-missing", IN_ORDER);
}

#[test]
fn a_log_that_goes_by_another_policy_is_a_warning() {
    let log = ForgedLog::new();
    log.put("v1/log-policy", b"another one\n".to_vec());
    finds(&log, &[], "other-policy", IN_ORDER);
}
