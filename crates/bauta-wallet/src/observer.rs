//! What a wallet tells while it works: progress for people, and the exact points at which a harness may stop it.

use crate::purchase::PurchaseId;

/// Something that is about to happen or has happened. Nothing in it identifies a coin, an account or a good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A change of records is about to be written.
    BeforeWrite(Write),
    /// The change is on disk.
    AfterWrite(Write),
    /// A request is about to be sent.
    BeforeSend(Send),
    /// An answer, a refusal or an error came back.
    AfterSend(Send),
    /// Ciphertext has come in.
    Downloading {
        /// The purchase.
        purchase: PurchaseId,
        /// Bytes that are there.
        bytes: u64,
        /// Bytes that will be there at the end.
        bytes_total: u64,
    },
    /// Goods are being opened.
    Saving {
        /// The purchase.
        purchase: PurchaseId,
        /// Bytes of plain text written.
        bytes: u64,
        /// Bytes that will be there at the end.
        bytes_total: u64,
    },
    /// Outputs are being looked for at a bank.
    Restoring {
        /// Coins found so far.
        coins: usize,
    },
    /// Nothing can be done until the other side has moved on; the wallet asks again after this time.
    Waiting {
        /// Milliseconds.
        milliseconds: u64,
    },
}

/// What a change of records is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Write {
    /// A bank, its keysets or its scanned branch.
    Bank,
    /// The exact request that will be sent for coins, and what it spends.
    CoinIntent,
    /// Coins that were issued, or the end of an intent that was refused.
    CoinResult,
    /// What a bank says of a coin.
    CoinState,
    /// The order of a purchase.
    Order,
    /// The offer that was checked.
    Offer,
    /// The ciphertext is here and intact.
    Downloaded,
    /// The exact lock request that will be sent, and what it spends.
    LockIntent,
    /// The lock, the change, and the exact acceptance that will be sent.
    Lock,
    /// The preimage.
    Delivery,
    /// The receipt.
    Receipt,
    /// A purchase that ended without goods.
    Ended,
    /// What the delivered goods turned out to be.
    Opened,
    /// That the owner wants a purchase back, or what logs promised about that.
    Cancel,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Send {
    /// Keysets and policy of a bank, or a statement.
    Bank,
    /// A withdrawal.
    Withdraw,
    /// An exchange of coins.
    Exchange,
    /// A question about outputs or a coin.
    CoinQuestion,
    /// A shop's catalogue.
    Catalogue,
    /// An order.
    Order,
    /// A piece of ciphertext.
    Download,
    /// A lock request.
    Lock,
    /// An acceptance.
    Accept,
    /// What became of a lock.
    LockStatus,
    /// Something of the log.
    Log,
    /// What takes a lock back, to the logs.
    Cancel,
}

/// Watches a wallet. Called synchronously: a harness that ends the process inside finds the wallet just as it was there.
pub trait Observer: std::marker::Send {
    /// One event.
    fn observe(&mut self, event: Event);
}

impl<F: FnMut(Event) + std::marker::Send> Observer for F {
    fn observe(&mut self, event: Event) {
        self(event);
    }
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn observe(&mut self, _: Event) {}
}
