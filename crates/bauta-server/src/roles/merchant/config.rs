//! The merchant's part of the configuration file.

use std::path::PathBuf;

use bauta_proto::{
    ids::{AccountId, BankId},
    limits::{DISPUTE_WINDOW_MAX, LOCK_SPAN_MAX, REVEAL_WINDOW_MAX, REVEAL_WINDOW_MIN},
    merchant::{Conditions, Margins},
    offer::Mode,
    time::Seconds,
};
use serde::{Deserialize, Deserializer, de::Error};

use crate::config::{HttpConfig, PolicySource};

/// A merchant: a shop with goods, orders and deliveries.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MerchantConfig {
    /// Where the shop listens.
    pub http: HttpConfig,
    /// Folder of the shop's records and of the encrypted goods. Its records hold the keys of all goods.
    pub data: PathBuf,
    /// File with the seed of the shop's keys, from which the secret of every sale follows too.
    pub key_file: PathBuf,
    /// The shop's name, for people.
    pub name: String,
    /// The logs and witnesses whose word decides about payments: the path of a policy's file, or, with more than one line,
    /// the policy itself. Sales go into every log in it that takes the lock's expiry and has an address there.
    pub log_policy: PolicySource,
    /// The banks whose money the shop takes.
    pub banks: Vec<PayingBank>,
    /// How purchases can be decided: `fast` (one step), `safe` (the customer can cancel until the shop commits), or both.
    #[serde(default = "modes", deserialize_with = "named_modes")]
    pub modes: Vec<Mode>,
    /// For how long an offer stands, in minutes.
    #[serde(default = "offer_minutes")]
    pub offer_minutes: u32,
    /// How much time a lock must have left when it comes, in seconds. Without it: two checkpoint intervals and a bank round
    /// trip, which is also the least.
    pub lock_min_s: Option<u32>,
    /// How much time a lock may have left when it comes, in seconds. Without it: an hour more than `lock_min_s`.
    pub lock_max_s: Option<u32>,
    /// For how long after a lock's expiry the shop may still publish the key, once it has prepared (mode SAFE), in seconds.
    #[serde(default = "reveal_window_s")]
    pub reveal_window_s: u32,
    /// For how long after a lock's expiry the customer can dispute, in seconds.
    #[serde(default = "dispute_window_s")]
    pub dispute_window_s: u32,
    /// How often the log shows a checkpoint, in seconds, rounded up.
    #[serde(default = "checkpoint_interval_s")]
    pub checkpoint_interval_s: u32,
    /// How long log or bank may take to answer, in seconds.
    #[serde(default = "bank_round_trip_s")]
    pub bank_round_trip_s: u32,
    /// Time between two rounds of claims, in milliseconds.
    #[serde(default = "claim_interval_ms")]
    pub claim_interval_ms: u64,
    /// Offers that wait to be paid at most; new orders beyond it are told to come again.
    #[serde(default = "offers_max")]
    pub offers_max: u64,
    /// Requests that one transaction takes at most.
    #[serde(default = "batch_max")]
    pub batch_max: usize,
}

/// A bank whose money the shop takes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayingBank {
    /// The bank's key, in hexadecimal.
    #[serde(deserialize_with = "id")]
    pub bank: BankId,
    /// The bank's address.
    pub url: String,
    /// The account that is paid: `own` for the one whose key follows from the shop's seed, or an account's key in
    /// hexadecimal. The bank opens it with the first payment.
    #[serde(default)]
    pub account: PayeeAccount,
}

/// Which account is paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PayeeAccount {
    /// The one whose key follows from the shop's seed.
    #[default]
    Own,
    /// An account of somebody's.
    Other(AccountId),
}

/// Which setting is out of bounds. The operator is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MerchantConfigError {
    /// No bank, or one twice.
    #[error("banks must list at least one bank, each once")]
    Banks,
    /// The offer's time.
    #[error("offer_minutes must be between 1 and 1440")]
    Offer,
    /// The margins.
    #[error("checkpoint_interval_s and bank_round_trip_s must be between 1 and 3600")]
    Margins,
    /// The shortest lock is shorter than is safe.
    #[error(
        "lock_min_s must be at least two times checkpoint_interval_s and one time bank_round_trip_s"
    )]
    LockMin,
    /// The longest lock.
    #[error("lock_max_s must be at least lock_min_s and at most {}", LOCK_SPAN_MAX.0)]
    LockMax,
    /// How purchases are decided.
    #[error("modes must list fast, safe or both, each once")]
    Modes,
    /// The reveal window.
    #[error("reveal_window_s must be between {} and {}, and no less than lock_min_s must be", REVEAL_WINDOW_MIN.0, REVEAL_WINDOW_MAX.0)]
    RevealWindow,
    /// The dispute window.
    #[error("dispute_window_s must be at most {}", DISPUTE_WINDOW_MAX.0)]
    DisputeWindow,
    /// Time between claims.
    #[error("claim_interval_ms must be between 10 and 3600000")]
    ClaimInterval,
    /// The size of a batch.
    #[error("batch_max must be between 1 and 65536")]
    Batch,
}

impl MerchantConfig {
    /// The file of the shop's records.
    #[must_use]
    pub fn store_path(&self) -> PathBuf {
        self.data.join("merchant.db")
    }

    /// How long things take.
    #[must_use]
    pub const fn margins(&self) -> Margins {
        Margins {
            checkpoint_interval: Seconds(self.checkpoint_interval_s),
            bank_round_trip: Seconds(self.bank_round_trip_s),
        }
    }

    /// The standing conditions of every offer.
    ///
    /// # Errors
    /// [`MerchantConfigError`]: the first setting that is out of bounds.
    pub(super) fn conditions(&self) -> Result<Conditions, MerchantConfigError> {
        self.check()?;
        let safe = self.margins().lock_min();
        let lock_min = self.lock_min_s.map_or(safe, Seconds);
        let lock_max = self.lock_max_s.map_or_else(
            || Seconds(lock_min.0.saturating_add(Seconds::hours(1).0)),
            Seconds,
        );
        if lock_min < safe {
            return Err(MerchantConfigError::LockMin);
        }
        if lock_max < lock_min || lock_max > LOCK_SPAN_MAX {
            return Err(MerchantConfigError::LockMax);
        }
        Ok(Conditions {
            offer_span: Seconds(self.offer_minutes * 60),
            lock_min,
            lock_max,
            reveal_window: Seconds(self.reveal_window_s),
            dispute_window: Seconds(self.dispute_window_s),
        })
    }

    fn check(&self) -> Result<(), MerchantConfigError> {
        use MerchantConfigError as E;
        let mut banks: Vec<BankId> = self.banks.iter().map(|bank| bank.bank).collect();
        banks.sort_unstable();
        banks.dedup();
        let mut modes = self.modes.clone();
        modes.sort_unstable();
        modes.dedup();
        let spans = [self.checkpoint_interval_s, self.bank_round_trip_s];
        let windows = REVEAL_WINDOW_MIN.0..=REVEAL_WINDOW_MAX.0;
        let rules = [
            (
                !banks.is_empty() && banks.len() == self.banks.len(),
                E::Banks,
            ),
            ((1..=1_440).contains(&self.offer_minutes), E::Offer),
            (
                spans.iter().all(|span| (1..=3_600).contains(span)),
                E::Margins,
            ),
            (
                !modes.is_empty() && modes.len() == self.modes.len(),
                E::Modes,
            ),
            (
                windows.contains(&self.reveal_window_s)
                    && self.margins().lock_min() <= Seconds(self.reveal_window_s),
                E::RevealWindow,
            ),
            (
                self.dispute_window_s <= DISPUTE_WINDOW_MAX.0,
                E::DisputeWindow,
            ),
            (
                (10..=3_600_000).contains(&self.claim_interval_ms),
                E::ClaimInterval,
            ),
            ((1..=65_536).contains(&self.batch_max), E::Batch),
        ];
        let broken = rules.into_iter().find(|(holds, _)| !holds);
        broken.map_or(Ok(()), |(_, error)| Err(error))
    }
}

impl<'de> Deserialize<'de> for PayeeAccount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "own" {
            return Ok(Self::Own);
        }
        text.parse()
            .map(Self::Other)
            .map_err(|error| D::Error::custom(format!("account: `own`, or {error}")))
    }
}

fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BankId, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse()
        .map_err(|error| D::Error::custom(format!("bank: {error}")))
}

fn named_modes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Mode>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let mode = |name: String| Mode::ALL.into_iter().find(|mode| mode.name() == name);
    let modes: Option<Vec<Mode>> = names.into_iter().map(mode).collect();
    modes.ok_or_else(|| D::Error::custom(MerchantConfigError::Modes))
}

fn modes() -> Vec<Mode> {
    Mode::ALL.to_vec()
}

const fn offer_minutes() -> u32 {
    15
}

const fn reveal_window_s() -> u32 {
    300
}

const fn dispute_window_s() -> u32 {
    Seconds::days(7).0
}

const fn checkpoint_interval_s() -> u32 {
    2
}

const fn bank_round_trip_s() -> u32 {
    10
}

const fn claim_interval_ms() -> u64 {
    5_000
}

const fn offers_max() -> u64 {
    1_000_000
}

const fn batch_max() -> usize {
    256
}
