//! The processes under test: started as an operator starts them, and asked what they have used.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::row::ProcessUse;
use crate::failure::{Failure, Outcome};

/// How long a role may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(30);
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
        }
    }

    /// Runs `bauta serve` with this configuration, and waits until it listens at `address`.
    pub fn serve(
        name: &'static str,
        folder: &Path,
        config: &str,
        address: SocketAddr,
        cores: Cores,
    ) -> Outcome<Self> {
        let file = folder.join(format!("{name}.toml"));
        fs::write(&file, config)?;
        let log = folder.join(format!("{name}.log"));
        let mut command = program(cores)?;
        command.arg("serve").arg("--config").arg(&file);
        command.stdin(Stdio::null()).stdout(File::create(&log)?);
        let child = command.stderr(File::options().append(true).open(&log)?);
        let mut process = Self {
            name,
            id: 0,
            child: Some(child.spawn()?),
        };
        process.id = process.child.as_ref().map_or(0, Child::id);
        process.await_listening(address, &log)?;
        Ok(process)
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
    pub fn use_since(&self, before: &Usage, operations: u64) -> Outcome<ProcessUse> {
        let cpu = self.usage()?.cpu.saturating_sub(before.cpu);
        Ok(ProcessUse {
            name: self.name,
            cpu_us: cpu.as_secs_f64() * 1e6 / operations as f64,
            peak_mib: self.peak_mib()?,
        })
    }

    fn peak_mib(&self) -> Outcome<f64> {
        let path = format!("/proc/{}/status", self.id);
        let text = fs::read_to_string(path).map_err(|_| unreadable())?;
        let kib = peak_kib(&text).ok_or_else(unreadable)?;
        Ok(kib as f64 / 1_024.0)
    }

    fn await_listening(&mut self, address: SocketAddr, log: &Path) -> Outcome {
        let end = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(address).is_err() {
            let ended = match &mut self.child {
                Some(child) => child.try_wait()?.is_some(),
                None => false,
            };
            if ended || Instant::now() > end {
                let said = fs::read_to_string(log).unwrap_or_default();
                let name = self.name;
                return Err(Failure::local(format!("the {name} did not start: {said}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
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

/// An address on this machine with a port that is free now.
pub fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
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
