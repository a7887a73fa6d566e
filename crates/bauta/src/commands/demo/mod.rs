//! `bauta demo`: a bank, an archive, a shop and a customer on this machine, and one sale from beginning to proof.
//!
//! Everything is real: the roles answer HTTP on loopback ports, write SQLite files and know nothing of each other but
//! what the protocol tells them. The wallet is the same library that `bauta wallet` uses.

mod knowledge;
mod sale;
mod sample;
mod town;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use bauta_server::serve::stop_signal;
use clap::Args;
use serde::Serialize;

use self::{sale::Sale, town::Town};
use crate::{
    commands::wallet::ModeChoice,
    failure::{Exit, Failure, Outcome},
    report::{FAINT, GOOD, Report, STRONG, print_line},
    runtime,
};

/// What to sell, and what to keep.
#[derive(Debug, Args)]
pub struct DemoOptions {
    /// Files or folders to sell and buy [default: a sample of 20 MB]
    pub files: Vec<PathBuf>,
    /// Keep everything in this folder, which must be new or empty
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Leave everything running and say what to type next
    #[arg(long)]
    pub keep: bool,
    /// The price of each good
    #[arg(long, default_value = "4.99EUR", value_name = "AMOUNT")]
    pub price: bauta_proto::money::Money,
    /// How the purchases are decided; see `bauta wallet buy --help`
    #[arg(long, value_enum, default_value_t)]
    pub mode: ModeChoice,
}

/// The last line with `--json`.
#[derive(Serialize)]
struct Result {
    ok: bool,
    goods: Vec<Sale>,
    knowledge: Vec<knowledge::Row>,
    data: Option<PathBuf>,
}

/// Sells and buys.
pub fn run(options: DemoOptions, report: &Report) -> Outcome {
    let temporary = tempfile::Builder::new().prefix("bauta-demo-").tempdir()?;
    let folder = match &options.data {
        Some(folder) => new_folder(folder)?,
        None => temporary.path().to_owned(),
    };
    runtime::block_on(play(&options, &folder, report))
}

async fn play(options: &DemoOptions, folder: &Path, report: &Report) -> Outcome {
    let files = match options.files.as_slice() {
        [] => vec![sample::write(folder, report)?],
        files => files.to_vec(),
    };
    check_readable(&files)?;
    let town = Town::open(folder, report).await?;
    let played = sell_all(&town, &files, options, report).await;
    let ended = match (&played, options.keep) {
        (Ok(_), true) => stay(&town, report).await,
        _ => Ok(()),
    };
    town.close().await?;
    let (goods, knowledge) = played?;
    ended?;
    let ok =
        goods.iter().all(|sale| sale.ok) && knowledge.iter().all(knowledge::Row::is_as_promised);
    let result = Result {
        ok,
        goods,
        knowledge,
        data: options.data.clone(),
    };
    if report.is_json() {
        report.result(&result, |_| String::new())?;
    }
    if ok {
        Ok(())
    } else {
        Err(Failure::new(
            Exit::Cheated,
            "the demonstration did not keep a promise; see above",
        )
        .told())
    }
}

async fn sell_all(
    town: &Town,
    files: &[PathBuf],
    options: &DemoOptions,
    report: &Report,
) -> Outcome<(Vec<Sale>, Vec<knowledge::Row>)> {
    let begun = Instant::now();
    let mut customer = sale::Customer::arrive(town, options.price, files.len(), report).await?;
    let mut goods = Vec::new();
    for file in files {
        goods.push(customer.buy(town, file, options, report).await?);
    }
    town.settled(goods.len()).await?;
    let rows = knowledge::look(town, &customer, &goods)?;
    report.say(format!("\n{STRONG}Who learned what{STRONG:#} {FAINT}(found in what the files of each really hold){FAINT:#}"));
    if !report.is_json() {
        print_line(&format!(
            "{}\n{GOOD}✓{GOOD:#} {} sold, paid, opened and proved in {:.1} s",
            knowledge::table(&rows),
            plural(goods.len()),
            begun.elapsed().as_secs_f64()
        ))?;
    }
    Ok((goods, rows))
}

fn plural(goods: usize) -> String {
    if goods == 1 {
        "One good".to_owned()
    } else {
        format!("{goods} goods")
    }
}

async fn stay(town: &Town, report: &Report) -> Outcome {
    let stopped = stop_signal()?;
    report.say(format!(
        "\n{STRONG}Everything keeps running.{STRONG:#} In another terminal:\n{}",
        town.what_to_type()
    ));
    report.say("Ctrl-C ends it.");
    stopped.await;
    Ok(())
}

fn check_readable(files: &[PathBuf]) -> Outcome {
    for file in files {
        std::fs::metadata(file)
            .map_err(|error| Failure::local(format!("{}: {error}", file.display())))?;
    }
    Ok(())
}

fn new_folder(folder: &Path) -> Outcome<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let is_empty = std::fs::read_dir(folder)?.next().is_none();
    if !is_empty {
        return Err(Failure::local(format!("{} is not empty", folder.display()))
            .remedy("Name a new folder: the demonstration never touches what is there."));
    }
    Ok(folder.canonicalize()?)
}
