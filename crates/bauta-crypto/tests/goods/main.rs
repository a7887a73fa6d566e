//! The vectors of the goods format: files with a ciphertext and what whoever opens it must say, mostly no.
//!
//! `vectors/goods/README.md` describes the files. They are made from a fixed key and salt by `cargo xtask vectors`;
//! another implementation needs the files alone.

mod generate;
mod vector;

use std::{collections::BTreeMap, fs, path::PathBuf};

use bauta_crypto::{
    content::{
        ContentError, ContentKey, DecryptError, Decryptor, HEADER_BYTES, RECORD_BYTES, decrypt,
        plaintext_len,
    },
    hash,
};

use crate::{
    generate::{length_vectors, plaintext, vectors},
    vector::{Expect, Length, Vector},
};

/// What this implementation says to a ciphertext, and the plain text if it says yes.
fn verdict(vector: &Vector) -> (Expect, Vec<u8>) {
    let key = ContentKey::new(vector.key);
    let mut plain = Vec::new();
    let mut reader = vector.ciphertext.as_slice();
    let opened = decrypt(&mut reader, &mut plain, &key, &vector.context, &mut |_| ());
    let expect = match opened {
        Ok(_) => Expect::Ok,
        Err(DecryptError::WrongKey) => Expect::WrongKey,
        Err(DecryptError::Truncated) => Expect::Truncated,
        Err(DecryptError::Record { index }) => Expect::Record(index),
        Err(DecryptError::LastRecord { index }) => Expect::LastRecord(index),
        Err(error) => panic!("memory does not fail, and the vectors are short: {error}"),
    };
    (expect, plain)
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/goods")
}

/// The vector files by name; `lengths` is one of them.
fn files() -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder()).expect("the vectors are part of the source");
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .map(|path| {
            let name = path.file_stem().expect("a file has a name");
            let text = fs::read_to_string(&path).expect("a text file");
            (name.to_string_lossy().into_owned(), text)
        })
        .collect()
}

/// The files with a ciphertext.
fn ciphertexts() -> impl Iterator<Item = (String, Vector)> {
    let files = files().into_iter().filter(|(name, _)| name != "lengths");
    files.map(|(name, text)| {
        let vector = Vector::parse(&text).unwrap_or_else(|| panic!("{name} is not a vector"));
        (name, vector)
    })
}

#[test]
fn every_vector_file_opens_or_is_refused_as_its_header_says() {
    for (name, vector) in ciphertexts() {
        let (found, plain) = verdict(&vector);
        assert_eq!(found, vector.expect, "{name}: {}", vector.comment);
        assert_eq!(hash::content(&vector.ciphertext), vector.ct_root, "{name}");
        if found == Expect::Ok {
            assert_eq!(Some(plain.len()), vector.plaintext_bytes, "{name}");
            assert_eq!(plain, plaintext(plain.len()), "{name}");
            assert_eq!(Some(hash::content(&plain)), vector.pt_root, "{name}");
        }
    }
}

#[test]
fn records_one_by_one_are_opened_and_refused_like_the_stream() {
    for (name, vector) in ciphertexts() {
        let expect = match first_refused_record(&vector) {
            Ok(()) => Expect::Ok,
            Err((_, ContentError::WrongKey)) => Expect::WrongKey,
            Err((_, ContentError::Length)) => Expect::Truncated,
            Err((index, ContentError::Record)) if is_full(&vector, index) => Expect::Record(index),
            Err((index, ContentError::Record)) => Expect::LastRecord(index),
        };
        assert_eq!(expect, vector.expect, "{name}: {}", vector.comment);
    }
}

/// Opens the records of a ciphertext by itself, as one does who needs only a part of it.
fn first_refused_record(vector: &Vector) -> Result<(), (u64, ContentError)> {
    let before = |error| (0, error);
    let header = vector.ciphertext.first_chunk::<HEADER_BYTES>();
    let header = header.ok_or(before(ContentError::Length))?;
    let key = ContentKey::new(vector.key);
    let decryptor = Decryptor::new(&key, header, &vector.context).map_err(before)?;
    plaintext_len(vector.ciphertext.len() as u64).map_err(before)?;
    for (index, record) in (0..).zip(vector.ciphertext[HEADER_BYTES..].chunks(RECORD_BYTES)) {
        let opened = decryptor.decrypt_record(index, record);
        opened.map_err(|error| (index, error))?;
    }
    Ok(())
}

fn is_full(vector: &Vector, index: u64) -> bool {
    let records = vector.ciphertext[HEADER_BYTES..].chunks(RECORD_BYTES);
    (0..)
        .zip(records)
        .any(|(at, record)| at == index && record.len() == RECORD_BYTES)
}

#[test]
fn lengths_belong_together_as_the_file_says() {
    let files = files();
    let lines = files["lengths"].lines().skip_while(|line| !line.is_empty());
    let mut count = 0;
    for line in lines.skip(1) {
        let length = Length::parse(line).unwrap_or_else(|| panic!("not a length: {line}"));
        let found = plaintext_len(length.ciphertext_bytes).ok();
        assert_eq!(found, length.plaintext_bytes, "{line}");
        count += 1;
    }
    assert_eq!(count, length_vectors().len());
}

#[test]
fn the_files_are_what_the_fixed_key_gives() {
    let (files, made) = (files(), texts());
    for (name, text) in &made {
        assert!(files.get(name) == Some(text), "{name} is another file");
    }
    assert_eq!(files.len(), made.len(), "a file that nothing makes");
}

#[test]
fn every_way_to_be_refused_has_vectors() {
    let made = vectors();
    let seen = |expect| made.values().any(|vector| vector.expect == expect);
    for expect in [Expect::Ok, Expect::WrongKey, Expect::Truncated] {
        assert!(seen(expect), "{expect}");
    }
    for index in 0..2 {
        assert!(seen(Expect::Record(index)), "record {index}");
        assert!(seen(Expect::LastRecord(index)), "last record {index}");
    }
}

/// All files as they ought to be, by name.
fn texts() -> BTreeMap<String, String> {
    let ciphertexts = vectors().into_iter();
    let mut texts: BTreeMap<String, String> = ciphertexts
        .map(|(name, vector)| (name, vector.to_text()))
        .collect();
    texts.insert("lengths".to_owned(), Length::to_text(&length_vectors()));
    texts
}

#[test]
#[ignore = "writes the vector files: cargo xtask vectors"]
fn regenerate() {
    fs::create_dir_all(folder()).expect("a writable folder");
    for name in files().into_keys() {
        fs::remove_file(folder().join(name + ".txt")).expect("a writable folder");
    }
    for (name, text) in texts() {
        fs::write(folder().join(name + ".txt"), text).expect("a writable folder");
    }
}
