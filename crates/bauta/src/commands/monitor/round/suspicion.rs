//! From suspicion to finding: what is proved is kept at once, what may pass only counts when it lasts.

use std::collections::BTreeMap;

use bauta_proto::{log::evidence::Evidence, transport::Transport};

use super::{EVIDENCE_MAX, Monitor};
use crate::{
    commands::monitor::{
        finding::{Finding, Trouble},
        state::Proved,
    },
    failure::Outcome,
};

impl<T: Transport> Monitor<T> {
    pub(super) fn suspect(&mut self, trouble: Trouble, origin: &str, says: &str) {
        let key = format!("{}|{origin}", trouble.name());
        self.suspected
            .insert(key, (trouble, format!("{origin} {says}")));
    }

    /// Keeps evidence once, if it holds: what is shown to others has passed their own check.
    pub(super) fn prove(&mut self, about: &str, evidence: Evidence) -> Outcome {
        let key = format!("{}|{about}", evidence.kind());
        let origin = about.split('|').next().unwrap_or_default();
        let alike = format!("{}|{origin}|", evidence.kind());
        let count = self
            .state
            .proved
            .keys()
            .filter(|key| key.starts_with(&alike))
            .count();
        if self.state.proved.contains_key(&key) || count >= EVIDENCE_MAX {
            return Ok(());
        }
        let Ok(verdict) = evidence.check(&self.policy) else {
            return Ok(());
        };
        let file = self.folder.keep(&evidence)?;
        let proved = Proved {
            file,
            found_at: self.now.0,
            severity: verdict.severity,
            says: verdict.says,
        };
        self.state.proved.insert(key, proved);
        Ok(())
    }

    /// What was proved, and what is out of order for long enough.
    pub(super) fn findings(&mut self) -> Vec<Finding> {
        let proved = self.state.proved.iter();
        let mut findings: Vec<_> = proved
            .map(|(key, proved)| proved.finding(key, &self.folder))
            .collect();
        let mut strikes = BTreeMap::new();
        for (key, (trouble, says)) in &self.suspected {
            let count = self
                .state
                .strikes
                .get(key)
                .map_or(1, |count| count.saturating_add(1));
            strikes.insert(key.clone(), count);
            if count >= self.patience.rounds || !trouble.may_pass() {
                findings.push(Finding {
                    kind: trouble.name().to_owned(),
                    severity: trouble.severity(),
                    key: key.clone(),
                    says: says.clone(),
                    evidence: None,
                });
            }
        }
        self.state.strikes = strikes;
        findings
    }
}
