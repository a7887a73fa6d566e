//! Orders as rows.

use bauta_proto::{
    codec::Message,
    ids::{AccountId, GoodId, Txid},
    offer::Mode,
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    order::{Order, OrderState, Reason},
    sale_leaf,
    transition::NewOrder,
};
use crate::sqlite::StoreError;

const COLUMNS: &str = "number, txid, good, version, answered_at, account, offer, state, due_at, accept, accepted_at, \
     sent_at, confirmed_at, captured_at, capture, reason, attempts, ended_at";

/// A number as SQLite keeps it: signed, so that what is larger stays at the end.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A column that holds no negative number.
pub(super) fn unsigned(row: &Row<'_>, column: &'static str) -> Result<u64, StoreError> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| StoreError::Damaged("number"))
}

/// Writes a new order; none if one with its id is there already.
pub(super) fn insert(connection: &Connection, new: &NewOrder) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO sale (order_id, txid, good, version, answered_at, account, offer, is_safe, state, due_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?9, 1, ?8) ON CONFLICT (order_id) DO NOTHING",
    )?;
    let inserted = statement.execute(params![
        new.request.id(),
        new.offer.body.txid().as_bytes(),
        new.request.good.as_bytes(),
        new.request.version,
        integer(new.answered_at.0),
        new.account.as_bytes(),
        new.offer.to_bytes(),
        integer(new.keep_until.0),
        new.request.mode == Mode::Safe,
    ])?;
    Ok(inserted > 0)
}

/// The order with this id.
pub(super) fn by_order_id(
    connection: &Connection,
    order_id: &[u8; 32],
) -> Result<Option<Order>, StoreError> {
    one(connection, "order_id = ?1", order_id)
}

/// The order with this offer.
pub(super) fn by_txid(connection: &Connection, txid: Txid) -> Result<Option<Order>, StoreError> {
    one(connection, "txid = ?1", txid.as_bytes())
}

fn one(connection: &Connection, key: &str, value: &[u8]) -> Result<Option<Order>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM sale WHERE {key}");
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement
        .query_row([value], |row| Ok(read(row)))
        .optional()?
        .transpose()?;
    found
        .map(|order| with_leaves(connection, order))
        .transpose()
}

/// Orders in `state` whose owner should look at them by now, those that wait longest first.
pub(super) fn due(
    connection: &Connection,
    state: OrderState,
    now: Timestamp,
    at_most: usize,
) -> Result<Vec<Order>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM sale WHERE state = {} AND ended_at IS NULL AND due_at <= ?1 ORDER BY due_at LIMIT ?2",
        state as u8
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let at_most = integer(at_most as u64);
    let rows = statement.query_map(params![integer(now.0), at_most], |row| Ok(read(row)))?;
    rows.map(|row| with_leaves(connection, row??)).collect()
}

/// Orders in any of `states` (all states if it is empty), the newest first.
pub(super) fn list(
    connection: &Connection,
    states: &[OrderState],
    at_most: usize,
) -> Result<Vec<Order>, StoreError> {
    let numbers: Vec<String> = states
        .iter()
        .map(|state| (*state as u8).to_string())
        .collect();
    let condition = match numbers.as_slice() {
        [] => String::new(),
        numbers => format!("WHERE state IN ({})", numbers.join(", ")),
    };
    let sql = format!("SELECT {COLUMNS} FROM sale {condition} ORDER BY number DESC LIMIT ?1");
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([integer(at_most as u64)], |row| Ok(read(row)))?;
    rows.map(|row| with_leaves(connection, row??)).collect()
}

fn with_leaves(connection: &Connection, mut order: Order) -> Result<Order, StoreError> {
    if order.state != OrderState::Offered {
        order.leaves = sale_leaf::of_sale(connection, integer(order.number))?;
    }
    Ok(order)
}

/// All but the leaves.
fn read(row: &Row<'_>) -> Result<Order, StoreError> {
    let damaged = || StoreError::Damaged("order");
    let reason: Option<u8> = row.get("reason")?;
    Ok(Order {
        number: unsigned(row, "number")?,
        txid: Txid(row.get("txid")?),
        good: GoodId(row.get("good")?),
        version: row.get("version")?,
        answered_at: Timestamp(unsigned(row, "answered_at")?),
        account: AccountId(row.get("account")?),
        offer: Message::from_bytes(row.get_ref("offer")?.as_blob().map_err(|_| damaged())?)
            .map_err(|_| damaged())?,
        state: OrderState::from_number(row.get("state")?).ok_or_else(damaged)?,
        due_at: Timestamp(unsigned(row, "due_at")?),
        accept: message(row, "accept")?,
        accepted_at: moment(row, "accepted_at")?,
        sent_at: moment(row, "sent_at")?,
        confirmed_at: moment(row, "confirmed_at")?,
        leaves: Vec::new(),
        captured_at: moment(row, "captured_at")?,
        capture: message(row, "capture")?,
        reason: reason
            .map(|number| Reason::from_number(number).ok_or_else(damaged))
            .transpose()?,
        attempts: row.get("attempts")?,
        ended_at: moment(row, "ended_at")?,
    })
}

fn message<M: Message>(row: &Row<'_>, column: &str) -> Result<Option<M>, StoreError> {
    let bytes = row
        .get_ref(column)?
        .as_blob_or_null()
        .map_err(|_| StoreError::Damaged("order"))?;
    bytes
        .map(|bytes| M::from_bytes(bytes).map_err(|_| StoreError::Damaged("order")))
        .transpose()
}

fn moment(row: &Row<'_>, column: &str) -> Result<Option<Timestamp>, StoreError> {
    let number: Option<i64> = row.get(column)?;
    number
        .map(|number| {
            u64::try_from(number)
                .map(Timestamp)
                .map_err(|_| StoreError::Damaged("order"))
        })
        .transpose()
}
