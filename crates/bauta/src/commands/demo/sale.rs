//! The customer of the demonstration: makes a wallet, buys, opens, compares.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use bauta_crypto::hash::ContentHasher;
use bauta_io::{HttpTransport, SystemClock, SystemRng};
use bauta_proto::{
    ids::{AccountId, BankId},
    money::{Amount, Money},
    time::Clock,
};
use bauta_server::{
    config::RoleName,
    roles::{bank::operator, merchant::goods::GoodInput},
};
use bauta_wallet::{BuyOptions, Environment, Protection, PurchaseReport, SaveOptions, Wallet};
use data_encoding::HEXLOWER;
use rand_core::Rng as _;
use serde::Serialize;

use super::{DemoOptions, town::Town};
use crate::{
    commands::{shop, wallet::progress},
    failure::{Failure, Outcome},
    report::{FAINT, Report, STRONG, length},
};

/// Bytes read at once when files are compared.
const PIECE_BYTES: usize = 1 << 20;

/// Bytes of the shortest good whose speed says something.
const SPEED_BYTES_MIN: u64 = 1 << 20;

/// One sale, as `--json` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Sale {
    /// Delivered as sold, with a verified receipt.
    pub ok: bool,
    /// What was sold.
    pub name: String,
    /// The delivered file.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Its BLAKE3 hash.
    pub blake3: String,
    /// The price in words.
    pub price: String,
    /// The purchase's name between customer and merchant.
    pub txid: String,
    /// The lock's name in public.
    pub lock_tag: String,
    /// Whether the wallet verified the log's receipt.
    pub receipt_verified: bool,
    /// From order to opened file.
    pub seconds: f64,
    /// What the good is said to be; no other text is the same.
    #[serde(skip)]
    pub description: String,
    /// What the demonstration looks for in the roles' files.
    #[serde(skip)]
    pub report: PurchaseReport,
}

/// The customer and the wallet.
pub struct Customer {
    /// The wallet.
    pub wallet: Wallet<HttpTransport>,
    /// The account from which the coins come.
    pub account: AccountId,
}

impl Customer {
    /// Makes a wallet, pays in what will be needed and withdraws it as coins.
    pub async fn arrive(town: &Town, price: Money, goods: usize, report: &Report) -> Outcome<Self> {
        let environment = Environment {
            transport: Arc::clone(&town.transport),
            clock: Arc::new(SystemClock),
            rng: Box::new(SystemRng::new()),
            observer: Box::new(progress(report.clone())),
        };
        let folder = town.folder.join("wallet");
        let mut wallet = Wallet::init(&folder, &Protection::Unprotected, environment)?;
        let bank = wallet.add_bank(&town.url(RoleName::Bank), None).await?;
        let bank_id: BankId = bank
            .bank
            .parse()
            .map_err(|error| Failure::from_error(&error))?;
        let account = wallet.account(bank_id);
        let purse = purse(price, goods)?;
        operator::credit(town.bank()?, account, purse, "demo", SystemClock.now())?;
        let issued = wallet.withdraw(bank_id, purse).await?;
        report.done(format!(
            "customer withdraws {} in {} coins that nobody can recognise",
            issued.value.text, issued.coins
        ));
        Ok(Self { wallet, account })
    }

    /// The merchant puts a file up for sale, the customer buys and opens it.
    pub async fn buy(
        &mut self,
        town: &Town,
        file: &Path,
        options: &DemoOptions,
        report: &Report,
    ) -> Outcome<Sale> {
        let good = sell(town, file, options.price, report).await?;
        let begun = Instant::now();
        let options = BuyOptions {
            price_max: Some(options.price),
            mode: options.mode.into(),
            patience: Duration::from_secs(120),
            ..BuyOptions::default()
        };
        let bought = self
            .wallet
            .buy(&town.url(RoleName::Merchant), &good.id, &options)
            .await?;
        if bought.txid.is_none() || bought.lock_tag.is_none() || !bought.receipt_verified {
            let reason = bought
                .trouble
                .unwrap_or_else(|| "it is not finished".to_owned());
            return Err(Failure::local(format!(
                "the purchase did not succeed: {reason}"
            )));
        }
        let folder = town.folder.join("bought");
        std::fs::create_dir_all(&folder)?;
        let path = self
            .wallet
            .save(bought.id, &folder, SaveOptions { overwrite: true })
            .await?;
        let seconds = begun.elapsed().as_secs_f64();
        let blake3 = hash_of(&path)?;
        let sale = Sale {
            ok: good.is_equal(&blake3, file)? && bought.receipt_verified,
            name: bought.title.clone(),
            bytes: std::fs::metadata(&path)?.len(),
            path,
            blake3,
            price: bought.price.text.clone(),
            txid: bought.txid.clone().unwrap_or_default(),
            lock_tag: bought.lock_tag.clone().unwrap_or_default(),
            receipt_verified: bought.receipt_verified,
            seconds,
            description: good.description,
            report: bought,
        };
        tell(&sale, report);
        Ok(sale)
    }
}

fn tell(sale: &Sale, report: &Report) {
    let speed = length((sale.bytes as f64 / sale.seconds.max(0.001)) as u64);
    let speed = if sale.bytes < SPEED_BYTES_MIN {
        String::new()
    } else {
        format!(" ({speed}/s)")
    };
    report.done(format!(
        "{STRONG}{}{STRONG:#} bought for {} and opened in {:.2} s{speed}",
        sale.name, sale.price, sale.seconds
    ));
    let equal = if sale.ok {
        "what was delivered equals what was sold"
    } else {
        "WHAT WAS DELIVERED IS NOT WHAT WAS SOLD"
    };
    report.say(format!(
        "  {FAINT}{equal}: blake3\n    {}{FAINT:#}",
        &sale.blake3
    ));
    report.say(format!(
        "  {FAINT}the log holds the sale, its receipt is verified: lock\n    {}{FAINT:#}",
        &sale.lock_tag
    ));
}

/// Twice what the goods cost, and a little more: nobody should withdraw to the cent.
fn purse(price: Money, goods: usize) -> Outcome<Money> {
    let units = u64::try_from(goods)
        .ok()
        .and_then(|goods| price.amount.minor_units().checked_mul(2 * goods));
    let units = units
        .and_then(|units| units.checked_add(100))
        .and_then(Amount::new);
    let amount =
        units.ok_or_else(|| Failure::local("the price is too large for the demonstration"))?;
    Ok(amount.of(price.currency))
}

/// A good on the shelf.
struct OnSale {
    id: String,
    description: String,
    pt_root: String,
}

impl OnSale {
    /// Whether the delivered file is the one that was sold: for a file byte for byte, for a folder as it was packed.
    fn is_equal(&self, delivered: &str, source: &Path) -> Outcome<bool> {
        let is_same = source.is_dir() || hash_of(source)? == delivered;
        Ok(is_same && self.pt_root == delivered)
    }
}

async fn sell(town: &Town, file: &Path, price: Money, report: &Report) -> Outcome<OnSale> {
    let mut shop = shop::open(town.merchant()?)?;
    let (path, mut bar) = (file.to_owned(), shop::bar(file, report));
    let mut mark = [0; 8];
    SystemRng::new().fill_bytes(&mut mark);
    let description = format!("sold by the demonstration, mark {}", HEXLOWER.encode(&mark));
    let input = GoodInput {
        title: shop::title_of(file),
        price,
        description: description.clone(),
        licence: String::new(),
        refund_rule: String::new(),
        media_type: None,
    };
    let added = tokio::task::spawn_blocking(move || {
        shop.add_good(&path, &input, &mut SystemRng::new(), &mut bar)
    });
    let good = added.await.map_err(|error| Failure::from_error(&error))?;
    let good = good.map_err(|error| shop::not_added(file, &error))?;
    Ok(OnSale {
        id: good.good.hex(),
        description,
        pt_root: good.pt_root.hex(),
    })
}

/// BLAKE3 of a file, in constant memory.
fn hash_of(path: &Path) -> Outcome<String> {
    let mut file = File::open(path)?;
    let mut hasher = ContentHasher::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(HEXLOWER.encode(&hasher.finalize())),
            read => hasher.update(&piece[..read]),
        };
    }
}
