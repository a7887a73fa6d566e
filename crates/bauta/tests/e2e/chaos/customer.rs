//! A customer who goes on whatever happens: it types the command again, or `resume`.

use std::{
    collections::BTreeSet,
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    diary::Diary,
    plan::{Errand, ErrandKind},
};
use crate::{
    process::{Output, run_for},
    purse::{Purse, is_delivered, units},
    town::{BANK, Town},
};

/// Longest time until everything that was begun has ended. A lock and the tolerance of clocks are in it.
const SETTLE_LIMIT: Duration = Duration::from_secs(150);
/// Between two looks at what has not ended.
const LOOK_AGAIN: Duration = Duration::from_millis(1_500);

/// How often a command is typed that says "try again".
const ATTEMPTS: usize = 3;
/// After which time.
const REPEAT_AFTER: Duration = Duration::from_millis(200);

/// Why a wallet may say no although nobody did anything wrong.
const HONEST_REFUSALS: [&str; 4] = [
    // Money that is locked or waits for an answer cannot be spent.
    "are needed",
    // Nothing new from a log that is cut off or frozen.
    "this machine's clock is",
    // A cancel comes too late, or before anything was ordered.
    "money has been asked for already",
    "the wallet has no purchase with this id",
];

/// What the wallet knew of a purchase when its folder was lost.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub(super) txid: String,
    /// In minor units.
    pub(super) price: u64,
    pub(super) is_delivered: bool,
}

/// One wallet and what became of its money.
pub(super) struct Customer {
    pub(super) name: String,
    pub(super) purse: Purse,
    /// Purchases that were looked at after an earlier round, by their ids.
    pub(super) seen: BTreeSet<String>,
    /// What was paid for goods that were lost with a folder, in minor units.
    pub(super) lost_paid: u64,
    /// Purchases of this round that were lost with a folder.
    pub(super) lost: Vec<Lost>,
    /// Whether the folder was lost in this round.
    pub(super) has_lost: bool,
    /// Processes of the wallet that were killed in this round.
    pub(super) killed: u64,
}

/// What a customer needs to know of the world.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) town: &'a Town,
    /// The round's goods: shop and title.
    pub(super) goods: &'a [(usize, String)],
    pub(super) diary: &'a Diary,
}

impl Customer {
    pub(super) fn new(name: String, purse: Purse) -> Self {
        Self {
            name,
            purse,
            seen: BTreeSet::new(),
            lost_paid: 0,
            lost: Vec::new(),
            has_lost: false,
            killed: 0,
        }
    }

    /// Does everything, then goes on until all of it has ended.
    pub(super) fn live(&mut self, errands: &[Errand], around: Surroundings<'_>) {
        for errand in errands {
            self.run_errand(errand, around);
        }
        self.settle(around);
    }

    /// Types the command, and again while it says that this may help and nobody kills it.
    fn run_errand(&mut self, errand: &Errand, around: Surroundings<'_>) {
        for _ in 0..ATTEMPTS {
            let Some(mut command) = self.command(errand, around) else {
                return self.lose(around);
            };
            let limit = errand.killed_after.unwrap_or(SETTLE_LIMIT);
            let output = run_for(&mut command, limit);
            let told = brief(&output);
            around
                .diary
                .note(format!("{}: {errand:?}: {told}", self.name));
            self.killed += u64::from(output.is_cut_short && errand.killed_after.is_some());
            self.check(errand, &output);
            if output.code != Some(4)
                || matches!(errand.kind, ErrandKind::Resume | ErrandKind::Cancel)
            {
                return;
            }
            thread::sleep(REPEAT_AFTER);
        }
    }

    /// None when the errand is no command.
    fn command(&self, errand: &Errand, around: Surroundings<'_>) -> Option<Command> {
        let command = match &errand.kind {
            ErrandKind::Buy {
                good,
                is_safe,
                from_account,
                lock_for_s,
            } => {
                let (shop, title) = &around.goods[*good];
                let (shop, span) = (around.town.url(*shop), lock_for_s.to_string());
                let mode = if *is_safe { "safe" } else { "fast" };
                let fixed = ["buy", &shop, title, "--yes", "--mode", mode];
                let mut command = self.purse.command(&fixed);
                command.args(["--lock-for", &span]);
                command.args(from_account.then_some("--from-account"));
                command
            }
            ErrandKind::Withdraw { minor_units } => {
                self.purse.command(&["withdraw", &euros(*minor_units)])
            }
            ErrandKind::Cancel => self.purse.command(&["cancel", "last"]),
            ErrandKind::Resume => self.purse.command(&["resume"]),
            ErrandKind::Lose => return None,
        };
        Some(command)
    }

    /// Nobody in town cheats, so no wallet may say so; and none may break.
    fn check(&self, errand: &Errand, output: &Output) {
        let is_honest = match output.code {
            Some(0 | 3 | 4) => true,
            Some(1) => HONEST_REFUSALS
                .iter()
                .any(|words| output.stdout.contains(words)),
            None => output.is_cut_short && errand.killed_after.is_some(),
            Some(_) => false,
        };
        assert!(is_honest, "{}: {errand:?} ended so: {output:?}", self.name);
    }

    /// Loses the folder; makes the wallet again from its words, whatever happens.
    fn lose(&mut self, around: Surroundings<'_>) {
        self.remember_and_lose();
        let begun = Instant::now();
        let bank = around.town.url(BANK);
        loop {
            let output = if self.purse.folder.exists() {
                self.purse.run(&["bank", "add", &bank])
            } else {
                self.purse.restore(&bank)
            };
            around
                .diary
                .note(format!("{}: lost, restore: {}", self.name, brief(&output)));
            match output.code {
                Some(0) => return,
                Some(3 | 4) if begun.elapsed() < SETTLE_LIMIT => thread::sleep(LOOK_AGAIN),
                _ => panic!("{}: cannot be restored: {output:?}", self.name),
            }
        }
    }

    fn remember_and_lose(&mut self) {
        for purchase in self.purse.purchases() {
            let (price, is_delivered) = (units(&purchase["price"]), is_delivered(&purchase));
            let id = purchase["id"].as_str().expect("an id");
            if self.seen.contains(id) {
                self.lost_paid += if is_delivered { price } else { 0 };
            } else if let Some(txid) = purchase["txid"].as_str() {
                self.lost.push(Lost {
                    txid: txid.to_owned(),
                    price,
                    is_delivered,
                });
            }
        }
        self.has_lost = true;
        fs::remove_dir_all(&self.purse.folder).expect("it is there");
    }

    /// Goes on until nothing is open; all the money is where the wallet can count it.
    fn settle(&self, around: Surroundings<'_>) {
        let begun = Instant::now();
        loop {
            let output = run_for(&mut self.purse.command(&["resume"]), SETTLE_LIMIT);
            let is_over = output.code == Some(0) && (!self.has_lost || self.is_sure());
            around
                .diary
                .note(format!("{}: resume: {}", self.name, brief(&output)));
            if is_over {
                return;
            }
            assert!(
                matches!(output.code, Some(0 | 4)) && begun.elapsed() < SETTLE_LIMIT,
                "{}: neither goods nor money: {output:?}",
                self.name
            );
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// After a restore, coins that were locked wait for their lock's end; no purchase tells of them.
    fn is_sure(&self) -> bool {
        let balances = self.purse.run(&["balance"]).good();
        let balances = balances.as_array().expect("a list");
        balances
            .iter()
            .all(|balance| units(&balance["unsure"]) == 0)
    }

    /// At rest, all that the wallet holds comes back from its words alone, and nothing else does.
    pub(super) fn restore_at_rest(&mut self, town: &Town) {
        let had = self.purse.settled();
        self.restore_again(town);
        let has = self.purse.settled();
        assert_eq!(has, had, "{}: the words bring back all money", self.name);
    }

    /// A request for coins that was on its way when the folder was lost may have reached the bank after the wallet was
    /// made again. Its coins are there for whoever looks again, which a restored wallet does not do by itself.
    pub(super) fn restore_again(&mut self, town: &Town) {
        self.remember_and_lose();
        self.has_lost = false;
        self.purse.restore(&town.url(BANK)).good();
    }
}

/// An amount as it is typed.
pub(super) fn euros(minor_units: u64) -> String {
    format!("{}.{:02}EUR", minor_units / 100, minor_units % 100)
}

/// The end of a command in one line.
fn brief(output: &Output) -> String {
    let line = output.stdout.lines().last().unwrap_or_default();
    let value: Value = serde_json::from_str(line).unwrap_or_default();
    let told = match output.code {
        None => return "killed".to_owned(),
        Some(code) => format!("exit {code}"),
    };
    let error = value["error"].as_str().into_iter().map(str::to_owned);
    let troubles = list(&value["troubles"]).map(|trouble| trouble["error"].to_string());
    let purchases = ["waiting", "ended"].map(|name| list(&value[name]));
    let purchases = purchases.into_iter().flatten().chain([&value["purchase"]]);
    let purchases = purchases.filter(|purchase| purchase.is_object());
    let purchases = purchases.map(|purchase| {
        let fields =
            ["id", "state", "cancel", "trouble", "txid"].map(|name| purchase[name].to_string());
        fields.join(" ")
    });
    let told: Vec<String> = std::iter::once(told)
        .chain(error)
        .chain(troubles)
        .chain(purchases)
        .collect();
    told.join("; ")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
