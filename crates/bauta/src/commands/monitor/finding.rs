//! What a round of watching found.

use std::path::PathBuf;

use bauta_proto::log::evidence::Severity;
use serde::Serialize;

/// What can be out of order without being proved to anybody else: it is what this monitor saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The log does not answer.
    Unreachable,
    /// What stands at its address is not a checkpoint that it signed.
    BadCheckpoint,
    /// Too few witnesses cosigned its checkpoint.
    NoQuorum,
    /// Its checkpoint is old.
    Stale,
    /// It shows less than it has signed.
    Behind,
    /// Its files do not make up its checkpoint's tree.
    Files,
    /// A signed time lies ahead of this machine's clock.
    ClockAhead,
    /// New cosignatures carry old times.
    ClockBehind,
    /// A witness has not cosigned for a while.
    WitnessMissing,
    /// The log goes by another policy.
    OtherPolicy,
}

impl Trouble {
    /// Its name in findings and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::BadCheckpoint => "bad-checkpoint",
            Self::NoQuorum => "no-quorum",
            Self::Stale => "stale",
            Self::Behind => "behind",
            Self::Files => "files",
            Self::ClockAhead => "clock-ahead",
            Self::ClockBehind => "clock-behind",
            Self::WitnessMissing => "witness-missing",
            Self::OtherPolicy => "other-policy",
        }
    }

    /// How much it weighs.
    pub const fn severity(self) -> Severity {
        match self {
            Self::WitnessMissing | Self::OtherPolicy => Severity::Warning,
            _ => Severity::Fault,
        }
    }

    /// Whether it may pass by itself, and is a finding only when it lasts.
    pub const fn may_pass(self) -> bool {
        !matches!(self, Self::Stale | Self::ClockAhead | Self::OtherPolicy)
    }
}

/// One thing that is out of order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Such as `fork` or `stale`.
    pub kind: String,
    /// How much it weighs.
    pub severity: Severity,
    /// What tells it from others of its kind.
    #[serde(skip)]
    pub key: String,
    /// In words.
    pub says: String,
    /// The file that proves it to others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<PathBuf>,
}

/// What a round saw of one log.
#[derive(Clone, Debug, Serialize)]
pub struct LogSeen {
    /// Its origin line.
    pub origin: String,
    /// Leaves in its checkpoint's tree.
    pub size: u64,
    /// Since when witnesses who are a quorum have cosigned, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cosigned_at: Option<u64>,
    /// Names of the witnesses whose cosignatures stand on it.
    pub cosigned_by: Vec<String>,
}

/// What a round saw.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    /// Whether there is nothing but warnings.
    pub ok: bool,
    /// When, in seconds since 1970 by this machine's clock.
    pub time: u64,
    /// The policy's id in hexadecimal.
    pub policy: String,
    /// The logs that answered.
    pub logs: Vec<LogSeen>,
    /// Logs that did not.
    pub unread: Vec<String>,
    /// Everything that is out of order now, and everything that was ever proved.
    pub findings: Vec<Finding>,
}

impl Round {
    /// What weighs most.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}
