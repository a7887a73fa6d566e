//! The steps of `cargo xtask test`. One that fails does not stop the others; the end lists what failed.

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{chaos, documents, fuzz, simulation};

/// Prints a line; a reader that has gone away (`| head`) is no reason to stop.
macro_rules! say {
    ($($item:tt)*) => {
        writeln!(io::stdout(), $($item)*).unwrap_or_default()
    };
}

/// One check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// `cargo fmt`: the form of the source.
    Format,
    /// Links and completeness of the written documents.
    Documents,
    /// `cargo clippy`, every warning an error.
    Lints,
    /// `cargo doc`, every warning an error.
    ApiDocuments,
    /// `cargo deny`: licences, bans, sources. Advisories need the network and change by themselves: not a property of a commit.
    Licences,
    /// The examples in the documentation.
    Examples,
    /// Rounds of trade between real processes while everything breaks.
    Chaos(chaos::Options),
    /// Whether the fuzz targets, a workspace of their own, still compile.
    FuzzTargets,
    /// Simulated worlds, each from one seed, and every single point at which a node can crash.
    Simulation,
    /// All tests. Last, so that the runner's own summary stands at the end.
    Tests,
    /// Writes the vectors of messages and goods; not a check.
    Vectors,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Good,
    Failed,
    /// Did not run; the reason and the remedy.
    Skipped(&'static str),
}

/// Every check, the quick ones first.
pub(crate) fn all() -> Vec<Step> {
    use Step::{
        ApiDocuments, Chaos, Documents, Examples, Format, FuzzTargets, Licences, Lints, Simulation,
        Tests,
    };
    vec![
        Format,
        Documents,
        Lints,
        ApiDocuments,
        Licences,
        Examples,
        FuzzTargets,
        Chaos(chaos::Options::default()),
        Simulation,
        Tests,
    ]
}

/// Every check but chaos and simulation that does not build documentation.
pub(crate) fn quick() -> Vec<Step> {
    use Step::{ApiDocuments, Chaos, Examples, Simulation};
    let is_quick = |step: &Step| !matches!(step, ApiDocuments | Examples | Chaos(_) | Simulation);
    all().into_iter().filter(is_quick).collect()
}

/// Runs the steps in order and prints what became of each; false when one failed.
pub(crate) fn run(workspace: &Path, steps: &[Step]) -> bool {
    let mut done = Vec::new();
    for step in steps {
        say!("\n==> {}", step.name());
        let started = Instant::now();
        let outcome = step.run(workspace);
        let spent = started.elapsed();
        say!("<== {}", line(*step, outcome, spent));
        done.push((*step, outcome, spent));
    }
    summarize(&done)
}

fn summarize(done: &[(Step, Outcome, Duration)]) -> bool {
    say!("\nSteps:");
    for (step, outcome, spent) in done {
        say!("  {}", line(*step, *outcome, *spent));
    }
    let failed: Vec<&str> = done
        .iter()
        .filter(|(_, outcome, _)| *outcome == Outcome::Failed)
        .map(|(step, ..)| step.name())
        .collect();
    if failed.is_empty() {
        say!("Every step that ran is good.");
    } else {
        say!("Not good: {}.", failed.join("; "));
    }
    failed.is_empty()
}

fn line(step: Step, outcome: Outcome, spent: Duration) -> String {
    let name = step.name();
    let seconds = spent.as_secs_f64();
    match outcome {
        Outcome::Good => format!("good     {seconds:7.1} s  {name}"),
        Outcome::Failed => format!("FAILED   {seconds:7.1} s  {name}"),
        Outcome::Skipped(reason) => format!("skipped            {name}: {reason}"),
    }
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Format => "format (cargo fmt --check)",
            Self::Documents => "documents (cargo xtask check-docs)",
            Self::Lints => "lints (cargo clippy -D warnings)",
            Self::ApiDocuments => "API documentation (cargo doc -D warnings)",
            Self::Licences => "licences, bans and sources (cargo deny)",
            Self::Examples => "examples in the documentation (cargo test --doc)",
            Self::Chaos(_) => "chaos (real processes, killed at random)",
            Self::FuzzTargets => "fuzz targets (cargo check in fuzz/)",
            Self::Simulation => "simulation (thousands of worlds, each from one seed)",
            Self::Tests => "tests",
            Self::Vectors => "vectors of messages and goods",
        }
    }

    fn run(self, workspace: &Path) -> Outcome {
        let cargo = |arguments: &[&str]| cargo(workspace, arguments, &[]);
        match self {
            Self::Format if !has(workspace, "fmt") => {
                Outcome::Skipped("rustfmt is not installed: rustup component add rustfmt")
            }
            Self::Format => cargo(&["fmt", "--all", "--check"]),
            Self::Documents => check_documents(workspace),
            Self::Lints if !has(workspace, "clippy") => {
                Outcome::Skipped("clippy is not installed: rustup component add clippy")
            }
            Self::Lints => cargo(&[
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ]),
            Self::ApiDocuments => document(workspace),
            Self::Licences if !has(workspace, "deny") => {
                Outcome::Skipped("cargo-deny is not installed: cargo install --locked cargo-deny")
            }
            Self::Licences => cargo(&["deny", "check", "bans", "licenses", "sources"]),
            Self::Examples => cargo(&["test", "--workspace", "--doc"]),
            Self::Simulation if simulation::run(workspace, &simulation::CHANGE) => Outcome::Good,
            Self::Simulation => Outcome::Failed,
            Self::Chaos(options) => {
                let variables = options.variables();
                let variables = variables
                    .iter()
                    .map(|(name, value)| (*name, value.as_str()));
                let variables: Vec<_> = variables.collect();
                crate::steps::cargo(workspace, &options.arguments(), &variables)
            }
            Self::FuzzTargets => cargo(&fuzz::CHECK),
            Self::Tests => test(workspace),
            Self::Vectors => cargo(&[
                "test",
                "--package=bauta-proto",
                "--lib",
                "--test=messages",
                "--package=bauta-crypto",
                "--test=goods",
                "--",
                "--ignored",
                "regenerate",
            ]),
        }
    }
}

/// All tests but those in the documentation, by nextest where it is installed.
fn test(workspace: &Path) -> Outcome {
    if has(workspace, "nextest") {
        let arguments = ["nextest", "run", "--workspace", "--no-fail-fast"];
        return cargo(workspace, &arguments, &[]);
    }
    say!(
        "cargo-nextest is not installed; cargo test runs the same tests, one crate after the other."
    );
    let arguments = [
        "test",
        "--workspace",
        "--lib",
        "--bins",
        "--tests",
        "--no-fail-fast",
    ];
    cargo(workspace, &arguments, &[])
}

fn document(workspace: &Path) -> Outcome {
    let flags = [("RUSTDOCFLAGS", "-D warnings")];
    cargo(workspace, &["doc", "--workspace", "--no-deps"], &flags)
}

fn check_documents(workspace: &Path) -> Outcome {
    let defects = documents::check(workspace);
    for defect in &defects {
        say!("{defect}");
    }
    if defects.is_empty() {
        Outcome::Good
    } else {
        Outcome::Failed
    }
}

/// Runs cargo with its output on our own.
fn cargo(workspace: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Outcome {
    let status = Command::new(cargo_path())
        .current_dir(workspace)
        .args(arguments)
        .envs(variables.iter().copied())
        .status();
    match status {
        Ok(status) if status.success() => Outcome::Good,
        Ok(_) => Outcome::Failed,
        Err(error) => {
            say!("cargo does not start: {error}");
            Outcome::Failed
        }
    }
}

/// Whether cargo has this subcommand.
fn has(workspace: &Path, subcommand: &str) -> bool {
    Command::new(cargo_path())
        .current_dir(workspace)
        .args([subcommand, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn cargo_path() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
