//! Messages of every kind: bytes that decode are the encoding of what they decode to, and every check that needs nothing
//! but the message survives them.
//!
//! The table of kinds is the one of the vectors' tests; a test there fails when a message type is not in it.

use crate::{Target, corpus, kinds::KINDS, vector::Vector};

/// The target.
pub const TARGET: Target = Target {
    name: "messages",
    run,
    seeds,
};

fn run(data: &[u8]) {
    let Some((number, bytes)) = data.split_first() else {
        return;
    };
    let kind = &KINDS[usize::from(*number) % KINDS.len()];
    if let Ok(decoded) = kind.decode(bytes, None) {
        assert_eq!(decoded.bytes, bytes, "{}", kind.name);
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let files = corpus::vectors("bauta-proto/tests/vectors/messages");
    let texts = files.iter().filter_map(|file| str::from_utf8(file).ok());
    let vectors = texts.filter_map(Vector::parse);
    vectors
        .map(|vector| {
            let number = KINDS.iter().position(|kind| kind.name == vector.kind.name);
            corpus::selected(number.expect("a kind of the table"), &vector.bytes)
        })
        .collect()
}
