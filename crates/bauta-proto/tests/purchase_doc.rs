//! The tables of docs/protocol/purchase.md say what the code says: messages, endpoints, limits and labels.

use std::{collections::BTreeSet, fs, path::Path};

use bauta_crypto::label::{self, Label};
use bauta_proto::{
    accept::{Accept, AcceptRequest, Delivery},
    account::{PayeeOpening, Statement, StatementRequest, WithdrawRequest},
    codec::Message,
    coin::{
        CoinName, CoinState, CoinStateRequest, ExchangeRequest, Issued, Keyset, KeysetList,
        RestoreRequest, Restored, Spend,
    },
    limits,
    lock::{
        Capture, ClaimReply, ClaimRequest, Lock, LockPrivate, LockPublic, LockReply, LockRequest,
        LockStatus, LockStatusRequest, Release,
    },
    offer::{CONTENT_CONTEXT, Offer, OrderReply, OrderRequest, Terms},
    submission::{Promise, Record, Submission},
    time::CLOCK_TOLERANCE,
    transport::{Endpoint, archive, bank, merchant},
};

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol/purchase.md");
    fs::read_to_string(path).expect("the description is part of the source")
}

/// The body rows of all tables, cell by cell.
fn rows() -> Vec<Vec<String>> {
    let document = document();
    let rows = document.lines().filter(|line| line.starts_with("| "));
    rows.map(|line| {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    })
    .collect()
}

fn has_row(beginning: &[&str]) -> bool {
    rows().iter().any(|row| {
        row.len() >= beginning.len() && row.iter().zip(beginning).all(|(cell, text)| cell == text)
    })
}

macro_rules! messages {
    ($($message:ident),*) => {
        [$((
            $message::TYPE as u16,
            stringify!($message),
            $message::MEDIA_TYPE,
            $message::BYTES_MAX,
        )),*]
    };
}

#[test]
fn the_registry_of_messages_is_the_code_s() {
    let messages = messages!(
        Keyset,
        CoinName,
        Spend,
        ExchangeRequest,
        Issued,
        RestoreRequest,
        Restored,
        CoinStateRequest,
        CoinState,
        WithdrawRequest,
        StatementRequest,
        Statement,
        PayeeOpening,
        LockRequest,
        LockPublic,
        LockPrivate,
        Lock,
        LockReply,
        Capture,
        Release,
        ClaimRequest,
        ClaimReply,
        LockStatusRequest,
        LockStatus,
        OrderRequest,
        Offer,
        Terms,
        OrderReply,
        Accept,
        AcceptRequest,
        Delivery,
        Submission,
        Promise,
        Record,
        KeysetList
    );
    for (number, name, media_type, bytes_max) in messages {
        let number = number.to_string();
        let code = format!("`{name}`");
        let subtype = media_type.strip_prefix("application/vnd.bauta.");
        let subtype = subtype.expect("the project's tree");
        let bytes_max = bytes_max.to_string();
        assert!(
            has_row(&[&number, &code, subtype, &bytes_max]),
            "{name}: {bytes_max}"
        );
    }
    let documented = rows().into_iter().filter(|row| is_message(row)).count();
    assert_eq!(documented, messages.len());
}

fn is_message(row: &[String]) -> bool {
    row.len() == 4 && row[0].parse::<u16>().is_ok()
}

#[test]
fn the_endpoints_are_the_code_s() {
    let posted = [
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
        merchant::Order::PATH,
        merchant::AcceptOffer::PATH,
    ];
    let documented: BTreeSet<String> = rows()
        .into_iter()
        .filter(|row| row.len() == 4 && row[1].starts_with("`/v1/"))
        .map(|row| row[1].trim_matches('`').to_owned())
        .collect();
    assert_eq!(documented, posted.map(str::to_owned).into());
    let read = [
        bank::KEYSETS_PATH,
        bank::POLICY_PATH,
        archive::CHECKPOINT_PATH,
        merchant::CATALOGUE_PATH,
        merchant::CIPHERTEXT_PATH,
    ];
    for path in read {
        assert!(document().contains(&format!("`{path}`")), "{path}");
    }
}

#[test]
fn the_limits_are_the_code_s() {
    let limits = [
        ("KEYSET_KEYS_MAX", limits::KEYSET_KEYS_MAX as u64),
        ("KEYSETS_MAX", limits::KEYSETS_MAX as u64),
        ("INPUTS_MAX", limits::INPUTS_MAX as u64),
        ("OUTPUTS_MAX", limits::OUTPUTS_MAX as u64),
        ("RESTORE_OUTPUTS_MAX", limits::RESTORE_OUTPUTS_MAX as u64),
        ("SEQUENCE_MAX", u64::from(limits::SEQUENCE_MAX)),
        ("CLAIMS_MAX", limits::CLAIMS_MAX as u64),
        ("LOCK_STATUS_MAX", limits::LOCK_STATUS_MAX as u64),
        (
            "STATEMENT_ENTRIES_MAX",
            limits::STATEMENT_ENTRIES_MAX as u64,
        ),
        ("TEXT_BYTES_MAX", limits::TEXT_BYTES_MAX as u64),
        ("NAME_BYTES_MAX", limits::NAME_BYTES_MAX as u64),
        ("POLICY_BYTES_MAX", limits::POLICY_BYTES_MAX as u64),
        ("RECEIPT_BYTES_MAX", limits::RECEIPT_BYTES_MAX as u64),
        ("LOCK_SPAN_MAX", u64::from(limits::LOCK_SPAN_MAX.0)),
        ("LOCK_SPAN_MIN", u64::from(limits::LOCK_SPAN_MIN.0)),
        ("QUERY_AGE_MAX", u64::from(limits::QUERY_AGE_MAX.0)),
        (
            "DISPUTE_WINDOW_MAX",
            u64::from(limits::DISPUTE_WINDOW_MAX.0),
        ),
        ("CLOCK_TOLERANCE", u64::from(CLOCK_TOLERANCE.0)),
    ];
    for (name, value) in limits {
        let row = [&*format!("`{name}`"), &*value.to_string()];
        assert!(has_row(&row), "{name} is {value}");
    }
}

#[test]
fn the_labels_are_the_code_s() {
    let labels: [(&str, Label); 14] = [
        ("SIGNATURE", label::SIGNATURE),
        ("ID", label::ID),
        ("COIN_POINT", label::COIN_POINT),
        ("KEY_WRAP", label::KEY_WRAP),
        ("ISSUER_KEY", label::ISSUER_KEY),
        ("BLINDING_FACTOR", label::BLINDING_FACTOR),
        ("COIN_KEY", label::COIN_KEY),
        ("COIN_BLINDING", label::COIN_BLINDING),
        ("ACCOUNT_KEY", label::ACCOUNT_KEY),
        ("DEVICE", label::DEVICE),
        ("PURCHASE_KEY", label::PURCHASE_KEY),
        ("SALE_SECRET", label::SALE_SECRET),
        ("ROLE_KEY", label::ROLE_KEY),
        ("STORAGE_KEY", label::STORAGE_KEY),
    ];
    for (name, label) in labels {
        let bytes = String::from_utf8_lossy(label.as_bytes());
        let row = [&*format!("`{name}`"), &*format!("`{bytes}`")];
        assert!(has_row(&row), "{name} is {bytes}");
    }
    let context = String::from_utf8_lossy(CONTENT_CONTEXT);
    let words = format!("the {} bytes `{context}`", context.len());
    assert!(document().contains(&words), "{words}");
}
