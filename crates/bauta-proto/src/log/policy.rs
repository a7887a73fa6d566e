//! Whose word counts: the logs, witnesses and quorum of a C2SP tlog-policy.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    str::FromStr,
    sync::Arc,
};

use bauta_crypto::{
    hash, merkle,
    note::{self, NoteError, OpenedCheckpoint, Vkey, VkeyKind},
};

use crate::{
    codec::MessageType,
    ids::PolicyId,
    limits::{LOGS_MAX, POLICY_BYTES_MAX},
    time::Timestamp,
};

/// A policy as its operator wrote it, and what it means.
///
/// Its [`PolicyId`] is the hash of the text: two parties mean the same policy if they hold the same bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Policy {
    text: String,
    logs: Vec<KnownLog>,
    witnesses: Vec<KnownWitness>,
    quorum: Quorum,
    log_threshold: usize,
}

/// A log that the policy lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownLog {
    /// Its key; the key's name is the log's origin line.
    pub key: Vkey,
    /// Where it is reached.
    pub url: Option<String>,
    /// If the log is a shard: from when to before when the expiries of its leaves lie. See [`Shard`].
    pub shard: Option<Shard>,
}

/// A witness that the policy lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownWitness {
    /// What the policy calls it.
    pub name: String,
    /// Its key.
    pub key: Vkey,
    /// The prefix of its submission paths (C2SP tlog-witness), if the policy gives it.
    pub url: Option<String>,
}

/// Which sets of witnesses are enough: what the policy names, in the order of its lines, and the name that counts.
#[derive(Clone, PartialEq, Eq)]
struct Quorum {
    named: Arc<[Named]>,
    /// None if no cosignature is needed.
    decisive: Option<usize>,
}

/// A witness or a group.
#[derive(Clone, PartialEq, Eq)]
enum Named {
    /// The witness with this position in the list of witnesses.
    Witness(usize),
    /// At least `threshold` of the members, which are named in earlier lines.
    Group {
        threshold: usize,
        members: Vec<usize>,
    },
}

/// Why a text is not a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyTextError {
    /// Longer than a policy may be.
    #[error("a log policy has {POLICY_BYTES_MAX} bytes at most")]
    TooLong,
    /// A line is not understood.
    #[error("line {line} of the log policy: {defect}")]
    Line {
        /// Counts from 1.
        line: usize,
        /// What is wrong with it.
        defect: LineDefect,
    },
    /// There is no quorum line.
    #[error("the log policy has no quorum line")]
    NoQuorum,
    /// There is no log.
    #[error("the log policy names no log")]
    NoLog,
}

/// What is wrong with one line of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineDefect {
    /// The keyword or the number of items is wrong.
    #[error("not one of log, witness, group, quorum with their items")]
    Form,
    /// A control character.
    #[error("a control character")]
    Character,
    /// The key is no vkey, or of a kind that does not belong here.
    #[error("not a verifier key for this use")]
    Key,
    /// The key or name stands in an earlier line.
    #[error("named twice")]
    Duplicate,
    /// The name is not defined in an earlier line.
    #[error("a name that no earlier line defines")]
    UnknownName,
    /// The threshold is not between 1 and the number of members.
    #[error("a threshold that cannot be reached")]
    Threshold,
}

/// Why locks cannot be decided by a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyUseError {
    /// Nobody must have cosigned, so nothing is ever late.
    #[error("the log policy asks for no witness: nothing would ever be late")]
    NoWitness,
    /// Two quorums need not share a witness.
    #[error(
        "two quorums of the log policy need not share a witness: both could be told different things"
    )]
    Overlap,
    /// Fewer logs take leaves of this expiry than must agree.
    #[error("too few logs of the policy take locks of this expiry")]
    TooFewLogs,
    /// More than [`LOGS_MAX`].
    #[error("more than {LOGS_MAX} logs of the policy take locks of this expiry")]
    TooManyLogs,
    /// A log has no address.
    #[error("the log policy gives no address for one of its logs")]
    NoAddress,
}

/// A checkpoint that the policy's log signed and a quorum cosigned.
#[derive(Clone, PartialEq, Eq)]
pub struct CheckedCheckpoint {
    /// The log's origin line.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// RFC 6962 root of the tree.
    pub root: merkle::Hash,
    /// When each witness of the policy cosigned, by its position.
    times: Vec<Option<Timestamp>>,
    quorum: Quorum,
}

impl fmt::Debug for CheckedCheckpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CheckedCheckpoint({} leaves)", self.size)
    }
}

/// Why a checkpoint is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Not signed by a log of the policy.
    #[error("no log of the policy signed this checkpoint")]
    UnknownLog,
    /// Not a checkpoint, or a bad signature.
    #[error("the checkpoint is malformed or its signature wrong")]
    Note(#[from] NoteError),
    /// Too few witnesses.
    #[error("too few witnesses of the policy cosigned this checkpoint")]
    Quorum,
}

impl KnownLog {
    /// Whether the log takes leaves of this expiry.
    #[must_use]
    pub fn takes(&self, expiry: Timestamp) -> bool {
        self.shard.is_none_or(|shard| shard.contains(expiry))
    }
}

impl Policy {
    /// The policy's name.
    #[must_use]
    pub fn policy_id(&self) -> PolicyId {
        PolicyId(hash::id(MessageType::Policy as u16, self.text.as_bytes()))
    }

    /// The text, byte for byte.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The logs, in the order of the text; at least one.
    #[must_use]
    pub fn logs(&self) -> &[KnownLog] {
        &self.logs
    }

    /// The logs that take leaves of this expiry; of them [`Self::log_threshold`] decide.
    pub fn logs_for(&self, expiry: Timestamp) -> impl Iterator<Item = &KnownLog> {
        self.logs.iter().filter(move |log| log.takes(expiry))
    }

    /// Of how many of the logs that take a lock's leaves the word is enough: k of the line `#bauta logs k`, without the line
    /// 1. With k = 1 a lock is captured through any log; with k > 1 it is released although k - 1 logs do not answer.
    #[must_use]
    pub const fn log_threshold(&self) -> usize {
        self.log_threshold
    }

    /// The witnesses, in the order of the text.
    #[must_use]
    pub fn witnesses(&self) -> &[KnownWitness] {
        &self.witnesses
    }

    /// How many witnesses may cheat before "committed" and "released" could both be shown: one fewer than any two quorums
    /// share. None if two quorums need not share a witness, or no cosignature is needed: such a policy decides nothing.
    #[must_use]
    pub fn bad_witnesses_max(&self) -> Option<usize> {
        self.quorum.overlap().checked_sub(1)
    }

    /// Whether locks can be decided by this policy now.
    ///
    /// # Errors
    /// [`PolicyUseError`]; whoever wrote the policy is at fault.
    pub fn check_use(&self, expiry: Timestamp) -> Result<(), PolicyUseError> {
        self.check_witnesses()?;
        let logs: Vec<_> = self.logs_for(expiry).collect();
        if logs.len() < self.log_threshold {
            return Err(PolicyUseError::TooFewLogs);
        }
        if logs.len() > LOGS_MAX {
            return Err(PolicyUseError::TooManyLogs);
        }
        let all_reached = logs.iter().all(|log| log.url.is_some());
        all_reached.then_some(()).ok_or(PolicyUseError::NoAddress)
    }

    /// Whether the witnesses can decide anything, whatever the lock.
    ///
    /// # Errors
    /// [`PolicyUseError::NoWitness`] and [`PolicyUseError::Overlap`]; whoever wrote the policy is at fault.
    pub fn check_witnesses(&self) -> Result<(), PolicyUseError> {
        if !self.needs_cosignatures() {
            return Err(PolicyUseError::NoWitness);
        }
        let overlap = self.bad_witnesses_max();
        overlap.map(drop).ok_or(PolicyUseError::Overlap)
    }

    /// Whether somebody must have cosigned a checkpoint, and so says when it was there. Without that nothing is ever
    /// late: the log could commit to a lock as long after its expiry as it likes.
    #[must_use]
    pub const fn needs_cosignatures(&self) -> bool {
        self.quorum.decisive.is_some()
    }

    /// The policy of one log that cosigns its own checkpoints: what is trusted until independent witnesses run.
    ///
    /// # Errors
    /// [`PolicyTextError`] when a key is of the wrong kind, or `url` is empty, too long or not one printable word.
    pub fn of_one_log(log: &Vkey, url: &str, cosigner: &Vkey) -> Result<Self, PolicyTextError> {
        if url.is_empty() || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            let defect = LineDefect::Form;
            return Err(PolicyTextError::Line { line: 1, defect });
        }
        format!("log {log} {url}\nwitness self {cosigner}\nquorum self\n").parse()
    }

    /// Checks a checkpoint: signed by one of the logs, cosigned by a quorum.
    ///
    /// # Errors
    /// [`PolicyError`]; the log is at fault, or whoever passed the checkpoint on.
    pub fn check(&self, checkpoint: &str) -> Result<CheckedCheckpoint, PolicyError> {
        let opened = self.open(checkpoint)?;
        let cosigned =
            |witness: &KnownWitness| opened.cosignature_time(&witness.key).map(Timestamp);
        let checked = CheckedCheckpoint {
            origin: opened.checkpoint.origin.clone(),
            size: opened.checkpoint.size,
            root: opened.checkpoint.root,
            times: self.witnesses.iter().map(cosigned).collect(),
            quorum: self.quorum.clone(),
        };
        if checked.quorum_within(|_| true) {
            Ok(checked)
        } else {
            Err(PolicyError::Quorum)
        }
    }

    /// Opens a checkpoint that one of the logs signed, whoever cosigned it.
    pub(crate) fn open(&self, checkpoint: &str) -> Result<OpenedCheckpoint, PolicyError> {
        let origin = checkpoint.lines().next().unwrap_or_default();
        let log = self.logs.iter().find(|log| log.key.name == origin);
        Ok(note::open_checkpoint(
            checkpoint,
            &log.ok_or(PolicyError::UnknownLog)?.key,
        )?)
    }
}

impl CheckedCheckpoint {
    /// Whether the witnesses whose time passes `test` are a quorum by themselves.
    #[must_use]
    pub fn quorum_within(&self, test: impl Fn(Timestamp) -> bool) -> bool {
        let passing: Vec<bool> = self
            .times
            .iter()
            .map(|time| time.is_some_and(&test))
            .collect();
        self.quorum.is_reached(&passing)
    }

    /// The earliest moment by which witnesses who are a quorum had cosigned.
    #[must_use]
    pub fn quorum_at(&self) -> Timestamp {
        let mut times: Vec<_> = self.times.iter().flatten().copied().collect();
        times.sort_unstable();
        let is_reached = |until: &Timestamp| self.quorum_within(|time| time <= *until);
        times.into_iter().find(is_reached).unwrap_or_default()
    }

    /// The latest moment since which witnesses who are a quorum have cosigned.
    #[must_use]
    pub fn quorum_since(&self) -> Timestamp {
        let mut times: Vec<_> = self.times.iter().flatten().copied().collect();
        times.sort_unstable();
        let is_reached = |since: &Timestamp| self.quorum_within(|time| time >= *since);
        times.into_iter().rev().find(is_reached).unwrap_or_default()
    }
}

impl Quorum {
    /// Members stand before their groups, so one pass decides them all.
    fn is_reached(&self, cosigned: &[bool]) -> bool {
        let mut reached = Vec::with_capacity(self.named.len());
        for named in self.named.iter() {
            reached.push(match named {
                Named::Witness(position) => cosigned[*position],
                Named::Group { threshold, members } => {
                    members.iter().filter(|member| reached[**member]).count() >= *threshold
                }
            });
        }
        self.decisive.is_none_or(|decisive| reached[decisive])
    }
}

impl Quorum {
    /// How many witnesses any two quorums share at least.
    ///
    /// A member belongs to one group only, so the groups are trees: of two sets of `threshold` members each, the
    /// `2 threshold - n` cheapest ones must be shared.
    fn overlap(&self) -> usize {
        let mut shared: Vec<usize> = Vec::with_capacity(self.named.len());
        for named in self.named.iter() {
            shared.push(match named {
                Named::Witness(_) => 1,
                Named::Group { threshold, members } => {
                    let mut costs: Vec<usize> = members.iter().map(|m| shared[*m]).collect();
                    costs.sort_unstable();
                    let common = (2 * threshold).saturating_sub(members.len());
                    costs.iter().take(common).sum()
                }
            });
        }
        self.decisive.map_or(0, |decisive| shared[decisive])
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Policy({} logs, {} witnesses)",
            self.logs.len(),
            self.witnesses.len()
        )
    }
}

impl FromStr for Policy {
    type Err = PolicyTextError;

    fn from_str(text: &str) -> Result<Self, PolicyTextError> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(PolicyTextError::TooLong);
        }
        let mut reader = PolicyReader::default();
        for (position, line) in text.split('\n').enumerate() {
            reader.line(line).map_err(|defect| PolicyTextError::Line {
                line: position + 1,
                defect,
            })?;
        }
        if reader.logs.is_empty() {
            return Err(PolicyTextError::NoLog);
        }
        let decisive = reader.quorum.ok_or(PolicyTextError::NoQuorum)?;
        Ok(Self {
            text: text.to_owned(),
            logs: reader.logs,
            witnesses: reader.witnesses,
            log_threshold: reader.log_threshold.unwrap_or(1),
            quorum: Quorum {
                named: reader.named.into(),
                decisive,
            },
        })
    }
}

#[derive(Default)]
struct PolicyReader {
    logs: Vec<KnownLog>,
    witnesses: Vec<KnownWitness>,
    log_threshold: Option<usize>,
    named: Vec<Named>,
    /// Where each name stands in `named`.
    names: HashMap<String, usize>,
    /// What is a member of some group already.
    members: HashSet<usize>,
    /// The quorum line: none in it is the name `none`.
    quorum: Option<Option<usize>>,
}

impl PolicyReader {
    fn line(&mut self, line: &str) -> Result<(), LineDefect> {
        if line.chars().any(|c| c.is_ascii_control() && c != '\t') {
            return Err(LineDefect::Character);
        }
        let items: Vec<&str> = line
            .split([' ', '\t'])
            .filter(|item| !item.is_empty())
            .collect();
        match items.as_slice() {
            [] => Ok(()),
            ["#bauta", "logs", threshold] => self.set_log_threshold(threshold),
            // A word of ours that is not understood may have meant something.
            ["#bauta", ..] => Err(LineDefect::Form),
            [comment, ..] if comment.starts_with('#') => Ok(()),
            ["log", key] => self.log(key, None),
            ["log", key, url] => self.log(key, Some(url)),
            ["witness", name, key] => self.witness(name, key, None),
            ["witness", name, key, url] => self.witness(name, key, Some(url)),
            ["group", name, threshold, members @ ..] if !members.is_empty() => {
                self.group(name, threshold, members)
            }
            ["quorum", name] if self.quorum.is_none() => self.set_quorum(name),
            ["quorum", _] => Err(LineDefect::Duplicate),
            _ => Err(LineDefect::Form),
        }
    }

    fn log(&mut self, key: &str, url: Option<&str>) -> Result<(), LineDefect> {
        let key = vkey(key, VkeyKind::Log)?;
        if self
            .logs
            .iter()
            .any(|log| log.key.key == key.key || log.key.name == key.name)
        {
            return Err(LineDefect::Duplicate);
        }
        self.logs.push(KnownLog {
            shard: Shard::of_origin(&key.name),
            key,
            url: url.map(str::to_owned),
        });
        Ok(())
    }

    fn set_log_threshold(&mut self, threshold: &str) -> Result<(), LineDefect> {
        let threshold = threshold.parse().map_err(|_| LineDefect::Threshold)?;
        if !(1..=LOGS_MAX).contains(&threshold) {
            return Err(LineDefect::Threshold);
        }
        let first = self.log_threshold.replace(threshold).is_none();
        first.then_some(()).ok_or(LineDefect::Duplicate)
    }

    fn witness(&mut self, name: &str, key: &str, url: Option<&str>) -> Result<(), LineDefect> {
        let key = vkey(key, VkeyKind::Cosigner)?;
        let is_known = |witness: &KnownWitness| witness.key.key == key.key;
        if self.witnesses.iter().any(is_known) {
            return Err(LineDefect::Duplicate);
        }
        self.define(name, Named::Witness(self.witnesses.len()))?;
        self.witnesses.push(KnownWitness {
            name: name.to_owned(),
            key,
            url: url.map(str::to_owned),
        });
        Ok(())
    }

    fn group(&mut self, name: &str, threshold: &str, members: &[&str]) -> Result<(), LineDefect> {
        let threshold = match threshold {
            "all" => members.len(),
            "any" => 1,
            number if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                number.parse().map_err(|_| LineDefect::Threshold)?
            }
            _ => return Err(LineDefect::Threshold),
        };
        if threshold < 1 || threshold > members.len() {
            return Err(LineDefect::Threshold);
        }
        let members = members
            .iter()
            .map(|member| self.member(member))
            .collect::<Result<_, _>>()?;
        self.define(name, Named::Group { threshold, members })
    }

    /// A name is a member once at most, so that a witness counts in one way only.
    fn member(&mut self, name: &str) -> Result<usize, LineDefect> {
        let position = self.position(name)?;
        let first = self.members.insert(position);
        first.then_some(position).ok_or(LineDefect::Duplicate)
    }

    fn define(&mut self, name: &str, named: Named) -> Result<(), LineDefect> {
        if name == "none" || self.names.contains_key(name) {
            return Err(LineDefect::Duplicate);
        }
        self.names.insert(name.to_owned(), self.named.len());
        self.named.push(named);
        Ok(())
    }

    fn set_quorum(&mut self, name: &str) -> Result<(), LineDefect> {
        let decisive = match name {
            "none" => None,
            name => Some(self.position(name)?),
        };
        self.quorum = Some(decisive);
        Ok(())
    }

    fn position(&self, name: &str) -> Result<usize, LineDefect> {
        self.names.get(name).copied().ok_or(LineDefect::UnknownName)
    }
}

fn vkey(text: &str, kind: VkeyKind) -> Result<Vkey, LineDefect> {
    let key: Vkey = text.parse().map_err(|_| LineDefect::Key)?;
    if key.kind == kind {
        Ok(key)
    } else {
        Err(LineDefect::Key)
    }
}

mod shard;

pub use shard::Shard;

#[cfg(test)]
mod tests;
