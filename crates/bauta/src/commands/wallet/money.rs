//! Coins: taking them out, counting them, keeping them young.

use bauta_proto::money::Money;
use bauta_wallet::holdings::Balance;

use super::place::HttpWallet;
use crate::{
    failure::Outcome,
    report::{FAINT, Report, STRONG, WARNING, until},
};

/// Account money for coins.
pub async fn withdraw(
    mut wallet: HttpWallet,
    amount: Money,
    bank: Option<&str>,
    report: &Report,
) -> Outcome {
    let bank = wallet.find_bank(bank)?;
    let issued = wallet.withdraw(bank, amount).await?;
    report.result(&issued, |issued| {
        format!(
            "{} in {} coins. The bank will not know them again.",
            issued.value.text, issued.coins
        )
    })
}

/// What the wallet holds.
pub fn balance(wallet: &HttpWallet, report: &Report) -> Outcome {
    let balances = wallet.balance()?;
    report.result(&balances, |balances| match balances.as_slice() {
        [] => "No coins. Take some out of an account: bauta wallet withdraw AMOUNT".to_owned(),
        balances => balances
            .iter()
            .map(explain)
            .collect::<Vec<_>>()
            .join("\n\n"),
    })
}

fn explain(balance: &Balance) -> String {
    let mut lines = vec![
        format!(
            "{STRONG}{}{STRONG:#} available in {} coins",
            balance.available.text, balance.coins
        ),
        format!("  {FAINT}at bank {}{FAINT:#}", balance.bank),
    ];
    for locked in &balance.locked {
        let when = locked.until.map_or_else(
            || "the bank has not answered yet; run resume".to_owned(),
            |time| format!("returns {} if it does not pay", until(time)),
        );
        lines.push(format!(
            "  {:>12} locked for \"{}\": {when}",
            locked.amount.text, locked.title
        ));
    }
    for pending in &balance.pending {
        lines.push(format!(
            "  {:>12} pending in a {}: the bank has not answered yet; run resume",
            pending.amount.text, pending.kind
        ));
    }
    if balance.unsure.minor_units > 0 {
        lines.push(format!(
            "  {:>12} came back or may come back; resume asks the bank",
            balance.unsure.text
        ));
    }
    if let (true, Some(time)) = (balance.expiring.minor_units > 0, balance.expires_at) {
        lines.push(format!(
            "  {WARNING}{:>12} of it must be exchanged {}: bauta wallet refresh{WARNING:#}",
            balance.expiring.text,
            until(time)
        ));
    }
    lines.join("\n")
}

/// New coins for old.
pub async fn refresh(mut wallet: HttpWallet, report: &Report) -> Outcome {
    let refreshed = wallet.refresh().await?;
    report.result(&refreshed, |refreshed| {
        match refreshed.exchanged.as_slice() {
            [] => "Nothing to do: no coin expires soon.".to_owned(),
            exchanged => exchanged
                .iter()
                .map(|issued| {
                    format!(
                        "{} exchanged for {} new coins",
                        issued.value.text, issued.coins
                    )
                })
                .collect::<Vec<_>>()
                .join("\n"),
        }
    })
}
