//! Makes the vectors: one good one a message, and from it the bad ones, each with one defect.
//!
//! The offsets below are written by hand from the description of the protocol, so that they check the layout too.

use std::collections::BTreeMap;

use bauta_crypto::sign::VerifyingKey;

use crate::{
    kinds::Kind,
    vector::{Expect, Vector},
};

mod forms;
mod samples;

/// The longest message for which an over-long vector is written to a file.
const TOO_LONG_BYTES_MAX: usize = 700;

/// A good message and where its parts are.
pub(crate) struct Sample {
    /// Begins the names of its files.
    slug: &'static str,
    kind: &'static Kind,
    signer: Option<VerifyingKey>,
    comment: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// A border between two fields.
    border: usize,
    marks: Vec<Mark>,
}

/// Where something is that can be spoiled, by its first byte.
#[derive(Clone, Copy)]
enum Mark {
    /// The length of a vector.
    Vector(usize),
    /// The last vector of the message, with nothing behind it.
    LastVector(usize),
    /// A byte that tells variants apart.
    Variant(usize),
    /// A currency's three letters.
    Currency(usize),
    /// An amount's eight bytes.
    Amount(usize),
    /// A letter of a text.
    Text(usize),
    /// A byte that a signature covers, or of the signature.
    Signed(usize),
}

/// All vectors by the names of their files.
pub(crate) fn vectors() -> BTreeMap<String, Vector> {
    let mut vectors = BTreeMap::new();
    for sample in samples::all() {
        for (defect, vector) in of_sample(&sample) {
            let name = format!("{}-{defect}", sample.slug);
            assert!(vectors.insert(name, vector).is_none(), "{defect} twice");
        }
    }
    for (name, vector) in forms::all() {
        assert!(
            vectors.insert(name.clone(), vector).is_none(),
            "{name} twice"
        );
    }
    vectors
}

/// Every good message, for the property tests.
pub(crate) fn good_messages() -> Vec<(&'static Kind, Vec<u8>)> {
    let samples = samples::all().into_iter();
    samples.map(|sample| (sample.kind, sample.bytes)).collect()
}

fn of_sample(sample: &Sample) -> Vec<(String, Vector)> {
    let mut vectors = vec![("good".to_owned(), good(sample))];
    vectors.extend(lengths(sample));
    for mark in &sample.marks {
        vectors.extend(spoiled(sample, *mark));
    }
    vectors
}

fn good(sample: &Sample) -> Vector {
    let decoded = sample.kind.decode(&sample.bytes, sample.signer);
    let id = decoded.expect("the sample is good").id;
    Vector {
        comment: sample.comment.to_owned(),
        id: Some(id),
        ..bad(sample, Expect::Ok, "", |_| {})
    }
}

/// The message with one change.
fn bad(
    sample: &Sample,
    expect: Expect,
    comment: &str,
    change: impl FnOnce(&mut Vec<u8>),
) -> Vector {
    let mut bytes = sample.bytes.clone();
    change(&mut bytes);
    Vector {
        comment: comment.to_owned(),
        kind: sample.kind,
        expect,
        signer: sample.signer,
        id: None,
        bytes,
    }
}

/// Too short and too long.
fn lengths(sample: &Sample) -> Vec<(String, Vector)> {
    let short = |comment: &str, end: usize| {
        bad(sample, Expect::Truncated, comment, |bytes| {
            bytes.truncate(end)
        })
    };
    let last = sample.bytes.len() - 1;
    let border = sample.border;
    let mut vectors = vec![
        ("empty".to_owned(), short("no byte at all", 0)),
        (
            "last-byte-missing".to_owned(),
            short("the last byte is missing", last),
        ),
        (
            format!("cut-at-{border}"),
            short(
                &format!("cut between two fields, after {border} bytes"),
                border,
            ),
        ),
    ];
    let bytes_max = sample.kind.bytes_max;
    if sample.bytes.len() < bytes_max {
        let longer = bad(sample, Expect::Trailing, "a zero byte follows", |it| {
            it.push(0)
        });
        vectors.push(("trailing-zero".to_owned(), longer));
    }
    if bytes_max <= TOO_LONG_BYTES_MAX {
        let comment = format!("one byte more than the limit of {bytes_max}");
        let longer = bad(sample, Expect::TooLong, &comment, |it| {
            it.resize(bytes_max + 1, 0)
        });
        vectors.push(("too-long".to_owned(), longer));
    }
    vectors
}

fn spoiled(sample: &Sample, mark: Mark) -> Vec<(String, Vector)> {
    match mark {
        Mark::Vector(at) => vec![long_length(sample, at)],
        Mark::LastVector(at) => vec![long_length(sample, at), beyond_the_end(sample, at)],
        Mark::Variant(at) => vec![one(
            sample,
            "variant",
            at,
            "a variant that there is not",
            &[0xff],
        )],
        Mark::Currency(at) => vec![
            one(
                sample,
                "currency-lower-case",
                at,
                "a currency in lower case",
                b"eur",
            ),
            one(
                sample,
                "currency-unknown",
                at,
                "letters that are no currency",
                b"QQQ",
            ),
            one(
                sample,
                "currency-gold",
                at,
                "a code of ISO 4217 without a minor unit",
                b"XAU",
            ),
        ],
        Mark::Amount(at) => {
            let too_much = (1_u64 << 63).to_be_bytes();
            let comment = "an amount of 2^63, one above the largest";
            vec![one(sample, "amount-too-large", at, comment, &too_much)]
        }
        Mark::Text(at) => vec![one(sample, "text", at, "a text that is not UTF-8", &[0xff])],
        Mark::Signed(at) => {
            let comment = format!("one bit of byte {at} changed under a signature");
            let flipped = bad(sample, Expect::Signature, &comment, |bytes| bytes[at] ^= 1);
            vec![(format!("signed-byte-{at}"), flipped)]
        }
    }
}

/// Other bytes at one place, which no value has.
fn one(sample: &Sample, defect: &str, at: usize, comment: &str, other: &[u8]) -> (String, Vector) {
    let vector = bad(sample, Expect::Unknown, comment, |bytes| {
        bytes[at..at + other.len()].copy_from_slice(other);
    });
    (format!("{defect}-at-{at}"), vector)
}

/// The length at this place in the next longer form (RFC 9420 §2.1.2 forbids it).
fn long_length(sample: &Sample, at: usize) -> (String, Vector) {
    let comment = "a vector's length is not in its shortest form";
    let vector = bad(sample, Expect::NotCanonical, comment, |bytes| {
        let (length_bytes, length) = length(&bytes[at..]);
        let longer = match length_bytes {
            1 => (0x4000 | length as u16).to_be_bytes().to_vec(),
            2 => (0x8000_0000 | length).to_be_bytes().to_vec(),
            _ => unreachable!("the samples are short"),
        };
        bytes.splice(at..at + length_bytes, longer);
    });
    (format!("length-not-minimal-at-{at}"), vector)
}

/// A length one element of which lies behind the end.
fn beyond_the_end(sample: &Sample, at: usize) -> (String, Vector) {
    let comment = "a vector's length points beyond the end";
    let vector = bad(sample, Expect::Truncated, comment, |bytes| {
        let (length_bytes, length) = length(&bytes[at..]);
        let longer = match length_bytes {
            1 => vec![length as u8 + 1],
            _ => (0x4000 | (length as u16 + 1)).to_be_bytes().to_vec(),
        };
        bytes.splice(at..at + length_bytes, longer);
    });
    (format!("length-beyond-end-at-{at}"), vector)
}

/// How many bytes the length takes, and what it says.
fn length(bytes: &[u8]) -> (usize, u32) {
    let first = u32::from(bytes[0]);
    match first >> 6 {
        0 => (1, first),
        1 => (2, (first & 0x3f) << 8 | u32::from(bytes[1])),
        _ => unreachable!("the samples are short"),
    }
}
