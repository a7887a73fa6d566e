//! `cargo xtask fuzz`: makes the corpora from the vectors, builds the fuzz targets and runs them. Needs a nightly compiler
//! and nothing else; whoever has cargo-fuzz can use it in the same folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// The platform for which targets are built: named, so that build scripts and macros are not instrumented.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";
/// What the engine needs in the code that it watches: counters at every edge, and the operands of comparisons.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
/// The variable with which a target writes its first inputs instead of running.
const SEEDS_VARIABLE: &str = "BAUTA_FUZZ_SEEDS";
const SECONDS: u32 = 600;
/// Longer than this on one input is a finding, in seconds.
const INPUT_SECONDS_MAX: u32 = 60;

/// What is run, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// None is every target.
    target: Option<String>,
    /// For each target.
    seconds: u32,
    /// Only makes the corpora.
    seeds_only: bool,
}

impl Options {
    /// None when the words are not understood.
    pub(crate) fn parse(words: &[&str]) -> Option<Self> {
        let mut options = Self {
            target: None,
            seconds: SECONDS,
            seeds_only: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--seconds" => options.seconds = words.next()?.parse().ok()?,
                "--seed-corpora" => options.seeds_only = true,
                name if !name.starts_with('-') && options.target.is_none() => {
                    options.target = Some(name.to_owned());
                }
                _ => return None,
            }
        }
        Some(options)
    }
}

/// Whether all targets still compile: by any compiler, without the engine, with the libraries that the workspace has built.
pub(crate) const CHECK: [&str; 9] = [
    "check",
    "--locked",
    "--manifest-path=fuzz/Cargo.toml",
    "--target-dir=target",
    "--no-default-features",
    "--lib",
    "--bins",
    "--tests",
    "--quiet",
];

/// Builds the targets, makes their corpora, and runs each for its time; false when one found something.
pub(crate) fn run(workspace: &Path, options: &Options) -> bool {
    let Ok(targets) = targets(workspace, options) else {
        println!("there is no such target, or no folder fuzz/targets");
        return false;
    };
    let built = nightly(workspace)
        .args(["build", "--locked", "--release", "--bins", "--target"])
        .arg(PLATFORM)
        .env("RUSTFLAGS", FLAGS)
        .status();
    if !built.is_ok_and(|status| status.success()) {
        return false;
    }
    let mut found = Vec::new();
    for target in &targets {
        let is_good = seed(workspace, target)
            && (options.seeds_only || fuzz(workspace, target, options.seconds));
        if !is_good {
            found.push(&**target);
        }
    }
    if !found.is_empty() {
        println!("Something was found: {}.", found.join(", "));
    }
    found.is_empty()
}

/// The targets by the names of their programs.
fn targets(workspace: &Path, options: &Options) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(workspace.join("fuzz/targets"))? {
        let path = entry?.path();
        names.extend(
            path.file_stem()
                .map(|name| name.to_string_lossy().into_owned()),
        );
    }
    names.sort();
    if let Some(wanted) = &options.target {
        names.retain(|name| name == wanted);
    }
    if names.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(names)
}

fn nightly(workspace: &Path) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]);
    // This program's own cargo must not be taken for the other.
    command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    command.current_dir(workspace.join("fuzz"));
    command
}

fn program(workspace: &Path, target: &str) -> Command {
    let path: PathBuf = ["fuzz/target", PLATFORM, "release", target]
        .iter()
        .collect();
    let mut command = Command::new(workspace.join(path));
    command.current_dir(workspace.join("fuzz"));
    command
}

/// Writes the target's seeds beside what earlier runs have found.
fn seed(workspace: &Path, target: &str) -> bool {
    let corpus = format!("corpus/{target}");
    succeeds(program(workspace, target).env(SEEDS_VARIABLE, corpus))
}

fn fuzz(workspace: &Path, target: &str, seconds: u32) -> bool {
    println!("\n==> {target}, {seconds} s");
    let artifacts = workspace.join("fuzz/artifacts").join(target);
    if let Err(error) = fs::create_dir_all(&artifacts) {
        println!("{}: {error}", artifacts.display());
        return false;
    }
    succeeds(
        program(workspace, target)
            .arg(format!("corpus/{target}"))
            .arg(format!("-artifact_prefix=artifacts/{target}/"))
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
            .args(["-rss_limit_mb=4096", "-print_final_stats=1"]),
    )
}

fn succeeds(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_options_or_are_refused() {
        let options = Options::parse(&["bank", "--seconds", "60"]).expect("understood");
        assert_eq!(
            (options.target.as_deref(), options.seconds),
            (Some("bank"), 60)
        );
        assert!(Options::parse(&["--seed-corpora"]).is_some_and(|options| options.seeds_only));
        for wrong in [&["--seconds"][..], &["bank", "archive"], &["--fast"]] {
            assert_eq!(Options::parse(wrong), None);
        }
    }
}
