//! Every single point at which a node can crash, in short worlds where nothing else goes wrong.

use std::{fmt, str::FromStr};

use crate::{CrashPoint, Errand, Errands, Moment, NodeId, Plan, run};

/// One world with one crash: which of [`Plan::scenarios`], who crashes, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SingleCrash {
    /// The number of the scenario.
    pub scenario: usize,
    /// Who crashes.
    pub node: NodeId,
    /// Where.
    pub point: CrashPoint,
}

impl SingleCrash {
    /// The world in which it happens; none if there is no such scenario.
    #[must_use]
    pub fn plan(&self) -> Option<Plan> {
        let plan = Plan::scenarios().into_iter().nth(self.scenario)?;
        Some(Plan {
            crash_at: Some((self.node, self.point)),
            ..plan
        })
    }

    /// Every single crash of every scenario: before, in and after every operation of every node's disk.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let scenarios = Plan::scenarios().into_iter().enumerate();
        scenarios
            .flat_map(|(scenario, plan)| Self::all_of(scenario, plan))
            .collect()
    }

    fn all_of(scenario: usize, plan: Plan) -> Vec<Self> {
        let operations = run(plan).operations.into_iter();
        let points = operations.flat_map(|(node, numbers)| {
            let crash = move |operation| {
                let at = move |moment| Self {
                    scenario,
                    node,
                    point: CrashPoint { operation, moment },
                };
                Moment::ALL.map(at)
            };
            numbers.flat_map(crash)
        });
        points.collect()
    }
}

impl Plan {
    /// The short worlds of which every crash is tried.
    #[must_use]
    pub fn scenarios() -> Vec<Self> {
        let buy = |from_account, is_safe, is_cancelled| Errand::Buy {
            merchant: 0,
            from_account,
            is_safe,
            is_cancelled,
        };
        let scenario = |seed, errands: &[Errand]| Self {
            errands: Errands::Fixed(errands.to_vec()),
            ..Self::calm(seed)
        };
        vec![
            scenario(11, &[Errand::Withdraw(12), Errand::buy(0)]),
            scenario(12, &[buy(true, false, false)]),
            scenario(13, &[Errand::Withdraw(3), Errand::Restore]),
            scenario(14, &[buy(true, true, false)]),
        ]
    }
}

impl fmt::Display for SingleCrash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CrashPoint { operation, moment } = self.point;
        let (scenario, node, moment) = (self.scenario, self.node, moment.name());
        write!(formatter, "{scenario}/{node}/{operation}/{moment}")
    }
}

/// A text that names no crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a crash is named by scenario, node, operation and moment, as in `0/bank-0/17/middle`")]
pub struct UnknownCrash;

impl FromStr for SingleCrash {
    type Err = UnknownCrash;

    fn from_str(text: &str) -> Result<Self, UnknownCrash> {
        let parts: Vec<&str> = text.split('/').collect();
        let [scenario, node, operation, moment] = parts[..] else {
            return Err(UnknownCrash);
        };
        let moment = Moment::ALL.into_iter().find(|one| one.name() == moment);
        Ok(Self {
            scenario: scenario.parse().map_err(|_| UnknownCrash)?,
            node: node.parse().map_err(|_| UnknownCrash)?,
            point: CrashPoint {
                operation: operation.parse().map_err(|_| UnknownCrash)?,
                moment: moment.ok_or(UnknownCrash)?,
            },
        })
    }
}

impl Moment {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Before, Self::Middle, Self::After];

    const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Middle => "middle",
            Self::After => "after",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_reads_as_it_is_written() {
        let text = "1/merchant-0/17/middle";
        let crash: SingleCrash = text.parse().expect("a crash");
        assert_eq!(crash.to_string(), text);
        assert_eq!(crash.node, NodeId::merchant(0));
        for wrong in [
            "",
            "1/merchant-0/17",
            "1/x-0/17/middle",
            "1/bank-0/17/never",
        ] {
            assert_eq!(wrong.parse::<SingleCrash>(), Err(UnknownCrash), "{wrong}");
        }
    }
}
