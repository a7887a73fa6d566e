//! An archive in a temporary folder, a bank that it lists, and a clock that is set by hand.

use std::sync::atomic::{AtomicU64, Ordering};

use bauta_crypto::{secret::Secret, sign::SigningKey};
use bauta_io::{HttpOptions, HttpTransport};
use bauta_proto::{
    ids::{HashLock, PolicyId, Serial},
    lock::{Lock, LockMode, LockPrivate, LockPublic},
    log::leaf::Deed,
    money::{Amount, Money},
    submission::Submission,
};
use bauta_store::archive::ArchiveStore;

use super::super::{log::Log, *};
use crate::config::HttpConfig;

pub(super) const ORIGIN: &str = "log.example/bauta";
pub(super) const NOW: u64 = 1_800_000_000;

/// A clock that stands still until it is set.
pub(super) struct TestClock(pub(super) AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    pub(super) clock: Arc<TestClock>,
    pub(super) bank: SigningKey,
    pub(super) config: ArchiveConfig,
    pub(super) transport: Arc<HttpTransport>,
}

pub(super) fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([number; 32]))
}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let bank = key(1);
        let config = ArchiveConfig {
            http: HttpConfig::new(([127, 0, 0, 1], 0).into()),
            data: folder.path().join("archive"),
            key_file: folder.path().join("archive.key"),
            origin: ORIGIN.to_owned(),
            url: Some("http://log.example".to_owned()),
            log_policy: None,
            disbelieved_witnesses: Vec::new(),
            witness_timeout_ms: 1_000,
            witness_grace_ms: 100,
            policies: Vec::new(),
            shard_days: 0,
            shards_ahead: None,
            retention_days: None,
            claim_days: 30,
            banks: vec![bank.verifying_key().into()],
            checkpoint_interval_ms: 1_000,
            commit_span_max_s: 86_400,
            batch_max: 64,
        };
        let clock = Arc::new(TestClock(AtomicU64::new(NOW)));
        Self {
            folder,
            clock,
            bank,
            config,
            transport: Arc::new(HttpTransport::new(HttpOptions::default()).expect("a client")),
        }
    }

    pub(super) fn try_open(&self) -> Result<Arc<Archive>, ArchiveStartError> {
        let seed = role_seed(&self.folder, 7);
        Archive::open(&self.config, seed, &self.world())
    }

    /// What the archive takes from outside.
    pub(super) fn world(&self) -> crate::work::World<HttpTransport> {
        crate::work::World {
            clock: self.clock.clone(),
            transport: Arc::clone(&self.transport),
        }
    }

    pub(super) fn open(&self) -> Arc<Archive> {
        self.try_open().expect("opens")
    }

    pub(super) fn set_clock(&self, time_s: u64) {
        self.clock.0.store(time_s, Ordering::Relaxed);
    }

    /// A commit of this world's bank; another number is another lock.
    pub(super) fn commit(&self, number: u64) -> Submission {
        commit(&self.bank, number, Timestamp(NOW + 60))
    }

    /// What the archive shows in its folder.
    pub(super) fn published(&self) -> Option<String> {
        let path = self.config.data.join("public").join(CHECKPOINT_FILE);
        std::fs::read_to_string(path).ok()
    }

    /// How many leaves the store has signed.
    pub(super) fn store_head(&self) -> u64 {
        let reader = ArchiveReader::open(&self.config.data.join(STORE_FILE)).expect("opens");
        let signed = reader.checkpoint().expect("reads");
        signed.map_or(0, |signed| signed.size)
    }

    pub(super) fn store(&self) -> ArchiveStore {
        ArchiveStore::open(&self.config.data.join(STORE_FILE)).expect("opens")
    }
}

/// The archive's one log.
pub(super) fn one_log(archive: &Archive) -> Arc<Log> {
    let slot = archive.slots.named(None).expect("no shards");
    slot.opened().expect("it is always open")
}

/// The seed that a number names.
pub(super) fn role_seed(folder: &tempfile::TempDir, number: u8) -> RoleSeed {
    let path = folder.path().join(format!("{number}.key"));
    if !path.exists() {
        let text = data_encoding::HEXLOWER.encode(&[number; 32]);
        std::fs::write(&path, text).expect("writes");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&path, mode).expect("changes");
        }
    }
    RoleSeed::load(&path).expect("reads")
}

/// A lock of `bank` and its preimage.
pub(super) fn commit(bank: &SigningKey, number: u64, expiry: Timestamp) -> Submission {
    let mut preimage = [9; 32];
    preimage[..8].copy_from_slice(&number.to_be_bytes());
    let mut serial = [0; 16];
    serial[..8].copy_from_slice(&number.to_be_bytes());
    let public = LockPublic {
        bank: bank.verifying_key().into(),
        serial: Serial(serial),
        hash_lock: HashLock(bauta_crypto::hash::sha256(&[&preimage])),
        expiry,
        log_policy: PolicyId([3; 32]),
        mode: LockMode::Fast,
    };
    let private = LockPrivate {
        amount: Money {
            amount: Amount::new(499).expect("an amount"),
            currency: "EUR".parse().expect("a currency"),
        },
        payee: bauta_proto::ids::PayeeCommitment([4; 32]),
        dispute_until: expiry,
        settle_until: expiry,
        salt: [5; 16],
    };
    let lock = Lock::new(public, private, bank);
    Submission::new(&lock, Deed::Commit, preimage)
}
