//! Inputs to begin with, from the vectors that the project has anyway.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Files of a folder of vectors (`bauta-proto/tests/vectors/policy`), in order of their names.
pub(crate) fn vectors(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates")
        .join(folder);
    let entries = fs::read_dir(folder).expect("the vectors are part of the source");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    let files = paths.into_iter().filter(|path| path.is_file());
    files
        .map(|path| fs::read(path).expect("readable"))
        .collect()
}

/// One vector file.
pub(crate) fn vector(path: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates")
        .join(path);
    fs::read(path).expect("the vectors are part of the source")
}

/// `bytes` behind the number that selects who reads them.
pub(crate) fn selected(number: usize, bytes: &[u8]) -> Vec<u8> {
    let number = u8::try_from(number).expect("fewer than 256 to select from");
    [&[number], bytes].concat()
}

/// Every text in a JSON file, however deep; where it is hexadecimal, its bytes too.
pub(crate) fn json_texts(json: &[u8]) -> Vec<Vec<u8>> {
    let mut texts = Vec::new();
    collect(
        &serde_json::from_slice(json).expect("a vector is JSON"),
        &mut texts,
    );
    texts
}

fn collect(value: &serde_json::Value, texts: &mut Vec<Vec<u8>>) {
    match value {
        serde_json::Value::String(text) => {
            texts.push(text.clone().into_bytes());
            texts.extend(data_encoding::HEXLOWER.decode(text.as_bytes()));
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        serde_json::Value::Object(map) => map.values().for_each(|value| collect(value, texts)),
        _ => {}
    }
}

/// Writes seeds under the numbers of their order.
pub(crate) fn write(folder: &Path, seeds: &[Vec<u8>]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut numbered = seeds.iter().enumerate();
    numbered
        .try_for_each(|(number, seed)| fs::write(folder.join(format!("seed-{number:04}")), seed))
}
