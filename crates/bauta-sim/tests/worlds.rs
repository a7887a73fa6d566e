//! That the simulator is what it says: one seed, one run; honest worlds end well; liars and crashes are seen.

use std::{sync::Arc, time::Duration};

use bauta_proto::transport::Request;
use bauta_sim::{
    CrashPoint, Errand, Errands, Faults, Moment, NodeId, Plan, Puppet, Reply, Service, play, run,
};
use bauta_wallet::purchase::PurchaseState;
use futures_util::future::BoxFuture;
use tokio::time::sleep;

#[test]
fn one_seed_gives_one_run_bit_for_bit() {
    for seed in 0..6 {
        let plan = Plan::of_seed(seed).with_story();
        let (one, two) = (run(plan.clone()), run(plan));
        let differs = one.story.iter().zip(&two.story).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(
            (one.hash, one.events),
            (two.hash, two.events),
            "seed {seed}"
        );
    }
}

#[test]
fn a_calm_world_ends_with_goods_and_money_where_they_belong() {
    let ending = run(Plan::calm(1));
    assert_eq!(ending.violations, []);
    let purse = &ending.purses[&NodeId::wallet(0)];
    assert_eq!(purse.purchases.len(), 1);
    assert_eq!(purse.purchases[0].state, PurchaseState::Complete);
    assert_eq!(purse.worth(), purse.deposited);
    let shop = &ending.shops[&NodeId::merchant(0)];
    assert_eq!(shop.income, purse.spent());
}

#[test]
fn whatever_goes_wrong_every_promise_is_kept() {
    for seed in 100..125 {
        let ending = run(Plan::of_seed(seed));
        assert_eq!(ending.violations, [], "seed {seed}");
    }
}

#[test]
fn a_crash_at_one_exact_point_happens_and_costs_nothing() {
    let calm = run(Plan::calm(2));
    let operations = calm.operations[&NodeId::bank(0)].clone();
    assert!(operations.clone().count() > 50, "{operations:?}");
    for moment in [Moment::Before, Moment::Middle, Moment::After] {
        let mut plan = Plan::calm(2).with_story();
        let operation = operations.start.midpoint(operations.end);
        plan.crash_at = Some((NodeId::bank(0), CrashPoint { operation, moment }));
        let ending = run(plan);
        let crashed = |line: &String| line.contains("bank-0 is down");
        assert!(ending.story.iter().any(crashed), "{moment:?}");
        assert_eq!(ending.violations, [], "{moment:?}");
    }
}

/// A merchant that answers nothing.
struct Silent;

impl Service for Silent {
    fn answer<'a>(&'a self, _: Request, _: NodeId) -> BoxFuture<'a, Reply> {
        Box::pin(async { Reply::new(404, Vec::new()) })
    }
}

#[test]
fn a_liar_takes_a_roles_place() {
    let ending = play(Plan::calm(3), async |world| {
        world.replace(NodeId::merchant(0), |_: Puppet| Arc::new(Silent));
        world.begin();
        world.finish().await;
    });
    assert_eq!(ending.violations, []);
    let purse = &ending.purses[&NodeId::wallet(0)];
    assert_eq!((purse.spent(), purse.purchases.len()), (0, 0));
    assert_eq!(purse.worth(), purse.deposited);
}

/// A bank that gives an answer and takes back its words at the next question.
struct Forgetful(Puppet);

impl Service for Forgetful {
    fn answer<'a>(&'a self, request: Request, from: NodeId) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            let mut reply = self.0.honest.answer(request, from).await;
            if self.0.chance.happens(500) {
                reply.body.push(0);
            }
            reply
        })
    }
}

#[test]
fn a_wallet_that_is_told_nonsense_loses_nothing() {
    let mut plan = Plan::calm(4);
    plan.errands = Errands::Fixed(vec![Errand::Withdraw(9)]);
    let ending = play(plan, async |world| {
        world.replace(NodeId::bank(0), |puppet| Arc::new(Forgetful(puppet)));
        world.begin();
        world.finish().await;
    });
    let purse = &ending.purses[&NodeId::wallet(0)];
    assert_eq!(purse.worth(), purse.deposited);
}

#[test]
fn lost_messages_alone_cost_nothing() {
    let faults = Faults {
        request_lost: 300,
        answer_lost: 300,
        ..Faults::NONE
    };
    for seed in 0..5 {
        let mut plan = Plan::calm(seed);
        (plan.faults, plan.trouble) = (faults, Duration::from_secs(60));
        assert_eq!(run(plan).violations, [], "seed {seed}");
    }
}

/// A merchant that makes offers and never takes a lock.
struct Unwilling(Puppet);

impl Service for Unwilling {
    fn answer<'a>(&'a self, request: Request, from: NodeId) -> BoxFuture<'a, Reply> {
        if request.url.ends_with("/accept") {
            return Box::pin(async { Reply::new(503, Vec::new()) });
        }
        self.0.honest.answer(request, from)
    }
}

/// The log is gone for ever, and so is the merchant: the bank gives the money back when the lock's last moment has come.
#[test]
fn v6_no_lock_outlives_its_settlement_though_the_log_is_gone_for_ever() {
    let ending = play(Plan::calm(5), async |world| {
        let (archive, merchant) = (NodeId::archive(0), NodeId::merchant(0));
        world.replace(merchant, |puppet| Arc::new(Unwilling(puppet)));
        world.begin();
        // Up to the lock; the merchant hears of it and says nothing.
        sleep(Duration::from_secs(10)).await;
        world.switch_off(merchant);
        sleep(Duration::from_secs(90)).await;
        let others = [NodeId::bank(0), NodeId::wallet(0)];
        world.switch_off(archive);
        others.into_iter().for_each(|node| world.switch_off(node));
        sleep(Duration::from_secs(8 * 86_400)).await;
        others.into_iter().for_each(|node| world.switch_on(node));
        sleep(Duration::from_secs(60)).await;
    });
    let locked = |audit: &bauta_store::bank::Audit| {
        let locked = audit.currencies.iter().map(|one| one.locked.minor_units());
        locked.sum::<u64>()
    };
    assert_eq!(locked(&ending.banks[&NodeId::bank(0)]), 0);
    let purse = &ending.purses[&NodeId::wallet(0)];
    assert_eq!((purse.worth(), purse.open), (purse.deposited, 0));
}
