//! Every request may come twice, and nothing that is not a message is taken for one.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    http,
    process::run,
    proxy::Exchange,
    purse::Purse,
    town::{ARCHIVE, BANK, MERCHANT, ROLES, Town},
};

/// Paths whose requests change something, by role.
const CHANGES: [(usize, &str); 8] = [
    (BANK, "/v1/withdraw"),
    (BANK, "/v1/lock"),
    (BANK, "/v1/claim"),
    (BANK, "/v1/capture"),
    (ARCHIVE, "/v1/leaf"),
    (ARCHIVE, "/v1/record"),
    (MERCHANT, "/v1/order"),
    (MERCHANT, "/v1/accept"),
];

/// Every operation, with the media type of its request.
const OPERATIONS: [(usize, &str, &str); 14] = [
    (BANK, "/v1/withdraw", "withdraw-request"),
    (BANK, "/v1/exchange", "exchange-request"),
    (BANK, "/v1/restore", "restore-request"),
    (BANK, "/v1/coin-state", "coin-state-request"),
    (BANK, "/v1/lock", "lock-request"),
    (BANK, "/v1/capture", "capture"),
    (BANK, "/v1/release", "release"),
    (BANK, "/v1/claim", "claim-request"),
    (BANK, "/v1/lock-status", "lock-status-request"),
    (BANK, "/v1/statement", "statement-request"),
    (ARCHIVE, "/v1/leaf", "submission"),
    (ARCHIVE, "/v1/record", "record"),
    (MERCHANT, "/v1/order", "order-request"),
    (MERCHANT, "/v1/accept", "accept-request"),
];

/// A town in which everything has been done once, and what was said on the way.
fn finished() -> (Town, Purse, Vec<(usize, Exchange)>) {
    let town = Town::proxied();
    let good = town.sell(&town.file("song", b"la la la"), "4.99EUR", "song");
    let purse = town.rich_customer("customer", "20EUR");
    run(&mut town.buy(&purse, &good, &[])).good();
    town.settle(&[&purse]);
    let passed = town.proxies.iter().enumerate();
    let passed =
        passed.flat_map(|(role, proxy)| proxy.passed().into_iter().map(move |one| (role, one)));
    let passed = passed.collect();
    (town, purse, passed)
}

/// An answer must be a problem document with one of these codes, and the status of its row.
#[track_caller]
fn refused(answer: &http::Answer, codes: &[u64]) {
    let head = answer.head.to_ascii_lowercase();
    let text = String::from_utf8_lossy(&answer.body);
    assert!(
        head.contains("content-type: application/problem+json"),
        "{head}\n{text}"
    );
    let problem: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(problem["status"], answer.status, "{problem}");
    let code = problem["code"].as_u64().expect("a number");
    assert!(codes.contains(&code), "{problem} instead of {codes:?}");
    for member in ["type", "title", "fault", "remedy"] {
        assert!(problem[member].is_string(), "{problem}");
    }
}

#[test]
fn a_repeated_request_gets_the_same_bytes_and_moves_no_money() {
    let (town, purse, passed) = finished();
    let before = (town.books(), purse.settled());
    let mut repeated = BTreeMap::new();
    for (role, one) in &passed {
        if !CHANGES.contains(&(*role, one.path.as_str())) || one.answer.status != 200 {
            continue;
        }
        for _ in 0..2 {
            let port = town.roles[*role].port;
            let again = http::post(port, &one.path, &one.media_type, &one.request);
            assert_eq!(again.status, 200, "{}", one.path);
            assert!(
                again.body == one.answer.body,
                "{} got other bytes",
                one.path
            );
        }
        *repeated.entry(one.path.clone()).or_insert(0) += 1;
    }
    for path in [
        "withdraw", "lock", "claim", "leaf", "order", "accept", "record",
    ] {
        assert!(
            repeated.contains_key(&format!("/v1/{path}")),
            "{path} is not in {repeated:?}"
        );
    }
    assert_eq!((town.books(), purse.settled()), before);
    town.settle(&[&purse]);
}

#[test]
fn a_request_repeated_after_a_restart_gets_the_same_bytes() {
    let (town, purse, passed) = finished();
    for role in &town.roles {
        role.restart();
    }
    let before = town.books();
    for (role, one) in &passed {
        if CHANGES.contains(&(*role, one.path.as_str())) && one.answer.status == 200 {
            let again = http::post(
                town.roles[*role].port,
                &one.path,
                &one.media_type,
                &one.request,
            );
            assert!(
                again.body == one.answer.body,
                "{} got other bytes",
                one.path
            );
        }
    }
    assert_eq!(town.books(), before);
    town.settle(&[&purse]);
}

#[test]
fn a_request_changed_in_any_byte_is_refused_and_moves_no_money() {
    const FORGERIES: [&str; 6] = [
        "/v1/withdraw",
        "/v1/lock",
        "/v1/leaf",
        "/v1/record",
        "/v1/accept",
        "/v1/capture",
    ];
    let (town, purse, passed) = finished();
    let before = (town.books(), purse.settled());
    let mut seen = Vec::new();
    for (role, one) in &passed {
        let is_first = !seen.contains(&&one.path);
        if !FORGERIES.contains(&one.path.as_str()) || one.answer.status != 200 || !is_first {
            continue;
        }
        seen.push(&one.path);
        let port = town.roles[*role].port;
        for place in 0..one.request.len() {
            let mut changed = one.request.clone();
            changed[place] ^= 1 << (place % 8);
            let answer = http::post(port, &one.path, &one.media_type, &changed);
            assert!(
                (400..500).contains(&answer.status),
                "{} byte {place}: {}",
                one.path,
                answer.status
            );
            let json: Value = serde_json::from_slice(&answer.body).expect("a problem");
            assert_eq!(json["fault"], "caller", "{} byte {place}: {json}", one.path);
        }
    }
    assert!(seen.len() >= 5, "{seen:?}");
    assert_eq!((town.books(), purse.settled()), before);
}

#[test]
fn what_is_not_a_message_is_answered_with_a_problem_that_says_so() {
    let (town, purse, passed) = finished();
    let before = (town.books(), purse.settled());
    for (role, path, name) in OPERATIONS {
        let port = town.roles[role].port;
        let media_type = format!("application/vnd.bauta.{name}");
        let post = |body: &[u8]| http::post(port, path, &media_type, body);
        refused(&post(b""), &[1001]);
        refused(&post(b"hello"), &[1001]);
        refused(&post(&[0xff; 70]), &[1001, 1003]);
        refused(&post(&vec![0; 3_000_000]), &[1003]);
        refused(&http::post(port, path, "text/plain", b"hello"), &[1002]);
        refused(&http::get(port, path).expect("an answer"), &[1005]);
    }
    for (role, one) in &passed {
        let is_operation = OPERATIONS.iter().any(|(_, path, _)| *path == one.path);
        if is_operation && !one.request.is_empty() {
            let port = town.roles[*role].port;
            let short = &one.request[..one.request.len() - 1];
            refused(
                &http::post(port, &one.path, &one.media_type, short),
                &[1001],
            );
            let long = [&one.request[..], &[0]].concat();
            refused(
                &http::post(port, &one.path, &one.media_type, &long),
                &[1001, 1003],
            );
        }
    }
    for (role, name) in ROLES.iter().enumerate() {
        let port = town.roles[role].port;
        let nowhere = http::get(port, "/v1/nowhere").expect("an answer");
        refused(&nowhere, &[1004]);
        for garbage in ["\r\n\r\n", "GARBAGE\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
            let answer = http::exchange(port, garbage.as_bytes());
            let status = answer.map(|answer| answer.status);
            assert!(
                status.is_err() || matches!(status, Ok(400..500 | 505)),
                "{name}: {status:?}"
            );
        }
        assert!(http::get(port, "/healthz").is_some_and(|answer| answer.status == 200));
    }
    assert_eq!((town.books(), purse.settled()), before);
}
