//! One step of a purchase; here those before the lock: order, offer, ciphertext.

use std::time::Duration;

use bauta_proto::{
    customer::OpenedOffer,
    problem::ProblemKind,
    time::{Seconds, Timestamp},
    transport::{CallError, Transport, merchant},
};

use super::{
    Offered, Ordering, Purchase, Stage,
    download::{Download, Outcome},
    settle::SOON,
};
use crate::{
    error::{Result, WalletError},
    observer::{Event, Send, Write},
    store::Batch,
    wallet::Wallet,
};

/// How often a purchase may go back to an earlier stage before it is given up.
pub(super) const ATTEMPTS_MAX: u8 = 5;

/// What a step led to.
pub(crate) enum Progress {
    /// The next stage.
    Moved,
    /// Nothing, for now.
    Waiting(Waiting),
    /// The end.
    Ended,
}

/// Nothing can be done for now.
pub(crate) struct Waiting {
    /// When to come again.
    pub(crate) again_at: Timestamp,
    /// Whether that is so far off that nobody should wait for it.
    pub(crate) is_long: bool,
}

impl<T: Transport> Wallet<T> {
    /// Does the next thing that a purchase waits for.
    pub(crate) async fn step(&mut self, purchase: Purchase) -> Result<Progress> {
        match purchase.stage.clone() {
            Stage::Ordering(ordering) => self.order(purchase, *ordering).await,
            Stage::Offered(offered) => self.download(purchase, *offered).await,
            Stage::Downloaded(offered) => self.prepare_lock(purchase, *offered).await,
            Stage::Locking(locking) => self.lock(purchase, *locking).await,
            Stage::Accepting(accepting) if purchase.is_cancelling() => {
                self.take_lock_back(purchase, *accepting).await
            }
            Stage::Accepting(accepting) => self.accept(purchase, *accepting).await,
            Stage::Delivered(delivered) => self.fetch_receipt(purchase, *delivered).await,
            Stage::Receipted(_) | Stage::Returned(_) | Stage::Refused => Ok(Progress::Ended),
        }
    }

    /// Writes a purchase in its new stage, with what belongs to it.
    pub(crate) fn advance(
        &mut self,
        mut purchase: Purchase,
        stage: Stage,
        write: Write,
        mut batch: Batch,
    ) -> Result<Progress> {
        purchase.stage = stage;
        purchase.trouble.clear();
        batch.put(&purchase);
        self.commit(write, batch)?;
        Ok(if purchase.is_ended() {
            Progress::Ended
        } else {
            Progress::Moved
        })
    }

    /// Ends a purchase before anything was locked, for a reason.
    pub(super) fn refuse(
        &mut self,
        mut purchase: Purchase,
        reason: WalletError,
    ) -> Result<Progress> {
        purchase.trouble = reason.to_string();
        self.commit_refused(purchase, Batch::new())?;
        Err(reason)
    }

    pub(super) fn commit_refused(
        &mut self,
        mut purchase: Purchase,
        mut batch: Batch,
    ) -> Result<()> {
        purchase.stage = Stage::Refused;
        batch.put(&purchase);
        self.commit(Write::Ended, batch)
    }

    async fn order(&mut self, purchase: Purchase, ordering: Ordering) -> Result<Progress> {
        let order = ordering.order;
        let reply = self
            .call::<merchant::Order>(Send::Order, &purchase.shop_url, &order)
            .await;
        let reply = match reply {
            Ok(reply) => reply,
            Err(CallError::Refused(problem)) if problem.kind == ProblemKind::Overloaded => {
                return Ok(waiting(self.now(), SOON));
            }
            Err(error) if error.is_temporary() => return Err(WalletError::Shop(error)),
            Err(error) => return self.refuse(purchase, WalletError::Shop(error)),
        };
        let now = self.now();
        match OpenedOffer::check(reply, &order, purchase.listed, now) {
            Ok(opened) => {
                let reply = opened.reply().clone();
                let offered = Box::new(Offered { order, reply });
                self.advance(
                    purchase,
                    Stage::Offered(offered),
                    Write::Offer,
                    Batch::new(),
                )
            }
            Err(error) => self.refuse(purchase, error.into()),
        }
    }

    async fn download(&mut self, purchase: Purchase, offered: Offered) -> Result<Progress> {
        for _ in 0..2 {
            if self.fetch_ciphertext(&purchase, &offered).await? == Outcome::Intact {
                let stage = Stage::Downloaded(Box::new(offered));
                return self.advance(purchase, stage, Write::Downloaded, Batch::new());
            }
        }
        self.refuse(purchase, WalletError::Ciphertext)
    }

    pub(crate) async fn fetch_ciphertext(
        &mut self,
        purchase: &Purchase,
        offered: &Offered,
    ) -> Result<Outcome> {
        let offer = &offered.reply.offer.body;
        let path = self.store.download_path(offer.ct_root.as_bytes());
        let download = Download {
            shop_url: &purchase.shop_url,
            path: &path,
            root: offer.ct_root,
            length: offer.ct_len,
        };
        self.observer.observe(Event::BeforeSend(Send::Download));
        let (id, bytes_total) = (purchase.id, offer.ct_len);
        let observer = &mut self.observer;
        let mut progress = |bytes| {
            observer.observe(Event::Downloading {
                purchase: id,
                bytes,
                bytes_total,
            });
        };
        let outcome = download.run(&*self.transport, &mut progress).await;
        self.observer.observe(Event::AfterSend(Send::Download));
        outcome
    }

    /// The offer has become too old before money was locked for it: asks for a new one, which must cost the same.
    pub(super) fn order_again(
        &mut self,
        mut purchase: Purchase,
        offered: &Offered,
    ) -> Result<Progress> {
        purchase.attempts += 1;
        if purchase.attempts >= ATTEMPTS_MAX {
            let expired = bauta_proto::customer::OfferError::Expired;
            return self.refuse(purchase, expired.into());
        }
        let bank = self.bank(purchase.bank)?;
        let order = &offered.order;
        let good = (order.good, order.version);
        let order = self.compose_order(order.merchant, good, order.mode, &bank)?;
        let stage = Stage::Ordering(Box::new(Ordering { order }));
        self.advance(purchase, stage, Write::Order, Batch::new())
    }
}

/// What a purchase waits for will not be there before `span` has passed.
pub(crate) fn waiting(now: Timestamp, span: Duration) -> Progress {
    let seconds = Seconds(u32::try_from(span.as_secs()).unwrap_or(u32::MAX));
    Progress::Waiting(Waiting {
        again_at: now.plus(seconds),
        is_long: false,
    })
}
