//! A file on its way from shop to customer, each command and each role a process.

use std::{
    ffi::OsStr,
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use bauta_crypto::hash::{self, ContentHasher};
use bauta_server::config::RoleName;

use super::{
    Plan,
    goods::MEGABYTE,
    process::{Cores, Finished, Process},
    row::{Row, Rows},
    setting::{Configured, Setting},
};
use crate::setup::TRADE;
use crate::{
    failure::{Failure, Outcome},
    report::length,
};

/// The sample file is made of pieces that differ in their first bytes.
const PIECE_BYTES: usize = 4 * 1024 * 1024;

/// Sells a file. The floors are microseconds of one core for encrypting and for opening a megabyte in memory.
pub async fn measure(
    plan: &Plan,
    rows: &mut Rows<'_>,
    (encrypt_us, open_us): (f64, f64),
) -> Outcome {
    let folder = plan.folder("goods")?;
    let (file, shown) = (folder.join("good.bin"), length(plan.size));
    let megabytes = plan.size as f64 / MEGABYTE;
    rows.say(&format!("goods: writing {shown}"));
    let started = Instant::now();
    sample(&file, plan.size)?;
    let disk = megabytes / started.elapsed().as_secs_f64();
    let configured = Configured::write(&folder, &TRADE, true)?;
    rows.say("goods: putting it up for sale");
    let added = add(&folder, &file, &configured)?;
    let used = vec![added.use_of(megabytes)];
    let name = format!("shop add, MB of {shown}");
    rows.add(Row::once(name, megabytes, added.elapsed, encrypt_us, used))?;

    let archive = configured.serve(RoleName::Archive, Cores::All).await?;
    let bank = configured.serve(RoleName::Bank, Cores::All).await?;
    let merchant = configured.serve(RoleName::Merchant, Cores::All).await?;
    let setting = Setting::learn(configured).await?;
    let wallet = Wallet::fill(&folder, &setting)?;
    rows.say("goods: buying it");
    let roles = [&merchant, &bank, &archive];
    let before = roles.iter().map(|role| role.usage());
    let before = before.collect::<Outcome<Vec<_>>>()?;
    let bought = folder.join("bought.bin");
    let finished = wallet.buy(&setting.configured.url(RoleName::Merchant), &bought)?;
    let mut used = vec![finished.use_of(megabytes)];
    for (role, before) in roles.iter().zip(before) {
        used.push(role.use_since(&before, megabytes)?);
    }
    if root(&file)? != root(&bought)? {
        return Err(Failure::local("what was bought is not what was sold"));
    }
    let name = format!("buy, MB of {shown}");
    let row = Row::once(name, megabytes, finished.elapsed, open_us, used);
    rows.add(row.wanted("500/s, each below 100 MiB"))?;
    rows.note(format!(
        "The disk took the sample file at {disk:.0} MB/s; who buys writes a good twice, encrypted and opened."
    ));
    Ok(())
}

fn add(folder: &Path, file: &Path, configured: &Configured) -> Outcome<Finished> {
    let config = configured.file(RoleName::Merchant)?;
    let arguments = [
        "shop".as_ref(),
        "--config".as_ref(),
        config.as_os_str(),
        "add".as_ref(),
        file.as_os_str(),
        "--price".as_ref(),
        "0.01EUR".as_ref(),
    ];
    Process::run("shop add", folder, &arguments)
}

/// A wallet as a person uses it: by commands.
struct Wallet<'a> {
    folder: &'a Path,
    place: PathBuf,
}

impl<'a> Wallet<'a> {
    /// A new wallet with some coins.
    fn fill(folder: &'a Path, setting: &Setting) -> Outcome<Self> {
        let place = folder.join("wallet");
        let wallet = Self { folder, place };
        let words = folder.join("words");
        let init = ["init", "--no-passphrase", "--words-to"].map(OsStr::new);
        wallet.run(&[&init[..], &[words.as_os_str()]].concat())?;
        let url = setting.configured.url(RoleName::Bank);
        let added = wallet.run(&["bank".as_ref(), "add".as_ref(), url.as_ref()])?;
        let said: serde_json::Value =
            serde_json::from_str(&added.output).map_err(|error| Failure::from_error(&error))?;
        let account = said["account"].as_str().unwrap_or_default().parse();
        let account = account.map_err(|_| Failure::local("the wallet has no account"))?;
        setting.credit(account, 1_000)?;
        wallet.run(&["withdraw".as_ref(), "10EUR".as_ref()])?;
        Ok(wallet)
    }

    fn buy(&self, url: &str, to: &Path) -> Outcome<Finished> {
        let buy = ["buy", url, "--yes", "--output"].map(OsStr::new);
        self.run(&[&buy[..], &[to.as_os_str()]].concat())
    }

    fn run(&self, arguments: &[&OsStr]) -> Outcome<Finished> {
        let place = [
            "wallet".as_ref(),
            "--wallet".as_ref(),
            self.place.as_os_str(),
        ];
        Process::run("wallet", self.folder, &[&place[..], arguments].concat())
    }
}

/// Writes a file that cannot be compressed.
fn sample(path: &Path, bytes: u64) -> Outcome {
    let mut piece: Vec<u8> = (0..PIECE_BYTES / 32)
        .flat_map(|part: usize| hash::sha256(&[&part.to_be_bytes()]))
        .collect();
    let mut file = File::create(path)?;
    let (mut written, mut number) = (0, 0_u64);
    while written < bytes {
        piece[..8].copy_from_slice(&number.to_be_bytes());
        let rest = usize::try_from(bytes - written).unwrap_or(usize::MAX);
        let count = rest.min(piece.len());
        file.write_all(&piece[..count])?;
        written += count as u64;
        number += 1;
    }
    Ok(file.sync_all()?)
}

fn root(path: &Path) -> Outcome<[u8; 32]> {
    let mut file = File::open(path)?;
    let (mut hasher, mut piece) = (ContentHasher::new(), vec![0; PIECE_BYTES]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finalize()),
            count => hasher.update(&piece[..count]),
        }
    }
}
