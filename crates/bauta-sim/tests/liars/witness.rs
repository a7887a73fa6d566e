//! An archive that wants a witness to vouch for two histories, or for another time.

use std::sync::Arc;

use bauta_crypto::{
    merkle::{self, Frontier, TileSource},
    note::{self, Checkpoint, LogSigner},
};
use bauta_proto::{
    log::witness::{ADD_CHECKPOINT_PATH, AddCheckpoint},
    time::Seconds,
    transport::{Method, Request},
};
use bauta_server::{
    config::HttpConfig,
    roles::witness::{Witness, WitnessConfig},
};

use crate::{
    purse::key,
    town::{ORIGIN, Town, foiled},
};

const WITNESS: &str = "http://witness.example";

/// A log of hashes, as long as a tile.
#[derive(Clone)]
struct Leaves(Vec<merkle::Hash>);

impl TileSource for Leaves {
    fn tile(&self, level: u8, index: u64, width: u16) -> Option<Vec<u8>> {
        let leaves = self.0.iter().take(usize::from(width));
        (level == 0 && index == 0).then(|| leaves.flatten().copied().collect())
    }
}

impl Leaves {
    fn of(numbers: &[u8]) -> Self {
        Self(numbers.iter().map(|n| merkle::leaf_hash(&[*n])).collect())
    }

    fn checkpoint(&self) -> Checkpoint {
        let mut frontier = Frontier::new();
        self.0.iter().for_each(|leaf| frontier.append(*leaf));
        Checkpoint {
            origin: ORIGIN.to_owned(),
            size: frontier.size(),
            root: frontier.root(),
        }
    }

    /// What a log sends that says that the witness knows `old_size` leaves.
    fn request(&self, old_size: u64) -> AddCheckpoint {
        let checkpoint = self.checkpoint();
        let (size, root) = (checkpoint.size, checkpoint.root);
        let proof = match old_size {
            0 => Vec::new(),
            _ if old_size == size => Vec::new(),
            _ => merkle::prove_consistency(old_size, size, root, self).expect("proves"),
        };
        let signer = LogSigner::new(ORIGIN, &key(77)).expect("a name");
        AddCheckpoint {
            old_size,
            proof,
            checkpoint: note::sign_checkpoint(&checkpoint, &signer).expect("signs"),
        }
    }
}

fn witness(town: &Town) -> Arc<Witness> {
    let signer = LogSigner::new(ORIGIN, &key(77)).expect("a name");
    let config = WitnessConfig {
        http: HttpConfig::new(([127, 0, 0, 1], 0).into()),
        data: town.folder.path().join("witness"),
        key_file: town.folder.path().join("witness.key"),
        name: "witness.example".into(),
        logs: vec![signer.vkey().clone()],
        log_policy: None,
    };
    let witness = Witness::open(&config, &town.seed("archive"), town.clock.clone());
    let witness = witness.expect("opens");
    town.ways.place(WITNESS, witness.router());
    witness
}

/// The time of the cosignature, if there is one.
async fn cosigned(town: &Town, request: &AddCheckpoint) -> Option<u64> {
    let request = Request {
        method: Method::Post,
        url: format!("{WITNESS}{ADD_CHECKPOINT_PATH}"),
        media_type: None,
        body: request.to_text().into_bytes(),
        resume: None,
    };
    let answer = town.ways.ask(&request).await.expect("answers");
    if answer.status != 200 {
        return None;
    }
    // `— name base64(key id(4) || time(8) || signature)`
    let line = String::from_utf8(answer.body).expect("text");
    let signature = line.trim_end().rsplit(' ').next().expect("a signature");
    let bytes = data_encoding::BASE64
        .decode(signature.as_bytes())
        .expect("base64");
    Some(u64::from_be_bytes(bytes[4..12].try_into().expect("eight")))
}

/// A witness that cosigns without consistency would vouch for two histories.
#[tokio::test]
async fn a_second_history_cosigned() {
    let town = Town::new().await;
    let _witness = witness(&town);
    let first = Leaves::of(&[1, 2]);
    assert!(cosigned(&town, &first.request(0)).await.is_some(), "honest");
    let fork = Leaves::of(&[1, 3, 4]);
    foiled(
        cosigned(&town, &fork.request(2)).await.is_none(),
        "two histories",
    );
}

/// The same with trees of one size.
#[tokio::test]
async fn another_tree_of_the_same_size() {
    let town = Town::new().await;
    let _witness = witness(&town);
    let first = Leaves::of(&[1, 2]);
    assert!(cosigned(&town, &first.request(0)).await.is_some(), "honest");
    let fork = Leaves::of(&[1, 3]);
    foiled(
        cosigned(&town, &fork.request(2)).await.is_none(),
        "two histories",
    );
}

/// Clock manipulation: after a late cosignature the witness's clock is set back, and what came late would count as early.
#[tokio::test]
async fn a_witness_whose_clock_goes_back() {
    let town = Town::new().await;
    let _witness = witness(&town);
    let first = cosigned(&town, &Leaves::of(&[1, 2]).request(0)).await;
    let first = first.expect("honest");
    town.set_clock(town.now().minus(Seconds(600)));
    let second = cosigned(&town, &Leaves::of(&[1, 2, 3]).request(2)).await;
    foiled(
        second.is_none_or(|time| time >= first),
        "a later tree at an earlier time",
    );
}
