//! `bauta shop`: what a merchant does. Works on the shop's store, beside the running shop.

use std::path::PathBuf;

use bauta_proto::{ids::GoodId, money::Money};
use clap::{Args, Subcommand};

use crate::arguments::ConfigFile;

/// Which shop, and what to do.
#[derive(Debug, Args)]
pub struct ShopOptions {
    /// The shop's configuration
    #[command(flatten)]
    pub config: ConfigFile,
    /// What to do
    #[command(subcommand)]
    pub command: ShopCommand,
}

/// What a merchant does.
#[derive(Debug, Subcommand)]
pub enum ShopCommand {
    /// Offer a file for sale; a folder is sold as one tar file
    Add(AddOptions),
    /// Offer a new version of a good; who bought the old one keeps it
    Update {
        /// The good
        good: GoodId,
        /// The new version
        #[command(flatten)]
        add: AddOptions,
    },
    /// List goods
    List,
    /// Take a good off the shelf
    Withdraw {
        /// The good
        good: GoodId,
    },
    /// List orders with state, reason and who must act next
    Orders {
        /// Only those that are not settled
        #[arg(long)]
        open: bool,
    },
    /// Print the merchant's id and its accounts at banks
    Id,
}

/// What is sold.
#[derive(Debug, Args)]
pub struct AddOptions {
    /// The file or folder
    pub path: PathBuf,
    /// Its price, like 4.99EUR
    #[arg(long)]
    pub price: Money,
    /// What it is called in the shop [default: the file's name]
    #[arg(long)]
    pub title: Option<String>,
    /// What it is; the customer relies on it
    #[arg(long, default_value = "")]
    pub description: String,
    /// Under which licence it is sold
    #[arg(long, default_value = "")]
    pub licence: String,
    /// When money is given back
    #[arg(long, default_value = "")]
    pub refund_rule: String,
    /// Media type of the file [default: by its name]
    #[arg(long)]
    pub media_type: Option<String>,
}
