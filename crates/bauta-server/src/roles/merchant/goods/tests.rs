use std::{collections::BTreeMap, io::Write};

use bauta_io::{SystemClock, SystemRng};
use bauta_store::merchant::SaleState;

use super::*;

struct Desk {
    folder: tempfile::TempDir,
    shop: Shop,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let shop = Shop::open(&folder.path().join("shop"), Arc::new(SystemClock)).expect("opens");
        Self { folder, shop }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("in the folder")).expect("made");
        fs::write(&path, contents).expect("written");
        path
    }

    fn add(&mut self, source: &Path) -> Result<AddedGood, AddGoodError> {
        self.shop
            .add_good(source, &input(), &mut SystemRng::new(), &mut |_| ())
    }

    /// What a customer with the key gets.
    fn opened(&self, added: &AddedGood) -> Vec<u8> {
        let version = self.shop.reader.version(added.good, added.version);
        let key = version.expect("reads").expect("there").sale.content_key;
        let path = ciphertext_path(&self.shop.ciphertexts, &added.ct_root);
        let mut plain = Vec::new();
        let mut file = File::open(path).expect("there");
        content::decrypt(&mut file, &mut plain, &key, CONTENT_CONTEXT, &mut |_| ()).expect("opens");
        plain
    }

    fn ciphertexts(&self) -> usize {
        let files = fs::read_dir(&self.shop.ciphertexts).expect("a folder");
        files.count()
    }
}

fn input() -> GoodInput {
    GoodInput {
        title: "Title".into(),
        price: "4.99EUR".parse().expect("an amount"),
        description: "Description".into(),
        licence: String::new(),
        refund_rule: String::new(),
        media_type: None,
    }
}

fn unpacked(tar: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().expect("a tar stream");
    entries
        .map(|entry| {
            let mut entry = entry.expect("an entry");
            let name = entry.path().expect("a name").display().to_string();
            let mode = entry.header().mode().expect("a mode");
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents).expect("contents");
            (name, (mode, contents))
        })
        .collect()
}

#[test]
fn what_is_sold_is_what_was_added() {
    let mut desk = Desk::new();
    let contents: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let source = desk.file("song.mp3", &contents);
    let added = desk.add(&source).expect("added");
    assert_eq!(added.file_name, "song.mp3");
    assert_eq!(added.media_type, "audio/mpeg");
    assert_eq!(added.bytes, contents.len() as u64);
    assert_eq!(desk.opened(&added), contents);
}

#[test]
fn a_file_without_a_byte_sells_too() {
    let mut desk = Desk::new();
    let source = desk.file("nothing", b"");
    let added = desk.add(&source).expect("added");
    assert_eq!(
        (added.bytes, added.media_type.as_str()),
        (0, "application/octet-stream")
    );
    assert_eq!(desk.opened(&added), b"");
}

#[test]
fn the_same_file_gets_another_key_in_every_version() {
    let mut desk = Desk::new();
    let source = desk.file("a.txt", b"text");
    let first = desk.add(&source).expect("added");
    let (input, mut rng) = (input(), SystemRng::new());
    let second = desk
        .shop
        .new_version(first.good, &source, &input, &mut rng, &mut |_| ())
        .expect("added");
    assert_eq!((second.good, second.version), (first.good, 2));
    assert_eq!(second.pt_root, first.pt_root);
    assert_ne!(second.ct_root, first.ct_root);
    assert_eq!(desk.opened(&first), desk.opened(&second));
    let goods = desk.shop.goods().expect("reads");
    assert_eq!(goods.len(), 1);
    assert_eq!((goods[0].version, goods[0].state), (2, SaleState::ForSale));
}

#[test]
fn a_new_version_of_nothing_is_refused() {
    let mut desk = Desk::new();
    let source = desk.file("a.txt", b"text");
    let (input, mut rng) = (input(), SystemRng::new());
    let refused = desk
        .shop
        .new_version(GoodId([1; 16]), &source, &input, &mut rng, &mut |_| ());
    assert!(matches!(
        refused,
        Err(AddGoodError::Shelf(ShelfRefusal::UnknownGood))
    ));
}

#[test]
fn a_folder_is_one_tar_stream_that_names_no_other_place_and_no_owner() {
    let mut desk = Desk::new();
    desk.file("album/b/2.txt", b"two");
    desk.file("album/a.txt", b"one");
    desk.file("album/b.txt", b"");
    fs::create_dir(desk.path("album/empty")).expect("made");
    let added = desk.add(&desk.path("album")).expect("added");
    assert_eq!(added.file_name, "album.tar");
    assert_eq!(added.media_type, "application/x-tar");
    let tar = desk.opened(&added);
    let names: Vec<String> = unpacked(&tar).into_keys().collect();
    let expected = [
        "album",
        "album/a.txt",
        "album/b",
        "album/b.txt",
        "album/b/2.txt",
        "album/empty",
    ];
    let trimmed: Vec<&str> = names
        .iter()
        .map(|name| name.trim_end_matches('/'))
        .collect();
    assert_eq!(trimmed, expected);
    assert_eq!(unpacked(&tar)["album/b/2.txt"].1, b"two");
    let mut archive = tar::Archive::new(tar.as_slice());
    for entry in archive.entries().expect("a tar stream") {
        let entry = entry.expect("an entry");
        let header = entry.header();
        assert_eq!(
            (
                header.uid().expect("a number"),
                header.gid().expect("a number")
            ),
            (0, 0)
        );
        assert_eq!(header.username_bytes().unwrap_or_default(), b"");
    }
}

#[test]
fn the_same_folder_gives_the_same_stream() {
    let mut desk = Desk::new();
    for name in ["album/z", "album/a", "album/m/q"] {
        desk.file(name, name.as_bytes());
    }
    let first = desk.add(&desk.path("album")).expect("added");
    let second = desk.add(&desk.path("album/../album/.")).expect("added");
    assert_eq!(first.pt_root, second.pt_root);
}

#[cfg(unix)]
#[test]
fn a_folder_with_a_symbolic_link_is_refused() {
    let mut desk = Desk::new();
    desk.file("album/a", b"one");
    std::os::unix::fs::symlink("/etc/passwd", desk.path("album/link")).expect("made");
    let refused = desk.add(&desk.path("album"));
    assert!(matches!(
        refused,
        Err(AddGoodError::Folder(FolderError::Link(_)))
    ));
    assert_eq!(desk.ciphertexts(), 0);
}

#[cfg(unix)]
#[test]
fn what_is_neither_file_nor_folder_is_refused() {
    let mut desk = Desk::new();
    assert!(matches!(
        desk.add(Path::new("/dev/null")),
        Err(AddGoodError::NotAFile)
    ));
    assert!(matches!(
        desk.add(&desk.path("missing")),
        Err(AddGoodError::Unreadable(_))
    ));
    assert!(matches!(
        desk.add(Path::new("/proc/..")),
        Err(AddGoodError::NoName)
    ));
}

#[test]
fn a_name_never_leads_out_of_its_folder() {
    let mut desk = Desk::new();
    let source = desk.file("..\\..\\x\n.txt", b"text");
    assert_eq!(desk.add(&source).expect("added").file_name, ".._.._x_.txt");
    let inside = desk.path("album/sub/..");
    desk.file("album/sub/a", b"one");
    assert_eq!(desk.add(&inside).expect("added").file_name, "album.tar");
}

#[test]
fn a_file_that_shrinks_or_grows_while_it_is_read_is_refused_and_leaves_nothing() {
    let mut desk = Desk::new();
    for grows in [true, false] {
        let source = desk.file("log", &vec![7; 5 << 20]);
        let change = |_| {
            let mut file = fs::OpenOptions::new()
                .append(true)
                .open(&source)
                .expect("opens");
            if grows {
                file.write_all(b"more").expect("written");
            } else {
                file.set_len(4 << 20).expect("cut");
            }
        };
        let (input, mut rng) = (input(), SystemRng::new());
        let refused = desk
            .shop
            .add_good(&source, &input, &mut rng, &mut { change });
        assert!(matches!(refused, Err(AddGoodError::Changed)), "{refused:?}");
        assert_eq!(desk.ciphertexts(), 0);
    }
}

#[test]
fn a_file_in_a_folder_that_shrinks_while_it_is_read_is_named() {
    let desk = Desk::new();
    let path = desk.file("album/log", &[7; 5_000]);
    let folder = Folder::list(&desk.path("album"), OsStr::new("album")).expect("listed");
    fs::write(&path, b"less").expect("written");
    let refused = folder.write(io::sink());
    assert!(matches!(refused, Err(FolderError::Changed(changed)) if changed == path));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_called_by_its_name_also_behind_a_tar_stream() {
    let desk = Desk::new();
    let source = desk.file("album/a", &vec![7; 9 << 20]);
    for path in [source, desk.path("album")] {
        let mut full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("opens");
        let source = Source::open(&path).expect("opens");
        let key = Secret::new([1; 16]);
        let refused = source.seal(&mut full, &key, [0; content::SALT_BYTES], &mut |_| ());
        assert!(
            matches!(refused, Err(AddGoodError::DiskFull)),
            "{refused:?}"
        );
    }
}

#[test]
fn price_zero_a_missing_title_and_texts_over_the_limit_are_refused() {
    let mut desk = Desk::new();
    let source = desk.file("a.txt", b"text");
    let mut add = |input: GoodInput| {
        desk.shop
            .add_good(&source, &input, &mut SystemRng::new(), &mut |_| ())
            .map(|_| ())
    };
    let free = "0EUR".parse().expect("an amount");
    assert!(matches!(
        add(GoodInput {
            price: free,
            ..input()
        }),
        Err(AddGoodError::Price)
    ));
    let untitled = GoodInput {
        title: " ".into(),
        ..input()
    };
    assert!(matches!(add(untitled), Err(AddGoodError::Text)));
    for (length, fits) in [(TEXT_BYTES_MAX, true), (TEXT_BYTES_MAX + 1, false)] {
        let description = "x".repeat(length);
        assert_eq!(
            add(GoodInput {
                description,
                ..input()
            })
            .is_ok(),
            fits
        );
    }
}

#[test]
fn what_a_crash_left_is_removed_after_a_day_and_not_before() {
    let mut desk = Desk::new();
    let old = desk.shop.ciphertexts.join("0011.part");
    let young = desk.shop.ciphertexts.join("0022.part");
    let file = File::create(&old).expect("made");
    let age = TEMPORARY_AGE_MAX + Duration::from_secs(60);
    file.set_modified(SystemTime::now() - age).expect("set");
    File::create(&young).expect("made");
    let source = desk.file("a.txt", b"text");
    desk.add(&source).expect("added");
    assert!(!old.exists() && young.exists());
}

/// Runs in a process of its own under nextest, so that no other test counts.
#[cfg(target_os = "linux")]
#[test]
fn a_large_file_is_added_in_constant_memory() {
    let mut desk = Desk::new();
    let path = desk.path("large");
    let bytes = 64 << 20;
    File::create(&path)
        .expect("made")
        .set_len(bytes)
        .expect("sparse");
    let before = peak_memory_kib();
    let added = desk.add(&path).expect("added");
    assert_eq!(added.bytes, bytes);
    let grown = peak_memory_kib() - before;
    assert!(grown < 24 * 1024, "{grown} KiB");
}

#[cfg(target_os = "linux")]
fn peak_memory_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("reads");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|n| n.parse().ok()).expect("a number")
}
