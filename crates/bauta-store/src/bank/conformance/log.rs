//! What the logs decide about locks.

use bauta_proto::{
    decision::LogView,
    lock::{ClaimOutcome, LockMode},
    log::leaf::Deed,
    time::{Seconds, Timestamp},
};

use super::*;

pub(super) const PROMISES: &[Promise] = promises![
    a_step_along_the_log_is_taken_from_its_own_position_only,
    a_preimage_captures_a_safe_lock_only_while_it_is_prepared,
    what_logs_have_shown_adds_up_in_any_order_and_is_never_forgotten,
    each_log_has_a_position_of_its_own,
    what_is_not_decided_by_the_logs_ends_by_time,
];

fn a_step_along_the_log_is_taken_from_its_own_position_only(store: &mut dyn BankStoreOps) {
    held_lock(store);
    let mut step = advance(0, 3);
    step.decisions.captures = vec![(tag(9), PREIMAGE)];
    let mut elsewhere = step.clone();
    elsewhere.from_size = 1;
    let elsewhere = BankCommand::AdvanceLog(Box::new(elsewhere));
    assert_eq!(one(store, elsewhere), Err(Refusal::LogMoved));
    let step = BankCommand::AdvanceLog(Box::new(step));
    let done = Done::Decided {
        captured: 1,
        released: 0,
    };
    assert_eq!(one(store, step.clone()), Ok(done));
    assert_eq!(one(store, step), Err(Refusal::LogMoved));
    sound(store);
}

fn seen(number: u8, mode: LockMode, origin: &str, view: LogView) -> SeenLock {
    SeenLock {
        lock_tag: public(number, mode).lock_tag(),
        views: vec![(origin.to_owned(), view)],
        preimage: None,
        is_prepared: false,
        due: EXPIRY,
    }
}

fn know(store: &mut dyn BankStoreOps, undecided: Vec<SeenLock>) {
    let decisions = Decisions {
        undecided,
        ..Decisions::default()
    };
    one(store, BankCommand::Decide(Box::new(decisions))).expect("kept");
}

fn a_preimage_captures_a_safe_lock_only_while_it_is_prepared(store: &mut dyn BankStoreOps) {
    funded(store);
    let payer = LockPayer::Coins(vec![coin(9, 1, 0, 16)]);
    let lock = lock_of(9, 16, (payer, Vec::new()), SAFE);
    one(store, lock).expect("locked");
    let lock_tag = public(9, SAFE).lock_tag();
    let capture = |at| BankCommand::Capture {
        lock_tag,
        preimage: PREIMAGE,
        at,
    };
    assert_eq!(one(store, capture(NOW)), Err(Refusal::NotPrepared));
    let view = LogView {
        first: Some(Deed::Prepare),
        first_early: true,
        ..LogView::default()
    };
    let prepared = SeenLock {
        is_prepared: true,
        ..seen(9, SAFE, "a", view)
    };
    know(store, vec![prepared]);
    // What is known is added to: one that has seen less makes nothing of it undone.
    know(
        store,
        vec![seen(
            9,
            SAFE,
            "a",
            LogView {
                first_early: false,
                ..view
            },
        )],
    );
    let last = EXPIRY.plus(Seconds(100));
    let late = Timestamp(last.0 + 1);
    assert_eq!(one(store, capture(late)), Err(Refusal::LockTime));
    assert_eq!(one(store, capture(last)), Ok(Done::Captured(PREIMAGE)));
    sound(store);
}

fn what_logs_have_shown_adds_up_in_any_order_and_is_never_forgotten(store: &mut dyn BankStoreOps) {
    held_lock(store);
    let read = LogView {
        first: Some(Deed::Commit),
        committed: true,
        ..LogView::default()
    };
    let proven = LogView {
        first_early: true,
        commit_early: true,
        ..read
    };
    let mut in_b = seen(9, LockMode::Fast, "b", read);
    in_b.preimage = Some(PREIMAGE);
    know(store, vec![in_b]);
    know(store, vec![seen(9, LockMode::Fast, "a", proven)]);
    know(store, vec![seen(9, LockMode::Fast, "a", read)]);
    let views = store.log_views(tag(9)).expect("readable");
    let expected = [("a".to_owned(), proven), ("b".to_owned(), read)];
    assert_eq!(views, expected);
    one(store, release(9)).expect("undecided until now");
    know(store, vec![seen(9, LockMode::Fast, "b", proven)]);
    let views = store.log_views(tag(9)).expect("readable");
    assert_eq!(views, expected, "a decided lock is not looked at again");
    sound(store);
}

fn each_log_has_a_position_of_its_own(store: &mut dyn BankStoreOps) {
    held_lock(store);
    let in_log = |origin: &str, from, to| {
        let origin = origin.to_owned();
        BankCommand::AdvanceLog(Box::new(LogAdvance {
            origin,
            ..advance(from, to)
        }))
    };
    let done = Ok(Done::Decided {
        captured: 0,
        released: 0,
    });
    assert_eq!(one(store, in_log("a", 0, 0)), done, "an empty log");
    assert_eq!(one(store, in_log("a", 0, 3)), done);
    assert_eq!(one(store, in_log("b", 3, 4)), Err(Refusal::LogMoved));
    assert_eq!(one(store, in_log("b", 0, 5)), done);
    assert_eq!(one(store, in_log("a", 3, 4)), done);
    assert_eq!(one(store, in_log("b", 4, 6)), Err(Refusal::LogMoved));
}

fn what_is_not_decided_by_the_logs_ends_by_time(store: &mut dyn BankStoreOps) {
    held_lock(store);
    let late = LogView {
        first: Some(Deed::Commit),
        committed: true,
        ..LogView::default()
    };
    let unproven = SeenLock {
        preimage: Some(PREIMAGE),
        due: Timestamp::MAX,
        ..seen(9, LockMode::Fast, "a", late)
    };
    know(store, vec![unproven]);
    let undecided = one(store, claim(9, None));
    assert_eq!(undecided, Ok(Done::Claimed(ClaimOutcome::Undecided)));
    let outlived = BankCommand::ReleaseOutlived {
        lock_tag: tag(9),
        at: SETTLE,
    };
    assert_eq!(one(store, outlived), Ok(Done::Released));
    assert_eq!(circulation(store), 64);
}
