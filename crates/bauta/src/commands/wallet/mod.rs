//! `bauta wallet`: the customer's agent.

mod bank;
mod keep;
mod money;
mod place;
mod trade;

use std::path::PathBuf;

use bauta_proto::{ids::BankId, money::Money, offer::Mode};
use clap::{Args, Subcommand};

use crate::{failure::Outcome, report::Report};
pub use place::progress;

/// Does it.
pub fn run(options: WalletOptions, report: &Report) -> Outcome {
    let WalletOptions { place, command } = options;
    crate::runtime::block_on(async {
        match command {
            WalletCommand::Init(options) => keep::init(&place, &options, report),
            WalletCommand::Restore(options) => keep::restore(&place, &options, report).await,
            WalletCommand::Passphrase(options) => keep::passphrase(&place, options, report),
            WalletCommand::Doctor => keep::doctor(place.open(report)?, report).await,
            WalletCommand::Bank(command) => bank::run(place.open(report)?, command, report).await,
            WalletCommand::Withdraw { amount, bank } => {
                money::withdraw(place.open(report)?, amount, bank.as_deref(), report).await
            }
            WalletCommand::Balance => money::balance(&place.open(report)?, report),
            WalletCommand::Refresh => money::refresh(place.open(report)?, report).await,
            WalletCommand::Shop { url } => trade::shop(place.open(report)?, &url, report).await,
            WalletCommand::Buy(options) => trade::buy(place.open(report)?, &options, report).await,
            WalletCommand::List => trade::list(&place.open(report)?, report),
            WalletCommand::Show { purchase } => {
                trade::show(&place.open(report)?, &purchase, report)
            }
            WalletCommand::Receipt { purchase } => {
                trade::receipt(&place.open(report)?, &purchase, report)
            }
            WalletCommand::Cancel { purchase } => {
                trade::cancel(place.open(report)?, &purchase, report).await
            }
            WalletCommand::Save(options) => {
                trade::save(place.open(report)?, &options, report).await
            }
            WalletCommand::Open { purchase } => {
                trade::open(place.open(report)?, &purchase, report).await
            }
            WalletCommand::Resume { wait } => {
                trade::resume(place.open(report)?, wait, report).await
            }
        }
    })
}

/// Which wallet, and what to do with it.
#[derive(Debug, Args)]
pub struct WalletOptions {
    /// How to reach the wallet
    #[command(flatten)]
    pub place: WalletPlace,
    /// What to do
    #[command(subcommand)]
    pub command: WalletCommand,
}

/// Where the wallet is and how it opens.
#[derive(Clone, Debug, Args)]
pub struct WalletPlace {
    /// The wallet's folder [default: bauta/wallet in your data folder]
    #[arg(long, short, env = "BAUTA_WALLET", value_name = "DIR", global = true)]
    pub wallet: Option<PathBuf>,
    /// Read the passphrase from a file's first line
    #[arg(
        long,
        env = "BAUTA_PASSPHRASE_FILE",
        value_name = "FILE",
        global = true
    )]
    pub passphrase_file: Option<PathBuf>,
    /// Open the wallet with this key file (an age identity) instead of a passphrase; init and restore make a file that
    /// does not exist
    #[arg(long, env = "BAUTA_KEY_FILE", value_name = "FILE", global = true)]
    pub key_file: Option<PathBuf>,
    /// Trust this certificate authority too (a PEM file), for services with a private one
    #[arg(long, env = "BAUTA_CA", value_name = "FILE", global = true)]
    pub ca: Option<PathBuf>,
}

/// What to do with a wallet.
#[derive(Debug, Subcommand)]
pub enum WalletCommand {
    /// Make a new wallet and show its words, once
    Init(InitOptions),
    /// Make a wallet again from its words and find its coins at the banks
    Restore(RestoreOptions),
    /// Change the passphrase, or move to another way of protection
    Passphrase(PassphraseOptions),
    /// Know banks
    #[command(subcommand)]
    Bank(BankCommand),
    /// Take coins out of an account
    Withdraw {
        /// How much, like 20EUR
        amount: Money,
        /// Which bank (its address or the beginning of its id); needed only when the wallet knows several
        #[arg(long, value_name = "BANK")]
        bank: Option<String>,
    },
    /// Show what you hold, each figure explained
    Balance,
    /// Look around in a shop
    Shop {
        /// The shop's address
        url: String,
    },
    /// Buy one good
    Buy(BuyOptions),
    /// List purchases
    List,
    /// Show one purchase with its receipt
    Show {
        /// The purchase: the beginning of its id or txid, or "last"
        purchase: String,
    },
    /// Print a purchase's receipt, in the C2SP tlog-proof format
    Receipt {
        /// The purchase
        purchase: String,
    },
    /// Give a purchase up: at once if nothing is paid; with --mode safe also when the money is locked, until the seller
    /// commits
    Cancel {
        /// The purchase: the beginning of its id or txid, or "last"
        purchase: String,
    },
    /// Save what was bought as a file
    Save(SaveOptions),
    /// Save what was bought into a temporary folder and open it with its program
    Open {
        /// The purchase: the beginning of its id or txid, or "last"
        purchase: String,
    },
    /// Go on with everything that was interrupted
    Resume {
        /// Wait until everything is decided instead of looking once
        #[arg(long)]
        wait: bool,
    },
    /// Exchange coins that expire soon for new ones
    Refresh,
    /// Look for problems and say what to do
    Doctor,
}

/// How to protect a new wallet.
#[derive(Debug, Args)]
pub struct InitOptions {
    /// Keep the wallet unprotected: whoever reads the folder has the money
    #[arg(long)]
    pub no_passphrase: bool,
    /// Write the words to this file instead of the screen; it must not exist
    #[arg(long, value_name = "FILE")]
    pub words_to: Option<PathBuf>,
}

/// How to protect a wallet from now on; asks for a passphrase unless told otherwise.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct PassphraseOptions {
    /// Read the new passphrase from a file's first line
    #[arg(long, value_name = "FILE")]
    pub new_passphrase_file: Option<PathBuf>,
    /// From now on, open the wallet with this key file (an age identity)
    #[arg(long, value_name = "FILE")]
    pub new_key_file: Option<PathBuf>,
    /// Keep the wallet unprotected from now on
    #[arg(long)]
    pub no_passphrase: bool,
}

/// From which words.
#[derive(Debug, Args)]
pub struct RestoreOptions {
    /// Read the words from a file instead of asking
    #[arg(long, value_name = "FILE")]
    pub words_from: Option<PathBuf>,
    /// The banks at which the wallet had money
    #[arg(long = "bank", value_name = "URL", required = true)]
    pub banks: Vec<String>,
    /// Keep the wallet unprotected: whoever reads the folder has the money
    #[arg(long)]
    pub no_passphrase: bool,
}

/// What to do about banks.
#[derive(Debug, Subcommand)]
pub enum BankCommand {
    /// Get to know a bank; prints your account there
    Add {
        /// The bank's address
        url: String,
        /// Refuse unless the bank has this id
        #[arg(long, value_name = "BANK")]
        expect: Option<BankId>,
    },
    /// List known banks with your account at each
    List,
    /// Show an account's balance and entries
    Statement {
        /// Which bank (its address or the beginning of its id); needed only when the wallet knows several
        #[arg(long, value_name = "BANK")]
        bank: Option<String>,
        /// The currency
        #[arg(long, default_value = "EUR")]
        currency: bauta_proto::money::Currency,
    },
}

/// What to buy and how.
#[derive(Debug, Args)]
pub struct BuyOptions {
    /// The shop's address, or the good's as `wallet shop` lists it
    pub url: String,
    /// The good: its id, the beginning of it, or of its title; needed only when the shop has several
    pub good: Option<String>,
    /// Refuse to pay more than this
    #[arg(long, value_name = "AMOUNT")]
    pub max: Option<Money>,
    /// Pay from this bank (its address or the beginning of its id)
    #[arg(long, value_name = "BANK")]
    pub bank: Option<String>,
    /// How the purchase is decided. fast: one step, the quickest. safe: cancellable until the seller commits, a little
    /// slower. auto: fast unless the shop sells only safe
    #[arg(long, value_enum, default_value_t)]
    pub mode: ModeChoice,
    /// Lock the money for this many seconds at most [default: as short as the shop allows]
    #[arg(long, value_name = "SECONDS")]
    pub lock_for: Option<u32>,
    /// Pay from the account, by name, instead of with anonymous coins
    #[arg(long)]
    pub from_account: bool,
    /// Pay without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Save the good to this file or folder when it has arrived
    #[arg(long, short, value_name = "PATH")]
    pub output: Option<PathBuf>,
}

/// How a purchase is to be decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ModeChoice {
    /// One step, the quickest
    Fast,
    /// Cancellable until the seller commits
    Safe,
    /// Fast unless the shop sells only safe
    #[default]
    Auto,
}

impl From<ModeChoice> for Option<Mode> {
    fn from(choice: ModeChoice) -> Self {
        match choice {
            ModeChoice::Fast => Some(Mode::Fast),
            ModeChoice::Safe => Some(Mode::Safe),
            ModeChoice::Auto => None,
        }
    }
}

/// Where to save.
#[derive(Debug, Args)]
pub struct SaveOptions {
    /// The purchase: the beginning of its id or txid, or "last"
    pub purchase: String,
    /// A file or folder [default: this folder, under the name that the shop gave, made safe]
    pub path: Option<PathBuf>,
    /// Overwrite an existing file
    #[arg(long)]
    pub force: bool,
}
