//! One round: new goods and money at rest, then trade while everything breaks, then the audit.

use std::{
    panic::resume_unwind,
    path::PathBuf,
    thread::{self, ScopedJoinHandle},
    time::Duration,
};

use fastrand::Rng;

use super::{
    audit::Books,
    customer::{Customer, Surroundings, euros},
    diary::Diary,
    figures::Figures,
    plan::{Blow, BlowKind, CUSTOMERS, GoodPlan, LOGS_NEEDED, Places, RoundPlan, WITNESSES},
};
use crate::{
    process::Role,
    purse::units,
    town::{Plan, Town},
    weather::Weather,
};

/// What a customer's account is filled up to at the beginning of a round, in minor units.
const ACCOUNT_MINOR_UNITS: u64 = 6_000;
/// What a customer has in coins at least at the beginning of a round, in minor units.
const COINS_MINOR_UNITS: u64 = 3_000;
/// How long a role may take to obey SIGTERM before it is killed.
const STOP_PATIENCE: Duration = Duration::from_millis(700);

/// For how long after a lock's expiry a shop that has prepared may still commit, in seconds. Short, so that money which
/// was prepared and never committed is soon back.
const REVEAL_WINDOW_S: i64 = 8;

/// A town with two shops and witnesses, and its customers.
pub(super) struct World {
    pub(super) town: Town,
    pub(super) places: Places,
    pub(super) customers: Vec<Customer>,
    pub(super) books: Books,
    pub(super) diary: Diary,
}

impl World {
    pub(super) fn build(places: Places) -> Self {
        let folder = tempfile::Builder::new().prefix("bauta-chaos-").tempdir();
        let plan = Plan {
            proxied: true,
            witnesses: WITNESSES,
            further_archives: places.further_archives(),
            logs_needed: LOGS_NEEDED.min(places.archives().len()),
            settings: vec![("merchant", "reveal_window_s", REVEAL_WINDOW_S.into())],
            ..Plan::default()
        };
        let mut town = Town::build_in(folder.expect("a temporary folder"), &plan);
        assert_eq!(town.open_shop("second-shop"), places.shops()[1]);
        assert_eq!(town.roles.len(), places.roles());
        let diary = Diary::create(town.path());
        let customers = (1..=CUSTOMERS).map(|number| {
            let name = format!("customer-{number}");
            let purse = town.customer(&name, &euros(2 * ACCOUNT_MINOR_UNITS));
            Customer::new(name, purse)
        });
        let customers = customers.collect();
        let books = Books::open(&town, places.shops());
        Self {
            places,
            customers,
            books,
            diary,
            town,
        }
    }

    /// Leaves everything there for whoever looks for the reason.
    pub(super) fn keep(mut self) -> PathBuf {
        self.town.keep_folder();
        self.town.path().to_owned()
    }

    /// One round.
    pub(super) fn play(&mut self, plan: &RoundPlan) -> Figures {
        self.diary.note(format!("ROUND {}: {plan:?}", plan.round));
        let goods: Vec<(usize, String)> = (1..)
            .zip(&plan.goods)
            .map(|(number, good)| self.put_on_shelf(plan.round, number, good))
            .collect();
        self.fill_purses(plan.round);
        for (proxy, plan) in self.town.proxies.iter().zip(&plan.weather) {
            proxy.suffer(Weather::bad(plan.permille, plan.latency_max, plan.seed));
        }
        let mut figures = self.trade(plan, &goods);
        self.audit(&mut figures);
        if let Some(customer) = plan.restoring {
            self.diary.note(format!("customer {customer} is restored"));
            self.customers[customer].restore_at_rest(&self.town);
            figures.restored += 1;
        }
        self.diary.note(format!("round {} is over", plan.round));
        figures
    }

    fn put_on_shelf(&self, round: u64, number: usize, good: &GoodPlan) -> (usize, String) {
        let title = format!("round {round} good {number}");
        let mut content = vec![0; good.bytes];
        Rng::with_seed(good.seed).fill(&mut content);
        let path = self.town.file(&title, &content);
        let shop = good.shop;
        let price = euros(good.price_minor_units);
        self.town.sell_in(shop, &path, &price, &title);
        (shop, title)
    }

    fn fill_purses(&mut self, round: u64) {
        for customer in &mut self.customers {
            let purse = &mut customer.purse;
            let missing = ACCOUNT_MINOR_UNITS.saturating_sub(self.town.balance_of(&purse.account));
            if missing > 0 {
                self.town
                    .credit(purse, &euros(missing), &format!("round {round}"));
            }
            let balance = purse.run(&["balance"]).good();
            let coins: u64 = balance
                .as_array()
                .expect("a list")
                .iter()
                .map(|balance| units(&balance["available"]))
                .sum();
            let missing = COINS_MINOR_UNITS.saturating_sub(coins);
            if missing > 0 {
                purse.run(&["withdraw", &euros(missing)]).good();
            }
        }
    }

    /// Customers buy while blows fall; ends when all that they began has ended.
    fn trade(&mut self, plan: &RoundPlan, goods: &[(usize, String)]) -> Figures {
        let Self {
            town,
            customers,
            diary,
            ..
        } = self;
        let around = Surroundings { town, goods, diary };
        let mut figures = Figures {
            rounds: 1,
            ..Figures::default()
        };
        thread::scope(|scope| {
            let blows = scope.spawn(|| strike(around, &plan.blows, &mut figures));
            let lives = customers.iter_mut().zip(&plan.errands);
            let lives = lives.map(|(customer, errands)| {
                thread::Builder::new()
                    .name(customer.name.clone())
                    .spawn_scoped(scope, move || customer.live(errands, around))
                    .expect("a thread")
            });
            let lives: Vec<_> = lives.collect();
            let ends: Vec<_> = lives.into_iter().map(ScopedJoinHandle::join).collect();
            for end in std::iter::once(blows.join()).chain(ends) {
                end.unwrap_or_else(|panic| resume_unwind(panic));
            }
        });
        figures
    }
}

/// All blows of a round; afterwards everything runs, and all ways are fair.
fn strike(around: Surroundings<'_>, blows: &[Blow], figures: &mut Figures) {
    let Surroundings { town, diary, .. } = around;
    for blow in blows {
        thread::sleep(blow.after);
        let victims = blow.roles.iter().map(|role| &*town.roles[*role]);
        let names: Vec<_> = victims.clone().map(|role| role.name).collect();
        diary.note(format!("{:?} {names:?} for {:?}", blow.kind, blow.span));
        match blow.kind {
            BlowKind::Kill => {
                victims.clone().for_each(Role::kill);
                thread::sleep(blow.span);
                victims.for_each(Role::start);
            }
            BlowKind::Stop => {
                for role in victims.clone() {
                    let code = role.stop(STOP_PATIENCE);
                    assert!(matches!(code, None | Some(0)), "{}: {code:?}", role.name);
                }
                thread::sleep(blow.span);
                victims.for_each(Role::start);
            }
            BlowKind::Freeze => {
                victims.clone().for_each(|role| role.signal("STOP"));
                thread::sleep(blow.span);
                victims.for_each(|role| role.signal("CONT"));
            }
            BlowKind::CutOff | BlowKind::ShopsCutOff | BlowKind::LocksCutOff => {
                let ways = blow.roles.iter().map(|role| &town.proxies[*role]);
                ways.clone()
                    .for_each(|way| way.close(blow.kind.closed_paths()));
                thread::sleep(blow.span);
                ways.for_each(|way| way.close(&[]));
            }
        }
        for name in names {
            *figures.blows.entry((blow.kind, name)).or_default() += 1;
        }
    }
    for proxy in &town.proxies {
        for (fault, count) in proxy.suffer(Weather::default()).harms {
            *figures.harms.entry(fault).or_default() += count;
        }
    }
    town.roles.iter().for_each(|role| role.wait());
    diary.note("everything runs, all ways are fair");
}
