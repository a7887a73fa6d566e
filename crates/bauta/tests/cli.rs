//! What scripts rely on: exit codes, one line of JSON, nothing else on standard output, no questions.

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

/// The program in a folder of its own, with nothing of this machine's user.
fn bauta(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bauta"));
    command.args(arguments).current_dir(folder);
    command.env("HOME", folder).stdin(Stdio::null());
    for variable in [
        "BAUTA_CONFIG",
        "BAUTA_WALLET",
        "BAUTA_PASSPHRASE_FILE",
        "BAUTA_KEY_FILE",
        "BAUTA_CA",
        "XDG_DATA_HOME",
    ] {
        command.env_remove(variable);
    }
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    bauta(folder, arguments).output().expect("the program runs")
}

/// The exit code, and the one JSON value that is all of standard output.
fn json(folder: &Path, arguments: &[&str]) -> (i32, Value) {
    let arguments = [arguments, &["--json"]].concat();
    let output = run(folder, &arguments);
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    assert_eq!(text.lines().count(), 1, "{arguments:?} printed {text:?}");
    let value = serde_json::from_str(&text);
    let value = value.unwrap_or_else(|error| panic!("{arguments:?}: {error} in {text:?}"));
    let code = output.status.code();
    (code.expect("not ended by a signal"), value)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// An unprotected wallet in `folder`/wallet.
fn with_wallet() -> tempfile::TempDir {
    let folder = folder();
    let (code, _) = json(
        folder.path(),
        &["wallet", "--wallet", "wallet", "init", "--no-passphrase"],
    );
    assert_eq!(code, 0);
    folder
}

#[test]
fn wrong_usage_is_exit_code_2_and_with_json_still_one_value() {
    let folder = folder();
    for arguments in [
        &["nonsense"][..],
        &[],
        &["wallet"],
        &["wallet", "withdraw"],
        &["wallet", "withdraw", "5XXX"],
        &["wallet", "withdraw", "1.005EUR"],
        &["config", "init", "butcher"],
        &["bank", "freeze", "abc"],
    ] {
        assert_eq!(run(folder.path(), arguments).status.code(), Some(2));
        let (code, value) = json(folder.path(), arguments);
        assert_eq!((code, &value["ok"]), (2, &Value::Bool(false)));
        assert!(value["error"].is_string() && value["remedy"].is_string());
    }
}

#[test]
fn a_fault_of_this_machine_is_exit_code_1_with_error_and_remedy() {
    let folder = with_wallet();
    fs::write(folder.path().join("broken.toml"), "[bank\nlisten = 1").expect("writes");
    fs::write(folder.path().join("unknown.toml"), "[bank]\nlissten = 1").expect("writes");
    for arguments in [
        &["bank", "accounts"][..],
        &["bank", "--config", "broken.toml", "accounts"],
        &["shop", "--config", "unknown.toml", "list"],
        &["serve", "--config", "broken.toml"],
        &["config", "check", "unknown.toml"],
        &["wallet", "--wallet", "elsewhere", "balance"],
        &["wallet", "--wallet", "wallet", "show", "last"],
        &[
            "wallet",
            "--wallet",
            "wallet",
            "--ca",
            "broken.toml",
            "doctor",
        ],
        &["demo", "nothing-here"],
    ] {
        let (code, value) = json(folder.path(), arguments);
        assert_eq!(code, 1, "{arguments:?}: {value}");
        assert_eq!(value["ok"], Value::Bool(false));
        assert!(value["error"].is_string(), "{arguments:?}");
    }
}

#[test]
fn a_service_that_is_not_there_is_exit_code_4_try_again() {
    let folder = with_wallet();
    // Nobody listens on the discard port of this machine.
    let url = "http://127.0.0.1:9";
    for command in [
        &["bank", "add", url][..],
        &["shop", url],
        &["buy", url, "--yes"],
    ] {
        let arguments = [&["wallet", "--wallet", "wallet"], command].concat();
        let (code, value) = json(folder.path(), &arguments);
        assert_eq!(code, 4, "{arguments:?}: {value}");
    }
}

#[test]
fn every_local_result_is_one_value_and_nothing_else() {
    let folder = with_wallet();
    let wallet =
        |command: &'static [&'static str]| [&["wallet", "--wallet", "wallet"], command].concat();
    let all = [
        vec![
            "config", "init", "bank", "archive", "merchant", "--folder", "town",
        ],
        vec!["config", "check", "town/bauta.toml"],
        vec!["keygen", "some.key"],
        vec!["bank", "--config", "town/bauta.toml", "id"],
        vec!["shop", "--config", "town/bauta.toml", "id"],
        vec![
            "shop",
            "--config",
            "town/bauta.toml",
            "add",
            "some.key",
            "--price",
            "1EUR",
        ],
        vec!["shop", "--config", "town/bauta.toml", "list"],
        vec!["shop", "--config", "town/bauta.toml", "orders"],
        wallet(&["balance"]),
        wallet(&["list"]),
        wallet(&["bank", "list"]),
        wallet(&["resume"]),
        wallet(&["refresh"]),
    ];
    for arguments in all {
        let (code, value) = json(folder.path(), &arguments);
        assert_eq!(code, 0, "{arguments:?}: {value}");
    }
}

#[test]
fn a_configuration_in_order_has_its_keys_and_its_policy() {
    for missing in ["bank.key", "archive.key", "merchant.key", "log-policy"] {
        let folder = folder();
        let init = ["config", "init", "bank", "archive", "merchant"];
        assert_eq!(json(folder.path(), &init).0, 0);
        let check = ["config", "check", "bauta.toml"];
        assert_eq!(json(folder.path(), &check).0, 0);
        fs::remove_file(folder.path().join(missing)).expect("it was written");
        assert_eq!(json(folder.path(), &check).0, 1, "{missing}");
    }
}

#[test]
fn several_sharded_archives_are_configured_and_their_operators_policy_and_prune_answer() {
    let folder = folder();
    let run = |arguments: &[&str]| json(folder.path(), arguments);
    let init = ["config", "init", "bank", "archive", "merchant", "--apart"];
    let flags = [
        "--archives=3",
        "--logs-needed=2",
        "--shard-days=91",
        "--witnesses=4",
    ];
    let (code, written) = run(&[&init[..], &flags].concat());
    assert_eq!(code, 0, "{written}");
    let files = written["configurations"].as_array().expect("a list");
    assert_eq!(files.len(), 9);
    for file in files {
        let (code, checked) = run(&["config", "check", file.as_str().expect("a path")]);
        assert_eq!(code, 0, "{checked}");
    }
    for name in ["archive.toml", "archive-2.toml", "archive-3.toml"] {
        let archive =
            |arguments: &[&str]| run(&[&["archive", "--config", name], arguments].concat());
        let (code, lines) = archive(&["policy", "--years", "5", "--lines"]);
        let lines = lines["policy"].as_str().expect("a text");
        let listed = fs::read_to_string(folder.path().join("log-policy")).expect("reads");
        assert!(code == 0 && listed.contains(lines), "{name}: {lines}");
        assert_eq!(
            archive(&["prune", "--dry-run"]).0,
            1,
            "nothing says how long"
        );
        let (code, pruned) = archive(&["prune", "--dry-run", "--retention-days", "30"]);
        assert_eq!((code, &pruned["shards"]), (0, &Value::Array(Vec::new())));
        let (code, refused) = archive(&["prune", "--dry-run", "--retention-days", "29"]);
        assert_eq!(code, 1, "locks can be claimed longer");
        assert!(refused.to_string().contains("30 days"), "{refused}");
        let (code, policy) = archive(&["policy"]);
        assert_eq!((code, &policy["policy"]), (0, &Value::String(listed)));
    }
}

#[test]
fn archives_that_cannot_work_are_refused_with_a_remedy_before_anything_is_written() {
    let all = ["bank", "archive", "merchant"];
    for (roles, flags) in [
        (&all[..], &["--archives=3"][..]),
        (&all, &["--archives=2", "--witnesses=4", "--logs-needed=3"]),
        (&all, &["--archives=3", "--witnesses=4", "--shard-days=1"]),
        (&["merchant"], &["--archives=2", "--witnesses=4"]),
        (&["bank"], &["--shard-days=91"]),
    ] {
        let folder = folder();
        let (code, refused) = json(folder.path(), &[&["config", "init"], roles, flags].concat());
        assert_eq!(code, 1, "{flags:?}: {refused}");
        assert!(refused["remedy"].is_string(), "{flags:?}: {refused}");
        let left = fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(left, 0, "{flags:?}");
    }
}

#[test]
fn a_new_version_keeps_the_texts_that_nobody_changed() {
    let folder = folder();
    fs::write(folder.path().join("one"), "1").expect("writes");
    fs::write(folder.path().join("two"), "22").expect("writes");
    assert_eq!(json(folder.path(), &["config", "init", "merchant"]).0, 0);
    let shop = |arguments: &[&str]| json(folder.path(), &[&["shop"], arguments].concat());
    let add = ["add", "one", "--price", "1EUR", "--title", "A poem"];
    assert_eq!(shop(&add).0, 0);
    assert_eq!(shop(&["update", "A po", "two", "--price", "2EUR"]).0, 0);
    let (_, goods) = shop(&["list"]);
    let good = &goods[0];
    assert_eq!(
        (&good["title"], &good["bytes"]),
        (&"A poem".into(), &2.into())
    );
    assert_eq!(
        (&good["version"], &good["price"]),
        (&2.into(), &"2.00 EUR".into())
    );
    assert_eq!(shop(&["withdraw", "B"]).0, 1);
    assert_eq!(shop(&["withdraw", "A"]).0, 0);
}

#[test]
fn without_a_terminal_nothing_is_asked() {
    let folder = folder();
    let restore = ["wallet", "restore", "--bank", "http://127.0.0.1:9"];
    for arguments in [&["wallet", "init"][..], &restore] {
        let (code, value) = json(folder.path(), arguments);
        assert_eq!(code, 1);
        let remedy = value["remedy"].as_str().expect("a remedy");
        assert!(remedy.contains("-file FILE") || remedy.contains("--words-from FILE"));
    }
    assert!(!folder.path().join(".local").exists(), "nothing was made");
}

#[test]
fn a_wallet_opens_with_its_own_passphrase_or_key_file_only() {
    let folder = folder();
    for (name, text) in [("old", "a long sentence\n"), ("new", "another sentence\n")] {
        fs::write(folder.path().join(name), text).expect("writes");
    }
    let code =
        |arguments: &[&str]| json(folder.path(), &[&["wallet", "-w", "w"], arguments].concat()).0;
    assert_eq!(code(&["init", "--passphrase-file", "old"]), 0);
    assert_eq!(code(&["balance"]), 1);
    assert_eq!(code(&["balance", "--passphrase-file", "new"]), 1);
    let to_key = [
        "passphrase",
        "--passphrase-file",
        "old",
        "--new-key-file",
        "key",
    ];
    assert_eq!(code(&to_key), 0);
    assert_eq!(code(&["balance", "--passphrase-file", "old"]), 1);
    assert_eq!(code(&["balance", "--key-file", "new"]), 1);
    assert_eq!(code(&["balance", "--key-file", "key"]), 0);
}

#[test]
fn a_place_that_cannot_take_the_good_is_refused_before_anybody_is_asked_for_money() {
    let folder = with_wallet();
    fs::write(folder.path().join("there"), "something").expect("writes");
    for output in ["there", "no-folder/file", "no-folder/"] {
        let buy = [
            "wallet",
            "-w",
            "wallet",
            "buy",
            "http://127.0.0.1:9",
            "--yes",
            "--output",
            output,
        ];
        let (code, value) = json(folder.path(), &buy);
        assert_eq!(code, 1, "{output}: {value}");
        let remedy = value["remedy"].as_str().expect("a remedy");
        assert!(remedy.starts_with("Nothing was bought."));
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let folder = folder();
    for arguments in [&["completions", "zsh"][..], &["--help"]] {
        let mut command = bauta(folder.path(), arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program runs");
        drop(child.stdout.take());
        let mut errors = String::new();
        let mut stderr = child.stderr.take().expect("piped");
        stderr.read_to_string(&mut errors).expect("text");
        assert_eq!(child.wait().expect("ends").code(), Some(0), "{errors}");
        assert_eq!(errors, "");
    }
}

#[test]
fn completions_know_commands_and_roles() {
    let folder = folder();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(folder.path(), &["completions", shell]).stdout;
        let script = String::from_utf8(script).expect("text");
        assert!(script.contains("withdraw"), "{shell}");
        // The other generators offer files where a role belongs.
        let offers_values = matches!(shell, "bash" | "zsh");
        assert!(!offers_values || script.contains("merchant"), "{shell}");
    }
}

#[test]
fn colours_are_for_terminals_unless_asked_for() {
    let folder = with_wallet();
    let escape = |arguments: &[&str]| {
        let output = run(folder.path(), arguments);
        [output.stdout, output.stderr].concat().contains(&0x1b)
    };
    let doctor = ["wallet", "-w", "wallet", "doctor"];
    assert!(!escape(&doctor));
    assert!(escape(&[&doctor[..], &["--color", "always"]].concat()));
    assert!(!escape(&[&doctor[..], &["--color", "never"]].concat()));
}
