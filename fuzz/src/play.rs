//! A town under a fuzzer's requests.
//!
//! What is sent is made from the requests of real purchases ([`Transcript`]): left out, repeated, in another order, at
//! another time, or changed and signed again. So a new field or message is fuzzed as soon as the wallet sends it.

use std::{collections::HashSet, sync::LazyLock};

use axum::http::header::RANGE;
use bauta_crypto::blind::BlindedMessage;
use bauta_proto::{
    codec::Message,
    coin::KeysetList,
    ids::BankId,
    lock::{ClaimRequest, Release},
    offer::{Mode, OrderReply},
    transport::{Endpoint, archive, bank, merchant},
};
use bauta_server::roles::merchant::payee_key;
use bauta_wallet::{BuyOptions, Wallet, seed::Seed};

use crate::{
    consent::{Consent, Keys},
    input::Input,
    town::{Answered, Asked, Net, Role, Town, block_on, cents, euro},
};

/// Bytes that decide one step.
const STEP_BYTES: usize = 24;
/// Steps that are taken at most.
const STEPS_MAX: usize = 32;

/// How an operation is asked for.
pub(crate) struct Operation {
    pub(crate) path: &'static str,
    /// Whether a request that was done gets the same bytes for ever; otherwise it asks for what is now.
    is_for_ever: bool,
    /// Changed bytes signed again by everybody whose key is known; none if they do not decode.
    sign: fn(&[u8], &Keys, &mut Input<'_>) -> Option<Vec<u8>>,
    /// What the coins that it spends came from, and the outputs that it asks for.
    coins: fn(&[u8], &Keys) -> Coins,
}

/// What the bank has to have signed for a request's coins, and what it signs for them.
#[derive(Default)]
struct Coins {
    spent: Vec<BlindedMessage>,
    asked_for: Vec<BlindedMessage>,
}

mod plain {
    use super::{Coins, Endpoint, Input, Keys, Message};

    pub(super) fn sign<E: Endpoint>(bytes: &[u8], _: &Keys, _: &mut Input<'_>) -> Option<Vec<u8>> {
        E::Request::from_bytes(bytes).ok().map(|_| bytes.to_vec())
    }

    #[expect(
        clippy::extra_unused_type_parameters,
        reason = "called as its counterpart for signed requests is"
    )]
    pub(super) fn coins<E: Endpoint>(_: &[u8], _: &Keys) -> Coins {
        Coins::default()
    }
}

mod signed {
    use super::{Coins, Consent, Endpoint, Input, Keys, Message};

    pub(super) fn sign<E>(bytes: &[u8], keys: &Keys, input: &mut Input<'_>) -> Option<Vec<u8>>
    where
        E: Endpoint<Request: Consent>,
    {
        let mut request = E::Request::from_bytes(bytes).ok()?;
        if input.rarely(2) {
            request.shift(input);
        }
        Some(request.signed_again(keys).to_bytes())
    }

    pub(super) fn coins<E: Endpoint<Request: Consent>>(bytes: &[u8], keys: &Keys) -> Coins {
        let Ok(request) = E::Request::from_bytes(bytes) else {
            return Coins::default();
        };
        let (spent, outputs) = request.coins();
        let spent = spent.iter().filter_map(|coin| keys.blinded(&coin.key));
        Coins {
            spent: spent.copied().collect(),
            asked_for: outputs.iter().map(|output| output.blinded).collect(),
        }
    }
}

macro_rules! operations {
    ($($endpoint:ty: $sign:ident, for ever $is_for_ever:literal;)*) => {
        /// Every operation of every role.
        pub(crate) const OPERATIONS: &[Operation] = &[$(Operation {
            path: <$endpoint as Endpoint>::PATH,
            is_for_ever: $is_for_ever,
            sign: $sign::sign::<$endpoint>,
            coins: $sign::coins::<$endpoint>,
        },)*];
    };
}
operations! {
    bank::Withdraw: signed, for ever true;
    bank::Exchange: signed, for ever true;
    bank::Restore: plain, for ever false;
    bank::State: plain, for ever false;
    bank::LockValue: signed, for ever true;
    bank::CaptureLock: plain, for ever true;
    bank::ReleaseLock: signed, for ever true;
    bank::ClaimLocks: plain, for ever false;
    bank::Status: plain, for ever false;
    bank::AccountStatement: signed, for ever false;
    archive::SubmitLeaf: signed, for ever true;
    archive::SubmitRecord: signed, for ever true;
    merchant::Order: plain, for ever true;
    merchant::AcceptOffer: signed, for ever true;
}

/// Every request of some purchases, and the keys of everybody who took part.
pub(crate) struct Transcript {
    pub(crate) asked: Vec<Asked>,
    pub(crate) keys: Keys,
}

pub(crate) static TRANSCRIPT: LazyLock<Transcript> = LazyLock::new(|| block_on(Transcript::new()));

impl Transcript {
    async fn new() -> Self {
        let town = Town::new().await;
        town.begin_record();
        let mut wallet = town.wallet(town.net.clone());
        let bank = wallet.find_bank(None).expect("the template's");
        wallet
            .withdraw(bank, cents(3_500))
            .await
            .expect("withdrawn");
        buy(&town, &mut wallet, false).await;
        // The shop brings the key to the bank, and, cut off altogether, gets nothing.
        let leaf = archive::SubmitLeaf::PATH;
        town.without(leaf, buy(&town, &mut wallet, false)).await;
        let accept = merchant::AcceptOffer::PATH;
        town.without(accept, buy(&town, &mut wallet, false)).await;
        buy(&town, &mut wallet, true).await;
        let safe = || options(Some(Mode::Safe), false);
        buy_with(&town, &mut wallet, safe()).await;
        town.without(accept, async {
            let _waiting = wallet.buy(Role::Merchant.url(), "Song", &safe()).await;
            wallet.list().expect("listed").iter().for_each(|purchase| {
                let _too_late_for_others = wallet.cancel(purchase.id);
            });
            settle(&town, &mut wallet).await;
        })
        .await;
        let _refreshed = wallet.refresh().await;
        wallet
            .statement(bank, euro(), 0)
            .await
            .expect("a statement");
        let words = wallet.words();
        let mut restored = town.restored(&words);
        restored
            .add_bank(Role::Bank.url(), None)
            .await
            .expect("restored");
        settle(&town, &mut wallet).await;
        let mut asked = Town::shared().asked();
        asked.extend(town.end_record());
        let keys = keys(&town, &words, bank, &asked).await;
        asked.extend(releases(&asked, &keys));
        Self { asked, keys }
    }
}

/// How a purchase is made without waiting for anything.
pub(crate) fn options(mode: Option<Mode>, from_account: bool) -> BuyOptions {
    BuyOptions {
        mode,
        from_account,
        patience: std::time::Duration::ZERO,
        ..BuyOptions::default()
    }
}

/// A purchase from beginning to end.
async fn buy(town: &Town, wallet: &mut Wallet<Net>, from_account: bool) {
    buy_with(town, wallet, options(None, from_account)).await;
}

async fn buy_with(town: &Town, wallet: &mut Wallet<Net>, options: BuyOptions) {
    let _waiting = wallet.buy(Role::Merchant.url(), "Song", &options).await;
    settle(town, wallet).await;
}

/// Lets time pass until nothing is open.
pub(crate) async fn settle(town: &Town, wallet: &mut Wallet<Net>) {
    for _ in 0..12 {
        town.pass(12);
        town.round().await;
        let _troubles = wallet.resume().await;
    }
}

async fn keys(town: &Town, words: &str, bank: BankId, asked: &[Asked]) -> Keys {
    let mut keys = Keys::default();
    keys.add(town.seed(Role::Bank).signing_key("bank"));
    keys.add(payee_key(&town.seed(Role::Merchant), bank));
    let seed = Seed::from_words(words).expect("words");
    let list = town.get(Role::Bank, bank::KEYSETS_PATH).await;
    let list = KeysetList::from_bytes(&list.body).expect("a list");
    keys.add_wallet(&seed, bank, &list);
    for order in asked
        .iter()
        .filter(|asked| asked.path == merchant::Order::PATH)
    {
        let answer = town.net.ask(order).await.expect("answered");
        if let Ok(reply) = OrderReply::from_bytes(&answer.body) {
            let offer = reply.offer.body;
            keys.add_purchase(offer.txid(), seed.purchase_key(bank, &offer.nonce));
        }
    }
    keys
}

/// The payee gives back what it could have claimed.
fn releases(asked: &[Asked], keys: &Keys) -> Vec<Asked> {
    let claims = asked
        .iter()
        .filter(|asked| asked.path == bank::ClaimLocks::PATH);
    let mut releases = Vec::new();
    for claim in claims {
        let request = ClaimRequest::from_bytes(&claim.body).expect("a claim");
        for claimed in request.claims {
            let release = Release {
                lock_tag: claimed.lock_tag,
                payee: claimed.payee,
            };
            releases.extend(keys.signed(release).map(|release| Asked {
                path: bank::ReleaseLock::PATH.to_owned(),
                media_type: Some(Release::MEDIA_TYPE),
                body: release.to_bytes(),
                ..claim.clone()
            }));
        }
    }
    releases
}

/// Plays an input against a fresh town; most requests go to `role`.
pub(crate) fn play(role: Role, data: &[u8]) {
    let steps = data.chunks(STEP_BYTES).take(STEPS_MAX);
    LazyLock::force(&TRANSCRIPT);
    block_on(async {
        let mut game = Game {
            town: Town::new().await,
            role,
            done: Vec::new(),
            issued: HashSet::new(),
        };
        for step in steps {
            game.step(&mut Input::new(step)).await;
        }
        game.end().await;
    });
}

struct Game {
    town: Town,
    role: Role,
    /// What was done and must be answered in the same way for ever.
    done: Vec<(Asked, Answered)>,
    /// What the bank of this town has signed.
    issued: HashSet<BlindedMessage>,
}

impl Game {
    async fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 16 {
            0..4 => self.send_as_it_was(input).await,
            4..10 => self.send_changed(input).await,
            10 => self.send_other(input).await,
            11 => self.town.pass(1 << (input.byte() % 24)),
            12 => self.town.pass(u64::from(input.byte())),
            13 => self.town.round().await,
            14 => self.town.restart().await,
            _ => self.read(input).await,
        }
    }

    fn of_role(&self) -> Vec<&'static Asked> {
        let asked = TRANSCRIPT.asked.iter();
        asked.filter(|asked| asked.role == self.role).collect()
    }

    async fn send_as_it_was(&mut self, input: &mut Input<'_>) {
        let Some(asked) = input.choice(&self.of_role()).copied() else {
            return;
        };
        self.town.clock.reach(asked.at);
        self.send(asked).await;
    }

    /// A request to anybody: what the role waits for may have to happen elsewhere.
    async fn send_other(&mut self, input: &mut Input<'_>) {
        if let Some(asked) = input.choice(&TRANSCRIPT.asked) {
            self.town.clock.reach(asked.at);
            self.send(asked).await;
        }
    }

    async fn send_changed(&mut self, input: &mut Input<'_>) {
        let Some(asked) = input.choice(&self.of_role()).copied() else {
            return;
        };
        let mut asked = asked.clone();
        if input.rarely(4) {
            graft(&mut asked.body, input);
        }
        if input.rarely(2) {
            input.edit(&mut asked.body);
        }
        if !input.rarely(8) {
            self.town.clock.reach(asked.at);
        }
        let operation = operation(&asked.path);
        let signed = operation.and_then(|it| (it.sign)(&asked.body, &TRANSCRIPT.keys, input));
        asked.body = signed.unwrap_or(asked.body);
        if input.rarely(16) {
            input.edit(&mut asked.body);
        }
        self.send(&asked).await;
    }

    /// A document of any path, perhaps a part of it.
    async fn read(&mut self, input: &mut Input<'_>) {
        let read: Vec<_> = TRANSCRIPT
            .asked
            .iter()
            .filter(|asked| !asked.is_post)
            .collect();
        let Some(asked) = input.choice(&read).copied() else {
            return;
        };
        let mut asked = asked.clone();
        if input.rarely(2) {
            let text = String::from_utf8_lossy(input.take(12)).into_owned();
            asked.headers.push((RANGE, format!("bytes={text}")));
        }
        if input.rarely(2) {
            let mut path = asked.path.into_bytes();
            input.edit(&mut path);
            asked.path = String::from_utf8_lossy(&path).into_owned();
        }
        self.send(&asked).await;
    }

    /// Sends a request twice: no failure of the role's own, and the same bytes.
    ///
    /// Coins that were issued in the transcript's town and not in this one are not money here.
    async fn send(&mut self, asked: &Asked) {
        let operation = operation(&asked.path);
        let coins = operation.map(|it| (it.coins)(&asked.body, &TRANSCRIPT.keys));
        let coins = coins.unwrap_or_default();
        if !coins.spent.iter().all(|coin| self.issued.contains(coin)) {
            return;
        }
        let Ok(answered) = self.town.net.ask(asked).await else {
            return;
        };
        assert_ne!(answered.status, 500, "{} failed", asked.path);
        if answered.status != 200 {
            return;
        }
        let again = self.town.net.ask(asked).await;
        assert_eq!(again.as_ref(), Ok(&answered), "{} repeated", asked.path);
        self.issued.extend(coins.asked_for);
        if operation.is_some_and(|operation| operation.is_for_ever) {
            self.done.push((asked.clone(), answered));
        }
    }

    async fn end(&mut self) {
        self.town.check_books();
        for (asked, answered) in &self.done {
            let again = self.town.net.ask(asked).await;
            assert_eq!(
                again.as_ref(),
                Ok(answered),
                "{} repeated at the end",
                asked.path
            );
        }
        self.town.round().await;
        self.town.check_books();
    }
}

fn operation(path: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.path == path)
}

/// Bytes of another request in place of some of this one: ids, hashes, coins that mean something elsewhere.
fn graft(body: &mut [u8], input: &mut Input<'_>) {
    let Some(other) = input.choice(&TRANSCRIPT.asked) else {
        return;
    };
    if other.body.is_empty() || body.is_empty() {
        return;
    }
    let (from, to) = (input.below(other.body.len()), input.below(body.len()));
    let count = usize::from(input.byte());
    let new = other.body.iter().skip(from).take(count);
    body.iter_mut()
        .skip(to)
        .zip(new)
        .for_each(|(old, new)| *old = *new);
}

/// The transcript step by step, as far as one input goes, and each request of `role` behind what came before it.
pub(crate) fn seeds(role: Role) -> Vec<Vec<u8>> {
    let all = &TRANSCRIPT.asked;
    let position = |place: usize| {
        u16::try_from(place)
            .expect("a short transcript")
            .to_be_bytes()
    };
    let step = |kind: u8, place: usize| {
        let mut step = [0; STEP_BYTES];
        step[0] = kind;
        step[1..3].copy_from_slice(&position(place));
        step
    };
    let posts: Vec<usize> = (0..all.len()).filter(|place| all[*place].is_post).collect();
    let mut seeds: Vec<Vec<u8>> = posts
        .windows(STEPS_MAX.min(posts.len()))
        .step_by(4)
        .map(|window| window.iter().flat_map(|place| step(10, *place)).collect())
        .collect();
    let own = all.iter().filter(|asked| asked.role == role).count();
    seeds.extend((0..own).map(|place| step(0, place).to_vec()));
    seeds.extend((0..own).map(|place| step(4, place).to_vec()));
    let gets = all.iter().filter(|asked| !asked.is_post).count();
    seeds.extend((0..gets).map(|place| step(15, place).to_vec()));
    let ticking = (0..own.min(10)).flat_map(|place| [step(0, place), step(13, 0), step(14, 0)]);
    seeds.push(ticking.flatten().collect());
    seeds
}
