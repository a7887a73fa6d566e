//! Seeds are inputs too: every one runs through its target without a finding. And the tables name everything.

use std::{collections::BTreeSet, fs, path::Path};

use crate::{TARGETS, play::OPERATIONS};

#[test]
fn every_target_runs_through_its_seeds() {
    for target in TARGETS {
        for (number, seed) in (target.seeds)().iter().enumerate() {
            println!("{} {number}", target.name);
            (target.run)(seed);
        }
    }
}

#[test]
fn the_operations_are_those_of_the_description() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol/purchase.md");
    let document = fs::read_to_string(path).expect("part of the source");
    let rows = document
        .lines()
        .filter(|line| line.matches('|').count() == 5);
    let paths = rows.filter_map(|row| {
        row.split('|')
            .nth(2)?
            .trim()
            .strip_prefix('`')?
            .strip_suffix('`')
    });
    let described: BTreeSet<&str> = paths.filter(|path| path.starts_with("/v1/")).collect();
    assert_eq!(
        described,
        OPERATIONS.iter().map(|operation| operation.path).collect()
    );
}

#[test]
fn every_target_has_a_program() {
    for target in TARGETS {
        let program = format!("targets/{}.rs", target.name);
        assert!(
            Path::new(env!("CARGO_MANIFEST_DIR")).join(program).exists(),
            "{}",
            target.name
        );
    }
}
