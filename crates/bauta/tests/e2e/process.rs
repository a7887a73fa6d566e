//! Processes of the program: commands that end by themselves and roles that are killed.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::http;

/// Longest run of a command; a wait for a lock's release is in it.
const COMMAND_LIMIT: Duration = Duration::from_secs(150);
/// Longest start of a role.
const START_LIMIT: Duration = Duration::from_secs(30);

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Output {
    /// The exit code; none when it was killed.
    pub(crate) code: Option<i32>,
    /// Whether it was killed because it ran too long.
    pub(crate) is_cut_short: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// The last line, which with `--json` is the result.
    pub(crate) fn json(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The same, of a command that must have succeeded.
    #[track_caller]
    pub(crate) fn good(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.json()
    }

    /// A command that must have failed with this exit code and words, and a remedy beside them.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, words: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        let failure = self.json();
        let error = failure["error"].as_str().unwrap_or_default();
        assert!(error.contains(words), "{words:?} is not in {self:?}");
        assert!(!failure["remedy"].is_null(), "no remedy in {self:?}");
    }
}

/// The program, without what the surroundings would tell it.
pub(crate) fn bauta() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bauta"));
    for name in ["CONFIG", "WALLET", "PASSPHRASE_FILE", "KEY_FILE", "CA"] {
        command.env_remove(format!("BAUTA_{name}"));
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = run_for(command, COMMAND_LIMIT);
    assert!(!output.is_cut_short, "{command:?} does not end: {output:?}");
    output
}

/// Runs a command to its end, or kills it when it has run this long.
pub(crate) fn run_for(command: &mut Command, limit: Duration) -> Output {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let stdout = drain(child.stdout.take().expect("piped"));
    let stderr = drain(child.stderr.take().expect("piped"));
    let begun = Instant::now();
    let mut is_cut_short = false;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            break status;
        }
        if begun.elapsed() > limit && !is_cut_short {
            is_cut_short = child.kill().is_ok();
        }
        thread::sleep(Duration::from_millis(5));
    };
    Output {
        code: status.code(),
        is_cut_short,
        stdout: stdout.join().expect("read"),
        stderr: stderr.join().expect("read"),
    }
}

fn drain(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _broken = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A role's process, which may be killed and started again at any time.
pub(crate) struct Role {
    pub(crate) name: &'static str,
    pub(crate) config: PathBuf,
    /// Where it listens itself.
    pub(crate) port: u16,
    log: PathBuf,
    child: Mutex<Option<Child>>,
}

impl Role {
    pub(crate) fn new(name: &'static str, folder: &Path, port: u16) -> Self {
        Self {
            name,
            config: folder.join(format!("{name}.toml")),
            port,
            log: folder.join(format!("{name}.stderr")),
            child: Mutex::default(),
        }
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was started and not killed since.
    pub(crate) fn is_running(&self) -> bool {
        self.child().is_some()
    }

    /// Starts the process; it answers after [`Role::wait`].
    pub(crate) fn start(&self) {
        let mut command = bauta();
        command.arg("serve").arg("--config").arg(&self.config);
        self.start_as(&mut command);
    }

    /// Starts the role by another command, which must serve its configuration.
    pub(crate) fn start_as(&self, command: &mut Command) {
        let mut child = self.child();
        assert!(child.is_none(), "the {} runs", self.name);
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .expect("a log file");
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        *child = Some(command.spawn().expect("the program starts"));
    }

    /// Waits until the role says that it is ready.
    #[track_caller]
    pub(crate) fn wait(&self) {
        let begun = Instant::now();
        while http::get(self.port, "/readyz").is_none_or(|answer| answer.status != 200) {
            let ended = self.child().as_mut().map(|child| child.try_wait());
            // None: somebody is about to start it.
            assert!(
                matches!(ended, None | Some(Ok(None))) && begun.elapsed() < START_LIMIT,
                "the {} does not get ready: {}",
                self.name,
                self.said()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends the process as a power failure would.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            child.kill().expect("it runs or has ended");
            child.wait().expect("a child of ours");
        }
    }

    /// Sends a signal by its name, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        if let Some(child) = self.child().as_ref() {
            let (signal, id) = (format!("-{name}"), child.id().to_string());
            // It may have ended.
            let _sent = Command::new("kill").args([signal, id]).output();
        }
    }

    /// Asks the process to end and kills it when it does not; its exit code if it ended by itself.
    pub(crate) fn stop(&self, patience: Duration) -> Option<i32> {
        self.signal("TERM");
        let mut child = self.child().take()?;
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if let Some(status) = child.try_wait().expect("a child of ours") {
                return status.code();
            }
            thread::sleep(Duration::from_millis(5));
        }
        child.kill().expect("it runs or has ended");
        child.wait().expect("a child of ours").code()
    }

    /// Kills and starts again.
    pub(crate) fn restart(&self) {
        self.kill();
        self.start();
        self.wait();
    }

    /// Everything that the role has written to standard error.
    pub(crate) fn said(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        self.kill();
    }
}
