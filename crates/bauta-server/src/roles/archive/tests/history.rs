//! One history: whatever crashes or runs twice, what was shown and promised stays.

use std::fs;

use bauta_crypto::merkle::Frontier;
use bauta_io::{HttpOptions, HttpTransport};
use bauta_proto::{
    codec::Signed,
    log::{
        policy::KnownLog,
        reader::{LogReader, ReadError},
        receipt::Receipt,
    },
    transport::{Request, Transport, call, fetch},
};

use super::{
    super::{endpoints, *},
    world::{NOW, World, one_log, role_seed},
};

/// Commits the locks with these numbers.
async fn fill(
    archive: &Arc<Archive>,
    world: &World,
    numbers: std::ops::Range<u64>,
) -> Vec<Signed<Promise>> {
    let calls =
        numbers.map(|number| endpoints::leaf::leaf(Arc::clone(archive), world.commit(number)));
    futures_util::future::try_join_all(calls)
        .await
        .expect("promised")
}

/// Serves the archive on a port of loopback and reads it from there.
async fn serve(archive: &Arc<Archive>) -> (String, LogReader<HttpTransport>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let router = archive.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let transport = HttpTransport::new(HttpOptions::default()).expect("a client");
    let policy = Arc::clone(archive.policy());
    let log = KnownLog {
        url: Some(url.clone()),
        ..policy.logs()[0].clone()
    };
    let reader = LogReader::new(Arc::new(transport), &log, policy).expect("an address");
    (url, reader)
}

/// Checks everything that the archive shows: all promised leaves, at their places, under a checkpoint of this size.
async fn check_all(archive: &Arc<Archive>, world: &World, promises: &[Signed<Promise>]) {
    let (_, reader) = serve(archive).await;
    let checkpoint = reader.checkpoint().await.expect("a checkpoint");
    let read = reader
        .entries(&Frontier::new(), &checkpoint)
        .await
        .expect("reads");
    assert!(read.complete);
    let hashes: Vec<_> = read.leaves.iter().map(Leaf::hash).collect();
    for promise in promises {
        let index = usize::try_from(promise.body.index).expect("small");
        assert_eq!(hashes.get(index), Some(&promise.body.leaf_hash));
    }
    assert_eq!(world.published().as_deref(), Some(checkpoint.note()));
}

#[tokio::test]
async fn a_receipt_over_http_verifies_and_nothing_altered_does() {
    let world = World::new();
    let archive = world.open();
    let promises = fill(&archive, &world, 0..600).await;
    archive.publish_once().await.expect("publishes");
    let (_, reader) = serve(&archive).await;
    let checkpoint = reader.checkpoint().await.expect("a checkpoint");
    let leaf = |number| world.commit(number).checked_leaf().expect("a leaf");
    let receipt = reader
        .receipt(promises[300].body.index, &leaf(300), &checkpoint)
        .await
        .expect("proves");
    let text = receipt.to_text();
    let policy = archive.policy();
    receipt.check(&leaf(300), policy).expect("checks");
    receipt.check(&leaf(301), policy).expect_err("another leaf");
    for position in 0..text.len() {
        let mut altered = text.clone().into_bytes();
        altered[position] ^= 1;
        let outcome = Receipt::from_text(&altered);
        assert!(outcome.is_err() || outcome.is_ok_and(|r| r.check(&leaf(300), policy).is_err()));
    }
}

#[tokio::test]
async fn an_altered_tile_or_checkpoint_on_disk_is_refused_by_the_reader() {
    let world = World::new();
    let archive = world.open();
    let promises = fill(&archive, &world, 0..600).await;
    archive.publish_once().await.expect("publishes");
    let (_, reader) = serve(&archive).await;
    let checkpoint = reader.checkpoint().await.expect("a checkpoint");
    let flip = |name: &str| {
        let path = world.config.data.join("public").join(name);
        let mut bytes = fs::read(&path).expect("a file");
        bytes[20] ^= 1;
        fs::write(&path, bytes).expect("writes");
    };
    flip("tile/0/001");
    let number = promises
        .iter()
        .position(|p| p.body.index == 256)
        .expect("is there");
    let leaf = world.commit(number as u64).checked_leaf().expect("a leaf");
    let refused = reader
        .receipt(256, &leaf, &checkpoint)
        .await
        .expect_err("altered");
    assert!(matches!(refused, ReadError::Inconsistent(_)), "{refused:?}");
    flip("tile/entries/001");
    let refused = reader
        .entries(&Frontier::new(), &checkpoint)
        .await
        .expect_err("altered");
    assert!(matches!(refused, ReadError::Inconsistent(_)), "{refused:?}");
    flip("checkpoint");
    let refused = reader.checkpoint().await.expect_err("altered");
    assert!(matches!(refused, ReadError::Checkpoint(_)), "{refused:?}");
}

#[tokio::test]
async fn a_commit_over_http_is_promised_and_files_carry_their_types() {
    let world = World::new();
    let archive = world.open();
    let (url, _) = serve(&archive).await;
    let transport = HttpTransport::new(HttpOptions::default()).expect("a client");
    let promise = call::<SubmitLeaf, _>(&transport, &url, &world.commit(1))
        .await
        .expect("promised");
    promise.verified(&archive.log_vkey().key).expect("signed");
    archive.publish_once().await.expect("publishes");
    let policy = fetch(
        &transport,
        Request::get(format!("{url}{POLICY_PATH}")),
        4_096,
    )
    .await
    .expect("a policy");
    assert_eq!(policy, archive.policy().text().as_bytes());
    for (path, status) in [
        ("/checkpoint", 200),
        ("/tile/0/000.p/1", 200),
        ("/tile/0/000", 404),
        ("/tile/0/..%2Farchive.db", 404),
    ] {
        let response = transport
            .send(Request::get(format!("{url}{path}")))
            .await
            .expect("an answer");
        assert_eq!(response.status, status, "{path}");
    }
}

#[tokio::test]
async fn files_on_disk_verify_with_an_independent_reader_of_tiles() {
    let world = World::new();
    let archive = world.open();
    let mut size = 0;
    for grown in [1, 255, 256, 257, 511, 700, 1_024] {
        fill(&archive, &world, size..grown).await;
        archive.publish_once().await.expect("publishes");
        size = grown;
        independent::check(&world.config.data.join("public"), grown);
    }
    let partials = world.config.data.join("public/tile/0/000.p");
    assert!(!partials.exists(), "dropped when the tile was full");
}

#[tokio::test]
async fn a_crash_between_any_two_steps_of_publication_neither_forks_nor_loses() {
    for crash_after in 0..=3 {
        let world = World::new();
        let archive = world.open();
        let mut promises = fill(&archive, &world, 0..300).await;
        archive.publish_once().await.expect("publishes");
        let before = world.published().expect("published");
        promises.extend(fill(&archive, &world, 300..700).await);
        world.set_clock(NOW + 1);
        step(&archive, crash_after);
        drop(archive);

        let archive = world.open();
        let (_, reader) = serve(&archive).await;
        let shown = reader.checkpoint().await.expect("a checkpoint");
        assert_eq!(
            shown.note() == before,
            crash_after < 3,
            "shown only as the last step"
        );
        promises.extend(fill(&archive, &world, 700..800).await);
        world.set_clock(NOW + 2);
        archive.publish_once().await.expect("publishes");
        let newer = reader.checkpoint().await.expect("a checkpoint");
        assert_eq!(newer.size(), 800);
        reader.extends(&shown, &newer).await.expect("one history");
        check_all(&archive, &world, &promises).await;
        independent::check(&world.config.data.join("public"), 800);
    }
}

/// Does the first steps of a round of publication, as if the archive crashed then.
fn step(archive: &Archive, steps: u32) {
    let log = one_log(archive);
    let mut publisher = log.publication.publisher.lock().expect("no panic");
    if steps == 0 {
        return;
    }
    let checkpoint = publisher.sign().expect("signs");
    if steps >= 2 {
        publisher.write_tiles(&checkpoint).expect("writes");
    }
    if steps >= 3 {
        publisher
            .publish(&checkpoint.note, None)
            .expect("publishes");
    }
}

#[tokio::test]
async fn files_that_were_deleted_or_never_written_are_made_again_from_the_store() {
    let world = World::new();
    let archive = world.open();
    let promises = fill(&archive, &world, 0..700).await;
    archive.publish_once().await.expect("publishes");
    drop(archive);
    let public = world.config.data.join("public");
    for lost in [
        "tile/0/001",
        "tile/entries/000",
        "tile/1/000.p/2",
        "tile/0/002.p/188",
    ] {
        let path = public.join(lost);
        let bytes = fs::read(&path).expect("is there");
        fs::remove_file(&path).expect("deletes");
        world.open().publish_once().await.expect("publishes");
        assert_eq!(fs::read(&path).expect("made again"), bytes, "{lost}");
    }
    fs::remove_dir_all(&public).expect("deletes");
    let archive = world.open();
    archive.publish_once().await.expect("publishes");
    check_all(&archive, &world, &promises).await;
}

#[tokio::test]
async fn nothing_is_shown_when_the_files_do_not_make_up_the_tree() {
    let world = World::new();
    let archive = world.open();
    fill(&archive, &world, 0..10).await;
    let log = one_log(&archive);
    {
        let mut publisher = log.publication.publisher.lock().expect("no panic");
        let checkpoint = publisher.sign().expect("signs");
        publisher.write_tiles(&checkpoint).expect("writes");
        fs::write(world.config.data.join("public/tile/0/000.p/10"), [0; 320]).expect("damages");
        let refused = publisher.write_tiles(&checkpoint).expect_err("damaged");
        assert!(matches!(refused, PublishError::Tiles(_)), "{refused:?}");
    }
    archive.publish_once().await.expect_err("damaged");
    assert!(world.published().is_none() && archive.ready().is_err());
}

#[tokio::test]
async fn an_idle_log_is_cosigned_again_and_its_time_never_goes_back() {
    let world = World::new();
    let archive = world.open();
    archive
        .publish_once()
        .await
        .expect("publishes the empty tree");
    let (_, reader) = serve(&archive).await;
    let line = |time| move |cosigned: Timestamp| cosigned >= Timestamp(time);
    let at_least = async |time| {
        let checkpoint = reader.checkpoint().await.expect("a checkpoint");
        checkpoint.checked().quorum_within(line(time))
    };
    assert!(at_least(NOW).await && !at_least(NOW + 1).await);
    let first = world.published();
    archive.publish_once().await.expect("publishes");
    assert_eq!(world.published(), first, "the same second, the same bytes");
    world.set_clock(NOW + 100);
    archive.publish_once().await.expect("publishes");
    assert!(at_least(NOW + 100).await);
    world.set_clock(NOW + 5);
    fill(&archive, &world, 0..1).await;
    archive.publish_once().await.expect("publishes");
    assert!(
        at_least(NOW + 100).await,
        "a leaf that came later must not look earlier"
    );
}

#[tokio::test]
async fn two_archives_on_one_store_keep_one_history() {
    let world = World::new();
    let (first, second) = (world.open(), world.open());
    let mut promises = fill(&first, &world, 0..10).await;
    first.publish_once().await.expect("publishes");
    for number in 10..40 {
        let archive = if number % 2 == 0 { &first } else { &second };
        let commit = || endpoints::leaf::leaf(Arc::clone(archive), world.commit(number));
        let promise = match commit().await {
            Ok(promise) => promise,
            Err(overtaken) => {
                assert!(overtaken.is_temporary());
                commit().await.expect("goes on behind the other")
            }
        };
        promises.push(promise);
        world.set_clock(NOW + number);
        archive.publish_once().await.expect("publishes");
    }
    let mut indices: Vec<u64> = promises.iter().map(|p| p.body.index).collect();
    indices.sort_unstable();
    assert_eq!(indices, (0..40).collect::<Vec<_>>());
    check_all(&second, &world, &promises).await;
}

#[tokio::test]
async fn a_store_put_back_to_an_old_state_does_not_start() {
    let world = World::new();
    let archive = world.open();
    fill(&archive, &world, 0..5).await;
    archive.publish_once().await.expect("publishes");
    drop(archive);
    for file in ["archive.db", "archive.db-wal", "archive.db-shm"] {
        let _absent = fs::remove_file(world.config.data.join(file));
    }
    assert!(matches!(
        world.try_open(),
        Err(ArchiveStartError::StoreBehind)
    ));
}

#[tokio::test]
async fn a_folder_of_another_origin_or_key_does_not_start() {
    let mut world = World::new();
    world.open().publish_once().await.expect("publishes");
    let other = role_seed(&world.folder, 8);
    let started = Archive::open(&world.config, other, &world.world());
    assert!(matches!(started, Err(ArchiveStartError::OtherLog)));
    world.config.origin = "log.example/other".to_owned();
    assert!(matches!(world.try_open(), Err(ArchiveStartError::OtherLog)));
}

#[test]
fn a_configuration_out_of_bounds_does_not_start() {
    let with = |change: fn(&mut ArchiveConfig)| {
        let mut world = World::new();
        change(&mut world.config);
        world.try_open().map(|_| ())
    };
    assert!(matches!(
        with(|c| c.banks.clear()),
        Err(ArchiveStartError::NoBank)
    ));
    assert!(matches!(
        with(|c| c.batch_max = 0),
        Err(ArchiveStartError::Batch)
    ));
    assert!(matches!(
        with(|c| c.checkpoint_interval_ms = 9),
        Err(ArchiveStartError::Interval)
    ));
    assert!(with(|c| c.checkpoint_interval_ms = 10).is_ok());
    assert!(matches!(
        with(|c| c.origin = "a b".into()),
        Err(ArchiveStartError::Origin(_))
    ));
    assert!(matches!(
        with(|c| c.url = None),
        Err(ArchiveStartError::NoAddress)
    ));
    assert!(matches!(
        with(|c| c.url = Some("http://a\nquorum none".into())),
        Err(ArchiveStartError::Address(_))
    ));
}

#[tokio::test]
async fn jobs_publish_at_once_and_a_last_time_at_shutdown() {
    let world = World::new();
    let archive = world.open();
    let (stop, shutdown) = watch::channel(false);
    let jobs = tokio::spawn(Arc::clone(&archive).run_jobs(shutdown));
    while archive.ready().is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let promises = fill(&archive, &world, 0..3).await;
    stop.send(true).expect("the jobs listen");
    jobs.await.expect("the jobs end");
    check_all(&archive, &world, &promises).await;
}

/// Verifies a published log with the readers of the `tlog_tiles` and `signed_note` libraries alone.
mod independent {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use tlog_tiles::{
        checkpoint::Checkpoint,
        tile::{Tile, TileHashReader, TileReader},
        tlog::{self, HashReader},
    };

    struct Files(PathBuf);

    impl TileReader for Files {
        fn height(&self) -> u8 {
            8
        }

        fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog::Error> {
            let read = |tile: &Tile| fs::read(self.0.join(path(tile))).expect("the tile is there");
            Ok(tiles.iter().map(read).collect())
        }

        fn save_tiles(&self, _tiles: &[Tile], _data: &[Vec<u8>]) {}
    }

    /// tlog-tiles leaves out the height that the library's own layout has.
    fn path(tile: &Tile) -> String {
        tile.path().replacen("tile/8/", "tile/", 1)
    }

    pub(super) fn check(public: &Path, size: u64) {
        let note = fs::read_to_string(public.join("checkpoint")).expect("a checkpoint");
        let (text, _) = note.split_once("\n\n").expect("a note");
        let checkpoint = Checkpoint::from_bytes(format!("{text}\n").as_bytes()).expect("parses");
        assert_eq!(checkpoint.size(), size);
        let files = Files(public.to_owned());
        let reader = TileHashReader::new(size, *checkpoint.hash(), &files);
        let indices: Vec<u64> = (0..size).map(|n| tlog::stored_hash_index(0, n)).collect();
        let hashes = reader
            .read_hashes(&indices)
            .expect("every tile leads to the root");
        let entries = entries(public, size);
        let leaves: Vec<_> = entries
            .iter()
            .map(|entry| tlog::record_hash(entry))
            .collect();
        assert_eq!(hashes, leaves);
    }

    fn entries(public: &Path, size: u64) -> Vec<Vec<u8>> {
        let mut entries = Vec::new();
        for bundle in 0..size.div_ceil(256) {
            let width = (size - bundle * 256).min(256);
            let partial = if width < 256 {
                format!(".p/{width}")
            } else {
                String::new()
            };
            let path = public.join(format!("tile/entries/{bundle:03}{partial}"));
            let mut bytes = fs::read(path).expect("the bundle is there").into_iter();
            while let (Some(high), Some(low)) = (bytes.next(), bytes.next()) {
                let length = usize::from(u16::from_be_bytes([high, low]));
                entries.push(bytes.by_ref().take(length).collect());
            }
        }
        entries
    }
}
