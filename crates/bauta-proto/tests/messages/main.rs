//! The message vectors: files with bytes and what a decoder says to them, mostly no.
//!
//! `vectors/messages/README.md` describes the files. They are made from fixed seeds by `cargo xtask vectors`; another
//! implementation needs the files alone.

mod generate;
mod kinds;
mod limits;
mod properties;
mod vector;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use bauta_proto::codec::DecodeError;

use crate::{
    generate::vectors,
    kinds::{Decoded, KINDS},
    vector::{Expect, Vector},
};

/// What this implementation says to a vector's bytes.
fn verdict(vector: &Vector) -> Expect {
    match vector.kind.decode(&vector.bytes, vector.signer) {
        Err(DecodeError::Truncated(_)) => Expect::Truncated,
        Err(DecodeError::Trailing(_)) => Expect::Trailing,
        Err(DecodeError::NotCanonical(_)) => Expect::NotCanonical,
        Err(DecodeError::Unknown(_)) => Expect::Unknown,
        Err(DecodeError::TooLong { .. }) => Expect::TooLong,
        Ok(Decoded {
            is_well_formed: false,
            ..
        }) => Expect::Form,
        Ok(Decoded {
            is_signed: false, ..
        }) => Expect::Signature,
        Ok(_) => Expect::Ok,
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/messages")
}

/// The vector files by name.
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

#[test]
fn every_vector_file_decodes_or_is_refused_as_its_header_says() {
    for (name, text) in files() {
        let vector = Vector::parse(&text).unwrap_or_else(|| panic!("{name} is not a vector"));
        let found = verdict(&vector);
        assert_eq!(found, vector.expect, "{name}: {}", vector.comment);
        if vector.expect == Expect::Ok {
            let decoded = vector.kind.decode(&vector.bytes, vector.signer);
            let decoded = decoded.expect("the verdict was good");
            assert_eq!(decoded.bytes, vector.bytes, "{name} encodes to other bytes");
            assert_eq!(Some(decoded.id), vector.id, "{name} has another id");
        }
    }
}

#[test]
fn the_files_are_what_the_fixed_seeds_give() {
    let files = files();
    let made = vectors();
    for (name, vector) in &made {
        let file = files.get(name).map(String::as_str);
        assert_eq!(file, Some(vector.to_text().as_str()), "{name}");
    }
    assert_eq!(files.len(), made.len(), "a file that nothing makes");
}

#[test]
fn every_message_has_a_positive_vector_and_more_negative_ones() {
    let made = vectors();
    for kind in KINDS {
        let of_kind = || made.values().filter(|vector| vector.kind.name == kind.name);
        let good = of_kind().filter(|vector| vector.expect == Expect::Ok);
        assert!(good.count() >= 1, "{}", kind.name);
        assert!(of_kind().count() >= 4, "{}", kind.name);
    }
}

/// The registry's own text is read: no test can name what it has not heard of. The policy is a text, not a message.
#[test]
fn every_message_type_of_the_registry_has_a_kind() {
    let registry = include_str!("../../src/codec.rs");
    let body = registry.split("pub enum MessageType {").nth(1);
    let body = body.and_then(|body| body.split('}').next());
    let lines = body.expect("the registry").lines().map(str::trim);
    let names = lines.filter_map(|line| Some(line.split_once(" = ")?.0));
    let names: BTreeSet<&str> = names.filter(|name| *name != "Policy").collect();
    let bare = |kind: &kinds::Kind| {
        kind.name
            .split('<')
            .next_back()
            .map(|name| name.trim_end_matches('>'))
    };
    assert_eq!(names, KINDS.iter().filter_map(bare).collect());
}

#[test]
fn every_way_to_be_refused_has_vectors() {
    let made = vectors();
    let seen: BTreeSet<Expect> = made.values().map(|vector| vector.expect).collect();
    assert_eq!(seen, Expect::ALL.into_iter().collect());
}

#[test]
#[ignore = "writes the vector files: cargo xtask vectors"]
fn regenerate() {
    fs::create_dir_all(folder()).expect("a writable folder");
    for name in files().into_keys() {
        fs::remove_file(folder().join(name + ".txt")).expect("a writable folder");
    }
    for (name, vector) in vectors() {
        let path = folder().join(name + ".txt");
        fs::write(path, vector.to_text()).expect("a writable folder");
    }
}
