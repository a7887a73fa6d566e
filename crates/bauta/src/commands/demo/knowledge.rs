//! Who learned what: searches the files of each role for everything that could give the customer away.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use bauta_server::config::RoleName;
use data_encoding::HEXLOWER;
use memchr::memmem;
use serde::Serialize;

use super::{
    sale::{Customer, Sale},
    town::Town,
};
use crate::{
    failure::Outcome,
    report::{BAD, FAINT, GOOD, STRONG},
};

/// Bytes searched at once.
const PIECE_BYTES: usize = 1 << 20;

/// Bytes of the shortest title that is searched for.
const TITLE_BYTES_MIN: usize = 12;

/// One fact and who holds it.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The fact.
    pub fact: &'static str,
    /// Whether the bank's files hold it.
    pub bank: bool,
    /// Whether the archive's files hold it.
    pub archive: bool,
    /// Whether the merchant's files hold it.
    pub merchant: bool,
    /// Whether a witness's files hold it.
    pub witness: bool,
    /// Who may hold it, in the same order.
    #[serde(skip)]
    allowed: [bool; 4],
}

impl Row {
    const fn found(&self) -> [bool; 4] {
        [self.bank, self.archive, self.merchant, self.witness]
    }

    /// Whether nobody holds it who must not.
    pub fn is_as_promised(&self) -> bool {
        self.found()
            .iter()
            .zip(self.allowed)
            .all(|(found, allowed)| !found || allowed)
    }
}

/// A fact with the forms in which a file could hold it, and who may (bank, archive, merchant, witness).
struct Fact {
    name: &'static str,
    forms: Vec<Vec<u8>>,
    allowed: [bool; 4],
}

impl Fact {
    fn id(name: &'static str, allowed: [bool; 4], hex: impl Iterator<Item = String>) -> Self {
        let forms = hex.flat_map(|hex| {
            let bytes = HEXLOWER.decode(hex.as_bytes()).unwrap_or_default();
            [hex.into_bytes(), bytes]
        });
        Self {
            name,
            forms: forms.filter(|form| !form.is_empty()).collect(),
            allowed,
        }
    }

    fn text(name: &'static str, allowed: [bool; 4], text: impl Iterator<Item = String>) -> Self {
        Self {
            name,
            forms: text
                .map(String::into_bytes)
                .filter(|form| !form.is_empty())
                .collect(),
            allowed,
        }
    }
}

/// A title that stands nowhere by chance. Shorter ones do, such as `key`; the description gives those goods away.
fn long_title(sale: &Sale) -> Option<String> {
    (sale.name.len() >= TITLE_BYTES_MIN).then(|| sale.name.clone())
}

/// Searches every role's folder.
pub fn look(town: &Town, customer: &Customer, sales: &[Sale]) -> Outcome<Vec<Row>> {
    let of = |field: fn(&Sale) -> Option<String>| {
        sales
            .iter()
            .filter_map(field)
            .collect::<Vec<_>>()
            .into_iter()
    };
    let (bank, archive, merchant) = (
        [true, false, false, false],
        [true, true, true, false],
        [false, false, true, false],
    );
    let facts = [
        Fact::id(
            "the account that the coins came from",
            bank,
            std::iter::once(customer.account.hex()),
        ),
        Fact::text(
            "the good's title and description",
            merchant,
            of(|sale| Some(sale.description.clone())).chain(of(long_title)),
        ),
        Fact::id(
            "the content that was bought",
            merchant,
            of(|sale| Some(sale.blake3.clone())),
        ),
        Fact::id(
            "the purchase (txid)",
            merchant,
            of(|sale| Some(sale.txid.clone())),
        ),
        Fact::id(
            "the customer's one-purchase key",
            merchant,
            of(|sale| sale.report.pseudonym.clone()),
        ),
        Fact::id(
            "the lock that paid",
            archive,
            of(|sale| Some(sale.lock_tag.clone())),
        ),
    ];
    let of_role = |role| vec![town.folder_of(role)];
    let folders = [
        of_role(RoleName::Bank),
        of_role(RoleName::Archive),
        of_role(RoleName::Merchant),
        town.witness_folders(),
    ];
    let mut rows = Vec::new();
    for fact in &facts {
        let mut found = [false; 4];
        for (found, folders) in found.iter_mut().zip(&folders) {
            for folder in folders {
                *found |= holds(folder, &fact.forms)?;
            }
        }
        let [bank, archive, merchant, witness] = found;
        rows.push(Row {
            fact: fact.name,
            bank,
            archive,
            merchant,
            witness,
            allowed: fact.allowed,
        });
    }
    Ok(rows)
}

/// Whether any file below `folder` holds any of the forms. Ciphertext is left out: it is what everybody may have.
fn holds(folder: &Path, forms: &[Vec<u8>]) -> Outcome<bool> {
    for file in files(folder)? {
        if file.extension().is_none_or(|extension| extension != "ct") && file_holds(&file, forms)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?)
        } else {
            found.push(path)
        }
    }
    Ok(found)
}

fn file_holds(path: &Path, forms: &[Vec<u8>]) -> Outcome<bool> {
    // A running role may remove a file between the listing and now; what is gone is not held.
    let Ok(mut file) = File::open(path) else {
        return Ok(false);
    };
    let finders: Vec<_> = forms.iter().map(memmem::Finder::new).collect();
    let overlap = forms.iter().map(Vec::len).max().unwrap_or(1) - 1;
    let mut piece = Vec::new();
    loop {
        let kept = piece.len().min(overlap);
        piece.drain(..piece.len() - kept);
        let read = file
            .by_ref()
            .take(PIECE_BYTES as u64)
            .read_to_end(&mut piece)?;
        if finders.iter().any(|finder| finder.find(&piece).is_some()) {
            return Ok(true);
        }
        if read == 0 {
            return Ok(false);
        }
    }
}

/// The rows as people read them.
pub fn table(rows: &[Row]) -> String {
    let mut lines = vec![format!(
        "  {STRONG}{:<37}{:>6}{:>9}{:>9}{:>9}{:>8}{STRONG:#}",
        "", "bank", "archive", "merchant", "witness", "wallet"
    )];
    for row in rows {
        let cells = row
            .found()
            .into_iter()
            .zip(row.allowed)
            .zip([6, 9, 9, 9])
            .map(|((found, allowed), width)| {
                let (style, text) = match (found, allowed) {
                    (true, true) => (GOOD, "knows"),
                    (true, false) => (BAD, "LEAKED"),
                    (false, _) => (FAINT, "-"),
                };
                format!("{style}{text:>width$}{style:#}")
            });
        lines.push(format!(
            "  {:<37}{}{GOOD}{:>8}{GOOD:#}",
            row.fact,
            cells.collect::<String>(),
            "knows"
        ));
    }
    lines.join("\n")
}
