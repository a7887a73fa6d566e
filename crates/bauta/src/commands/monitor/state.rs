//! What the monitor remembers from one start to the next: one file, replaced as a whole.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use bauta_crypto::{hash, merkle::Frontier};
use bauta_proto::log::evidence::{Evidence, HashText, Severity};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::finding::Finding;
use crate::failure::{Failure, Outcome};

const STATE_FILE: &str = "state.json";
const LOCK_FILE: &str = "lock";
const EVIDENCE_FOLDER: &str = "evidence";
/// Edges that are kept of one log.
const MARKS_MAX: usize = 128;
const VERSION: u32 = 1;

/// Everything that is remembered.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct State {
    version: u32,
    /// By origin line.
    pub logs: BTreeMap<String, LogMemory>,
    /// What was proved, by its key. Never forgotten.
    pub proved: BTreeMap<String, Proved>,
    /// In how many rounds in a row something was out of order, by its key.
    pub strikes: BTreeMap<String, u32>,
    /// When the last round was, in seconds since 1970.
    pub last_round: u64,
}

/// What is remembered of a log.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct LogMemory {
    /// The largest checkpoint that the log showed: a signed note.
    pub shown: Option<String>,
    /// Larger ones that others showed and the log did not reach yet.
    pub ahead: Vec<String>,
    /// Edges of its tree from which leaves can be read again, in rising order.
    pub marks: Vec<Mark>,
    /// By the witness's name in the policy: the largest checkpoint that it cosigned, at its latest time.
    pub cosigned: BTreeMap<String, Cosigned>,
}

/// The edge of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its leaves.
    pub size: u64,
    hashes: Vec<HashText>,
}

/// What a witness vouched for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cosigned {
    /// Leaves.
    pub size: u64,
    /// Seconds since 1970.
    pub time: u64,
    /// The signed note.
    pub note: String,
}

/// Something that was proved.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Proved {
    /// The evidence's file in its folder.
    pub file: String,
    /// When it was found, in seconds since 1970.
    pub found_at: u64,
    /// How much it weighs.
    pub severity: Severity,
    /// In words.
    pub says: String,
}

impl Mark {
    /// Of this edge.
    pub fn of(frontier: &Frontier) -> Self {
        Self {
            size: frontier.size(),
            hashes: frontier.hashes().iter().copied().map(HashText).collect(),
        }
    }

    /// The edge; none if the state was damaged.
    pub fn frontier(&self) -> Option<Frontier> {
        let hashes = self.hashes.iter().map(|hash| hash.0).collect();
        Frontier::from_parts(self.size, hashes)
    }
}

impl LogMemory {
    /// Remembers an edge, and forgets those that lie before the last one from which `lowest` can be read.
    pub fn mark(&mut self, frontier: &Frontier, lowest: u64) {
        if self.marks.is_empty() {
            // Reading began with the first leaf.
            self.marks.push(Mark::of(&Frontier::new()));
        }
        if self
            .marks
            .last()
            .is_none_or(|last| last.size < frontier.size())
        {
            self.marks.push(Mark::of(frontier));
        }
        let below = self.marks.partition_point(|mark| mark.size <= lowest);
        self.marks.drain(..below.saturating_sub(1));
        if self.marks.len() > MARKS_MAX {
            let (mut number, last) = (0, self.marks.len() - 1);
            self.marks.retain(|_| {
                number += 1;
                number % 2 == 1 || number > last
            });
        }
    }
}

/// The folder of one monitor, locked against a second.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    _lock: File,
}

impl StateFolder {
    /// Opens it and reads what is there.
    pub fn open(path: &Path) -> Outcome<(Self, State)> {
        fs::create_dir_all(path.join(EVIDENCE_FOLDER)).map_err(|error| failed(path, &error))?;
        let lock = File::create(path.join(LOCK_FILE)).map_err(|error| failed(path, &error))?;
        if lock.try_lock().is_err() {
            let failure = Failure::local(format!("{}: another monitor runs here", path.display()));
            return Err(failure.remedy("Give each monitor a state folder of its own."));
        }
        let folder = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        let state = folder.read()?;
        Ok((folder, state))
    }

    fn read(&self) -> Outcome<State> {
        let file = self.path.join(STATE_FILE);
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(State {
                    version: VERSION,
                    ..State::default()
                });
            }
            Err(error) => return Err(failed(&file, &error)),
        };
        let state = serde_json::from_slice(&text).ok();
        let state = state.filter(|state: &State| state.version == VERSION);
        state.ok_or_else(|| {
            let failure = Failure::local(format!("{} is not a monitor's state", file.display()));
            failure
                .remedy("Name another folder with --state FOLDER; keep the evidence in this one.")
        })
    }

    /// Replaces what is there.
    pub fn write(&self, state: &State) -> Outcome {
        let text = serde_json::to_vec(state).map_err(|error| Failure::from_error(&error))?;
        self.replace(STATE_FILE, &text)
    }

    /// Keeps evidence; the name of its file.
    pub fn keep(&self, evidence: &Evidence) -> Outcome<String> {
        let text = evidence.to_text();
        let name = HEXLOWER.encode(&hash::sha256(&[text.as_bytes()])[..8]);
        let name = format!("{}-{name}.json", evidence.kind());
        self.replace(&format!("{EVIDENCE_FOLDER}/{name}"), text.as_bytes())?;
        Ok(name)
    }

    /// Where a file of evidence is.
    pub fn evidence(&self, name: &str) -> PathBuf {
        self.path.join(EVIDENCE_FOLDER).join(name)
    }

    /// Beside it, on disk, then renamed.
    fn replace(&self, name: &str, bytes: &[u8]) -> Outcome {
        let path = self.path.join(name);
        let written = tempfile::NamedTempFile::new_in(&self.path).and_then(|mut file| {
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            File::open(path.parent().unwrap_or(&self.path))?.sync_all()
        });
        written.map_err(|error| failed(&path, &error))
    }
}

impl Proved {
    /// As a finding.
    pub fn finding(&self, key: &str, folder: &StateFolder) -> Finding {
        let kind = key.split('|').next().unwrap_or_default();
        Finding {
            kind: kind.to_owned(),
            severity: self.severity,
            key: key.to_owned(),
            says: self.says.clone(),
            evidence: Some(folder.evidence(&self.file)),
        }
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::local(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(size: u64) -> Frontier {
        let mut frontier = Frontier::new();
        (0..size).for_each(|_| frontier.append([1; 32]));
        frontier
    }

    #[test]
    fn marks_stay_few_and_the_lowest_leaf_can_always_be_read_again() {
        let mut memory = LogMemory::default();
        for size in (20..1_000).step_by(3) {
            memory.mark(&edge(size), 7);
            let marks = &memory.marks;
            assert!(marks.len() <= MARKS_MAX + 1);
            assert!(marks[0].size <= 7 && marks.last().expect("one").size == size);
            assert!(marks[0].frontier().is_some());
        }
        memory.mark(&edge(1_000), 1_000);
        assert_eq!(memory.marks, [Mark::of(&edge(1_000))]);
        assert_eq!(memory.marks[0].frontier(), Some(edge(1_000)));
    }

    #[test]
    fn a_state_is_read_back_and_its_folder_is_one_monitors() {
        let folder = tempfile::tempdir().expect("a folder");
        let (opened, mut state) = StateFolder::open(folder.path()).expect("opens");
        assert!(StateFolder::open(folder.path()).is_err());
        state.strikes.insert("stale|log".into(), 3);
        opened.write(&state).expect("written");
        drop(opened);
        let (_, again) = StateFolder::open(folder.path()).expect("opens");
        assert_eq!(again.strikes, state.strikes);
    }
}
