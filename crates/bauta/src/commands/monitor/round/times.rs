//! The times that witnesses sign, and who is late or missing.

use std::sync::Arc;

use bauta_proto::{
    log::{
        evidence::{Evidence, TimeWentBack},
        policy::KnownLog,
        watch::{SignedCheckpoint, is_ahead, went_back},
    },
    time::{CLOCK_TOLERANCE, Timestamp},
    transport::Transport,
};

use super::{Monitor, Vantage};
use crate::{
    commands::monitor::{finding::Trouble, state::Cosigned},
    failure::Outcome,
};

impl<T: Transport> Monitor<T> {
    /// Whether every witness's times are near this clock and do not go back.
    pub(super) fn look_at_times(&mut self, shown: &SignedCheckpoint) -> Outcome {
        let policy = Arc::clone(&self.policy);
        for (witness, time) in policy.witnesses().iter().zip(shown.times()) {
            let Some(time) = *time else { continue };
            let about = format!("{}|{}", shown.origin, witness.name);
            if is_ahead(time, self.now) {
                let says = format!(
                    "the witness {} signs times {} ahead of this clock",
                    witness.name,
                    time.since(self.now)
                );
                self.suspected.insert(
                    format!("clock-ahead|{}", witness.name),
                    (Trouble::ClockAhead, says),
                );
            }
            let memory = self.state.logs.entry(shown.origin.clone()).or_default();
            let known = memory.cosigned.get(&witness.name).cloned();
            let this = (shown.size, time);
            if let Some(known) = &known {
                let that = (known.size, Timestamp(known.time));
                let pair = [
                    (this, shown.note(), that, known.note.as_str()),
                    (that, &known.note, this, shown.note()),
                ];
                for (smaller, smaller_note, larger, larger_note) in pair {
                    if went_back(smaller, larger) {
                        self.prove(
                            &about,
                            Evidence::TimeWentBack(TimeWentBack {
                                witness: witness.name.clone(),
                                smaller: smaller_note.to_owned(),
                                larger: larger_note.to_owned(),
                            }),
                        )?;
                    }
                }
                let last_round = Timestamp(self.state.last_round);
                let key = format!("clock-behind|{about}");
                let is_new = that < this;
                let has_strikes = self.state.strikes.contains_key(&key);
                if (is_new && time.plus(CLOCK_TOLERANCE) < last_round) || (!is_new && has_strikes) {
                    let says = format!(
                        "the witness {} signs times {} behind this clock",
                        witness.name,
                        self.now.since(time)
                    );
                    self.suspected.insert(key, (Trouble::ClockBehind, says));
                }
            }
            if known.is_none_or(|known| (known.size, known.time) < (shown.size, time.0)) {
                let cosigned = Cosigned {
                    size: shown.size,
                    time: time.0,
                    note: shown.note().to_owned(),
                };
                let memory = self.state.logs.entry(shown.origin.clone()).or_default();
                memory.cosigned.insert(witness.name.clone(), cosigned);
            }
        }
        Ok(())
    }

    /// Whether the checkpoint is fresh, and every witness takes part.
    pub(super) fn freshness(
        &mut self,
        log: &KnownLog,
        shown: &SignedCheckpoint,
        cosigned_at: Option<Timestamp>,
        others: &[Vantage],
    ) {
        let oldest = self.now.minus(self.patience.stale_after);
        let newest = cosigned_at
            .or_else(|| shown.cosigned_at())
            .unwrap_or_default();
        if !is_its_time(log, self.now) {
            return;
        }
        if newest < oldest {
            let says = format!("shows a checkpoint that is {} old", self.now.since(newest));
            return self.suspect(Trouble::Stale, &log.key.name, &says);
        }
        let policy = Arc::clone(&self.policy);
        for (position, witness) in policy.witnesses().iter().enumerate() {
            let all = others.iter().map(|(_, other)| other).chain([shown]);
            let latest = all
                .filter_map(|checkpoint| checkpoint.times()[position])
                .max();
            if latest.is_none_or(|latest| latest < oldest) {
                let key = format!("witness-missing|{}|{}", log.key.name, witness.name);
                let says = format!(
                    "the witness {} does not cosign {}",
                    witness.name, log.key.name
                );
                self.suspected.insert(key, (Trouble::WitnessMissing, says));
            }
        }
    }
}

/// Whether the log has to be there and to move: a shard that begins later or has ended need not.
pub(super) fn is_its_time(log: &KnownLog, now: Timestamp) -> bool {
    log.shard.is_none_or(|shard| shard.contains(now))
}
