//! Evidence: files that show by themselves, to whoever holds the log policy, that a log or a witness broke its word.
//!
//! Nobody has to believe who found it. Every signature that counts is a log's or a witness's own; a policy names their keys.

use bauta_crypto::merkle::{self, MerkleError};
use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    codec::{Message, Signed},
    log::{
        leaf::Leaf,
        policy::{Policy, PolicyError},
        receipt::{Receipt, ReceiptError},
        watch::{SignedCheckpoint, contradict, went_back},
    },
    submission::Promise,
    time::Seconds,
};

/// What stands first in a file of evidence: its format and version.
pub const FORMAT: &str = "bauta-evidence/1";
/// Longest file of evidence that is read, in bytes: two receipts and what belongs to them.
pub const EVIDENCE_BYTES_MAX: usize = 131_072;
/// How long after its promise a leaf may be missing from a checkpoint that a quorum cosigned.
pub const PROMISE_KEPT_WITHIN: Seconds = Seconds::hours(1);

/// What is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// A log signed two histories.
    Fork(Fork),
    /// A log signed that a leaf has an index, and another one stands there.
    BrokenPromise(BrokenPromise),
    /// A log signed that a leaf has an index, and long after a quorum cosigned a tree that does not reach it.
    OverduePromise(OverduePromise),
    /// Two leaves cannot both be of the lock that they name.
    Contradiction(Contradiction),
    /// A leaf stands in a shard that must not take it.
    Misplaced(Standing),
    /// A witness's times went back.
    TimeWentBack(TimeWentBack),
}

/// Two checkpoints, and the root that the beginning of the second has at the size of the first. It is not the first's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fork {
    /// The checkpoint of the smaller tree, or one of two of the same size: a signed note.
    pub first: String,
    /// The other checkpoint.
    pub second: String,
    /// The root of the second tree's first leaves, as many as the first has.
    pub prefix_root: HashText,
    /// The proof of consistency (RFC 6962 §2.1.2) from there to the second's root; empty if the sizes are the same.
    pub proof: Vec<HashText>,
}

/// A promise, and the proof of inclusion of another leaf at its index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokenPromise {
    /// A signed promise as it came from the log, in base64.
    pub promise: String,
    /// RFC 6962 hash of the leaf that stands there.
    pub leaf_hash: HashText,
    /// Where it stands: a tlog-proof.
    pub receipt: String,
}

/// A promise, and a later checkpoint of a smaller tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverduePromise {
    /// A signed promise as it came from the log, in base64.
    pub promise: String,
    /// A checkpoint that a quorum cosigned more than [`PROMISE_KEPT_WITHIN`] after the promise: a signed note.
    pub checkpoint: String,
}

/// A leaf that stands in a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// The leaf's 73 bytes, in hexadecimal.
    pub leaf: String,
    /// Where it stands: a tlog-proof.
    pub receipt: String,
}

/// Two leaves of one lock, in one log or in two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contradiction {
    /// One of them.
    pub first: Standing,
    /// The other.
    pub second: Standing,
}

/// Two checkpoints of one log that a witness cosigned: the larger tree with the earlier time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeWentBack {
    /// What the policy calls the witness.
    pub witness: String,
    /// The checkpoint of the smaller tree, with the later time: a signed note.
    pub smaller: String,
    /// The checkpoint of the larger tree, with the earlier time.
    pub larger: String,
}

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth a look; everything works.
    Warning,
    /// Something does not work as it should; nobody need have meant it.
    Fault,
    /// Somebody cheated: no accident of an honest program leads to this.
    Proof,
}

/// What evidence shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Which kind of evidence it is, such as `fork`.
    pub kind: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// The logs, by their origin lines, and witnesses, by their names in the policy, whose signatures contradict each other.
    /// Of a contradiction across logs at least one of those named is at fault.
    pub accused: Vec<String>,
    /// In words.
    pub says: String,
}

/// Why a file of evidence shows nothing. Whoever made it is at fault, or the policy is not the one that it is about.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// Not a file of evidence of this version.
    #[error("this is not evidence in the format {FORMAT}")]
    Form,
    /// A checkpoint does not hold.
    #[error("a checkpoint in the evidence does not hold by this log policy")]
    Checkpoint(#[from] PolicyError),
    /// A receipt does not hold.
    #[error("a receipt in the evidence does not hold")]
    Receipt(#[from] ReceiptError),
    /// A proof does not hold.
    #[error("a proof in the evidence does not hold")]
    Proof(#[from] MerkleError),
    /// The promise is not the log's.
    #[error("the promise is not signed by the log that signed the checkpoint")]
    Promise,
    /// The parts hold, and do not contradict each other.
    #[error("the evidence holds and shows nothing wrong")]
    Harmless,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    evidence: Evidence,
}

impl Evidence {
    /// The file's text: JSON.
    ///
    /// # Panics
    /// Never: every field has a form in JSON.
    #[must_use]
    pub fn to_text(&self) -> String {
        let file = File {
            format: FORMAT.to_owned(),
            evidence: self.clone(),
        };
        serde_json::to_string_pretty(&file).expect("texts and lists of texts") + "\n"
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// [`EvidenceError::Form`].
    pub fn from_text(text: &[u8]) -> Result<Self, EvidenceError> {
        if text.len() > EVIDENCE_BYTES_MAX {
            return Err(EvidenceError::Form);
        }
        let file: File = serde_json::from_slice(text).map_err(|_| EvidenceError::Form)?;
        let is_known = file.format == FORMAT;
        is_known.then_some(file.evidence).ok_or(EvidenceError::Form)
    }

    /// The evidence's name, as in the file.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Fork(_) => "fork",
            Self::BrokenPromise(_) => "broken-promise",
            Self::OverduePromise(_) => "overdue-promise",
            Self::Contradiction(_) => "contradiction",
            Self::Misplaced(_) => "misplaced",
            Self::TimeWentBack(_) => "time-went-back",
        }
    }

    /// How much it weighs if it holds. A log whose machine is lost breaks its promise without meaning to, and so does a
    /// witness that is not ours and whose clock is put right.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Fork(_)
            | Self::BrokenPromise(_)
            | Self::Contradiction(_)
            | Self::Misplaced(_) => Severity::Proof,
            Self::OverduePromise(_) | Self::TimeWentBack(_) => Severity::Fault,
        }
    }

    /// Checks everything, with nothing but the policy that names the keys.
    ///
    /// # Errors
    /// [`EvidenceError`]: it shows nothing.
    pub fn check(&self, policy: &Policy) -> Result<Verdict, EvidenceError> {
        let (accused, says) = match self {
            Self::Fork(fork) => fork.check(policy)?,
            Self::BrokenPromise(broken) => broken.check(policy)?,
            Self::OverduePromise(overdue) => overdue.check(policy)?,
            Self::Contradiction(contradiction) => contradiction.check(policy)?,
            Self::Misplaced(standing) => standing.check_misplaced(policy)?,
            Self::TimeWentBack(back) => back.check(policy)?,
        };
        Ok(Verdict {
            kind: self.kind(),
            severity: self.severity(),
            accused,
            says,
        })
    }
}

/// Who is accused, and of what.
type Accusation = (Vec<String>, String);

fn harmful(is_harmful: bool) -> Result<(), EvidenceError> {
    is_harmful.then_some(()).ok_or(EvidenceError::Harmless)
}

impl Fork {
    fn check(&self, policy: &Policy) -> Result<Accusation, EvidenceError> {
        let first = SignedCheckpoint::open(&self.first, policy)?;
        let second = SignedCheckpoint::open(&self.second, policy)?;
        harmful(first.origin == second.origin)?;
        let proof: Vec<_> = self.proof.iter().map(|hash| hash.0).collect();
        let (size, root) = (first.size, self.prefix_root.0);
        merkle::check_consistency(&proof, size, root, second.size, second.root)?;
        harmful(root != first.root)?;
        let mut accused = vec![first.origin.clone()];
        accused.extend(cosigned_both(&first, &second, policy));
        let (sizes, origin) = ((first.size, second.size), &first.origin);
        let says = format!(
            "{origin} signed two histories: its trees of {} and {} leaves do not begin with the same leaves",
            sizes.0, sizes.1
        );
        Ok((accused, says))
    }
}

/// The witnesses that vouched for both.
fn cosigned_both(one: &SignedCheckpoint, other: &SignedCheckpoint, policy: &Policy) -> Vec<String> {
    let times = one.times().iter().zip(other.times());
    let both = times.zip(policy.witnesses());
    both.filter(|((one, other), _)| one.is_some() && other.is_some())
        .map(|(_, witness)| format!("witness {}", witness.name))
        .collect()
}

impl BrokenPromise {
    fn check(&self, policy: &Policy) -> Result<Accusation, EvidenceError> {
        let receipt = Receipt::from_text(self.receipt.as_bytes())?;
        let shown = SignedCheckpoint::open(&receipt.checkpoint, policy)?;
        let promise = promise(&self.promise, &shown.origin, policy)?;
        let (index, hash) = (receipt.index, self.leaf_hash.0);
        merkle::check_inclusion(&receipt.path, shown.size, shown.root, index, hash)?;
        harmful(index == promise.index && hash != promise.leaf_hash)?;
        let says = format!(
            "{} promised index {index} to one leaf and gave it to another",
            shown.origin
        );
        Ok((vec![shown.origin], says))
    }
}

impl OverduePromise {
    fn check(&self, policy: &Policy) -> Result<Accusation, EvidenceError> {
        let shown = policy.check(&self.checkpoint)?;
        let promise = promise(&self.promise, &shown.origin, policy)?;
        let kept_by = promise.promised_at.plus(PROMISE_KEPT_WITHIN);
        harmful(shown.size <= promise.index && shown.quorum_since() > kept_by)?;
        let says = format!(
            "{} promised index {} and has {} leaves more than {PROMISE_KEPT_WITHIN} later",
            shown.origin, promise.index, shown.size
        );
        Ok((vec![shown.origin], says))
    }
}

/// A promise that the log with this origin signed.
fn promise(text: &str, origin: &str, policy: &Policy) -> Result<Promise, EvidenceError> {
    let bytes = BASE64.decode(text.as_bytes());
    let bytes = bytes.map_err(|_| EvidenceError::Form)?;
    let signed = Signed::<Promise>::from_bytes(&bytes).map_err(|_| EvidenceError::Form)?;
    let log = policy.logs().iter().find(|log| log.key.name == origin);
    let log = log.ok_or(EvidenceError::Promise)?;
    let promise = signed.verified(&log.key.key);
    let promise = promise.map_err(|_| EvidenceError::Promise)?;
    let is_its = promise.log == Promise::log_name(origin);
    is_its
        .then(|| promise.clone())
        .ok_or(EvidenceError::Promise)
}

impl Standing {
    /// What stands where.
    #[must_use]
    pub fn new(leaf: &Leaf, receipt: &Receipt) -> Self {
        Self {
            leaf: HEXLOWER.encode(&leaf.to_bytes()),
            receipt: receipt.to_text(),
        }
    }

    /// The leaf, the log in which it stands, and its index.
    fn open(&self, policy: &Policy) -> Result<(Leaf, String, u64), EvidenceError> {
        let bytes = HEXLOWER.decode(self.leaf.as_bytes()).ok();
        let leaf = bytes.and_then(|bytes| Leaf::from_bytes(&bytes));
        let leaf = leaf.ok_or(EvidenceError::Form)?;
        let receipt = Receipt::from_text(self.receipt.as_bytes())?;
        let shown = SignedCheckpoint::open(&receipt.checkpoint, policy)?;
        let (size, root, index) = (shown.size, shown.root, receipt.index);
        merkle::check_inclusion(&receipt.path, size, root, index, leaf.hash())?;
        Ok((leaf, shown.origin, index))
    }

    fn check_misplaced(&self, policy: &Policy) -> Result<Accusation, EvidenceError> {
        let (leaf, origin, index) = self.open(policy)?;
        let log = policy.logs().iter().find(|log| log.key.name == origin);
        harmful(log.is_some_and(|log| !log.takes(leaf.expiry)))?;
        let says = format!("{origin} took the leaf {index}, whose expiry lies outside its shard");
        Ok((vec![origin], says))
    }
}

impl Contradiction {
    fn check(&self, policy: &Policy) -> Result<Accusation, EvidenceError> {
        let (first, origin, index) = self.first.open(policy)?;
        let (second, other, other_index) = self.second.open(policy)?;
        harmful(contradict(&first, &second))?;
        let says = format!(
            "the leaves {index} of {origin} and {other_index} of {other} cannot both be of the lock that they name"
        );
        let mut accused = vec![origin, other];
        accused.dedup();
        Ok((accused, says))
    }
}

impl TimeWentBack {
    fn check(&self, policy: &Policy) -> Result<Accusation, EvidenceError> {
        let smaller = SignedCheckpoint::open(&self.smaller, policy)?;
        let larger = SignedCheckpoint::open(&self.larger, policy)?;
        let mut witnesses = policy.witnesses().iter();
        let position = witnesses.position(|witness| witness.name == self.witness);
        let position = position.ok_or(EvidenceError::Harmless)?;
        let times = (smaller.times()[position], larger.times()[position]);
        let (Some(before), Some(after)) = times else {
            return Err(EvidenceError::Harmless);
        };
        let is_one_log = smaller.origin == larger.origin;
        harmful(is_one_log && went_back((smaller.size, before), (larger.size, after)))?;
        let says = format!(
            "the witness {} cosigned {} leaves of {} {} earlier than the {} before them",
            self.witness,
            larger.size,
            larger.origin,
            before.since(after),
            smaller.size
        );
        Ok((vec![format!("witness {}", self.witness)], says))
    }
}

/// A hash; base64 in the file, as in the C2SP formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashText(pub merkle::Hash);

impl Serialize for HashText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for HashText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64.decode(text.as_bytes()).ok();
        let hash = bytes.and_then(|bytes| bytes.try_into().ok());
        hash.map(Self)
            .ok_or_else(|| de::Error::custom("not a hash in base64"))
    }
}

#[cfg(test)]
mod tests;
