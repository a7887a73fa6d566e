//! What is in order and what is not.

use bauta_proto::{log::receipt::Receipt, transport::Transport};
use serde::Serialize;

use crate::{
    error::{Result, WalletError},
    holdings::is_ageing,
    key::{self, ProtectionKind},
    purchase::Purchase,
    records::{Bank, Coin, CoinUse, Intent},
    wallet::Wallet,
};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// In order.
    Ok,
    /// Something should be done some time.
    Warn,
    /// Something is wrong.
    Fail,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it came out.
    pub outcome: Outcome,
    /// What was seen.
    pub finding: String,
    /// What to do, unless it is in order.
    pub remedy: Option<&'static str>,
}

impl Check {
    fn ok(name: impl Into<String>, finding: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            outcome: Outcome::Ok,
            finding: finding.into(),
            remedy: None,
        }
    }

    fn warn(name: impl Into<String>, finding: impl Into<String>, remedy: &'static str) -> Self {
        Self {
            outcome: Outcome::Warn,
            remedy: Some(remedy),
            ..Self::ok(name, finding)
        }
    }

    fn of<V>(name: String, outcome: Result<V>, finding: impl FnOnce(V) -> String) -> Self {
        match outcome {
            Ok(value) => Self::ok(name, finding(value)),
            Err(error) => Self {
                outcome: Outcome::Fail,
                remedy: Some(error.remedy()),
                ..Self::ok(name, error.to_string())
            },
        }
    }
}

impl<T: Transport> Wallet<T> {
    /// Looks at everything: the folder, every bank and log, the clock, and what is unfinished. Changes nothing but newly
    /// published keysets.
    ///
    /// # Errors
    /// [`WalletError::Store`] when not even the records can be read.
    pub async fn doctor(&mut self) -> Result<Vec<Check>> {
        let mut checks = vec![self.check_key(), self.check_downloads()];
        for bank in self.store.all::<Bank>()? {
            let name = |what: &str| format!("{what} of {}", bank.url);
            let reached = self.refresh_keysets(bank.bank).await;
            checks.push(Check::of(name("keysets"), reached, |()| {
                "published".to_owned()
            }));
            let receipts = self.check_receipts(&bank);
            checks.push(Check::of(name("receipts"), receipts, |count| {
                format!("{count} keysets stand in the log")
            }));
            let clock = self.checked_clock(&bank, self.now()).await;
            checks.push(Check::of(name("log and clock"), clock, |logs| {
                format!("{} of its logs answer; clocks agree", logs.len())
            }));
        }
        checks.push(self.check_coins()?);
        checks.push(self.check_unfinished()?);
        Ok(checks)
    }

    fn check_key(&self) -> Check {
        let name = "storage key";
        match key::protection_of(self.folder()) {
            Ok(ProtectionKind::Unprotected) => Check::warn(
                name,
                "kept without a passphrase",
                "Set a passphrase, unless nobody else reads this folder.",
            ),
            Ok(ProtectionKind::Passphrase) => Check::ok(name, "under a passphrase"),
            Ok(ProtectionKind::KeyFile) => Check::ok(name, "under a key file"),
            Err(error) => Check::of(name.to_owned(), Err::<(), _>(error.into()), |()| {
                String::new()
            }),
        }
    }

    /// The receipts of all keysets again, as they are stored.
    fn check_receipts(&self, bank: &Bank) -> Result<usize> {
        let policy = bank.parsed_policy()?;
        let keysets = self.keysets(bank.bank)?;
        for known in &keysets {
            let keyset = known.keyset();
            let leaf = crate::bank::keyset_leaf(keyset);
            Receipt::from_text(&known.published.receipt)
                .and_then(|receipt| receipt.check(&leaf, &policy))
                .map_err(|_| WalletError::BadKeyset)?;
        }
        Ok(keysets.len())
    }

    fn check_coins(&self) -> Result<Check> {
        let now = self.now();
        let coins = self.store.all::<Coin>()?;
        let mut ageing = 0;
        for coin in &coins {
            let keyset = self.keyset(coin.bank, coin.slot.keyset)?;
            ageing += usize::from(is_ageing(&keyset, now));
        }
        let unsure = coins.iter().filter(|coin| coin.state == CoinUse::Unsure);
        let unsure = unsure.count();
        Ok(if ageing > 0 {
            let finding = format!("{ageing} of {} coins end soon", coins.len());
            Check::warn("coins", finding, "Run refresh.")
        } else if unsure > 0 {
            let finding = format!("{unsure} coins have to be asked about");
            Check::warn("coins", finding, "Run resume.")
        } else {
            Check::ok("coins", format!("{} coins, none ends soon", coins.len()))
        })
    }

    fn check_unfinished(&self) -> Result<Check> {
        let mut purchases = self.store.all::<Purchase>()?;
        purchases.retain(|purchase| !purchase.is_ended());
        let unfinished = purchases.len() + self.store.all::<Intent>()?.len();
        Ok(if unfinished == 0 {
            Check::ok("unfinished", "nothing")
        } else {
            let finding = format!("{unfinished} purchases or requests");
            Check::warn("unfinished", finding, "Run resume.")
        })
    }

    fn check_downloads(&self) -> Check {
        let folder = self.folder().join("downloads");
        let sizes = std::fs::read_dir(folder).map(|entries| {
            let files = entries.flatten().filter_map(|entry| entry.metadata().ok());
            files.map(|metadata| metadata.len()).sum::<u64>()
        });
        let name = "downloads".to_owned();
        Check::of(name, sizes.map_err(WalletError::from), |bytes| {
            format!("{bytes} bytes of encrypted files are kept")
        })
    }
}
