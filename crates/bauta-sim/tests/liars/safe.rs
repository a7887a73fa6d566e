//! Mode SAFE (figure 3): who cancels, prepares and reveals when he must not.

use bauta_crypto::hash;
use bauta_proto::{
    ids::HashLock,
    lock::{Capture, Lock, LockState},
    log::leaf::Deed,
    merchant::SaleSecrets,
    offer::{Mode, Offer},
    submission::Submission,
    time::Seconds,
    transport::{archive::SubmitLeaf, bank::CaptureLock, merchant::Order},
};

use crate::{
    net::{BANK, LOG, SHOP},
    town::{PRICE, Town, foiled},
};

/// What cancels; only the customer knows it.
const CANCEL: [u8; 32] = [0xca; 32];

/// A lock in mode SAFE for an offer of the shop, whose secrets the script knows.
struct Safe {
    offer: Offer,
    lock: Lock,
    secrets: SaleSecrets,
}

impl Safe {
    async fn new(town: &Town) -> Self {
        let coin = town.coins(1, 10..11, 9).await.remove(0);
        let mut order = town.order_of(&town.good("song"), 1);
        order.mode = Mode::Safe;
        let offered = town.ask::<Order>(SHOP, &order).await;
        let offer = offered.expect("offered").offer.body;
        let cancel_hash = HashLock(hash::sha256(&[&CANCEL]));
        let locked = town.lock_changed(&offer, (&coin, 0, PRICE), |request| {
            request.mode = offer.mode.lock_mode(cancel_hash);
        });
        let lock = locked.await.expect("locked").lock;
        let sale_secret = town.seed("merchant").secret("sale");
        Self {
            secrets: SaleSecrets::derive(&sale_secret, &order, town.now()),
            offer,
            lock,
        }
    }

    /// Brings a leaf to the log; whether it was taken.
    async fn bring(&self, town: &Town, deed: Deed) -> bool {
        let preimage = match deed {
            Deed::Prepare => *self.secrets.prepare_preimage.expose(),
            Deed::Commit => *self.secrets.preimage.expose(),
            Deed::Cancel => CANCEL,
        };
        let submission = Submission::new(&self.lock, deed, preimage);
        town.ask::<SubmitLeaf>(LOG, &submission).await.is_ok()
    }

    async fn capture(&self, town: &Town) -> bool {
        let capture = Capture {
            lock_tag: self.lock.lock_tag(),
            preimage: *self.secrets.preimage.expose(),
        };
        town.ask::<CaptureLock>(BANK, &capture).await.is_ok()
    }

    async fn state(&self, town: &Town) -> LockState {
        town.state(self.lock.lock_tag()).await
    }
}

/// Refund by cancel after prepare: the merchant's secret is about to go, and the customer takes the money back.
#[tokio::test]
async fn a_cancel_after_the_prepare() {
    let town = Town::new().await;
    let safe = Safe::new(&town).await;
    assert!(safe.bring(&town, Deed::Prepare).await, "in time");
    assert!(safe.bring(&town, Deed::Cancel).await, "the log takes it");
    town.round().await;
    foiled(
        safe.state(&town).await == LockState::Prepared,
        "cancelled after the prepare",
    );
    assert!(safe.bring(&town, Deed::Commit).await, "in time");
    town.round().await;
    let is_captured = matches!(safe.state(&town).await, LockState::Captured { .. });
    foiled(is_captured, "goods, and the money back");
}

/// The merchant publishes after a cancel: money for what was cancelled.
#[tokio::test]
async fn a_commit_after_the_cancel() {
    let town = Town::new().await;
    let safe = Safe::new(&town).await;
    assert!(safe.bring(&town, Deed::Cancel).await, "in time");
    assert!(safe.bring(&town, Deed::Prepare).await, "the log takes it");
    assert!(safe.bring(&town, Deed::Commit).await, "the log takes it");
    town.round().await;
    foiled(
        safe.state(&town).await == LockState::Released,
        "paid although cancelled",
    );
}

/// Reveal late: the merchant prepares, and keeps its choice until after the window.
#[tokio::test]
async fn a_reveal_after_the_window() {
    let town = Town::new().await;
    let safe = Safe::new(&town).await;
    assert!(safe.bring(&town, Deed::Prepare).await, "in time");
    town.round().await;
    town.set_clock(safe.lock.public.commit_until().plus(Seconds(1)));
    foiled(
        !safe.bring(&town, Deed::Commit).await,
        "the log took a late secret",
    );
    foiled(!safe.capture(&town).await, "the bank took a late secret");
}

/// Cancel by a stranger: somebody else stops the sale.
#[tokio::test]
async fn a_cancel_by_a_stranger() {
    let town = Town::new().await;
    let safe = Safe::new(&town).await;
    let submission = Submission::new(&safe.lock, Deed::Cancel, [0x66; 32]);
    let taken = town.ask::<SubmitLeaf>(LOG, &submission).await;
    foiled(taken.is_err(), "anybody can cancel");
}

/// The merchant brings the secret to a bank that has not read the cancel yet.
#[tokio::test]
async fn a_secret_past_the_cancel() {
    let town = Town::new().await;
    let safe = Safe::new(&town).await;
    assert!(safe.bring(&town, Deed::Cancel).await, "in time");
    foiled(!safe.capture(&town).await, "paid although cancelled");
    town.round().await;
    foiled(
        safe.state(&town).await == LockState::Released,
        "paid although cancelled",
    );
}

/// The customer cancels before it accepts: a merchant that prepares behind the cancel and lets the key go would not be
/// paid.
#[tokio::test]
async fn a_cancel_before_the_key() {
    let town = Town::new().await;
    let safe = Safe::new(&town).await;
    assert!(safe.bring(&town, Deed::Cancel).await, "in time");
    town.round().await;
    let mut is_delivered = false;
    for _ in 0..5 {
        is_delivered |= town.accept(&safe.offer, &safe.lock).await.is_ok();
        town.pass(2).await;
    }
    foiled(!is_delivered, "goods, and the money back");
    foiled(
        safe.state(&town).await == LockState::Released,
        "the money is stuck",
    );
}
