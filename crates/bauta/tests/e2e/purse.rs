//! A customer's wallet, by the command line.

use std::{path::PathBuf, process::Command};

use serde_json::Value;

use crate::process::{Output, bauta, run};

/// One wallet.
pub(crate) struct Purse {
    pub(crate) folder: PathBuf,
    /// Its account at the town's bank.
    pub(crate) account: String,
    /// What was credited to the account, in minor units.
    pub(crate) credited: u64,
}

impl Purse {
    /// The command, ready for its arguments.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bauta();
        command
            .args(["wallet", "--json", "--no-input", "--wallet"])
            .arg(&self.folder)
            .args(arguments);
        command
    }

    /// Runs a command of the wallet.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        run(&mut self.command(arguments))
    }

    /// Where the words of a [`Town::customer`](crate::town::Town::customer) are.
    pub(crate) fn words_file(&self) -> PathBuf {
        self.folder.with_extension("words")
    }

    /// Makes a wallet whose folder is lost again from its words.
    pub(crate) fn restore(&self, bank: &str) -> Output {
        let words = self.words_file();
        let words = words.to_str().expect("plain names");
        let from = ["--words-from", words, "--bank", bank];
        self.run(&[&["restore", "--no-passphrase"], &from[..]].concat())
    }

    /// Goes on with everything until all of it is decided.
    #[track_caller]
    pub(crate) fn resume(&self) -> Value {
        self.run(&["resume", "--wait"]).good()
    }

    /// What can be spent, in minor units; nothing may be locked, pending or unsure.
    #[track_caller]
    pub(crate) fn settled(&self) -> u64 {
        let balances = self.run(&["balance"]).good();
        let mut available = 0;
        for balance in balances.as_array().expect("a list") {
            for open in ["locked", "pending"] {
                assert_eq!(balance[open], Value::Array(Vec::new()), "{balance}");
            }
            assert_eq!(balance["unsure"]["minor_units"], 0, "{balance}");
            available += units(&balance["available"]);
        }
        available
    }

    /// All purchases, the latest first.
    #[track_caller]
    pub(crate) fn purchases(&self) -> Vec<Value> {
        let list = self.run(&["list"]).good();
        list.as_array().expect("a list").clone()
    }

    /// What was paid for goods that are here, in minor units.
    #[track_caller]
    pub(crate) fn paid(&self) -> u64 {
        let purchases = self.purchases();
        let delivered = purchases
            .iter()
            .filter(|purchase| is_delivered(purchase))
            .map(|purchase| units(&purchase["price"]));
        delivered.sum()
    }
}

/// Whether the goods are here.
pub(crate) fn is_delivered(purchase: &Value) -> bool {
    purchase["state"] == "delivered" || purchase["state"] == "complete"
}

/// Minor units of an amount.
#[track_caller]
pub(crate) fn units(money: &Value) -> u64 {
    money["minor_units"].as_u64().expect("an amount")
}
