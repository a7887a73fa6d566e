//! Where the wallet is, what opens it, and its ways to the outside.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bauta_io::{HttpOptions, HttpTransport, SystemClock, SystemRng};
use bauta_wallet::{
    Environment, Wallet,
    key::{self, Protection, ProtectionKind},
    observer::Event,
};
use indicatif::ProgressBar;
use zeroize::Zeroizing;

use super::WalletPlace;
use crate::{
    failure::{Failure, Outcome},
    report::Report,
};

/// The shortest passphrase that a new wallet takes, in characters.
const PASSPHRASE_CHARS_MIN: usize = 8;
/// How long a command waits for another one to let go of the wallet.
const WAIT: Duration = Duration::from_secs(10);

/// The wallet of this program: over HTTP.
pub type HttpWallet = Wallet<HttpTransport>;

impl WalletPlace {
    /// The wallet's folder.
    pub fn folder(&self) -> Outcome<PathBuf> {
        if let Some(folder) = &self.wallet {
            return Ok(folder.clone());
        }
        directories::ProjectDirs::from("", "", "bauta")
            .map(|folders| folders.data_dir().join("wallet"))
            .ok_or_else(|| {
                Failure::local("this system has no folder for your data")
                    .remedy("Name the wallet's folder with --wallet DIR.")
            })
    }

    /// Opens the wallet that is there.
    pub fn open(&self, report: &Report) -> Outcome<HttpWallet> {
        self.open_with(&self.protection(report)?, report)
    }

    /// Opens the wallet that is there in this way.
    pub fn open_with(&self, protection: &Protection, report: &Report) -> Outcome<HttpWallet> {
        Ok(Wallet::open(
            &self.folder()?,
            protection,
            WAIT,
            self.environment(report)?,
        )?)
    }

    /// What opens the wallet that is there.
    pub fn protection(&self, report: &Report) -> Outcome<Protection> {
        let kind = key::protection_of(&self.folder()?).map_err(bauta_wallet::WalletError::from)?;
        Ok(match kind {
            ProtectionKind::Unprotected => Protection::Unprotected,
            ProtectionKind::KeyFile => {
                Protection::KeyFile(self.key_file.clone().ok_or_else(|| {
                    Failure::local("the wallet opens with a key file")
                        .remedy("Name it with --key-file FILE.")
                })?)
            }
            ProtectionKind::Passphrase => {
                Protection::Passphrase(self.passphrase(report, "Passphrase: ")?)
            }
        })
    }

    /// How a new wallet will be protected.
    pub fn new_protection(&self, report: &Report, unprotected: bool) -> Outcome<Protection> {
        if unprotected {
            report.warn("Whoever can read the wallet's folder has the money in it.");
            return Ok(Protection::Unprotected);
        }
        if let Some(file) = &self.key_file {
            return Ok(Protection::KeyFile(file.clone()));
        }
        let question = format!("New passphrase ({PASSPHRASE_CHARS_MIN} characters at least): ");
        let passphrase = self.passphrase(report, &question)?;
        if passphrase.chars().count() < PASSPHRASE_CHARS_MIN {
            return Err(Failure::local(format!(
                "a passphrase has {PASSPHRASE_CHARS_MIN} characters at least"
            ))
            .remedy("Take a sentence that only you would say."));
        }
        if self.passphrase_file.is_none() && ask_secret("Again: ")? != passphrase {
            return Err(Failure::local("the two passphrases differ")
                .remedy("Nothing was changed. Run the command again."));
        }
        Ok(Protection::Passphrase(passphrase))
    }

    fn passphrase(&self, report: &Report, question: &str) -> Outcome<Zeroizing<String>> {
        match &self.passphrase_file {
            Some(file) => first_line(file),
            None if report.may_ask() => ask_secret(question),
            None => Err(
                Failure::local("the wallet needs a passphrase, and nobody can be asked")
                    .remedy("Name a file that holds it with --passphrase-file FILE."),
            ),
        }
    }

    /// The wallet's ways to the outside, with progress shown as `report` allows.
    pub fn environment(&self, report: &Report) -> Outcome<Environment<HttpTransport>> {
        Ok(Environment {
            transport: Arc::new(self.transport()?),
            clock: Arc::new(SystemClock),
            rng: Box::new(SystemRng::new()),
            observer: Box::new(progress(report.clone())),
        })
    }

    fn transport(&self) -> Outcome<HttpTransport> {
        let extra_root = match &self.ca {
            Some(file) => Some(fs::read(file).map_err(|error| {
                Failure::local(format!("{}: {error}", file.display()))
                    .remedy("Name a PEM file with --ca FILE.")
            })?),
            None => None,
        };
        HttpTransport::new(HttpOptions {
            extra_root,
            ..HttpOptions::default()
        })
        .map_err(|error| Failure::from_error(&error))
    }
}

/// Shows downloads and savings as they come.
pub fn progress(report: Report) -> impl FnMut(Event) + Send {
    let mut bar: Option<(&'static str, ProgressBar)> = None;
    move |event| {
        let (label, bytes, total) = match event {
            Event::Downloading {
                bytes, bytes_total, ..
            } => ("fetching", bytes, bytes_total),
            Event::Saving {
                bytes, bytes_total, ..
            } => ("opening", bytes, bytes_total),
            Event::Waiting { milliseconds } if milliseconds >= 1_000 => {
                return report.say(format!("  waiting {} s", milliseconds / 1_000));
            }
            _ => return,
        };
        if bar.as_ref().is_none_or(|(shown, _)| *shown != label) {
            bar = Some((label, report.bytes_bar(label, total)));
        }
        if let Some((_, shown)) = &bar {
            shown.set_length(total);
            shown.set_position(bytes);
            if bytes >= total {
                shown.finish_and_clear();
                bar = None;
            }
        }
    }
}

/// Asks without showing what is typed.
fn ask_secret(question: &str) -> Outcome<Zeroizing<String>> {
    Ok(Zeroizing::new(rpassword::prompt_password(question)?))
}

fn first_line(file: &Path) -> Outcome<Zeroizing<String>> {
    let text = fs::read_to_string(file)
        .map_err(|error| Failure::local(format!("{}: {error}", file.display())))?;
    let text = Zeroizing::new(text);
    Ok(Zeroizing::new(
        text.lines().next().unwrap_or_default().to_owned(),
    ))
}
