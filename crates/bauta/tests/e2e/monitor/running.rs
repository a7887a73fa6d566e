//! A monitor that runs for long: what passes is over, and others who hang hold it up neither for long nor at its end.

use std::{
    fs::{self, File},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    command,
    forged::{FRESH, ForgedLog},
    kinds,
};
use crate::{http, town::free_ports};

/// Longest wait for a round that says something. One with a witness that hangs takes ten seconds.
const SAID_WITHIN: Duration = Duration::from_secs(90);
/// Longest wait for the end.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// A monitor's process; killed if a test goes wrong.
struct Running<'a> {
    log: &'a ForgedLog,
    child: Child,
}

impl<'a> Running<'a> {
    fn start(log: &'a ForgedLog, more: &[&str]) -> Self {
        let output = File::create(log.path("rounds")).expect("a file");
        let mut command = command(&log.path(""), more);
        let child = command.stdout(output).spawn().expect("starts");
        Self { log, child }
    }

    /// All rounds until now.
    fn rounds(&self) -> Vec<Value> {
        let said = fs::read_to_string(self.log.path("rounds")).expect("there");
        let whole = said
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        whole
            .map(|line| serde_json::from_str(line).expect("a round"))
            .collect()
    }

    /// Shows the same leaves as if they had just been cosigned, until a later round finds just this.
    #[track_caller]
    fn until_it_finds(&self, expected: &[&str], show: impl Fn()) -> Value {
        let (begun, before) = (Instant::now(), self.rounds().len());
        loop {
            show();
            let rounds = self.rounds();
            let new = rounds.iter().skip(before);
            if let Some(round) = new.rev().find(|round| kinds(round) == expected) {
                return round.clone();
            }
            assert!(begun.elapsed() < SAID_WITHIN, "{:?}", rounds.last());
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Sends a signal; the exit code.
    #[track_caller]
    fn end(mut self, signal: &str) -> Option<i32> {
        let id = self.child.id().to_string();
        Command::new("kill")
            .args([signal, &id])
            .status()
            .expect("sent");
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return status.code();
            }
            assert!(begun.elapsed() < ENDS_WITHIN, "it does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // It may have ended.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

#[test]
fn a_witness_that_hangs_is_missed_as_long_as_it_does_and_does_not_keep_the_monitor_from_its_end() {
    let log = ForgedLog::with_hung_witness();
    let metrics = free_ports(1)[0];
    let address = format!("127.0.0.1:{metrics}");
    let options = ["--interval", "1s", "--patience", "2", "--stale-after", "5s"];
    let more = [&options[..], &["--metrics", &address]].concat();
    let running = Running::start(&log, &more);
    running.until_it_finds(&[], || log.show(2, FRESH));
    let missed = running.until_it_finds(&["witness-missing"], || log.show(2, [Some(0), None]));
    assert_eq!(missed["ok"], true, "a warning: {missed}");
    let says = missed["findings"][0]["says"].as_str().expect("words");
    assert!(says.contains("the witness two"), "{says}");
    let shown = http::get(metrics, "/metrics").expect("an answer");
    let shown = String::from_utf8(shown.body).expect("text");
    let counted = "bauta_monitor_findings{kind=\"witness-missing\"} 1";
    assert!(shown.contains(counted), "{shown}");
    running.until_it_finds(&[], || log.show(2, FRESH));
    // In the middle of the next round, which waits for the witness.
    thread::sleep(Duration::from_secs(2));
    assert_eq!(running.end("-INT"), Some(0));
}

#[test]
fn a_monitor_that_is_told_to_end_in_its_first_round_ends_at_once() {
    let log = ForgedLog::with_hung_witness();
    let running = Running::start(&log, &[]);
    let begun = Instant::now();
    while !log.path("monitor/lock").exists() {
        assert!(begun.elapsed() < SAID_WITHIN, "it does not start");
        thread::sleep(Duration::from_millis(10));
    }
    // Its witness will take ten seconds.
    thread::sleep(Duration::from_secs(1));
    assert_eq!(running.end("-TERM"), Some(0));
}
