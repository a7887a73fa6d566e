//! Promises of the store.

use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use super::{version::Migration, *};
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
    let mut store = Store::create(folder.path(), &key(), &mut rng()).expect("made");
    store
        .commit(batch(&[note(2), note(1)]), &mut rng())
        .expect("written");
    let mut removal = Batch::new();
    removal.remove(&note(2));
    removal.put(&note(3));
    store.commit(removal, &mut rng()).expect("written");
    drop(store);
    let store = Store::open(folder.path(), &key(), Duration::ZERO, &mut rng()).expect("opened");
    assert_eq!(store.all::<Note>().expect("read"), [note(1), note(3)]);
    assert_eq!(store.one::<Note>(&note(2).name()).expect("read"), None);
}

#[test]
fn nothing_of_a_record_stands_in_the_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Store::create(folder.path(), &key(), &mut rng()).expect("made");
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
    let store = Store::create(folder.path(), &key(), &mut rng()).expect("made");
    let second = Store::open(
        folder.path(),
        &key(),
        Duration::from_millis(120),
        &mut rng(),
    );
    assert!(matches!(second, Err(StoreError::Running)));
    drop(store);
    assert!(Store::open(folder.path(), &key(), Duration::ZERO, &mut rng()).is_ok());
}

#[test]
fn another_key_and_a_moved_record_do_not_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Store::create(folder.path(), &key(), &mut rng()).expect("made");
    store
        .commit(batch(&[note(1), note(2)]), &mut rng())
        .expect("written");
    drop(store);
    let other = Store::open(
        folder.path(),
        &Secret::new([8; 32]),
        Duration::ZERO,
        &mut rng(),
    );
    assert!(matches!(other, Err(StoreError::Damaged)));
    let connection = Connection::open(folder.path().join(DATABASE_FILE)).expect("opened");
    connection
        .execute(
            "UPDATE records SET sealed = (SELECT max(sealed) FROM records)",
            [],
        )
        .expect("moved");
    drop(connection);
    let moved = Store::open(folder.path(), &key(), Duration::ZERO, &mut rng());
    assert!(matches!(moved, Err(StoreError::Damaged)));
}

#[test]
fn a_wallet_is_not_made_over_another_and_not_opened_where_none_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = Store::open(folder.path(), &key(), Duration::ZERO, &mut rng());
    assert!(matches!(missing, Err(StoreError::Missing)));
    drop(Store::create(folder.path(), &key(), &mut rng()).expect("made"));
    let second = Store::create(folder.path(), &key(), &mut rng());
    assert!(matches!(second, Err(StoreError::Exists)));
}

#[test]
fn a_transaction_that_was_torn_by_a_crash_left_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Store::create(folder.path(), &key(), &mut rng()).expect("made");
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
    let torn = Store::open(copy.path(), &key(), Duration::ZERO, &mut rng()).expect("opened");
    assert_eq!(torn.all::<Note>().expect("read"), [note(1)]);
}

/// A note as a later program has it.
#[derive(Clone, Debug, PartialEq, TlsSize, TlsSerialize, TlsDeserialize)]
struct LaterNote {
    number: u32,
    text: Vec<u8>,
    colour: Added<Option<u8>>,
}

impl Record for LaterNote {
    const KIND: Kind = Kind::Bank;

    fn name(&self) -> Vec<u8> {
        self.number.to_be_bytes().to_vec()
    }
}

/// Puts the byte 7 before what was there.
fn with_a_byte_before(_kind: u8, bytes: &[u8]) -> Option<Vec<u8>> {
    Some([&[7], bytes].concat())
}

fn refuses(_kind: u8, _bytes: &[u8]) -> Option<Vec<u8>> {
    None
}

fn open_as(folder: &Path, migrations: &'static [Migration]) -> Result<Store, StoreError> {
    let versions = Versions {
        oldest: version::PRESENT.present(),
        migrations,
    };
    Store::open_files(folder, &key(), Duration::ZERO, &versions, &mut rng())
}

fn set_version(folder: &Path, version: i32) {
    let connection = Connection::open(folder.join(DATABASE_FILE)).expect("opened");
    connection
        .pragma_update(None, "user_version", version)
        .expect("written");
}

fn written() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Store::create(folder.path(), &key(), &mut rng()).expect("made");
    store
        .commit(batch(&[note(1), note(2)]), &mut rng())
        .expect("written");
    folder
}

#[test]
fn a_wallet_of_an_earlier_or_later_build_is_refused_and_left_as_it_is() {
    let folder = written();
    let open = || Store::open(folder.path(), &key(), Duration::ZERO, &mut rng());
    set_version(folder.path(), 1);
    assert!(matches!(open(), Err(StoreError::TooOld)));
    set_version(folder.path(), i32::MIN);
    assert!(matches!(open(), Err(StoreError::TooOld)));
    set_version(folder.path(), version::PRESENT.present() + 1);
    assert!(matches!(open(), Err(StoreError::TooNew)));
    set_version(folder.path(), version::PRESENT.present());
    let notes = open().expect("opens").all::<Note>().expect("read");
    assert_eq!(notes, [note(1), note(2)]);
}

#[test]
fn an_earlier_wallets_records_are_migrated_in_order_once() {
    let folder = written();
    let steps: &[Migration] = &[version::unchanged, with_a_byte_before];
    for _ in 0..2 {
        let store = open_as(folder.path(), steps).expect("migrated");
        let bytes: Vec<_> = store.records.values().map(|bytes| bytes[0]).collect();
        assert_eq!(bytes, [7, 7]);
        let second = |bytes: &Zeroizing<Vec<u8>>| bytes[1] == 7;
        assert!(!store.records.values().any(second), "twice");
    }
    let program_before = open_as(folder.path(), &steps[..1]);
    assert!(matches!(program_before, Err(StoreError::TooNew)));
}

#[test]
fn a_migration_that_fails_changes_nothing() {
    let folder = written();
    let failed = open_as(folder.path(), &[with_a_byte_before, refuses]);
    assert!(matches!(failed, Err(StoreError::Damaged)));
    let store = open_as(folder.path(), &[]).expect("as before");
    assert_eq!(store.all::<Note>().expect("read"), [note(1), note(2)]);
}

#[test]
fn a_field_added_at_the_end_of_a_record_reads_as_its_default_where_it_was_not() {
    let folder = written();
    let mut store = open_as(folder.path(), &[version::unchanged]).expect("migrated");
    let notes = store.all::<LaterNote>().expect("read");
    assert!(notes.iter().all(|note| note.colour == Added(None)));
    let mut later = notes[0].clone();
    later.colour = Added(Some(3));
    let mut batch = Batch::new();
    batch.put(&later);
    store.commit(batch, &mut rng()).expect("written");
    let kept = store.one::<LaterNote>(&later.name()).expect("read");
    assert_eq!(kept, Some(later));
}
