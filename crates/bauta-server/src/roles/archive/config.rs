//! The archive's part of the configuration file.

use std::{fmt::Display, path::PathBuf, str::FromStr};

use bauta_proto::{
    ids::{BankId, PolicyId},
    limits::LOCK_SPAN_MAX,
};
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
    #[serde(deserialize_with = "ids")]
    pub banks: Vec<BankId>,
    /// Log policies whose locks the log takes, in hexadecimal. Empty: any that a listed bank puts into its locks. A leaf counts
    /// only if the lock's policy lists this log; keep a policy here until the last lock under it is decided.
    #[serde(default, deserialize_with = "ids")]
    pub policies: Vec<PolicyId>,
    /// Length of a shard in days. 0: one log for everything, for ever. Otherwise the archive runs a log for each span of so many
    /// days: a lock's leaves go to the log that contains its expiry, and a log ends when its span is over. A data folder is the
    /// one or the other for ever.
    #[serde(default)]
    pub shard_days: u32,
    /// Shards that are there before their span begins; without this, as many as reach 400 days ahead. They must reach farther
    /// than any lock and than the keysets that banks record.
    pub shards_ahead: Option<u32>,
    /// Days for which entries and files of a shard are kept after it is frozen. Then they are removed, and its last checkpoint
    /// stays. Without this nothing is ever removed. At least `claim_days`.
    pub retention_days: Option<u32>,
    /// For how long after their expiry locks can be claimed at the banks above, in days: the longest of what they have as
    /// `claim_days` and as `dispute_window_max_s`. Ask their operators. Who claims proves it from the log's files.
    #[serde(default = "claim_days")]
    pub claim_days: u32,
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

/// How far shards reach ahead by default: a keyset matters for 217 days by default, a lock for 90 at most.
const AHEAD_DAYS: u32 = 400;

/// What banks have by default.
const fn claim_days() -> u32 {
    30
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

fn ids<'de, D: Deserializer<'de>, I: FromStr<Err: Display>>(
    deserializer: D,
) -> Result<Vec<I>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let ids = texts.iter().map(|text| text.parse());
    ids.collect::<Result<_, _>>()
        .map_err(|error| D::Error::custom(format!("not a list of ids: {error}")))
}

impl ArchiveConfig {
    /// How many shards are there before their span begins.
    #[must_use]
    pub fn shards_ahead(&self) -> u32 {
        let default = || AHEAD_DAYS.div_ceil(self.shard_days.max(1));
        self.shards_ahead.unwrap_or_else(default)
    }
}
