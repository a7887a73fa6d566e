//! The archive's part of the configuration file.

use std::path::PathBuf;

use bauta_proto::{ids::BankId, limits::LOCK_SPAN_MAX};
use serde::{Deserialize, Deserializer, de::Error};

use crate::config::{HttpConfig, PolicySource};

/// An archive: an append-only public log of decisions.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveConfig {
    /// Where the archive listens.
    pub http: HttpConfig,
    /// Folder of the archive's records. `public` in it holds the log's files, which any web server may serve as they are.
    pub data: PathBuf,
    /// File with the seed of the archive's keys.
    pub key_file: PathBuf,
    /// The log's name, the first line of its checkpoints, such as `log.example/bauta`. It can never change.
    pub origin: String,
    /// Address under which others reach the log; without it, the address where it listens. Part of the log's policy: every
    /// lock names that policy, so a new address means a new policy.
    pub url: Option<String>,
    /// File with the log policy that the log publishes (or its text): it lists this log and the witnesses that cosign it, with
    /// their addresses. Nothing is published without their quorum. Without this, the log cosigns its own checkpoints.
    pub log_policy: Option<PolicySource>,
    /// Names, in the policy, of witnesses whose word is not believed when they say that this log's store is an old copy. Only
    /// for a witness that is known to be wrong.
    #[serde(default)]
    pub disbelieved_witnesses: Vec<String>,
    /// Time that a witness has to answer, in milliseconds.
    #[serde(default = "witness_timeout_ms")]
    pub witness_timeout_ms: u64,
    /// Time that publication waits for more witnesses after a quorum, in milliseconds; only for those who are usually that
    /// quick.
    #[serde(default = "witness_grace_ms")]
    pub witness_grace_ms: u64,
    /// Banks whose locks and records the log takes, in hexadecimal.
    #[serde(deserialize_with = "banks")]
    pub banks: Vec<BankId>,
    /// Time between two checkpoints, in milliseconds.
    #[serde(default = "checkpoint_interval_ms")]
    pub checkpoint_interval_ms: u64,
    /// Farthest expiry of a commit from now, in seconds.
    #[serde(default = "commit_span_max_s")]
    pub commit_span_max_s: u32,
    /// Leaves that one transaction writes at most.
    #[serde(default = "batch_max")]
    pub batch_max: usize,
}

const fn checkpoint_interval_ms() -> u64 {
    1_000
}

const fn witness_timeout_ms() -> u64 {
    3_000
}

const fn witness_grace_ms() -> u64 {
    100
}

const fn commit_span_max_s() -> u32 {
    LOCK_SPAN_MAX.0
}

const fn batch_max() -> usize {
    1_024
}

fn banks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<BankId>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let banks = texts.iter().map(|text| text.parse());
    banks
        .collect::<Result<_, _>>()
        .map_err(|error| D::Error::custom(format!("banks: {error}")))
}
