//! bauta: sell, buy and deliver digital goods so that nobody learns who bought what.
//!
//! One binary that plays every role. Each command is one file in `commands`.

#![expect(
    unreachable_pub,
    reason = "a binary has no outside: pub says what a module shows to the others"
)]

mod arguments;
mod commands;
mod failure;
mod report;
mod runtime;
mod setup;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    arguments::{Arguments, Command},
    report::Report,
};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return report::wrong_usage(&error),
    };
    let report = Report::new(&arguments.output);
    let result = match arguments.command {
        Command::Bench(options) => commands::bench::run(&options, &report),
        Command::Keygen(options) => commands::keygen::run(options, &report),
        Command::Config(options) => commands::config::run(options, &report),
        Command::Serve(options) => commands::serve::run(options, &report),
        Command::Demo(options) => commands::demo::run(options, &report),
        Command::Shop(options) => commands::shop::run(options, &report),
        Command::Bank(options) => commands::bank::run(options, &report),
        Command::Archive(options) => commands::archive::run(options, &report),
        Command::Log(options) => commands::log::run(options, &report),
        Command::Monitor(options) => commands::monitor::run(*options, &report),
        Command::Wallet(options) => commands::wallet::run(*options, &report),
        Command::Completions(options) => commands::completions::run(&options, &report),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report.failure(&failure),
    }
}
