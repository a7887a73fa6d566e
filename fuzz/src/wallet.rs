//! A wallet whose answers are lost, changed, replaced and invented on their way, while bank, log and shop are honest: it
//! does not panic, and once the lies are over every unit that the bank owes for coins is in the wallet again.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use bauta_proto::{
    ids::BankId,
    offer::Mode,
    problem::{Problem, ProblemKind},
    transport::{Request, Response, Transport, TransportError},
};
use bauta_wallet::{PurchaseState, Wallet};

use crate::{
    Target,
    input::Input,
    play::options,
    town::{Net, PRICE, Role, Town, Whole, block_on, cents, euro},
};

/// The target: a few errands, then what becomes of each answer.
pub const TARGET: Target = Target {
    name: "wallet",
    run,
    seeds,
};

/// Bytes that decide one errand, and how many there are.
const ERRAND_BYTES: usize = 2;
const ERRANDS: usize = 6;
/// Bytes that decide what becomes of one answer.
const LIE_BYTES: usize = 12;

/// The way to everybody, on which somebody sits.
struct LyingWay {
    net: Arc<Net>,
    /// What is still to be told.
    lies: Mutex<Vec<u8>>,
    /// What was answered to earlier requests.
    earlier: Mutex<Vec<(u16, Vec<u8>)>>,
    /// Whether a refusal was invented.
    has_refused: AtomicBool,
}

impl LyingWay {
    fn next_lie(&self) -> [u8; LIE_BYTES] {
        let mut lies = self.lies.lock().unwrap_or_else(PoisonError::into_inner);
        let lie = Input::new(&lies).bytes();
        let end = LIE_BYTES.min(lies.len());
        lies.drain(..end);
        lie
    }

    fn end(&self) {
        self.lies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn earlier(&self, input: &mut Input<'_>, honest: (u16, Vec<u8>)) -> (u16, Vec<u8>) {
        let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        earlier.push(honest.clone());
        input.choice(&earlier).cloned().unwrap_or(honest)
    }
}

impl Transport for LyingWay {
    type Body = Whole;

    async fn send(&self, request: Request) -> Result<Response<Whole>, TransportError> {
        let lie = self.next_lie();
        let mut input = Input::new(&lie);
        let kind = input.byte() % 12;
        if kind == 6 {
            return Err(TransportError::Connect);
        }
        if kind == 11 {
            let _first = self.net.send(request.clone()).await?;
        }
        let mut answer = self.net.send(request).await?;
        let body = whole(&mut answer.body).await;
        let mut honest = (answer.status, body);
        match kind {
            7 => return Err(TransportError::Broken),
            8 => {
                input.edit(&mut honest.1);
                if input.rarely(4) {
                    answer.from = answer.from.wrapping_add(u64::from(input.byte()));
                }
            }
            9 => honest = self.earlier(&mut input, honest),
            10 => {
                self.has_refused.store(true, Ordering::SeqCst);
                honest = refusal(&mut input);
            }
            _ => {
                self.earlier(&mut Input::new(&[]), honest.clone());
            }
        }
        Ok(Response {
            status: honest.0,
            from: answer.from,
            body: Whole::new(honest.1),
        })
    }
}

async fn whole(body: &mut Whole) -> Vec<u8> {
    use bauta_proto::transport::Body;
    body.chunk().await.ok().flatten().unwrap_or_default()
}

/// A refusal of any kind, or a status without a word.
fn refusal(input: &mut Input<'_>) -> (u16, Vec<u8>) {
    match input.choice(ProblemKind::ALL) {
        Some(kind) if !input.rarely(4) => {
            let mut problem = Problem::new(*kind).detail("no");
            if input.rarely(2) {
                problem = problem.proof(input.rest().to_vec());
            }
            (kind.status(), problem.to_json().into_bytes())
        }
        _ => (u16::from(input.byte()) + 200, input.rest().to_vec()),
    }
}

fn run(data: &[u8]) {
    let (errands, lies) = data.split_at((ERRANDS * ERRAND_BYTES).min(data.len()));
    block_on(async {
        let town = Town::new().await;
        let way = Arc::new(LyingWay {
            net: Arc::clone(&town.net),
            lies: Mutex::new(lies.to_vec()),
            earlier: Mutex::default(),
            has_refused: AtomicBool::new(false),
        });
        let mut wallet = town.wallet(Arc::clone(&way));
        let bank = wallet.find_bank(None).expect("the template's");
        for errand in errands.chunks(ERRAND_BYTES) {
            let mut errand = Input::new(errand);
            if errand.byte() % 12 == 11 {
                drop(wallet);
                wallet = town.wallet(Arc::clone(&way));
            } else {
                run_errand(&town, &mut wallet, bank, &mut Input::new(&[errand.byte()])).await;
            }
        }
        way.end();
        check(&town, wallet, &way, bank).await;
    });
}

/// Something that an owner does; what fails ends it.
async fn run_errand(
    town: &Town,
    wallet: &mut Wallet<LyingWay>,
    bank: BankId,
    input: &mut Input<'_>,
) {
    let number = input.byte();
    let mode = (number & 64 != 0).then_some(Mode::Safe);
    let options = options(mode, number >= 128);
    match number % 10 {
        0 | 1 => drop(wallet.withdraw(bank, cents(700 + u64::from(number))).await),
        2..5 => drop(wallet.buy(Role::Merchant.url(), "Song", &options).await),
        5 => drop(wallet.resume().await),
        6 => {
            // Where log, bank and shop all slept, nothing would show any more that a sale was in time, and its lock would
            // wait for its settlement.
            town.pass(2);
            town.round().await;
            town.pass(u64::from(number));
            town.round().await;
        }
        7 => drop(wallet.refresh().await),
        8 if number & 32 != 0 => cancel(wallet),
        8 => drop(wallet.add_bank(Role::Bank.url(), None).await),
        _ => drop(wallet.statement(bank, euro(), 0).await),
    }
}

/// The owner wants back whatever can be had back.
fn cancel(wallet: &mut Wallet<LyingWay>) {
    for purchase in wallet.list().expect("listed") {
        drop(wallet.cancel(purchase.id));
    }
}

/// With the truth again, everything ends: in goods, or in money that the wallet has.
async fn check(town: &Town, wallet: Wallet<LyingWay>, way: &LyingWay, bank: BankId) {
    let words = wallet.words();
    drop(wallet);
    let mut wallet = town.wallet(Arc::clone(&town.net));
    for _ in 0..5 {
        // In mode SAFE a sale takes two steps and a look of everybody at the log after each.
        for _ in 0..3 {
            town.round().await;
            drop(wallet.resume().await);
            town.pass(2);
        }
        town.round().await;
        town.pass(3_000);
    }
    town.round().await;
    drop(wallet.refresh().await);
    drop(wallet.resume().await);
    let books = town.check_books();
    let totals = books.currencies.first().expect("one currency");
    assert_eq!(
        totals.locked.minor_units(),
        0,
        "no lock outlives its decision"
    );
    let purchases = wallet.list().expect("listed");
    let has_goods = |state| matches!(state, PurchaseState::Complete | PurchaseState::Delivered);
    let bought = purchases
        .iter()
        .filter(|purchase| has_goods(purchase.state))
        .count() as u64;
    let paid = town.merchant_balance();
    assert!(paid <= bought * PRICE, "paid {paid} for {bought} goods");
    let circulation = totals.circulation.minor_units();
    if available(&wallet) != circulation {
        let has_refused = way.has_refused.load(Ordering::SeqCst);
        assert!(
            has_refused,
            "the wallet knows of {} of {circulation}",
            available(&wallet)
        );
        let mut restored = town.restored(&words);
        restored
            .add_bank(Role::Bank.url(), Some(bank))
            .await
            .expect("restored");
        drop(restored.resume().await);
        assert_eq!(
            available(&restored),
            circulation,
            "words bring everything back"
        );
    }
}

fn available<T: Transport>(wallet: &Wallet<T>) -> u64 {
    let balances = wallet.balance().expect("readable");
    let available = balances.iter().map(|balance| balance.available.minor_units);
    available.sum()
}

/// One lie of every kind at every answer of a withdrawal and a purchase.
fn seeds() -> Vec<Vec<u8>> {
    let fast = [0, 0, 0, 2, 0, 5, 0, 6, 0, 5, 0, 7];
    // In mode SAFE, and cancelled.
    let safe = [0, 0, 0, 72, 0, 48, 0, 6, 0, 5, 0, 7];
    let cancelled_too_late = [0, 0, 0, 2, 0, 5, 0, 0, 0, 72, 0, 48];
    let slept_over = [0, 0, 0, 2, 0, 5, 0, 115, 0, 108, 0, 116];
    let own = [fast, safe, cancelled_too_late, slept_over];
    let mut seeds = own.map(Vec::from).to_vec();
    for (place, errands) in (0..24).flat_map(|place| [(place, fast), (place, safe)]) {
        for kind in 6..12 {
            let mut lies = vec![0; LIE_BYTES * (place + 1)];
            lies[LIE_BYTES * place] = kind;
            lies[LIE_BYTES * place + 1] = 1;
            seeds.push([&errands[..], &lies].concat());
        }
    }
    seeds
}
