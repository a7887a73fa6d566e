//! The state of one lock among logs, witnesses, a bank, a merchant and a customer, and what each can do next.

use std::{collections::BTreeSet, sync::LazyLock};

use bauta_proto::{
    decision::{LogView, Outcome, Word, Words, bank_takes, outcome},
    ids::{BankId, HashLock, PolicyId, Serial},
    lock::{LockMode, LockPublic},
    log::leaf::Deed,
    time::{Seconds, Timestamp},
};
use stateright::{Model, Property};

use crate::checkpoints::Checkpoints;

pub(crate) const EXPIRY: Timestamp = Timestamp(1_000);
const WINDOW: Seconds = Seconds(100);
/// What a cosignature's time can mean: by E, after it and by the end of the reveal window, after that.
pub(crate) const PHASES: usize = 3;
pub(crate) const PHASE_TIMES: [Timestamp; PHASES] =
    [Timestamp(1_000), Timestamp(1_031), Timestamp(1_131)];

pub(crate) const fn commit_until() -> Timestamp {
    EXPIRY.plus(WINDOW)
}

/// The mode of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModeName {
    Fast,
    Safe,
}

/// Who lies, that is, does whatever its keys allow, at any time. How many witnesses do is said apart.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Liars {
    /// The first log; others are honest.
    pub(crate) log: bool,
    pub(crate) bank: bool,
    pub(crate) merchant: bool,
    pub(crate) customer: bool,
}

impl Liars {
    /// Every set of them.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..16_u8).map(|bits| Self {
            log: bits & 1 != 0,
            bank: bits & 2 != 0,
            merchant: bits & 4 != 0,
            customer: bits & 8 != 0,
        })
    }
}

/// A tree's leaves about the lock, in order: an index into [`TREES`].
type Tree = usize;

/// Every order of leaves; the same leaf is in a log once.
static TREES: LazyLock<Vec<Vec<Deed>>> = LazyLock::new(|| {
    let mut trees = vec![Vec::new()];
    let mut next = 0;
    while next < trees.len() {
        let tree: Vec<Deed> = trees[next].clone();
        for deed in Deed::ALL.into_iter().filter(|deed| !tree.contains(deed)) {
            trees.push([tree.as_slice(), &[deed]].concat());
        }
        next += 1;
    }
    trees
});

fn extends(longer: Tree, shorter: Tree) -> bool {
    TREES[longer].starts_with(&TREES[shorter])
}

fn appended(tree: Tree, deed: Deed) -> Option<Tree> {
    let longer = [TREES[tree].as_slice(), &[deed]].concat();
    TREES.iter().position(|tree| *tree == longer)
}

/// What one honest witness did to one log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Cosigned {
    last: Tree,
    /// Trees and the phases in which it cosigned each, as bits.
    trees: BTreeSet<(Tree, u8)>,
}

/// What the honest bank read of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Read {
    tree: Tree,
    view: LogView,
    /// The kind of the last checkpoint, none before the first.
    checkpoint: Option<usize>,
}

/// How far an honest merchant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Merchant {
    Waiting,
    /// Its prepare is on its way (mode SAFE).
    Preparing,
    /// Its key is on its way.
    Sent,
    /// It has proof that the key was in time, or the bank took it.
    Safe,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    phase: usize,
    /// Which preimages may be used by everybody, in the order of [`Deed::ALL`].
    known: [bool; 3],
    /// What honest logs hold.
    logs: Vec<Tree>,
    /// Honest witnesses, in an order of no meaning; for each, its logs.
    witnesses: Vec<Vec<Cosigned>>,
    bank: Vec<Read>,
    decided: Outcome,
    /// Whether the bank ended the lock because of `settle_until`.
    settled: bool,
    merchant: Merchant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Tick,
    Publish(Deed),
    Append(usize, Deed),
    Cosign(usize, usize, Tree),
    BankReads(usize, Tree, usize),
    MerchantSees(usize, Tree, usize),
    MerchantClaims(usize, Deed, usize),
    BankTakes,
    Settle,
}

#[derive(Clone, Debug)]
pub(crate) struct LockModel {
    pub(crate) mode: ModeName,
    pub(crate) liars: Liars,
    pub(crate) logs: usize,
    pub(crate) log_threshold: usize,
    pub(crate) bad_witnesses: usize,
    pub(crate) checkpoints: Checkpoints,
}

impl LockModel {
    fn lock(&self) -> LockPublic {
        LockPublic {
            bank: BankId([1; 32]),
            serial: Serial([2; 16]),
            hash_lock: HashLock([3; 32]),
            expiry: EXPIRY,
            log_policy: PolicyId([4; 32]),
            mode: match self.mode {
                ModeName::Fast => LockMode::Fast,
                ModeName::Safe => LockMode::Safe {
                    prepare_hash: HashLock([5; 32]),
                    cancel_hash: HashLock([6; 32]),
                    reveal_window: WINDOW,
                },
            },
        }
    }

    /// The phase after which no honest log takes the deed.
    fn last_phase(&self, deed: Deed) -> usize {
        usize::from(deed == Deed::Commit && self.mode == ModeName::Safe)
    }

    fn is_liar(&self, log: usize) -> bool {
        self.liars.log && log == 0
    }

    /// Trees that a log can show: an honest one its own, a lying one whatever can be made of known preimages.
    fn shown<'a>(&'a self, state: &'a State, log: usize) -> impl Iterator<Item = Tree> + 'a {
        (0..TREES.len()).filter(move |tree| {
            if self.is_liar(log) {
                TREES[*tree].iter().all(|deed| self.is_known(state, *deed))
            } else {
                extends(state.logs[log], *tree)
            }
        })
    }

    fn is_known(&self, state: &State, deed: Deed) -> bool {
        let is_of_mode = self.lock().hash_of(deed).is_some();
        is_of_mode && state.known[deed as usize - 1]
    }

    /// The kinds of checkpoints of this tree that somebody can show.
    fn checkpoints_of(&self, state: &State, log: usize, tree: Tree) -> &[usize] {
        let honest = state.witnesses.iter().map(|logs| {
            let of_tree = logs[log]
                .trees
                .iter()
                .filter(|(cosigned, _)| *cosigned == tree);
            of_tree.fold(0, |mask, (_, phases)| mask | phases)
        });
        let bad = (0..self.bad_witnesses).map(|_| 7);
        self.checkpoints.possible(honest.chain(bad))
    }

    /// Everything that any log can show to anybody: log, tree, kind of checkpoint.
    fn evidence<'a>(&'a self, state: &'a State) -> impl Iterator<Item = (usize, Tree, usize)> + 'a {
        (0..self.logs).flat_map(move |log| {
            let trees = self.shown(state, log);
            trees.flat_map(move |tree| {
                let kinds = self.checkpoints_of(state, log, tree).iter();
                kinds.map(move |kind| (log, tree, *kind))
            })
        })
    }

    /// All words that one log can say to somebody: he reads a tree, and is shown any other checkpoints besides.
    fn words_of(&self, state: &State, log: usize) -> Vec<Words> {
        let lock = self.lock();
        let evidence: Vec<_> = self.evidence(state).filter(|(of, ..)| *of == log).collect();
        let mut words = vec![Words {
            taken: Word::Open,
            committed: Word::Open,
        }];
        for (_, tree, kind) in &evidence {
            let checkpoint = self.checkpoints.of_kind(*kind);
            let mut view = LogView::default();
            for deed in &TREES[*tree] {
                view.read(&lock, *deed, checkpoint);
            }
            words.push(view.words(&lock, Some(checkpoint)));
            for (_, other, proof) in &evidence {
                for deed in &TREES[*other] {
                    view.prove(&lock, *deed, self.checkpoints.of_kind(*proof));
                }
            }
            words.push(view.words(&lock, Some(checkpoint)));
        }
        words.dedup();
        words
    }

    /// Every outcome that somebody can be brought to by what logs show.
    fn conclusions(&self, state: &State) -> Vec<Outcome> {
        let mut combinations: Vec<Vec<Words>> = vec![Vec::new()];
        for log in 0..self.logs {
            let words = self.words_of(state, log);
            combinations = combinations
                .iter()
                .flat_map(|others| words.iter().map(|w| [others.as_slice(), &[*w]].concat()))
                .collect();
        }
        let outcomes = combinations.iter();
        outcomes
            .map(|words| outcome(words, self.log_threshold))
            .collect()
    }

    fn bank_words(&self, state: &State) -> Vec<Words> {
        let words = state.bank.iter().map(|read| {
            let checkpoint = read.checkpoint.map(|kind| self.checkpoints.of_kind(kind));
            read.view.words(&self.lock(), checkpoint)
        });
        words.collect()
    }

    fn bank_decides(&self, state: &mut State) {
        if matches!(state.decided, Outcome::Held | Outcome::Prepared) {
            state.decided = outcome(&self.bank_words(state), self.log_threshold);
        }
    }

    /// An honest merchant is in time: it does not let the last moment pass at which the bank would still take its key.
    fn merchant_is_pressed(&self, state: &State) -> bool {
        let last = self.last_phase(Deed::Commit);
        !self.liars.merchant
            && !self.liars.bank
            && state.merchant == Merchant::Sent
            && state.phase == last
            && bank_takes(&self.lock(), state.decided, self.bank_clock(state))
    }

    fn merchant_knows_prepared(&self, state: &State) -> bool {
        // It has read so itself, and has the bank's word for it: a log may show the bank less.
        let lock = self.lock();
        let ready = (0..self.logs).filter(|log| {
            self.evidence(state).any(|(of, tree, kind)| {
                let mut view = LogView::default();
                let checkpoint = self.checkpoints.of_kind(kind);
                TREES[tree]
                    .iter()
                    .for_each(|deed| view.read(&lock, *deed, checkpoint));
                of == *log && view.words(&lock, Some(checkpoint)).taken == Word::Yes
            })
        });
        ready.count() >= self.log_threshold
            && (self.liars.bank || state.decided == Outcome::Prepared)
    }

    fn publishable(&self, state: &State, deed: Deed) -> bool {
        let is_merchants = deed != Deed::Cancel;
        let may = match (deed, self.mode) {
            (Deed::Cancel, _) => self.liars.customer || state.phase == 0,
            (_, _) if self.liars.merchant => true,
            (Deed::Prepare, _) => state.phase == 0,
            (Deed::Commit, ModeName::Fast) => state.phase == 0,
            (Deed::Commit, ModeName::Safe) => {
                state.phase <= 1 && self.merchant_knows_prepared(state)
            }
        };
        let is_of_mode = self.lock().hash_of(deed).is_some();
        is_of_mode
            && may
            && !state.known[deed as usize - 1]
            && (is_merchants || self.mode == ModeName::Safe)
    }
}

impl Model for LockModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let honest = self.checkpoints.witnesses() - self.bad_witnesses;
        vec![State {
            phase: 0,
            known: [false; 3],
            logs: vec![0; self.logs],
            witnesses: vec![vec![Cosigned::default(); self.logs]; honest],
            bank: vec![Read::default(); self.logs],
            decided: Outcome::Held,
            settled: false,
            merchant: Merchant::Waiting,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.phase + 1 < PHASES && !self.merchant_is_pressed(state) {
            actions.push(Action::Tick);
        }
        for deed in Deed::ALL {
            if self.publishable(state, deed) {
                actions.push(Action::Publish(deed));
            }
            let in_time = state.phase <= self.last_phase(deed);
            for log in (0..self.logs).filter(|log| !self.is_liar(*log) && in_time) {
                let is_new = !TREES[state.logs[log]].contains(&deed);
                if is_new && self.is_known(state, deed) {
                    actions.push(Action::Append(log, deed));
                }
            }
        }
        for log in 0..self.logs {
            for tree in self.shown(state, log) {
                // An honest log asks for its newest tree only.
                let is_asked = self.is_liar(log) || tree == state.logs[log];
                let phase = 1_u8 << state.phase;
                for (number, witness) in state.witnesses.iter().enumerate() {
                    let is_new = !witness[log].trees.contains(&(tree, phase));
                    if is_asked && is_new && extends(tree, witness[log].last) {
                        actions.push(Action::Cosign(number, log, tree));
                    }
                }
            }
        }
        let undecided = matches!(state.decided, Outcome::Held | Outcome::Prepared);
        if self.liars.bank || !undecided {
            return;
        }
        for (log, tree, kind) in self.evidence(state) {
            if extends(tree, state.bank[log].tree) {
                actions.push(Action::BankReads(log, tree, kind));
            }
            if self.liars.merchant || state.merchant != Merchant::Waiting {
                let deeds = TREES[tree].iter();
                let claims = deeds.map(|deed| Action::MerchantClaims(log, *deed, kind));
                actions.extend(claims);
            }
            if state.merchant == Merchant::Sent && !self.liars.merchant {
                actions.push(Action::MerchantSees(log, tree, kind));
            }
        }
        let commit = self.is_known(state, Deed::Commit);
        if commit && bank_takes(&self.lock(), state.decided, self.bank_clock(state)) {
            actions.push(Action::BankTakes);
        }
        if state.phase == PHASES - 1 && !self.claim_is_pending(state) {
            actions.push(Action::Settle);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => state.phase += 1,
            Action::Publish(deed) => {
                state.known[deed as usize - 1] = true;
                if !self.liars.merchant {
                    state.merchant = match deed {
                        Deed::Prepare => Merchant::Preparing,
                        Deed::Commit => Merchant::Sent,
                        Deed::Cancel => state.merchant,
                    };
                }
            }
            Action::Append(log, deed) => state.logs[log] = appended(state.logs[log], deed)?,
            Action::Cosign(number, log, tree) => {
                let phase = 1_u8 << state.phase;
                let witness = &mut state.witnesses[number][log];
                witness.last = tree;
                witness.trees.insert((tree, phase));
                state.witnesses.sort();
            }
            Action::BankReads(log, tree, kind) => {
                let checkpoint = self.checkpoints.of_kind(kind);
                let read = &mut state.bank[log];
                for deed in &TREES[tree][TREES[read.tree].len()..] {
                    read.view.read(&self.lock(), *deed, checkpoint);
                }
                (read.tree, read.checkpoint) = (tree, Some(kind));
                self.bank_decides(&mut state);
            }
            Action::MerchantSees(_, tree, kind) => {
                let checkpoint = self.checkpoints.of_kind(kind);
                let mut view = LogView::default();
                let lock = self.lock();
                TREES[tree]
                    .iter()
                    .for_each(|deed| view.read(&lock, *deed, checkpoint));
                let is_enough = self.log_threshold == 1 && self.mode == ModeName::Fast;
                if view.words(&lock, Some(checkpoint)).committed != Word::Yes || !is_enough {
                    return None;
                }
                state.merchant = Merchant::Safe;
            }
            Action::MerchantClaims(log, deed, kind) => {
                let checkpoint = self.checkpoints.of_kind(kind);
                let (lock, read) = (self.lock(), &mut state.bank[log]);
                if self.mode == ModeName::Fast && deed == Deed::Commit && !read.view.committed {
                    // Only commits count: what a receipt shows is as good as read.
                    read.view.read(&lock, deed, checkpoint);
                }
                read.view.prove(&lock, deed, checkpoint);
                self.bank_decides(&mut state);
            }
            Action::BankTakes => {
                state.decided = Outcome::Captured;
                if state.merchant == Merchant::Sent {
                    state.merchant = Merchant::Safe;
                }
            }
            Action::Settle => {
                state.decided = Outcome::Released;
                state.settled = true;
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("v4", |model: &Self, state: &State| {
                let conclusions = model.conclusions(state);
                let can = |outcome| conclusions.contains(&outcome);
                let bank_released = state.decided == Outcome::Released && !state.settled;
                !(can(Outcome::Captured) && (can(Outcome::Released) || bank_released))
            }),
            Property::always("v2", |model: &Self, state: &State| {
                let is_out = state.known[Deed::Commit as usize - 1];
                model.liars.merchant || !is_out || state.decided != Outcome::Released
            }),
            Property::always("v3", |_: &Self, state: &State| {
                let is_out = state.known[Deed::Commit as usize - 1];
                is_out || state.decided != Outcome::Captured
            }),
            Property::always(
                "a cancel that is first in every log is honoured",
                |model: &Self, state: &State| {
                    let cancelled =
                        |log: usize| TREES[state.logs[log]].first() == Some(&Deed::Cancel);
                    model.liars.log
                        || !(0..model.logs).all(cancelled)
                        || state.decided != Outcome::Captured
                },
            ),
            Property::sometimes("captured", |model: &Self, state: &State| {
                model.liars.bank || state.decided == Outcome::Captured
            }),
            Property::sometimes("released", |model: &Self, state: &State| {
                model.liars.bank || state.decided == Outcome::Released && !state.settled
            }),
            Property::sometimes("prepared", |model: &Self, state: &State| {
                let is_safe = model.mode == ModeName::Safe;
                model.liars.bank || !is_safe || state.decided == Outcome::Prepared
            }),
        ]
    }
}

impl LockModel {
    /// The bank's clock: the latest moment of the phase that counts for the lock.
    fn bank_clock(&self, state: &State) -> Timestamp {
        match state.phase {
            0 => EXPIRY,
            1 => commit_until(),
            _ => Timestamp(u64::MAX),
        }
    }

    /// Whether an honest merchant still has a claim to make; it has until `settle_until`, which is long.
    fn claim_is_pending(&self, state: &State) -> bool {
        !self.liars.merchant && state.merchant == Merchant::Safe
    }
}
