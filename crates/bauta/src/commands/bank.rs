//! `bauta bank`: what a bank's operator does. Works on the bank's store, beside the running bank.

use bauta_io::SystemClock;
use bauta_proto::{
    account::Standing,
    ids::AccountId,
    money::{Amount, Money},
    time::Clock,
};
use bauta_server::roles::bank::{
    BankConfig, bank_id,
    operator::{self, OperatorError},
};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::{
    arguments::ConfigFile,
    failure::{Exit, Failure, Outcome},
    report::{BAD, GOOD, Report, STRONG, table},
};

/// Which bank, and what to do.
#[derive(Debug, Args)]
pub struct BankOptions {
    /// The bank's configuration
    #[command(flatten)]
    pub config: ConfigFile,
    /// What to do
    #[command(subcommand)]
    pub command: OperatorCommand,
}

/// What an operator does.
#[derive(Debug, Subcommand)]
pub enum OperatorCommand {
    /// Credit an account with money that came in; opens the account if it is new
    Credit {
        /// The account, as the wallet printed it
        account: AccountId,
        /// How much, like 50EUR
        amount: Money,
        /// The number of the incoming payment: crediting it again changes nothing
        #[arg(long, value_name = "TEXT")]
        reference: String,
    },
    /// Book money that was paid out of an account
    Payout {
        /// The account
        account: AccountId,
        /// How much
        amount: Money,
        /// The number of the outgoing payment: booking it again changes nothing
        #[arg(long, value_name = "TEXT")]
        reference: String,
    },
    /// List accounts with their balances
    Accounts,
    /// Let nothing in or out of an account
    Freeze {
        /// The account
        account: AccountId,
    },
    /// Open a frozen account again
    Unfreeze {
        /// The account
        account: AccountId,
    },
    /// Print every account with its whole statement, one JSON object a line
    Export,
    /// Compare the books' totals with their rows
    Books,
    /// Print the bank's id
    Id,
}

/// An account as it is listed.
#[derive(Serialize)]
struct Listed {
    account: String,
    balance: String,
    currency: String,
    minor_units: u64,
    frozen: bool,
}

/// Does it.
pub fn run(options: BankOptions, report: &Report) -> Outcome {
    let config = options
        .config
        .load()?
        .bank
        .ok_or_else(|| options.config.lacks("bank"))?;
    let now = SystemClock.now();
    match options.command {
        OperatorCommand::Credit {
            account,
            amount,
            reference,
        } => {
            operator::credit(&config, account, amount, &reference, now)?;
            booked(
                report,
                format!("{amount} credited, once for the reference \"{reference}\"."),
            )
        }
        OperatorCommand::Payout {
            account,
            amount,
            reference,
        } => {
            operator::payout(&config, account, amount, &reference, now)?;
            booked(
                report,
                format!("{amount} paid out, once for the reference \"{reference}\"."),
            )
        }
        OperatorCommand::Freeze { account } => {
            operator::freeze(&config, account)?;
            booked(report, "Frozen: nothing goes in or out.")
        }
        OperatorCommand::Unfreeze { account } => {
            operator::unfreeze(&config, account)?;
            booked(report, "Open again.")
        }
        OperatorCommand::Accounts => accounts(&config, report),
        OperatorCommand::Export => export(&config),
        OperatorCommand::Books => books(&config, report),
        OperatorCommand::Id => {
            let id = bank_id(&super::seed_of(&config.key_file)?).hex();
            report.result(&serde_json::json!({ "ok": true, "bank": id }), |_| {
                id.clone()
            })
        }
    }
}

fn booked(report: &Report, text: impl AsRef<str>) -> Outcome {
    report.result(&serde_json::json!({ "ok": true }), |_| {
        text.as_ref().to_owned()
    })
}

fn accounts(config: &BankConfig, report: &Report) -> Outcome {
    let mut listed = Vec::new();
    operator::accounts(config, |row| {
        listed.push(Listed {
            account: row.account.hex(),
            balance: row.balance.to_string(),
            currency: row.balance.currency.to_string(),
            minor_units: row.balance.amount.minor_units(),
            frozen: row.standing == Standing::Frozen,
        });
    })?;
    report.result(&listed, |listed| {
        let accounts = listed.iter().map(|row| {
            let standing = if row.frozen { "frozen" } else { "open" };
            // An id is copied: it stays in one piece on every terminal.
            format!(
                "{}\n  {STRONG}{}{STRONG:#}, {standing}",
                row.account, row.balance
            )
        });
        let accounts: Vec<String> = accounts.collect();
        if accounts.is_empty() {
            return "No account yet. The first credit opens one: bauta bank credit".to_owned();
        }
        accounts.join("\n")
    })
}

/// One line an account and currency: it can be read and cut by line tools, whatever its size.
fn export(config: &BankConfig) -> Outcome {
    let mut rows = Vec::new();
    operator::accounts(config, |row| rows.push((row.account, row.balance.currency)))?;
    for (account, currency) in rows {
        let mut entries = Vec::new();
        operator::export(config, account, currency, |page| {
            entries.extend(page.entries.into_iter().map(|entry| {
                serde_json::json!({
                    "number": entry.number,
                    "booked_at": entry.booked_at.0,
                    "kind": entry.kind.name(),
                    "adds": entry.kind.adds(),
                    "minor_units": entry.amount.minor_units(),
                    "balance_minor_units": entry.balance.minor_units(),
                })
            }));
        })?;
        let line = serde_json::json!({
            "account": account.hex(), "currency": currency.to_string(), "entries": entries
        });
        crate::report::print_line(&line.to_string())?;
    }
    Ok(())
}

/// The books: totals as an accountant reads them, and whether every row agrees.
fn books(config: &BankConfig, report: &Report) -> Outcome {
    let audit = operator::audit(config)?;
    let currencies: Vec<_> = audit
        .currencies
        .iter()
        .map(|totals| {
            serde_json::json!({
                "currency": totals.currency.to_string(),
                "reserve": totals.reserve.minor_units(),
                "accounts": totals.accounts.minor_units(),
                "circulation": totals.circulation.minor_units(),
                "locked": totals.locked.minor_units(),
                "income": totals.income.minor_units(),
            })
        })
        .collect();
    let defects: Vec<String> = audit.defects.iter().map(ToString::to_string).collect();
    let result = serde_json::json!({ "ok": defects.is_empty(), "currencies": currencies, "defects": defects });
    report.result(&result, |_| {
        let rows = audit.currencies.iter().map(|totals| {
            let money = |amount: Amount| amount.of(totals.currency).to_string();
            [
                money(totals.reserve),
                money(totals.accounts),
                money(totals.circulation),
                money(totals.locked),
                money(totals.income),
            ]
        });
        let totals = table(
            [
                "reserve",
                "= accounts",
                "+ in circulation",
                "+ locked",
                "+ income",
            ],
            rows,
        );
        let verdict = if defects.is_empty() {
            format!("{GOOD}✓{GOOD:#} Every row agrees with these totals.")
        } else {
            format!("{BAD}✗{BAD:#} {}", defects.join("\n  "))
        };
        format!("{totals}\n{verdict}")
    })?;
    if audit.defects.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(Exit::Cheated, "the books do not balance").told())
    }
}

impl From<OperatorError> for Failure {
    fn from(error: OperatorError) -> Self {
        match error {
            OperatorError::Store(error) => Self::from(error).remedy(
                "Start the bank once before operating it; see that the data folder is right.",
            ),
            OperatorError::Refused(refusal) => Self::new(Exit::Refused, refusal)
                .remedy("Nothing was booked. See: bauta bank accounts"),
            error => Self::from_error(&error),
        }
    }
}
