//! What rounds came to.

use std::{collections::BTreeMap, time::Duration};

use super::plan::BlowKind;
use crate::weather::Fault;

/// Counts of one round or many.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) rounds: u64,
    /// Purchases that ended with goods, and the receipt of the log.
    pub(super) delivered: u64,
    /// Those of them in mode SAFE.
    pub(super) delivered_safe: u64,
    /// Purchases whose money was locked and came back.
    pub(super) returned: u64,
    /// Purchases that ended before money was locked.
    pub(super) refused: u64,
    /// Locks that their owner took back before the seller had prepared.
    pub(super) cancelled: u64,
    /// Locks that their owner wanted back after it.
    pub(super) cancelled_too_late: u64,
    /// Wallets that were made again from their words.
    pub(super) restored: u64,
    /// What happened to which role.
    pub(super) blows: BTreeMap<(BlowKind, &'static str), u64>,
    /// Wallets' processes that were killed.
    pub(super) wallets_killed: u64,
    pub(super) harms: BTreeMap<Fault, u64>,
}

impl Figures {
    pub(super) fn add(&mut self, other: &Self) {
        self.rounds += other.rounds;
        self.delivered += other.delivered;
        self.delivered_safe += other.delivered_safe;
        self.returned += other.returned;
        self.refused += other.refused;
        self.cancelled += other.cancelled;
        self.cancelled_too_late += other.cancelled_too_late;
        self.restored += other.restored;
        self.wallets_killed += other.wallets_killed;
        add_all(&mut self.blows, &other.blows);
        add_all(&mut self.harms, &other.harms);
    }

    /// One round in short.
    pub(super) fn line(&self) -> String {
        format!(
            "{} delivered, {} returned, {} refused, {} cancelled; {} roles and {} wallets killed, {} requests harmed",
            self.delivered,
            self.returned,
            self.refused,
            self.cancelled,
            self.of_kind(BlowKind::Kill),
            self.wallets_killed,
            self.harms.values().sum::<u64>()
        )
    }

    /// Everything.
    pub(super) fn table(&self, spent: Duration) -> String {
        let minutes = spent.as_secs_f64() / 60.0;
        let mut text = format!(
            "{} rounds in {minutes:.1} minutes, {:.1} a minute\n\
             purchases: {} delivered ({} of them in mode SAFE), {} returned, {} refused before any money was locked\n\
             cancels: {} in time, {} too late\n\
             wallets: {} killed, {} made again from their words\n",
            self.rounds,
            self.rounds as f64 / minutes,
            self.delivered,
            self.delivered_safe,
            self.returned,
            self.refused,
            self.cancelled,
            self.cancelled_too_late,
            self.wallets_killed,
            self.restored
        );
        for kind in BlowKind::ALL {
            let of_kind = self.blows.iter().filter(|((other, _), _)| *other == kind);
            let roles = of_kind.map(|((_, role), count)| format!("{role} {count}"));
            let roles: Vec<String> = roles.collect();
            text += &format!("{}: {}\n", kind.name(), roles.join(", "));
        }
        let harms = self.harms.iter();
        let harms = harms.map(|(fault, count)| format!("{} {count}", fault.name()));
        let harms: Vec<String> = harms.collect();
        text + &format!("requests harmed: {}", harms.join(", "))
    }

    fn of_kind(&self, kind: BlowKind) -> u64 {
        let of_kind = self.blows.iter().filter(|((other, _), _)| *other == kind);
        of_kind.map(|(_, count)| count).sum()
    }
}

fn add_all<K: Ord + Copy>(to: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (key, count) in from {
        *to.entry(*key).or_default() += count;
    }
}
