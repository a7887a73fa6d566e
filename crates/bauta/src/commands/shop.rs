//! `bauta shop`: what a merchant does. Works on the shop's store, beside the running shop.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bauta_io::{SystemClock, SystemRng};
use bauta_proto::{
    money::Money,
    time::{Clock, Timestamp},
};
use bauta_server::roles::merchant::{
    MerchantConfig, PayeeAccount,
    goods::{AddGoodError, AddedGood, GoodInput, GoodProgress, Shop, ShopError},
    merchant_id, payee_account,
};
use bauta_store::merchant::{Actor, GoodVersion, Order, OrderState, SaleState};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::{
    arguments::ConfigFile,
    failure::{Exit, Failure, Outcome, chain},
    report::{FAINT, Report, STRONG, ago, brief, length, table},
};

/// Orders shown at most.
const ORDERS_MAX: usize = 1_000;

/// Which shop, and what to do.
#[derive(Debug, Args)]
pub struct ShopOptions {
    /// The shop's configuration
    #[command(flatten)]
    pub config: ConfigFile,
    /// What to do
    #[command(subcommand)]
    pub command: ShopCommand,
}

/// What a merchant does.
#[derive(Debug, Subcommand)]
pub enum ShopCommand {
    /// Offer a file for sale; a folder is sold as one tar file
    Add(AddOptions),
    /// Offer a new version of a good; who bought the old one keeps it
    Update {
        /// The good: the beginning of its id or title
        good: String,
        /// The new version; title and texts that are not given stay as they were
        #[command(flatten)]
        add: AddOptions,
    },
    /// List goods
    List,
    /// Take a good off the shelf
    Withdraw {
        /// The good: the beginning of its id or title
        good: String,
    },
    /// List orders with state, reason and who must act next
    Orders {
        /// Only those that are not settled
        #[arg(long)]
        open: bool,
    },
    /// Print the merchant's id and its accounts at banks
    Id,
}

/// What is sold.
#[derive(Debug, Args)]
pub struct AddOptions {
    /// The file or folder
    pub path: PathBuf,
    /// Its price, like 4.99EUR
    #[arg(long)]
    pub price: Money,
    /// What it is called in the shop [default: the file's name]
    #[arg(long)]
    pub title: Option<String>,
    /// What it is; the customer relies on it
    #[arg(long, default_value = "")]
    pub description: String,
    /// Under which licence it is sold
    #[arg(long, default_value = "")]
    pub licence: String,
    /// When money is given back
    #[arg(long, default_value = "")]
    pub refund_rule: String,
    /// Media type of the file [default: by its name]
    #[arg(long)]
    pub media_type: Option<String>,
}

/// Does it.
pub fn run(options: ShopOptions, report: &Report) -> Outcome {
    let config = options
        .config
        .load()?
        .merchant
        .ok_or_else(|| options.config.lacks("merchant"))?;
    match options.command {
        ShopCommand::Id => id(&config, report),
        ShopCommand::Add(add) => {
            let (input, mut progress) = (add.input(), bar(&add.path, report));
            let mut shop = open(&config)?;
            let good = shop.add_good(&add.path, &input, &mut SystemRng::new(), &mut progress);
            let good = good.map_err(|error| not_added(&add.path, &error))?;
            added(&good, &input, report)
        }
        ShopCommand::Update { good, add } => {
            let (mut shop, mut rng) = (open(&config)?, SystemRng::new());
            let old = find(&shop, &good)?;
            let (input, mut progress) = (add.update(&old), bar(&add.path, report));
            let good = shop.new_version(old.good, &add.path, &input, &mut rng, &mut progress);
            let good = good.map_err(|error| not_added(&add.path, &error))?;
            added(&good, &input, report)
        }
        ShopCommand::List => list(&config, report),
        ShopCommand::Withdraw { good } => {
            let mut shop = open(&config)?;
            let good = find(&shop, &good)?.good;
            let withdrawn = shop.withdraw_from_sale(good)?;
            withdrawn.map_err(|refusal| Failure::new(Exit::Refused, refusal))?;
            report.result(&serde_json::json!({ "ok": true }), |_| {
                "Off the shelf. What was ordered before is still delivered.".to_owned()
            })
        }
        ShopCommand::Orders { open: only_open } => orders(&config, only_open, report),
    }
}

/// Opens the shop's records.
pub fn open(config: &MerchantConfig) -> Outcome<Shop> {
    Ok(Shop::open(&config.data, Arc::new(SystemClock))?)
}

/// The good whose id or title begins so.
fn find(shop: &Shop, beginning: &str) -> Outcome<GoodVersion> {
    let goods = shop.goods()?;
    let is_meant = |good: &&GoodVersion| {
        good.good.hex().starts_with(beginning) || good.sale.terms.title.starts_with(beginning)
    };
    let mut meant = goods.iter().filter(is_meant);
    let problem = match (meant.next(), meant.next()) {
        (Some(good), None) => return Ok(good.clone()),
        (None, _) => "no good's id or title begins so",
        (Some(_), Some(_)) => "the ids or titles of several goods begin so",
    };
    Err(Failure::local(problem).remedy("See them with: bauta shop list"))
}

impl AddOptions {
    /// With the old version's texts where no new ones are given.
    fn update(&self, old: &GoodVersion) -> GoodInput {
        let terms = &old.sale.terms;
        let or_old = |new: &String, old: &String| if new.is_empty() { old } else { new }.clone();
        GoodInput {
            title: self.title.clone().unwrap_or_else(|| terms.title.clone()),
            description: or_old(&self.description, &terms.description),
            licence: or_old(&self.licence, &terms.licence),
            refund_rule: or_old(&self.refund_rule, &terms.refund_rule),
            ..self.input()
        }
    }

    fn input(&self) -> GoodInput {
        GoodInput {
            title: self.title.clone().unwrap_or_else(|| title_of(&self.path)),
            price: self.price,
            description: self.description.clone(),
            licence: self.licence.clone(),
            refund_rule: self.refund_rule.clone(),
            media_type: self.media_type.clone(),
        }
    }
}

/// What a good is called when nobody says: the name of its file.
pub fn title_of(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Shows how far encrypting has come.
pub fn bar(path: &Path, report: &Report) -> impl FnMut(GoodProgress) + Send + use<> {
    let bar = report.bytes_bar(&format!("encrypting {}", title_of(path)), 0);
    move |progress| {
        bar.set_length(progress.bytes_total);
        bar.set_position(progress.bytes);
        if progress.bytes >= progress.bytes_total {
            bar.finish_and_clear();
        }
    }
}

/// A good as it is listed.
#[derive(Serialize)]
struct Listed {
    good: String,
    version: u32,
    title: String,
    price: String,
    state: &'static str,
    file_name: String,
    media_type: String,
    bytes: u64,
    blake3: String,
    added_at: u64,
}

impl From<&GoodVersion> for Listed {
    fn from(version: &GoodVersion) -> Self {
        Self {
            good: version.good.hex(),
            version: version.version,
            title: version.sale.terms.title.clone(),
            price: version.sale.price.to_string(),
            state: match version.state {
                SaleState::ForSale => "for sale",
                SaleState::Withdrawn => "withdrawn",
                SaleState::Superseded => "superseded",
            },
            file_name: version.sale.terms.file_name.clone(),
            media_type: version.sale.terms.media_type.clone(),
            bytes: version.sale.pt_len,
            blake3: version.sale.pt_root.hex(),
            added_at: version.added_at.0,
        }
    }
}

fn added(good: &AddedGood, input: &GoodInput, report: &Report) -> Outcome {
    let result = serde_json::json!({
        "ok": true, "good": good.good.hex(), "version": good.version, "title": input.title,
        "price": input.price.to_string(), "file_name": good.file_name, "media_type": good.media_type,
        "bytes": good.bytes, "blake3": good.pt_root.hex(),
    });
    report.result(&result, |_| {
        format!(
            "For sale: {STRONG}{}{STRONG:#}, {} for {}, version {}\n  {FAINT}good {}{FAINT:#}",
            input.title,
            length(good.bytes),
            input.price,
            good.version,
            good.good.hex()
        )
    })
}

fn list(config: &MerchantConfig, report: &Report) -> Outcome {
    let goods: Vec<Listed> = open(config)?.goods()?.iter().map(Listed::from).collect();
    report.result(&goods, |goods| {
        let rows = goods.iter().map(|good| {
            [
                brief(&good.title),
                good.price.clone(),
                length(good.bytes),
                good.version.to_string(),
                good.state.to_owned(),
                good.good[..8].to_owned(),
            ]
        });
        if goods.is_empty() {
            return "An empty shop. Put something on the shelf: bauta shop add FILE --price 4.99EUR".to_owned();
        }
        table(["title", "price", "size", "version", "state", "good"], rows).to_string()
    })
}

/// An order as it is listed.
#[derive(Serialize)]
struct ListedOrder {
    txid: String,
    good: String,
    version: u32,
    price: String,
    state: String,
    reason: &'static str,
    acts_next: &'static str,
    answered_at: u64,
}

impl ListedOrder {
    fn new(order: &Order, now: Timestamp) -> Self {
        let standing = order.standing(now);
        Self {
            txid: order.txid.hex(),
            good: order.good.hex(),
            version: order.version,
            price: order.offer.body.price.to_string(),
            state: format!("{:?}", order.state).to_lowercase(),
            reason: standing.text,
            acts_next: match standing.next {
                Actor::Customer => "customer",
                Actor::Shop => "shop",
                Actor::Operator => "you",
                Actor::Log => "log",
                Actor::Bank => "bank",
                Actor::Nobody => "-",
            },
            answered_at: order.answered_at.0,
        }
    }
}

fn orders(config: &MerchantConfig, only_open: bool, report: &Report) -> Outcome {
    let is_open = |state: &OrderState| !matches!(state, OrderState::Claimed | OrderState::Failed);
    let states: Vec<OrderState> = OrderState::ALL
        .into_iter()
        .filter(|state| !only_open || is_open(state))
        .collect();
    let now = SystemClock.now();
    let orders = open(config)?.orders(&states, ORDERS_MAX)?;
    let orders: Vec<ListedOrder> = orders
        .iter()
        .map(|order| ListedOrder::new(order, now))
        .collect();
    report.result(&orders, |orders| {
        let rows = orders.iter().map(|order| {
            [
                ago(order.answered_at),
                order.price.clone(),
                order.state.clone(),
                order.reason.to_owned(),
                order.acts_next.to_owned(),
                order.txid[..16].to_owned(),
            ]
        });
        if orders.is_empty() {
            return "No orders.".to_owned();
        }
        table(
            [
                "when",
                "price",
                "state",
                "what it means",
                "acts next",
                "txid",
            ],
            rows,
        )
        .to_string()
    })
}

fn id(config: &MerchantConfig, report: &Report) -> Outcome {
    let seed = super::seed_of(&config.key_file)?;
    let accounts: Vec<_> = config.banks.iter().map(|bank| {
        let account = match bank.account {
            PayeeAccount::Own => payee_account(&seed, bank.bank),
            PayeeAccount::Other(account) => account,
        };
        serde_json::json!({ "bank": bank.bank.hex(), "url": bank.url, "account": account.hex() })
    }).collect();
    let merchant = merchant_id(&seed).hex();
    let result = serde_json::json!({ "ok": true, "merchant": merchant, "accounts": accounts });
    report.result(&result, |_| {
        let accounts = accounts.iter().map(|account| {
            format!(
                "\n  paid at {} into account {}",
                account["url"].as_str().unwrap_or_default(),
                account["account"].as_str().unwrap_or_default()
            )
        });
        format!("merchant {merchant}{}", accounts.collect::<String>())
    })
}

/// Why the file or folder at `path` is not for sale.
pub fn not_added(path: &Path, error: &AddGoodError) -> Failure {
    let failure = Failure::local(format!("{}: {}", path.display(), chain(error)));
    match error {
        AddGoodError::Unreadable(_) | AddGoodError::NotAFile => {
            failure.remedy("Check the path, and that you may read what is there.")
        }
        _ => failure,
    }
}

impl From<ShopError> for Failure {
    fn from(error: ShopError) -> Self {
        Self::from_error(&error)
    }
}
