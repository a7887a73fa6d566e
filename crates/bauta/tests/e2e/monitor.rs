//! `bauta monitor` over a real archive: honest growth and restarts are no finding, a fork and a broken promise are proved
//! to whoever holds the policy, a wrong clock is seen. What no archive of ours does is shown by a forged log.

mod findings;
mod forged;
mod running;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use bauta_io::SystemClock;
use bauta_proto::{
    codec::{Message, Signed},
    submission::Record,
    time::{Clock, Seconds},
    transport::{Endpoint, archive::SubmitRecord},
};
use bauta_server::keys::RoleSeed;
use serde_json::Value;

use crate::{
    clocks::restart_with_clock,
    http,
    process::{Output, bauta, run},
    town::{ARCHIVE, Town},
};

/// Longest wait for the next checkpoint.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(30);

struct Watched {
    town: Town,
}

impl Watched {
    fn new() -> Self {
        Self { town: Town::open() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.town.path().join(name)
    }

    /// Brings a parameter of the bank to the log; the log's promise.
    fn record(&self, number: u8) -> Vec<u8> {
        let seed = RoleSeed::load(&self.path("bank.key")).expect("the bank's key");
        let key = seed.signing_key("bank");
        let body = Record {
            bank: key.verifying_key().into(),
            valid_until: SystemClock.now().plus(Seconds::days(1)),
            subject: [number; 32],
        };
        let signature = body.sign(&key);
        let bytes = Signed { body, signature }.to_bytes();
        let port = self.town.roles[ARCHIVE].port;
        let media_type = Signed::<Record>::MEDIA_TYPE;
        let size = self.size();
        let answer = http::post(port, SubmitRecord::PATH, media_type, &bytes);
        assert_eq!(answer.status, 200, "{answer:?}");
        let begun = Instant::now();
        while self.size() <= size {
            assert!(begun.elapsed() < PUBLISHED_WITHIN, "{}", self.town.said());
            thread::sleep(Duration::from_millis(50));
        }
        answer.body
    }

    /// Leaves in the log's checkpoint.
    fn size(&self) -> u64 {
        let answer = http::get(self.town.roles[ARCHIVE].port, "/checkpoint").expect("an answer");
        let note = String::from_utf8(answer.body).expect("text");
        let size = note.lines().nth(1).and_then(|line| line.parse().ok());
        size.expect("a size")
    }

    fn monitor(&self, more: &[&str]) -> Output {
        monitor(self.town.path(), more)
    }

    /// Checks evidence with nothing but the policy, the roles being dead.
    fn verify(&self, file: &Path) -> Output {
        verify(self.town.path(), file)
    }

    fn stop_archive(&self) {
        self.town.roles[ARCHIVE].kill();
    }

    fn start_archive(&self) {
        self.town.roles[ARCHIVE].start();
        self.town.roles[ARCHIVE].wait();
    }
}

/// A monitor by the policy in this folder, with its state beside it.
fn command(folder: &Path, more: &[&str]) -> Command {
    let mut command = bauta();
    command
        .args(["monitor", "--json"])
        .arg("--state")
        .arg(folder.join("monitor"))
        .arg("--policy")
        .arg(folder.join("log-policy"))
        .args(more);
    command
}

/// One round of it.
fn monitor(folder: &Path, more: &[&str]) -> Output {
    run(command(folder, more).arg("--once"))
}

/// Checks evidence by the policy in this folder.
fn verify(folder: &Path, file: &Path) -> Output {
    let mut command = bauta();
    command
        .args(["monitor", "verify", "--json", "--policy"])
        .arg(folder.join("log-policy"))
        .arg(file);
    run(&mut command)
}

/// The kinds of what a round found, each once.
fn kinds(round: &Value) -> Vec<&str> {
    let findings = round["findings"].as_array().expect("a list").iter();
    let kinds: BTreeSet<_> = findings
        .map(|finding| finding["kind"].as_str().expect("a name"))
        .collect();
    kinds.into_iter().collect()
}

/// The files of evidence of this kind.
fn evidence(round: &Value, kind: &str) -> Vec<PathBuf> {
    let findings = round["findings"].as_array().expect("a list").iter();
    let alike = findings.filter(|finding| finding["kind"] == kind);
    alike
        .map(|finding| PathBuf::from(finding["evidence"].as_str().expect("a file")))
        .collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("readable");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

#[test]
fn a_fork_made_on_purpose_and_the_promise_it_breaks_are_found_and_proved_and_honest_growth_is_not()
{
    let watched = Watched::new();
    watched.record(1);
    let first = watched.monitor(&[]).good();
    assert_eq!(first["findings"], serde_json::json!([]), "{first}");

    // Honest: a restart, and more leaves.
    watched.stop_archive();
    copy(&watched.path("archive"), &watched.path("copy"));
    watched.start_archive();
    let promise = watched.path("promise");
    fs::write(&promise, watched.record(2)).expect("written");
    let promise = ["--promise", promise.to_str().expect("plain names")];
    let second = watched.monitor(&promise).good();
    assert_eq!(second["findings"], serde_json::json!([]), "{second}");
    assert!(second["logs"][0]["size"].as_u64() > first["logs"][0]["size"].as_u64());

    // The same key from the copy, with other leaves.
    watched.stop_archive();
    fs::rename(watched.path("archive"), watched.path("other")).expect("moved");
    fs::rename(watched.path("copy"), watched.path("archive")).expect("moved");
    watched.start_archive();
    watched.record(3);
    watched.record(4);
    let forked = watched.monitor(&promise);
    assert_eq!(forked.code, Some(5), "{forked:?}");
    let round = forked.json();
    assert_eq!(round["ok"], false);
    watched.stop_archive();
    for kind in ["fork", "broken-promise"] {
        let files = evidence(&round, kind);
        assert_eq!(files.len(), 1, "{kind}: {round}");
        let verdict = watched.verify(&files[0]).good();
        assert_eq!(verdict["evidence"][0]["kind"], kind);
        assert_eq!(verdict["evidence"][0]["severity"], "proof");
        let changed = fs::read_to_string(&files[0])
            .expect("there")
            .replace("\\n\\n", "\\n");
        let file = watched.path("changed.json");
        fs::write(&file, changed).expect("written");
        watched.verify(&file).fails(3, "");
    }

    // Nobody forgets it, whatever the log shows next.
    let later = watched.monitor(&[]);
    assert_eq!(later.code, Some(5), "{later:?}");
    assert_eq!(evidence(&later.json(), "fork"), evidence(&round, "fork"));
}

#[test]
fn a_fork_is_found_by_a_checkpoint_that_somebody_else_was_shown() {
    let watched = Watched::new();
    watched.record(1);
    watched.stop_archive();
    copy(&watched.path("archive"), &watched.path("copy"));
    watched.start_archive();
    watched.record(2);
    let shown = watched.path("archive/public/checkpoint");
    let kept = watched.path("kept");
    fs::copy(shown, &kept).expect("a checkpoint");
    watched.stop_archive();
    fs::remove_dir_all(watched.path("archive")).expect("removed");
    fs::rename(watched.path("copy"), watched.path("archive")).expect("moved");
    watched.start_archive();
    watched.record(3);
    watched.monitor(&[]).good();
    let kept = ["--checkpoint", kept.to_str().expect("plain names")];
    let found = watched.monitor(&kept);
    assert_eq!(found.code, Some(5), "{found:?}");
    let files = evidence(&found.json(), "fork");
    let verdict = watched.verify(&files[0]).good();
    let accused = verdict["evidence"][0]["accused"]
        .as_array()
        .expect("a list");
    assert_eq!(accused.len(), 2, "log and cosigner: {verdict}");
}

#[test]
fn a_clock_out_of_tolerance_and_a_log_that_is_gone_are_faults_of_their_own() {
    let watched = Watched::new();
    watched.record(1);
    watched.monitor(&[]).good();
    restart_with_clock(&watched.town, ARCHIVE, 7_200);
    let begun = Instant::now();
    let ahead = loop {
        let ahead = watched.monitor(&[]);
        if ahead.code != Some(0) || begun.elapsed() > PUBLISHED_WITHIN {
            break ahead;
        }
    };
    assert_eq!(ahead.code, Some(6));
    assert_eq!(kinds(&ahead.json()), ["clock-ahead"]);
    watched.stop_archive();
    let gone = watched.monitor(&["--patience", "2"]);
    assert_eq!(gone.code, Some(4));
    assert!(kinds(&gone.json()).is_empty());
    let gone = watched.monitor(&["--patience", "2"]);
    assert_eq!(gone.code, Some(6));
    assert_eq!(kinds(&gone.json()), ["unreachable"]);
}
