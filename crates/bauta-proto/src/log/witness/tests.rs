//! The witness's rule, by vectors that another implementation can run, and by properties.
//!
//! `tests/vectors/witness/README.md` describes the files.

use std::{collections::BTreeMap, fs, path::PathBuf};

use bauta_crypto::note::VkeyKind;
use proptest::prelude::*;

use super::*;
use crate::log::test_log::{ORIGIN, TestLog, key};

const NOW: Timestamp = Timestamp(1_800_000_000);

/// A request, the state that it meets, and the status that answers it.
struct Vector {
    comment: &'static str,
    log: String,
    state: LogState,
    /// 200, or the status of the refusal.
    status: u16,
    body: Vec<u8>,
}

impl Vector {
    fn to_bytes(&self) -> Vec<u8> {
        let head = format!(
            "comment: {}\nlog: {}\nstate: {} {}\nstatus: {}\n\n",
            self.comment,
            self.log,
            self.state.size,
            BASE64.encode(&self.state.root),
            self.status
        );
        [head.as_bytes(), &self.body].concat()
    }
}

/// What this implementation answers to a file's request.
fn status(file: &[u8]) -> Option<(u16, u16)> {
    let end = file.windows(2).position(|pair| pair == b"\n\n")?;
    let (head, body) = (
        std::str::from_utf8(&file[..end]).ok()?,
        file.get(end + 2..)?,
    );
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    let (size, root) = header("state: ")?.split_once(' ')?;
    let state = LogState {
        size: size.parse().ok()?,
        root: proof_hash(root).ok()?,
        cosigned_at: Timestamp(0),
    };
    let answered = answer(body, &[header("log: ")?.parse().ok()?], &state);
    Some((
        header("status: ")?.parse().ok()?,
        answered.err().unwrap_or(200),
    ))
}

fn answer(body: &[u8], logs: &[Vkey], state: &LogState) -> Result<LogState, u16> {
    let request = AddCheckpoint::from_text(body).map_err(|_| 400_u16)?;
    let opened = OpenedRequest::open(&request, logs).map_err(Refusal::status)?;
    admit(state, &opened, NOW).map_err(Refusal::status)
}

/// The log of the vectors; every tree is a beginning of the next.
fn log() -> TestLog {
    TestLog::new(20)
}

fn state(size: u64) -> LogState {
    let root = match size {
        0 => EMPTY_ROOT,
        size => opened(&log().checkpoint(size, 1)).checkpoint.root,
    };
    LogState {
        size,
        root,
        cosigned_at: Timestamp(0),
    }
}

fn opened(note: &str) -> OpenedCheckpoint {
    note::open_checkpoint(note, log().log.vkey()).expect("signed by the log")
}

/// The honest request from one size to another.
fn request(old_size: u64, size: u64) -> AddCheckpoint {
    let log = log();
    let checkpoint = log.checkpoint(size, 1);
    let root = opened(&checkpoint).checkpoint.root;
    let proof = match old_size {
        0 => Vec::new(),
        old_size => merkle::prove_consistency(old_size, size, root, &log).expect("proves"),
    };
    AddCheckpoint {
        old_size,
        proof,
        checkpoint,
    }
}

fn vectors() -> BTreeMap<&'static str, Vector> {
    let mut vectors = BTreeMap::new();
    let vkey = log().log.vkey().to_string();
    let mut add = |name, comment, known: u64, status, body: Vec<u8>| {
        let (log, state) = (vkey.clone(), state(known));
        let vector = Vector {
            comment,
            log,
            state,
            status,
            body,
        };
        assert!(vectors.insert(name, vector).is_none(), "{name}");
    };
    let text = |old, new| request(old, new).to_text();
    let bytes = |old, new| text(old, new).into_bytes();
    let changed = |change: fn(&mut AddCheckpoint)| {
        let mut request = request(11, 20);
        change(&mut request);
        request.to_text().into_bytes()
    };
    let replaced = |from: &str, to: &str| text(11, 20).replacen(from, to, 1).into_bytes();

    add(
        "good-first",
        "the first checkpoint of a log",
        0,
        200,
        bytes(0, 11),
    );
    add(
        "good-empty-tree",
        "a log without leaves",
        0,
        200,
        bytes(0, 0),
    );
    add(
        "good-grown",
        "a tree that has grown",
        11,
        200,
        bytes(11, 20),
    );
    add(
        "good-again",
        "the same tree again, for a new time",
        11,
        200,
        bytes(11, 11),
    );

    add("empty", "no bytes at all", 11, 400, Vec::new());
    add(
        "no-empty-line",
        "nothing between proof and checkpoint",
        11,
        400,
        replaced("\n\n", "\n"),
    );
    add(
        "no-old-size",
        "the first line is missing",
        11,
        400,
        replaced("old 11\n", ""),
    );
    add(
        "old-size-leading-zero",
        "a number in a second form",
        11,
        400,
        replaced("old 11", "old 011"),
    );
    add(
        "old-size-signed",
        "a number in a second form",
        11,
        400,
        replaced("old 11", "old +11"),
    );
    add(
        "old-size-two-spaces",
        "two spaces",
        11,
        400,
        replaced("old 11", "old  11"),
    );
    add(
        "old-size-upper-case",
        "another word",
        11,
        400,
        replaced("old", "Old"),
    );
    add(
        "old-size-beyond-64-bits",
        "a number that is none",
        11,
        400,
        replaced("old 11", "old 18446744073709551616"),
    );
    add(
        "returns",
        "lines that end in two characters",
        11,
        400,
        text(11, 20).replace('\n', "\r\n").into_bytes(),
    );
    add(
        "not-utf-8",
        "a byte that no text has",
        11,
        400,
        [b"\xff".as_slice(), &bytes(11, 20)].concat(),
    );
    add(
        "old-size-beyond-checkpoint",
        "an old tree that is larger than the new",
        20,
        400,
        replaced("old 11", "old 21"),
    );
    add(
        "proof-64-lines",
        "one hash too many",
        11,
        400,
        changed(|request| request.proof = vec![[1; 32]; 64]),
    );
    add(
        "proof-hash-31-bytes",
        "a hash that is too short",
        11,
        400,
        short_hash(),
    );
    add(
        "proof-not-base64",
        "a line that is no base64",
        11,
        400,
        replaced("old 11\n", "old 11\n????\n"),
    );

    add(
        "other-origin",
        "a log that the witness does not know",
        0,
        404,
        other_origin(),
    );
    add(
        "no-checkpoint",
        "an empty line and nothing else",
        11,
        404,
        b"old 11\n\n".to_vec(),
    );

    add(
        "signed-by-nobody",
        "no signature of the log",
        11,
        403,
        unsigned(),
    );
    add(
        "signature-altered",
        "the text is not what was signed",
        11,
        403,
        replaced("\n20\n", "\n19\n"),
    );
    add("last-newline-missing", "the note is cut", 11, 403, cut());

    add(
        "behind",
        "the witness has cosigned more already",
        15,
        409,
        bytes(11, 20),
    );
    add(
        "ahead",
        "the witness has cosigned less",
        5,
        409,
        bytes(11, 20),
    );
    add(
        "first-but-known",
        "the size is asked for by old 0",
        11,
        409,
        replaced("old 11", "old 0"),
    );
    add(
        "other-tree-of-the-same-size",
        "a second history",
        11,
        422,
        forked(),
    );

    add(
        "proof-missing",
        "no proof where one is needed",
        11,
        422,
        changed(|request| request.proof.clear()),
    );
    add(
        "proof-altered",
        "one bit of a hash",
        11,
        422,
        changed(|request| request.proof[0][0] ^= 1),
    );
    add(
        "proof-too-long",
        "one hash more",
        11,
        422,
        changed(|request| request.proof.push([1; 32])),
    );
    add(
        "proof-too-short",
        "one hash less",
        11,
        422,
        changed(|request| request.proof.truncate(request.proof.len() - 1)),
    );
    add(
        "proof-at-the-start",
        "a proof from the empty tree",
        0,
        422,
        proof_from_nothing(),
    );
    add(
        "proof-for-the-same-tree",
        "a proof where nothing has grown",
        11,
        422,
        proof_of_nothing(),
    );
    vectors
}

fn short_hash() -> Vec<u8> {
    let line = BASE64.encode(&[1; 31]);
    let text = request(11, 20).to_text();
    text.replacen("old 11\n", &format!("old 11\n{line}\n"), 1)
        .into_bytes()
}

fn other_origin() -> Vec<u8> {
    let other = note::LogSigner::new("other.example/log", &key(1)).expect("a name");
    let checkpoint = note::Checkpoint {
        origin: "other.example/log".to_owned(),
        size: 3,
        root: [1; 32],
    };
    let note = note::sign_checkpoint(&checkpoint, &other).expect("signs");
    format!("old 0\n\n{note}").into_bytes()
}

fn unsigned() -> Vec<u8> {
    let text = request(11, 20).to_text();
    let lines = text
        .lines()
        .filter(|line| !line.starts_with(&format!("\u{2014} {ORIGIN} ")));
    lines
        .map(|line| format!("{line}\n"))
        .collect::<String>()
        .into_bytes()
}

fn cut() -> Vec<u8> {
    let mut bytes = request(11, 20).to_text().into_bytes();
    bytes.pop();
    bytes
}

fn forked() -> Vec<u8> {
    let mut log = log();
    log.entries[3][5] ^= 1;
    let checkpoint = log.checkpoint(11, 1);
    format!("old 11\n\n{checkpoint}").into_bytes()
}

fn proof_from_nothing() -> Vec<u8> {
    let mut request = request(0, 11);
    request.proof.push([1; 32]);
    request.to_text().into_bytes()
}

fn proof_of_nothing() -> Vec<u8> {
    let mut request = request(11, 11);
    request.proof.push([1; 32]);
    request.to_text().into_bytes()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/witness")
}

/// The vector files by name.
fn files() -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder()).expect("the vectors are part of the source");
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    let vectors = paths.filter(|path| path.extension().is_some_and(|kind| kind == "txt"));
    vectors
        .map(|path| {
            let name = path.file_stem().expect("a file has a name");
            let bytes = fs::read(&path).expect("a readable file");
            (name.to_string_lossy().into_owned(), bytes)
        })
        .collect()
}

#[test]
fn every_request_of_the_vector_files_is_answered_as_its_header_says() {
    for (name, file) in files() {
        let (expected, found) = status(&file).unwrap_or_else(|| panic!("{name} is not a vector"));
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn the_files_are_what_the_fixed_seeds_give() {
    let (files, made) = (files(), vectors());
    for (name, vector) in &made {
        assert!(files.get(*name) == Some(&vector.to_bytes()), "{name}");
    }
    assert_eq!(files.len(), made.len(), "a file that nothing makes");
}

#[test]
#[ignore = "writes the vector files: cargo xtask vectors"]
fn regenerate() {
    fs::create_dir_all(folder()).expect("a writable folder");
    for name in files().into_keys() {
        fs::remove_file(folder().join(name + ".txt")).expect("a writable folder");
    }
    for (name, vector) in vectors() {
        let path = folder().join(format!("{name}.txt"));
        fs::write(path, vector.to_bytes()).expect("a writable folder");
    }
}

#[test]
fn v4_the_time_of_a_cosignature_never_goes_back_even_if_the_clock_does() {
    let open =
        |request| OpenedRequest::open(&request, &[log().log.vkey().clone()]).expect("signed");
    let first = admit(&LogState::EMPTY, &open(request(0, 11)), NOW).expect("admitted");
    assert_eq!(first.cosigned_at, NOW);
    let early = Timestamp(NOW.0 - 1_000);
    let second = admit(&first, &open(request(11, 20)), early).expect("admitted");
    assert_eq!(
        second.cosigned_at, NOW,
        "the clock went back, the time did not"
    );
    let later = Timestamp(NOW.0 + 1);
    let third = admit(&second, &open(request(20, 20)), later).expect("the same tree again");
    assert_eq!(
        third,
        LogState {
            cosigned_at: later,
            ..second
        }
    );
}

#[test]
fn a_log_with_two_keys_of_one_name_is_known_by_either() {
    let other = note::LogSigner::new(ORIGIN, &key(9)).expect("a name");
    let keys = [other.vkey().clone(), log().log.vkey().clone()];
    assert!(OpenedRequest::open(&request(0, 5), &keys).is_ok());
    let refused = OpenedRequest::open(&request(0, 5), &keys[..1]).err();
    assert_eq!(refused, Some(Refusal::NotSigned(NoteError::Unsigned)));
    let cosigner = Vkey::new(ORIGIN, key(1).verifying_key(), VkeyKind::Cosigner).expect("a name");
    let refused = OpenedRequest::open(&request(0, 5), &[cosigner]).err();
    assert_eq!(refused, Some(Refusal::NotSigned(NoteError::NotALogKey)));
}

#[test]
fn a_request_at_the_limit_is_read_and_a_longer_one_is_not() {
    let with_lines = |lines: usize| {
        let mut request = request(11, 20);
        request.proof = vec![[1; 32]; lines];
        request.to_text()
    };
    let text = with_lines(PROOF_LINES_MAX);
    assert!(AddCheckpoint::from_text(text.as_bytes()).is_ok());
    let text = with_lines(PROOF_LINES_MAX + 1);
    let refused = AddCheckpoint::from_text(text.as_bytes());
    assert_eq!(refused, Err(AddCheckpointError::ProofTooLong));
    let mut bytes = b"old 0\n\n".to_vec();
    bytes.resize(ADD_CHECKPOINT_BYTES_MAX, b'x');
    assert!(AddCheckpoint::from_text(&bytes).is_ok());
    bytes.push(b'x');
    let refused = AddCheckpoint::from_text(&bytes);
    assert_eq!(refused, Err(AddCheckpointError::TooLong));
}

#[test]
fn answers_are_read_in_their_one_form() {
    assert_eq!(
        Answer::read(200, b"x\n"),
        Answer::Cosigned("x\n".to_owned())
    );
    assert_eq!(
        Answer::read(409, b"20852014\n"),
        Answer::Conflict(20_852_014)
    );
    assert_eq!(Answer::read(409, b"0\n"), Answer::Conflict(0));
    for body in [
        "",
        "\n",
        "7",
        "07\n",
        "+7\n",
        " 7\n",
        "7\n\n",
        "7\r\n",
        "18446744073709551616\n",
    ] {
        let answer = Answer::read(409, body.as_bytes());
        assert_eq!(answer, Answer::Refused(409), "{body:?}");
    }
    assert_eq!(Answer::read(200, b"\xff"), Answer::Refused(200));
    assert_eq!(Answer::read(422, b"7\n"), Answer::Refused(422));
}

proptest! {
    #[test]
    fn a_request_reads_back(old_size: u64, proof in prop::collection::vec(any::<[u8; 32]>(), 0..=PROOF_LINES_MAX), checkpoint in "[a-z\n]{0,80}") {
        let request = AddCheckpoint { old_size, proof, checkpoint };
        prop_assert_eq!(AddCheckpoint::from_text(request.to_text().as_bytes()), Ok(request));
    }

    #[test]
    fn what_is_read_prints_the_same_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "old [0-9]{1,3}\n([A-Za-z0-9+/]{43}=\n){0,2}\n[a-z\n]{0,20}") {
        for bytes in [bytes, text.into_bytes()] {
            if let Ok(request) = AddCheckpoint::from_text(&bytes) {
                prop_assert_eq!(request.to_text().into_bytes(), bytes);
            }
        }
    }

    #[test]
    fn whatever_a_log_asks_a_witness_cosigns_one_history_only(steps in prop::collection::vec((0..20_u64, 0..20_u64, any::<bool>(), 0..100_u64), 1..20)) {
        let (honest, mut fork) = (log(), log());
        fork.entries[2][5] ^= 1;
        let mut state = LogState::EMPTY;
        for (old_size, size, forks, now) in steps {
            let source = if forks { &fork } else { &honest };
            let checkpoint = source.checkpoint(size, 1);
            let root = opened(&checkpoint).checkpoint.root;
            let proof = merkle::prove_consistency(old_size, size, root, source).unwrap_or_default();
            let request = AddCheckpoint { old_size, proof, checkpoint };
            let opened = OpenedRequest::open(&request, &[honest.log.vkey().clone()]);
            let Ok(next) = opened.and_then(|opened| admit(&state, &opened, Timestamp(now))) else { continue };
            prop_assert!(next.size >= state.size && next.cosigned_at >= state.cosigned_at);
            let of = |source: &TestLog| note::open_checkpoint(&source.checkpoint(state.size, 1), source.log.vkey()).expect("signed").checkpoint.root;
            let source_root = if state.size == 0 { EMPTY_ROOT } else { of(source) };
            prop_assert_eq!(source_root, state.root, "a tree of another history");
            state = next;
        }
    }
}
