//! The command line.

use std::path::PathBuf;

use bauta_server::config::Config;
use clap::{Args, Parser, Subcommand};

use crate::{
    commands::{
        archive::ArchiveOptions, bank::BankOptions, bench::BenchOptions,
        completions::CompletionsOptions, config::ConfigOptions, demo::DemoOptions,
        keygen::KeygenOptions, log::LogOptions, monitor::MonitorOptions, serve::ServeOptions,
        shop::ShopOptions, wallet::WalletOptions,
    },
    failure::{Failure, Outcome},
};

/// Sell, buy and deliver digital goods so that nobody learns who bought what, and nobody can cheat without proof.
#[derive(Debug, Parser)]
#[command(
    name = "bauta",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed here, 2 wrong usage, 3 refused by the other side, 4 try again, \
    5 somebody broke the protocol, 6 what is watched is out of order.\nNew here? Run: bauta demo"
)]
pub struct Arguments {
    /// How to talk.
    #[command(flatten)]
    pub output: OutputOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How to talk.
#[derive(Debug, Args)]
pub struct OutputOptions {
    /// Print the result, or what went wrong, as JSON: one value, on the last line of standard output
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,
    /// Print nothing but results and errors
    #[arg(long, short, global = true, help_heading = "Output")]
    pub quiet: bool,
    /// Never ask; fail where a person would have to answer
    #[arg(long, global = true, help_heading = "Output")]
    pub no_input: bool,
    /// When to use colours
    #[arg(
        long,
        global = true,
        help_heading = "Output",
        default_value = "auto",
        value_name = "WHEN"
    )]
    pub color: ColorChoice,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl ColorChoice {
    /// Makes it the choice of the whole process.
    pub fn write_global(self) {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sell a file, pay for it with anonymous coins, deliver and prove it: everything at once, on this machine
    Demo(DemoOptions),
    /// Measure how fast the roles are on this machine
    Bench(BenchOptions),
    /// Run the roles of a configuration file
    Serve(ServeOptions),
    /// Write a commented configuration
    Config(ConfigOptions),
    /// Make a role's key file
    Keygen(KeygenOptions),
    /// Operate a bank: credit, list, freeze, export accounts
    Bank(BankOptions),
    /// Operate an archive: its policy, and removing what is old
    Archive(ArchiveOptions),
    /// Operate a shop: goods and orders
    Shop(ShopOptions),
    /// Verify a public log
    Log(LogOptions),
    /// Watch public logs and their witnesses, and keep what proves that one of them cheats
    Monitor(Box<MonitorOptions>),
    /// Hold coins, buy, open what was bought
    Wallet(Box<WalletOptions>),
    /// Print a completion script for a shell
    Completions(CompletionsOptions),
}

/// Which configuration an operator's command works on.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The configuration that the role runs with
    #[arg(
        long,
        short,
        env = "BAUTA_CONFIG",
        value_name = "FILE",
        default_value = "bauta.toml",
        global = true
    )]
    pub config: PathBuf,
}

impl ConfigFile {
    /// Reads it.
    pub fn load(&self) -> Outcome<Config> {
        Config::load(&self.config).map_err(|error| {
            let remedy = if self.config.exists() {
                "Correct the file, or name another one with --config FILE."
            } else {
                "Write one with: bauta config init; name it with --config FILE."
            };
            Failure::from_error(&error).remedy(remedy)
        })
    }

    /// The file is there, but not this role in it.
    pub fn lacks(&self, role: &str) -> Failure {
        Failure::local(format!("{} configures no {role}", self.config.display()))
            .remedy("Name the role's own configuration with --config FILE.")
    }
}
