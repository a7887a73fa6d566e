//! Wrong input: a clear error that says who is at fault and what to do, and the money where it was.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::{
    process::{bauta, run},
    proxy::{Trap, When},
    purse::Purse,
    town::{ARCHIVE, BANK, MERCHANT, Plan, Town},
};

/// A shop with one good of 4.99 EUR and a customer with 20 EUR in coins and 10 EUR in the account.
pub(crate) fn market(town: Town) -> (Arc<Town>, Purse) {
    town.sell(&town.file("song", &[5; 50_000]), "4.99EUR", "song");
    let purse = town.customer("customer", "30EUR");
    purse.run(&["withdraw", "20EUR"]).good();
    (Arc::new(town), purse)
}

/// Where all the money is.
#[track_caller]
pub(crate) fn money(town: &Town, purse: &Purse) -> (crate::town::Books, u64, u64) {
    (
        town.books(),
        purse.settled(),
        town.balance_of(&purse.account),
    )
}

#[test]
fn a_bank_that_is_not_there_or_not_the_expected_one_is_told_apart() {
    let (town, purse) = market(Town::open());
    let before = money(&town, &purse);
    let nobody = purse.run(&["bank", "add", "http://127.0.0.1:9"]);
    nobody.fails(4, "no connection to the other side");
    let expected = "7".repeat(64);
    let other = purse.run(&["bank", "add", &town.url(BANK), "--expect", &expected]);
    other.fails(
        5,
        "another bank answers at this address than the one that was expected",
    );
    purse
        .run(&["withdraw", "1EUR", "--bank", "nowhere"])
        .fails(1, "the wallet knows no such bank");
    purse
        .run(&["bank", "add", "no address"])
        .fails(1, "the address is not a valid");
    assert_eq!(
        purse.run(&["bank", "add", &town.url(ARCHIVE)]).code,
        Some(3)
    );
    assert_eq!(money(&town, &purse), before);
}

#[test]
fn a_wrong_passphrase_opens_nothing_and_breaks_nothing() {
    let town = Town::open();
    let right = town.file("right", b"correct horse battery staple\n");
    let wrong = town.file("wrong", b"correct horse battery stable\n");
    let [right, wrong] = [&right, &wrong].map(|path| path.to_str().expect("plain names"));
    let purse = Purse {
        folder: town.path().join("guarded"),
        account: String::new(),
        credited: 0,
    };
    purse.run(&["init", "--passphrase-file", right]).good();
    purse
        .run(&["balance", "--passphrase-file", wrong])
        .fails(1, "the passphrase is wrong");
    purse.run(&["balance"]).fails(1, "passphrase");
    purse.run(&["balance", "--passphrase-file", right]).good();
    purse
        .run(&["init", "--passphrase-file", right])
        .fails(1, "there is a wallet in this folder already");
    let elsewhere = Purse {
        folder: town.path().join("nothing"),
        ..purse
    };
    elsewhere
        .run(&["balance"])
        .fails(1, "there is no wallet in this folder");
}

#[test]
fn amounts_that_are_none_are_refused_before_anything_is_sent() {
    let (town, purse) = market(Town::open());
    let before = money(&town, &purse);
    purse
        .run(&["withdraw", "0EUR"])
        .fails(1, "the amount is zero");
    purse
        .run(&["withdraw", "0.01USD"])
        .fails(5, "issues no coins of this currency");
    purse
        .run(&["withdraw", "11EUR"])
        .fails(3, "the account does not hold that much");
    for wrong in [
        "18446744073709551616EUR",
        "184467440737095516.16EUR",
        "-1EUR",
        "1.001EUR",
        "1,50EUR",
        "1",
        "1XYZ",
        "EUR",
        "",
    ] {
        purse.run(&["withdraw", wrong]).fails(2, "");
    }
    let good = town.file("dear", b"dear");
    town.sell(&good, "9.99USD", "in dollars");
    town.sell(&good, "20.01EUR", "too dear");
    run(&mut town.buy(&purse, "too dear", &[]))
        .fails(1, "20.01 EUR are needed, 20.00 EUR are available");
    run(&mut town.buy(&purse, "in dollars", &[]))
        .fails(1, "9.99 USD are needed, 0.00 USD are available");
    run(&mut town.buy(&purse, "song", &["--max", "4.98EUR"])).fails(1, "above the limit");
    let free = town.operate(
        MERCHANT,
        &[
            "add",
            good.to_str().expect("plain"),
            "--price",
            "0EUR",
            "--title",
            "free",
        ],
    );
    assert_ne!(free.code, Some(0), "{free:?}");
    let mut long = purse.command(&[
        "buy",
        &town.url(MERCHANT),
        "song",
        "--yes",
        "--lock-for",
        "9999999",
    ]);
    run(&mut long).fails(1, "the shop takes locks of");
    let mut short = purse.command(&[
        "buy",
        &town.url(MERCHANT),
        "song",
        "--yes",
        "--lock-for",
        "1",
    ]);
    run(&mut short).fails(1, "the shop takes locks of");
    assert_eq!(money(&town, &purse), before);
}

#[test]
fn operators_are_told_what_is_wrong_with_their_input() {
    let (town, purse) = market(Town::open());
    let before = money(&town, &purse);
    let nobody = "0".repeat(63) + "1";
    assert_eq!(
        town.operate(BANK, &["credit", "abc", "1EUR", "--reference", "x"])
            .code,
        Some(2)
    );
    assert_eq!(
        town.operate(BANK, &["payout", &nobody, "1EUR", "--reference", "x"])
            .code,
        Some(3)
    );
    assert_eq!(town.operate(BANK, &["freeze", &nobody]).code, Some(3));
    let too_much = town.operate(
        BANK,
        &["payout", &purse.account, "1000EUR", "--reference", "y"],
    );
    assert_eq!(too_much.code, Some(3), "{too_much:?}");
    // A reference books once.
    let reference = ["credit", &purse.account, "3EUR", "--reference", "twice"];
    town.operate(BANK, &reference).good();
    town.operate(BANK, &reference).good();
    town.operate(
        BANK,
        &["payout", &purse.account, "3EUR", "--reference", "back"],
    )
    .good();
    assert_eq!(money(&town, &purse), before);
    town.operate(BANK, &["freeze", &purse.account]).good();
    purse
        .run(&["withdraw", "1EUR"])
        .fails(3, "the account is frozen");
    run(&mut town.buy(&purse, "song", &["--from-account"])).fails(3, "the account is frozen");
    town.operate(BANK, &["unfreeze", &purse.account]).good();
    assert_eq!(money(&town, &purse), before);
    let gone = town.path().join("not-there");
    let gone = gone.to_str().expect("plain names");
    let missing = town.operate(MERCHANT, &["add", gone, "--price", "1EUR", "--title", "x"]);
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(
        missing.json()["error"]
            .as_str()
            .is_some_and(|error| error.contains("not-there"))
    );
}

#[test]
fn a_port_that_is_taken_and_configurations_that_are_none_stop_the_start() {
    let town = Town::open();
    let serve = |config: &Path| run(bauta().args(["serve", "--json", "--config"]).arg(config));
    for role in &town.roles {
        let second = serve(&role.config);
        assert_eq!(second.code, Some(1), "{second:?}");
        assert!(
            second.stdout.contains("cannot be reached") || second.stdout.contains("running"),
            "{second:?}"
        );
    }
    let text = fs::read_to_string(&town.roles[BANK].config).expect("a configuration");
    let with = |name: &str, content: &[u8]| -> PathBuf { town.file(name, content) };
    let cases = [
        (
            with("huge.toml", &vec![b'#'; 5_000_000]),
            "is larger than a configuration can be",
        ),
        (
            with("binary.toml", &[0xff, 0xfe, 0, 1]),
            "is not a text file in UTF-8",
        ),
        (
            with(
                "typo.toml",
                text.replace("follow_interval_ms", "folow_interval_ms")
                    .as_bytes(),
            ),
            "folow_interval_ms",
        ),
        (with("empty.toml", b""), "configures no role"),
        (
            with("half.toml", &text.as_bytes()[..text.len() / 2]),
            "half.toml",
        ),
        (
            with("nested.toml", "[".repeat(100_000).as_bytes()),
            "nested.toml",
        ),
        (town.path().to_owned(), "cannot read the configuration"),
        (
            town.path().join("missing.toml"),
            "cannot read the configuration",
        ),
    ];
    for (path, words) in cases {
        serve(&path).fails(1, words);
    }
    let keyless = with(
        "keyless.toml",
        text.replace("bank.key", "no.key").as_bytes(),
    );
    let keyless = serve(&keyless);
    assert!(
        keyless.code == Some(1) && keyless.stdout.contains("key file"),
        "{keyless:?}"
    );
}

/// The files of encrypted goods.
fn ciphertexts(town: &Town) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            match entry.path() {
                path if path.is_dir() => walk(&path, found),
                path if fs::metadata(&path).is_ok_and(|data| data.len() > 50_000)
                    && !path.to_string_lossy().contains(".db") =>
                {
                    found.push(path)
                }
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    walk(&town.path().join("merchant"), &mut found);
    found
}

#[test]
fn ciphertext_that_is_damaged_or_cut_is_fetched_twice_and_then_refused_unpaid() {
    let (town, purse) = market(Town::proxied());
    let before = money(&town, &purse);
    let files = ciphertexts(&town);
    let [file] = files.as_slice() else {
        panic!("one good, one file: {files:?}");
    };
    let whole = fs::read(file).expect("ciphertext");
    let mut flipped = whole.clone();
    flipped[30_000] ^= 1;
    let cut = whole[..30_000].to_vec();
    let longer = [&whole[..], b"more"].concat();
    for (name, damaged) in [
        ("flipped", flipped),
        ("cut", cut),
        ("longer", longer),
        ("empty", Vec::new()),
    ] {
        fs::write(file, damaged).expect("written");
        let bought = run(&mut town.buy(&purse, "song", &[]));
        assert!(matches!(bought.code, Some(3..=5)), "{name}: {bought:?}");
        let error = bought.json()["error"].as_str().expect("words").to_owned();
        assert!(
            error.contains("shop"),
            "{name}: nobody is named in {error:?}"
        );
        let resumed = purse.run(&["resume"]);
        assert!(matches!(resumed.code, Some(0 | 4)), "{name}: {resumed:?}");
        assert_eq!(money(&town, &purse), before, "{name}");
    }
    let fetched = town.proxies[MERCHANT].passed();
    let fetched = fetched
        .iter()
        .filter(|one| one.path.starts_with("/v1/ciphertext/"));
    assert!(fetched.count() >= 6, "each damaged file is fetched again");
    fs::write(file, &whole).expect("written");
    let resumed = purse.run(&["resume", "--wait"]);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    run(&mut town.buy(&purse, "song", &[])).good();
    town.settle(&[&purse]);
}

#[test]
fn a_good_that_changes_or_goes_between_looking_and_ordering_is_not_paid() {
    let (town, purse) = market(Town::proxied());
    let before = money(&town, &purse);
    let goods = purse.run(&["shop", &town.url(MERCHANT)]).good();
    let good = goods["goods"][0]["good"]
        .as_str()
        .expect("an id")
        .to_owned();
    let (there, id) = (Arc::clone(&town), good.clone());
    town.proxies[MERCHANT].set(Trap {
        path: "/v1/order",
        number: 1,
        when: When::Before,
        action: Box::new(move || {
            there.operate(MERCHANT, &["withdraw", &id]).good();
        }),
    });
    let bought = run(&mut town.buy(&purse, &good, &[]));
    assert_eq!(bought.code, Some(4), "the connection broke: {bought:?}");
    purse.run(&["resume"]);
    assert_eq!(purse.purchases()[0]["state"], "refused");
    assert_eq!(money(&town, &purse), before);
}

#[test]
fn a_shop_that_takes_another_banks_money_only_is_refused() {
    let town = Town::build(Plan::default());
    let (town, purse) = market(town);
    let before = money(&town, &purse);
    let bank = toml::Value::Table(toml::toml! {
        bank = "1111111111111111111111111111111111111111111111111111111111111111"
        url = "http://127.0.0.1:9"
    });
    town.configure(MERCHANT, "merchant", "banks", vec![bank].into());
    town.roles[MERCHANT].restart();
    run(&mut town.buy(&purse, "song", &[]))
        .fails(1, "the shop takes the money of none of this wallet's banks");
    assert_eq!(money(&town, &purse), before);
}

#[test]
fn a_copy_of_a_wallet_spends_no_coin_twice() {
    let (town, purse) = market(Town::open());
    let copy = Purse {
        folder: town.path().join("copy"),
        account: purse.account.clone(),
        credited: 0,
    };
    let copied = Command::new("cp")
        .arg("-r")
        .args([&purse.folder, &copy.folder])
        .status();
    assert!(copied.expect("cp runs").success());
    let before = town.books();
    let mut delivered = 0;
    for _ in 0..3 {
        for wallet in [&purse, &copy] {
            let bought = run(&mut town.buy(wallet, "song", &[]));
            assert!(matches!(bought.code, Some(0 | 1 | 3 | 4)), "{bought:?}");
            wallet.run(&["resume"]);
            delivered += u64::from(bought.code == Some(0));
        }
    }
    // 20 EUR buy four songs of 4.99 EUR at most, however often they are copied.
    assert!((1..=4).contains(&delivered), "{delivered} songs");
    let begun = Instant::now();
    while town.books().accounts < before.accounts + 499 * delivered {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{:?}",
            town.books()
        );
        thread::sleep(Duration::from_millis(100));
    }
    let books = town.books();
    assert_eq!(books.reserve, before.reserve);
    assert_eq!(books.circulation, before.circulation - 499 * delivered);
    assert_eq!(books.locked, 0);
}
