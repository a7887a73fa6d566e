//! A log in memory: takes records, and publishes checkpoints with the cosigning times that a test wants.

use std::{collections::BTreeMap, sync::Mutex};

use bauta_crypto::{
    merkle::{self, Frontier},
    note::{self, Checkpoint, CosignerSigner, LogSigner},
};
use bauta_proto::{
    codec::{Message, Signed},
    log::{leaf::Leaf, policy::Policy},
    submission::{Promise, Record},
    time::Timestamp,
    transport::{Endpoint, Request, Response, Transport, TransportError, archive},
};

use super::{Whole, answer, key};

const ORIGIN: &str = "log.test/bauta";
const URL: &str = "http://log.test";

#[derive(Default)]
pub(super) struct FakeLog {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    leaves: Vec<Leaf>,
    files: BTreeMap<String, Vec<u8>>,
    is_down: bool,
}

fn signer() -> LogSigner {
    LogSigner::new(ORIGIN, &key(101)).expect("a name")
}

fn cosigner() -> CosignerSigner {
    CosignerSigner::new("log.test/bauta/cosigner", &key(102)).expect("a name")
}

impl FakeLog {
    pub(super) fn policy(&self) -> Policy {
        Policy::of_one_log(signer().vkey(), URL, cosigner().vkey()).expect("an address")
    }

    pub(super) fn set_down(&self, is_down: bool) {
        self.state.lock().expect("no panic").is_down = is_down;
    }

    /// Appends a leaf, as the archive does with a commit.
    pub(super) fn append(&self, leaf: Leaf) -> u64 {
        let mut state = self.state.lock().expect("no panic");
        if let Some(index) = state.leaves.iter().position(|known| *known == leaf) {
            return index as u64;
        }
        state.leaves.push(leaf);
        state.leaves.len() as u64 - 1
    }

    /// Publishes all leaves under a checkpoint that was cosigned at this time.
    pub(super) fn publish(&self, time_s: u64) {
        let mut state = self.state.lock().expect("no panic");
        let size = state.leaves.len();
        assert!(
            size < 256,
            "one partial tile is all that this log can write"
        );
        let hashes: Vec<_> = state.leaves.iter().map(Leaf::hash).collect();
        let entries: Vec<_> = state.leaves.iter().map(Leaf::to_bytes).collect();
        let mut frontier = Frontier::new();
        hashes.iter().for_each(|hash| frontier.append(*hash));
        let checkpoint = Checkpoint {
            origin: ORIGIN.to_owned(),
            size: size as u64,
            root: frontier.root(),
        };
        let note = note::sign_checkpoint(&checkpoint, &signer()).expect("signs");
        let note = note::cosign(&note, &cosigner(), time_s).expect("cosigns");
        if size > 0 {
            let width = Some(size as u16);
            let bundle = merkle::encode_bundle(&entries).expect("short entries");
            state
                .files
                .insert(merkle::tile_path(0, 0, width), hashes.concat());
            state.files.insert(merkle::entries_path(0, width), bundle);
        }
        state
            .files
            .insert("checkpoint".to_owned(), note.into_bytes());
    }

    /// Loses the entries that were published; the tiles stay.
    pub(super) fn lose_entries(&self) {
        let mut state = self.state.lock().expect("no panic");
        state.files.retain(|path, _| !path.contains("entries"));
    }

    fn record(&self, body: &[u8]) -> Vec<u8> {
        let record = Signed::<Record>::from_bytes(body).expect("a record");
        let leaf = record.body.leaf();
        record
            .verified(&record.body.bank.key())
            .expect("signed by the bank");
        let promise = Promise {
            log: Promise::log_name(ORIGIN),
            leaf_hash: leaf.hash(),
            index: self.append(leaf),
            promised_at: Timestamp(0),
        };
        promise.signed(&key(101)).to_bytes()
    }
}

impl Transport for FakeLog {
    type Body = Whole;

    async fn send(&self, request: Request) -> Result<Response<Whole>, TransportError> {
        let path = request.url.strip_prefix(URL).expect("the log's address");
        if self.state.lock().expect("no panic").is_down {
            return Err(TransportError::Connect);
        }
        if path == archive::SubmitRecord::PATH {
            return Ok(answer(200, self.record(&request.body)));
        }
        let state = self.state.lock().expect("no panic");
        Ok(match state.files.get(path.trim_start_matches('/')) {
            Some(file) => answer(200, file.clone()),
            None => {
                let problem = bauta_proto::problem::ProblemKind::NotFound;
                let problem = bauta_proto::problem::Problem::new(problem);
                answer(404, problem.to_json().into_bytes())
            }
        })
    }
}
