//! Checks of the written documents: they exist, their links lead somewhere, and what the code names they explain.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Documents that must exist.
const DOCUMENTS: [&str; 10] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "docs/glossary.md",
    "docs/errors.md",
    "docs/protocol/purchase.md",
    "docs/protocol/archive.md",
    "docs/operating/archive.md",
];

/// The documents of the protocol.
const PROTOCOL: [&str; 2] = ["docs/protocol/purchase.md", "docs/protocol/archive.md"];

/// One thing that is wrong, for people to read.
pub(crate) type Defect = String;

/// Everything that is wrong with the documents.
pub(crate) fn check(workspace: &Path) -> Vec<Defect> {
    let mut defects = missing_documents(workspace);
    for path in markdown_files(workspace) {
        defects.extend(broken_links(workspace, &path));
    }
    defects.extend(unexplained_names(workspace));
    defects
}

fn missing_documents(workspace: &Path) -> Vec<Defect> {
    let is_missing = |name: &&str| text(&workspace.join(name)).trim().is_empty();
    DOCUMENTS
        .into_iter()
        .filter(is_missing)
        .map(|name| format!("{name} is missing or empty"))
        .collect()
}

/// The Markdown files at the root and under `docs`.
fn markdown_files(workspace: &Path) -> Vec<PathBuf> {
    let folders = [
        workspace.to_owned(),
        workspace.join("docs"),
        workspace.join("docs/protocol"),
        workspace.join("docs/operating"),
    ];
    let entries = folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten();
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    files.sort();
    files
}

/// Links to files or headings that do not exist.
fn broken_links(workspace: &Path, path: &Path) -> Vec<Defect> {
    let content = text(path);
    let shown = path.strip_prefix(workspace).unwrap_or(path).display();
    links(&content)
        .filter(|link| !link.contains("://") && !link.starts_with("mailto:"))
        .filter(|link| !leads_somewhere(path, &content, link))
        .map(|link| format!("{shown}: the link to {link} leads nowhere"))
        .collect()
}

/// The targets of inline links, outside code.
fn links(content: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    content
        .lines()
        .filter(move |line| {
            let is_fence = line.trim_start().starts_with("```");
            is_code ^= is_fence;
            !is_code && !is_fence
        })
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split_once(')').map(|(link, _)| link))
}

fn leads_somewhere(path: &Path, content: &str, link: &str) -> bool {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    if file.is_empty() {
        return has_heading(content, heading);
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let target = folder.join(file);
    target.exists() && (heading.is_empty() || has_heading(&text(&target), heading))
}

fn has_heading(content: &str, anchor: &str) -> bool {
    content
        .lines()
        .filter(|line| line.starts_with('#'))
        .any(|line| slug(line.trim_start_matches('#').trim()) == anchor)
}

/// A heading as the common renderers name it in links.
fn slug(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// Message types, limits and labels of the code that the protocol's description does not name, and newtypes that the
/// glossary does not.
fn unexplained_names(workspace: &Path) -> Vec<Defect> {
    let source = |path: &str| text(&workspace.join("crates").join(path));
    let messages = between(
        &source("bauta-proto/src/codec.rs"),
        "pub enum MessageType",
        "}",
    )
    .lines()
    .filter_map(|line| Some(line.trim().split_once(" = ")?.0.to_owned()))
    .collect();
    let limits = words_after(&source("bauta-proto/src/limits.rs"), "pub const ");
    let labels = words_after(&source("bauta-crypto/src/label.rs"), "pub const ");
    let ids = between(&source("bauta-proto/src/ids.rs"), "ids! {\n", "\n}")
        .lines()
        .filter_map(|line| Some(line.trim().split_once(": ")?.0.to_owned()))
        .filter(|name| !name.starts_with('/'))
        .collect();
    let mut defects = unnamed(workspace, &PROTOCOL, messages);
    defects.extend(unnamed(workspace, &PROTOCOL, limits));
    defects.extend(unnamed(workspace, &PROTOCOL, labels));
    defects.extend(unnamed(workspace, &["docs/glossary.md"], ids));
    defects
}

/// The names that none of the documents explains.
fn unnamed(workspace: &Path, documents: &[&str], names: Vec<String>) -> Vec<Defect> {
    let contents = documents
        .iter()
        .map(|document| text(&workspace.join(document)));
    let content: String = contents.collect();
    let is_named = |name: &String| content.contains(&format!("`{name}`"));
    names
        .into_iter()
        .filter(|name| !is_named(name))
        .map(|name| format!("{} does not name `{name}`", documents.join(" or ")))
        .collect()
}

/// What stands between a text and the next end after it; nothing if the text is not there.
fn between<'a>(content: &'a str, start: &str, end: &str) -> &'a str {
    content
        .split_once(start)
        .and_then(|(_, rest)| rest.split_once(end))
        .map_or("", |(inside, _)| inside)
}

/// The names that lines with this beginning declare.
fn words_after(content: &str, beginning: &str) -> Vec<String> {
    content
        .lines()
        .filter_map(|line| line.strip_prefix(beginning))
        .filter_map(|rest| rest.split_once(':'))
        .filter(|(name, _)| !name.contains(' '))
        .map(|(name, _)| name.to_owned())
        .collect()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_outside_code_are_found_and_headings_have_their_usual_anchors() {
        let content = "# A `good` day\n[x](#a-good-day) [y](there.md#z)\n```\n[no](no.md)\n```\n";
        assert_eq!(
            links(content).collect::<Vec<_>>(),
            ["#a-good-day", "there.md#z"]
        );
        assert!(has_heading(content, "a-good-day"));
        assert!(!has_heading(content, "a-bad-day"));
    }

    #[test]
    fn declared_names_are_found() {
        let content = "/// Doc.\npub const LIMIT_MAX: usize = 1;\npub const fn no(self) -> u8 {}\n";
        assert_eq!(words_after(content, "pub const "), ["LIMIT_MAX"]);
        assert_eq!(between("a { b } c", "{", "}"), " b ");
    }
}
