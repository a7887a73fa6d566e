//! bauta: sell, buy and deliver digital goods so that nobody learns who bought what.
//!
//! One binary that plays every role. Each command is one file in `commands`.

mod arguments;
mod commands;
mod failure;
mod report;
mod runtime;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    arguments::{Arguments, Command},
    report::Report,
};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let report = Report::new(&arguments.output);
    let result = match arguments.command {
        Command::Bench(options) => commands::bench::run(&options, &report),
        Command::Keygen(options) => commands::keygen::run(options, &report),
        Command::Serve(options) => commands::serve::run(options, &report),
        Command::Bank(options) => commands::bank::run(options, &report),
        Command::Wallet(options) => commands::wallet::run(*options, &report),
        Command::Completions(options) => commands::completions::run(&options, &report),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report.failure(&failure),
    }
}
