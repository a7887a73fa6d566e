//! Keysets: when they begin and end, their keys, and what of them is published.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use bauta_crypto::blind::IssuerKey;
use bauta_proto::{
    codec::Message,
    coin::{Keyset, KeysetList, PublishedKeyset},
    ids::{BankId, KeysetId},
    money::Currency,
    problem::{Problem, ProblemKind},
    submission::Record,
    time::{Seconds, Timestamp},
};
use bauta_store::bank::{KeysetNumber, KeysetRow};

use crate::keys::RoleSeed;

/// When keysets begin and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// For how long a keyset issues coins.
    pub issue: Seconds,
    /// For how long its coins pay after that.
    pub spend: Seconds,
    /// For how long they can be exchanged after that.
    pub settle: Seconds,
    /// How far ahead the next one is announced.
    pub announce: Seconds,
    /// Its largest denomination is 2^this.
    pub exponent_max: u8,
}

/// A keyset that should be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedKeyset {
    /// Its number in its currency, from which its keys are derived.
    pub generation: u32,
    /// When it begins to issue coins.
    pub issue_from: Timestamp,
}

/// A keyset of one currency that is there: its generation and the span in which it issues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssueSpan {
    /// Its number in its currency.
    pub generation: u32,
    /// When it begins to issue coins.
    pub from: Timestamp,
    /// When it ceases to.
    pub until: Timestamp,
}

impl Schedule {
    /// What to make at `now`, so that coins can be issued without a gap until the announced time from now.
    #[must_use]
    pub fn plan(&self, existing: &[IssueSpan], now: Timestamp) -> Option<PlannedKeyset> {
        let mut gap = now;
        while let Some(span) = existing.iter().find(|s| s.from <= gap && gap < s.until) {
            gap = span.until;
        }
        let last = existing.iter().map(|span| span.generation).max();
        (gap <= now.plus(self.announce)).then(|| PlannedKeyset {
            generation: last.unwrap_or(0) + 1,
            issue_from: gap,
        })
    }

    /// The record of a planned keyset.
    pub(super) fn keyset(
        &self,
        bank: BankId,
        currency: Currency,
        planned: PlannedKeyset,
        seed: &RoleSeed,
    ) -> Keyset {
        let issue_until = planned.issue_from.plus(self.issue);
        let spend_until = issue_until.plus(self.spend);
        let keys = issuer_keys(
            seed,
            currency,
            planned.generation,
            usize::from(self.exponent_max) + 1,
        );
        Keyset {
            bank,
            currency,
            issue_from: planned.issue_from,
            issue_until,
            spend_until,
            settle_until: spend_until.plus(self.settle),
            keys: keys.iter().map(IssuerKey::public_key).collect(),
        }
    }
}

/// The keys of a keyset, from the bank's seed alone: whoever restores seed and records can check all coins again.
fn issuer_keys(
    seed: &RoleSeed,
    currency: Currency,
    generation: u32,
    count: usize,
) -> Vec<IssuerKey> {
    (0..count)
        .map(|exponent| format!("keyset {currency} {generation} {exponent}"))
        .map(|purpose| IssuerKey::from_seed(&seed.secret(&purpose)))
        .collect()
}

/// A keyset with its secret keys.
#[derive(Debug)]
pub(super) struct LiveKeyset {
    pub(super) id: KeysetId,
    pub(super) row: KeysetRow,
    /// None once the keyset has ended.
    keys: Vec<IssuerKey>,
}

impl LiveKeyset {
    fn new(row: KeysetRow, seed: &RoleSeed) -> Result<Self, KeysDiffer> {
        let record = &row.record.body;
        let count = if row.closed { 0 } else { record.keys.len() };
        let keys = issuer_keys(seed, record.currency, row.generation, count);
        let is_same = keys.iter().zip(&record.keys);
        if !is_same
            .clone()
            .all(|(key, public)| key.public_key() == *public)
        {
            return Err(KeysDiffer);
        }
        Ok(Self {
            id: record.keyset_id(),
            row,
            keys,
        })
    }

    pub(super) fn record(&self) -> &Keyset {
        &self.row.record.body
    }

    pub(super) fn number(&self) -> KeysetNumber {
        self.row.number
    }

    /// The secret key of a denomination.
    pub(super) fn key(&self, exponent: u8) -> Result<&IssuerKey, Problem> {
        self.keys
            .get(usize::from(exponent))
            .ok_or_else(|| Problem::new(ProblemKind::Form).detail("no such denomination"))
    }

    /// What goes into the log about it.
    pub(super) fn log_record(&self) -> Record {
        Record {
            bank: self.record().bank,
            valid_until: self.record().settle_until,
            subject: self.id.0,
        }
    }
}

/// The keys that follow from the seed are not those in the records: it is another bank's seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key file does not give the keys of the recorded keysets")]
pub struct KeysDiffer;

/// All keysets as they are at one moment; replaced as a whole when one is added or published.
#[derive(Debug, Default)]
pub(super) struct KeysetBook {
    by_id: HashMap<KeysetId, Arc<LiveKeyset>>,
    by_number: HashMap<KeysetNumber, Arc<LiveKeyset>>,
    /// The encoded list of those whose receipts have come and that have not ended.
    pub(super) published: Vec<u8>,
}

impl KeysetBook {
    /// Takes over what is known of `earlier`, so that keys are derived once.
    fn new(rows: Vec<KeysetRow>, earlier: &Self, seed: &RoleSeed) -> Result<Self, KeysDiffer> {
        let mut book = Self::default();
        for row in rows {
            let kept = earlier.by_number.get(&row.number);
            let is_same = |kept: &&Arc<LiveKeyset>| {
                kept.row.closed == row.closed && kept.row.receipt == row.receipt
            };
            let live = match kept.filter(is_same) {
                Some(kept) => Arc::clone(kept),
                None => Arc::new(LiveKeyset::new(row, seed)?),
            };
            book.by_number.insert(live.number(), Arc::clone(&live));
            book.by_id.insert(live.id, live);
        }
        book.published = book.list().to_bytes();
        Ok(book)
    }

    pub(super) fn get(&self, id: &KeysetId) -> Result<&Arc<LiveKeyset>, Problem> {
        let keyset = self.by_id.get(id);
        keyset.ok_or_else(|| ProblemKind::UnknownKeyset.into())
    }

    pub(super) fn by_number(&self, number: KeysetNumber) -> Option<&Arc<LiveKeyset>> {
        self.by_number.get(&number)
    }

    /// In the order in which they were made.
    pub(super) fn all(&self) -> Vec<&Arc<LiveKeyset>> {
        let mut all: Vec<_> = self.by_number.values().collect();
        all.sort_unstable_by_key(|keyset| keyset.number());
        all
    }

    /// The issuing spans of a currency.
    pub(super) fn spans(&self, currency: Currency) -> Vec<IssueSpan> {
        let of_currency = |keyset: &&&Arc<LiveKeyset>| keyset.record().currency == currency;
        let span = |keyset: &Arc<LiveKeyset>| IssueSpan {
            generation: keyset.row.generation,
            from: keyset.record().issue_from,
            until: keyset.record().issue_until,
        };
        self.all()
            .iter()
            .filter(of_currency)
            .map(|keyset| span(keyset))
            .collect()
    }

    /// Whether coins of the currency can be issued at `now`.
    pub(super) fn issues(&self, currency: Currency, now: Timestamp) -> bool {
        self.by_number.values().any(|keyset| {
            keyset.row.receipt.is_some()
                && keyset.record().currency == currency
                && keyset.record().issues_at(now)
        })
    }

    fn list(&self) -> KeysetList {
        let published = |keyset: &Arc<LiveKeyset>| {
            let receipt = keyset.row.receipt.clone()?;
            (!keyset.row.closed).then(|| PublishedKeyset {
                keyset: keyset.row.record.clone(),
                receipt,
            })
        };
        KeysetList {
            keysets: self.all().into_iter().filter_map(published).collect(),
        }
    }
}

/// The current book, shared by requests and jobs.
#[derive(Debug, Default)]
pub(super) struct Keysets(RwLock<Arc<KeysetBook>>);

impl Keysets {
    pub(super) fn current(&self) -> Arc<KeysetBook> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the book by one of these rows.
    pub(super) fn replace(&self, rows: Vec<KeysetRow>, seed: &RoleSeed) -> Result<(), KeysDiffer> {
        let book = KeysetBook::new(rows, &self.current(), seed)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(book);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule {
        issue: Seconds::days(30),
        spend: Seconds::days(90),
        settle: Seconds::days(180),
        announce: Seconds::days(7),
        exponent_max: 3,
    };

    fn span(generation: u32, from: u64) -> IssueSpan {
        let from = Timestamp(from);
        IssueSpan {
            generation,
            from,
            until: from.plus(SCHEDULE.issue),
        }
    }

    fn planned(generation: u32, issue_from: u64) -> Option<PlannedKeyset> {
        Some(PlannedKeyset {
            generation,
            issue_from: Timestamp(issue_from),
        })
    }

    const DAY: u64 = 86_400;

    #[test]
    fn the_first_keyset_begins_now_and_each_next_one_is_announced_ahead() {
        assert_eq!(SCHEDULE.plan(&[], Timestamp(100)), planned(1, 100));
        let first = [span(1, 0)];
        assert_eq!(SCHEDULE.plan(&first, Timestamp(22 * DAY)), None);
        let second = planned(2, 30 * DAY);
        assert_eq!(SCHEDULE.plan(&first, Timestamp(23 * DAY)), second);
        let both = [span(1, 0), span(2, 30 * DAY)];
        assert_eq!(SCHEDULE.plan(&both, Timestamp(23 * DAY)), None);
    }

    #[test]
    fn after_a_long_absence_or_with_a_clock_set_back_coins_are_issued_at_once() {
        let first = [span(1, 0)];
        let later = 99 * DAY;
        assert_eq!(SCHEDULE.plan(&first, Timestamp(later)), planned(2, later));
        let ahead = [span(1, later)];
        assert_eq!(SCHEDULE.plan(&ahead, Timestamp(5)), planned(2, 5));
    }
}
