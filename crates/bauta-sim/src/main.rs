//! Runs worlds: `bauta-sim --seed N` tells the story of one, `bauta-sim --seeds N` runs many on every core.

use std::{
    env,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bauta_sim::{Ending, Plan, run};

const HELP: &str = "\
Runs simulated worlds, each from one seed.

Usage: bauta-sim [--seed N | --seeds N | --hours H] [--from N] [--threads N]

  --seed N     Run the world of this seed and tell its story.
  --seeds N    Run the worlds of so many seeds.
  --hours H    Run worlds for so long.
  --from N     The first seed; 0 unless given.
  --threads N  Worlds that run at once; as many as there are cores unless given.

Exit status: 0 when every promise was kept, 1 when one was broken, 2 when the command line is not understood.
";

/// Time between two reports of progress.
const REPORT: Duration = Duration::from_secs(10);
/// Broken worlds after which the run ends.
const FAILURES_MAX: usize = 5;

fn main() -> ExitCode {
    let Some(order) = Order::read(env::args().skip(1)) else {
        eprint!("{HELP}");
        return ExitCode::from(2);
    };
    let is_good = match order.seed {
        Some(seed) => tell(seed),
        None => order.run(),
    };
    ExitCode::from(u8::from(!is_good))
}

/// What the command line asks for.
struct Order {
    seed: Option<u64>,
    seeds: u64,
    time: Option<Duration>,
    from: u64,
    threads: u64,
}

impl Order {
    fn read(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        let mut order = Self {
            seed: None,
            seeds: 1_000,
            time: None,
            from: 0,
            threads: cores,
        };
        while let Some(option) = arguments.next() {
            let value = arguments.next()?;
            match option.as_str() {
                "--seed" => order.seed = Some(value.parse().ok()?),
                "--seeds" => order.seeds = value.parse().ok()?,
                "--from" => order.from = value.parse().ok()?,
                "--threads" => order.threads = value.parse().ok().filter(|count| *count > 0)?,
                "--hours" => {
                    let hours: f64 = value.parse().ok()?;
                    order.time = Duration::try_from_secs_f64(hours * 3_600.0).ok();
                    order.seeds = u64::MAX;
                }
                _ => return None,
            }
        }
        Some(order)
    }

    /// Runs worlds on every core; false when a promise was broken in one.
    fn run(&self) -> bool {
        let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
        let broken = Mutex::new(Vec::new());
        let begun = Instant::now();
        let is_over = || {
            let broken = broken.lock().unwrap_or_else(PoisonError::into_inner);
            self.time.is_some_and(|time| begun.elapsed() > time) || broken.len() >= FAILURES_MAX
        };
        let work = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= self.seeds || is_over() {
                    return;
                }
                let ending = run(Plan::of_seed(self.from + number));
                if !ending.violations.is_empty() {
                    println!("{}", verdict(&ending));
                    let mut broken = broken.lock().unwrap_or_else(PoisonError::into_inner);
                    broken.push(ending.seed);
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.threads).map(|_| scope.spawn(work)).collect();
            let mut reported = Instant::now();
            while workers.iter().any(|worker| !worker.is_finished()) {
                std::thread::sleep(Duration::from_millis(50));
                if reported.elapsed() > REPORT {
                    reported = Instant::now();
                    progress(done.load(Ordering::Relaxed), begun);
                }
            }
        });
        progress(done.load(Ordering::Relaxed), begun);
        broken
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }
}

fn progress(done: u64, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = done as f64 / seconds.max(0.001);
    println!("{done} worlds in {seconds:.0} s, {rate:.1} a second");
}

/// Runs one world and prints what happened in it.
fn tell(seed: u64) -> bool {
    let ending = run(Plan::of_seed(seed).with_story());
    for line in &ending.story {
        println!("{line}");
    }
    println!("\n{}", verdict(&ending));
    ending.violations.is_empty()
}

fn verdict(ending: &Ending) -> String {
    let Ending {
        seed, hash, events, ..
    } = ending;
    let seconds = ending.lasted.as_secs();
    let head =
        format!("seed {seed}: {events} events in {seconds} s of virtual time, hash {hash:016x}");
    let mut lines = vec![head];
    lines.extend(
        ending
            .violations
            .iter()
            .map(|violation| format!("  {violation}")),
    );
    if !ending.violations.is_empty() {
        lines.push(format!("  replay: cargo xtask sim --seed {seed}"));
    }
    lines.join("\n")
}
