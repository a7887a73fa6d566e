use super::*;
use crate::hash;
use crate::vectors::{array, bytes, list, number, read, text};
use data_encoding::HEXLOWER;
use proptest::prelude::*;
use std::io::{self, Read};

/// The rule of the vector file: byte i is (7 i + floor(i / 251)) mod 256.
fn plaintext(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (7 * index + index / 251) as u8)
        .collect()
}

fn key() -> ContentKey {
    Secret::new([0x42; KEY_BYTES])
}

fn seal(plain: &[u8], context: &[u8]) -> (Vec<u8>, Sealed) {
    let mut ciphertext = Vec::new();
    let sealed = encrypt(
        &mut &*plain,
        &mut ciphertext,
        &key(),
        [7; SALT_BYTES],
        context,
        &mut |_| (),
    );
    (ciphertext, sealed.expect("memory does not fail"))
}

fn open(ciphertext: &[u8], key: &ContentKey, context: &[u8]) -> Result<Vec<u8>, DecryptError> {
    let mut plain = Vec::new();
    let opened = decrypt(&mut &*ciphertext, &mut plain, key, context, &mut |_| ())?;
    assert_eq!(
        opened,
        Opened {
            pt_root: hash::content(&plain),
            pt_len: plain.len() as u64
        }
    );
    Ok(plain)
}

fn refused(ciphertext: &[u8]) -> DecryptError {
    open(ciphertext, &key(), b"context").expect_err("the ciphertext is not as it was made")
}

#[test]
fn what_another_implementation_made_is_made_again_and_opened() {
    let file = read(include_str!("../../tests/vectors/cobblestone128.json"));
    for vector in list(&file, "vectors") {
        let key = Secret::new(array(vector, "key"));
        let context = bytes(vector, "context");
        let plain =
            plaintext(usize::try_from(number(vector, "plaintext_len")).expect("a short vector"));
        let mut ciphertext = Vec::new();
        encrypt(
            &mut &*plain,
            &mut ciphertext,
            &key,
            array(vector, "salt"),
            &context,
            &mut |_| (),
        )
        .expect("memory does not fail");
        assert_eq!(
            ciphertext[SALT_BYTES..HEADER_BYTES],
            bytes(vector, "commitment"),
            "{}",
            text(vector, "name")
        );
        let fingerprint = HEXLOWER.encode(&hash::sha256(&[&ciphertext]));
        assert_eq!(
            fingerprint,
            text(vector, "ciphertext_sha256"),
            "{}",
            text(vector, "name")
        );
        assert_eq!(ciphertext.len() as u64, number(vector, "ciphertext_len"));
        assert_eq!(
            open(&ciphertext, &key, &context).expect("the vector opens"),
            plain
        );
    }
}

#[test]
fn roots_and_lengths_are_those_of_the_streams() {
    for length in [
        0,
        1,
        CHUNK_BYTES,
        256 * CHUNK_BYTES - 1,
        256 * CHUNK_BYTES,
        256 * CHUNK_BYTES + 1,
    ] {
        let plain = plaintext(length);
        let (ciphertext, sealed) = seal(&plain, b"context");
        assert_eq!(sealed.pt_root, hash::content(&plain));
        assert_eq!(sealed.ct_root, hash::content(&ciphertext));
        assert_eq!(
            (sealed.pt_len, sealed.ct_len),
            (length as u64, ciphertext.len() as u64)
        );
        assert_eq!(ciphertext_len(sealed.pt_len), Some(sealed.ct_len));
        assert_eq!(plaintext_len(sealed.ct_len), Ok(sealed.pt_len));
        assert_eq!(
            open(&ciphertext, &key(), b"context").expect("it opens"),
            plain
        );
    }
}

#[test]
fn progress_grows_to_the_whole_length() {
    let plain = plaintext(600 * CHUNK_BYTES);
    let mut seen = Vec::new();
    let mut observe = |progress: Progress| seen.push(progress.plaintext_bytes);
    encrypt(
        &mut &*plain,
        &mut io::sink(),
        &key(),
        [7; SALT_BYTES],
        b"",
        &mut observe,
    )
    .expect("memory does not fail");
    assert_eq!(
        seen,
        [256, 512, 600].map(|chunks| chunks * CHUNK_BYTES as u64)
    );
}

#[test]
fn another_key_context_salt_or_commitment_is_refused_by_the_commitment() {
    let (ciphertext, _) = seal(&plaintext(20_000), b"context");
    let other = Secret::new([0x43; KEY_BYTES]);
    assert!(matches!(
        open(&ciphertext, &other, b"context"),
        Err(DecryptError::WrongKey)
    ));
    assert!(matches!(
        open(&ciphertext, &key(), b"contexT"),
        Err(DecryptError::WrongKey)
    ));
    for place in [0, SALT_BYTES - 1, SALT_BYTES, HEADER_BYTES - 1] {
        let mut altered = ciphertext.clone();
        altered[place] ^= 0x80;
        assert!(matches!(refused(&altered), DecryptError::WrongKey));
    }
}

#[test]
fn a_flipped_bit_names_its_record() {
    let (ciphertext, _) = seal(&plaintext(3 * CHUNK_BYTES + 5), b"context");
    let flip = |place: usize| {
        let mut altered = ciphertext.clone();
        altered[place] ^= 1;
        refused(&altered)
    };
    assert!(matches!(
        flip(HEADER_BYTES),
        DecryptError::Record { index: 0 }
    ));
    assert!(matches!(
        flip(HEADER_BYTES + 2 * RECORD_BYTES - 1),
        DecryptError::Record { index: 1 }
    ));
    assert!(matches!(
        flip(HEADER_BYTES + 3 * RECORD_BYTES),
        DecryptError::LastRecord { index: 3 }
    ));
    assert!(matches!(
        flip(ciphertext.len() - 1),
        DecryptError::LastRecord { index: 3 }
    ));
}

#[test]
fn swapped_records_are_refused() {
    let (mut ciphertext, _) = seal(&plaintext(3 * CHUNK_BYTES), b"context");
    let (first, second) =
        ciphertext[HEADER_BYTES..HEADER_BYTES + 2 * RECORD_BYTES].split_at_mut(RECORD_BYTES);
    first.swap_with_slice(second);
    assert!(matches!(
        refused(&ciphertext),
        DecryptError::Record { index: 0 }
    ));
}

#[test]
fn a_ciphertext_cut_anywhere_is_refused() {
    let (ciphertext, _) = seal(&plaintext(2 * CHUNK_BYTES + 100), b"context");
    let second = HEADER_BYTES + RECORD_BYTES;
    for length in [
        0,
        1,
        HEADER_BYTES - 1,
        HEADER_BYTES,
        HEADER_BYTES + TAG_BYTES - 1,
        second,
        second + 15,
    ] {
        assert!(
            matches!(refused(&ciphertext[..length]), DecryptError::Truncated),
            "{length} bytes"
        );
    }
    for length in [second - 1, second + 16] {
        assert!(
            matches!(
                refused(&ciphertext[..length]),
                DecryptError::LastRecord { .. }
            ),
            "{length} bytes"
        );
    }
}

#[test]
fn a_batch_that_ends_at_its_border_is_cut_off() {
    let (ciphertext, _) = seal(&plaintext(256 * CHUNK_BYTES), b"context");
    let cut = &ciphertext[..ciphertext.len() - TAG_BYTES];
    assert!(matches!(refused(cut), DecryptError::Truncated));
}

#[test]
fn trailing_bytes_are_refused() {
    let (ciphertext, _) = seal(&plaintext(CHUNK_BYTES + 100), b"context");
    let lengthened = |extra: usize| [ciphertext.clone(), vec![0; extra]].concat();
    assert!(matches!(
        refused(&lengthened(1)),
        DecryptError::LastRecord { index: 1 }
    ));
    let after_a_full_record = lengthened(RECORD_BYTES - 100 - TAG_BYTES + TAG_BYTES);
    assert!(matches!(
        refused(&after_a_full_record),
        DecryptError::Record { index: 1 }
    ));
}

#[test]
fn single_records_are_those_of_the_stream() {
    let plain = plaintext(2 * CHUNK_BYTES + 9);
    let (ciphertext, _) = seal(&plain, b"context");
    let (header, records) = ciphertext
        .split_first_chunk()
        .expect("a ciphertext has a header");
    let encryptor = Encryptor::new(&key(), [7; SALT_BYTES], b"context");
    let decryptor = Decryptor::new(&key(), header, b"context").expect("the key is right");
    assert_eq!(&encryptor.header(), header);
    for (index, (record, chunk)) in records
        .chunks(RECORD_BYTES)
        .zip(plain.chunks(CHUNK_BYTES))
        .enumerate()
    {
        let index = index as u64;
        assert_eq!(
            encryptor.encrypt_record(index, chunk).as_deref(),
            Ok(record)
        );
        assert_eq!(
            decryptor.decrypt_record(index, record).as_deref(),
            Ok(chunk)
        );
        assert_eq!(
            decryptor.decrypt_record(index + 1, record),
            Err(ContentError::Record)
        );
    }
}

#[test]
fn records_of_no_length_of_the_format_are_refused() {
    let encryptor = Encryptor::new(&key(), [7; SALT_BYTES], b"");
    let decryptor = Decryptor::new(&key(), &encryptor.header(), b"").expect("the key is right");
    assert_eq!(
        decryptor.decrypt_record(0, &[0; TAG_BYTES - 1]),
        Err(ContentError::Length)
    );
    assert_eq!(
        decryptor.decrypt_record(0, &[0; RECORD_BYTES + 1]),
        Err(ContentError::Length)
    );
    assert_eq!(
        decryptor.decrypt_record(RECORDS_MAX, &[0; TAG_BYTES]),
        Err(ContentError::Length)
    );
    assert_eq!(
        encryptor.encrypt_record(0, &[0; CHUNK_BYTES + 1]),
        Err(ContentError::Length)
    );
    assert_eq!(
        encryptor.encrypt_record(RECORDS_MAX, &[]),
        Err(ContentError::Length)
    );
    assert!(encryptor.encrypt_record(RECORDS_MAX - 1, &[]).is_ok());
}

#[test]
fn lengths_are_bounded_on_both_sides() {
    let longest = RECORDS_MAX * CHUNK_BYTES as u64 - 1;
    let ciphertext = ciphertext_len(longest).expect("the longest content");
    assert_eq!(plaintext_len(ciphertext), Ok(longest));
    assert_eq!(ciphertext_len(longest + 1), None);
    assert_eq!(ciphertext_len(u64::MAX), None);
    assert_eq!(plaintext_len(ciphertext + 1), Err(ContentError::Length));
    assert_eq!(plaintext_len(u64::MAX), Err(ContentError::Length));
    assert_eq!(
        plaintext_len(HEADER_BYTES as u64 + 15),
        Err(ContentError::Length)
    );
    assert_eq!(plaintext_len(HEADER_BYTES as u64 + 16), Ok(0));
    assert_eq!(
        plaintext_len((HEADER_BYTES + RECORD_BYTES) as u64),
        Err(ContentError::Length)
    );
}

/// Gives a few bytes at a time, then fails if it is told to.
struct Reluctant<'a> {
    rest: &'a [u8],
    fails: bool,
}

impl Read for Reluctant<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() && self.fails {
            return Err(io::Error::other("the disk is gone"));
        }
        let count = self.rest.len().min(buffer.len()).min(1000);
        self.rest.read(&mut buffer[..count])
    }
}

#[test]
fn short_reads_change_nothing_and_a_failing_stream_is_told_from_a_short_one() {
    let plain = plaintext(100_000);
    let (expected, _) = seal(&plain, b"");
    let mut ciphertext = Vec::new();
    let mut reader = Reluctant {
        rest: &plain,
        fails: false,
    };
    encrypt(
        &mut reader,
        &mut ciphertext,
        &key(),
        [7; SALT_BYTES],
        b"",
        &mut |_| (),
    )
    .expect("no failure");
    assert_eq!(ciphertext, expected);
    let mut reader = Reluctant {
        rest: &plain,
        fails: true,
    };
    let failed = encrypt(
        &mut reader,
        &mut io::sink(),
        &key(),
        [7; SALT_BYTES],
        b"",
        &mut |_| (),
    );
    assert!(matches!(failed, Err(EncryptError::Read(_))));
    let mut reader = Reluctant {
        rest: &expected,
        fails: true,
    };
    let failed = decrypt(&mut reader, &mut io::sink(), &key(), b"", &mut |_| ());
    assert!(matches!(failed, Err(DecryptError::Read(_))));
}

#[test]
fn a_full_disk_is_told_from_bad_content() {
    let plain = plaintext(100);
    let (ciphertext, _) = seal(&plain, b"");
    let mut full = [0; 50];
    let failed = decrypt(
        &mut &*ciphertext,
        &mut full.as_mut_slice(),
        &key(),
        b"",
        &mut |_| (),
    );
    assert!(matches!(failed, Err(DecryptError::Write(_))));
    let mut full = [0; 60];
    let failed = encrypt(
        &mut &*plain,
        &mut full.as_mut_slice(),
        &key(),
        [0; SALT_BYTES],
        b"",
        &mut |_| (),
    );
    assert!(matches!(failed, Err(EncryptError::Write(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_length_opens_again_and_no_altered_byte_does(
        length in 0_usize..70_000, place: prop::sample::Index, mask in 1_u8..,
    ) {
        let plain = plaintext(length);
        let (mut ciphertext, _) = seal(&plain, b"context");
        prop_assert_eq!(open(&ciphertext, &key(), b"context").expect("it opens"), plain);
        let place = place.index(ciphertext.len());
        ciphertext[place] ^= mask;
        prop_assert!(open(&ciphertext, &key(), b"context").is_err());
    }

    #[test]
    fn lengths_convert_both_ways(length in 0_u64..1 << 52) {
        prop_assert_eq!(plaintext_len(ciphertext_len(length).expect("within the format")), Ok(length));
    }

    #[test]
    fn no_ciphertext_length_panics(length: u64) {
        if let Ok(plain) = plaintext_len(length) {
            prop_assert_eq!(ciphertext_len(plain), Some(length));
        }
    }
}
