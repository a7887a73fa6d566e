//! Configurations and keys of roles that know each other: for `config init`, `demo` and `bench`.

use std::{
    fs,
    net::{IpAddr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use bauta_io::{SystemClock, SystemRng};
use bauta_proto::{
    limits::POLICY_BYTES_MAX,
    log::policy::Shard,
    time::{Clock, Seconds},
};
use bauta_server::{
    config::{RoleName, template},
    keys::RoleSeed,
    roles::{
        archive::{log_lines, own_policy},
        bank::bank_id,
        witness::witness_vkey,
    },
};

use crate::failure::{Failure, Outcome};

/// The log's name where nobody chose one.
const ORIGIN: &str = "localhost/bauta";
/// The file with the log's policy.
const POLICY_FILE: &str = "log-policy";

/// For how long the policy of a new archive lists shards: five years, or as long as there is room in a policy.
const POLICY_DAYS: u32 = 5 * 366;
/// For how long it must list them at least: farther than any lock and than the keysets that banks record.
const POLICY_DAYS_MIN: u32 = 400;
/// What is kept free in a policy for the lines of witnesses.
const WITNESS_BYTES_MAX: usize = 8_192;

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
    /// How the log is divided and multiplied.
    pub logs: Logs,
    /// How many witnesses cosign the log, each with a configuration for a process of its own.
    pub witnesses: usize,
    /// On which ports, in the order of [`RoleName::ALL`], then those witnesses', then the further archives'.
    pub ports: Vec<u16>,
    /// Further keys to set: role, key, value as TOML.
    pub settings: Vec<(RoleName, &'static str, String)>,
}

/// The logs of a policy.
#[derive(Clone, Copy, Debug)]
pub struct Logs {
    /// Length of a shard in days; 0 for one log an archive.
    pub shard_days: u32,
    /// Archives beside the first, each with a configuration for a process of its own.
    pub further: usize,
    /// Of how many archives the word is needed.
    pub needed: usize,
}

impl Logs {
    /// One log for everything.
    pub const ONE: Self = Self {
        shard_days: 0,
        further: 0,
        needed: 1,
    };
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
        self.url_at(position.unwrap_or_default())
    }

    /// The address of a witness that has a process of its own, counted from 1.
    pub fn witness_url(&self, number: usize) -> String {
        self.url_at(RoleName::ALL.len() + number - 1)
    }

    /// The address of an archive beside the first, counted from 2.
    fn archive_url(&self, number: usize) -> String {
        self.url_at(RoleName::ALL.len() + self.witnesses + number - 2)
    }

    fn url_at(&self, place: usize) -> String {
        let port = self.ports.get(place).copied().unwrap_or_default();
        format!("http://{}", SocketAddr::new(self.host, port))
    }

    /// Name and address of every witness.
    fn witnesses(&self) -> Vec<(String, String)> {
        let among = self.roles.contains(&RoleName::Witness);
        let among = among.then(|| ("witness".to_owned(), self.url(RoleName::Witness)));
        let apart = (1..=self.witnesses).map(|n| (format!("witness-{n}"), self.witness_url(n)));
        among.into_iter().chain(apart).collect()
    }

    /// Writes keys (existing ones are kept) and configurations (existing ones are never overwritten).
    pub fn write(&self) -> Outcome<Written> {
        self.check()?;
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
                let shards = self.shards();
                let policy = own_policy(archive, (ORIGIN, &url), &shards)
                    .map_err(|error| Failure::from_error(&error))?;
                let witnessed = self.witnessed_policy(&self.log_lines(archive, &shards)?)?;
                if witnessed.is_some() || self.logs.shard_days > 0 {
                    let file = format!("{POLICY_FILE:?}");
                    settings.push((RoleName::Archive, "log_policy", file));
                }
                let text = witnessed.as_deref().unwrap_or(policy.text());
                write_new(&self.folder.join(POLICY_FILE), text)?;
                let days = self.logs.shard_days.to_string();
                settings.push((RoleName::Archive, "shard_days", days));
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
        settings.push((
            RoleName::Witness,
            "name",
            "\"localhost/witness\"".to_owned(),
        ));
        settings.push((RoleName::Witness, "log_policy", format!("{POLICY_FILE:?}")));
        let mut configurations = self.write_configurations(&settings)?;
        let mut keys: Vec<_> = self.roles.iter().map(|role| self.key_file(*role)).collect();
        for number in 1..=self.witnesses {
            let name = format!("witness-{number}");
            self.kept_seed(&name)?;
            configurations.push(self.write_witness(&name, &self.witness_url(number))?);
            keys.push(self.folder.join(format!("{name}.key")));
        }
        for number in self.further_archives() {
            let name = archive_name(number);
            configurations.push(self.write_archive(number, &settings)?);
            keys.push(self.folder.join(format!("{name}.key")));
        }
        Ok(Written {
            configurations,
            keys,
            to_do,
        })
    }

    fn further_archives(&self) -> std::ops::Range<usize> {
        2..self.logs.further + 2
    }

    /// What is refused before anything is written.
    fn check(&self) -> Outcome {
        let logs = self.logs;
        let is_about_archives = logs.shard_days > 0 || logs.further > 0 || logs.needed > 1;
        if is_about_archives && !self.roles.contains(&RoleName::Archive) {
            let failure = Failure::local("shards and further archives need the first archive");
            return Err(failure.remedy("Name the role archive, too."));
        }
        if logs.further > 0 && self.witnesses().is_empty() {
            let failure = Failure::local("several archives have no common witness");
            return Err(
                failure.remedy("Have all of them cosigned by the same: --witnesses NUMBER.")
            );
        }
        if logs.needed > logs.further + 1 {
            let failure = Failure::local("more archives are needed than there are");
            return Err(failure.remedy("Choose --logs-needed at most as large as --archives."));
        }
        let least = POLICY_DAYS_MIN.div_ceil(self.shards_max() - 1);
        if (1..least).contains(&logs.shard_days) {
            let failure = Failure::local(format!(
                "a policy has no room for so many shards: it must list those of {POLICY_DAYS_MIN} days"
            ));
            return Err(failure.remedy(format!("Choose --shard-days at least {least}.")));
        }
        Ok(())
    }

    /// How many shards of each archive a policy has room for.
    fn shards_max(&self) -> u32 {
        let origin = origin_of(self.logs.further + 1);
        // Keyword, span, hash and key in Base64, address and span, and what is between them.
        let line =
            4 + origin.len() + 18 + 1 + 8 + 1 + 44 + 1 + self.url(RoleName::Archive).len() + 18 + 1;
        let room = (POLICY_BYTES_MAX - WITNESS_BYTES_MAX) / line;
        u32::try_from(room / (self.logs.further + 1)).unwrap_or(u32::MAX)
    }

    /// The shards of the years to come, as many as there is room for; none for one log.
    fn shards(&self) -> Vec<Shard> {
        let days = self.logs.shard_days;
        if days == 0 {
            return Vec::new();
        }
        let now = SystemClock.now();
        let until = now.plus(Seconds::days(POLICY_DAYS));
        let first = Shard::containing(now, days);
        let shards = std::iter::successors(Some(first), |shard| Some(shard.next()));
        let shards = shards.take_while(|shard| shard.from <= until);
        shards
            .take(usize::try_from(self.shards_max()).unwrap_or(usize::MAX))
            .collect()
    }

    /// The lines of all logs, and of how many the word is needed.
    fn log_lines(&self, first: &RoleSeed, shards: &[Shard]) -> Outcome<String> {
        let lines = |seed: &RoleSeed, origin: &str, url: &str| {
            let lines = log_lines(seed, (origin, url), shards);
            lines.map_err(|error| Failure::from_error(&error))
        };
        let mut text = match self.logs.needed {
            1 => String::new(),
            needed => format!("#bauta logs {needed}\n"),
        };
        text += &lines(first, ORIGIN, &self.url(RoleName::Archive))?;
        for number in self.further_archives() {
            let seed = self.kept_seed(&archive_name(number))?;
            text += &lines(&seed, &origin_of(number), &self.archive_url(number))?;
        }
        Ok(text)
    }

    fn write_archive(
        &self,
        number: usize,
        settings: &[(RoleName, &'static str, String)],
    ) -> Outcome<PathBuf> {
        let (name, url) = (archive_name(number), self.archive_url(number));
        let mut text = template(&[RoleName::Archive]);
        let of_archives = settings
            .iter()
            .filter(|(role, ..)| *role == RoleName::Archive);
        for (_, key, value) in of_archives {
            set(&mut text, "[archive]", key, value);
        }
        for (key, value) in [
            ("data", name.clone()),
            ("key_file", format!("{name}.key")),
            ("origin", origin_of(number)),
            ("url", url.clone()),
        ] {
            set(&mut text, "[archive]", key, &format!("{value:?}"));
        }
        let listen = format!("{:?}", url.replace("http://", ""));
        set(&mut text, "[archive.http]", "listen", &listen);
        let path = self.folder.join(format!("{name}.toml"));
        write_new(&path, &text)?;
        Ok(path)
    }

    /// The policy of these logs with these witnesses, if there are any: of 3f + 1 witnesses f may fail or lie.
    fn witnessed_policy(&self, logs: &str) -> Outcome<Option<String>> {
        let witnesses = self.witnesses();
        if witnesses.is_empty() {
            return Ok(None);
        }
        let mut text = logs.to_owned();
        for (name, url) in &witnesses {
            let vkey = witness_vkey(&self.kept_seed(name)?, &format!("localhost/{name}"));
            let vkey = vkey.map_err(|error| Failure::from_error(&error))?;
            text += &format!("witness {name} {vkey} {url}\n");
        }
        let needed = witnesses.len() - (witnesses.len() - 1) / 3;
        let names: Vec<_> = witnesses.into_iter().map(|(name, _)| name).collect();
        text += &format!("group enough {needed} {}\nquorum enough\n", names.join(" "));
        Ok(Some(text))
    }

    fn write_witness(&self, name: &str, url: &str) -> Outcome<PathBuf> {
        let mut text = template(&[RoleName::Witness]);
        let listen = url.replace("http://", "");
        set(
            &mut text,
            "[witness.http]",
            "listen",
            &format!("{listen:?}"),
        );
        for (key, value) in [
            ("data", name.to_owned()),
            ("key_file", format!("{name}.key")),
            ("name", format!("localhost/{name}")),
            ("log_policy", POLICY_FILE.to_owned()),
        ] {
            set(&mut text, "[witness]", key, &format!("{value:?}"));
        }
        let path = self.folder.join(format!("{name}.toml"));
        write_new(&path, &text)?;
        Ok(path)
    }

    fn kept_seed(&self, name: &str) -> Outcome<RoleSeed> {
        kept_or_new(&self.folder.join(format!("{name}.key")))
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
        let seed = |role: &RoleName| Ok((*role, kept_or_new(&self.key_file(*role))?));
        self.roles.iter().map(seed).collect()
    }

    fn key_file(&self, role: RoleName) -> PathBuf {
        self.folder.join(format!("{}.key", role.as_str()))
    }
}

/// What an archive beside the first is called.
fn archive_name(number: usize) -> String {
    format!("archive-{number}")
}

fn origin_of(number: usize) -> String {
    format!("{ORIGIN}-{number}")
}

/// The seed in this file; drawn and written first if there is none.
fn kept_or_new(path: &Path) -> Outcome<RoleSeed> {
    if path.exists() {
        return crate::commands::seed_of(path);
    }
    let seed = RoleSeed::generate(&mut SystemRng::new());
    seed.store(path)
        .map_err(|error| Failure::from_error(&error))?;
    Ok(seed)
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

/// As many ports that are free at the moment as a plan with these witnesses has.
pub fn free_ports(witnesses: usize) -> Outcome<Vec<u16>> {
    let places = 0..RoleName::ALL.len() + witnesses;
    let listeners = places.map(|_| TcpListener::bind(("127.0.0.1", 0)));
    // All are held until the last is there, or the system would give the same port twice.
    let listeners = listeners.collect::<Result<Vec<_>, _>>()?;
    let ports = listeners.iter().map(|listener| listener.local_addr());
    Ok(ports
        .map(|address| Ok(address?.port()))
        .collect::<Result<_, std::io::Error>>()?)
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
            logs: Logs::ONE,
            witnesses: 0,
            ports: (4_001..4_020).collect(),
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
    fn several_archives_stand_in_one_policy_with_all_their_shards() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let several = Plan {
            witnesses: 4,
            logs: Logs {
                shard_days: 91,
                further: 2,
                needed: 2,
            },
            ..plan(folder.path(), false)
        };
        let written = several.write().expect("writes");
        assert_eq!(written.configurations.len(), 7);
        let archives = [0, 5, 6].map(|number: usize| {
            let config = Config::load(&written.configurations[number]).expect("loads");
            config.archive.expect("an archive")
        });
        let policy = archives[0].log_policy.as_ref().expect("set").load();
        let policy = policy.expect("a policy");
        assert_eq!(policy.log_threshold(), 2);
        let soon = SystemClock.now().plus(Seconds::days(1));
        policy.check_use(soon).expect("can be used");
        let known: Vec<_> = policy.logs_for(soon).collect();
        assert_eq!(known.len(), 3);
        for (archive, known) in archives.iter().zip(&known) {
            assert_eq!((archive.shard_days, archive.banks.len()), (91, 1));
            let seed = RoleSeed::load(&archive.key_file).expect("a key");
            let shard = [known.shard.expect("a shard")];
            let place = (
                archive.origin.as_str(),
                archive.url.as_deref().expect("set"),
            );
            let line = log_lines(&seed, place, &shard).expect("a line");
            assert!(policy.text().contains(&line));
            let address = archive.http.listen.to_string();
            assert!(known.url.as_ref().expect("set").contains(&address));
        }
        let later = soon.plus(Seconds::days(4 * 366));
        policy.check_use(later).expect("lists the years to come");
    }

    #[test]
    fn a_policy_has_room_for_all_shards_or_nothing_is_written() {
        for (further, witnesses, days, is_right) in [
            (0, 0, 1, true),
            (2, 4, 7, true),
            (2, 4, 3, true),
            (2, 4, 2, false),
            (7, 32, 8, true),
        ] {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let sharded = Plan {
                witnesses,
                logs: Logs {
                    shard_days: days,
                    further,
                    needed: 1,
                },
                ports: (10_001..10_100).collect(),
                ..plan(&folder.path().join("town"), false)
            };
            let written = sharded.write();
            assert_eq!(written.is_ok(), is_right, "{further} {days}: {written:?}");
            let Ok(written) = written else {
                assert!(!sharded.folder.exists(), "something was written");
                continue;
            };
            let config = Config::load(&written.configurations[0]).expect("loads");
            let policy = config.bank.expect("a bank").log_policy.load();
            let policy = policy.expect("understood");
            let far = SystemClock.now().plus(Seconds::days(POLICY_DAYS_MIN));
            policy.check_use(far).expect("lists all that banks record");
        }
    }

    #[test]
    fn a_log_with_witnesses_names_them_and_they_know_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let witnessed = Plan {
            witnesses: 4,
            ..plan(folder.path(), false)
        };
        let written = witnessed.write().expect("writes");
        assert_eq!(written.configurations.len(), 5);
        let config = Config::load(&written.configurations[0]).expect("loads");
        let policy = config.archive.and_then(|archive| archive.log_policy);
        let policy = policy.expect("set").load().expect("a policy");
        assert_eq!(policy.bad_witnesses_max(), Some(1));
        for (file, known) in written.configurations[1..].iter().zip(policy.witnesses()) {
            let config = Config::load(file).expect("loads");
            let witness = config.witness.expect("a witness");
            let seed = RoleSeed::load(&witness.key_file).expect("a key");
            let vkey = witness_vkey(&seed, &witness.name).expect("a name");
            assert_eq!(vkey, known.key);
            let listen = format!("http://{}", witness.http.listen);
            assert_eq!(known.url.as_deref(), Some(listen.as_str()));
            witness
                .log_policy
                .expect("set")
                .load()
                .expect("the log's policy");
        }
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
