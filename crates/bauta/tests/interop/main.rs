//! Standard witnesses and logs of others work with ours, and they verify what ours publish.
//!
//! The others are the C2SP implementation in Python of the packages `aics-witness` and `aics-tlog`. They are used only if
//! `BAUTA_INTEROP_PYTHON` names a Python (3.12 or newer) in which `aics-witness` is installed:
//!
//! ```sh
//! python3.12 -m venv interop && interop/bin/pip install aics-witness
//! BAUTA_INTEROP_PYTHON=$PWD/interop/bin/python cargo nextest run -p bauta --test interop
//! ```

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// The Python to use; without it a test says so and ends.
fn python() -> Option<PathBuf> {
    let python = env::var_os("BAUTA_INTEROP_PYTHON").map(PathBuf::from);
    if python.is_none() {
        eprintln!("SKIPPED: BAUTA_INTEROP_PYTHON names no Python with the package aics-witness");
    }
    python
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

fn start(command: &mut Command) -> Running {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
    Running(quiet.stderr(Stdio::null()).spawn().expect("starts"))
}

/// What a command prints; it must succeed.
fn output(command: &mut Command) -> String {
    let output = command.output().expect("runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).expect("text")
}

fn bauta() -> Command {
    Command::new(env!("CARGO_BIN_EXE_bauta"))
}

fn serve(folder: &Path, name: &str) -> Running {
    let config = folder.join(format!("{name}.toml"));
    start(bauta().arg("serve").arg("--config").arg(config))
}

fn script(python: &Path) -> Command {
    let mut command = Command::new(python);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/aics.py");
    command.arg(file);
    command
}

fn aics_witness(python: &Path, folder: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "aics_witness"]);
    command.env("AICS_WITNESS_CONFIG", folder.join("aics.json"));
    command
}

/// A row of ports that are free at the moment.
fn free_ports(count: u16) -> u16 {
    let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let starts = (20_000..30_000).step_by(usize::from(count));
    let skipped = usize::try_from(std::process::id() % 100).expect("small");
    let mut starts = starts.skip(skipped);
    let found = starts.find(|start| (*start..start + count).all(is_free));
    found.expect("there are free ports")
}

/// Waits until it is so.
fn until<R>(what: &str, mut look: impl FnMut() -> Option<R>) -> R {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "gave up waiting: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The words of the policy's lines of this kind, from the second word on.
fn words<'a>(policy: &'a str, kind: &str, position: usize) -> Vec<&'a str> {
    let lines = policy
        .lines()
        .filter(|line| line.split(' ').next() == Some(kind));
    lines
        .filter_map(|line| line.split(' ').nth(position))
        .collect()
}

#[test]
fn a_witness_of_others_cosigns_our_log_and_others_verify_what_it_publishes() {
    let Some(python) = python() else { return };
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let folder = temporary.path();
    let port = free_ports(8);
    let mut init = bauta();
    init.args([
        "config",
        "init",
        "bank",
        "archive",
        "--apart",
        "--witnesses",
        "2",
    ]);
    output(
        init.args(["--port", &port.to_string(), "--folder"])
            .arg(folder),
    );
    let listen = format!("127.0.0.1:{}", port + 7);
    let mut init = aics_witness(&python, folder);
    let vkey = output(init.args(["init", "--name", "aics.example/w", "--listen", &listen]));
    let vkey = vkey.lines().last().expect("prints its key").to_owned();
    let path = folder.join("log-policy");
    let policy = fs::read_to_string(&path).expect("written");
    let group = policy.lines().find(|line| line.starts_with("group"));
    let ours = group.expect("a group");
    let all =
        format!("witness aics {vkey} http://{listen}\ngroup enough all witness-1 witness-2 aics");
    let policy = policy.replace(ours, &all);
    fs::write(&path, &policy).expect("writes");
    let log = words(&policy, "log", 1)[0];
    let (origin, _) = log.split_once('+').expect("a key");
    let mut add = aics_witness(&python, folder);
    output(add.args(["add-log", "--origin", origin, "--vkey", log]));

    let names = ["witness-1", "witness-2", "archive", "bank"];
    let _ours = names.map(|name| serve(folder, name));
    let _theirs = start(aics_witness(&python, folder).arg("serve"));
    let public = folder.join("archive/public");
    until("the bank's keyset in the log", || {
        let note = fs::read_to_string(public.join("checkpoint")).ok()?;
        (note.lines().nth(1)? != "0").then_some(())
    });
    let mut verify = script(&python);
    verify.arg("verify").arg(&public).args([log, "3"]);
    let verified = output(verify.args(words(&policy, "witness", 2)));
    assert!(
        verified.starts_with("verified ") && verified.trim() != "verified 0",
        "{verified}"
    );
}

#[test]
fn our_witness_cosigns_a_log_of_others_and_neither_its_fork_nor_its_past() {
    let Some(python) = python() else { return };
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let folder = temporary.path();
    let port = free_ports(4);
    let mut init = bauta();
    init.args([
        "config",
        "init",
        "witness",
        "--port",
        &port.to_string(),
        "--folder",
    ]);
    output(init.arg(folder));
    let log = output(script(&python).arg("vkey"));
    let path = folder.join("bauta.toml");
    let text = fs::read_to_string(&path).expect("written");
    let text = text.replace("#logs = []", &format!("logs = [{:?}]", log.trim()));
    let text = text.replace("\nlog_policy = ", "\n#log_policy = ");
    fs::write(&path, text).expect("writes");
    let said = folder.join("said");
    let mut serve = bauta();
    serve
        .arg("serve")
        .arg("--config")
        .arg(&path)
        .stdout(Stdio::null());
    serve.stderr(fs::File::create(&said).expect("a file"));
    let _ours = Running(serve.spawn().expect("starts"));
    let told = |mark: &str| {
        let said = fs::read_to_string(&said).ok()?;
        let (_, rest) = said.split_once(mark)?;
        Some(rest.split_whitespace().next()?.trim_matches('"').to_owned())
    };
    let url = until("the witness listens", || told("listens on "));
    let vkey = until("the witness says its key", || told("vkey="));
    let ran = output(script(&python).args(["log", &url, &vkey]));
    assert!(ran.trim_end().ends_with("cosigned 8"), "{ran}");
}
