//! Purchases.

/// A purchase in this wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PurchaseId(pub [u8; 8]);
