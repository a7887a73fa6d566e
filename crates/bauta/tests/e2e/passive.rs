//! A log that is only files: whoever stops the archive stops no check, no payment and no receipt.
//!
//! The web servers are those of the system, with the configurations that docs/operating/archive.md recommends. A server that is not
//! installed is passed over, and the test says so.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    http,
    process::{bauta, run},
    town::{ARCHIVE, Plan, Town},
};

/// A web server, ended with the test.
struct WebServer(Child);

impl Drop for WebServer {
    fn drop(&mut self) {
        // SIGTERM: a master process takes its workers along.
        let id = self.0.id().to_string();
        let _told = Command::new("kill").args(["-TERM", &id]).status();
        let _ended = self.0.wait();
    }
}

/// A program on the path or where Debian puts it.
fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    if found.is_none() {
        eprintln!("skipped: {name} is not installed on this machine (Debian package {name})");
    }
    found
}

/// The configuration that the document shows for this server.
fn documented(language: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operating/archive.md");
    let document = fs::read_to_string(path).expect("it is part of the source");
    let block = document.split(&format!("```{language}\n")).nth(1);
    let block = block.and_then(|rest| rest.split("```").next());
    block.expect("the document shows it").to_owned()
}

/// The same for these places.
fn configured(language: &str, port: u16, root: &Path, archive: u16) -> String {
    let text = documented(language);
    for place in [
        "127.0.0.1:4012",
        "/var/lib/bauta/archive/public",
        "127.0.0.1:4002",
    ] {
        assert!(text.contains(place), "{place} is not in the document");
    }
    text.replace("127.0.0.1:4012", &format!("127.0.0.1:{port}"))
        .replace(
            "/var/lib/bauta/archive/public",
            root.to_str().expect("plain names"),
        )
        .replace("127.0.0.1:4002", &format!("127.0.0.1:{archive}"))
}

fn nginx(program: &Path, folder: &Path, site: &str) -> Command {
    fs::create_dir_all(folder).expect("a folder");
    let at = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
        .concat();
    let whole = format!(
        "daemon off;\npid {at}/pid;\nerror_log {at}/errors;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{site}}}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, whole).expect("written");
    let mut command = Command::new(program);
    command.arg("-p").arg(folder).arg("-c").arg(&file);
    command
}

fn caddy(program: &Path, folder: &Path, site: &str) -> Command {
    fs::create_dir_all(folder).expect("a folder");
    let file = folder.join("Caddyfile");
    // No administration port, nothing in anybody's home.
    fs::write(&file, format!("{{\nadmin off\n}}\n{site}")).expect("written");
    let mut command = Command::new(program);
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(&file);
    command
        .env("HOME", folder)
        .env("XDG_DATA_HOME", folder)
        .env("XDG_CONFIG_HOME", folder);
    command
}

fn start(mut command: Command, port: u16) -> WebServer {
    let command = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let server = WebServer(command.spawn().expect("it starts"));
    let begun = Instant::now();
    while http::get(port, "/nothing").is_none_or(|answer| answer.status != 404) {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "it does not answer"
        );
        thread::sleep(Duration::from_millis(20));
    }
    server
}

type Start = fn(&Path, &Path, &str) -> Command;

#[test]
fn behind_nginx_the_files_of_a_dead_archive_are_enough_for_everybody() {
    the_files_are_enough("nginx", "nginx", nginx);
}

#[test]
fn behind_caddy_the_files_of_a_dead_archive_are_enough_for_everybody() {
    the_files_are_enough("caddy", "caddy", caddy);
}

fn the_files_are_enough(name: &str, language: &str, command: Start) {
    let Some(program) = program(name) else {
        return;
    };
    let mut town = Town::build(Plan {
        proxied: true,
        ..Plan::default()
    });
    // The web server takes the place of the way to the archive.
    drop(town.proxies.remove(ARCHIVE));
    let url = town.url(ARCHIVE);
    let port: u16 = url
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .expect("a port");
    let archive = town.roles[ARCHIVE].port;
    let public = town.path().join("archive/public");
    let serve = |root: &Path, folder: &str| {
        let site = configured(language, port, root, archive);
        start(command(&program, &town.path().join(folder), &site), port)
    };

    let server = serve(&public, "alive");
    let good = town.sell(&town.file("song", b"la la la"), "1EUR", "A song");
    let purse = town.rich_customer("customer", "5EUR");
    check_headers(port);
    // From here on customers and bank see the log as it is now; the sale goes into it all the same.
    let old = town.path().join("old-copy");
    copy(&public, &old);
    drop(server);
    let server = serve(&old, "behind");
    run(&mut town.buy(
        &purse,
        &good,
        &["--output", town.path().to_str().expect("plain")],
    ))
    .good();
    let purchase = purse.purchases().pop().expect("one");
    assert_eq!(purchase["state"], "delivered", "no receipt yet: {purchase}");
    // It is published, and then nobody runs the archive any more.
    thread::sleep(Duration::from_secs(2));
    town.roles[ARCHIVE].kill();
    drop(server);

    let _server = serve(&public, "dead");
    purse.resume();
    let purchase = purse.purchases().pop().expect("one");
    assert_eq!(purchase["state"], "complete", "{purchase}");
    assert_eq!(purchase["receipt_verified"], true);
    town.settle(&[&purse]);

    for place in [url.as_str(), public.to_str().expect("plain names")] {
        let verified = verify(place, &town);
        assert_eq!(verified["ok"], true, "{verified}");
        let commits = verified["logs"][0]["commits"].as_u64();
        assert_eq!(commits, Some(1), "{verified}");
    }
    damage(&public);
    let found = run(bauta().args(["log", "verify", "--json", &url]));
    assert_eq!(found.code, Some(5), "{found:?}");
}

fn verify(place: &str, town: &Town) -> serde_json::Value {
    let policy = town.path().join("log-policy");
    let mut command = bauta();
    command.args(["log", "verify", "--json", place, "--policy"]);
    run(command.arg(policy)).good()
}

/// What may be kept, what must be asked for again, and what is not there.
fn check_headers(port: u16) {
    let begun = Instant::now();
    let tile = loop {
        let note = http::get(port, "/checkpoint").expect("an answer");
        let text = String::from_utf8(note.body).expect("a note");
        let size = text.lines().nth(1).expect("a size");
        let tile = http::get(port, &format!("/tile/0/000.p/{size}")).expect("an answer");
        if tile.status == 200 || begun.elapsed() > Duration::from_secs(10) {
            break tile;
        }
    };
    assert_eq!(tile.status, 200);
    let has = |head: &str, text: &str| head.to_ascii_lowercase().contains(text);
    assert!(has(&tile.head, "immutable"), "{}", tile.head);
    for path in ["/checkpoint", "/v1/log-policy"] {
        let file = http::get(port, path).expect("an answer");
        assert!(
            has(&file.head, "no-cache") && has(&file.head, "text/plain"),
            "{}",
            file.head
        );
    }
    let absent = http::get(port, "/tile/0/009").expect("an answer");
    assert_eq!(absent.status, 404);
    assert!(!has(&absent.head, "immutable"), "{}", absent.head);
    for hidden in ["/metrics", "/../archive.db", "/readyz"] {
        let answer = http::get(port, hidden).expect("an answer");
        assert!(
            matches!(answer.status, 400 | 404),
            "{hidden}: {}",
            answer.status
        );
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("copied");
        }
    }
}

/// Flips one bit of an entry.
fn damage(public: &Path) {
    let folder = public.join("tile/entries/000.p");
    for entry in fs::read_dir(folder).expect("few entries") {
        let path = entry.expect("a file").path();
        let mut bytes = fs::read(&path).expect("reads");
        bytes[40] ^= 1;
        fs::write(&path, bytes).expect("writes");
    }
}
