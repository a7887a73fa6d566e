//! Purchases as programs and people see them.

use bauta_proto::transport::Transport;
use serde::Serialize;

use super::{
    CancelOutcome, Defect, PayerKind, Purchase, PurchaseId, Stage, cancel::cancellable_until,
};
use crate::{
    error::{Result, WalletError},
    file_name::safe_file_name,
    report::MoneyReport,
    shop::printable,
    wallet::Wallet,
};

/// Where a purchase stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PurchaseState {
    /// The shop has not answered the order.
    Ordering,
    /// The ciphertext is being fetched.
    Downloading,
    /// Nothing is locked yet.
    Ready,
    /// The bank has not answered the lock request.
    Locking,
    /// The money is locked and the goods are not here.
    Locked,
    /// The goods can be opened; the receipt is still to come.
    Delivered,
    /// The goods can be opened and the receipt is here.
    Complete,
    /// Not delivered; the money is back.
    Returned,
    /// Ended before anything was paid.
    Refused,
}

/// One purchase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PurchaseReport {
    /// Its id in this wallet.
    pub id: PurchaseId,
    /// Where it stands.
    pub state: PurchaseState,
    /// What was bought.
    pub title: String,
    /// Where.
    pub shop: String,
    /// The merchant's key.
    pub merchant: Option<String>,
    /// The key by which the merchant knows the customer in this purchase.
    pub pseudonym: Option<String>,
    /// What it costs.
    pub price: MoneyReport,
    /// Whether the account paid, by name.
    pub named: bool,
    /// When it was begun, in seconds since 1970.
    pub created_at: u64,
    /// The purchase's name between customer and merchant.
    pub txid: Option<String>,
    /// The lock's name in public.
    pub lock_tag: Option<String>,
    /// How it is decided: `fast`, or `safe`.
    pub mode: &'static str,
    /// Until when it can be cancelled with money locked, unless the seller commits before; none when it cannot.
    pub cancellable_until: Option<u64>,
    /// What became of the wish to cancel it.
    pub cancel: Option<CancelOutcome>,
    /// When the money returns if it does not pay.
    pub expires_at: Option<u64>,
    /// The file's name, made safe.
    pub file_name: Option<String>,
    /// Media type of the file.
    pub media_type: Option<String>,
    /// Description on which the purchase relies.
    pub description: Option<String>,
    /// Licence.
    pub licence: Option<String>,
    /// Refund rule.
    pub refund_rule: Option<String>,
    /// Length of the file.
    pub bytes: Option<u64>,
    /// BLAKE3 of the file.
    pub blake3: Option<String>,
    /// Whether the log's receipt is here and was verified by the bank's log policy.
    pub receipt_verified: bool,
    /// What is wrong with the goods.
    pub defect: Option<Defect>,
    /// What went wrong last.
    pub trouble: Option<String>,
}

impl From<&Purchase> for PurchaseReport {
    fn from(purchase: &Purchase) -> Self {
        let offered = purchase.stage.offered();
        let offer = offered.map(|offered| &offered.reply.offer.body);
        let terms = offered.map(|offered| &offered.reply.terms);
        let lock = purchase.stage.accepting().map(|accepting| &accepting.lock);
        let merchant = match &purchase.stage {
            Stage::Ordering(ordering) => Some(ordering.order.merchant),
            _ => offer.map(|offer| offer.merchant),
        };
        Self {
            id: purchase.id,
            state: state(&purchase.stage),
            title: purchase.title.clone(),
            shop: purchase.shop_url.clone(),
            merchant: merchant.map(|merchant| merchant.hex()),
            pseudonym: offer.map(|offer| offer.pseudonym.hex()),
            price: purchase.listed.into(),
            named: purchase.payer == PayerKind::Account,
            created_at: purchase.created_at.0,
            txid: offer.map(|offer| offer.txid().hex()),
            lock_tag: lock.map(|lock| lock.lock_tag().hex()),
            mode: purchase.mode().name(),
            cancellable_until: cancellable_until(purchase).map(|until| until.0),
            cancel: purchase.cancel.as_ref().map(|cancel| cancel.outcome),
            expires_at: lock.map(|lock| lock.public.expiry.0),
            file_name: terms.map(|terms| safe_file_name(&terms.file_name)),
            media_type: terms.map(|terms| printable(&terms.media_type)),
            description: terms.map(|terms| printable(&terms.description)),
            licence: terms.map(|terms| printable(&terms.licence)),
            refund_rule: terms.map(|terms| printable(&terms.refund_rule)),
            bytes: offer.map(|offer| offer.pt_len),
            blake3: offer.map(|offer| offer.pt_root.hex()),
            receipt_verified: !receipts(&purchase.stage).is_empty(),
            defect: purchase.defect,
            trouble: Some(purchase.trouble.clone()).filter(|trouble| !trouble.is_empty()),
        }
    }
}

impl<T: Transport> Wallet<T> {
    /// All purchases, the latest first.
    ///
    /// # Errors
    /// [`WalletError::Store`].
    pub fn list(&self) -> Result<Vec<PurchaseReport>> {
        let mut purchases = self.store.all::<Purchase>()?;
        purchases.sort_by_key(|purchase| std::cmp::Reverse((purchase.created_at, purchase.id)));
        Ok(purchases.iter().map(PurchaseReport::from).collect())
    }

    /// One purchase.
    ///
    /// # Errors
    /// [`WalletError::UnknownPurchase`].
    pub fn show(&self, id: PurchaseId) -> Result<PurchaseReport> {
        Ok(PurchaseReport::from(&self.purchase(id)?))
    }

    /// The purchase that `text` means: the beginning of its id or txid, or `last`.
    ///
    /// # Errors
    /// [`WalletError::UnknownPurchase`] also when several could be meant.
    pub fn find_purchase(&self, text: &str) -> Result<PurchaseId> {
        let mut found = self.list()?;
        if text == "last" {
            found.truncate(1);
        } else {
            let text = text.trim().to_ascii_lowercase();
            let begins = |txid: &String| txid.starts_with(&text);
            found.retain(|report| {
                report.id.to_string().starts_with(&text) || report.txid.as_ref().is_some_and(begins)
            });
        }
        match found.as_slice() {
            [report] => Ok(report.id),
            _ => Err(WalletError::UnknownPurchase),
        }
    }

    /// The receipt of a purchase as tlog-proofs, one after the other if several logs have to agree, which anybody can check
    /// with the bank's log policy.
    ///
    /// # Errors
    /// [`WalletError::NotDelivered`] as long as there is none.
    pub fn receipt(&self, id: PurchaseId) -> Result<String> {
        let purchase = self.purchase(id)?;
        let receipts = receipts(&purchase.stage).concat();
        let text = String::from_utf8(receipts).unwrap_or_default();
        Some(text)
            .filter(|text| !text.is_empty())
            .ok_or(WalletError::NotDelivered)
    }
}

/// The verified receipts, if there are any.
fn receipts(stage: &Stage) -> &[Vec<u8>] {
    match stage {
        Stage::Receipted(receipted) => &receipted.receipts,
        _ => &[],
    }
}

const fn state(stage: &Stage) -> PurchaseState {
    match stage {
        Stage::Ordering(_) => PurchaseState::Ordering,
        Stage::Offered(_) => PurchaseState::Downloading,
        Stage::Downloaded(_) => PurchaseState::Ready,
        Stage::Locking(_) => PurchaseState::Locking,
        Stage::Accepting(_) => PurchaseState::Locked,
        Stage::Delivered(_) => PurchaseState::Delivered,
        Stage::Receipted(_) => PurchaseState::Complete,
        Stage::Returned(_) => PurchaseState::Returned,
        Stage::Refused => PurchaseState::Refused,
    }
}
