//! Banks: adding one, keeping its keysets up to date, and the owner's account there.

use bauta_proto::{
    account::{EntryKind, Standing, StatementRequest},
    codec::Message,
    coin::{Keyset, KeysetList, PublishedKeyset},
    ids::{AccountId, BankId},
    limits::POLICY_BYTES_MAX,
    log::{leaf::Leaf, policy::Policy, receipt::Receipt},
    money::Currency,
    submission::Record as LogRecord,
    transport::{CallError, Transport, address, bank as endpoints},
};
use url::Url;

use crate::{
    error::{Result, WalletError},
    observer::{Send, Write},
    records::{Bank, Branch, KnownKeyset},
    report::MoneyReport,
    store::Batch,
    wallet::Wallet,
};

/// A bank as the wallet knows it. The owner compares id and log keys with what the bank says by another way.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct BankReport {
    /// The bank's key.
    pub bank: String,
    /// Where it is reached.
    pub url: String,
    /// The owner's account there, to be named when paying in.
    pub account: String,
    /// Verifier keys of the logs that the bank goes by.
    pub logs: Vec<String>,
    /// Keysets that stand in the log.
    pub keysets: usize,
    /// Keysets that were refused because they do not stand in the log.
    pub unlogged: usize,
    /// Coins that were found again, in a restored wallet.
    pub restored_coins: usize,
}

/// The owner's account at a bank.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AccountReport {
    /// The account's id.
    pub account: String,
    /// What it holds.
    pub balance: MoneyReport,
    /// Whether the operator has frozen it.
    pub is_frozen: bool,
    /// The most recent entries, oldest first.
    pub entries: Vec<AccountEntry>,
}

/// A line of an account's statement.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AccountEntry {
    /// Counts from 1.
    pub number: u64,
    /// Seconds since 1970.
    pub booked_at: u64,
    /// Why.
    pub kind: &'static str,
    /// Whether it adds to the balance.
    pub adds: bool,
    /// How much.
    pub amount: MoneyReport,
    /// The balance afterwards.
    pub balance: MoneyReport,
}

/// What a bank publishes, checked.
struct Published {
    policy: Policy,
    bank: BankId,
    keysets: Vec<KnownKeyset>,
    unlogged: usize,
}

impl<T: Transport> Wallet<T> {
    /// Gets to know the bank at `url`, and finds its coins again in a restored wallet.
    ///
    /// The first answer is believed, unless `expect` says otherwise; from then on another bank or log policy at the same
    /// address is refused.
    ///
    /// # Errors
    /// [`WalletError::BankChanged`], [`WalletError::PolicyChanged`], [`WalletError::UnexpectedBank`],
    /// [`WalletError::NoKeyset`] and others; nothing is kept then.
    pub async fn add_bank(&mut self, url: &str, expect: Option<BankId>) -> Result<BankReport> {
        let url = checked_address(url)?;
        let published = self.published(&url, expect).await?;
        let known = self.known_bank(&url, &published)?;
        let branch = match known {
            Some(bank) => bank.branch,
            None if self.is_restored => Branch::Unscanned,
            None => Branch::Device(0),
        };
        let bank = Bank {
            bank: published.bank,
            url,
            policy: published.policy.text().to_owned(),
            branch,
            added_at: self.now(),
        };
        let mut batch = Batch::new();
        batch.put(&bank);
        published
            .keysets
            .iter()
            .for_each(|keyset| batch.put(keyset));
        self.commit(Write::Bank, batch)?;
        let restored_coins = match bank.branch {
            Branch::Unscanned => self.scan(&bank).await?,
            Branch::Device(_) => 0,
        };
        if restored_coins > 0 {
            // The coins move to this wallet's own branch, which is thereby in use for every later restore.
            match self.refresh().await {
                Err(error) if !error.is_temporary() => return Err(error),
                _ => {}
            }
        }
        let mut report = self.bank_report(&bank)?;
        report.unlogged = published.unlogged;
        report.restored_coins = restored_coins;
        Ok(report)
    }

    /// Fetches a known bank's keysets again.
    ///
    /// # Errors
    /// As [`Wallet::add_bank`].
    pub async fn refresh_keysets(&mut self, bank: BankId) -> Result<()> {
        let bank = self.bank(bank)?;
        let published = self.published(&bank.url, Some(bank.bank)).await?;
        self.known_bank(&bank.url, &published)?;
        let mut batch = Batch::new();
        for keyset in &published.keysets {
            let name = crate::store::Record::name(keyset);
            if self.store.one::<KnownKeyset>(&name)?.is_none() {
                batch.put(keyset);
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.commit(Write::Bank, batch)
    }

    /// All banks.
    ///
    /// # Errors
    /// [`WalletError::Store`].
    pub fn banks(&self) -> Result<Vec<BankReport>> {
        let banks = self.store.all::<Bank>()?;
        banks.iter().map(|bank| self.bank_report(bank)).collect()
    }

    /// The bank that `text` means: its address, its id or the beginning of it; without a text, the only one.
    ///
    /// # Errors
    /// [`WalletError::UnknownBank`] or [`WalletError::AmbiguousBank`].
    pub fn find_bank(&self, text: Option<&str>) -> Result<BankId> {
        let mut banks = self.store.all::<Bank>()?;
        if let Some(text) = text {
            let text = text.trim_end_matches('/');
            banks.retain(|bank| bank.url == text || bank.bank.hex().starts_with(text));
        }
        match banks.as_slice() {
            [] => Err(WalletError::UnknownBank),
            [bank] => Ok(bank.bank),
            _ => Err(WalletError::AmbiguousBank),
        }
    }

    /// The owner's account at a bank.
    #[must_use]
    pub fn account(&self, bank: BankId) -> AccountId {
        AccountId::from(self.seed.account_key(bank).verifying_key())
    }

    /// The account's balance and its entries after number `after`.
    ///
    /// # Errors
    /// [`WalletError::Bank`].
    pub async fn statement(
        &mut self,
        bank: BankId,
        currency: Currency,
        after: u64,
    ) -> Result<AccountReport> {
        let url = self.bank(bank)?.url;
        let account = self.account(bank);
        let request = StatementRequest {
            bank,
            account,
            currency,
            after,
            asked_at: self.now(),
        };
        let request = request.signed(&self.seed.account_key(bank));
        let statement = self
            .call::<endpoints::AccountStatement>(Send::Bank, &url, &request)
            .await
            .map_err(WalletError::Bank)?;
        let entry = |entry: &bauta_proto::account::Entry| AccountEntry {
            number: entry.number,
            booked_at: entry.booked_at.0,
            kind: entry_kind(entry.kind),
            adds: entry.kind.adds(),
            amount: entry.amount.of(currency).into(),
            balance: entry.balance.of(currency).into(),
        };
        Ok(AccountReport {
            account: account.hex(),
            balance: statement.balance.of(currency).into(),
            is_frozen: statement.standing == Standing::Frozen,
            entries: statement.entries.iter().map(entry).collect(),
        })
    }

    /// A bank whose branch is known, looking for it first in a restored wallet that was interrupted.
    pub(crate) async fn scanned_bank(&mut self, bank: BankId) -> Result<Bank> {
        let bank = self.bank(bank)?;
        if bank.branch == Branch::Unscanned {
            self.scan(&bank).await?;
        }
        self.bank(bank.bank)
    }

    /// The newest keyset of a currency that issues now; asks the bank when none is known.
    pub(crate) async fn issuing_keyset(
        &mut self,
        bank: &Bank,
        currency: Currency,
    ) -> Result<Keyset> {
        if let Some(keyset) = self.newest_issuing(bank.bank, currency)? {
            return Ok(keyset);
        }
        self.refresh_keysets(bank.bank).await?;
        let keyset = self.newest_issuing(bank.bank, currency)?;
        keyset.ok_or(WalletError::NotIssuing)
    }

    fn newest_issuing(&self, bank: BankId, currency: Currency) -> Result<Option<Keyset>> {
        let now = self.now();
        let keysets = self.keysets(bank)?.into_iter();
        Ok(keysets
            .map(|known| known.published.keyset.body)
            .filter(|keyset| keyset.currency == currency && keyset.issues_at(now))
            .max_by_key(|keyset| keyset.issue_from))
    }

    pub(crate) fn keysets(&self, bank: BankId) -> Result<Vec<KnownKeyset>> {
        let mut keysets = self.store.all::<KnownKeyset>()?;
        keysets.retain(|known| known.keyset().bank == bank);
        Ok(keysets)
    }

    fn bank_report(&self, bank: &Bank) -> Result<BankReport> {
        let policy = bank.parsed_policy()?;
        Ok(BankReport {
            bank: bank.bank.hex(),
            url: bank.url.clone(),
            account: self.account(bank.bank).hex(),
            logs: policy
                .logs()
                .iter()
                .map(|log| log.key.to_string())
                .collect(),
            keysets: self.keysets(bank.bank)?.len(),
            unlogged: 0,
            restored_coins: 0,
        })
    }

    async fn published(&mut self, url: &str, expect: Option<BankId>) -> Result<Published> {
        let policy_url = address(url, endpoints::POLICY_PATH);
        let text = self.fetch(Send::Bank, policy_url, POLICY_BYTES_MAX).await;
        let text = String::from_utf8(text.map_err(WalletError::Bank)?)
            .map_err(|_| WalletError::BankAnswer)?;
        let keysets_url = address(url, endpoints::KEYSETS_PATH);
        let list = self
            .fetch(Send::Bank, keysets_url, KeysetList::BYTES_MAX)
            .await
            .map_err(WalletError::Bank)?;
        let list =
            KeysetList::from_bytes(&list).map_err(|error| WalletError::Bank(error.into()))?;
        checked_publication(text.parse()?, list, expect)
    }

    /// The bank's record, if it is known; refuses when address, id and policy do not belong together as before.
    fn known_bank(&self, url: &str, published: &Published) -> Result<Option<Bank>> {
        let banks = self.store.all::<Bank>()?;
        for bank in &banks {
            if bank.url == url && bank.bank != published.bank {
                let found = published.bank;
                return Err(WalletError::BankChanged { found });
            }
            if bank.bank == published.bank && bank.policy != published.policy.text() {
                return Err(WalletError::PolicyChanged);
            }
        }
        Ok(banks.into_iter().find(|bank| bank.bank == published.bank))
    }
}

/// Why a published keyset is not used.
enum KeysetDefect {
    /// Its signature or its content is wrong.
    Bad,
    /// It does not stand in the log.
    Unlogged,
}

fn checked_publication(
    policy: Policy,
    list: KeysetList,
    expect: Option<BankId>,
) -> Result<Published> {
    let first = list.keysets.first();
    let bank = first
        .ok_or(WalletError::NoKeyset { unlogged: 0 })?
        .keyset
        .body
        .bank;
    if expect.is_some_and(|expected| expected != bank) {
        return Err(WalletError::UnexpectedBank { found: bank });
    }
    let mut keysets = Vec::new();
    let mut unlogged = 0;
    for published in list.keysets {
        match check_keyset(&published, bank, &policy) {
            Ok(()) => keysets.push(KnownKeyset { published }),
            Err(KeysetDefect::Unlogged) => unlogged += 1,
            Err(KeysetDefect::Bad) => return Err(WalletError::BadKeyset),
        }
    }
    if keysets.is_empty() {
        return Err(WalletError::NoKeyset { unlogged });
    }
    Ok(Published {
        policy,
        bank,
        keysets,
        unlogged,
    })
}

/// Signed by the bank, consistent, and seen by everybody.
fn check_keyset(
    published: &PublishedKeyset,
    bank: BankId,
    policy: &Policy,
) -> std::result::Result<(), KeysetDefect> {
    let keyset = published.keyset.verified(&bank.key());
    let keyset = keyset.map_err(|_| KeysetDefect::Bad)?;
    if keyset.bank != bank || !keyset.is_consistent() {
        return Err(KeysetDefect::Bad);
    }
    let leaf = keyset_leaf(keyset);
    Receipt::from_text(&published.receipt)
        .and_then(|receipt| receipt.check(&leaf, policy))
        .map_err(|_| KeysetDefect::Unlogged)?;
    Ok(())
}

/// The leaf with which a keyset stands in the log.
pub(crate) fn keyset_leaf(keyset: &Keyset) -> Leaf {
    LogRecord {
        bank: keyset.bank,
        valid_until: keyset.settle_until,
        subject: keyset.keyset_id().0,
    }
    .leaf()
}

/// Whether the bank has decided not to do what was asked. A refusal that is not one of a bank's own (another role at the
/// address, a request that is not understood) decides nothing: the request may have been done before.
pub(crate) fn is_decided(error: &CallError) -> bool {
    const OWN: std::ops::Range<u16> = 2_000..3_000;
    matches!(error, CallError::Refused(problem) if OWN.contains(&(problem.kind as u16)) && !problem.is_temporary())
}

/// An address in one form, so that the same one is recognised.
pub(crate) fn checked_address(text: &str) -> Result<String> {
    let url = Url::parse(text.trim()).map_err(|_| WalletError::Address)?;
    let is_plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !is_plain {
        return Err(WalletError::Address);
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

const fn entry_kind(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Credit => "credit",
        EntryKind::Withdrawal => "withdrawal",
        EntryKind::Locked => "locked",
        EntryKind::Released => "released",
        EntryKind::Claim => "claim",
        EntryKind::Payout => "payout",
    }
}
