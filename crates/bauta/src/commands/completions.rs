//! `bauta completions`: a script that teaches a shell the commands.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::{
    arguments::Arguments,
    failure::Outcome,
    report::{Report, print_line},
};

/// For which shell.
#[derive(Debug, Args)]
pub struct CompletionsOptions {
    /// The shell
    pub shell: Shell,
}

/// Prints the script.
pub fn run(options: &CompletionsOptions, _report: &Report) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(
        options.shell,
        &mut Arguments::command(),
        "bauta",
        &mut script,
    );
    print_line(&String::from_utf8_lossy(&script))
}
