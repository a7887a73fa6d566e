//! A witness behind valid signatures: whatever a log that signs two histories asks, and however its requests are changed,
//! all that the witness cosigns is of one history that only grows, also after a restart.

use std::{path::Path, sync::Arc};

use axum::{
    Router,
    body::{Body, to_bytes},
    http,
};
use bauta_crypto::{
    merkle::{self, Frontier, Hash, TileSource},
    note::{self, Checkpoint, LogSigner},
    secret::Secret,
    sign::SigningKey,
};
use bauta_proto::{log::witness::AddCheckpoint, time::Clock};
use bauta_server::{
    keys::RoleSeed,
    roles::witness::{Witness, WitnessConfig},
};
use tower::ServiceExt;

use crate::{
    Target,
    input::Input,
    town::{FuzzClock, FuzzRng, START, block_on, folder},
};

/// The target.
pub const TARGET: Target = Target {
    name: "witness",
    run,
    seeds,
};

/// Bytes that decide one request.
const STEP_BYTES: usize = 24;
const STEPS_MAX: usize = 64;
const ORIGIN: &str = "log.example/fuzz";
/// Leaves of each history.
const SIZE_MAX: usize = 200;
/// Leaves that both histories have.
const SHARED: usize = 20;

/// One of the log's histories.
struct History(Vec<Hash>);

impl History {
    fn new(number: u8) -> Self {
        let leaf = |place: usize| {
            let number = if place < SHARED { 0 } else { number };
            merkle::leaf_hash(&[number, place.to_le_bytes()[0]])
        };
        Self((0..SIZE_MAX).map(leaf).collect())
    }

    fn root(&self, size: usize) -> Hash {
        let mut frontier = Frontier::new();
        self.0
            .iter()
            .take(size)
            .for_each(|leaf| frontier.append(*leaf));
        frontier.root()
    }
}

impl TileSource for History {
    fn tile(&self, level: u8, index: u64, width: u16) -> Option<Vec<u8>> {
        let leaves = self.0.iter().take(usize::from(width));
        (level == 0 && index == 0).then(|| leaves.flatten().copied().collect())
    }
}

struct Game {
    folder: tempfile::TempDir,
    log: LogSigner,
    histories: [History; 2],
    router: Router,
    clock: Arc<FuzzClock>,
    /// The largest tree of either history that was cosigned, and of which history it is once that shows.
    size: usize,
    history: Option<usize>,
}

fn run(data: &[u8]) {
    block_on(async {
        let mut game = Game::new();
        for step in data.chunks(STEP_BYTES).take(STEPS_MAX) {
            game.step(&mut Input::new(step)).await;
        }
    });
}

fn open(folder: &Path, log: &LogSigner, clock: &Arc<FuzzClock>) -> Router {
    let text = format!(
        "http = {{ listen = '127.0.0.1:0' }}
        data = '{folder}/data'
        key_file = '{folder}/witness.key'
        name = 'witness.example/fuzz'
        logs = ['{log}']",
        folder = folder.display(),
        log = log.vkey(),
    );
    let config: WitnessConfig = toml::from_str(&text).expect("a configuration");
    if !config.key_file.exists() {
        let seed = RoleSeed::generate(&mut FuzzRng::new(7));
        seed.store(&config.key_file).expect("written");
    }
    let seed = RoleSeed::load(&config.key_file).expect("read");
    let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
    Witness::open(&config, &seed, clock)
        .expect("a witness opens")
        .router()
}

impl Game {
    fn new() -> Self {
        let folder = folder();
        let key = SigningKey::from_seed(&Secret::new([1; 32]));
        let log = LogSigner::new(ORIGIN, &key).expect("a name");
        let clock = Arc::new(FuzzClock::new(START));
        Self {
            router: open(folder.path(), &log, &clock),
            folder,
            log,
            histories: [History::new(1), History::new(2)],
            clock,
            size: 0,
            history: None,
        }
    }

    async fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 16 {
            0 => self
                .clock
                .reach(self.clock.now().plus(bauta_proto::time::Seconds(1))),
            1 => self.restart().await,
            _ => self.ask(input).await,
        }
    }

    async fn restart(&mut self) {
        self.router = Router::new();
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        self.router = open(self.folder.path(), &self.log, &self.clock);
    }

    async fn ask(&mut self, input: &mut Input<'_>) {
        let history = usize::from(input.byte() % 2);
        let old_size = match input.byte() % 3 {
            0 => self.size,
            1 => input.below(SIZE_MAX + 1),
            _ => 0,
        };
        let size = match input.byte() % 3 {
            0 => (self.size + usize::from(input.byte() % 8)).min(SIZE_MAX),
            1 => input.below(SIZE_MAX + 1),
            _ => old_size,
        };
        let mut body = self.request(history, old_size, size).into_bytes();
        input.edit(&mut body);
        let (status, answer) = self.post(&body).await;
        assert_ne!(status, 500, "the witness failed");
        if status == 200 {
            self.cosigned(&body, &answer);
        }
    }

    /// What the log would send for this step of this history.
    fn request(&self, history: usize, old_size: usize, size: usize) -> String {
        let history = &self.histories[history];
        let checkpoint = Checkpoint {
            origin: ORIGIN.to_owned(),
            size: size as u64,
            root: history.root(size),
        };
        let proof =
            merkle::prove_consistency(old_size as u64, size as u64, history.root(size), history);
        let request = AddCheckpoint {
            old_size: old_size as u64,
            proof: proof.unwrap_or_default(),
            checkpoint: note::sign_checkpoint(&checkpoint, &self.log).expect("of the log"),
        };
        request.to_text()
    }

    async fn post(&self, body: &[u8]) -> (u16, Vec<u8>) {
        let request = http::Request::post("/add-checkpoint").body(Body::from(body.to_vec()));
        let response = self
            .router
            .clone()
            .oneshot(request.expect("a request"))
            .await;
        let response = response.unwrap_or_else(|never| match never {});
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX)
            .await
            .expect("whole");
        (status, body.to_vec())
    }

    /// A cosigned tree is of the history that was cosigned before, and not smaller.
    fn cosigned(&mut self, body: &[u8], answer: &[u8]) {
        assert!(answer.ends_with(b"\n"), "a signature line");
        let request = AddCheckpoint::from_text(body).expect("it was understood");
        let opened = note::open_foreign_checkpoint(&request.checkpoint, self.log.vkey());
        let checkpoint = opened.expect("the log signed it").checkpoint;
        let size = usize::try_from(checkpoint.size).expect("small");
        assert!(size >= self.size, "a tree never shrinks");
        self.size = size;
        let is_of = |history: &History| history.root(size) == checkpoint.root;
        let histories: Vec<usize> = (0..2).filter(|it| is_of(&self.histories[*it])).collect();
        match (&*histories, self.history) {
            ([_, _], None) => {}
            ([history], None) => self.history = Some(*history),
            ([history], Some(before)) => assert_eq!(*history, before, "two histories"),
            _ => panic!("a tree that the log never had, or of no history"),
        }
    }
}

/// Growing, repeating, forking.
fn seeds() -> Vec<Vec<u8>> {
    let step = |bytes: &[u8]| {
        let mut step = bytes.to_vec();
        step.resize(STEP_BYTES, 0);
        step
    };
    let grow = |history| step(&[2, history, 0, 0, 5]);
    let leap = |history| step(&[2, history, 0, 1, 0, 150]);
    let restart = step(&[1]);
    vec![
        [grow(0), grow(0), leap(0), restart.clone(), grow(0)].concat(),
        [grow(1), leap(1), leap(0), restart, leap(0)].concat(),
        [
            leap(0),
            step(&[2, 1, 2, 1, 0, 60]),
            step(&[2, 1, 1, 0, 30, 1, 0, 60]),
        ]
        .concat(),
    ]
}
