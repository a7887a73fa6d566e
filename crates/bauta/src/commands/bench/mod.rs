//! `bauta bench`: how fast the real roles are, beside what the bare cryptography costs on this machine.
//!
//! The roles run as processes of their own, as `bauta serve` runs them, over loopback HTTP with durable stores. What can be
//! prepared is prepared before the clock starts, and every answer is checked. Read the ratio: it compares the processor
//! time of an operation with the cryptography that it cannot do without, measured in the same run, so that it says the same
//! on a fast machine and on a slow one.

mod archive;
mod bank;
mod coins;
mod floor;
mod goods;
mod load;
mod preload;
mod process;
mod purchase;
mod row;
mod sale;
mod setting;
mod witness;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueEnum};

use self::row::Rows;
use crate::{
    failure::{Failure, Outcome},
    report::Report,
};

/// What to measure, and for how long.
#[derive(Debug, Args)]
#[command(
    after_help = "Columns: operations a second; the time that half (p50) and 99 of 100 (p99) of the callers waited; processor \
    time of the measured processes for one operation; the floor, which is the bare cryptography of one operation on one core, \
    measured in the same run; and their ratio.\n\n\
    Put --data on the kind of disk that the service will use: a file system in memory makes nothing durable."
)]
pub struct BenchOptions {
    /// What to measure; everything unless named
    #[arg(value_enum)]
    pub subjects: Vec<Subject>,
    /// How long each measurement takes at most
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600), conflicts_with = "quick")]
    pub seconds: u64,
    /// Connections with one request under way on each; by default as many as suit the operation
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=2_000))]
    pub connections: Option<u64>,
    /// Two seconds each and small sets: for a first look
    #[arg(long)]
    pub quick: bool,
    /// Spent coins that the bank's store gets for the second measurement of locks; each takes about 250 bytes of disk
    /// [default: 1000000, or 100000 with --quick]
    #[arg(long, value_name = "COINS", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub preload: Option<u64>,
    /// Size of the good that is sold, in MiB; the disk needs four times as much [default: 1024, or 256
    /// with --quick]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    pub size: Option<u64>,
    /// Keep stores and files in this empty or new folder instead of a temporary one
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Subject {
    /// Coins for coins, and locks, by a bank on one core
    Bank,
    /// Durable commits to the log, with their promises
    Archive,
    /// Receipts of the log under four witnesses, each in a process of its own, and their check
    Witness,
    /// Complete purchases, with all roles in one process
    Purchase,
    /// A file encrypted, sold and bought
    Goods,
}

/// How this run measures.
struct Plan {
    folder: PathBuf,
    limit: Duration,
    connections: Option<usize>,
    preload: u64,
    /// Bytes of the good that is sold.
    size: u64,
}

impl Plan {
    fn new(options: &BenchOptions, folder: &Path) -> Self {
        let seconds = if options.quick { 2 } else { options.seconds };
        let preload = if options.quick { 100_000 } else { 1_000_000 };
        let size_mib = if options.quick { 256 } else { 1_024 };
        Self {
            size: options.size.unwrap_or(size_mib) * 1024 * 1024,
            preload: options.preload.unwrap_or(preload),
            folder: folder.to_owned(),
            limit: Duration::from_secs(seconds),
            connections: options.connections.and_then(|n| usize::try_from(n).ok()),
        }
    }

    /// How many requests to prepare so that a role of this speed does not run out of them.
    fn requests(&self, per_second: usize) -> usize {
        let seconds = usize::try_from(self.limit.as_secs()).unwrap_or(usize::MAX);
        per_second.saturating_mul(seconds)
    }

    fn connections(&self, suitable: usize) -> usize {
        self.connections.unwrap_or(suitable)
    }

    /// A new folder for one measurement.
    fn folder(&self, name: &str) -> Outcome<PathBuf> {
        let folder = self.folder.join(name);
        std::fs::create_dir(&folder).map_err(|error| {
            let shown = folder.display();
            Failure::local(format!("{shown} cannot be made: {error}"))
                .remedy("Name an empty or new folder with --data.")
        })?;
        Ok(folder)
    }
}

/// Measures and shows a table, or one JSON object a row.
pub fn run(options: &BenchOptions, report: &Report) -> Outcome {
    let temporary;
    let folder = match &options.data {
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            std::path::absolute(folder)?
        }
        None => {
            temporary = tempfile::tempdir()?;
            temporary.path().to_owned()
        }
    };
    let plan = Plan::new(options, &folder);
    let mut rows = Rows::new(report);
    let subjects = match options.subjects.as_slice() {
        [] => Subject::value_variants(),
        named => named,
    };
    for subject in subjects {
        match subject {
            Subject::Bank => bank::measure(&plan, &mut rows)?,
            Subject::Archive => archive::measure(&plan, &mut rows)?,
            Subject::Witness => witness::measure(&plan, &mut rows)?,
            Subject::Purchase => purchase::measure(&plan, &mut rows)?,
            Subject::Goods => goods::measure(&plan, &mut rows)?,
        }
    }
    rows.finish()
}
