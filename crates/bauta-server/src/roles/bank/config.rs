//! The bank's part of the configuration file.

use std::path::PathBuf;

use bauta_proto::{
    limits::{DISPUTE_WINDOW_MAX, KEYSET_KEYS_MAX, LOCK_SPAN_MAX, LOCK_SPAN_MIN},
    money::Currency,
    time::Seconds,
};
use serde::{Deserialize, Deserializer, de::Error};

use super::keysets::Schedule;
use crate::config::{HttpConfig, PolicySource};

/// Bounds of each span that is configured in days.
const DAYS: std::ops::RangeInclusive<u32> = 1..=3_650;

/// A bank: accounts, coins and locks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BankConfig {
    /// Where the bank listens.
    pub http: HttpConfig,
    /// Folder of the bank's records.
    pub data: PathBuf,
    /// File with the seed of the bank's keys. Without it no coin of the bank can ever be checked again.
    pub key_file: PathBuf,
    /// The bank's name, for people.
    pub name: String,
    /// Currencies of accounts and coins, by their ISO 4217 codes.
    #[serde(deserialize_with = "currencies")]
    pub currencies: Vec<Currency>,
    /// The logs and witnesses whose word decides about locks: the path of a policy's file, or, with more than one line,
    /// the policy itself. The bank follows all logs in it that can decide its locks; each needs an address there.
    pub log_policy: PolicySource,
    /// Largest denomination: coins are worth up to 2^this many minor units; at most 39.
    #[serde(default = "exponent_max")]
    pub exponent_max: u8,
    /// For how long a keyset issues coins, in days.
    #[serde(default = "issue_days")]
    pub issue_days: u32,
    /// For how long its coins pay after that, in days.
    #[serde(default = "spend_days")]
    pub spend_days: u32,
    /// For how long they can be exchanged after that, and locks on them settled, in days; then they are worth nothing.
    #[serde(default = "settle_days")]
    pub settle_days: u32,
    /// How far ahead the next keyset is announced, in days; less than `issue_days`.
    #[serde(default = "announce_days")]
    pub announce_days: u32,
    /// Farthest expiry of a lock from now, in seconds.
    #[serde(default = "lock_span_max_s")]
    pub lock_span_max_s: u32,
    /// For how long after its expiry a lock can wait for the proof of its commit, in days.
    #[serde(default = "claim_days")]
    pub claim_days: u32,
    /// Longest dispute window of a lock, in seconds.
    #[serde(default = "dispute_window_max_s")]
    pub dispute_window_max_s: u32,
    /// Time between two looks at the log, in milliseconds.
    #[serde(default = "follow_interval_ms")]
    pub follow_interval_ms: u64,
    /// Requests that one transaction takes at most.
    #[serde(default = "batch_max")]
    pub batch_max: usize,
}

/// Which setting is out of bounds. The operator is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BankConfigError {
    /// No currency.
    #[error("currencies must list at least one currency, each once")]
    Currencies,
    /// The largest denomination is above the format's.
    #[error("exponent_max must be below {KEYSET_KEYS_MAX}")]
    Exponent,
    /// A span in days.
    #[error("issue_days, spend_days, settle_days and claim_days must be between 1 and 3650")]
    Days,
    /// The announcement would come before the keyset that it follows.
    #[error("announce_days must be less than issue_days")]
    Announce,
    /// The longest lock.
    #[error(
        "lock_span_max_s must be between {} and {}",
        LOCK_SPAN_MIN.0,
        LOCK_SPAN_MAX.0
    )]
    LockSpan,
    /// The longest dispute window.
    #[error("dispute_window_max_s must be at most {}", DISPUTE_WINDOW_MAX.0)]
    DisputeWindow,
    /// Looks at the log.
    #[error("follow_interval_ms must be between 10 and 600000")]
    Interval,
    /// The size of a batch.
    #[error("batch_max must be between 1 and 65536")]
    Batch,
}

impl BankConfig {
    /// The file of the bank's records.
    #[must_use]
    pub fn store_path(&self) -> PathBuf {
        self.data.join("bank.db")
    }

    /// For how many days after its expiry a lock can be claimed at most.
    #[must_use]
    pub fn settle_days_max(&self) -> u32 {
        let dispute_days = self.dispute_window_max_s.div_ceil(Seconds::days(1).0);
        self.claim_days.max(dispute_days)
    }

    /// When keysets begin and end.
    pub(super) const fn schedule(&self) -> Schedule {
        Schedule {
            issue: Seconds::days(self.issue_days),
            spend: Seconds::days(self.spend_days),
            settle: Seconds::days(self.settle_days),
            announce: Seconds::days(self.announce_days),
            exponent_max: self.exponent_max,
        }
    }

    pub(super) fn check(&self) -> Result<(), BankConfigError> {
        let days = [
            self.issue_days,
            self.spend_days,
            self.settle_days,
            self.claim_days,
        ];
        let mut currencies = self.currencies.clone();
        currencies.sort_unstable();
        currencies.dedup();
        let rules = [
            (
                !currencies.is_empty() && currencies.len() == self.currencies.len(),
                BankConfigError::Currencies,
            ),
            (
                usize::from(self.exponent_max) < KEYSET_KEYS_MAX,
                BankConfigError::Exponent,
            ),
            (
                days.iter().all(|days| DAYS.contains(days)),
                BankConfigError::Days,
            ),
            (
                self.announce_days < self.issue_days,
                BankConfigError::Announce,
            ),
            (
                (LOCK_SPAN_MIN.0..=LOCK_SPAN_MAX.0).contains(&self.lock_span_max_s),
                BankConfigError::LockSpan,
            ),
            (
                self.dispute_window_max_s <= DISPUTE_WINDOW_MAX.0,
                BankConfigError::DisputeWindow,
            ),
            (
                (10..=600_000).contains(&self.follow_interval_ms),
                BankConfigError::Interval,
            ),
            (
                (1..=65_536).contains(&self.batch_max),
                BankConfigError::Batch,
            ),
        ];
        let broken = rules.into_iter().find(|(holds, _)| !holds);
        broken.map_or(Ok(()), |(_, error)| Err(error))
    }
}

const fn exponent_max() -> u8 {
    24
}

const fn issue_days() -> u32 {
    30
}

const fn spend_days() -> u32 {
    90
}

const fn settle_days() -> u32 {
    180
}

const fn announce_days() -> u32 {
    7
}

const fn lock_span_max_s() -> u32 {
    Seconds::days(30).0
}

const fn claim_days() -> u32 {
    7
}

const fn dispute_window_max_s() -> u32 {
    Seconds::days(30).0
}

const fn follow_interval_ms() -> u64 {
    1_000
}

const fn batch_max() -> usize {
    256
}

fn currencies<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Currency>, D::Error> {
    let codes = Vec::<String>::deserialize(deserializer)?;
    let currencies = codes.iter().map(|code| Currency::from_code(code));
    currencies
        .collect::<Result<_, _>>()
        .map_err(|error| D::Error::custom(format!("currencies: {error}")))
}
