//! Goods and their versions: changed by an operator's command, also beside a running role.

use bauta_crypto::secret::Secret;
use bauta_proto::{
    ids::{CiphertextRoot, GoodId, PlaintextRoot},
    merchant::GoodForSale,
    money::{Amount, Currency},
    offer::Terms,
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::{
    merchant::row::{integer, unsigned},
    sqlite::StoreError,
};

/// Whether a version is sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SaleState {
    /// It is.
    ForSale = 1,
    /// The operator took the good from the shelf. What was paid for is still delivered.
    Withdrawn = 2,
    /// A newer version took its place.
    Superseded = 3,
}

/// One version of a good.
#[derive(Clone, Debug)]
pub struct GoodVersion {
    /// The good.
    pub good: GoodId,
    /// Counts from 1.
    pub version: u32,
    /// Whether it is sold.
    pub state: SaleState,
    /// Everything that goes into an offer; the salt of its terms is zero.
    pub sale: GoodForSale,
    /// When it was added.
    pub added_at: Timestamp,
}

/// A change of the shelf is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShelfRefusal {
    /// There is no such good.
    #[error("the shop has no such good")]
    UnknownGood,
    /// The good is not for sale.
    #[error("the good is not for sale")]
    NotForSale,
}

const COLUMNS: &str = "good, version, state, title, file_name, media_type, description, licence, refund_rule, \
     currency, price, pt_root, pt_len, ct_root, ct_len, content_key, added_at";

/// Writes the next version of `good` and takes the one before it from the shelf.
pub(super) fn add(
    transaction: &Transaction<'_>,
    good: GoodId,
    sale: &GoodForSale,
    now: Timestamp,
) -> Result<u32, StoreError> {
    let before: Option<u32> = transaction.query_row(
        "SELECT max(version) FROM version WHERE good = ?1",
        [good.as_bytes()],
        |row| row.get(0),
    )?;
    transaction.execute(
        "UPDATE version SET state = ?2 WHERE good = ?1 AND state <> ?2",
        params![good.as_bytes(), SaleState::Superseded as u8],
    )?;
    let version = before.unwrap_or(0) + 1;
    insert(transaction, good, version, sale, now)?;
    bump(transaction)?;
    Ok(version)
}

fn insert(
    transaction: &Transaction<'_>,
    good: GoodId,
    version: u32,
    sale: &GoodForSale,
    now: Timestamp,
) -> Result<(), StoreError> {
    let terms = &sale.terms;
    transaction.execute(
        "INSERT INTO version VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        params![
            good.as_bytes(),
            version,
            SaleState::ForSale as u8,
            terms.title,
            terms.file_name,
            terms.media_type,
            terms.description,
            terms.licence,
            terms.refund_rule,
            sale.price.currency.code(),
            integer(sale.price.amount.minor_units()),
            sale.pt_root.as_bytes(),
            integer(sale.pt_len),
            sale.ct_root.as_bytes(),
            integer(sale.ct_len),
            sale.content_key.expose(),
            integer(now.0),
        ],
    )?;
    Ok(())
}

/// Takes a good from the shelf.
pub(super) fn withdraw(
    transaction: &Transaction<'_>,
    good: GoodId,
) -> Result<Result<(), ShelfRefusal>, StoreError> {
    let changed = transaction.execute(
        "UPDATE version SET state = 2 WHERE good = ?1 AND state = 1",
        [good.as_bytes()],
    )?;
    if changed > 0 {
        bump(transaction)?;
        return Ok(Ok(()));
    }
    let known = current(transaction, good)?.is_some();
    Ok(Err(if known {
        ShelfRefusal::NotForSale
    } else {
        ShelfRefusal::UnknownGood
    }))
}

fn bump(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    transaction.execute("UPDATE shelf SET revision = revision + 1", [])?;
    Ok(())
}

/// The number that goes up with every change.
pub(super) fn revision(connection: &Connection) -> Result<u64, StoreError> {
    let mut statement = connection.prepare_cached("SELECT revision FROM shelf")?;
    statement.query_row([], |row| Ok(unsigned(row, "revision")))?
}

/// The newest version of a good.
pub(super) fn current(
    connection: &Connection,
    good: GoodId,
) -> Result<Option<GoodVersion>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM version WHERE good = ?1 AND state <> 3");
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement
        .query_row([good.as_bytes()], |row| Ok(read(row)))
        .optional()?;
    found.transpose()
}

/// One version.
pub(super) fn version(
    connection: &Connection,
    good: GoodId,
    version: u32,
) -> Result<Option<GoodVersion>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM version WHERE good = ?1 AND version = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement
        .query_row(params![good.as_bytes(), version], |row| Ok(read(row)))
        .optional()?;
    found.transpose()
}

/// The newest version of every good, in the order in which they were added.
pub(super) fn all_current(connection: &Connection) -> Result<Vec<GoodVersion>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM version WHERE state <> 3 ORDER BY added_at, good");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], |row| Ok(read(row)))?;
    rows.map(|row| row?).collect()
}

/// Roots and lengths of the ciphertexts of all versions.
pub(super) fn ciphertexts(
    connection: &Connection,
) -> Result<Vec<(CiphertextRoot, u64)>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT ct_root, ct_len FROM version")?;
    let read = |row: &Row<'_>| -> Result<_, StoreError> {
        Ok((
            CiphertextRoot(row.get("ct_root")?),
            unsigned(row, "ct_len")?,
        ))
    };
    let rows = statement.query_map([], |row| Ok(read(row)))?;
    rows.map(|row| row?).collect()
}

fn read(row: &Row<'_>) -> Result<GoodVersion, StoreError> {
    let damaged = || StoreError::Damaged("good");
    let currency: String = row.get("currency")?;
    let currency = Currency::from_code(&currency).map_err(|_| damaged())?;
    let price = Amount::new(unsigned(row, "price")?).ok_or_else(damaged)?;
    let state = match row.get("state")? {
        1_u8 => SaleState::ForSale,
        2 => SaleState::Withdrawn,
        3 => SaleState::Superseded,
        _ => return Err(damaged()),
    };
    Ok(GoodVersion {
        good: GoodId(row.get("good")?),
        version: row.get("version")?,
        state,
        sale: GoodForSale {
            price: price.of(currency),
            terms: read_terms(row)?,
            pt_root: PlaintextRoot(row.get("pt_root")?),
            pt_len: unsigned(row, "pt_len")?,
            ct_root: CiphertextRoot(row.get("ct_root")?),
            ct_len: unsigned(row, "ct_len")?,
            content_key: Secret::new(row.get("content_key")?),
        },
        added_at: Timestamp(unsigned(row, "added_at")?),
    })
}

fn read_terms(row: &Row<'_>) -> Result<Terms, StoreError> {
    Ok(Terms {
        salt: [0; 32],
        title: row.get("title")?,
        file_name: row.get("file_name")?,
        media_type: row.get("media_type")?,
        description: row.get("description")?,
        licence: row.get("licence")?,
        refund_rule: row.get("refund_rule")?,
    })
}
