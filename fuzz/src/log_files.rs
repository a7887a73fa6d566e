//! A log's files: entries, tiles and proofs decode to what they encode, and nothing that a log serves makes its reader
//! panic or believe what the checkpoint does not prove.

use std::sync::{Arc, LazyLock};

use bauta_crypto::{
    merkle::{self, Frontier, Hash, TileSource},
    note::{self, Checkpoint, CosignerSigner, LogSigner},
    secret::Secret,
    sign::SigningKey,
};
use bauta_proto::{
    ids::BankId,
    log::{leaf::Leaf, policy::Policy, reader::LogReader},
    time::Timestamp,
    transport::{Request, Response, Transport, TransportError},
};

use crate::{
    Target, corpus,
    input::Input,
    town::{Whole, block_on},
};

/// The target: the first byte selects what is read.
pub const TARGET: Target = Target {
    name: "log_files",
    run,
    seeds,
};

const ORIGIN: &str = "log.example/fuzz";
const URL: &str = "http://log.example";
/// Leaves of the true log: a full bundle and a partial one.
const SIZE: u64 = 300;

fn run(data: &[u8]) {
    let Some((number, bytes)) = data.split_first() else {
        return;
    };
    match number % 5 {
        0 => leaf(bytes),
        1 => bundle(bytes),
        2 => tile(bytes),
        3 => proofs(bytes),
        _ => reader(bytes),
    }
}

fn leaf(bytes: &[u8]) {
    if let Some(leaf) = Leaf::from_bytes(bytes) {
        assert_eq!(leaf.to_bytes(), bytes, "a leaf has one form");
        let _ = (leaf.hash(), leaf.about_lock());
    }
}

fn bundle(bytes: &[u8]) {
    if let Ok(entries) = merkle::decode_bundle(bytes) {
        assert_eq!(
            merkle::encode_bundle(&entries),
            Ok(bytes.to_vec()),
            "a bundle has one form"
        );
    }
}

fn tile(bytes: &[u8]) {
    assert_eq!(
        merkle::full_tile_root(bytes).is_some(),
        bytes.len() == 256 * 32
    );
}

/// Proofs that say nothing true do not hold.
fn proofs(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let size = |input: &mut Input| match input.byte() % 3 {
        0 => u64::from(input.byte()),
        1 => 1_u64 << (input.byte() % 64),
        _ => u64::from_be_bytes(input.bytes()),
    };
    let (old_size, new_size) = (size(&mut input), size(&mut input));
    let hashes: Vec<Hash> = input.rest().as_chunks().0.to_vec();
    let (first, second) = ([1; 32], [2; 32]);
    let included = merkle::check_inclusion(&hashes, new_size, first, old_size, second);
    assert!(included.is_err(), "nobody finds two such hashes");
    let consistent = merkle::check_consistency(&hashes, old_size, first, new_size, second);
    assert!(
        consistent.is_err() || old_size == 0,
        "nobody finds two such roots"
    );
    if new_size <= 1 << 40 {
        let _ = merkle::tiles_for_inclusion(new_size, old_size);
        let _ = merkle::tiles_for_consistency(old_size, new_size);
    }
    let _ = Frontier::from_parts(new_size, hashes);
}

/// The true log of this target.
struct Log {
    policy: Arc<Policy>,
    leaves: Vec<Leaf>,
    checkpoint: String,
    root: Hash,
}

static LOG: LazyLock<Log> = LazyLock::new(Log::new);

impl Log {
    fn new() -> Self {
        let key = |number| SigningKey::from_seed(&Secret::new([number; 32]));
        let log = LogSigner::new(ORIGIN, &key(1)).expect("a name");
        let cosigner = CosignerSigner::new("witness.example/fuzz", &key(2)).expect("a name");
        let policy = Policy::of_one_log(log.vkey(), URL, cosigner.vkey()).expect("a policy");
        let leaf = |number: u64| {
            let subject = [u8::try_from(number % 256).expect("small"); 32];
            Leaf::record(BankId([1; 32]), Timestamp(number), subject)
        };
        let leaves: Vec<Leaf> = (0..SIZE).map(leaf).collect();
        let root = frontier(&leaves).root();
        let checkpoint = Checkpoint {
            origin: ORIGIN.to_owned(),
            size: SIZE,
            root,
        };
        let checkpoint = note::sign_checkpoint(&checkpoint, &log).expect("of the log");
        Self {
            policy: Arc::new(policy),
            leaves,
            checkpoint: note::cosign(&checkpoint, &cosigner, 1_800_000_000).expect("cosigned"),
            root,
        }
    }

    fn file(&self, path: &str) -> Vec<u8> {
        let bundles = [(0, None), (1, Some(44))];
        for (index, width) in bundles {
            if path == merkle::entries_path(index, width) {
                let entries = self
                    .leaves
                    .chunks(256)
                    .nth(usize::try_from(index).expect("0 or 1"));
                let entries: Vec<_> = entries.into_iter().flatten().map(Leaf::to_bytes).collect();
                return merkle::encode_bundle(&entries).expect("short");
            }
        }
        for (level, index, width) in merkle::tiles_to_write(0, SIZE) {
            let partial = Some(width).filter(|width| *width < 256);
            if path == merkle::tile_path(level, index, partial) {
                return self.tile(level, index, width).unwrap_or_default();
            }
        }
        self.checkpoint.clone().into_bytes()
    }
}

impl TileSource for Log {
    fn tile(&self, level: u8, index: u64, width: u16) -> Option<Vec<u8>> {
        let index = usize::try_from(index).ok()?;
        let width = usize::from(width);
        if level == 0 {
            let leaves = self.leaves.chunks(256).nth(index)?;
            return Some(leaves.iter().take(width).flat_map(Leaf::hash).collect());
        }
        let full = self.tile(0, 0, 256)?;
        merkle::full_tile_root(&full).map(|root| root.to_vec())
    }
}

fn frontier(leaves: &[Leaf]) -> Frontier {
    let mut frontier = Frontier::new();
    leaves.iter().for_each(|leaf| frontier.append(leaf.hash()));
    frontier
}

/// Serves the true log's files with changes.
struct Liar(std::sync::Mutex<Vec<u8>>);

impl Transport for Liar {
    type Body = Whole;

    async fn send(&self, request: Request) -> Result<Response<Whole>, TransportError> {
        let mut bytes = self.0.lock().expect("no panic while held");
        let mut input = Input::new(&bytes);
        let path = request.url.strip_prefix(URL).unwrap_or_default();
        let mut file = LOG.file(path.trim_start_matches('/'));
        let status = if input.rarely(16) { 404 } else { 200 };
        input.edit(&mut file);
        *bytes = input.rest().to_vec();
        Ok(Whole::answer(status, file))
    }
}

/// What a reader takes from a log that lies is what the log's own checkpoint says.
fn reader(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let begin = input.below(usize::try_from(SIZE).expect("small") + 1);
    let wanted = input.below(usize::try_from(SIZE).expect("small"));
    let liar = Arc::new(Liar(input.rest().to_vec().into()));
    let log = LOG.policy.logs().first().expect("one log");
    let reader = LogReader::new(liar, log, Arc::clone(&LOG.policy)).expect("an address");
    block_on(async {
        let Ok(checkpoint) = reader.checkpoint().await else {
            return;
        };
        assert_eq!(
            (checkpoint.size(), checkpoint.checked().root),
            (SIZE, LOG.root)
        );
        let known = frontier(&LOG.leaves[..begin]);
        if let Ok(read) = reader.entries(&known, &checkpoint).await {
            let end = begin + read.leaves.len();
            assert_eq!(read.leaves, LOG.leaves[begin..end], "the true leaves");
            assert_eq!(read.frontier.root(), frontier(&LOG.leaves[..end]).root());
        }
        let leaf = &LOG.leaves[wanted];
        if let Ok(receipt) = reader.receipt(wanted as u64, leaf, &checkpoint).await {
            receipt
                .check(leaf, &LOG.policy)
                .expect("a receipt that the reader took proves");
        }
    });
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![corpus::selected(4, &[0; 4])];
    for leaf in LOG.leaves.iter().take(3) {
        seeds.push(corpus::selected(0, &leaf.to_bytes()));
    }
    seeds.push(corpus::selected(
        1,
        &LOG.file(&merkle::entries_path(1, Some(44))),
    ));
    seeds.push(corpus::selected(2, &LOG.tile(0, 0, 256).expect("there")));
    let merkle = corpus::vector("bauta-crypto/tests/vectors/merkle.json");
    seeds.extend(
        corpus::json_texts(&merkle)
            .iter()
            .map(|text| corpus::selected(3, text)),
    );
    for place in 0..24 {
        let mut bytes = vec![0; 64];
        bytes[place] = 1;
        seeds.push(corpus::selected(4, &bytes));
    }
    seeds
}
