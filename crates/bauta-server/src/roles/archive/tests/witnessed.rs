//! The log and its witnesses: real ones of this program over HTTP, and ones that are slow, dead or wrong.

use std::{fs, path::Path, sync::Mutex, time::Instant};

use axum::{
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::post,
};
use bauta_crypto::note::{CosignerSigner, LogSigner, open_checkpoint};
use bauta_proto::{
    log::witness::{ADD_CHECKPOINT_PATH, AddCheckpoint, SIZE_MEDIA_TYPE},
    transport::archive::SubmitLeaf,
};

use super::{
    super::*,
    world::{NOW, World, key, one_log},
};

/// What a witness made for a test does.
#[derive(Clone)]
pub(super) enum Deed {
    /// Cosigns whatever it gets, after this time.
    After(Duration),
    /// Cosigns whatever it gets, and says that it is this moment.
    At(u64),
    /// Says that it has cosigned this many leaves.
    Has(u64),
    /// Answers with this status.
    Status(u16),
    /// Answers 200 with these lines.
    Lines(&'static str),
}

/// A witness with the key of this number; checks nothing.
pub(super) fn cosigner(number: u8) -> CosignerSigner {
    CosignerSigner::new(&format!("witness.example/w{number}"), &key(number)).expect("a name")
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// A witness that does as it is told, and may be told anew.
pub(super) async fn witness(number: u8, deed: &Arc<Mutex<Deed>>, log: &Vkey) -> String {
    let (deed, log) = (Arc::clone(deed), log.clone());
    let answer = async move |body: String| {
        let deed = deed.lock().expect("no panic").clone();
        match deed {
            Deed::After(time) => {
                tokio::time::sleep(time).await;
                cosigned((number, NOW), &body, &log).into_response()
            }
            Deed::At(time) => cosigned((number, time), &body, &log).into_response(),
            Deed::Has(size) => {
                let headers = [(CONTENT_TYPE, SIZE_MEDIA_TYPE)];
                (StatusCode::CONFLICT, headers, format!("{size}\n")).into_response()
            }
            Deed::Status(status) => StatusCode::from_u16(status)
                .expect("a status")
                .into_response(),
            Deed::Lines(lines) => lines.into_response(),
        }
    };
    serve(Router::new().route(ADD_CHECKPOINT_PATH, post(answer))).await
}

fn cosigned((number, time): (u8, u64), body: &str, log: &Vkey) -> String {
    let request = AddCheckpoint::from_text(body.as_bytes()).expect("a request");
    let opened = open_checkpoint(&request.checkpoint, log).expect("signed by the log");
    opened
        .cosignature(&cosigner(number), time)
        .expect("cosigned")
}

/// A world whose log has three witnesses, of which two are a quorum.
struct Witnessed {
    world: World,
    deeds: [Arc<Mutex<Deed>>; 3],
}

impl Witnessed {
    async fn new() -> Self {
        let mut world = World::new();
        let log = world.open().log_vkey().clone();
        let deeds = [(); 3].map(|()| Arc::new(Mutex::new(Deed::After(Duration::ZERO))));
        let mut policy = format!("log {log} http://log.example\n");
        for (number, deed) in (1..).zip(&deeds) {
            let url = witness(number, deed, &log).await;
            let vkey = cosigner(number).vkey().clone();
            policy += &format!("witness w{number} {vkey} {url}\n");
        }
        policy += "group two 2 w1 w2 w3\nquorum two\n";
        world.config.log_policy = Some(crate::config::PolicySource(policy));
        Self { world, deeds }
    }

    fn does(&self, number: usize, deed: Deed) {
        *self.deeds[number - 1].lock().expect("no panic") = deed;
    }

    /// Which witnesses have cosigned what the log shows, and its size.
    fn shown(&self) -> (u64, Vec<u8>) {
        let note = self.world.published().expect("published");
        let log = self.world.open().log_vkey().clone();
        let opened = open_checkpoint(&note, &log).expect("signed");
        let by = (1..=3).filter(|n| opened.cosignature_time(cosigner(*n).vkey()).is_some());
        (opened.checkpoint.size, by.collect())
    }
}

async fn fill(archive: &Arc<Archive>, world: &World, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let submission = world.commit(number);
        endpoints::leaf::leaf(Arc::clone(archive), submission)
            .await
            .expect("promised");
    }
}

#[tokio::test]
async fn a_checkpoint_is_shown_with_the_cosignatures_of_a_quorum_and_never_without() {
    let test = Witnessed::new().await;
    let archive = test.world.open();
    archive.publish_once().await.expect("published");
    assert_eq!(test.shown(), (0, vec![1, 2, 3]));
    archive.ready().expect("ready");
    fill(&archive, &test.world, 0..300).await;
    test.does(2, Deed::Status(503));
    archive
        .publish_once()
        .await
        .expect("published by the other two");
    assert_eq!(test.shown(), (300, vec![1, 3]));
    fill(&archive, &test.world, 300..310).await;
    test.does(3, Deed::Lines("\u{2014} witness.example/w3 AAAAAAAAAAA=\n"));
    let refused = archive.publish_once().await.expect_err("one is not enough");
    let told = refused.to_string();
    assert!(
        told.contains("w2") && told.contains("w3") && !told.contains("w1"),
        "{told}"
    );
    assert_eq!(
        test.shown(),
        (300, vec![1, 3]),
        "what was shown before stays"
    );
    assert!(
        archive
            .ready()
            .expect_err("not ready")
            .contains("witnesses")
    );
    test.does(2, Deed::After(Duration::ZERO));
    archive.publish_once().await.expect("goes on by itself");
    assert_eq!(test.shown(), (310, vec![1, 2]));
    archive.ready().expect("ready");
}

#[tokio::test]
async fn a_slow_witness_holds_up_publication_no_longer_than_its_quorum_needs() {
    let test = Witnessed::new().await;
    let archive = test.world.open();
    archive.publish_once().await.expect("published");
    test.does(2, Deed::After(Duration::from_millis(700)));
    for round in 1..4 {
        test.world.set_clock(NOW + round);
        let begun = Instant::now();
        archive
            .publish_once()
            .await
            .expect("published by the other two");
        let took = begun.elapsed();
        assert!(took < Duration::from_millis(600), "{took:?}");
        assert_eq!(test.shown().1, [1, 3]);
    }
    test.does(3, Deed::Status(500));
    test.world.set_clock(NOW + 9);
    tokio::time::sleep(Duration::from_millis(900)).await;
    archive
        .publish_once()
        .await
        .expect("waits for the slow one, which is needed now");
    assert_eq!(test.shown().1, [1, 2]);
}

#[tokio::test]
async fn a_witness_that_is_ahead_of_the_store_stops_the_log_before_anything_new_is_said() {
    let test = Witnessed::new().await;
    let archive = test.world.open();
    archive.publish_once().await.expect("published");
    fill(&archive, &test.world, 0..5).await;
    archive.publish_once().await.expect("published");
    drop(archive);
    test.does(1, Deed::Has(9));
    let archive = test.world.open();
    let commit =
        async |number| endpoints::leaf::leaf(Arc::clone(&archive), test.world.commit(number)).await;
    let refused = commit(7)
        .await
        .expect_err("not before a quorum has confirmed the store");
    assert_eq!(refused.kind, ProblemKind::LogHalted);
    let stopped = archive.publish_once().await.expect_err("stopped");
    let PublishError::Complaint(complaint) = stopped else {
        panic!("{stopped:?}");
    };
    let witness = "w1".to_owned();
    let (cosigned, signed) = (9, 5);
    assert_eq!(
        complaint,
        Complaint::StoreBehind {
            witness,
            cosigned,
            signed
        }
    );
    assert!(complaint.to_string().contains("old copy"));
    assert!(archive.ready().expect_err("not ready").contains("stopped"));
    commit(7).await.expect_err("no new leaf");
    let again = commit(3)
        .await
        .expect("what was promised is promised again");
    assert_eq!(again.body.index, 3);
    test.does(1, Deed::After(Duration::ZERO));
    archive
        .publish_once()
        .await
        .expect_err("until it is started again");
    assert_eq!(test.shown().0, 5);
    assert_eq!(test.world.store_head(), 5, "nothing was signed");
}

#[tokio::test]
async fn a_witness_with_another_history_stops_the_log_unless_it_is_disbelieved() {
    for deed in [Deed::Status(422), Deed::Has(0)] {
        let mut test = Witnessed::new().await;
        test.does(2, deed);
        let archive = test.world.open();
        let stopped = archive.publish_once().await.expect_err("stopped");
        assert!(
            matches!(
                stopped,
                PublishError::Complaint(Complaint::OtherHistory { .. })
            ),
            "{stopped:?}"
        );
        test.world.config.disbelieved_witnesses = vec!["w2".to_owned()];
        let archive = test.world.open();
        archive
            .publish_once()
            .await
            .expect("published by the others");
        assert_eq!(test.shown().1, [1, 3]);
    }
}

#[tokio::test]
async fn a_lying_witness_does_not_stop_a_log_that_a_quorum_has_confirmed() {
    let test = Witnessed::new().await;
    let archive = test.world.open();
    archive.publish_once().await.expect("confirmed");
    for lie in [Deed::Has(9_000), Deed::Status(422)] {
        test.does(1, lie);
        let head = test.world.store_head();
        fill(&archive, &test.world, head..head + 1).await;
        archive.publish_once().await.expect("published by the rest");
        archive.ready().expect("ready");
        assert_eq!(test.shown(), (head + 1, vec![2, 3]));
    }
}

#[tokio::test]
async fn a_crash_at_any_step_between_signing_and_showing_neither_forks_nor_loses_nor_stops_the_log()
{
    for crash_after in 0..=3 {
        let test = Real::new().await;
        let archive = test.world.open();
        archive.publish_once().await.expect("published");
        fill(&archive, &test.world, 0..300).await;
        archive.publish_once().await.expect("published");
        fill(&archive, &test.world, 300..700).await;
        test.crash(&archive, crash_after).await;
        drop(archive);
        let archive = test.world.open();
        archive.publish_once().await.expect("published");
        fill(&archive, &test.world, 700..705).await;
        test.world.set_clock(NOW + 5);
        archive.publish_once().await.expect("published");
        assert_eq!(test.shown_size(), 705, "after {crash_after}");
    }
}

#[tokio::test]
async fn a_store_put_back_to_an_old_copy_says_nothing_new_though_its_folder_was_put_back_too() {
    let test = Real::new().await;
    let archive = test.world.open();
    archive.publish_once().await.expect("published");
    fill(&archive, &test.world, 0..10).await;
    archive.publish_once().await.expect("published");
    drop(archive);
    let (data, copy) = (
        test.world.config.data.clone(),
        test.world.folder.path().join("copy"),
    );
    copy_folder(&data, &copy);
    let archive = test.world.open();
    archive.publish_once().await.expect("published");
    fill(&archive, &test.world, 10..20).await;
    archive.publish_once().await.expect("published");
    drop(archive);
    fs::remove_dir_all(&data).expect("deletes");
    copy_folder(&copy, &data);
    let archive = test.world.open();
    let stopped = archive.publish_once().await.expect_err("stopped");
    assert!(
        matches!(
            stopped,
            PublishError::Complaint(Complaint::StoreBehind { .. })
        ),
        "{stopped:?}"
    );
    fs::remove_dir_all(&data).expect("deletes");
    let archive = test.world.open();
    let stopped = archive
        .publish_once()
        .await
        .expect_err("a lost store is an old copy, too");
    assert!(
        matches!(
            stopped,
            PublishError::Complaint(Complaint::StoreBehind { .. })
        ),
        "{stopped:?}"
    );
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("makes");
    for entry in fs::read_dir(from).expect("reads") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copies");
        }
    }
}

/// A log under the eyes of two witnesses of this program, both needed.
struct Real {
    world: World,
}

impl Real {
    async fn new() -> Self {
        let mut world = World::new();
        let log = world.open().log_vkey().clone();
        let mut policy = format!("log {log} http://log.example\n");
        for number in 1..=2 {
            let witness = crate::testing::witness(
                &world.folder.path().join(format!("w{number}")),
                log.clone(),
                world.clock.clone(),
            );
            let url = serve(witness.router()).await;
            policy += &format!("witness w{number} {} {url}\n", witness.vkey());
        }
        policy += "group both all w1 w2\nquorum both\n";
        world.config.log_policy = Some(crate::config::PolicySource(policy));
        Self { world }
    }

    /// Does the first steps of a round: sign, write the tiles, have it cosigned by one, by all.
    async fn crash(&self, archive: &Archive, steps: u32) {
        let signed = {
            let log = one_log(archive);
            let mut publisher = log.publication.publisher.lock().expect("no panic");
            if steps == 0 {
                return;
            }
            let signed = publisher.sign().expect("signs");
            if steps >= 2 {
                publisher.write_tiles(&signed).expect("writes");
            }
            signed
        };
        if steps >= 3 {
            let cosigned = one_log(archive).publication.cosigned(&signed).await;
            cosigned.expect("cosigned, and never shown");
        }
    }

    fn shown_size(&self) -> u64 {
        let note = self.world.published().expect("published");
        let log = self.world.open().log_vkey().clone();
        open_checkpoint(&note, &log)
            .expect("signed")
            .checkpoint
            .size
    }
}

#[tokio::test]
async fn a_policy_that_is_not_about_this_log_or_decides_nothing_does_not_start() {
    let mut test = Witnessed::new().await;
    let policy = test.world.config.log_policy.clone().expect("set").0;
    let mut with = |text: String| {
        test.world.config.log_policy = Some(crate::config::PolicySource(text));
        test.world.try_open().map(|_| ())
    };
    let other = cosigner(9);
    let other_log = LogSigner::new("log.example/other", &key(9)).expect("a name");
    let first = policy.lines().next().expect("a log");
    let text = policy.replace(first, &format!("log {} http://x", other_log.vkey()));
    assert!(matches!(with(text), Err(ArchiveStartError::NotListed(_))));
    let text = policy.replace("group two 2", "group two any");
    assert!(matches!(with(text), Err(ArchiveStartError::Policy(_))));
    let text = policy.replace("quorum two", "quorum none");
    assert!(matches!(with(text), Err(ArchiveStartError::Policy(_))));
    assert!(with(policy + &format!("witness w9 {}\n", other.vkey())).is_ok());
}

#[tokio::test]
async fn a_leaf_sent_over_http_before_the_store_is_confirmed_is_refused_for_a_while() {
    let test = Witnessed::new().await;
    let archive = test.world.open();
    let url = serve(archive.router()).await;
    let commit = test.world.commit(1);
    let send = async || {
        bauta_proto::transport::call::<SubmitLeaf, _>(&*test.world.transport, &url, &commit).await
    };
    let refused = send().await.expect_err("not yet");
    assert!(refused.is_temporary());
    archive.publish_once().await.expect("published");
    send().await.expect("promised");
}
