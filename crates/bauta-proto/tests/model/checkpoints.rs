//! Really cosigned checkpoints, one for each way in which witnesses may have cosigned.

use bauta_crypto::{
    note::{Checkpoint, CosignerSigner, LogSigner, cosign, sign_checkpoint},
    secret::Secret,
    sign::SigningKey,
};
use bauta_proto::{
    decision::{Age, age},
    log::policy::{CheckedCheckpoint, Policy},
    time::Timestamp,
};

use crate::lock::{EXPIRY, PHASE_TIMES, PHASES, commit_until};

const ORIGIN: &str = "log.example/bauta";

/// For every set of phases in which each witness cosigned a tree: the checkpoints that somebody can make of it, one of each
/// kind that the rule tells apart. Which tree it is makes no difference to the rule.
#[derive(Clone)]
pub(crate) struct Checkpoints {
    witnesses: usize,
    by_masks: Vec<Vec<usize>>,
    kinds: Vec<CheckedCheckpoint>,
}

impl std::fmt::Debug for Checkpoints {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} witnesses", self.witnesses)
    }
}

impl Checkpoints {
    /// Of `witnesses`, `needed` are a quorum.
    pub(crate) fn new(witnesses: usize, needed: usize) -> Self {
        let policy = policy(witnesses, needed);
        let mut kinds: Vec<(CheckedCheckpoint, [Age; 4])> = Vec::new();
        // For each choice of one phase or none a witness, what the checkpoint is worth.
        let of_choice: Vec<Option<usize>> = choices(witnesses)
            .map(|choice| {
                let checkpoint = checkpoint(&policy, &choice)?;
                let worth = worth(&checkpoint);
                let known = kinds.iter().position(|(_, known)| *known == worth);
                Some(known.unwrap_or_else(|| {
                    kinds.push((checkpoint, worth));
                    kinds.len() - 1
                }))
            })
            .collect();
        let by_masks = (0..8_usize.pow(u32::try_from(witnesses).expect("few")))
            .map(|masks| {
                let can_choose = |choice: &[usize]| {
                    choice.iter().enumerate().all(|(witness, phase)| {
                        *phase == 0 || masks >> (3 * witness) >> (phase - 1) & 1 == 1
                    })
                };
                let possible = choices(witnesses).zip(&of_choice);
                let mut kinds: Vec<usize> = possible
                    .filter(|(choice, _)| can_choose(choice))
                    .filter_map(|(_, kind)| *kind)
                    .collect();
                kinds.sort_unstable();
                kinds.dedup();
                kinds
            })
            .collect();
        Self {
            witnesses,
            by_masks,
            kinds: kinds
                .into_iter()
                .map(|(checkpoint, _)| checkpoint)
                .collect(),
        }
    }

    /// How many witnesses there are.
    pub(crate) const fn witnesses(&self) -> usize {
        self.witnesses
    }

    /// The kinds of checkpoints that can be made of these cosignatures: for each witness, the phases as bits.
    pub(crate) fn possible(&self, phases: impl Iterator<Item = u8>) -> &[usize] {
        let masks = phases.enumerate();
        let masks = masks.fold(0, |all, (witness, mask)| {
            all | usize::from(mask) << (3 * witness)
        });
        &self.by_masks[masks]
    }

    /// One of them.
    pub(crate) fn of_kind(&self, kind: usize) -> &CheckedCheckpoint {
        &self.kinds[kind]
    }
}

/// Every way to choose, for each witness, none (0) or one of its phases (from 1).
fn choices(witnesses: usize) -> impl Iterator<Item = Vec<usize>> {
    let options = PHASES + 1;
    let count = options.pow(u32::try_from(witnesses).expect("few"));
    (0..count).map(move |number| {
        let digits = (0..witnesses)
            .map(|witness| number / options.pow(u32::try_from(witness).expect("few")) % options);
        digits.collect()
    })
}

/// All that the rule sees of a checkpoint.
fn worth(checkpoint: &CheckedCheckpoint) -> [Age; 4] {
    let fast = age(checkpoint, EXPIRY);
    let ends = [EXPIRY, commit_until()].map(|until| age(checkpoint, until));
    [fast, ends[0], ends[1], age(checkpoint, Timestamp(u64::MAX))]
}

fn key(number: usize) -> SigningKey {
    SigningKey::from_seed(&Secret::new([u8::try_from(number).expect("few"); 32]))
}

fn log() -> LogSigner {
    LogSigner::new(ORIGIN, &key(1)).expect("a name")
}

fn witness(number: usize) -> CosignerSigner {
    CosignerSigner::new(&format!("witness{number}.example"), &key(10 + number)).expect("a name")
}

fn policy(witnesses: usize, needed: usize) -> Policy {
    let mut text = format!("log {}\n", log().vkey());
    let mut names = String::new();
    for number in 0..witnesses {
        text += &format!("witness {number} {}\n", witness(number).vkey());
        names += &format!(" {number}");
    }
    text += &format!("group g {needed}{names}\nquorum g\n");
    text.parse().expect("a policy")
}

fn checkpoint(policy: &Policy, choice: &[usize]) -> Option<CheckedCheckpoint> {
    let checkpoint = Checkpoint {
        origin: ORIGIN.to_owned(),
        size: 1,
        root: [1; 32],
    };
    let mut note = sign_checkpoint(&checkpoint, &log()).expect("signs");
    for (number, phase) in choice.iter().enumerate() {
        if *phase > 0 {
            note = cosign(&note, &witness(number), PHASE_TIMES[phase - 1].0).expect("cosigns");
        }
    }
    policy.check(&note).ok()
}
