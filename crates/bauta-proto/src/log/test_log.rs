//! A log in memory for the tests of this crate: its files are a map, its transport reads them.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use bauta_crypto::{
    merkle::{self, Frontier, TILE_WIDTH, TileSource},
    note::{self, Checkpoint, CosignerSigner, LogSigner},
    secret::Secret,
    sign::SigningKey,
};

use crate::{
    ids::LockTag,
    log::{
        leaf::{Deed, Leaf},
        policy::Policy,
        reader::LogReader,
    },
    time::Timestamp,
    transport::{Body, Request, Response, Transport, TransportError},
};

pub(crate) const ORIGIN: &str = "log.example/bauta";
pub(crate) const URL: &str = "http://log.example";

/// Runs a future that never waits.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the log in memory never waits"),
    }
}

pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([number; 32]))
}

/// The leaf that stands at `index` in every test log.
pub(crate) fn leaf(index: u64) -> Leaf {
    let mut tag = [0; 32];
    tag[..8].copy_from_slice(&index.to_be_bytes());
    Leaf::of_lock(
        Deed::Commit,
        LockTag(tag),
        Timestamp(1_000 + index),
        [7; 32],
    )
}

/// A log that appends and signs as it is told, also wrongly.
pub(crate) struct TestLog {
    pub(crate) entries: Vec<Vec<u8>>,
    pub(crate) log: LogSigner,
    pub(crate) cosigner: CosignerSigner,
}

impl TestLog {
    pub(crate) fn new(leaves: u64) -> Self {
        Self {
            entries: (0..leaves).map(|index| leaf(index).to_bytes()).collect(),
            log: LogSigner::new(ORIGIN, &key(1)).expect("a name"),
            cosigner: CosignerSigner::new("log.example/bauta/cosigner", &key(2)).expect("a name"),
        }
    }

    pub(crate) fn policy(&self) -> Arc<Policy> {
        Arc::new(Policy::of_one_log(self.log.vkey(), URL, self.cosigner.vkey()).expect("a policy"))
    }

    /// A reader of these files by [`Self::policy`].
    pub(crate) fn reader(&self, files: &Arc<MemoryFiles>) -> LogReader<MemoryFiles> {
        let policy = self.policy();
        let log = policy.logs()[0].clone();
        LogReader::new(Arc::clone(files), &log, policy).expect("an address")
    }

    /// The checkpoint of the first `size` entries, cosigned at `time_s`.
    pub(crate) fn checkpoint(&self, size: u64, time_s: u64) -> String {
        let mut frontier = Frontier::new();
        let count = usize::try_from(size).expect("a small tree");
        let leaves = self.entries[..count].iter();
        leaves.for_each(|entry| frontier.append(merkle::leaf_hash(entry)));
        let checkpoint = Checkpoint {
            origin: ORIGIN.to_owned(),
            size,
            root: frontier.root(),
        };
        let signed = note::sign_checkpoint(&checkpoint, &self.log).expect("signs");
        note::cosign(&signed, &self.cosigner, time_s).expect("cosigns")
    }

    /// All files of the log at one size.
    pub(crate) fn publish(&self, files: &MemoryFiles, size: u64, time_s: u64) {
        let mut map = files.files.lock().expect("no panic");
        for (level, index, width) in merkle::tiles_to_write(0, size) {
            let tile = self.tile(level, index, width).expect("in the tree");
            map.insert(merkle::tile_path(level, index, Some(width)), tile);
        }
        let count = usize::try_from(size).expect("a small tree");
        for (index, bundle) in self.entries[..count]
            .chunks(usize::from(TILE_WIDTH))
            .enumerate()
        {
            let width = u16::try_from(bundle.len()).expect("at most 256");
            let path = merkle::entries_path(index as u64, Some(width));
            map.insert(path, merkle::encode_bundle(bundle).expect("short entries"));
        }
        map.insert("checkpoint".into(), self.checkpoint(size, time_s).into());
    }
}

impl TileSource for TestLog {
    fn tile(&self, level: u8, index: u64, width: u16) -> Option<Vec<u8>> {
        let span = 1_usize << (8 * level);
        let first = usize::try_from(index).ok()? * usize::from(TILE_WIDTH) * span;
        let hashes = (0..usize::from(width)).map(|number| {
            let start = first + number * span;
            let mut frontier = Frontier::new();
            let leaves = self.entries.get(start..start + span)?.iter();
            leaves.for_each(|entry| frontier.append(merkle::leaf_hash(entry)));
            Some(frontier.root())
        });
        Some(hashes.collect::<Option<Vec<_>>>()?.concat())
    }
}

/// Files by path, and a list of what was asked for.
#[derive(Default)]
pub(crate) struct MemoryFiles {
    pub(crate) files: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl MemoryFiles {
    /// Changes one file.
    pub(crate) fn change(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut files = self.files.lock().expect("no panic");
        change(files.get_mut(path).expect("the file is there"));
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().expect("no panic"))
    }
}

impl Transport for MemoryFiles {
    type Body = Whole;

    async fn send(&self, request: Request) -> Result<Response<Whole>, TransportError> {
        let path = request
            .url
            .strip_prefix(URL)
            .ok_or(TransportError::Connect)?;
        let path = path.trim_start_matches('/').to_owned();
        let found = self.files.lock().expect("no panic").get(&path).cloned();
        self.asked.lock().expect("no panic").push(path);
        Ok(Response {
            status: if found.is_some() { 200 } else { 404 },
            from: 0,
            body: Whole(found),
        })
    }
}

pub(crate) struct Whole(Option<Vec<u8>>);

impl Body for Whole {
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        Ok(self.0.take())
    }
}
