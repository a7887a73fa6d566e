//! The bank on one core: coins for coins, and locks, also beside many spent coins.

use bauta_crypto::{hash, secret::Secret, sign::SigningKey};
use bauta_io::{SystemClock, SystemRng};
use bauta_proto::{
    codec::Message,
    coin::{Authorized, ExchangeRequest, Input, authorize},
    ids::{HashLock, PayeeCommitment},
    limits::OUTPUTS_MAX,
    lock::{LockMode, LockRequest, Payer},
    money::Amount,
    time::{Clock, Seconds},
    transport::bank::{Exchange, LockValue},
};
use bauta_server::config::RoleName;
use rayon::prelude::*;

use super::{
    Plan,
    coins::{self, Coin},
    floor::Floor,
    load::{Measured, Prepared, drive_requests},
    preload::preload,
    process::{Aside, Cores, Process},
    row::{Row, Rows},
    setting::{Configured, Setting, currency},
};
use crate::failure::Outcome;

/// Exchanges of one coin that a bank on one core will not do in a second, and of eight.
const ONE_PER_SECOND_MAX: usize = 5_000;
const EIGHT_PER_SECOND_MAX: usize = 800;
/// The same for locks.
const LOCKS_PER_SECOND_MAX: usize = 8_000;
const ACCOUNT_LOCKS_PER_SECOND_MAX: usize = 20_000;
/// Accounts that pay for locks by name.
const ACCOUNTS: usize = 64;
/// Connections that keep the writer's batches full.
const CONNECTIONS: usize = 64;
/// Names in the rows.
const BANK: &[&str] = &["bank"];

/// Measures a bank.
pub fn measure(plan: &Plan, rows: &mut Rows<'_>) -> Outcome {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(measure_all(plan, rows))
}

async fn measure_all(plan: &Plan, rows: &mut Rows<'_>) -> Outcome {
    let roles = [RoleName::Bank, RoleName::Archive];
    let configured = Configured::write(&plan.folder("bank")?, &roles, true)?;
    let archive = configured.serve(RoleName::Archive, Cores::All).await?;
    let bank = configured.serve(RoleName::Bank, Cores::One).await?;
    let setting = Setting::learn(configured).await?;
    let bench = Bench {
        floor: Floor::measure()?,
        processes: [bank, archive, Process::load()],
        plan,
        setting: &setting,
    };
    bench
        .exchange(rows, 1, ONE_PER_SECOND_MAX, "3000/s, 1.40")
        .await?;
    bench
        .exchange(rows, 8, EIGHT_PER_SECOND_MAX, "500/s, 1.40")
        .await?;
    bench.lock_by_account(rows).await?;
    let empty = bench.lock_by_coins(rows, 0).await?;
    rows.say(&format!("bank: adding {} spent coins", plan.preload));
    preload(&setting, plan.preload)?;
    let full = bench.lock_by_coins(rows, plan.preload).await?;
    rows.note(format!(
        "A lock takes {:.2} times the processor time with {} spent coins in the store (wanted: at most 1.50).",
        full / empty,
        plan.preload
    ));
    Ok(())
}

struct Bench<'a> {
    plan: &'a Plan,
    setting: &'a Setting,
    floor: Floor,
    /// The bank, the archive, and this one.
    processes: [Process; 3],
}

impl Bench<'_> {
    async fn exchange(
        &self,
        rows: &mut Rows<'_>,
        width: usize,
        per_second_max: usize,
        wanted: &str,
    ) -> Outcome {
        let count = self.plan.requests(per_second_max);
        rows.say(&format!("bank: preparing exchanges of {width} for {width}"));
        let (coins, withdrawn) = self.coins(count * width).await?;
        if width == 1 {
            let floor_us = self.floor.verify + OUTPUTS_MAX as f64 * self.floor.blind_sign;
            rows.add(Row::new("withdraw 128", &withdrawn, floor_us, BANK))?;
        }
        let requests = coins
            .par_chunks(width)
            .map(|coins| self.exchange_request(coins))
            .collect();
        let measured = self.drive(rows, requests).await?;
        let each = self.floor.coin_check + self.floor.verify + self.floor.blind_sign;
        let name = format!("exchange ({width}, {width})");
        let row = Row::new(name, &measured, each * width as f64, BANK);
        rows.add(row.wanted(wanted))
    }

    fn exchange_request(&self, coins: &[Coin]) -> Prepared {
        let (inputs, keys) = inputs(coins);
        let body = ExchangeRequest {
            bank: self.setting.bank,
            inputs: inputs.clone(),
            outputs: coins::outputs(self.setting, 0, coins.len()),
        };
        Prepared::new::<Exchange>(&authorize(body, &inputs, &keys))
    }

    async fn lock_by_account(&self, rows: &mut Rows<'_>) -> Outcome {
        rows.say("bank: preparing locks by account");
        let count = self.plan.requests(ACCOUNT_LOCKS_PER_SECOND_MAX);
        let mut keys = Vec::with_capacity(ACCOUNTS);
        for _ in 0..ACCOUNTS {
            let key = SigningKey::from_seed(&Secret::generate(&mut SystemRng::new()));
            self.setting
                .credit(key.verifying_key().into(), count as u64)?;
            keys.push(key);
        }
        let requests = (0..count)
            .into_par_iter()
            .map(|index| self.account_lock(&keys[index % ACCOUNTS], index))
            .collect();
        let measured = self.drive(rows, requests).await?;
        let floor_us = self.floor.verify + self.floor.sign;
        rows.add(Row::new("lock by account", &measured, floor_us, BANK))
    }

    fn account_lock(&self, key: &SigningKey, index: usize) -> Prepared {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&index.to_be_bytes());
        let account = key.verifying_key().into();
        let body = self.lock_request(Payer::Account { account, nonce });
        let signatures = vec![body.sign(key)];
        Prepared::new::<LockValue>(&Authorized { body, signatures })
    }

    /// Returns the bank's processor time for one lock.
    async fn lock_by_coins(&self, rows: &mut Rows<'_>, spent: u64) -> Outcome<f64> {
        rows.say("bank: preparing locks by coins");
        let count = self.plan.requests(LOCKS_PER_SECOND_MAX);
        let (coins, _) = self.coins(count).await?;
        let requests = coins.par_iter().map(|coin| self.coin_lock(coin)).collect();
        let measured = self.drive(rows, requests).await?;
        let floor_us = self.floor.coin_check + self.floor.verify + self.floor.sign;
        let name = format!("lock by coin, {spent} spent before");
        let row = Row::new(name, &measured, floor_us, BANK);
        let cpu_us = row.cpu_us;
        rows.add(row)?;
        Ok(cpu_us)
    }

    fn coin_lock(&self, coin: &Coin) -> Prepared {
        let inputs = vec![coin.input()];
        let body = self.lock_request(Payer::Coins(inputs.clone()));
        Prepared::new::<LockValue>(&authorize(body, &inputs, &[&coin.key]))
    }

    /// A lock of one minor unit under a hash of its own.
    fn lock_request(&self, payer: Payer) -> LockRequest {
        let preimage = Secret::<32>::generate(&mut SystemRng::new());
        let hash_lock = hash::sha256(&[preimage.expose()]);
        LockRequest {
            bank: self.setting.bank,
            hash_lock: HashLock(hash_lock),
            amount: Amount::power_of_two(0).expect("one").of(currency()),
            payee: PayeeCommitment(hash_lock),
            log_policy: self.setting.policy,
            expiry: SystemClock.now().plus(Seconds::hours(6)),
            mode: LockMode::Fast,
            dispute_window: Seconds(0),
            payer,
            change: Vec::new(),
        }
    }

    async fn coins(&self, count: usize) -> Outcome<(Vec<Coin>, Measured)> {
        coins::withdraw(self.setting, 0, count, &[&self.processes[0]]).await
    }

    async fn drive(&self, rows: &Rows<'_>, requests: Vec<Prepared>) -> Outcome<Measured> {
        rows.say("bank: measuring");
        let _aside = Aside::step();
        drive_requests(
            self.setting.address,
            self.plan.connections(CONNECTIONS),
            requests,
            self.plan.limit,
            &self.processes.each_ref(),
        )
        .await
    }
}

/// Inputs in the order that a request needs, each with its key.
fn inputs(coins: &[Coin]) -> (Vec<Input>, Vec<&SigningKey>) {
    let mut pairs: Vec<_> = coins.iter().map(|coin| (coin.input(), &coin.key)).collect();
    pairs.sort_by_key(|(input, _)| input.key);
    pairs.into_iter().unzip()
}
