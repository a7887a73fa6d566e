//! What a configuration file may do wrong, and what it is told.

use std::{fs, path::Path};

use bauta_crypto::{
    note::{Vkey, VkeyKind},
    secret::Secret,
    sign::SigningKey,
};

use super::{load::CONFIG_BYTES_MAX, *};

fn archive() -> String {
    template(&[RoleName::Archive])
}

fn load(content: &[u8]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("bauta.toml");
    fs::write(&path, content).expect("writes");
    Config::load(&path)
}

fn told(content: &str) -> String {
    let text = load(content.as_bytes()).expect_err("refused").to_string();
    let (_, rest) = text.split_once("bauta.toml").expect("names the file");
    rest.to_owned()
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    assert_eq!(
        told("[log]\nlevel = \"info\"\ncolour = 1\n"),
        ":3:1: unknown key `colour` in [log]; expected `format` or `level`"
    );
    assert!(told("[pub]\n").starts_with(":1:2: unknown key `pub` at the top; expected "));
    assert!(told("[log]\nlevel = \"loud\"\n").starts_with(":2:9: unknown variant `loud`"));
    assert!(told("[log\n").starts_with(":1:5: "));
    let gap = archive().replace("origin = ", "#origin = ");
    assert!(
        told(&gap).ends_with("missing key `origin`"),
        "{}",
        told(&gap)
    );
    let misplaced = archive().replace("listen = ", "listening = ");
    assert!(told(&misplaced).contains("unknown key `listening` in [archive.http]"));
}

#[test]
fn a_file_without_a_role_is_refused() {
    assert!(matches!(load(b""), Err(ConfigError::NoRole { .. })));
}

#[test]
fn a_file_that_is_not_text_is_refused() {
    assert!(matches!(
        load(&[0xff, 0xfe]),
        Err(ConfigError::NotText { .. })
    ));
}

#[test]
fn a_file_at_the_limit_is_read_and_a_larger_one_is_not() {
    let mut text = archive().into_bytes();
    text.resize(CONFIG_BYTES_MAX, b'\n');
    assert!(load(&text).is_ok());
    text.push(b'\n');
    assert!(matches!(load(&text), Err(ConfigError::TooLarge { .. })));
}

#[test]
fn a_file_that_is_not_there_or_a_folder_is_told_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for path in [folder.path().to_owned(), folder.path().join("none.toml")] {
        let error = Config::load(&path).expect_err("refused");
        assert!(matches!(error, ConfigError::Unreadable { .. }));
        assert!(error.to_string().contains(&path.display().to_string()));
    }
}

#[test]
fn relative_paths_count_from_the_files_folder_and_absolute_ones_stay() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("bauta.toml");
    let text = archive()
        .replace("data = \"archive\"", "data = \"/var/lib/archive\"")
        .replace("#certificate = ", "certificate = ");
    fs::write(&path, text).expect("writes");
    let archive = Config::load(&path)
        .expect("loads")
        .archive
        .expect("is there");
    assert_eq!(archive.data, Path::new("/var/lib/archive"));
    assert_eq!(archive.key_file, folder.path().join("archive.key"));
    let certificate = Some(folder.path().join("certificate.pem"));
    assert_eq!(archive.http.certificate, certificate);
}

#[test]
fn a_policys_file_counts_from_the_files_folder_and_a_policys_text_stays() {
    let folder = Path::new("/etc/bauta");
    for (written, means) in [
        ("policy", "/etc/bauta/policy"),
        ("/srv/policy\n", "/srv/policy"),
        ("log x\nquorum none\n", "log x\nquorum none\n"),
    ] {
        let mut source = PolicySource(written.to_owned());
        source.resolve(folder);
        assert_eq!(source.0, means);
    }
}

#[test]
fn v5_a_policy_under_which_nothing_is_ever_late_is_refused() {
    let vkey = |kind| {
        let key = SigningKey::from_seed(&Secret::new([1; 32]));
        Vkey::new("log.example", key.verifying_key(), kind).expect("a name")
    };
    let (log, cosigner) = (vkey(VkeyKind::Log), vkey(VkeyKind::Cosigner));
    for (quorum, is_taken) in [("w", true), ("none", false)] {
        let text = format!("log {log} http://log\nwitness w {cosigner}\nquorum {quorum}\n");
        let loaded = PolicySource(text).load();
        assert_eq!(loaded.is_ok(), is_taken);
        assert!(is_taken || matches!(loaded, Err(PolicySourceError::Use(_))));
    }
}

#[test]
fn defaults_are_what_the_documentation_says() {
    let config = Config::parse(&archive()).expect("loads");
    assert_eq!(config.log.level, LogLevel::Info);
    assert_eq!(config.log.format, LogFormat::Text);
    let http = config.archive.expect("is there").http;
    assert_eq!(http.connections_max, CONNECTIONS_MAX);
    assert_eq!(http.requests_max, REQUESTS_MAX);
}

#[test]
fn an_archive_that_would_forget_before_its_banks_locks_end_is_refused() {
    let retention = |days: u32| format!("retention_days = {days}");
    let with = |text: &str, days| text.replace("#retention_days = 730", &retention(days));
    let alone = archive();
    assert!(load(with(&alone, 30).as_bytes()).is_ok());
    let short = told(&with(&alone, 29));
    assert!(
        short.contains("is 29") && short.contains("30 days"),
        "{short}"
    );
    assert!(short.contains("claim_days of [archive]"), "{short}");
    assert!(
        short.contains("set retention_days to 30 or more"),
        "{short}"
    );
    // What the bank in the same file says counts, whatever the archive was told.
    let both = template(&[RoleName::Bank, RoleName::Archive]);
    let both = both.replacen("#claim_days = 7", "claim_days = 100", 1);
    assert!(load(with(&both, 100).as_bytes()).is_ok());
    let short = told(&with(&both, 99));
    assert!(
        short.contains("100 days") && short.contains("of [bank]"),
        "{short}"
    );
}
