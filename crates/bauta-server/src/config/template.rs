//! A configuration to begin with, whose comments are the documentation of the structures' fields: they are read from
//! the source, so that manual, template and code cannot differ.

use std::fmt::Write;

use serde::Deserialize;

use super::Config;

/// A role that a configuration can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoleName {
    /// The archive.
    Archive,
}

impl RoleName {
    /// All roles, in the order of the file.
    pub const ALL: &[Self] = &[Self::Archive];

    /// The name, also of the section in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Archive => "archive",
        }
    }

    const fn section(self) -> &'static Section {
        match self {
            Self::Archive => &ARCHIVE,
        }
    }
}

impl Config {
    /// The roles that the file configures.
    #[must_use]
    pub fn roles(&self) -> Vec<RoleName> {
        let archive = self.archive.as_ref().map(|_| RoleName::Archive);
        [archive].into_iter().flatten().collect()
    }
}

/// A commented configuration for these roles in one process, which [`Config::load`] reads as it is. Optional keys are
/// there with their defaults, commented out.
#[must_use]
pub fn template(roles: &[RoleName]) -> String {
    let mut out =
        String::from("# Configuration of bauta. Relative paths count from this file's folder.\n");
    write_section(&mut out, &LOG);
    for role in RoleName::ALL.iter().filter(|role| roles.contains(role)) {
        write_section(&mut out, role.section());
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
    /// May be left out; commented out.
    Optional(&'static str),
}

use Value::{Optional, Set};

const LOG: Section = Section {
    header: "[log]",
    source: include_str!("../config.rs"),
    structure: "LogConfig",
    values: &[
        ("format", Optional("\"text\"")),
        ("level", Optional("\"info\"")),
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
            ("connections_max", Optional("4096")),
            ("requests_max", Optional("1024")),
            ("metrics_public", Optional("false")),
        ]
    };
}

const ARCHIVE: Section = Section {
    header: "[archive]",
    source: include_str!("../roles/archive/config.rs"),
    structure: "ArchiveConfig",
    values: &[
        ("data", Set("\"archive\"")),
        ("key_file", Set("\"archive.key\"")),
        ("origin", Set("\"log.example/bauta\"")),
        ("url", Optional("\"http://127.0.0.1:4002\"")),
        (
            "banks",
            Set("[\"0000000000000000000000000000000000000000000000000000000000000000\"]"),
        ),
        ("checkpoint_interval_ms", Optional("1000")),
        ("commit_span_max_s", Optional("7776000")),
        ("batch_max", Optional("1024")),
    ],
    tables: &[http("[archive.http]", http_values!("\"127.0.0.1:4002\""))],
};

fn write_section(out: &mut String, section: &Section) {
    out.push('\n');
    write_docs(out, &structure_docs(section));
    push_line(out, section.header);
    for (key, docs) in fields(section) {
        let value = section.values.iter().find(|(name, _)| *name == key);
        if let Some((_, value)) = value {
            write_docs(out, &docs);
            match value {
                Set(value) => push_line(out, &format!("{key} = {value}")),
                Optional(value) => push_line(out, &format!("#{key} = {value}")),
            }
        }
    }
    for table in section.tables {
        write_section(out, table);
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
        let fields = fields(section);
        assert!(!structure_docs(section).is_empty(), "{}", section.header);
        let nested = |key: &str| {
            let end = format!(".{key}]");
            section.tables.iter().any(|table| {
                table
                    .header
                    .trim_end_matches(']')
                    .ends_with(end.trim_end_matches(']'))
            })
        };
        for (key, docs) in &fields {
            assert!(!docs.is_empty(), "{} {key}", section.header);
            let known = section.values.iter().any(|(name, _)| name == key);
            assert!(
                known || nested(key),
                "{} {key} is not in the template",
                section.header
            );
        }
        for (key, _) in section.values {
            assert!(
                fields.iter().any(|(name, _)| name == key),
                "no such key {key}"
            );
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
        let text = template(RoleName::ALL);
        let config = Config::parse(&text).expect("loads");
        assert_eq!(config.roles(), RoleName::ALL);
        let is_optional = |line: &&str| line.starts_with('#') && !line.starts_with("# ");
        assert!(text.lines().filter(is_optional).count() > 5);
        let all = text.lines().map(|line| match line.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') => key,
            _ => line,
        });
        let all = all.collect::<Vec<_>>().join("\n");
        Config::parse(&all).expect("loads with everything");
    }

    #[test]
    fn a_template_holds_the_roles_that_were_asked_for_and_no_others() {
        assert!(!template(&[]).contains("[archive]"));
        for role in RoleName::ALL {
            let config = Config::parse(&template(&[*role])).expect("loads");
            assert_eq!(config.roles(), [*role]);
        }
    }
}
