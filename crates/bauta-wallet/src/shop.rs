//! Shops: browsing a catalogue and finding a good in it.

use bauta_proto::{
    catalogue::{Catalogue, Listing},
    transport::{Transport, address, merchant},
};

use crate::{
    bank::checked_address,
    error::{Result, WalletError},
    observer::Send,
    wallet::Wallet,
};

/// Longest text of a catalogue that is shown, in characters.
const TEXT_CHARACTERS_MAX: usize = 16_384;

impl<T: Transport> Wallet<T> {
    /// A shop's catalogue. Its texts are the merchant's: control characters are taken out.
    ///
    /// # Errors
    /// [`WalletError::Shop`] or [`WalletError::Catalogue`].
    pub async fn catalogue(&mut self, shop_url: &str) -> Result<Catalogue> {
        let url = address(&checked_address(shop_url)?, merchant::CATALOGUE_PATH);
        let json = self
            .fetch(Send::Catalogue, url, Catalogue::BYTES_MAX)
            .await
            .map_err(WalletError::Shop)?;
        let mut catalogue: Catalogue =
            serde_json::from_slice(&json).map_err(|_| WalletError::Catalogue)?;
        catalogue.name = printable(&catalogue.name);
        catalogue.goods.iter_mut().for_each(make_printable);
        Ok(catalogue)
    }
}

/// Address of a shop and what is meant in it, from `http://shop/#good` or the two apart.
///
/// # Errors
/// [`WalletError::Address`] when the address is not one; [`WalletError::UnknownGood`] when no good is named.
pub fn parse_good_address(text: &str, good: Option<&str>) -> Result<(String, String)> {
    let (shop, fragment) = match text.split_once('#') {
        Some((shop, fragment)) => (shop, Some(fragment)),
        None => (text, None),
    };
    let good = good.or(fragment).filter(|good| !good.is_empty());
    let good = good.ok_or(WalletError::UnknownGood)?;
    Ok((checked_address(shop)?, good.to_owned()))
}

/// The good that `text` means: its id, its title, or the beginning of either.
///
/// # Errors
/// [`WalletError::UnknownGood`] or [`WalletError::AmbiguousGood`].
pub fn find_listing<'a>(catalogue: &'a Catalogue, text: &str) -> Result<&'a Listing> {
    let text = text.trim().to_lowercase();
    let exact = |listing: &&Listing| listing.good == text || listing.title.to_lowercase() == text;
    let begins = |listing: &&Listing| {
        listing.good.starts_with(&text) || listing.title.to_lowercase().starts_with(&text)
    };
    let exact: Vec<_> = catalogue.goods.iter().filter(exact).collect();
    let found = if exact.is_empty() {
        catalogue.goods.iter().filter(begins).collect()
    } else {
        exact
    };
    match found.as_slice() {
        [] => Err(WalletError::UnknownGood),
        [listing] => Ok(listing),
        _ => Err(WalletError::AmbiguousGood),
    }
}

fn make_printable(listing: &mut Listing) {
    for text in [
        &mut listing.title,
        &mut listing.description,
        &mut listing.file_name,
        &mut listing.media_type,
        &mut listing.licence,
        &mut listing.refund_rule,
        &mut listing.price,
    ] {
        *text = printable(text);
    }
}

/// Without what could steer a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| *c == '\n' || !c.is_control())
        .take(TEXT_CHARACTERS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(good: &str, title: &str) -> Listing {
        Listing {
            good: good.to_owned(),
            version: 1,
            title: title.to_owned(),
            description: String::new(),
            file_name: String::new(),
            media_type: String::new(),
            bytes: 0,
            licence: String::new(),
            refund_rule: String::new(),
            price_minor_units: 1,
            currency: "EUR".to_owned(),
            price: String::new(),
        }
    }

    #[test]
    fn a_good_is_found_by_whatever_means_it_alone() {
        let goods = vec![
            listing("aa11", "Song"),
            listing("aa22", "Song of songs"),
            listing("bb33", "Map"),
        ];
        let catalogue = Catalogue {
            modes: vec!["fast".into()],
            merchant: String::new(),
            name: String::new(),
            log_policy: String::new(),
            banks: Vec::new(),
            goods,
        };
        let found = |text: &str| find_listing(&catalogue, text).map(|found| found.good.as_str());
        assert!(matches!(found("song"), Ok("aa11")));
        assert!(matches!(found("song of"), Ok("aa22")));
        assert!(matches!(found("bb"), Ok("bb33")));
        assert!(matches!(found("aa"), Err(WalletError::AmbiguousGood)));
        assert!(matches!(found("zz"), Err(WalletError::UnknownGood)));
    }

    #[test]
    fn a_good_can_be_named_in_the_address() {
        let parsed = parse_good_address("HTTP://Shop.example/#aa11", None).expect("both");
        assert_eq!(
            parsed,
            ("http://shop.example".to_owned(), "aa11".to_owned())
        );
        assert!(parse_good_address("http://shop.example/", None).is_err());
        assert!(parse_good_address("ftp://shop.example/#aa11", None).is_err());
        assert!(parse_good_address("http://user@shop.example/#aa11", None).is_err());
    }

    #[test]
    fn a_catalogue_cannot_steer_a_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\nc"), "a[31mb\nc");
    }
}
