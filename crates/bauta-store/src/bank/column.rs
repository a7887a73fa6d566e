//! How values stand in columns.

use bauta_proto::{
    money::{Amount, Currency},
    time::Timestamp,
};
use rusqlite::{Row, types::FromSql};

use crate::StoreError;

/// An amount always fits: that is its definition.
pub(super) fn amount(amount: Amount) -> i64 {
    i64::try_from(amount.minor_units()).unwrap_or(i64::MAX)
}

/// Moments beyond the column's range are as good as its end.
pub(super) fn time(time: Timestamp) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

/// A whole number that is not negative.
pub(super) fn count(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Damaged("number"))
}

pub(super) fn read_amount(row: &Row<'_>, column: usize) -> Result<Amount, StoreError> {
    Amount::new(count(row.get(column)?)?).ok_or(StoreError::Damaged("amount"))
}

pub(super) fn read_time(row: &Row<'_>, column: usize) -> Result<Timestamp, StoreError> {
    Ok(Timestamp(count(row.get(column)?)?))
}

pub(super) fn read_currency(row: &Row<'_>, column: usize) -> Result<Currency, StoreError> {
    let code = row.get_ref(column)?.as_str();
    code.ok()
        .and_then(|code| Currency::from_code(code).ok())
        .ok_or(StoreError::Damaged("currency"))
}

pub(super) fn read_u8(row: &Row<'_>, column: usize) -> Result<u8, StoreError> {
    row.get(column).map_err(|_| StoreError::Damaged("number"))
}

pub(super) fn read<T: FromSql>(row: &Row<'_>, column: usize) -> Result<T, StoreError> {
    Ok(row.get(column)?)
}

/// The rows of a query, each read by `read`.
pub(super) fn rows<T>(
    mut rows: rusqlite::Rows<'_>,
    mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut values = Vec::new();
    while let Some(row) = rows.next()? {
        values.push(read(row)?);
    }
    Ok(values)
}

/// The first row of a query, read by `read`, if there is one.
pub(super) fn first<T>(
    mut rows: rusqlite::Rows<'_>,
    read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    rows.next()?.map(read).transpose()
}
