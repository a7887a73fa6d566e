//! A configuration to begin with, whose comments are the documentation of the structures' fields: they are read from
//! the source, so that manual, template and code cannot differ.

use std::fmt::Write;

use serde::Deserialize;

use super::Config;

/// A role that a configuration can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoleName {
    /// The bank.
    Bank,
    /// The archive.
    Archive,
    /// The merchant.
    Merchant,
    /// The witness.
    Witness,
}

impl RoleName {
    /// All roles, in the order of the file.
    pub const ALL: &[Self] = &[Self::Bank, Self::Archive, Self::Merchant, Self::Witness];

    /// The name, also of the section in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bank => "bank",
            Self::Archive => "archive",
            Self::Merchant => "merchant",
            Self::Witness => "witness",
        }
    }

    const fn section(self) -> &'static Section {
        match self {
            Self::Bank => &BANK,
            Self::Archive => &ARCHIVE,
            Self::Merchant => &MERCHANT,
            Self::Witness => &WITNESS,
        }
    }
}

impl Config {
    /// The roles that the file configures.
    #[must_use]
    pub fn roles(&self) -> Vec<RoleName> {
        let bank = self.bank.as_ref().map(|_| RoleName::Bank);
        let archive = self.archive.as_ref().map(|_| RoleName::Archive);
        let merchant = self.merchant.as_ref().map(|_| RoleName::Merchant);
        let witness = self.witness.as_ref().map(|_| RoleName::Witness);
        [bank, archive, merchant, witness]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// A commented configuration for these roles in one process, which [`Config::load`] reads as it is. Optional keys are
/// there with their defaults, commented out.
#[must_use]
pub fn template(roles: &[RoleName]) -> String {
    render(roles, |value| matches!(value, Set(_)))
}

/// Keys that are not `effective` are commented out.
fn render(roles: &[RoleName], effective: fn(&Value) -> bool) -> String {
    let mut out =
        String::from("# Configuration of bauta. Relative paths count from this file's folder.\n");
    write_section(&mut out, &LOG, effective);
    for role in RoleName::ALL.iter().filter(|role| roles.contains(role)) {
        write_section(&mut out, role.section(), effective);
    }
    out
}

/// A table of the file.
struct Section {
    header: &'static str,
    /// The source file that declares `structure`.
    source: &'static str,
    structure: &'static str,
    /// Every field with what the template says.
    values: &'static [(&'static str, Value)],
    /// Tables within this one.
    tables: &'static [Section],
}

/// What stands behind a key in the template.
enum Value {
    /// To be set, here with an example.
    Set(&'static str),
    /// May be left out, and this is what holds then.
    Default(&'static str),
    /// May be left out; an example.
    Optional(&'static str),
}

use Value::{Default, Optional, Set};

const LOG: Section = Section {
    header: "[log]",
    source: include_str!("../config.rs"),
    structure: "LogConfig",
    values: &[
        ("format", Default("\"text\"")),
        ("level", Default("\"info\"")),
    ],
    tables: &[],
};

const fn http(header: &'static str, listen: &'static [(&'static str, Value)]) -> Section {
    Section {
        header,
        source: include_str!("../config.rs"),
        structure: "HttpConfig",
        values: listen,
        tables: &[],
    }
}

/// The keys of an `http` table that listens on this address.
macro_rules! http_values {
    ($listen:literal) => {
        &[
            ("listen", Set($listen)),
            ("certificate", Optional("\"certificate.pem\"")),
            ("certificate_key", Optional("\"certificate-key.pem\"")),
            ("connections_max", Default("4096")),
            ("requests_max", Default("1024")),
            ("metrics_public", Default("false")),
        ]
    };
}

const BANK: Section = Section {
    header: "[bank]",
    source: include_str!("../roles/bank/config.rs"),
    structure: "BankConfig",
    values: &[
        ("data", Set("\"bank\"")),
        ("key_file", Set("\"bank.key\"")),
        ("name", Set("\"Example bank\"")),
        ("currencies", Set("[\"EUR\"]")),
        ("log_policy", Set("\"log-policy\"")),
        ("exponent_max", Default("24")),
        ("issue_days", Default("30")),
        ("spend_days", Default("90")),
        ("settle_days", Default("180")),
        ("announce_days", Default("7")),
        ("lock_span_max_s", Default("2592000")),
        ("claim_days", Default("7")),
        ("dispute_window_max_s", Default("2592000")),
        ("follow_interval_ms", Default("1000")),
        ("batch_max", Default("256")),
    ],
    tables: &[http("[bank.http]", http_values!("\"127.0.0.1:4001\""))],
};

const ARCHIVE: Section = Section {
    header: "[archive]",
    source: include_str!("../roles/archive/config.rs"),
    structure: "ArchiveConfig",
    values: &[
        ("data", Set("\"archive\"")),
        ("key_file", Set("\"archive.key\"")),
        ("origin", Set("\"log.example/bauta\"")),
        ("url", Optional("\"http://127.0.0.1:4002\"")),
        ("log_policy", Optional("\"log-policy\"")),
        ("disbelieved_witnesses", Default("[]")),
        ("witness_timeout_ms", Default("3000")),
        ("witness_grace_ms", Default("100")),
        (
            "banks",
            Set("[\"0000000000000000000000000000000000000000000000000000000000000000\"]"),
        ),
        ("policies", Default("[]")),
        ("shard_days", Default("0")),
        ("shards_ahead", Optional("5")),
        ("retention_days", Optional("730")),
        ("claim_days", Default("30")),
        ("checkpoint_interval_ms", Default("1000")),
        ("commit_span_max_s", Default("7776000")),
        ("batch_max", Default("1024")),
    ],
    tables: &[http("[archive.http]", http_values!("\"127.0.0.1:4002\""))],
};

const MERCHANT: Section = Section {
    header: "[merchant]",
    source: include_str!("../roles/merchant/config.rs"),
    structure: "MerchantConfig",
    values: &[
        ("data", Set("\"merchant\"")),
        ("key_file", Set("\"merchant.key\"")),
        ("name", Set("\"Example shop\"")),
        ("log_policy", Set("\"log-policy\"")),
        (
            "banks",
            Set(
                "[{ bank = \"0000000000000000000000000000000000000000000000000000000000000000\", \
                 url = \"http://127.0.0.1:4001\", account = \"own\" }]",
            ),
        ),
        ("modes", Default("[\"fast\", \"safe\"]")),
        ("offer_minutes", Default("15")),
        ("lock_min_s", Optional("14")),
        ("lock_max_s", Optional("3614")),
        ("reveal_window_s", Default("300")),
        ("dispute_window_s", Default("604800")),
        ("checkpoint_interval_s", Default("2")),
        ("bank_round_trip_s", Default("10")),
        ("claim_interval_ms", Default("5000")),
        ("offers_max", Default("1000000")),
        ("batch_max", Default("256")),
    ],
    tables: &[http("[merchant.http]", http_values!("\"127.0.0.1:4003\""))],
};

const WITNESS: Section = Section {
    header: "[witness]",
    source: include_str!("../roles/witness/config.rs"),
    structure: "WitnessConfig",
    values: &[
        ("data", Set("\"witness\"")),
        ("key_file", Set("\"witness.key\"")),
        ("name", Set("\"witness.example/w1\"")),
        ("logs", Default("[]")),
        ("log_policy", Optional("\"log-policy\"")),
    ],
    tables: &[http("[witness.http]", http_values!("\"127.0.0.1:4004\""))],
};

fn write_section(out: &mut String, section: &Section, effective: fn(&Value) -> bool) {
    out.push('\n');
    write_docs(out, &structure_docs(section));
    push_line(out, section.header);
    for (key, docs) in fields(section) {
        let value = section.values.iter().find(|(name, _)| *name == key);
        if let Some((_, value)) = value {
            write_docs(out, &docs);
            let mark = if effective(value) { "" } else { "#" };
            push_line(out, &format!("{mark}{key} = {}", value.text()));
        }
    }
    for table in section.tables {
        write_section(out, table, effective);
    }
}

impl Value {
    const fn text(&self) -> &'static str {
        match self {
            Set(text) | Default(text) | Optional(text) => text,
        }
    }
}

fn write_docs(out: &mut String, docs: &[&str]) {
    for line in docs {
        writeln!(out, "# {line}").expect("writing to a string does not fail");
    }
}

fn push_line(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

/// The documentation above the structure.
fn structure_docs(section: &Section) -> Vec<&'static str> {
    let lines: Vec<_> = section.source.lines().map(str::trim).collect();
    let declared = lines.iter().position(|line| is_declaration(line, section));
    let above = lines[..declared.unwrap_or(0)].iter().rev();
    let mut docs: Vec<_> = above
        .take_while(|line| line.starts_with("///") || line.starts_with("#["))
        .filter_map(|line| line.strip_prefix("/// "))
        .collect();
    docs.reverse();
    docs
}

/// The structure's fields with their documentation, in order.
fn fields(section: &Section) -> Vec<(&'static str, Vec<&'static str>)> {
    let mut lines = section.source.lines().map(str::trim);
    lines.by_ref().find(|line| is_declaration(line, section));
    let mut fields = Vec::new();
    let mut docs = Vec::new();
    for line in lines.take_while(|line| *line != "}") {
        if let Some(text) = line.strip_prefix("/// ") {
            docs.push(text);
        } else if let Some((key, _type)) = line
            .strip_prefix("pub ")
            .and_then(|field| field.split_once(':'))
        {
            fields.push((key, std::mem::take(&mut docs)));
        }
    }
    fields
}

fn is_declaration(line: &str, section: &Section) -> bool {
    line.strip_prefix("pub struct ")
        .and_then(|rest| rest.strip_suffix(" {"))
        .is_some_and(|name| name == section.structure)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(section: &Section) {
        let (fields, header) = (fields(section), section.header);
        assert!(!structure_docs(section).is_empty(), "{header}");
        let is_table = |key: &str| {
            let nested = format!("{}.{key}]", header.trim_end_matches(']'));
            section.tables.iter().any(|table| table.header == nested)
        };
        for (key, docs) in &fields {
            assert!(!docs.is_empty(), "{header} {key}");
            let is_value = section.values.iter().any(|(name, _)| name == key);
            assert!(is_value || is_table(key), "{header} {key} is missing");
        }
        for (key, _) in section.values {
            assert!(fields.iter().any(|(name, _)| name == key), "{header} {key}");
        }
        section.tables.iter().for_each(check);
    }

    #[test]
    fn every_field_is_in_the_template_with_its_documentation() {
        check(&LOG);
        RoleName::ALL.iter().for_each(|role| check(role.section()));
    }

    #[test]
    fn the_template_loads_as_it_is_and_with_every_optional_key() {
        for text in [template(RoleName::ALL), render(RoleName::ALL, |_| true)] {
            let config = Config::parse(&text).expect("loads");
            assert_eq!(config.roles(), RoleName::ALL);
        }
    }

    #[test]
    fn what_the_template_calls_a_default_is_the_default() {
        let written = render(RoleName::ALL, |value| !matches!(value, Optional(_)));
        let written = Config::parse(&written).expect("loads");
        let left_out = Config::parse(&template(RoleName::ALL)).expect("loads");
        assert_eq!(format!("{written:?}"), format!("{left_out:?}"));
    }

    #[test]
    fn a_template_holds_the_roles_that_were_asked_for_and_no_others() {
        for role in RoleName::ALL {
            let config = Config::parse(&template(&[*role])).expect("loads");
            assert_eq!(config.roles(), [*role]);
        }
    }
}
