//! What the README tells people to type is what works.

use std::{fs, path::Path, process::Command};

use crate::{
    process::{Output, bauta, run},
    town::{Plan, ROLES, Town},
};

const README: &str = include_str!("../../../../README.md");
const SECTION: &str = "## Run the roles yourself";

/// The section's commands, without comments and without the program's name.
fn commands() -> Vec<String> {
    let (_, section) = README.split_once(SECTION).expect("the section is there");
    let section = section.split("\n## ").next().unwrap_or_default();
    let lines = section
        .lines()
        .filter_map(|line| line.strip_prefix("bauta "));
    let bare = lines.map(|line| line.split(" #").next().unwrap_or_default().trim());
    bare.map(str::to_owned).collect()
}

/// A line as a shell would split it.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('"').enumerate();
    parts
        .flat_map(|(number, part)| match number % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        })
        .collect()
}

fn in_folder(folder: &Path, line: &str) -> Command {
    let mut command = bauta();
    command
        .current_dir(folder)
        .env("BAUTA_WALLET", folder.join("wallet"))
        .args(["--json", "--no-input"])
        .args(words(line));
    command
}

#[test]
fn the_roles_run_by_the_readme_s_own_instructions() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let here = folder.path().to_owned();
    fs::write(here.join("photo.jpg"), b"a photograph").expect("written");
    // Free ports instead of those that everybody's README names.
    let town = folder.path().join("town");
    let town = Town::write_in(folder, &town, &Plan::default());
    let mut account = String::new();
    let mut outputs: Vec<(String, Output)> = Vec::new();
    for line in commands() {
        let mut line = line.replace("ACCOUNT", &account);
        for (role, port) in [(0, 4001), (1, 4002), (2, 4003)] {
            line = line.replace(&format!("http://127.0.0.1:{port}"), &town.url(role));
        }
        if line.starts_with("config init") {
            assert!(ROLES.iter().all(|role| line.contains(role)), "{line}");
            continue;
        }
        if let Some(config) = line.strip_prefix("serve --config ") {
            let role = town
                .roles
                .iter()
                .find(|role| here.join(config) == role.config);
            let role = role.unwrap_or_else(|| panic!("{config} was not written"));
            role.start();
            continue;
        }
        town.roles.iter().for_each(|role| role.wait());
        if line == "wallet init" {
            line.push_str(" --no-passphrase");
        }
        if line.starts_with("wallet buy") {
            line.push_str(" --yes");
        }
        let output = run(&mut in_folder(&here, &line));
        assert_eq!(output.code, Some(0), "bauta {line}: {output:?}");
        if line.starts_with("wallet bank add") {
            account = output.json()["account"].as_str().expect("there").to_owned();
        }
        outputs.push((line, output));
    }
    assert!(outputs.len() >= 10, "{outputs:?}");
    assert_eq!(
        fs::read(here.join("photo.jpg")).expect("there"),
        b"a photograph"
    );
    assert!(
        outputs
            .iter()
            .any(|(line, _)| line.starts_with("wallet buy"))
    );
}
