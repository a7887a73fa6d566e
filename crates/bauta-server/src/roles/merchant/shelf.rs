//! What the running shop knows of its goods. Another process may change them: every look asks the store whether it did.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bauta_crypto::hash;
use bauta_proto::{
    catalogue::{Catalogue, Listing},
    ids::{CiphertextRoot, GoodId},
    problem::ProblemKind,
};
use bauta_store::{
    StoreError,
    merchant::{GoodVersion, MerchantReader, SaleState},
};
use bytes::Bytes;
use data_encoding::HEXLOWER;

/// The goods of a shop, as they were when they were last asked for.
pub(super) struct Shelf {
    /// The catalogue without goods.
    front: Catalogue,
    inner: Mutex<Inner>,
}

struct Inner {
    reader: MerchantReader,
    goods: Arc<Goods>,
}

/// All goods at one revision.
#[derive(Default)]
pub(super) struct Goods {
    revision: Option<u64>,
    current: HashMap<GoodId, GoodVersion>,
    ciphertexts: HashMap<CiphertextRoot, u64>,
    catalogue: Bytes,
    entity_tag: String,
}

impl Shelf {
    pub(super) fn new(front: Catalogue, reader: MerchantReader) -> Self {
        let goods = Arc::default();
        Self {
            front,
            inner: Mutex::new(Inner { reader, goods }),
        }
    }

    /// The goods as they are now. Reads the store: for a thread that may wait a moment.
    pub(super) fn goods(&self) -> Result<Arc<Goods>, StoreError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // Read before the goods: if they change in between, the next look sees another number and reads again.
        let revision = inner.reader.revision()?;
        if inner.goods.revision != Some(revision) {
            let goods = Goods::read(&inner.reader, &self.front, revision)?;
            inner.goods = Arc::new(goods);
        }
        Ok(Arc::clone(&inner.goods))
    }
}

impl Goods {
    fn read(reader: &MerchantReader, front: &Catalogue, revision: u64) -> Result<Self, StoreError> {
        let versions = reader.goods()?;
        let for_sale = versions
            .iter()
            .filter(|good| good.state == SaleState::ForSale);
        let catalogue = Catalogue {
            goods: for_sale.map(listing).collect(),
            ..front.clone()
        };
        let catalogue = serde_json::to_vec(&catalogue).expect("strings and numbers only");
        Ok(Self {
            revision: Some(revision),
            current: versions.into_iter().map(|good| (good.good, good)).collect(),
            ciphertexts: reader.ciphertexts()?.into_iter().collect(),
            entity_tag: HEXLOWER.encode(&hash::sha256(&[&catalogue])),
            catalogue: catalogue.into(),
        })
    }

    /// The version of a good that an order may name.
    pub(super) fn for_sale(&self, good: GoodId, version: u32) -> Result<&GoodVersion, ProblemKind> {
        let found = self.current.get(&good).ok_or(ProblemKind::UnknownGood)?;
        if found.state != SaleState::ForSale {
            Err(ProblemKind::NotForSale)
        } else if found.version != version {
            Err(ProblemKind::VersionChanged)
        } else {
            Ok(found)
        }
    }

    /// The newest version of a good, if it is this one.
    pub(super) fn version(&self, good: GoodId, version: u32) -> Option<&GoodVersion> {
        let found = self.current.get(&good)?;
        (found.version == version).then_some(found)
    }

    /// The length of a ciphertext of any version that ever was for sale: whoever ordered it can still fetch it.
    pub(super) fn ciphertext_bytes(&self, root: &CiphertextRoot) -> Option<u64> {
        self.ciphertexts.get(root).copied()
    }

    /// The catalogue as JSON.
    pub(super) fn catalogue(&self) -> Bytes {
        self.catalogue.clone()
    }

    /// Changes whenever the catalogue does.
    pub(super) fn entity_tag(&self) -> &str {
        &self.entity_tag
    }
}

fn listing(good: &GoodVersion) -> Listing {
    let (sale, terms) = (&good.sale, &good.sale.terms);
    Listing {
        good: good.good.hex(),
        version: good.version,
        title: terms.title.clone(),
        description: terms.description.clone(),
        file_name: terms.file_name.clone(),
        media_type: terms.media_type.clone(),
        bytes: sale.pt_len,
        licence: terms.licence.clone(),
        refund_rule: terms.refund_rule.clone(),
        price_minor_units: sale.price.amount.minor_units(),
        currency: sale.price.currency.to_string(),
        price: sale.price.to_string(),
    }
}
