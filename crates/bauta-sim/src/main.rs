//! Runs worlds: `bauta-sim --seed N` tells the story of one, `bauta-sim --seeds N` runs many on every core.

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bauta_sim::{Ending, Plan, SingleCrash, run};
use bauta_wallet::PurchaseState;

const HELP: &str = "\
Runs simulated worlds, each from one seed.

Usage: bauta-sim [--seed N | --crash POINT | --seeds N | --hours H | --crashes] [--from N] [--threads N]

  --seed N       Run the world of this seed and tell its story.
  --crash POINT  Run the world with this single crash, such as 0/bank-0/17/middle, and tell its story.
  --seeds N      Run the worlds of so many seeds [1000].
  --hours H      Run worlds for so long.
  --crashes      Run a world for every single point at which a node can crash, too.
  --from N       The first seed [0].
  --threads N    Worlds that run at once [as many as there are cores].

Exit status: 0 when every promise was kept, 1 when one was broken, 2 when the command line is not understood.
";

/// Time between two reports of progress.
const REPORT: Duration = Duration::from_secs(10);
/// Broken worlds after which the run ends.
const FAILURES_MAX: usize = 5;

/// Prints a line; a reader that has gone away (`| head`) is no reason to stop.
macro_rules! say {
    ($($item:tt)*) => {
        writeln!(io::stdout(), $($item)*).unwrap_or_default()
    };
}

fn main() -> ExitCode {
    let Some(order) = Order::read(env::args().skip(1)) else {
        eprint!("{HELP}");
        return ExitCode::from(2);
    };
    let is_good = match (order.seed, order.crash.and_then(|crash| crash.plan())) {
        (Some(seed), _) => tell(Plan::of_seed(seed)),
        (None, Some(plan)) => tell(plan),
        (None, None) => order.run(),
    };
    ExitCode::from(u8::from(!is_good))
}

/// What the command line asks for.
struct Order {
    seed: Option<u64>,
    crash: Option<SingleCrash>,
    crashes: bool,
    seeds: u64,
    time: Option<Duration>,
    from: u64,
    threads: usize,
}

impl Order {
    fn read(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let cores = std::thread::available_parallelism();
        let mut order = Self {
            seed: None,
            crash: None,
            crashes: false,
            seeds: 1_000,
            time: None,
            from: 0,
            threads: cores.map_or(1, std::num::NonZero::get),
        };
        while let Some(option) = arguments.next() {
            if option == "--crashes" {
                order.crashes = true;
                continue;
            }
            order.set(&option, &arguments.next()?)?;
        }
        Some(order)
    }

    fn set(&mut self, option: &str, value: &str) -> Option<()> {
        match option {
            "--seed" => self.seed = Some(value.parse().ok()?),
            "--crash" => self.crash = Some(value.parse().ok()?),
            "--seeds" => self.seeds = value.parse().ok()?,
            "--from" => self.from = value.parse().ok()?,
            "--threads" => self.threads = value.parse().ok().filter(|count| *count > 0)?,
            "--hours" => {
                let hours: f64 = value.parse().ok()?;
                self.time = Some(Duration::try_from_secs_f64(hours * 3_600.0).ok()?);
                self.seeds = u64::MAX;
            }
            _ => return None,
        }
        Some(())
    }

    /// Runs worlds on every core; false when a promise was broken in one.
    fn run(&self) -> bool {
        let of_seed = |number| {
            let seed = self.from + number;
            let replay = format!("--seed {seed}");
            (number < self.seeds).then(|| (Plan::of_seed(seed), replay))
        };
        let seeds_are_good = self.seeds == 0 || self.run_all("worlds by chance", of_seed);
        seeds_are_good && (!self.crashes || self.run_crashes())
    }

    fn run_crashes(&self) -> bool {
        let crashes = SingleCrash::all();
        say!("{} single crashes", crashes.len());
        let of_number = |number| {
            let crash = crashes.get(usize::try_from(number).ok()?)?;
            Some((crash.plan()?, format!("--crash {crash}")))
        };
        self.run_all("worlds with a single crash", of_number)
    }

    /// Runs every world that `plan` names, with how to replay it, until there is no next one.
    fn run_all(&self, what: &str, plan: impl Fn(u64) -> Option<(Plan, String)> + Sync) -> bool {
        let (next, done, broken) = (AtomicU64::new(0), Tally::default(), Mutex::new(0));
        let begun = Instant::now();
        let is_over = || {
            self.time.is_some_and(|time| begun.elapsed() > time) || *locked(&broken) >= FAILURES_MAX
        };
        let work = || {
            while !is_over()
                && let Some((plan, replay)) = plan(next.fetch_add(1, Ordering::Relaxed))
            {
                let ending = run(plan);
                if !ending.violations.is_empty() {
                    say!("{}\n  replay: cargo xtask sim {replay}", verdict(&ending));
                    *locked(&broken) += 1;
                }
                done.add(&ending);
            }
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.threads).map(|_| scope.spawn(work)).collect();
            let mut reported = Instant::now();
            while workers.iter().any(|worker| !worker.is_finished()) {
                std::thread::sleep(Duration::from_millis(50));
                if reported.elapsed() > REPORT {
                    reported = Instant::now();
                    done.show(what, begun);
                }
            }
        });
        done.show(what, begun);
        *locked(&broken) == 0
    }
}

fn locked(count: &Mutex<usize>) -> MutexGuard<'_, usize> {
    count.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the worlds came to so far.
#[derive(Default)]
struct Tally {
    worlds: AtomicU64,
    crashes: AtomicU64,
    bought: AtomicU64,
    returned: AtomicU64,
    refused: AtomicU64,
}

impl Tally {
    fn add(&self, ending: &Ending) {
        let purchases = ending.purses.values().flat_map(|purse| &purse.purchases);
        for purchase in purchases {
            let count = match purchase.state {
                PurchaseState::Delivered | PurchaseState::Complete => &self.bought,
                PurchaseState::Returned => &self.returned,
                _ => &self.refused,
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.crashes.fetch_add(ending.crashes, Ordering::Relaxed);
        self.worlds.fetch_add(1, Ordering::Relaxed);
    }

    fn show(&self, what: &str, begun: Instant) {
        let [worlds, crashes, bought, returned, refused] = [
            &self.worlds,
            &self.crashes,
            &self.bought,
            &self.returned,
            &self.refused,
        ]
        .map(|count| count.load(Ordering::Relaxed));
        let seconds = begun.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = worlds as f64 / seconds.max(0.001);
        say!(
            "{worlds} {what} in {seconds:.0} s, {rate:.1} a second: {crashes} crashes, \
             {bought} purchases delivered, {returned} returned, {refused} refused"
        );
    }
}

/// Runs one world and prints what happened in it.
fn tell(plan: Plan) -> bool {
    let ending = run(plan.with_story());
    for line in &ending.story {
        say!("{line}");
    }
    say!("\n{}", verdict(&ending));
    ending.violations.is_empty()
}

fn verdict(ending: &Ending) -> String {
    let Ending {
        seed, hash, events, ..
    } = ending;
    let seconds = ending.lasted.as_secs();
    let head =
        format!("seed {seed}: {events} events in {seconds} s of virtual time, hash {hash:016x}");
    let broken = ending.violations.iter().map(|one| format!("  {one}"));
    let lines: Vec<String> = std::iter::once(head).chain(broken).collect();
    lines.join("\n")
}
