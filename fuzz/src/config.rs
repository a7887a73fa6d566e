//! The configurations of the town's roles, as an operator would write them: settings that are not named keep their
//! defaults.

use std::path::Path;

use bauta_proto::ids::BankId;
use bauta_server::{
    config::PolicySource,
    roles::{archive::ArchiveConfig, bank::BankConfig, merchant::MerchantConfig},
};

use crate::town::Role;

pub(crate) fn archive(folder: &Path, bank: BankId) -> ArchiveConfig {
    let text = format!(
        "http = {{ listen = '127.0.0.1:0' }}
        data = '{folder}/archive'
        key_file = '{folder}/Archive.key'
        origin = 'log.example/bauta'
        url = '{url}'
        banks = ['{bank}']",
        folder = folder.display(),
        url = Role::Archive.url(),
        bank = bank.hex(),
    );
    toml::from_str(&text).expect("a configuration")
}

pub(crate) fn bank(folder: &Path, log_policy: PolicySource) -> BankConfig {
    let text = format!(
        "http = {{ listen = '127.0.0.1:0' }}
        data = '{folder}/bank'
        key_file = '{folder}/Bank.key'
        name = 'Bank'
        currencies = ['EUR']
        log_policy = ''
        exponent_max = 10",
        folder = folder.display(),
    );
    let config: BankConfig = toml::from_str(&text).expect("a configuration");
    BankConfig {
        log_policy,
        ..config
    }
}

pub(crate) fn merchant(folder: &Path, bank: BankId, log_policy: PolicySource) -> MerchantConfig {
    let text = format!(
        "http = {{ listen = '127.0.0.1:0' }}
        data = '{folder}/merchant'
        key_file = '{folder}/Merchant.key'
        name = 'Shop'
        log_policy = ''
        banks = [{{ bank = '{bank}', url = '{url}' }}]
        dispute_window_s = 600
        offers_max = 100",
        folder = folder.display(),
        url = Role::Bank.url(),
        bank = bank.hex(),
    );
    let config: MerchantConfig = toml::from_str(&text).expect("a configuration");
    MerchantConfig {
        log_policy,
        ..config
    }
}
