//! The conservation report: all rows summed and compared with the totals that moved with them.

use bauta_proto::{
    ids::KeysetId,
    money::{Amount, Currency},
};
use rusqlite::{Connection, Row};

use super::{books::LedgerAccount, column, command::KeysetNumber};
use crate::StoreError;

/// What the books say, and whether the rows agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Per currency.
    pub currencies: Vec<CurrencyTotals>,
    /// Per keyset.
    pub keysets: Vec<KeysetTotals>,
    /// Every pair of ledger accounts between which value has moved.
    pub transfers: Vec<TransferTotal>,
    /// Where rows and totals differ; none in sound books.
    pub defects: Vec<Defect>,
}

/// A currency's totals: `reserve = accounts + circulation + locked + income`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrencyTotals {
    /// The currency.
    pub currency: Currency,
    /// Money that the bank really has.
    pub reserve: Amount,
    /// What it owes to account holders.
    pub accounts: Amount,
    /// What it owes to whoever holds coins.
    pub circulation: Amount,
    /// What it holds for locks that are not released or claimed.
    pub locked: Amount,
    /// Coins that nobody exchanged in time.
    pub income: Amount,
}

/// A keyset's totals: `issued = circulation + locked + redeemed + expired`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeysetTotals {
    /// Its short name.
    pub number: KeysetNumber,
    /// Its name.
    pub keyset: KeysetId,
    /// Its currency.
    pub currency: Currency,
    /// The worth of all outputs signed with it.
    pub issued: Amount,
    /// What can be spent.
    pub circulation: Amount,
    /// What undecided locks hold.
    pub locked: Amount,
    /// What was exchanged, or captured by a lock.
    pub redeemed: Amount,
    /// What was left when it ended.
    pub expired: Amount,
}

/// What has moved from one ledger account to another since the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferTotal {
    /// The currency.
    pub currency: Currency,
    /// The account debited.
    pub debit: LedgerAccount,
    /// The account credited.
    pub credit: LedgerAccount,
    /// How much altogether.
    pub amount: Amount,
    /// In how many transfers.
    pub count: u64,
}

/// A total that differs from the sum of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// The balances of accounts.
    #[error("the accounts' balances in {0} differ from their total")]
    Accounts(Currency),
    /// The amounts of locks.
    #[error("the locks in {0} differ from their total")]
    Locked(Currency),
    /// The keysets' circulation.
    #[error("the keysets' circulation in {0} differs from its total")]
    Circulation(Currency),
    /// The ledger's transfers.
    #[error("the transfers in {0} do not lead to the totals")]
    Transfers(Currency),
    /// Each account's entries.
    #[error("the last entry of an account in {0} differs from its balance")]
    Entries(Currency),
    /// A keyset's outputs.
    #[error("the outputs signed with keyset {} differ from their total", .0.0)]
    Issued(KeysetNumber),
    /// A keyset's coins.
    #[error("the coins of keyset {} differ from their totals", .0.0)]
    Coins(KeysetNumber),
    /// A keyset's locks.
    #[error("what locks hold of keyset {} differs from what its coins say", .0.0)]
    LockInputs(KeysetNumber),
}

pub(super) fn audit(connection: &Connection) -> Result<Audit, StoreError> {
    // One read transaction, so that the writer's batches are seen wholly or not at all.
    let view = connection.unchecked_transaction()?;
    let currencies = currencies(&view)?;
    let keysets = keysets(&view)?;
    let transfers = transfers(&view)?;
    let mut defects = Vec::new();
    for totals in &currencies {
        check_currency(&view, totals, &keysets, &transfers, &mut defects)?;
    }
    for totals in &keysets {
        check_keyset(&view, totals, &mut defects)?;
    }
    Ok(Audit {
        currencies,
        keysets,
        transfers,
        defects,
    })
}

fn currencies(connection: &Connection) -> Result<Vec<CurrencyTotals>, StoreError> {
    let mut statement = connection.prepare("SELECT * FROM books ORDER BY currency")?;
    column::rows(statement.query([])?, |row| {
        Ok(CurrencyTotals {
            currency: column::read_currency(row, 0)?,
            reserve: column::read_amount(row, 1)?,
            accounts: column::read_amount(row, 2)?,
            circulation: column::read_amount(row, 3)?,
            locked: column::read_amount(row, 4)?,
            income: column::read_amount(row, 5)?,
        })
    })
}

fn keysets(connection: &Connection) -> Result<Vec<KeysetTotals>, StoreError> {
    let mut statement = connection.prepare(
        "SELECT number, keyset, currency, issued, circulation, locked, redeemed, expired
         FROM keysets ORDER BY number",
    )?;
    column::rows(statement.query([])?, |row| {
        Ok(KeysetTotals {
            number: KeysetNumber(column::read(row, 0)?),
            keyset: KeysetId(column::read(row, 1)?),
            currency: column::read_currency(row, 2)?,
            issued: column::read_amount(row, 3)?,
            circulation: column::read_amount(row, 4)?,
            locked: column::read_amount(row, 5)?,
            redeemed: column::read_amount(row, 6)?,
            expired: column::read_amount(row, 7)?,
        })
    })
}

fn transfers(connection: &Connection) -> Result<Vec<TransferTotal>, StoreError> {
    let mut statement =
        connection.prepare("SELECT * FROM transfers ORDER BY currency, debit, credit")?;
    column::rows(statement.query([])?, |row| {
        Ok(TransferTotal {
            currency: column::read_currency(row, 0)?,
            debit: read_ledger_account(row, 1)?,
            credit: read_ledger_account(row, 2)?,
            amount: column::read_amount(row, 3)?,
            count: column::count(column::read(row, 4)?)?,
        })
    })
}

fn read_ledger_account(row: &Row<'_>, column: usize) -> Result<LedgerAccount, StoreError> {
    Ok(match column::read_u8(row, column)? {
        1 => LedgerAccount::Reserve,
        2 => LedgerAccount::Accounts,
        3 => LedgerAccount::Circulation,
        4 => LedgerAccount::Locked,
        5 => LedgerAccount::Income,
        _ => return Err(StoreError::Damaged("ledger account")),
    })
}

fn check_currency(
    connection: &Connection,
    totals: &CurrencyTotals,
    keysets: &[KeysetTotals],
    transfers: &[TransferTotal],
    defects: &mut Vec<Defect>,
) -> Result<(), StoreError> {
    let currency = totals.currency;
    let sum = |sql: &str| sum(connection, sql, currency.code());
    let units = |amount: Amount| i128::from(amount.minor_units());
    let circulation: i128 = keysets
        .iter()
        .filter(|keyset| keyset.currency == currency)
        .map(|keyset| units(keyset.circulation))
        .sum();
    let unlike_entries = sum(
        "SELECT coalesce(sum(b.balance IS NOT e.balance), 0) FROM balances b LEFT JOIN entries e
         ON e.account = b.account AND e.currency = b.currency AND e.number = b.entries WHERE b.currency = ?1",
    )?;
    let balances = sum("SELECT coalesce(sum(balance), 0) FROM balances WHERE currency = ?1")?;
    let locked = sum("SELECT coalesce(sum(amount), 0) FROM locks
         WHERE currency = ?1 AND state IN (1, 2, 3) AND claimed_by IS NULL")?;
    let checks = [
        (
            balances == units(totals.accounts),
            Defect::Accounts(currency),
        ),
        (locked == units(totals.locked), Defect::Locked(currency)),
        (
            circulation == units(totals.circulation),
            Defect::Circulation(currency),
        ),
        (unlike_entries == 0, Defect::Entries(currency)),
        (is_result_of(transfers, totals), Defect::Transfers(currency)),
    ];
    defects.extend(checks.iter().filter(|(holds, _)| !holds).map(|(_, d)| *d));
    Ok(())
}

/// Whether the transfers lead to the totals.
fn is_result_of(transfers: &[TransferTotal], totals: &CurrencyTotals) -> bool {
    let credited = |account: LedgerAccount| -> i128 {
        transfers
            .iter()
            .filter(|transfer| transfer.currency == totals.currency)
            .map(|transfer| {
                let amount = i128::from(transfer.amount.minor_units());
                amount * i128::from(transfer.credit == account)
                    - amount * i128::from(transfer.debit == account)
            })
            .sum()
    };
    let units = |amount: Amount| i128::from(amount.minor_units());
    -credited(LedgerAccount::Reserve) == units(totals.reserve)
        && credited(LedgerAccount::Accounts) == units(totals.accounts)
        && credited(LedgerAccount::Circulation) == units(totals.circulation)
        && credited(LedgerAccount::Locked) == units(totals.locked)
        && credited(LedgerAccount::Income) == units(totals.income)
}

fn check_keyset(
    connection: &Connection,
    totals: &KeysetTotals,
    defects: &mut Vec<Defect>,
) -> Result<(), StoreError> {
    let number = totals.number;
    let sum = |sql: &str| sum(connection, sql, number.0);
    let units = |amount: Amount| i128::from(amount.minor_units());
    let issued = sum("SELECT coalesce(sum(1 << exponent), 0) FROM issued WHERE keyset = ?1")?;
    let locked = sum("SELECT coalesce(sum(locked), 0) FROM coins WHERE keyset = ?1")?;
    let redeemed = sum(
        "SELECT coalesce(sum((1 << exponent) - remaining - locked), 0) FROM coins WHERE keyset = ?1",
    )?;
    let held = sum(
        "SELECT coalesce(sum(i.amount), 0) FROM lock_inputs i JOIN locks l ON l.lock_tag = i.lock_tag
         WHERE i.keyset = ?1 AND l.state IN (1, 3)",
    )?;
    let checks = [
        (issued == units(totals.issued), Defect::Issued(number)),
        (
            locked == units(totals.locked) && redeemed == units(totals.redeemed),
            Defect::Coins(number),
        ),
        (held == locked, Defect::LockInputs(number)),
    ];
    defects.extend(checks.iter().filter(|(holds, _)| !holds).map(|(_, d)| *d));
    Ok(())
}

fn sum(
    connection: &Connection,
    sql: &str,
    parameter: impl rusqlite::ToSql,
) -> Result<i128, StoreError> {
    let sum: i64 = connection.query_row(sql, [parameter], |row| row.get(0))?;
    Ok(i128::from(sum))
}
