//! Rounds of trade in which everything is killed and every way is bad: after each, everybody has goods or money.
//!
//! Started by `cargo xtask chaos`, which explains the variables that this file reads. Towns live side by side, because
//! a round is mostly a wait for locks that return; a town lives for some rounds, then another one takes its place.

mod audit;
mod customer;
mod diary;
mod figures;
mod plan;
mod round;

use std::{
    any::Any,
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use figures::Figures;
use plan::{Places, RoundPlan};
use round::World;

/// Rounds after which a town is given up for a new one.
const TOWN_ROUNDS: u64 = 8;

/// What was asked for.
#[derive(Clone, Copy, Debug)]
struct Options {
    rounds: u64,
    /// The number of the first round.
    first: u64,
    towns: u64,
    /// Of every town; by chance where nothing is said.
    archives: Option<usize>,
    seed: u64,
}

impl Options {
    fn from_variables() -> Self {
        let rounds = number("ROUNDS").unwrap_or(30);
        Self {
            rounds,
            first: number("FIRST").unwrap_or(1),
            towns: number("TOWNS").unwrap_or(10).clamp(1, rounds.max(1)),
            archives: number("ARCHIVES").map(|archives| usize::try_from(archives).expect("few")),
            seed: number("SEED").unwrap_or_else(|| fastrand::u64(..1_000_000)),
        }
    }

    /// What to type to have a round again, in a town of its own.
    fn repeat(&self, failure: &Failure) -> String {
        format!(
            "cargo xtask chaos --seed {} --first {} --rounds 1 --archives {}",
            self.seed,
            failure.round,
            failure.places.archives().len()
        )
    }

    /// The roles of a town that begins with this round.
    fn places(&self, round: u64) -> Places {
        let by_chance = || Places::by_chance(self.seed, round);
        self.archives.map_or_else(by_chance, Places::new)
    }
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(format!("BAUTA_CHAOS_{name}")).ok()?;
    Some(text.parse().expect("a number"))
}

/// A round that did not end as it must.
struct Failure {
    round: u64,
    places: Places,
    what: String,
    folder: PathBuf,
}

#[test]
#[ignore = "started by cargo xtask chaos"]
fn everybody_ends_with_goods_or_money_whatever_is_killed_or_lost() {
    let options = Options::from_variables();
    println!(
        "{} rounds in {} towns side by side, seed {}",
        options.rounds, options.towns, options.seed
    );
    let begun = Instant::now();
    let run = Run {
        options,
        figures: Mutex::default(),
        has_failed: AtomicBool::new(false),
    };
    let failures: Vec<Failure> = thread::scope(|scope| {
        let run = &run;
        let towns: Vec<_> = (0..options.towns)
            .map(|town| scope.spawn(move || run.play_town(town)))
            .collect();
        let ended = towns.into_iter().map(|town| town.join());
        ended.filter_map(|town| town.expect("caught")).collect()
    });
    println!("\n{}", run.figures().table(begun.elapsed()));
    for failure in &failures {
        println!(
            "\nround {} FAILED: {}\n  {}\n  logs, stores and diary: {}\n  the same choices again: {}",
            failure.round,
            first_line(&failure.what),
            failure.what.replace('\n', "\n  "),
            failure.folder.display(),
            options.repeat(failure)
        );
    }
    assert!(failures.is_empty(), "{} rounds failed", failures.len());
}

/// All towns together.
struct Run {
    options: Options,
    figures: Mutex<Figures>,
    has_failed: AtomicBool,
}

impl Run {
    fn figures(&self) -> std::sync::MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every round whose turn it is in this town; ends with the first failure of any town.
    fn play_town(&self, town: u64) -> Option<Failure> {
        let Options {
            rounds,
            first,
            towns,
            seed,
            ..
        } = self.options;
        let (mut world, mut places) = (None, self.options.places(first));
        let turns = (town..rounds).step_by(usize::try_from(towns).expect("few"));
        for (turn, round) in (0_u64..).zip(turns) {
            if self.has_failed.load(Ordering::SeqCst) {
                return None;
            }
            if turn % TOWN_ROUNDS == 0 {
                // The old processes end before the new ones begin.
                drop(world.take());
                places = self.options.places(first + round);
            }
            let plan = RoundPlan::new(seed, first + round, places);
            if let Err(failure) = self.play_round(&mut world, places, &plan) {
                self.has_failed.store(true, Ordering::SeqCst);
                return Some(failure);
            }
        }
        None
    }

    fn play_round(
        &self,
        world: &mut Option<World>,
        places: Places,
        plan: &RoundPlan,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        let played = catch_unwind(AssertUnwindSafe(|| {
            world.get_or_insert_with(|| World::build(places)).play(plan)
        }));
        match played {
            Ok(figures) => {
                let mut all = self.figures();
                all.add(&figures);
                let count = all.rounds;
                let rounds = self.options.rounds;
                println!(
                    "{count:>4} of {rounds}: round {} in {:.0} s: {}",
                    plan.round,
                    begun.elapsed().as_secs_f64(),
                    figures.line()
                );
                Ok(())
            }
            Err(panic) => Err(Failure {
                round: plan.round,
                places,
                what: text_of(&*panic),
                folder: world.take().map(World::keep).unwrap_or_default(),
            }),
        }
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let fixed = || panic.downcast_ref::<&str>().map(|&text| text.to_owned());
    text.or_else(fixed).unwrap_or_default()
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
