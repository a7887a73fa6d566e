use std::sync::Arc;

use super::*;
use crate::{
    log::{
        reader::FetchedCheckpoint,
        test_log::{MemoryFiles, TestLog, leaf, run},
    },
    time::Timestamp,
};

/// A log of 600 leaves and the receipt of one of them.
fn receipt(index: u64) -> (TestLog, Receipt) {
    let log = TestLog::new(600);
    let files = Arc::new(MemoryFiles::default());
    log.publish(&files, 600, 5_000);
    let reader = log.reader(&files);
    let note = log.checkpoint(600, 5_000);
    let checkpoint = FetchedCheckpoint::open(note, &log.policy()).expect("a checkpoint");
    let receipt = run(reader.receipt(index, &leaf(index), &checkpoint)).expect("proves");
    (log, receipt)
}

fn parsed(text: &str) -> Result<Receipt, ReceiptError> {
    Receipt::from_text(text.as_bytes())
}

#[test]
fn a_receipt_reads_back_and_says_when_its_tree_was_cosigned() {
    for index in [0, 255, 300, 599] {
        let (log, receipt) = receipt(index);
        let read = parsed(&receipt.to_text()).expect("reads");
        assert_eq!(read, receipt);
        let checked = read.check(&leaf(index), &log.policy()).expect("checks");
        assert_eq!(checked.size, 600);
        assert!(checked.quorum_within(|time| time == Timestamp(5_000)));
    }
}

#[test]
fn the_only_leaf_of_a_log_has_an_empty_path() {
    let log = TestLog::new(1);
    let receipt = Receipt {
        index: 0,
        path: Vec::new(),
        checkpoint: log.checkpoint(1, 10),
    };
    let read = parsed(&receipt.to_text()).expect("reads");
    read.check(&leaf(0), &log.policy()).expect("checks");
}

#[test]
fn one_changed_byte_anywhere_is_refused() {
    let (log, receipt) = receipt(300);
    let text = receipt.to_text();
    for position in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[position] ^= 1;
        let refused = match Receipt::from_text(&bytes) {
            Ok(altered) => altered.check(&leaf(300), &log.policy()).is_err(),
            Err(_) => true,
        };
        assert!(refused, "byte {position}");
    }
}

#[test]
fn another_leaf_index_tree_or_policy_is_not_proved() {
    let (log, receipt) = receipt(300);
    let policy = log.policy();
    let check = |receipt: &Receipt, leaf: &Leaf| receipt.check(leaf, &policy);
    assert!(matches!(
        check(&receipt, &leaf(301)),
        Err(ReceiptError::Inclusion(_))
    ));
    for index in [299, 301, 600, u64::MAX] {
        let other = Receipt {
            index,
            ..receipt.clone()
        };
        assert!(matches!(
            check(&other, &leaf(300)),
            Err(ReceiptError::Inclusion(_))
        ));
    }
    let smaller = Receipt {
        checkpoint: log.checkpoint(500, 10),
        ..receipt.clone()
    };
    assert!(matches!(
        check(&smaller, &leaf(300)),
        Err(ReceiptError::Inclusion(_))
    ));
    let shorter = Receipt {
        path: receipt.path[1..].to_vec(),
        ..receipt.clone()
    };
    assert!(matches!(
        check(&shorter, &leaf(300)),
        Err(ReceiptError::Inclusion(_))
    ));

    let mut stranger = TestLog::new(0);
    stranger.cosigner = bauta_crypto::note::CosignerSigner::new(
        "log.example/bauta/cosigner",
        &crate::log::test_log::key(9),
    )
    .expect("a name");
    let refused = receipt.check(&leaf(300), &stranger.policy());
    assert!(matches!(
        refused,
        Err(ReceiptError::Checkpoint(PolicyError::Quorum))
    ));
}

#[test]
fn other_forms_of_the_same_proof_are_refused() {
    let (_, receipt) = receipt(300);
    let text = receipt.to_text();
    let forms = [
        text.replacen("@v1", "@v2", 1),
        text.replacen("index 300", "index 0300", 1),
        text.replacen("index 300", "index +300", 1),
        text.replacen("index 300", "index  300", 1),
        text.replacen("index 300", "extra AAAA\nindex 300", 1),
        text.replacen("=\n", "\n", 1),
        text.replacen("\n\n", "\r\n\n", 1),
        text.replace('\n', "\r\n"),
        text.replacen("\n\n", "\n", 1),
        format!("\n{text}"),
        String::new(),
    ];
    for form in forms {
        assert!(matches!(parsed(&form), Err(ReceiptError::Form)), "{form}");
    }
    assert!(Receipt::from_text(&[0xff; 100]).is_err());
}

#[test]
fn a_receipt_as_long_as_it_may_be_is_read_and_one_byte_more_is_not() {
    let with = |bytes: usize| {
        let start = format!("{HEADER}\nindex 0\n\n");
        format!("{start}{}", "x".repeat(bytes - start.len()))
    };
    assert!(parsed(&with(RECEIPT_BYTES_MAX)).is_ok());
    assert!(parsed(&with(RECEIPT_BYTES_MAX + 1)).is_err());
    let path = |hashes: usize| Receipt {
        index: 0,
        path: vec![[1; 32]; hashes],
        checkpoint: "x\n".to_owned(),
    };
    assert!(parsed(&path(PATH_HASHES_MAX).to_text()).is_ok());
    assert!(parsed(&path(PATH_HASHES_MAX + 1).to_text()).is_err());
}
