//! Everything that is read and is not a message: what decodes is written again as it was, or as something that decodes to
//! the same.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, sync::LazyLock};

use bauta_crypto::{
    note::{self, Checkpoint, CosignerSigner, LogSigner, Vkey},
    secret::Secret,
    sign::SigningKey,
    storage,
};
use bauta_proto::{
    catalogue::Catalogue,
    ids::AccountId,
    log::{
        policy::{Policy, Shard},
        receipt::Receipt,
        witness::{AddCheckpoint, Answer, OpenedRequest},
    },
    money::Money,
    problem::Problem,
};
use bauta_server::{
    config::{Config, RoleName, template},
    keys::RoleSeed,
};
use bauta_wallet::{
    Protection, PurchaseId,
    file_name::safe_file_name,
    key,
    seed::Seed,
    shop::{find_listing, parse_good_address},
};

use crate::{Target, corpus};

/// The target: the first byte selects the reader.
pub const TARGET: Target = Target {
    name: "texts",
    run,
    seeds,
};

/// Something that reads bytes, and bytes for it to begin with.
struct Reader {
    read: fn(&[u8]),
    seeds: fn() -> Vec<Vec<u8>>,
}

const READERS: [Reader; 13] = [
    Reader {
        read: policy,
        seeds: policies,
    },
    Reader {
        read: receipt,
        seeds: notes,
    },
    Reader {
        read: checkpoint,
        seeds: notes,
    },
    Reader {
        read: signed_checkpoint,
        seeds: notes,
    },
    Reader {
        read: add_checkpoint,
        seeds: witness_requests,
    },
    Reader {
        read: vkey,
        seeds: notes,
    },
    Reader {
        read: problem,
        seeds: problems,
    },
    Reader {
        read: catalogue,
        seeds: catalogues,
    },
    Reader {
        read: config,
        seeds: configs,
    },
    Reader {
        read: role_key,
        seeds: keys,
    },
    Reader {
        read: wallet_key,
        seeds: keys,
    },
    Reader {
        read: words,
        seeds: all_words,
    },
    Reader {
        read: short_texts,
        seeds: all_words,
    },
];

fn run(data: &[u8]) {
    if let Some((number, bytes)) = data.split_first() {
        (READERS[usize::from(*number) % READERS.len()].read)(bytes);
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let readers = READERS.iter().enumerate();
    readers
        .flat_map(|(number, reader)| {
            let seeds = (reader.seeds)();
            seeds
                .into_iter()
                .map(move |seed| corpus::selected(number, &seed))
        })
        .collect()
}

/// Hands on what is text.
fn text(bytes: &[u8], read: impl FnOnce(&str)) {
    if let Ok(text) = str::from_utf8(bytes) {
        read(text);
    }
}

fn policy(bytes: &[u8]) {
    text(bytes, |text| {
        let Ok(policy) = text.parse::<Policy>() else {
            return;
        };
        assert_eq!(policy.text(), text, "a policy is its text");
        let _ = (policy.policy_id(), policy.needs_cosignatures());
        let _ = policy.check(&checkpoint_of(ORIGIN, 7));
    });
}

fn receipt(bytes: &[u8]) {
    if let Ok(receipt) = Receipt::from_text(bytes) {
        assert_eq!(
            receipt.to_text().as_bytes(),
            bytes,
            "a receipt has one form"
        );
    }
}

fn checkpoint(bytes: &[u8]) {
    text(bytes, |text| {
        if let Ok(checkpoint) = Checkpoint::parse(text) {
            assert_eq!(checkpoint.text(), text, "a checkpoint has one form");
        }
    });
}

const ORIGIN: &str = "log.example/fuzz";

static LOG: LazyLock<LogSigner> = LazyLock::new(|| {
    let key = SigningKey::from_seed(&Secret::new([1; 32]));
    LogSigner::new(ORIGIN, &key).expect("a name")
});

static COSIGNER: LazyLock<CosignerSigner> = LazyLock::new(|| {
    let key = SigningKey::from_seed(&Secret::new([2; 32]));
    CosignerSigner::new("witness.example/fuzz", &key).expect("a name")
});

/// A checkpoint of the log with this origin, signed and cosigned.
fn checkpoint_of(origin: &str, size: u64) -> String {
    let checkpoint = Checkpoint {
        origin: origin.to_owned(),
        size,
        root: [3; 32],
    };
    let signed = note::sign_checkpoint(&checkpoint, &LOG).expect("of the log");
    note::cosign(&signed, &COSIGNER, 1_800_000_000).expect("cosigned")
}

/// Whatever is added to a checkpoint that verifies, what was signed stays what is read.
fn signed_checkpoint(bytes: &[u8]) {
    text(bytes, |text| {
        let _ = note::open_checkpoint(text, LOG.vkey());
        let _ = note::cosign(text, &COSIGNER, 5);
        let longer = checkpoint_of(ORIGIN, 7) + text;
        if let Ok(opened) = note::open_checkpoint(&longer, LOG.vkey()) {
            assert_eq!(
                (opened.checkpoint.size, opened.checkpoint.root),
                (7, [3; 32])
            );
            assert_eq!(
                opened.cosignature_time(COSIGNER.vkey()),
                Some(1_800_000_000)
            );
        }
    });
}

/// What a log asks of a witness, and what a witness answers.
fn add_checkpoint(bytes: &[u8]) {
    if let Ok(request) = AddCheckpoint::from_text(bytes) {
        assert_eq!(
            request.to_text().as_bytes(),
            bytes,
            "a request has one form"
        );
        if let Ok(opened) = OpenedRequest::open(&request, std::slice::from_ref(LOG.vkey())) {
            assert_eq!(opened.origin(), ORIGIN);
            assert!(opened.note().starts_with(ORIGIN));
        }
    }
    for status in [200, 409, 422] {
        let _ = Answer::read(status, bytes);
    }
}

fn vkey(bytes: &[u8]) {
    text(bytes, |text| {
        if let Ok(vkey) = text.parse::<Vkey>() {
            assert_eq!(vkey.to_string(), text, "a key has one form");
        }
    });
}

fn problem(bytes: &[u8]) {
    if let Some(problem) = Problem::from_json(bytes) {
        let json = problem.to_json();
        assert_eq!(Problem::from_json(json.as_bytes()).as_ref(), Some(&problem));
        let shown = problem.to_string();
        assert!(
            !shown.contains(char::is_control),
            "what is shown steers no terminal"
        );
    }
}

fn catalogue(bytes: &[u8]) {
    let Ok(catalogue) = serde_json::from_slice::<Catalogue>(bytes) else {
        return;
    };
    let json = serde_json::to_vec(&catalogue).expect("text");
    assert_eq!(
        serde_json::from_slice::<Catalogue>(&json).ok(),
        Some(catalogue.clone())
    );
    for listing in &catalogue.goods {
        safe_name(&listing.file_name);
        let found = find_listing(&catalogue, &listing.good);
        assert!(found.map_or(true, |found| catalogue.goods.contains(found)));
    }
}

/// A file in memory, written anew for each input.
struct Scratch {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = crate::town::folder();
        let path = folder.path().join(name);
        Self {
            _folder: folder,
            path,
        }
    }

    fn holds(&self, bytes: &[u8]) -> &PathBuf {
        fs::write(&self.path, bytes).expect("written");
        let owner_only = fs::Permissions::from_mode(0o600);
        fs::set_permissions(&self.path, owner_only).expect("changed");
        &self.path
    }
}

fn config(bytes: &[u8]) {
    static FILE: LazyLock<Scratch> = LazyLock::new(|| Scratch::new("bauta.toml"));
    if let Err(error) = Config::load(FILE.holds(bytes)) {
        let _ = error.to_string();
    }
}

fn role_key(bytes: &[u8]) {
    static FILE: LazyLock<Scratch> = LazyLock::new(|| Scratch::new("role.key"));
    let _ = RoleSeed::load(FILE.holds(bytes));
}

/// The wallet's own key, plain or sealed, and the identity that opens it.
fn wallet_key(bytes: &[u8]) {
    static PLAIN: LazyLock<Scratch> = LazyLock::new(|| Scratch::new("key.hex"));
    static SEALED: LazyLock<Scratch> = LazyLock::new(|| Scratch::new("key.age"));
    let protection = Protection::KeyFile(PLAIN.holds(bytes).clone());
    for scratch in [&*PLAIN, &*SEALED] {
        let folder = scratch.holds(bytes).parent().expect("in a folder");
        let _ = key::protection_of(folder);
        let _ = key::open(folder, &Protection::Unprotected);
        let _ = key::open(folder, &protection);
    }
    let _ = storage::open(&Secret::new([1; 32]), b"name", bytes);
}

fn words(bytes: &[u8]) {
    text(bytes, |text| {
        if let Ok(seed) = Seed::from_words(text) {
            let words = seed.words();
            let again = Seed::from_words(&words).expect("its own words");
            assert_eq!(again.words(), words);
        }
    });
}

/// Names, amounts, ids and addresses.
fn short_texts(bytes: &[u8]) {
    text(bytes, |text| {
        safe_name(text);
        let _ = Shard::of_origin(text);
        let _ = parse_good_address(text, None);
        let _ = parse_good_address(text, Some(text));
        let _ = (text.parse::<AccountId>(), text.parse::<PurchaseId>());
        if let Ok(money) = text.parse::<Money>() {
            assert_eq!(money.to_string().parse(), Ok(money), "an amount reads back");
        }
    });
}

/// One component of a path, whatever the shop calls the file.
fn safe_name(name: &str) {
    let safe = safe_file_name(name);
    let mut components = std::path::Path::new(&safe).components();
    let first = components.next();
    assert!(
        matches!(first, Some(std::path::Component::Normal(_))),
        "{safe:?}"
    );
    assert_eq!(components.next(), None, "{safe:?}");
    assert!(
        safe.len() < 256 && !safe.contains(char::is_control),
        "{safe:?}"
    );
    assert_eq!(safe_file_name(&safe), safe, "a safe name stays what it is");
}

fn policies() -> Vec<Vec<u8>> {
    corpus::vectors("bauta-proto/tests/vectors/policy")
}

/// The vectors' requests, and one of our own log.
fn witness_requests() -> Vec<Vec<u8>> {
    let files = corpus::vectors("bauta-proto/tests/vectors/witness");
    let bodies = files.iter().filter_map(|file| {
        let end = file.windows(2).position(|pair| pair == b"\n\n")?;
        Some(file[end + 2..].to_vec())
    });
    let own = format!("old 0\n\n{}", checkpoint_of(ORIGIN, 7)).into_bytes();
    bodies.chain([own]).collect()
}

/// Checkpoints, keys and receipts: of the vectors and of our own log.
fn notes() -> Vec<Vec<u8>> {
    let mut texts = corpus::json_texts(&corpus::vector(
        "bauta-crypto/tests/vectors/checkpoint.json",
    ));
    let checkpoint = checkpoint_of(ORIGIN, 1);
    let receipt = Receipt {
        index: 0,
        path: vec![[4; 32]],
        checkpoint: checkpoint.clone(),
    };
    texts.push(receipt.to_text().into_bytes());
    texts.push(checkpoint.into_bytes());
    texts.push(LOG.vkey().to_string().into_bytes());
    texts.push(COSIGNER.vkey().to_string().into_bytes());
    texts
}

fn problems() -> Vec<Vec<u8>> {
    use bauta_proto::problem::ProblemKind;
    let problems = ProblemKind::ALL
        .iter()
        .map(|kind| Problem::new(*kind).detail("why"));
    let mut problems: Vec<_> = problems
        .map(|problem| problem.to_json().into_bytes())
        .collect();
    let proved = Problem::new(ProblemKind::CoinSpent).proof(vec![1, 2, 3]);
    problems.push(proved.to_json().into_bytes());
    problems
}

fn catalogues() -> Vec<Vec<u8>> {
    vec![crate::town::Town::shared().catalogue()]
}

fn configs() -> Vec<Vec<u8>> {
    let templates = RoleName::ALL.iter().map(|role| template(&[*role]));
    let all = [template(RoleName::ALL)];
    templates.chain(all).map(String::into_bytes).collect()
}

fn keys() -> Vec<Vec<u8>> {
    let identity = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
    let header = "age-encryption.org/v1\n-> scrypt bBjlhJVYZeE4aqUdmtRHfw 18\nAA\n--- AA\n";
    let texts = ["07".repeat(32), identity.to_owned(), header.to_owned()];
    texts.map(String::into_bytes).into()
}

fn all_words() -> Vec<Vec<u8>> {
    let words = "abandon ".repeat(23) + "art";
    let texts = [
        &*words,
        "4.99EUR",
        "0.5 JPY",
        "https://shop.example/#song",
        "../a.txt",
        "CON",
    ];
    let mut seeds: Vec<_> = texts.map(|text| text.as_bytes().to_vec()).into();
    seeds.push("0a".repeat(32).into_bytes());
    seeds
}
