//! Banks that the wallet knows.

use super::{BankCommand, place::HttpWallet};
use crate::{
    failure::Outcome,
    report::{FAINT, Report, STRONG, ago, table},
};

/// Adds, lists, asks.
pub async fn run(mut wallet: HttpWallet, command: BankCommand, report: &Report) -> Outcome {
    match command {
        BankCommand::Add { url, expect } => {
            let bank = wallet.add_bank(&url, expect).await?;
            report.result(&bank, |bank| {
                format!(
                    "The wallet knows the bank at {}.\n  bank    {}\n  log     {}\n  account {STRONG}{}{STRONG:#}\n\n\
                     {FAINT}Compare bank and log with what the bank says elsewhere.\n\
                     Pay in to the account, naming it; then:\n\
                     bauta wallet withdraw AMOUNT{FAINT:#}",
                    bank.url,
                    bank.bank,
                    bank.logs.join("\n          "),
                    bank.account
                )
            })
        }
        BankCommand::List => {
            let banks = wallet.banks()?;
            report.result(&banks, |banks| {
                let rows = banks.iter().map(|bank| {
                    let (url, id, account) = (&bank.url, &bank.bank, &bank.account);
                    format!("{STRONG}{url}{STRONG:#}\n  bank    {id}\n  account {account}")
                });
                if banks.is_empty() {
                    return "No bank yet. Get to know one: bauta wallet bank add URL".to_owned();
                }
                rows.collect::<Vec<_>>().join("\n")
            })
        }
        BankCommand::Statement { bank, currency } => {
            let bank = wallet.find_bank(bank.as_deref())?;
            let statement = wallet.statement(bank, currency, 0).await?;
            report.result(&statement, |statement| {
                let rows = statement.entries.iter().map(|entry| {
                    let sign = if entry.adds { "+" } else { "-" };
                    [
                        entry.number.to_string(),
                        ago(entry.booked_at),
                        entry.kind.to_owned(),
                        format!("{sign}{}", entry.amount.text),
                        entry.balance.text.clone(),
                    ]
                });
                let frozen = if statement.is_frozen { " (frozen)" } else { "" };
                let entries = table(["no", "when", "what", "amount", "balance"], rows);
                format!(
                    "{STRONG}{}{STRONG:#}{frozen} in account {}\n{entries}",
                    statement.balance.text, statement.account
                )
            })
        }
    }
}
