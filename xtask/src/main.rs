//! The project's only automation: `cargo xtask test` is what every change must pass.

mod chaos;
mod documents;
mod fuzz;
mod mutants;
mod simulation;
mod steps;

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
};

const HELP: &str = "\
The project's automation.

Usage: cargo xtask <command>

Commands:
  test [--quick]   Every check that a change must pass: formatting, lints, documentation, licences, tests.
                   --quick leaves out what builds documentation (`cargo doc` and the examples in it), chaos and sim.
  sim              Simulated worlds in which everything goes wrong, each from one seed, and one world for every single
                   point at which a node can crash: as many as a change must pass. --seeds N [--from N] or --hours H for
                   others, --crashes for the points; --seed N or --crash POINT tells the story of one world.
  check-docs       Only the checks of the written documents: links, and that protocol and glossary are complete.
  chaos            Rounds of trade between real processes that are killed at random, over connections that lose, delay,
                   double and cut; the books are audited after each. --rounds N [30], --towns N side by side [10],
                   --archives 1 or 3 [by chance], --seed N for the same random choices again, --first N to begin with a certain
                   round, --release.
  fuzz [TARGET]    Makes corpora from the vectors, builds the fuzz targets and runs all of them, or one, for --seconds N [600]
                   each; --seed-corpora only makes the corpora. Needs a nightly compiler.
  mutants [WORD..] Take out one check after the other and expect that the attack which it stops succeeds; only mutants
                   whose name or script contains one of the words, if there are any.
  vectors          Write the vectors of messages and goods again, under crates/*/tests/vectors.

Options:
  -h, --help       Print this text.

Exit status: 0 when every step that ran is good, 1 when one failed, 2 when the command line is not understood.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let is_good = match arguments.as_slice() {
        ["test"] => steps::run(&workspace(), &steps::all()),
        ["test", "--quick"] => steps::run(&workspace(), &steps::quick()),
        ["check-docs"] => steps::run(&workspace(), &[steps::Step::Documents]),
        ["mutants", wanted @ ..] if !wanted.iter().any(|word| word.starts_with('-')) => {
            mutants::run(&workspace(), wanted)
        }
        ["sim", options @ ..] => simulation::run(&workspace(), options),
        ["vectors"] => steps::run(&workspace(), &[steps::Step::Vectors]),
        ["help" | "-h" | "--help"] | [_, .., "-h" | "--help"] => {
            print!("{HELP}");
            true
        }
        ["chaos", options @ ..] => match chaos::Options::parse(options) {
            Some(options) => steps::run(&workspace(), &[steps::Step::Chaos(options)]),
            None => return wrong_usage(),
        },
        ["fuzz", options @ ..] => match fuzz::Options::parse(options) {
            Some(options) => fuzz::run(&workspace(), &options),
            None => return wrong_usage(),
        },
        _ => return wrong_usage(),
    };
    ExitCode::from(u8::from(!is_good))
}

fn wrong_usage() -> ExitCode {
    eprint!("{HELP}");
    ExitCode::from(2)
}

/// The root of the workspace, wherever the command is typed. Cargo says at run time where the source is now; where it
/// was when this program was built may be another copy.
fn workspace() -> PathBuf {
    let here =
        env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let here = Path::new(&here);
    here.parent().unwrap_or(here).to_owned()
}
