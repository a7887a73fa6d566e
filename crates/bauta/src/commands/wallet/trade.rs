//! Browsing, buying, opening, and going on after a break.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use bauta_proto::{catalogue::Catalogue, time::Seconds};
use bauta_wallet::{
    BuyOptions as Buying, CancelOutcome, PurchaseId, PurchaseReport, PurchaseState,
    SaveOptions as Saving, WalletError, purchase::ResumeReport, shop,
};

use super::{BuyOptions, SaveOptions, place::HttpWallet};
use crate::{
    failure::{Exit, Failure, Outcome},
    report::{BAD, FAINT, GOOD, Report, STRONG, ago, brief, length, table, until},
};

/// How long to wait for the outcome of a cancel; it goes on with resume.
const CANCEL_PATIENCE: Duration = Duration::from_secs(60);

/// Shows a shop's goods.
pub async fn shop(mut wallet: HttpWallet, url: &str, report: &Report) -> Outcome {
    let catalogue = wallet.catalogue(url).await?;
    report.result(&catalogue, |catalogue| shelf(catalogue, url))
}

fn shelf(catalogue: &Catalogue, url: &str) -> String {
    let rows = catalogue.goods.iter().map(|good| {
        [
            brief(&good.title),
            good.price.clone(),
            length(good.bytes),
            brief(&good.description),
            good.good[..8.min(good.good.len())].to_owned(),
        ]
    });
    let goods = table(["title", "price", "size", "description", "good"], rows);
    let example = catalogue
        .goods
        .first()
        .map_or("", |good| &good.good[..8.min(good.good.len())]);
    format!(
        "{STRONG}{}{STRONG:#}\n{goods}\n{FAINT}bauta wallet buy {url} {example}{FAINT:#}",
        catalogue.name
    )
}

/// Buys one good.
pub async fn buy(mut wallet: HttpWallet, options: &BuyOptions, report: &Report) -> Outcome {
    let output = options.output.as_deref();
    let output = output.map(Destination::check).transpose()?;
    let (url, good) = choose(&mut wallet, options).await?;
    let catalogue = wallet.catalogue(&url).await?;
    let listing = shop::find_listing(&catalogue, &good)?;
    let price = listing.price.clone();
    if !options.yes {
        confirm(
            report,
            &format!(
                "Buy \"{}\" from {} for {price}?",
                listing.title, catalogue.name
            ),
        )?;
    }
    let bank = options
        .bank
        .as_deref()
        .map(|bank| wallet.find_bank(Some(bank)))
        .transpose()?;
    let listed = bauta_proto::money::Amount::new(listing.price_minor_units)
        .zip(listing.currency.parse().ok())
        .map(|(amount, currency)| amount.of(currency));
    let buying = Buying {
        // What was shown and agreed to is the most that is paid, even if the shop changes its mind in between.
        price_max: options.max.or(listed),
        bank,
        mode: options.mode.into(),
        lock_span: options.lock_for.map(Seconds),
        from_account: options.from_account,
        ..Buying::default()
    };
    let good = listing.good.clone();
    let bought = wallet.buy(&url, &good, &buying).await?;
    let saved = match output {
        Some(output) if is_delivered(&bought) => {
            let path = output.path_for(&bought);
            wallet.save(bought.id, &path, Saving::default()).await
        }
        _ => {
            tell_bought(&bought, None, report)?;
            return outcome(&bought);
        }
    };
    match saved {
        Ok(path) => tell_bought(&bought, Some(&path), report),
        Err(error) => {
            tell_bought(&bought, None, report)?;
            let failure = Failure::from(error);
            let message = format!("bought, but not saved: {}", failure.message);
            let remedy = format!("Save it with: bauta wallet save {} PATH", bought.id);
            Err(Failure::new(failure.exit, message).remedy(remedy).told())
        }
    }
}

fn tell_bought(bought: &PurchaseReport, saved: Option<&Path>, report: &Report) -> Outcome {
    let result =
        serde_json::json!({ "ok": is_delivered(bought), "purchase": bought, "path": saved });
    report.result(&result, |_| {
        let end = saved.map(|path| format!("\nSaved as {}", path.display()));
        describe(bought) + &end.unwrap_or_else(|| how_to_save(bought))
    })
}

/// Where a good will be saved, looked at before anything is paid.
enum Destination {
    Folder(PathBuf),
    NewFile(PathBuf),
}

impl Destination {
    fn check(path: &Path) -> Outcome<Self> {
        let refused = |what: &str, path: &Path, remedy| {
            Err(Failure::local(format!("{what} {}", path.display())).remedy(remedy))
        };
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        if path.exists() {
            let remedy = "Nothing was bought. Choose another name, or a folder.";
            return refused("there is already a file", path, remedy);
        }
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        let folder = if has_trailing_separator(path) {
            Some(path)
        } else {
            folder
        };
        match folder {
            Some(folder) if !folder.is_dir() => {
                let remedy = "Nothing was bought. Make the folder first.";
                refused("there is no folder", folder, remedy)
            }
            _ => Ok(Self::NewFile(path.to_owned())),
        }
    }

    /// The file's path: in a folder, under a name that is still free.
    fn path_for(self, bought: &PurchaseReport) -> PathBuf {
        match (self, &bought.file_name) {
            (Self::Folder(folder), Some(name)) => free_path(&folder, name),
            (Self::Folder(path) | Self::NewFile(path), _) => path,
        }
    }
}

fn has_trailing_separator(path: &Path) -> bool {
    let text = path.as_os_str().as_encoded_bytes();
    text.last()
        .is_some_and(|last| std::path::is_separator(char::from(*last)))
}

/// `photo.jpg`, or `photo (2).jpg` if there is one already.
fn free_path(folder: &Path, name: &str) -> PathBuf {
    let (stem, extension) = match name.rfind('.') {
        Some(dot) if dot > 0 => name.split_at(dot),
        _ => (name, ""),
    };
    let numbered = (2..10_000).map(|number| format!("{stem} ({number}){extension}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    let free = names.find(|name| folder.join(name).symlink_metadata().is_err());
    folder.join(free.unwrap_or_else(|| name.to_owned()))
}

async fn choose(wallet: &mut HttpWallet, options: &BuyOptions) -> Outcome<(String, String)> {
    match shop::parse_good_address(&options.url, options.good.as_deref()) {
        Err(WalletError::UnknownGood) => {
            let catalogue = wallet.catalogue(&options.url).await?;
            match catalogue.goods.as_slice() {
                [only] => Ok((options.url.clone(), only.good.clone())),
                _ => Err(Failure::local("the shop has several goods: say which one")
                    .remedy(format!("See them with: bauta wallet shop {}", options.url))),
            }
        }
        found => Ok(found?),
    }
}

fn confirm(report: &Report, question: &str) -> Outcome {
    if !report.may_ask() {
        return Err(Failure::local("nobody can be asked whether to pay")
            .remedy("Say so beforehand with --yes."));
    }
    anstream::eprint!("{question} [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::local("not bought")),
    }
}

fn is_delivered(purchase: &PurchaseReport) -> bool {
    matches!(
        purchase.state,
        PurchaseState::Delivered | PurchaseState::Complete
    )
}

/// Goods are success; money back is a refusal; anything between goes on later.
fn outcome(purchase: &PurchaseReport) -> Outcome {
    let reason = purchase
        .trouble
        .clone()
        .unwrap_or_else(|| "the purchase is not finished".to_owned());
    match purchase.state {
        _ if is_delivered(purchase) => Ok(()),
        PurchaseState::Returned | PurchaseState::Refused => {
            Err(Failure::new(Exit::Refused, reason).told())
        }
        _ => Err(Failure::new(Exit::TryAgain, reason)
            .told()
            .remedy("Nothing is lost. Go on with: bauta wallet resume --wait")),
    }
}

/// What to type to have the file, once it can be had.
fn how_to_save(purchase: &PurchaseReport) -> String {
    if is_delivered(purchase) {
        format!("\n{FAINT}bauta wallet save {} .{FAINT:#}", purchase.id)
    } else {
        String::new()
    }
}

/// One purchase in words.
fn describe(purchase: &PurchaseReport) -> String {
    let (style, state) = match purchase.state {
        PurchaseState::Complete => (GOOD, "delivered; the receipt is verified"),
        PurchaseState::Delivered => (GOOD, "delivered; the receipt is still to come"),
        PurchaseState::Returned => (BAD, "not delivered; the money is back"),
        PurchaseState::Refused => (BAD, "ended; nothing was paid"),
        PurchaseState::Locked if purchase.cancel == Some(CancelOutcome::Wanted) => {
            (FAINT, "cancelled; the logs have not decided yet")
        }
        PurchaseState::Locked => (FAINT, "the money is locked, the goods are not here yet"),
        PurchaseState::Locking => (FAINT, "the bank has not answered yet"),
        PurchaseState::Ordering | PurchaseState::Downloading | PurchaseState::Ready => {
            (FAINT, "nothing is paid yet")
        }
    };
    let optional = [
        ("txid", purchase.txid.clone()),
        ("lock", purchase.lock_tag.clone()),
        (
            "file",
            purchase
                .file_name
                .clone()
                .zip(purchase.bytes)
                .map(|(name, bytes)| format!("{name} ({})", length(bytes))),
        ),
        ("blake3", purchase.blake3.clone()),
        (
            "expiry",
            purchase
                .expires_at
                .filter(|_| !is_delivered(purchase))
                .map(until),
        ),
        (
            "cancel",
            purchase
                .cancellable_until
                .map(|moment| format!("until the seller commits, {} at the latest", until(moment))),
        ),
        (
            "licence",
            purchase.licence.clone().filter(|text| !text.is_empty()),
        ),
        (
            "refund",
            purchase.refund_rule.clone().filter(|text| !text.is_empty()),
        ),
        ("defect", purchase.defect.map(|defect| defect.to_string())),
        (
            "trouble",
            purchase.trouble.clone().filter(|_| !is_delivered(purchase)),
        ),
    ];
    let details = optional
        .into_iter()
        .filter_map(|(name, value)| Some(format!("\n  {name:<8}{}", value?)));
    let paid = if purchase.named {
        "from your account"
    } else {
        "in coins"
    };
    format!(
        "{STRONG}{}{STRONG:#}, {} {paid}, {}\n  {:<8}{}\n  {:<8}{style}{state}{style:#}{}",
        purchase.title,
        purchase.price.text,
        ago(purchase.created_at),
        "id",
        purchase.id,
        "state",
        details.collect::<String>()
    )
}

/// Lists purchases.
pub fn list(wallet: &HttpWallet, report: &Report) -> Outcome {
    let purchases = wallet.list()?;
    report.result(&purchases, |purchases| {
        let rows = purchases.iter().map(|purchase| {
            let state = serde_json::to_value(purchase.state).ok();
            let mut state = state
                .and_then(|state| state.as_str().map(str::to_owned))
                .unwrap_or_default();
            if let Some(moment) = purchase.cancellable_until {
                state += &format!(", cancellable {}", until(moment));
            }
            [
                ago(purchase.created_at),
                brief(&purchase.title),
                purchase.price.text.clone(),
                state,
                purchase.id.to_string(),
            ]
        });
        if purchases.is_empty() {
            return "Nothing bought yet. Look around: bauta wallet shop URL".to_owned();
        }
        table(["when", "title", "price", "state", "id"], rows).to_string()
    })
}

/// Shows one purchase.
pub fn show(wallet: &HttpWallet, purchase: &str, report: &Report) -> Outcome {
    let purchase = wallet.show(wallet.find_purchase(purchase)?)?;
    report.result(&purchase, describe)
}

/// Prints the proof that the log holds the purchase's commit.
pub fn receipt(wallet: &HttpWallet, purchase: &str, report: &Report) -> Outcome {
    let receipt = wallet.receipt(wallet.find_purchase(purchase)?)?;
    report.result(
        &serde_json::json!({ "ok": true, "receipt": receipt }),
        |_| receipt.clone(),
    )
}

/// Gives up a purchase, and says how that ended.
pub async fn cancel(mut wallet: HttpWallet, purchase: &str, report: &Report) -> Outcome {
    let id = wallet.find_purchase(purchase)?;
    wallet.cancel(id)?;
    let ended = wallet.finish_purchase(id, CANCEL_PATIENCE).await?;
    let is_back = matches!(
        ended.state,
        PurchaseState::Returned | PurchaseState::Refused
    );
    let result = serde_json::json!({ "ok": is_back, "purchase": ended });
    report.result(&result, |_| describe(&ended) + &how_to_save(&ended))?;
    match ended.cancel {
        _ if is_back => Ok(()),
        Some(CancelOutcome::Wanted) => outcome(&ended),
        _ => {
            let reason = "too late to cancel: the seller had prepared, and the purchase goes on";
            Err(Failure::new(Exit::Refused, reason).told())
        }
    }
}

/// Saves a good as a file.
pub async fn save(mut wallet: HttpWallet, options: &SaveOptions, report: &Report) -> Outcome {
    let id = wallet.find_purchase(&options.purchase)?;
    let path = options.path.clone().unwrap_or_else(|| PathBuf::from("."));
    let saved = wallet
        .save(
            id,
            &path,
            Saving {
                overwrite: options.force,
            },
        )
        .await?;
    report.result(&serde_json::json!({ "ok": true, "path": saved }), |_| {
        saved.display().to_string()
    })
}

/// Saves a good into a folder of its own and hands it to the program that opens such files.
pub async fn open(mut wallet: HttpWallet, purchase: &str, report: &Report) -> Outcome {
    let id: PurchaseId = wallet.find_purchase(purchase)?;
    let folder = tempfile::Builder::new().prefix("bauta-").tempdir()?.keep();
    let saved = wallet.save(id, &folder, Saving::default()).await?;
    start_viewer(&saved).map_err(|error| {
        Failure::local(format!("no program could be started: {error}")).remedy(format!(
            "The file is {}; open it yourself.",
            saved.display()
        ))
    })?;
    report.result(&serde_json::json!({ "ok": true, "path": saved }), |_| {
        saved.display().to_string()
    })
}

fn start_viewer(path: &Path) -> std::io::Result<()> {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let mut viewer = Command::new(program);
    viewer
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    viewer.spawn().map(|_running| ())
}

/// Goes on with everything that was interrupted.
pub async fn resume(mut wallet: HttpWallet, wait: bool, report: &Report) -> Outcome {
    loop {
        let resumed = wallet.resume().await?;
        let is_over = resumed.waiting.is_empty() && resumed.troubles.is_empty();
        // Without a time to come again there is nothing that waiting would mend.
        if is_over || !wait || resumed.again_at.is_none() {
            return finish(&resumed, report);
        }
        let now = bauta_proto::time::Clock::now(&bauta_io::SystemClock).0;
        let pause = resumed
            .again_at
            .unwrap_or(now)
            .saturating_sub(now)
            .clamp(1, 15);
        report.say(format!(
            "  {} purchases are undecided; asking again in {pause} s",
            resumed.waiting.len()
        ));
        tokio::time::sleep(Duration::from_secs(pause)).await;
    }
}

fn finish(resumed: &ResumeReport, report: &Report) -> Outcome {
    report.result(resumed, |resumed| {
        let tell = |purchase| describe(purchase) + &how_to_save(purchase);
        let ended = resumed.ended.iter().map(tell);
        let waiting = resumed.waiting.iter().map(tell);
        let troubles = resumed.troubles.iter().map(|trouble| {
            format!(
                "{BAD}!{BAD:#} {}\n  {FAINT}{}{FAINT:#}",
                trouble.error, trouble.remedy
            )
        });
        let all: Vec<String> = ended.chain(waiting).chain(troubles).collect();
        if all.is_empty() {
            "Nothing was interrupted.".to_owned()
        } else {
            all.join("\n")
        }
    })?;
    if resumed.waiting.is_empty() && resumed.troubles.is_empty() {
        return Ok(());
    }
    let when = resumed.again_at.map_or_else(|| "later".to_owned(), until);
    let has_goods = resumed.troubles.is_empty() && resumed.waiting.iter().all(is_delivered);
    let message = if has_goods {
        "the goods are here, a receipt is still to come"
    } else {
        "not everything is decided yet"
    };
    Err(Failure::new(Exit::TryAgain, message).told().remedy(format!(
        "Nothing is lost. Run resume again {when}, or with --wait."
    )))
}
