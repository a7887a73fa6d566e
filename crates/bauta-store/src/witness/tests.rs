use std::sync::Arc;

use super::*;

const ORIGIN: &str = "log.example/bauta";

fn state(size: u64, root: u8, time_s: u64) -> LogState {
    LogState {
        size,
        root: [root; 32],
        cosigned_at: Timestamp(time_s),
    }
}

fn advance(from: LogState, to: LogState) -> Advance {
    Advance {
        origin: ORIGIN.to_owned(),
        from,
        to,
        note: format!("note of {}", to.size),
    }
}

struct World {
    _folder: tempfile::TempDir,
    path: std::path::PathBuf,
    store: WitnessStore,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("witness.db");
        let store = WitnessStore::open(&path).expect("opens");
        Self {
            _folder: folder,
            path,
            store,
        }
    }

    fn advance(&mut self, from: LogState, to: LogState) -> Advanced {
        let results = self.store.advance(&[advance(from, to)]).expect("writes");
        results[0]
    }

    fn known(&self) -> Option<LogState> {
        let reader = WitnessReader::open(&self.path).expect("opens");
        let log = reader.log(ORIGIN).expect("reads");
        log.map(|log| log.state)
    }
}

#[test]
fn a_state_is_replaced_only_by_what_was_checked_against_it() {
    let mut world = World::new();
    assert_eq!(world.known(), None);
    let (first, second) = (state(5, 1, 100), state(9, 2, 110));
    let done = world.advance(LogState::EMPTY, first);
    assert_eq!(done, Advanced::CosignAt(Timestamp(100)));
    let late = world.advance(LogState::EMPTY, second);
    assert_eq!(late, Advanced::Overtaken(5), "checked before the first");
    let other_root = world.advance(state(5, 7, 100), second);
    assert_eq!(other_root, Advanced::Overtaken(5));
    assert_eq!(world.known(), Some(first));
    assert_eq!(
        world.advance(first, second),
        Advanced::CosignAt(Timestamp(110))
    );
    assert_eq!(world.known(), Some(second));
}

#[test]
fn the_same_tree_again_gets_the_new_time_and_a_race_for_it_the_later_one() {
    let mut world = World::new();
    let first = state(5, 1, 100);
    world.advance(LogState::EMPTY, first);
    let later = world.advance(first, state(5, 1, 200));
    assert_eq!(later, Advanced::CosignAt(Timestamp(200)));
    let earlier = world.advance(first, state(5, 1, 150));
    assert_eq!(
        earlier,
        Advanced::CosignAt(Timestamp(200)),
        "no time goes back"
    );
    assert_eq!(world.known(), Some(state(5, 1, 200)));
}

#[test]
fn of_requests_in_one_batch_each_sees_the_one_before() {
    let mut world = World::new();
    let (first, second) = (state(5, 1, 100), state(9, 2, 100));
    let batch = [
        advance(LogState::EMPTY, first),
        advance(LogState::EMPTY, second),
        advance(first, second),
    ];
    let results = world.store.advance(&batch).expect("writes");
    let signed = Advanced::CosignAt(Timestamp(100));
    assert_eq!(results, [signed, Advanced::Overtaken(5), signed]);
}

#[test]
fn two_processes_on_one_file_have_one_winner_a_size() {
    let world = World::new();
    let path = Arc::new(world.path.clone());
    let racer = |root: u8| {
        let path = Arc::clone(&path);
        std::thread::spawn(move || {
            let mut store = WitnessStore::open(&path).expect("opens");
            let step = |size: u64| {
                let from = match size {
                    0 => LogState::EMPTY,
                    _ => state(size, root, 1),
                };
                let to = state(size + 1, root, 1);
                let results = store.advance(&[advance(from, to)]).expect("writes");
                u64::from(results[0] == Advanced::CosignAt(Timestamp(1)))
            };
            (0..20).map(step).sum::<u64>()
        })
    };
    let racers = [racer(1), racer(2)];
    let won = racers.map(|racer| racer.join().expect("no panic"));
    assert!(
        won.contains(&20) && won.contains(&0),
        "one history: {won:?}"
    );
}

#[test]
fn the_database_itself_refuses_a_step_back() {
    let mut world = World::new();
    world.advance(LogState::EMPTY, state(5, 1, 100));
    for statement in [
        "UPDATE log SET size = 4",
        "UPDATE log SET root = zeroblob(32)",
        "UPDATE log SET cosigned_at = 99",
        "DELETE FROM log",
    ] {
        let work = |transaction: &Transaction<'_>| Ok(transaction.execute(statement, [])?);
        let refused = world.store.database.transaction(work);
        assert!(matches!(refused, Err(StoreError::Rule(_))), "{statement}");
    }
    let known = world.known();
    assert_eq!(known, Some(state(5, 1, 100)));
}
