//! `bauta bank`: what a bank's operator does. Works on the bank's store, beside the running bank.

use bauta_proto::{ids::AccountId, money::Money};
use clap::{Args, Subcommand};

use crate::arguments::ConfigFile;

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
    /// Print all accounts and entries as JSON lines
    Export,
    /// Compare the books' totals with their rows
    Books,
    /// Print the bank's id
    Id,
}
