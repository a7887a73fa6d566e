//! A good to sell when nobody named one: 20 MB of readable text that compresses badly.

use std::{
    fs,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use bauta_crypto::hash;

use crate::{failure::Outcome, report::Report};

/// Length of the sample, in bytes.
const SAMPLE_BYTES: usize = 20_000_000;

/// Writes the sample.
pub fn write(folder: &Path, report: &Report) -> Outcome<PathBuf> {
    let folder = folder.join("goods");
    fs::create_dir_all(&folder)?;
    let path = folder.join("sample.txt");
    let mut file = BufWriter::new(fs::File::create(&path)?);
    let mut rest = SAMPLE_BYTES;
    for number in 0_u64.. {
        let hash = hash::sha256(&[b"bauta sample", &number.to_be_bytes()]);
        let line = format!("{number:>8} {}\n", data_encoding::BASE64.encode(&hash));
        let piece = &line.as_bytes()[..line.len().min(rest)];
        file.write_all(piece)?;
        rest -= piece.len();
        if rest == 0 {
            break;
        }
    }
    file.flush()?;
    report.done("Nothing named to sell: made a sample of 20 MB");
    Ok(path)
}
