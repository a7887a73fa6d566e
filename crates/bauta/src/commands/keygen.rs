//! `bauta keygen`: a role's key file.

use std::path::PathBuf;

use bauta_io::SystemRng;
use bauta_server::keys::RoleSeed;
use clap::Args;

use crate::{
    failure::{Failure, Outcome},
    report::Report,
};

/// Where to.
#[derive(Debug, Args)]
pub struct KeygenOptions {
    /// The file to make; an existing one is never overwritten
    pub file: PathBuf,
}

/// Makes the file.
pub fn run(options: KeygenOptions, report: &Report) -> Outcome {
    let seed = RoleSeed::generate(&mut SystemRng::new());
    seed.store(&options.file).map_err(|error| {
        Failure::from_error(&error).remedy(format!(
            "Choose another name than {}.",
            options.file.display()
        ))
    })?;
    report.done(format!(
        "{} holds a new key; only you can read it. Back it up.",
        options.file.display()
    ));
    let result = serde_json::json!({ "ok": true, "file": options.file });
    if report.is_json() {
        report.result(&result, ToString::to_string)
    } else {
        Ok(())
    }
}
