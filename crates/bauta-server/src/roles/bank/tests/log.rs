//! Logs in memory that take records and publish checkpoints with the cosigning times that a test wants, and the net on which
//! they and witnesses are.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::Router;

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

use super::{Direct, Whole, answer, key};

/// Everything that a bank reaches, by the beginnings of the addresses.
#[derive(Default)]
pub(super) struct FakeNet {
    pub(super) logs: Vec<Arc<FakeLog>>,
    pub(super) routers: Vec<(String, Router)>,
}

pub(super) struct FakeLog {
    number: u8,
    /// Under whose names checkpoints are cosigned.
    pub(super) cosigners: Vec<CosignerSigner>,
    state: Mutex<State>,
}

impl Default for FakeLog {
    fn default() -> Self {
        Self::numbered(1)
    }
}

#[derive(Default)]
struct State {
    leaves: Vec<Leaf>,
    files: BTreeMap<String, Vec<u8>>,
    is_down: bool,
    is_silent: bool,
}

fn cosigner() -> CosignerSigner {
    CosignerSigner::new("log.test/bauta/cosigner", &key(102)).expect("a name")
}

impl FakeLog {
    /// One of several logs, all of which have one cosigner.
    pub(super) fn numbered(number: u8) -> Self {
        Self {
            number,
            cosigners: vec![cosigner()],
            state: Mutex::default(),
        }
    }

    fn origin(&self) -> String {
        format!("log{}.test/bauta", self.number)
    }

    fn url(&self) -> String {
        format!("http://log{}.test", self.number)
    }

    fn signer(&self) -> LogSigner {
        LogSigner::new(&self.origin(), &key(110 + self.number)).expect("a name")
    }

    /// The line of a policy.
    pub(super) fn line(&self) -> String {
        format!("log {} {}\n", self.signer().vkey(), self.url())
    }

    pub(super) fn policy(&self) -> Policy {
        let (signer, url) = (self.signer(), self.url());
        Policy::of_one_log(signer.vkey(), &url, cosigner().vkey()).expect("an address")
    }

    /// Takes requests and never answers.
    pub(super) fn set_silent(&self) {
        self.state.lock().expect("no panic").is_silent = true;
    }

    fn is_silent(&self) -> bool {
        self.state.lock().expect("no panic").is_silent
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
            origin: self.origin(),
            size: size as u64,
            root: frontier.root(),
        };
        let mut note = note::sign_checkpoint(&checkpoint, &self.signer()).expect("signs");
        for cosigner in &self.cosigners {
            note = note::cosign(&note, cosigner, time_s).expect("cosigns");
        }
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
            log: Promise::log_name(&self.origin()),
            leaf_hash: leaf.hash(),
            index: self.append(leaf),
            promised_at: Timestamp(0),
        };
        promise.signed(&key(110 + self.number)).to_bytes()
    }
}

impl FakeLog {
    fn answer(&self, path: &str, body: &[u8]) -> Result<Response<Whole>, TransportError> {
        if self.state.lock().expect("no panic").is_down {
            return Err(TransportError::Connect);
        }
        if path == archive::SubmitRecord::PATH {
            return Ok(answer(200, self.record(body)));
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

impl Transport for FakeNet {
    type Body = Whole;

    async fn send(&self, mut request: Request) -> Result<Response<Whole>, TransportError> {
        for log in &self.logs {
            if let Some(path) = request.url.strip_prefix(&log.url()) {
                if log.is_silent() {
                    std::future::pending::<()>().await;
                }
                return log.answer(path, &request.body);
            }
        }
        let found = self
            .routers
            .iter()
            .find(|(url, _)| request.url.starts_with(url));
        let (url, router) = found.ok_or(TransportError::Connect)?;
        request.url = request.url[url.len()..].to_owned();
        Direct(router.clone()).send(request).await
    }
}
