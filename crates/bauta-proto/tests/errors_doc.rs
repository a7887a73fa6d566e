//! docs/errors.md is the registry of `bauta_proto::problem`, row by row.

use std::{collections::BTreeSet, fs, path::Path};

use bauta_proto::{
    log::witness::ADD_CHECKPOINT_PATH,
    problem::{Fault, Problem, ProblemKind},
    transport::{Endpoint, archive, bank, merchant},
};

/// One row of the document.
struct Row {
    code: String,
    status: String,
    title: String,
    fault: String,
    remedy: String,
    endpoints: String,
}

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    fs::read_to_string(path).expect("docs/errors.md is part of the source")
}

/// The rows of the tables whose first cell is a number.
fn rows() -> Vec<Row> {
    document().lines().filter_map(row).collect()
}

fn row(line: &str) -> Option<Row> {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [code, status, title, fault, remedy, endpoints] = cells.as_slice() else {
        return None;
    };
    code.parse::<u16>().ok()?;
    Some(Row {
        code: (*code).to_owned(),
        status: (*status).to_owned(),
        title: (*title).to_owned(),
        fault: (*fault).to_owned(),
        remedy: (*remedy).to_owned(),
        endpoints: (*endpoints).to_owned(),
    })
}

const fn word(fault: Fault) -> &'static str {
    match fault {
        Fault::Caller => "caller",
        Fault::Role => "role",
        Fault::Elsewhere => "elsewhere",
        Fault::Nobody => "nobody",
    }
}

#[test]
fn the_document_has_the_registry_s_rows_in_its_order_and_no_other() {
    let rows = rows();
    let codes: Vec<String> = rows.iter().map(|row| row.code.clone()).collect();
    let expected: Vec<String> = ProblemKind::ALL
        .iter()
        .map(|kind| (*kind as u16).to_string())
        .collect();
    assert_eq!(codes, expected);
}

#[test]
fn each_row_says_what_the_registry_says() {
    for (row, kind) in rows().iter().zip(ProblemKind::ALL) {
        let code = &row.code;
        assert_eq!(row.status, kind.status().to_string(), "status of {code}");
        assert_eq!(row.title, kind.title(), "title of {code}");
        assert_eq!(row.fault, word(kind.fault()), "fault of {code}");
        assert_eq!(row.remedy, kind.remedy(), "remedy of {code}");
    }
}

#[test]
fn each_row_names_endpoints_that_exist() {
    let known: BTreeSet<&str> = endpoints().into_iter().collect();
    for row in rows() {
        let mut named = row.endpoints.split(", ");
        let is_known = |name: &str| name == "all" || known.contains(name.trim_matches('`'));
        assert!(
            named.all(is_known),
            "endpoints of {}: {}",
            row.code,
            row.endpoints
        );
    }
}

/// Every path that may refuse something.
fn endpoints() -> [&'static str; 19] {
    [
        bank::KEYSETS_PATH,
        bank::POLICY_PATH,
        bank::Withdraw::PATH,
        bank::Exchange::PATH,
        bank::Restore::PATH,
        bank::State::PATH,
        bank::LockValue::PATH,
        bank::CaptureLock::PATH,
        bank::ReleaseLock::PATH,
        bank::ClaimLocks::PATH,
        bank::Status::PATH,
        bank::AccountStatement::PATH,
        archive::SubmitLeaf::PATH,
        archive::SubmitRecord::PATH,
        merchant::CATALOGUE_PATH,
        merchant::CIPHERTEXT_PATH,
        merchant::Order::PATH,
        merchant::AcceptOffer::PATH,
        ADD_CHECKPOINT_PATH,
    ]
}

#[test]
fn the_example_in_the_document_reads_as_a_problem() {
    let document = document();
    let example = document.split("```json\n").nth(1);
    let example = example.and_then(|rest| rest.split("```").next());
    let problem = Problem::from_json(example.expect("an example").as_bytes());
    assert_eq!(
        problem.map(|problem| problem.kind),
        Some(ProblemKind::CoinSpent)
    );
}
