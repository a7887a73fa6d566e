//! Configurations and keys of roles that know each other: for `config init`, `demo` and `bench`.

use std::{
    fs,
    net::{IpAddr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use bauta_io::SystemRng;
use bauta_server::{
    config::{RoleName, template},
    keys::RoleSeed,
    roles::{archive::log_policy, bank::bank_id},
};

use crate::failure::{Failure, Outcome};

/// The log's name where nobody chose one.
const ORIGIN: &str = "localhost/bauta";
/// The file with the log's policy.
const POLICY_FILE: &str = "log-policy";

/// The roles that a purchase needs.
pub const TRADE: [RoleName; 3] = [RoleName::Bank, RoleName::Archive, RoleName::Merchant];

/// What to write.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where to; made if it does not exist.
    pub folder: PathBuf,
    /// Which roles.
    pub roles: Vec<RoleName>,
    /// One file a role, for a process each, instead of one file for one process.
    pub apart: bool,
    /// Where the roles listen.
    pub host: IpAddr,
    /// On which ports, in the order of [`RoleName::ALL`].
    pub ports: [u16; 4],
    /// Further keys to set: role, key, value as TOML.
    pub settings: Vec<(RoleName, &'static str, String)>,
}

/// What was written.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Written {
    /// Configuration files.
    pub configurations: Vec<PathBuf>,
    /// Key files, made or found.
    pub keys: Vec<PathBuf>,
    /// What still has to be filled in by hand.
    pub to_do: Vec<String>,
}

impl Plan {
    /// The address of a role.
    pub fn url(&self, role: RoleName) -> String {
        let position = RoleName::ALL.iter().position(|other| *other == role);
        let port = self.ports[position.unwrap_or_default()];
        format!("http://{}", SocketAddr::new(self.host, port))
    }

    /// Writes keys (existing ones are kept) and configurations (existing ones are never overwritten).
    pub fn write(&self) -> Outcome<Written> {
        fs::create_dir_all(&self.folder)?;
        let seeds = self.seeds()?;
        let seed = |role| {
            seeds
                .iter()
                .find(|(name, _)| *name == role)
                .map(|(_, seed)| seed)
        };
        let mut to_do = Vec::new();
        let mut settings = self.settings.clone();
        match seed(RoleName::Archive) {
            Some(archive) => {
                let url = self.url(RoleName::Archive);
                let policy = log_policy(archive, ORIGIN, &url)
                    .map_err(|error| Failure::from_error(&error))?;
                write_new(&self.folder.join(POLICY_FILE), policy.text())?;
                settings.push((RoleName::Archive, "origin", format!("{ORIGIN:?}")));
                settings.push((RoleName::Archive, "url", format!("{url:?}")));
            }
            None => to_do.push(format!(
                "put the archive's policy (its /v1/log-policy) into {}",
                self.folder.join(POLICY_FILE).display()
            )),
        }
        match seed(RoleName::Bank).map(bank_id) {
            Some(bank) => {
                let bank = bank.hex();
                settings.push((RoleName::Archive, "banks", format!("[{bank:?}]")));
                let url = self.url(RoleName::Bank);
                let entry = format!("[{{ bank = {bank:?}, url = {url:?}, account = \"own\" }}]");
                settings.push((RoleName::Merchant, "banks", entry));
            }
            None => to_do.push("name the bank in `banks`, where a role asks for it".to_owned()),
        }
        let configurations = self.write_configurations(&settings)?;
        let keys = self.roles.iter().map(|role| self.key_file(*role)).collect();
        Ok(Written {
            configurations,
            keys,
            to_do,
        })
    }

    fn write_configurations(
        &self,
        settings: &[(RoleName, &'static str, String)],
    ) -> Outcome<Vec<PathBuf>> {
        let files: Vec<(String, Vec<RoleName>)> = if self.apart {
            self.roles
                .iter()
                .map(|role| (format!("{}.toml", role.as_str()), vec![*role]))
                .collect()
        } else {
            vec![("bauta.toml".to_owned(), self.roles.clone())]
        };
        let mut written = Vec::new();
        for (name, roles) in files {
            let mut text = template(&roles);
            for (role, key, value) in settings {
                set(&mut text, &format!("[{}]", role.as_str()), key, value);
            }
            for role in &roles {
                let listen = self.url(*role).replace("http://", "");
                set(
                    &mut text,
                    &format!("[{}.http]", role.as_str()),
                    "listen",
                    &format!("{listen:?}"),
                );
            }
            let path = self.folder.join(name);
            write_new(&path, &text)?;
            written.push(path);
        }
        Ok(written)
    }

    fn seeds(&self) -> Outcome<Vec<(RoleName, RoleSeed)>> {
        let seed = |role: &RoleName| {
            let path = self.key_file(*role);
            if path.exists() {
                return Ok((*role, crate::commands::seed_of(&path)?));
            }
            let seed = RoleSeed::generate(&mut SystemRng::new());
            seed.store(&path)
                .map_err(|error| Failure::from_error(&error))?;
            Ok((*role, seed))
        };
        self.roles.iter().map(seed).collect()
    }

    fn key_file(&self, role: RoleName) -> PathBuf {
        self.folder.join(format!("{}.key", role.as_str()))
    }
}

/// Sets a key in a section of a configuration's text, where it stands as an example or commented out.
fn set(text: &mut String, section: &str, key: &str, value: &str) {
    let mut is_inside = false;
    let lines = text.lines().map(|line| {
        if line.starts_with('[') {
            is_inside = line == section;
        }
        let name = line.trim_start_matches('#').split(" = ").next();
        let is_it = is_inside && !line.starts_with("# ") && name == Some(key);
        if is_it {
            format!("{key} = {value}")
        } else {
            line.to_owned()
        }
    });
    *text = lines.collect::<Vec<_>>().join("\n") + "\n";
}

fn write_new(path: &Path, text: &str) -> Outcome {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).open(path);
    let mut file = file.map_err(|error| {
        Failure::local(format!("{}: {error}", path.display()))
            .remedy("Nothing is overwritten: choose another folder.")
    })?;
    std::io::Write::write_all(&mut file, text.as_bytes())?;
    Ok(file.sync_all()?)
}

/// Ports that are free at the moment.
pub fn free_ports() -> Outcome<[u16; 4]> {
    let listeners = [(); 4].map(|()| TcpListener::bind(("127.0.0.1", 0)));
    let mut ports = [0; 4];
    for (port, listener) in ports.iter_mut().zip(listeners) {
        *port = listener?.local_addr()?.port();
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use bauta_server::config::Config;

    use super::*;

    fn plan(folder: &Path, apart: bool) -> Plan {
        Plan {
            folder: folder.to_owned(),
            roles: TRADE.to_vec(),
            apart,
            host: IpAddr::from([127, 0, 0, 1]),
            ports: [4_001, 4_002, 4_003, 4_004],
            settings: Vec::new(),
        }
    }

    #[test]
    fn what_is_written_loads_and_the_roles_know_each_other() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let written = plan(folder.path(), false).write().expect("writes");
        assert_eq!(written.to_do, Vec::<String>::new());
        let config = Config::load(&written.configurations[0]).expect("loads");
        let bank = config.bank.expect("a bank");
        let archive = config.archive.expect("an archive");
        let seed = RoleSeed::load(&bank.key_file).expect("a key");
        assert_eq!(archive.banks, [bank_id(&seed)]);
        bank.log_policy.load().expect("the log's policy");
    }

    #[test]
    fn nothing_is_overwritten_and_keys_are_kept() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        plan(folder.path(), true).write().expect("writes");
        let key = fs::read(folder.path().join("bank.key")).expect("reads");
        plan(folder.path(), true)
            .write()
            .expect_err("there is a configuration already");
        assert_eq!(
            fs::read(folder.path().join("bank.key")).expect("reads"),
            key
        );
    }
}
