//! How `cargo xtask chaos` is told what to do, and how it tells the test that does it.

/// The test that plays the rounds, in the end-to-end tests of `bauta`.
const TEST: &str = "chaos::everybody_ends_with_goods_or_money_whatever_is_killed_or_lost";

/// What was typed; the test knows what to do where nothing was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    rounds: Option<u64>,
    first: Option<u64>,
    towns: Option<u64>,
    archives: Option<u64>,
    seed: Option<u64>,
    is_release: bool,
}

impl Options {
    /// None when it is not understood.
    pub(crate) fn parse(arguments: &[&str]) -> Option<Self> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let place = match *argument {
                "--rounds" => &mut options.rounds,
                "--first" => &mut options.first,
                "--towns" => &mut options.towns,
                "--archives" => &mut options.archives,
                "--seed" => &mut options.seed,
                "--release" => {
                    options.is_release = true;
                    continue;
                }
                _ => return None,
            };
            *place = Some(rest.next()?.parse().ok()?);
        }
        Some(options)
    }

    /// Arguments for cargo.
    pub(crate) fn arguments(self) -> Vec<&'static str> {
        let mut arguments = vec!["test", "--quiet", "--package=bauta", "--test=e2e"];
        arguments.extend(self.is_release.then_some("--release"));
        arguments.extend(["--", "--ignored", "--exact", "--nocapture", TEST]);
        arguments
    }

    /// Variables for the test.
    pub(crate) fn variables(self) -> Vec<(&'static str, String)> {
        let all = [
            ("BAUTA_CHAOS_ROUNDS", self.rounds),
            ("BAUTA_CHAOS_FIRST", self.first),
            ("BAUTA_CHAOS_TOWNS", self.towns),
            ("BAUTA_CHAOS_ARCHIVES", self.archives),
            ("BAUTA_CHAOS_SEED", self.seed),
        ];
        let given = all.into_iter();
        given
            .filter_map(|(name, value)| Some((name, value?.to_string())))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_reaches_the_test_and_nonsense_is_refused() {
        let options = Options::parse(&["--seed", "7", "--release", "--rounds", "9"]);
        let options = options.expect("understood");
        assert!(options.arguments().contains(&"--release"));
        let expected = [("BAUTA_CHAOS_ROUNDS", "9"), ("BAUTA_CHAOS_SEED", "7")];
        let expected = expected.map(|(name, value)| (name, value.to_owned()));
        assert_eq!(options.variables(), expected);
        for wrong in [&["--rounds"][..], &["--rounds", "many"], &["7"]] {
            assert_eq!(Options::parse(wrong), None, "{wrong:?}");
        }
    }
}
