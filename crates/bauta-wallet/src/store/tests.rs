//! Promises of the store.

use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use super::*;
use crate::testing::rng;

#[derive(Clone, Debug, PartialEq, TlsSize, TlsSerialize, TlsDeserialize)]
struct Note {
    number: u32,
    text: Vec<u8>,
}

impl Record for Note {
    const KIND: Kind = Kind::Bank;

    fn name(&self) -> Vec<u8> {
        self.number.to_be_bytes().to_vec()
    }
}

const PLANTED: &[u8] = b"a secret that is planted here to be searched for";

fn note(number: u32) -> Note {
    Note {
        number,
        text: PLANTED.to_vec(),
    }
}

fn batch(notes: &[Note]) -> Batch {
    let mut batch = Batch::new();
    notes.iter().for_each(|note| batch.put(note));
    batch
}

fn key() -> Secret<32> {
    Secret::new([7; 32])
}

fn raw_files(folder: &Path) -> Vec<u8> {
    let entries = fs::read_dir(folder).expect("a folder");
    let files = entries.map(|entry| entry.expect("an entry").path());
    files
        .filter(|path| path.is_file())
        .flat_map(|path| fs::read(path).expect("a file"))
        .collect()
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn what_was_committed_is_there_after_reopening() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Store::create(folder.path(), &key()).expect("made");
    store
        .commit(batch(&[note(2), note(1)]), &mut rng())
        .expect("written");
    let mut removal = Batch::new();
    removal.remove(&note(2));
    removal.put(&note(3));
    store.commit(removal, &mut rng()).expect("written");
    drop(store);
    let store = Store::open(folder.path(), &key(), Duration::ZERO).expect("opened");
    assert_eq!(store.all::<Note>().expect("read"), [note(1), note(3)]);
    assert_eq!(store.one::<Note>(&note(2).name()).expect("read"), None);
}

#[test]
fn nothing_of_a_record_stands_in_the_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Store::create(folder.path(), &key()).expect("made");
    store
        .commit(batch(&[note(1)]), &mut rng())
        .expect("written");
    let raw = raw_files(folder.path());
    assert!(contains(&raw, b"records"), "the search itself works");
    assert!(!contains(&raw, &PLANTED[..12]));
    drop(store);
    assert!(!contains(&raw_files(folder.path()), &PLANTED[..12]));
}

#[test]
fn records_of_different_kinds_and_names_look_alike() {
    let lengths = [
        envelope(&(1, vec![1]), b"x"),
        envelope(&(7, vec![0; 48]), &[9; 100]),
    ];
    assert_eq!(lengths[0].len(), lengths[1].len());
}

#[test]
fn one_process_at_a_time_and_the_second_is_told_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::create(folder.path(), &key()).expect("made");
    let second = Store::open(folder.path(), &key(), Duration::from_millis(120));
    assert!(matches!(second, Err(StoreError::Running)));
    drop(store);
    assert!(Store::open(folder.path(), &key(), Duration::ZERO).is_ok());
}

#[test]
fn another_key_and_a_moved_record_do_not_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Store::create(folder.path(), &key()).expect("made");
    store
        .commit(batch(&[note(1), note(2)]), &mut rng())
        .expect("written");
    drop(store);
    let other = Store::open(folder.path(), &Secret::new([8; 32]), Duration::ZERO);
    assert!(matches!(other, Err(StoreError::Damaged)));
    let connection = Connection::open(folder.path().join(DATABASE_FILE)).expect("opened");
    connection
        .execute(
            "UPDATE records SET sealed = (SELECT max(sealed) FROM records)",
            [],
        )
        .expect("moved");
    drop(connection);
    let moved = Store::open(folder.path(), &key(), Duration::ZERO);
    assert!(matches!(moved, Err(StoreError::Damaged)));
}

#[test]
fn a_wallet_is_not_made_over_another_and_not_opened_where_none_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = Store::open(folder.path(), &key(), Duration::ZERO);
    assert!(matches!(missing, Err(StoreError::Missing)));
    drop(Store::create(folder.path(), &key()).expect("made"));
    let second = Store::create(folder.path(), &key());
    assert!(matches!(second, Err(StoreError::Exists)));
}

#[test]
fn a_transaction_that_was_torn_by_a_crash_left_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Store::create(folder.path(), &key()).expect("made");
    store
        .commit(batch(&[note(1)]), &mut rng())
        .expect("written");
    store
        .commit(batch(&[note(2), note(3)]), &mut rng())
        .expect("written");
    // The write-ahead log is cut in its last frame, as by a power failure.
    let wal = folder.path().join("wallet.db-wal");
    let copy = tempfile::tempdir().expect("a folder");
    let bytes = fs::read(&wal).expect("a write-ahead log");
    fs::copy(
        folder.path().join(DATABASE_FILE),
        copy.path().join(DATABASE_FILE),
    )
    .expect("copied");
    fs::write(
        copy.path().join("wallet.db-wal"),
        &bytes[..bytes.len() - 100],
    )
    .expect("cut");
    let torn = Store::open(copy.path(), &key(), Duration::ZERO).expect("opened");
    assert_eq!(torn.all::<Note>().expect("read"), [note(1)]);
}
