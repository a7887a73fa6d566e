//! Making, restoring, protecting and examining a wallet.

use std::{fs, io::Write};

use bauta_wallet::{Protection, Wallet, doctor};
use zeroize::Zeroizing;

use super::{InitOptions, PassphraseOptions, RestoreOptions, WalletPlace, place::HttpWallet};
use crate::{
    failure::{Exit, Failure, Outcome},
    report::{BAD, FAINT, GOOD, Report, STRONG, WARNING},
};

/// Makes a wallet and shows its words, once.
pub fn init(place: &WalletPlace, options: &InitOptions, report: &Report) -> Outcome {
    let folder = place.folder()?;
    let protection = place.new_protection(report, options.no_passphrase)?;
    let wallet = Wallet::init(&folder, &protection, place.environment(report)?)?;
    let words = wallet.words();
    report.done(format!(
        "Your wallet is in {}{}.",
        folder.display(),
        match &protection {
            Protection::Unprotected => String::new(),
            Protection::Passphrase(_) => " and opens with the passphrase".to_owned(),
            Protection::KeyFile(file) =>
                format!(" and opens with {}; back that file up", file.display()),
        }
    ));
    if let Some(file) = &options.words_to {
        write_secret(file, &words)?;
        report.done(format!(
            "Its 24 words are in {}. Move them to a safe place.",
            file.display()
        ));
        return report.result(&serde_json::json!({ "ok": true, "wallet": folder }), |_| {
            String::new()
        });
    }
    let result = serde_json::json!({ "ok": true, "wallet": folder, "words": words.as_str() });
    report.result(&result, |_| {
        format!(
            "\n{}\n\n{STRONG}Write these words down and keep them where nobody finds them.{STRONG:#}\n\
             With them the money can be restored; whoever has them has the money.\n\
             They are not shown again.\n\n\
             Next: bauta wallet bank add URL",
            columns(&words)
        )
    })
}

/// The words in numbered columns.
fn columns(words: &str) -> String {
    let words: Vec<&str> = words.split_whitespace().collect();
    let rows = words.len().div_ceil(4);
    let row = |row: usize| {
        let cells = (row..words.len()).step_by(rows);
        cells
            .map(|index| format!("{:>4} {:<10}", index + 1, words[index]))
            .collect::<String>()
    };
    (0..rows).map(row).collect::<Vec<_>>().join("\n")
}

/// Makes a wallet again from its words and looks for its coins.
pub async fn restore(place: &WalletPlace, options: &RestoreOptions, report: &Report) -> Outcome {
    let words = match &options.words_from {
        Some(file) => Zeroizing::new(fs::read_to_string(file)?),
        None if report.may_ask() => Zeroizing::new(rpassword::prompt_password("The 24 words: ")?),
        None => {
            return Err(
                Failure::local("the words are needed, and nobody can be asked")
                    .remedy("Name a file that holds them with --words-from FILE."),
            );
        }
    };
    let protection = place.new_protection(report, options.no_passphrase)?;
    let folder = place.folder()?;
    let mut wallet = Wallet::restore(&folder, &protection, &words, place.environment(report)?)?;
    let mut found = Vec::new();
    for url in &options.banks {
        let bank = wallet.add_bank(url, None).await?;
        report.done(format!("{}: {} coins found", bank.url, bank.restored_coins));
        found.push(bank);
    }
    let result = serde_json::json!({ "ok": true, "wallet": folder, "banks": found, "balance": wallet.balance()? });
    report.result(&result, |_| {
        "Restored. See: bauta wallet balance".to_owned()
    })
}

/// Protects the wallet in another way.
pub fn passphrase(place: &WalletPlace, options: PassphraseOptions, report: &Report) -> Outcome {
    let old = place.protection(report)?;
    let mut wallet = place.open_with(&old, report)?;
    let protected = WalletPlace {
        passphrase_file: options.new_passphrase_file,
        key_file: options.new_key_file,
        ..place.clone()
    };
    let new: Protection = protected.new_protection(report, options.no_passphrase)?;
    wallet.change_protection(&old, &new)?;
    report.done("The wallet is protected in the new way.");
    report.result(&serde_json::json!({ "ok": true }), |_| String::new())
}

/// Looks for problems.
pub async fn doctor(mut wallet: HttpWallet, report: &Report) -> Outcome {
    let checks = wallet.doctor().await?;
    let failed = checks
        .iter()
        .filter(|check| check.outcome == doctor::Outcome::Fail)
        .count();
    report.result(
        &serde_json::json!({ "ok": failed == 0, "checks": checks }),
        |_| checks.iter().map(line).collect::<Vec<_>>().join("\n"),
    )?;
    match failed {
        0 => Ok(()),
        _ => Err(Failure::new(
            Exit::Local,
            format!("{failed} of {} checks failed", checks.len()),
        )
        .told()),
    }
}

fn line(check: &doctor::Check) -> String {
    let (style, mark) = match check.outcome {
        doctor::Outcome::Ok => (GOOD, "✓"),
        doctor::Outcome::Warn => (WARNING, "!"),
        doctor::Outcome::Fail => (BAD, "✗"),
    };
    let remedy = check
        .remedy
        .map(|remedy| format!("\n    {FAINT}{remedy}{FAINT:#}"));
    format!(
        "{style}{mark}{style:#} {}: {}{}",
        check.name,
        check.finding,
        remedy.unwrap_or_default()
    )
}

/// Writes what only the owner may read into a file that did not exist.
fn write_secret(path: &std::path::Path, text: &str) -> Outcome {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options
        .open(path)
        .map_err(|error| Failure::local(format!("{}: {error}", path.display())))?;
    writeln!(file, "{text}")?;
    Ok(file.sync_all()?)
}
