//! Every schedule of one lock, with every set of liars: logs, witnesses, bank, merchant and customer act in any order that
//! clocks allow, and what the decision rule of `bauta_proto::decision` says about it is checked in every state.
//!
//! The rule is the real one; checkpoints are really signed and cosigned. What is left out is what the rule does not see:
//! messages and money.

mod checkpoints;
mod lock;

use stateright::{Checker, HasDiscoveries, Model};

use crate::{
    checkpoints::Checkpoints,
    lock::{Liars, LockModel, ModeName},
};

/// Witnesses, how many are a quorum, and how many of them may lie: always 2q - n > f. Mode SAFE has many more schedules, and
/// asks the same of the witnesses.
const FAST_QUORUMS: [(usize, usize, usize); 4] = [(1, 1, 0), (3, 2, 0), (3, 3, 1), (4, 3, 1)];
const SAFE_QUORUMS: [(usize, usize, usize); 2] = [(1, 1, 0), (2, 2, 1)];

/// All schedules with these liars; panics with the shortest path to a state that breaks a promise.
fn check(model: LockModel) {
    let what = format!("{model:?}");
    let checker = model.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    assert!(checker.is_done(), "{what}");
}

fn model(
    mode: ModeName,
    quorum: (usize, usize, usize),
    logs: (usize, usize),
    liars: Liars,
) -> LockModel {
    let (witnesses, needed, bad) = quorum;
    LockModel {
        mode,
        liars,
        logs: logs.0,
        log_threshold: logs.1,
        bad_witnesses: bad,
        checkpoints: Checkpoints::new(witnesses, needed),
    }
}

#[test]
fn v2_v3_v4_hold_in_every_schedule_with_every_set_of_liars() {
    let fast = FAST_QUORUMS.map(|quorum| (ModeName::Fast, quorum));
    let safe = SAFE_QUORUMS.map(|quorum| (ModeName::Safe, quorum));
    for (mode, quorum) in safe.into_iter().chain(fast) {
        for liars in Liars::all() {
            check(model(mode, quorum, (1, 1), liars));
        }
    }
}

#[test]
fn v4_holds_with_two_logs_of_which_either_or_both_must_agree() {
    for threshold in [1, 2] {
        for liars in Liars::all() {
            check(model(ModeName::Fast, (1, 1, 0), (2, threshold), liars));
        }
    }
}

#[test]
fn one_lying_witness_too_many_and_the_model_finds_the_contradiction() {
    let liars = Liars {
        log: true,
        ..Liars::default()
    };
    let model = model(ModeName::Fast, (3, 2, 1), (1, 1), liars);
    let checker = model
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    assert!(checker.discovery("v4").is_some(), "2q - n = f");
}
