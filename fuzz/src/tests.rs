//! Seeds are inputs too: every one runs through its target without a finding. And the tables name everything.

use std::{collections::BTreeSet, fs, path::Path};

use bauta_proto::{
    codec::Message,
    log::leaf::Deed,
    submission::Submission,
    transport::{Endpoint, archive::SubmitLeaf},
};

use crate::{
    TARGETS,
    play::{OPERATIONS, TRANSCRIPT},
};

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
fn every_operation_is_in_the_transcript_that_requests_are_made_from() {
    let asked: BTreeSet<&str> = TRANSCRIPT.asked.iter().map(|asked| &*asked.path).collect();
    for operation in OPERATIONS {
        assert!(asked.contains(operation.path), "{}", operation.path);
    }
}

#[test]
fn every_deed_about_a_lock_is_in_the_transcript() {
    let leaves = TRANSCRIPT
        .asked
        .iter()
        .filter(|asked| asked.path == SubmitLeaf::PATH);
    let submissions = leaves.map(|asked| Submission::from_bytes(&asked.body).expect("one"));
    let deeds: Vec<Deed> = submissions.map(|submission| submission.deed).collect();
    for deed in [Deed::Prepare, Deed::Commit, Deed::Cancel] {
        assert!(deeds.contains(&deed), "{deed:?}");
    }
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
