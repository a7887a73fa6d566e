//! Makes the vectors: good ones at the borders of the format, and bad ones with one defect each.

use std::collections::BTreeMap;

use bauta_crypto::{
    content::{CHUNK_BYTES, ContentKey, Encryptor, HEADER_BYTES, RECORD_BYTES, SALT_BYTES},
    hash,
};

use crate::vector::{Expect, Length, Vector};

/// The context of goods; `bauta_proto::offer::CONTENT_CONTEXT` has the same bytes.
const CONTEXT: &[u8] = b"bauta1-good";
const KEY: [u8; 16] = *b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff";
const SALT: [u8; SALT_BYTES] = *b"a salt of 24 bytes, once";
/// The length of the plain text that most bad ones are made from: one record.
const SHORT_BYTES: usize = 40;

/// The plain text of all vectors: byte i is (7 i + floor(i / 251)) mod 256.
pub(crate) fn plaintext(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (7 * i + i / 251) as u8).collect()
}

/// All ciphertexts by the names of their files.
pub(crate) fn vectors() -> BTreeMap<String, Vector> {
    let all = [good(), other_keys(), cut(), altered(), misplaced()];
    let mut vectors = BTreeMap::new();
    for (name, vector) in all.into_iter().flatten() {
        assert!(
            vectors.insert(name.clone(), vector).is_none(),
            "{name} twice"
        );
    }
    vectors
}

/// Lengths at the borders of records and at the format's end.
pub(crate) fn length_vectors() -> Vec<Length> {
    let longest = HEADER_BYTES as u64 + (1 << 38) * RECORD_BYTES as u64 - 1;
    let length = |(ciphertext_bytes, plaintext_bytes)| Length {
        ciphertext_bytes,
        plaintext_bytes,
    };
    let lengths = [
        (0, None),
        (55, None),
        (56, None),
        (71, None),
        (72, Some(0)),
        (73, Some(1)),
        (16_455, Some(16_383)),
        (16_456, None),
        (16_471, None),
        (16_472, Some(16_384)),
        (16_473, Some(16_385)),
        (32_856, None),
        (32_872, Some(32_768)),
        (longest, Some((1 << 52) - 1)),
        (longest + 1, None),
        (longest + 17, None),
        (u64::MAX, None),
    ];
    lengths.map(length).into()
}

type Named = (String, Vector);

/// The whole ciphertext of so many bytes of the pattern.
fn sealed(bytes: usize) -> Vec<u8> {
    let plain = plaintext(bytes);
    let mut ciphertext = encryptor(SALT, CONTEXT).header().to_vec();
    let (full, last) = plain.split_at(bytes - bytes % CHUNK_BYTES);
    for (index, chunk) in (0..).zip(full.chunks(CHUNK_BYTES).chain([last])) {
        ciphertext.extend(record(index, chunk));
    }
    ciphertext
}

fn encryptor(salt: [u8; SALT_BYTES], context: &[u8]) -> Encryptor {
    Encryptor::new(&ContentKey::new(KEY), salt, context)
}

/// A record with this number, wherever it will stand.
fn record(index: u64, chunk: &[u8]) -> Vec<u8> {
    let record = encryptor(SALT, CONTEXT).encrypt_record(index, chunk);
    record.expect("the chunk is short")
}

fn vector(name: &str, expect: Expect, comment: &str, ciphertext: Vec<u8>) -> Named {
    let vector = Vector {
        comment: comment.to_owned(),
        expect,
        key: KEY,
        context: CONTEXT.to_vec(),
        plaintext_bytes: None,
        pt_root: None,
        ct_root: hash::content(&ciphertext),
        ciphertext,
    };
    (name.to_owned(), vector)
}

/// The short ciphertext with one change.
fn spoiled(name: &str, expect: Expect, comment: &str, change: impl Fn(&mut Vec<u8>)) -> Named {
    let mut ciphertext = sealed(SHORT_BYTES);
    change(&mut ciphertext);
    vector(name, expect, comment, ciphertext)
}

fn good() -> Vec<Named> {
    let cases = [
        (0, "nothing: one empty record"),
        (1, "one byte"),
        (SHORT_BYTES, "the one from which most bad vectors are made"),
        (CHUNK_BYTES - 1, "one byte less than a full record"),
        (CHUNK_BYTES, "a full record, so that the last is empty"),
        (CHUNK_BYTES + 1, "a full record and one byte"),
    ];
    let good = cases.map(|(bytes, comment)| {
        let name = format!("good-{bytes}-bytes");
        let (name, mut vector) = vector(&name, Expect::Ok, comment, sealed(bytes));
        vector.plaintext_bytes = Some(bytes);
        vector.pt_root = Some(hash::content(&plaintext(bytes)));
        (name, vector)
    });
    good.into()
}

/// Header, key and context do not belong together.
fn other_keys() -> Vec<Named> {
    let flipped = |name: &str, at: usize| {
        let comment = format!("one bit of byte {at} changed");
        spoiled(name, Expect::WrongKey, &comment, |it| it[at] ^= 1)
    };
    let under = |name: &str, comment: &str, context: &[u8]| {
        let (name, mut vector) = spoiled(name, Expect::WrongKey, comment, |_| ());
        vector.context = context.to_vec();
        (name, vector)
    };
    let mut other_key = spoiled(
        "key-bit",
        Expect::WrongKey,
        "one bit of the key changed",
        |_| (),
    );
    other_key.1.key[15] ^= 1;
    let commitment = SALT_BYTES..HEADER_BYTES;
    vec![
        other_key,
        flipped("salt-first-byte", 0),
        flipped("salt-last-byte", SALT_BYTES - 1),
        flipped("commitment-first-byte", SALT_BYTES),
        flipped("commitment-last-byte", HEADER_BYTES - 1),
        spoiled(
            "commitment-zero",
            Expect::WrongKey,
            "a commitment of zeros",
            |it| {
                it[commitment.clone()].fill(0);
            },
        ),
        spoiled(
            "commitment-missing",
            Expect::WrongKey,
            "the records follow the salt",
            |it| {
                it.drain(commitment.clone());
            },
        ),
        under("context-empty", "opened without a context", b""),
        under(
            "context-longer",
            "opened under a context with a zero behind it",
            b"bauta1-good\0",
        ),
        under(
            "context-other-case",
            "opened under a context in upper case",
            b"BAUTA1-GOOD",
        ),
    ]
}

/// The end is missing.
fn cut() -> Vec<Named> {
    let short = |bytes: usize, comment: &str| {
        let name = format!("cut-at-{bytes}");
        spoiled(&name, Expect::Truncated, comment, |it| it.truncate(bytes))
    };
    let long = |bytes: usize, comment: &str| {
        let mut ciphertext = sealed(CHUNK_BYTES + 100);
        ciphertext.truncate(bytes);
        vector(
            &format!("cut-at-{bytes}"),
            Expect::Truncated,
            comment,
            ciphertext,
        )
    };
    vec![
        short(0, "no byte at all"),
        short(SALT_BYTES, "the salt alone"),
        short(HEADER_BYTES - 1, "the header without its last byte"),
        short(
            HEADER_BYTES,
            "the header alone: even the empty good has a record",
        ),
        short(HEADER_BYTES + 15, "less than a record's tag"),
        long(
            HEADER_BYTES + RECORD_BYTES,
            "cut at the border of a record: the last is missing",
        ),
        long(
            HEADER_BYTES + RECORD_BYTES + 15,
            "a full record and less than a tag",
        ),
    ]
}

/// A record was changed.
fn altered() -> Vec<Named> {
    let last = |name: &str, comment: &str, change: &dyn Fn(&mut Vec<u8>)| {
        spoiled(name, Expect::LastRecord(0), comment, change)
    };
    let mut first = sealed(CHUNK_BYTES + 100);
    let mut second = first.clone();
    first[HEADER_BYTES] ^= 1;
    let end = second.len() - 1;
    second[end] ^= 1;
    vec![
        last(
            "last-record-first-byte",
            "one bit of the record's text changed",
            &|it| {
                it[HEADER_BYTES] ^= 1;
            },
        ),
        last("last-record-tag", "one bit of the tag changed", &|it| {
            it[HEADER_BYTES + SHORT_BYTES] ^= 1;
        }),
        last("last-record-shorter", "the last byte is missing", &|it| {
            it.pop();
        }),
        last("last-record-longer", "a zero byte follows", &|it| {
            it.push(0)
        }),
        last(
            "last-record-twice",
            "the only record stands there twice",
            &|it| {
                it.extend_from_within(HEADER_BYTES..);
            },
        ),
        vector(
            "first-record-bit",
            Expect::Record(0),
            "one bit of the first, full record changed",
            first,
        ),
        vector(
            "second-record-bit",
            Expect::LastRecord(1),
            "one bit of the second, short record changed",
            second,
        ),
    ]
}

/// Records that are genuine, but not here.
fn misplaced() -> Vec<Named> {
    let header = || encryptor(SALT, CONTEXT).header().to_vec();
    let chunk = plaintext(CHUNK_BYTES);
    let short = plaintext(SHORT_BYTES);
    let joined = |records: &[Vec<u8>]| [header(), records.concat()].concat();
    let other_salt = encryptor([0; SALT_BYTES], CONTEXT);
    let foreign = [other_salt.header().to_vec(), record(0, &short)].concat();
    vec![
        vector(
            "record-of-place-1",
            Expect::LastRecord(0),
            "the only record has the number 1, as if the first had been left out",
            joined(&[record(1, &short)]),
        ),
        vector(
            "full-record-of-place-1",
            Expect::Record(0),
            "the first, full record has the number 1",
            joined(&[record(1, &chunk), record(1, b"")]),
        ),
        vector(
            "full-record-twice",
            Expect::Record(1),
            "the first record stands in the place of the second too",
            joined(&[record(0, &chunk), record(0, &chunk), record(2, b"")]),
        ),
        vector(
            "last-record-of-place-0",
            Expect::LastRecord(1),
            "the empty last record has the number 0",
            joined(&[record(0, &chunk), record(0, b"")]),
        ),
        vector(
            "short-record-inside",
            Expect::LastRecord(0),
            "a short record is followed by another: only the last may be short",
            joined(&[record(0, &short), record(1, &short)]),
        ),
        vector(
            "header-of-another",
            Expect::LastRecord(0),
            "the header of another ciphertext under the same key",
            foreign,
        ),
    ]
}
