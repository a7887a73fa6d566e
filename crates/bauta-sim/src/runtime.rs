//! One thread, one clock that stands still until everybody waits for it.

use std::{cell::RefCell, panic, sync::Once, time::Duration};

use tokio::runtime::Builder;

use crate::{Chance, Ending, Plan, Violation, World, disk};

/// Longest time that a piece of work takes in a role, in milliseconds.
const WORK_MS_MAX: u64 = 4;

thread_local! {
    /// The chance of the world that runs on this thread.
    static CHANCE: RefCell<Option<Chance>> = const { RefCell::new(None) };
    /// What panicked on this thread since it was last asked.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Runs the world of a plan to its end.
#[must_use]
pub fn run(plan: Plan) -> Ending {
    play(plan, async |world| {
        world.begin();
        world.finish().await;
    })
}

/// Runs a world by a script, which begins it, does what it likes, and finishes it; then reads what everybody ended with.
///
/// # Panics
/// Panics if the system gives no runtime.
pub fn play(plan: Plan, script: impl AsyncFnOnce(&World)) -> Ending {
    prepare(&plan);
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without threads and sockets needs nothing");
    let mut ending = runtime.block_on(async {
        let world = World::build(plan);
        script(&world).await;
        let ending = world.end().await;
        world.dissolve();
        ending
    });
    drop(runtime);
    let panics = PANICS.with_borrow_mut(std::mem::take);
    ending
        .violations
        .extend(panics.into_iter().map(|what| Violation {
            promise: "nothing panics",
            at: Duration::ZERO,
            what,
        }));
    ending
}

fn prepare(plan: &Plan) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        bauta_io::threads::simulate(latency);
        disk::install();
        listen_to_panics();
    });
    CHANCE.set(Some(Chance::new(plan.seed ^ 0x1a7e)));
    PANICS.with_borrow_mut(Vec::clear);
}

/// How long a piece of work takes: mostly no time at all, sometimes long enough for others to come in between.
fn latency() -> Duration {
    CHANCE.with_borrow(|chance| {
        let chance = chance.as_ref();
        chance.map_or(Duration::ZERO, |chance| chance.milliseconds(0..WORK_MS_MAX))
    })
}

/// Handlers turn a panic into an answer; here it must not go unseen.
fn listen_to_panics() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let is_world = CHANCE.with_borrow(Option::is_some);
        if is_world {
            PANICS.with_borrow_mut(|panics| panics.push(info.to_string()));
        }
        before(info);
    }));
}
