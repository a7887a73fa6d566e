//! A log whose keys the test holds: it signs whatever it is told, and shows it over HTTP.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use bauta_crypto::{
    merkle::{self, Frontier},
    note::{self, Checkpoint, CosignerSigner, LogSigner},
    secret::Secret,
    sign::SigningKey,
};
use bauta_io::SystemClock;
use bauta_proto::{
    codec::{Message, Signed},
    ids::LockTag,
    log::{
        leaf::{Deed, Leaf},
        policy::Shard,
    },
    submission::Promise,
    time::{Clock, Seconds},
};
use tempfile::TempDir;

use crate::{http::Parts, process::Output};

/// When each of the two witnesses cosigned, in seconds before now; none if it did not.
pub(super) type Ages = [Option<i64>; 2];
/// Both, now.
pub(super) const FRESH: Ages = [Some(0), Some(0)];

/// A log with two witnesses, of whom one is enough.
pub(super) struct ForgedLog {
    origin: String,
    key: SigningKey,
    witnesses: [CosignerSigner; 2],
    pub(super) leaves: Vec<Leaf>,
    files: Files,
    port: u16,
    /// Connections to the second witness, where it has an address, are taken and never answered.
    hung: Option<TcpListener>,
    folder: TempDir,
}

impl ForgedLog {
    /// A log of three leaves that shows two of them, as it should.
    pub(super) fn new() -> Self {
        Self::of_origin("forged.example/log".to_owned(), None)
    }

    /// The same, and the second witness hangs when it is asked.
    pub(super) fn with_hung_witness() -> Self {
        let hung = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        Self::of_origin("forged.example/log".to_owned(), Some(hung))
    }

    /// The same as the shard of this month.
    pub(super) fn shard() -> Self {
        let span = Shard::containing(SystemClock.now(), 30);
        Self::of_origin(format!("forged.example/log/{span}"), None)
    }

    fn of_origin(origin: String, hung: Option<TcpListener>) -> Self {
        let files = Files::default();
        let witness = |number: u8| {
            CosignerSigner::new(&format!("forged.example/{number}"), &key(number)).expect("a name")
        };
        let log = Self {
            key: key(7),
            witnesses: [witness(1), witness(2)],
            leaves: (1..=3).map(leaf).collect(),
            port: files.serve(),
            files,
            hung,
            folder: tempfile::tempdir().expect("a folder"),
            origin,
        };
        let hung = log.hung.as_ref().map_or_else(String::new, |hung| {
            format!(" http://{}", hung.local_addr().expect("bound"))
        });
        let [one, two] = &log.witnesses;
        let policy = format!(
            "log {} http://127.0.0.1:{}\nwitness one {}\nwitness two {}{hung}\n\
             group either 1 one two\nquorum either\n",
            log.signer().vkey(),
            log.port,
            one.vkey(),
            two.vkey(),
        );
        fs::write(log.path("log-policy"), policy).expect("written");
        log.show(2, FRESH);
        log
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn signer(&self) -> LogSigner {
        LogSigner::new(&self.origin, &self.key).expect("a name")
    }

    /// Shows this many leaves in a checkpoint that was cosigned then.
    pub(super) fn show(&self, size: usize, ages: Ages) {
        self.show_signed(size, ages, &self.signer());
    }

    /// The same, signed by another key under the log's name.
    pub(super) fn show_of_another_key(&self, size: usize) {
        let other = LogSigner::new(&self.origin, &key(8)).expect("a name");
        self.show_signed(size, FRESH, &other);
    }

    fn show_signed(&self, size: usize, ages: Ages, signer: &LogSigner) {
        let entries: Vec<Vec<u8>> = self.leaves[..size].iter().map(Leaf::to_bytes).collect();
        let hashes: Vec<_> = entries
            .iter()
            .map(|entry| merkle::leaf_hash(entry))
            .collect();
        let mut frontier = Frontier::new();
        hashes.iter().for_each(|hash| frontier.append(*hash));
        let checkpoint = Checkpoint {
            origin: self.origin.clone(),
            size: size as u64,
            root: frontier.root(),
        };
        let mut note = note::sign_checkpoint(&checkpoint, signer).expect("signs");
        for (witness, age) in self.witnesses.iter().zip(ages) {
            if let Some(age) = age {
                let time = SystemClock.now().0.saturating_add_signed(-age);
                note = note::cosign(&note, witness, time).expect("cosigns");
            }
        }
        // So few leaves are one tile and one bundle.
        let width = u16::try_from(size).expect("a small tree");
        self.put(&merkle::tile_path(0, 0, Some(width)), hashes.concat());
        let bundle = merkle::encode_bundle(&entries).expect("short entries");
        self.put(&merkle::entries_path(0, Some(width)), bundle);
        self.put("checkpoint", note.into_bytes());
    }

    /// Replaces a file.
    pub(super) fn put(&self, path: &str, bytes: Vec<u8>) {
        self.files.lock().insert(format!("/{path}"), bytes);
    }

    /// Flips a bit in the first file whose path begins so.
    pub(super) fn damage(&self, path: &str) {
        let mut files = self.files.lock();
        let place = format!("/{path}");
        let mut files = files.iter_mut();
        let (_, file) = files
            .find(|(path, _)| path.starts_with(&place))
            .expect("a file");
        *file.last_mut().expect("not empty") ^= 1;
    }

    /// The file is not there any more.
    pub(super) fn remove(&self, path: &str) {
        self.files.lock().remove(&format!("/{path}"));
    }

    /// A file with the log's promise, given so long ago, that a leaf stands at this index.
    pub(super) fn promise(&self, index: u64, age: Seconds) -> PathBuf {
        let body = Promise {
            log: Promise::log_name(&self.origin),
            leaf_hash: leaf(200).hash(),
            index,
            promised_at: SystemClock.now().minus(age),
        };
        let signature = body.sign(&self.key);
        let file = self.path("promise");
        fs::write(&file, Signed { body, signature }.to_bytes()).expect("written");
        file
    }

    /// One round of a monitor.
    pub(super) fn monitor(&self, more: &[&str]) -> Output {
        super::monitor(self.folder.path(), more)
    }
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([number; 32]))
}

/// A commit of the lock of this number.
fn leaf(number: u8) -> Leaf {
    let tag = LockTag([number; 32]);
    Leaf::of_lock(Deed::Commit, tag, SystemClock.now(), [number; 32])
}

/// Files by their paths, as a web server has them.
#[derive(Clone, Default)]
struct Files(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Files {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands them out to the end of this process; the port.
    fn serve(&self) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let files = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A caller that goes away is its own business.
                let _gone = files.answer(stream);
            }
        });
        port
    }

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let Some(request) = Parts::read(&mut stream)? else {
            return Ok(());
        };
        let file = self.lock().get(request.second_word()).cloned();
        let status = if file.is_some() {
            "200 OK"
        } else {
            "404 Not Found"
        };
        let file = file.unwrap_or_default();
        let length = file.len();
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        stream.write_all(&[head.as_bytes(), &file].concat())
    }
}
