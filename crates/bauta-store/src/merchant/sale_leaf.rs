//! What each log said about a sale's leaves.

use bauta_proto::{
    codec::{Message, Signed},
    log::leaf::Deed,
    submission::Promise,
};
use rusqlite::{Connection, Row, params};

use crate::sqlite::StoreError;

/// A log's promise about one leaf of a sale, and whether it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaleLeaf {
    /// The log's name, as in its promises.
    pub log: [u8; 32],
    /// What the leaf does.
    pub deed: Deed,
    /// The promise.
    pub promise: Signed<Promise>,
    /// Whether the promise went to the customer with the preimage.
    pub is_told: bool,
    /// The tlog-proof of the leaf in a checkpoint that is early for the deed, as text.
    pub receipt: Option<Vec<u8>>,
    /// The checkpoint that shows that the log broke its promise, as text.
    pub evidence: Option<Vec<u8>>,
}

/// All that logs said about a sale.
pub(super) fn of_sale(connection: &Connection, number: i64) -> Result<Vec<SaleLeaf>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT deed, log, promise, is_told, receipt, evidence FROM sale_leaf WHERE sale = ?1 ORDER BY deed, log",
    )?;
    let rows = statement.query_map([number], |row| Ok(read(row)))?;
    rows.map(|row| row?).collect()
}

/// Writes promises about a sale that still needs them; one that is there already stays.
pub(super) fn insert(
    connection: &Connection,
    txid: &[u8],
    deed: Deed,
    promises: &[Signed<Promise>],
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO sale_leaf (sale, deed, log, promise) \
         SELECT number, ?2, ?3, ?4 FROM sale WHERE txid = ?1 AND state IN (3, 4, 5, 10) \
         ON CONFLICT DO NOTHING",
    )?;
    for promise in promises {
        statement.execute(params![
            txid,
            deed as u8,
            promise.body.log,
            promise.to_bytes()
        ])?;
    }
    Ok(())
}

/// Notes the proof that a log kept its promise.
pub(super) fn keep_receipt(
    connection: &Connection,
    txid: &[u8],
    (log, deed): (&[u8; 32], Deed),
    receipt: &[u8],
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "UPDATE sale_leaf SET receipt = ?4 WHERE sale = (SELECT number FROM sale WHERE txid = ?1) \
         AND log = ?2 AND deed = ?3 AND receipt IS NULL AND evidence IS NULL",
    )?;
    statement.execute(params![txid, log, deed as u8, receipt])?;
    Ok(())
}

/// Notes the proof that a log broke its promise.
pub(super) fn keep_evidence(
    connection: &Connection,
    txid: &[u8],
    (log, deed): (&[u8; 32], Deed),
    evidence: &[u8],
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "UPDATE sale_leaf SET evidence = ?4 WHERE sale = (SELECT number FROM sale WHERE txid = ?1) \
         AND log = ?2 AND deed = ?3 AND receipt IS NULL AND evidence IS NULL",
    )?;
    statement.execute(params![txid, log, deed as u8, evidence])?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<SaleLeaf, StoreError> {
    let damaged = || StoreError::Damaged("promise");
    let number: u8 = row.get("deed")?;
    let deed = Deed::ALL.into_iter().find(|deed| *deed as u8 == number);
    let promise = row.get_ref("promise")?.as_blob().map_err(|_| damaged())?;
    Ok(SaleLeaf {
        log: row.get("log")?,
        deed: deed.ok_or_else(damaged)?,
        promise: Message::from_bytes(promise).map_err(|_| damaged())?,
        is_told: row.get("is_told")?,
        receipt: row.get("receipt")?,
        evidence: row.get("evidence")?,
    })
}
