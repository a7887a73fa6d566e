//! Simulated worlds: builds the simulator with optimisation where its time goes, and runs it.

use std::{env, ffi::OsString, path::Path, process::Command};

/// Worlds without further words.
const SEEDS: &str = "10000";
/// What a change must pass: a part of the worlds, and every single crash.
pub(crate) const CHANGE: [&str; 3] = ["--seeds", "3000", "--crashes"];
/// Our own crates that a simulated world runs; the libraries are optimised in every build.
const CRATES: [&str; 6] = ["io", "proto", "server", "sim", "store", "wallet"];

/// Runs the simulator with these options; false when a promise was broken.
pub(crate) fn run(workspace: &Path, options: &[&str]) -> bool {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command
        .current_dir(workspace)
        .args(["run", "--quiet", "--package=bauta-sim"]);
    for name in CRATES {
        let setting = format!("profile.dev.package.bauta-{name}.opt-level=1");
        command.args(["--config", &setting]);
    }
    command.arg("--");
    if options.is_empty() {
        command.args(["--seeds", SEEDS, "--crashes"]);
    }
    let status = command.args(options).status();
    status.is_ok_and(|status| status.success())
}
