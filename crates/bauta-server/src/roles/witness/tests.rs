//! The witness over HTTP, as a log calls it.

use std::sync::atomic::{AtomicU64, Ordering};

use bauta_crypto::{
    merkle::{self, Frontier, TILE_WIDTH, TileSource},
    note::{self, Checkpoint, LogSigner},
    secret::Secret,
    sign::SigningKey,
};
use bauta_io::{HttpOptions, HttpTransport};
use bauta_proto::{
    log::witness::Answer,
    time::Timestamp,
    transport::{Request, Response, Transport, collect},
};

use super::*;
use crate::config::HttpConfig;

const ORIGIN: &str = "log.example/bauta";
const NOW: u64 = 1_800_000_000;

struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// A log in memory that can show two histories.
#[derive(Clone)]
struct TestLog {
    leaves: Vec<merkle::Hash>,
    signer: LogSigner,
}

impl TestLog {
    fn new() -> Self {
        let key = SigningKey::from_seed(&Secret::new([1; 32]));
        Self {
            leaves: (0..40).map(|n: u8| merkle::leaf_hash(&[n])).collect(),
            signer: LogSigner::new(ORIGIN, &key).expect("a name"),
        }
    }

    fn forked(&self) -> Self {
        let mut fork = self.clone();
        fork.leaves[0] = [7; 32];
        fork
    }

    fn root(&self, from: usize, to: usize) -> merkle::Hash {
        let mut frontier = Frontier::new();
        let leaves = self.leaves[from..to].iter();
        leaves.for_each(|leaf| frontier.append(*leaf));
        frontier.root()
    }

    fn request(&self, old_size: u64, size: u64) -> AddCheckpoint {
        let root = self.root(0, usize::try_from(size).expect("small"));
        let checkpoint = Checkpoint {
            origin: ORIGIN.to_owned(),
            size,
            root,
        };
        let proof = match old_size {
            0 => Vec::new(),
            _ => merkle::prove_consistency(old_size, size, root, self).expect("proves"),
        };
        AddCheckpoint {
            old_size,
            proof,
            checkpoint: note::sign_checkpoint(&checkpoint, &self.signer).expect("signs"),
        }
    }
}

impl TileSource for TestLog {
    fn tile(&self, level: u8, index: u64, width: u16) -> Option<Vec<u8>> {
        let first = usize::try_from(index).ok()? * usize::from(TILE_WIDTH);
        let hashes = self.leaves.get(first..first + usize::from(width))?;
        (level == 0).then(|| hashes.concat())
    }
}

struct World {
    _folder: tempfile::TempDir,
    config: WitnessConfig,
    seed: RoleSeed,
    clock: Arc<TestClock>,
    transport: HttpTransport,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = WitnessConfig {
            http: HttpConfig::new(([127, 0, 0, 1], 0).into()),
            data: folder.path().join("witness"),
            key_file: folder.path().join("witness.key"),
            name: "witness.example/w1".to_owned(),
            logs: vec![TestLog::new().signer.vkey().clone()],
            log_policy: None,
        };
        Self {
            _folder: folder,
            config,
            seed: RoleSeed::generate(&mut bauta_io::SystemRng::new()),
            clock: Arc::new(TestClock(AtomicU64::new(NOW))),
            transport: HttpTransport::new(HttpOptions::default()).expect("a client"),
        }
    }

    fn try_open(&self) -> Result<Arc<Witness>, WitnessStartError> {
        Witness::open(&self.config, &self.seed, self.clock.clone())
    }

    /// A witness with the standard surroundings on a port of loopback.
    async fn serve(&self) -> (String, Vkey) {
        let witness = self.try_open().expect("opens");
        let standard = crate::edge::Standard::new("witness");
        let router = standard.wrap(witness.router(), || Ok(()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (url, witness.vkey().clone())
    }

    async fn post(&self, url: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
        let mut request = Request::get(format!("{url}{ADD_CHECKPOINT_PATH}"));
        request.method = bauta_proto::transport::Method::Post;
        request.body = body;
        self.send(request).await
    }

    async fn get(&self, url: String) -> (u16, String) {
        let (status, body) = self.send(Request::get(url)).await;
        (status, String::from_utf8(body).expect("text"))
    }

    async fn send(&self, request: Request) -> (u16, Vec<u8>) {
        let answer = self.transport.send(request).await;
        let Response {
            status, mut body, ..
        } = answer.expect("an answer");
        (status, collect(&mut body, 1 << 20).await.expect("a body"))
    }

    async fn ask(&self, url: &str, request: &AddCheckpoint) -> Answer {
        let (status, body) = self.post(url, request.to_text().into_bytes()).await;
        Answer::read(status, &body)
    }

    /// The time of the cosignature that the request gets.
    async fn cosigned(&self, (url, vkey): &(String, Vkey), request: &AddCheckpoint) -> u64 {
        let Answer::Cosigned(lines) = self.ask(url, request).await else {
            panic!("refused");
        };
        let log = TestLog::new().signer.vkey().clone();
        let opened = note::open_checkpoint(&request.checkpoint, &log);
        let mut opened = opened.expect("signed by the log");
        opened.add_cosignature(&lines, vkey).expect("cosigned")
    }
}

#[tokio::test]
async fn a_log_that_only_appends_is_cosigned_and_a_fork_is_not_before_and_after_a_restart() {
    let (world, log) = (World::new(), TestLog::new());
    let witness = world.serve().await;
    assert_eq!(world.cosigned(&witness, &log.request(0, 5)).await, NOW);
    let again = world.serve().await;
    for (url, _) in [&witness, &again] {
        let fork = log.forked();
        let answer = world.ask(url, &fork.request(5, 9)).await;
        assert_eq!(answer, Answer::Refused(422));
        assert_eq!(
            world.ask(url, &fork.request(5, 5)).await,
            Answer::Refused(422)
        );
        assert_eq!(
            world.ask(url, &log.request(0, 9)).await,
            Answer::Conflict(5)
        );
        assert_eq!(
            world.ask(url, &log.request(3, 9)).await,
            Answer::Conflict(5)
        );
    }
    assert_eq!(world.cosigned(&again, &log.request(5, 9)).await, NOW);
    assert_eq!(
        world.ask(&witness.0, &log.request(5, 9)).await,
        Answer::Conflict(9)
    );
}

#[tokio::test]
async fn v5_anybody_has_a_dead_logs_last_checkpoint_cosigned_again_with_a_new_time() {
    let (world, log) = (World::new(), TestLog::new());
    let witness = world.serve().await;
    world.cosigned(&witness, &log.request(0, 5)).await;
    // What anybody finds: the published note, which has other signatures too.
    let found = log.request(5, 5);
    world.clock.0.store(NOW + 1_000, Ordering::Relaxed);
    assert_eq!(world.cosigned(&witness, &found).await, NOW + 1_000);
    world.clock.0.store(NOW, Ordering::Relaxed);
    let time = world.cosigned(&witness, &found).await;
    assert_eq!(time, NOW + 1_000, "the clock went back, the time did not");
    let restarted = world.serve().await;
    assert_eq!(world.cosigned(&restarted, &found).await, NOW + 1_000);
}

#[tokio::test]
async fn of_requests_that_race_one_is_cosigned_and_the_others_hear_the_size_that_is_stored() {
    let (world, log) = (World::new(), TestLog::new());
    let witness = world.serve().await;
    world.cosigned(&witness, &log.request(0, 5)).await;
    let requests: Vec<_> = (6..30).map(|size| log.request(5, size)).collect();
    let asked = requests
        .iter()
        .map(|request| world.ask(&witness.0, request));
    let answers = futures_util::future::join_all(asked).await;
    let winner = answers
        .iter()
        .position(|answer| matches!(answer, Answer::Cosigned(_)));
    let size = 6 + winner.expect("one wins") as u64;
    let others = answers
        .iter()
        .filter(|answer| **answer == Answer::Conflict(size));
    assert_eq!(others.count(), answers.len() - 1);
}

#[tokio::test]
async fn each_defect_has_the_status_that_the_protocol_names() {
    let (world, log) = (World::new(), TestLog::new());
    let (url, _) = world.serve().await;
    let text = log.request(0, 5).to_text();
    for (body, status) in [
        (String::new(), 400),
        (text.replace("old 0", "old 6"), 400),
        (text.replace("\n\n", "\n"), 400),
        (
            text.replace("log.example/bauta\n5", "log.example/other\n5"),
            404,
        ),
        (text.replace("\n5\n", "\n6\n"), 403),
        (text.replace("old 0", "old 5"), 409),
        (
            text.replace("old 0\n", &format!("old 0\n{}\n", "A".repeat(43) + "=")),
            422,
        ),
        ("x".repeat(131_073), 413),
    ] {
        let (answered, problem) = world.post(&url, body.clone().into_bytes()).await;
        let shown: String = body.chars().take(80).collect();
        assert_eq!(answered, status, "{shown:?}");
        let is_problem = bauta_proto::problem::Problem::from_json(&problem).is_some();
        assert_eq!(is_problem, status != 409, "{shown:?}");
    }
}

#[tokio::test]
async fn the_newest_checkpoint_of_each_log_and_the_key_are_there_for_everybody() {
    let (world, log) = (World::new(), TestLog::new());
    let (url, vkey) = world.serve().await;
    let path = monitoring_path(ORIGIN);
    assert_eq!(world.get(format!("{url}{path}")).await.0, 404);
    let request = log.request(0, 5);
    let Answer::Cosigned(line) = world.ask(&url, &request).await else {
        panic!("refused");
    };
    let (status, note) = world.get(format!("{url}{path}")).await;
    assert_eq!((status, note), (200, request.checkpoint + &line));
    let unknown = monitoring_path("log.example/other");
    assert_eq!(world.get(format!("{url}{unknown}")).await.0, 404);
    let (_, about) = world.get(format!("{url}{ABOUT_PATH}")).await;
    let about: serde_json::Value = serde_json::from_str(&about).expect("JSON");
    assert_eq!(about["vkey"], vkey.to_string());
    assert_eq!(about["logs"][0]["vkey"], log.signer.vkey().to_string());
    assert_eq!(about["logs"][0]["cosigned"]["size"], "5");
    assert_eq!(about["logs"][0]["cosigned"]["time"], NOW);
}

#[test]
fn a_witness_without_a_log_or_a_name_does_not_start() {
    let with = |change: fn(&mut WitnessConfig)| {
        let mut world = World::new();
        change(&mut world.config);
        world.try_open().map(|_| ())
    };
    assert!(with(|_| ()).is_ok());
    let refused = with(|config| config.logs.clear());
    assert!(matches!(refused, Err(WitnessStartError::NoLog)));
    let refused = with(|config| config.name = "two words".to_owned());
    assert!(matches!(refused, Err(WitnessStartError::Name(_))));
    let refused = with(|config| {
        let key = config.logs[0].key;
        let cosigner = Vkey::new("w", key, VkeyKind::Cosigner).expect("a name");
        config.logs.push(cosigner);
    });
    assert!(matches!(refused, Err(WitnessStartError::NotALog)));
}
