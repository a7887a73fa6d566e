//! Ciphertext: whatever the bytes are and however a stream cuts them, plain text comes out only as it went in.

use std::io::{self, Read};

use bauta_crypto::{
    content::{self, CHUNK_BYTES, Decryptor, HEADER_BYTES, RECORD_BYTES},
    hash::ContentHasher,
    secret::Secret,
};
use bauta_proto::offer::CONTENT_CONTEXT;

use crate::{Target, corpus, input::Input};

/// The target.
pub const TARGET: Target = Target {
    name: "goods",
    run,
    seeds,
};

const KEY: [u8; 16] = [
    0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
];

/// A stream that gives a few bytes at a time.
struct Pieces<'a> {
    rest: &'a [u8],
    piece_bytes: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.piece_bytes.min(buffer.len()).min(self.rest.len());
        let (piece, rest) = self.rest.split_at(count);
        buffer[..count].copy_from_slice(piece);
        self.rest = rest;
        Ok(count)
    }
}

fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let is_made_here = input.byte() % 2 == 1;
    let piece_bytes = 1 + input.below(40_000);
    if is_made_here {
        edited(&mut input, piece_bytes);
    } else {
        check(input.rest(), piece_bytes, None);
    }
}

/// A true ciphertext with a few changes.
fn edited(input: &mut Input, piece_bytes: usize) {
    let length = match input.byte() % 4 {
        0 => usize::from(input.byte()),
        1 => CHUNK_BYTES - 1 + usize::from(input.byte() % 3),
        2 => 2 * CHUNK_BYTES - 1 + usize::from(input.byte() % 3),
        _ => input.number(),
    };
    let plaintext: Vec<u8> = (0..length).map(|place| place.to_le_bytes()[0]).collect();
    let mut ciphertext = Vec::new();
    let mut reader = Pieces {
        rest: &plaintext,
        piece_bytes,
    };
    let key = Secret::new(KEY);
    let salt = input.bytes();
    content::encrypt(
        &mut reader,
        &mut ciphertext,
        &key,
        salt,
        CONTENT_CONTEXT,
        &mut |_| {},
    )
    .expect("in memory");
    let made_bytes = ciphertext.len() as u64;
    assert_eq!(content::ciphertext_len(length as u64), Some(made_bytes));
    let made = ciphertext.clone();
    input.edit(&mut ciphertext);
    check(&ciphertext, piece_bytes, Some((&made, &plaintext)));
}

/// Decrypts as a stream and record by record, and compares.
fn check(ciphertext: &[u8], piece_bytes: usize, made: Option<(&[u8], &[u8])>) {
    let key = Secret::new(KEY);
    let mut streamed = Vec::new();
    let mut reader = Pieces {
        rest: ciphertext,
        piece_bytes,
    };
    let outcome = content::decrypt(
        &mut reader,
        &mut streamed,
        &key,
        CONTENT_CONTEXT,
        &mut |_| {},
    );
    if let Some((made, plaintext)) = made {
        assert_eq!(
            outcome.is_ok(),
            made == ciphertext,
            "only what was made opens"
        );
        assert!(
            plaintext.starts_with(&streamed),
            "only what was sealed is written"
        );
    }
    let records = by_record(ciphertext);
    match outcome {
        Ok(opened) => {
            let length = content::plaintext_len(ciphertext.len() as u64);
            assert_eq!(
                length,
                Ok(opened.pt_len),
                "the length says how much there is"
            );
            let mut hasher = ContentHasher::new();
            hasher.update(&streamed);
            assert_eq!(hasher.finalize(), opened.pt_root);
            assert_eq!(
                records.as_deref(),
                Some(&*streamed),
                "records and stream agree"
            );
        }
        Err(_) => assert_eq!(records, None, "records and stream agree"),
    }
}

/// The plain text, one record after the other; none if one does not open or the end is not an end.
fn by_record(ciphertext: &[u8]) -> Option<Vec<u8>> {
    let (header, records) = ciphertext.split_first_chunk::<HEADER_BYTES>()?;
    let decryptor = Decryptor::new(&Secret::new(KEY), header, CONTENT_CONTEXT).ok()?;
    content::plaintext_len(ciphertext.len() as u64).ok()?;
    let chunks = records.chunks(RECORD_BYTES).zip(0..);
    let chunks = chunks.map(|(record, index)| decryptor.decrypt_record(index, record).ok());
    Some(chunks.collect::<Option<Vec<_>>>()?.concat())
}

fn seeds() -> Vec<Vec<u8>> {
    let files = corpus::vectors("bauta-crypto/tests/vectors/goods");
    let texts = files.iter().filter_map(|file| str::from_utf8(file).ok());
    let mut seeds: Vec<Vec<u8>> = texts.filter_map(ciphertext).collect();
    for kind in 0..4 {
        seeds.push([&[1, 0x10, 0, kind, 1], &[9; 24][..], &[1, 0, 60, 0, 1]].concat());
        seeds.push([&[1, 0, 7, kind, 2], &[9; 24][..]].concat());
    }
    seeds
}

/// The bytes of a vector behind its header lines, to be read in pieces of 4,097.
fn ciphertext(vector: &str) -> Option<Vec<u8>> {
    let (_, hex) = vector.split_once("\n\n")?;
    let hex: String = hex.split_whitespace().collect();
    let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).ok()?;
    Some([&[0, 0x10, 0][..], &bytes].concat())
}
