//! Going on with everything that was interrupted or waits for something.

use bauta_proto::{time::Timestamp, transport::Transport};
use serde::Serialize;

use super::{Purchase, PurchaseId, PurchaseReport, drive::Progress};
use crate::{
    error::{AtFault, Result, WalletError},
    records::{Bank, Intent},
    wallet::Wallet,
};

/// What a resume did, and what is left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ResumeReport {
    /// Purchases that ended now.
    pub ended: Vec<PurchaseReport>,
    /// Purchases that wait for something.
    pub waiting: Vec<PurchaseReport>,
    /// Requests for coins that were answered now.
    pub coins_settled: usize,
    /// What could not be done.
    pub troubles: Vec<Trouble>,
    /// When to come again, in seconds since 1970; none when nothing is left to do.
    pub again_at: Option<u64>,
}

/// Something that could not be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// The purchase, if it is about one.
    pub purchase: Option<PurchaseId>,
    /// What is wrong.
    pub error: String,
    /// Who has to act.
    pub at_fault: AtFault,
    /// What to do.
    pub remedy: &'static str,
    /// Whether it may pass by itself.
    pub is_temporary: bool,
}

/// When to come again after something that may pass by itself, in seconds.
const AGAIN_AFTER_S: u64 = 30;

impl ResumeReport {
    fn trouble(&mut self, purchase: Option<PurchaseId>, error: &WalletError, now: Timestamp) {
        if error.is_temporary() {
            self.come_again(Timestamp(now.0.saturating_add(AGAIN_AFTER_S)));
        }
        self.troubles.push(Trouble {
            purchase,
            error: error.to_string(),
            at_fault: error.at_fault(),
            remedy: error.remedy(),
            is_temporary: error.is_temporary(),
        });
    }

    fn come_again(&mut self, at: Timestamp) {
        self.again_at = Some(self.again_at.map_or(at.0, |before| before.min(at.0)));
    }
}

impl<T: Transport> Wallet<T> {
    /// Repeats every request that has no answer and takes every purchase as far as it goes now. Waits for nothing: the
    /// report says when to come again. Every purchase ends in goods or money, never in neither.
    ///
    /// # Errors
    /// [`WalletError::Store`] only; everything else is in the report.
    pub async fn resume(&mut self) -> Result<ResumeReport> {
        let mut report = ResumeReport::default();
        for bank in self.unscanned_banks()? {
            let scanned = self.scanned_bank(bank).await.map(|_| ());
            self.note(&mut report, None, scanned)?;
        }
        for intent in self.store.all::<Intent>()? {
            match self.drive_intent(intent).await {
                Ok(_) => report.coins_settled += 1,
                Err(error) => self.note(&mut report, None, Err(error))?,
            }
        }
        for purchase in self.store.all::<Purchase>()? {
            if !purchase.is_ended() {
                self.resume_purchase(purchase.id, &mut report).await?;
            }
        }
        for bank in self.store.all::<Bank>()? {
            let asked = self.ask_unsure_coins(bank.bank).await;
            self.note(&mut report, None, asked)?;
        }
        Ok(report)
    }

    async fn resume_purchase(&mut self, id: PurchaseId, report: &mut ResumeReport) -> Result<()> {
        loop {
            let purchase = self.purchase(id)?;
            match self.step(purchase).await {
                Ok(Progress::Moved) => {}
                Ok(Progress::Ended) => {
                    report.ended.push(self.show(id)?);
                    return Ok(());
                }
                Ok(Progress::Waiting(waiting)) => {
                    report.come_again(waiting.again_at);
                    report.waiting.push(self.show(id)?);
                    return Ok(());
                }
                Err(error) => {
                    let shown = self.show(id)?;
                    if self.purchase(id)?.is_ended() {
                        report.ended.push(shown);
                    } else {
                        report.waiting.push(shown);
                    }
                    return self.note(report, Some(id), Err(error));
                }
            }
        }
    }

    /// Notes what could not be done; only a store that fails ends everything.
    fn note(
        &self,
        report: &mut ResumeReport,
        purchase: Option<PurchaseId>,
        outcome: Result<()>,
    ) -> Result<()> {
        match outcome {
            Ok(()) => Ok(()),
            Err(WalletError::Store(error)) => Err(error.into()),
            Err(error) => {
                report.trouble(purchase, &error, self.now());
                Ok(())
            }
        }
    }
}
