//! Nothing about anybody in what operators see: logs at their most talkative, and metrics.

use std::fs;

use bauta_proto::{
    accept::AcceptRequest,
    account::WithdrawRequest,
    codec::{Message, Signed},
    coin::Authorized,
    lock::{LockRequest, Payer},
    offer::OrderRequest,
};

use crate::{
    http,
    process::run,
    proxy::Exchange,
    town::{Plan, Town},
};

/// An amount whose digits appear nowhere by chance.
const PRICE: &str = "481516.23EUR";
const PRICE_TEXTS: [&str; 4] = ["48151623", "481516.23", "481,516.23", "481516,23"];
const TITLE: &str = "Unmistakable title";

/// What must not be shown, with its name.
#[derive(Default)]
struct Secrets(Vec<(&'static str, Vec<u8>)>);

impl Secrets {
    fn text(&mut self, name: &'static str, text: &str) {
        assert!(text.len() >= 6, "{name} is too short to be looked for");
        self.0.push((name, text.as_bytes().to_vec()));
    }

    /// Bytes in each form in which a program might print them.
    fn bytes(&mut self, name: &'static str, bytes: &[u8]) {
        use data_encoding::{BASE32_NOPAD, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
        self.0.push((name, bytes.to_vec()));
        for encoding in [HEXLOWER, HEXUPPER] {
            // The first half is as good as the whole: tools like to shorten.
            self.text(name, &encoding.encode(&bytes[..bytes.len() / 2]));
        }
        for encoding in [BASE32_NOPAD, BASE64_NOPAD, BASE64URL_NOPAD] {
            self.text(name, &encoding.encode(&bytes[..bytes.len() / 3 * 3]));
        }
        let list: Vec<String> = bytes[..8].iter().map(u8::to_string).collect();
        self.text(name, &list.join(", "));
    }

    fn hex(&mut self, name: &'static str, hex: &str) {
        let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes());
        self.bytes(name, &bytes.expect("hexadecimal"));
    }

    #[track_caller]
    fn are_not_in(&self, place: &str, shown: &[u8]) {
        for (name, secret) in &self.0 {
            let found = shown.windows(secret.len()).any(|window| window == secret);
            assert!(
                !found,
                "{place} shows the {name}: {}",
                String::from_utf8_lossy(shown)
            );
        }
    }
}

fn message<M: Message>(passed: &[Exchange], path: &str) -> M {
    let one = passed.iter().find(|one| one.path == path);
    let one = one.unwrap_or_else(|| panic!("no request went to {path}"));
    M::from_bytes(&one.request).expect("it was understood")
}

#[test]
fn logs_and_metrics_of_every_role_show_nothing_about_a_purchase() {
    let town = Town::build(Plan {
        proxied: true,
        settings: vec![("log", "level", "trace".into())],
        ..Plan::default()
    });
    let file = town.file("unmistakable-name.txt", b"unmistakable content of the good");
    let good = town.sell(&file, PRICE, TITLE);
    let purse = town.rich_customer("customer", "900000EUR");
    let bought = run(&mut town.buy(&purse, &good, &[])).good();
    // And one that is refused, one that is cut off, one by name.
    run(&mut town.buy(&purse, &good, &[]));
    run(&mut town.buy(&purse, &good, &["--from-account"]));
    town.roles[0].restart();
    purse.resume();
    town.settle(&[&purse]);

    let mut secrets = Secrets::default();
    PRICE_TEXTS
        .iter()
        .for_each(|text| secrets.text("price", text));
    secrets.text("title", TITLE);
    secrets.text("file name", "unmistakable-name");
    secrets.text("content", "unmistakable content");
    secrets.hex("account", &purse.account);
    secrets.hex("good", &good);
    let purchase = &bought["purchase"];
    for name in ["txid", "lock_tag", "blake3", "id"] {
        secrets.hex(name, purchase[name].as_str().expect("there"));
    }
    let [bank, archive, merchant] = [0, 1, 2].map(|role| town.proxies[role].passed());
    let order: OrderRequest = message(&merchant, "/v1/order");
    secrets.bytes("pseudonym", &order.pseudonym.0);
    secrets.bytes("nonce", &order.nonce);
    let accept: AcceptRequest = message(&merchant, "/v1/accept");
    secrets.bytes("lock's serial", &accept.lock.public.serial.0);
    secrets.bytes("hash lock", &accept.lock.public.hash_lock.0);
    secrets.bytes("payee commitment", &accept.lock.private.payee.0);
    let withdrawal: Signed<WithdrawRequest> = message(&bank, "/v1/withdraw");
    for output in withdrawal.body.outputs {
        secrets.bytes("blinded coin", &output.blinded.0);
    }
    let lock: Authorized<LockRequest> = message(&bank, "/v1/lock");
    let Payer::Coins(inputs) = lock.body.payer else {
        panic!("paid with coins");
    };
    for input in inputs {
        secrets.bytes("coin", &input.key.0);
    }
    assert!(archive.iter().any(|one| one.path == "/v1/leaf"));

    for role in &town.roles {
        let metrics = http::get(role.port, "/metrics").expect("an answer");
        assert_eq!(metrics.status, 200);
        assert!(metrics.body.len() > 500, "metrics are there");
        secrets.are_not_in("/metrics", &metrics.body);
        let log = fs::read(town.path().join(format!("{}.stderr", role.name))).expect("a log");
        assert!(!log.is_empty(), "the {} logs something", role.name);
        secrets.are_not_in(role.name, &log);
    }
}
