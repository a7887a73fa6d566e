//! The processes under test: started as an operator starts them, and asked what they have used.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::row::ProcessUse;
use crate::failure::{Failure, Outcome};

/// How often a command that runs is asked what it has used.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Linux tells processor time in hundredths of a second (USER_HZ, part of its interface).
const TICKS_PER_SECOND: u64 = 100;

/// The processors that a process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cores {
    /// All of them.
    All,
    /// One only.
    One,
}

/// A process whose use is measured: a role's, or this one.
pub struct Process {
    name: &'static str,
    id: u32,
    child: Option<Child>,
    /// Where its output goes.
    log: PathBuf,
}

/// A command that has ended.
pub struct Finished {
    name: &'static str,
    /// The last line of its output.
    pub output: String,
    /// How long it took.
    pub elapsed: Duration,
    cpu: Duration,
    peak_mib: f64,
}

impl Finished {
    /// What it used for each of `operations`.
    pub fn use_of(&self, operations: f64) -> ProcessUse {
        ProcessUse {
            name: self.name,
            cpu_us: self.cpu.as_secs_f64() * 1e6 / operations,
            peak_mib: self.peak_mib,
        }
    }
}

/// What a process has used since it began.
pub struct Usage {
    cpu: Duration,
}

impl Process {
    /// This process, which makes the load.
    pub fn load() -> Self {
        Self {
            name: "load",
            id: std::process::id(),
            child: None,
            log: PathBuf::new(),
        }
    }

    /// Runs `bauta serve` with this configuration.
    pub fn serve(name: &'static str, folder: &Path, config: &Path, cores: Cores) -> Outcome<Self> {
        let log = folder.join(format!("{name}.log"));
        let mut command = program(cores)?;
        command.arg("serve").arg("--config").arg(config);
        command.stdin(Stdio::null()).stdout(File::create(&log)?);
        command.stderr(File::options().append(true).open(&log)?);
        Self::spawn(name, command, log)
    }

    fn spawn(name: &'static str, mut command: Command, log: PathBuf) -> Outcome<Self> {
        let child = command.spawn()?;
        Ok(Self {
            name,
            id: child.id(),
            child: Some(child),
            log,
        })
    }

    /// Fails with what the process said if it has ended.
    pub fn check_running(&mut self) -> Outcome {
        let ended = match &mut self.child {
            Some(child) => child.try_wait()?.is_some(),
            None => false,
        };
        if ended {
            let said = fs::read_to_string(&self.log).unwrap_or_default();
            let name = self.name;
            return Err(Failure::local(format!("the {name} ended: {said}")));
        }
        Ok(())
    }

    /// Runs a command of this program to its end; returns its last line of output, and what it used.
    pub fn run(name: &'static str, folder: &Path, arguments: &[&OsStr]) -> Outcome<Finished> {
        let log = folder.join(format!("{name}.log"));
        let mut command = program(Cores::All)?;
        command.args(arguments).arg("--json").stdin(Stdio::null());
        command.stdout(File::create(&log)?).stderr(Stdio::null());
        let started = Instant::now();
        let mut process = Self::spawn(name, command, log)?;
        let (mut cpu, mut peak_mib) = (Duration::ZERO, 0.0_f64);
        let status = loop {
            // What a process has used cannot be asked any more once it has ended: the last look counts.
            if let (Ok(usage), Ok(peak)) = (process.usage(), process.peak_mib()) {
                cpu = usage.cpu.max(cpu);
                peak_mib = peak_mib.max(peak);
            }
            let child = process.child.as_mut();
            match child.map(Child::try_wait).transpose()?.flatten() {
                Some(status) => break status,
                None => std::thread::sleep(LOOK_EVERY),
            }
        };
        let elapsed = started.elapsed();
        let said = fs::read_to_string(&process.log)?;
        let last = said.lines().last().unwrap_or_default().to_owned();
        if !status.success() {
            return Err(Failure::local(format!("the {name} failed: {last}")));
        }
        Ok(Finished {
            name,
            output: last,
            elapsed,
            cpu,
            peak_mib,
        })
    }

    /// Processor time so far.
    pub fn usage(&self) -> Outcome<Usage> {
        let path = format!("/proc/{}/stat", self.id);
        let text = fs::read_to_string(path).map_err(|_| unreadable())?;
        let ticks = cpu_ticks(&text).ok_or_else(unreadable)?;
        let cpu = Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND);
        Ok(Usage { cpu })
    }

    /// What was used for each of `operations` since `before`.
    pub fn use_since(&self, before: &Usage, operations: f64) -> Outcome<ProcessUse> {
        let cpu = self.usage()?.cpu.saturating_sub(before.cpu);
        Ok(ProcessUse {
            name: self.name,
            cpu_us: cpu.as_secs_f64() * 1e6 / operations,
            peak_mib: self.peak_mib()?,
        })
    }

    fn peak_mib(&self) -> Outcome<f64> {
        let path = format!("/proc/{}/status", self.id);
        let text = fs::read_to_string(path).map_err(|_| unreadable())?;
        let kib = peak_kib(&text).ok_or_else(unreadable)?;
        Ok(kib as f64 / 1_024.0)
    }
}

impl Drop for Process {
    /// The stores are durable: nothing is lost when the process just ends.
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ended = child.kill();
            let _status = child.wait();
        }
    }
}

/// While it lives, this process leaves the first core to the role that is measured there, if there are others.
pub struct Aside {
    cores: Vec<String>,
}

impl Aside {
    /// Steps aside.
    pub fn step() -> Self {
        let cores = allowed_cores();
        if let [_first, others @ ..] = cores.as_slice()
            && !others.is_empty()
        {
            keep_to(others);
        }
        Self { cores }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        keep_to(&self.cores);
    }
}

/// Holds all threads of this process to these cores; without `taskset` they stay where they are.
fn keep_to(cores: &[String]) {
    let mut command = Command::new("taskset");
    command.args(["--all-tasks", "--pid", "--cpu-list", &cores.join(",")]);
    let _as_before = command.arg(std::process::id().to_string()).output();
}

/// The cores that this process may use, by proc(5)'s `Cpus_allowed_list`.
fn allowed_cores() -> Vec<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let list = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    core_numbers(list.unwrap_or_default())
}

/// `0-2,5` is 0, 1, 2, 5.
fn core_numbers(list: &str) -> Vec<String> {
    let spans = list.trim().split(',').filter_map(|span| {
        let (first, last) = span.split_once('-').unwrap_or((span, span));
        Some(first.parse::<u32>().ok()?..=last.parse().ok()?)
    });
    spans.flatten().map(|core| core.to_string()).collect()
}

/// This program, held to one core by `taskset` where that is asked for and possible; where it is not, at least its pools
/// have one thread each.
fn program(cores: Cores) -> Outcome<Command> {
    let program = std::env::current_exe()?;
    let first = allowed_cores().into_iter().next();
    let mut command = match (cores, first) {
        (Cores::One, Some(first)) if has_taskset() => {
            let mut command = Command::new("taskset");
            command.args(["--cpu-list", &first]).arg(program);
            command
        }
        _ => Command::new(program),
    };
    if cores == Cores::One {
        command.env("RAYON_NUM_THREADS", "1");
        command.env("TOKIO_WORKER_THREADS", "1");
    }
    Ok(command)
}

fn has_taskset() -> bool {
    let asked = Command::new("taskset").arg("--version").output();
    asked.is_ok_and(|output| output.status.success())
}

/// User and system time: fields 14 and 15 of proc(5)'s stat. The second field is in parentheses and may hold blanks.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let mut time = || times.next()?.parse::<u64>().ok();
    Some(time()? + time()?)
}

/// The line `VmHWM: 1234 kB` of proc(5)'s status.
fn peak_kib(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn unreadable() -> Failure {
    Failure::local("the system does not tell what a process has used")
        .remedy("Run the measurement on Linux, where /proc tells it.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_whatever_the_program_is_called() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 700 30 0 0";
        assert_eq!(cpu_ticks(stat), Some(730));
        assert_eq!(cpu_ticks("42 (cut"), None);
    }

    #[test]
    fn cores_are_read_from_spans_and_single_numbers() {
        assert_eq!(core_numbers("\t0-2,5\n"), ["0", "1", "2", "5"]);
        assert!(core_numbers("").is_empty());
    }

    #[test]
    fn peak_memory_is_read_from_its_line() {
        assert_eq!(peak_kib("VmPeak:\t9 kB\nVmHWM:\t  2048 kB\n"), Some(2048));
        assert_eq!(peak_kib("VmPeak:\t9 kB\n"), None);
    }
}
