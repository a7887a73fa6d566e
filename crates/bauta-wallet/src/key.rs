//! The storage key: 32 random bytes that seal every record, kept in the wallet's folder under a passphrase or a key file.
//!
//! `key.age` is an [age](https://age-encryption.org/v1) file, so that its owner can open it without this program;
//! `key.plain` exists only when the owner asked for no protection. When both are there a change of protection was
//! interrupted, and `key.age` counts.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use age::secrecy::{ExposeSecret, SecretString};
use bauta_crypto::secret::Secret;
use zeroize::Zeroizing;

const AGE_FILE: &str = "key.age";
const PLAIN_FILE: &str = "key.plain";

/// How the storage key is kept, with what opens it.
#[derive(Clone)]
pub enum Protection {
    /// Under a passphrase (scrypt).
    Passphrase(Zeroizing<String>),
    /// To the X25519 identity in this file, which is made if it does not exist when a wallet is made.
    KeyFile(PathBuf),
    /// Not at all: whoever reads the folder has the money.
    Unprotected,
}

impl std::fmt::Debug for Protection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Passphrase(_) => "Passphrase(..)",
            Self::KeyFile(_) => "KeyFile(..)",
            Self::Unprotected => "Unprotected",
        })
    }
}

/// What opens a wallet's key, as its folder shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProtectionKind {
    /// A passphrase.
    Passphrase,
    /// A key file.
    KeyFile,
    /// Nothing is needed.
    Unprotected,
}

/// Why the storage key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The passphrase is not the one.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// The key file holds another key.
    #[error("the key file does not open this wallet")]
    WrongKeyFile,
    /// The key file is not one.
    #[error("the key file is not an age identity file")]
    KeyFileForm,
    /// The key file cannot be read or made.
    #[error("the key file cannot be read")]
    KeyFile(#[source] io::Error),
    /// A passphrase was given where a key file is needed, or the other way round.
    #[error("the wallet's key needs something else to open")]
    OtherProtection(ProtectionKind),
    /// There is no key in the folder.
    #[error("there is no wallet in this folder")]
    Missing,
    /// The file is not what was written.
    #[error("the wallet's key is damaged; restore the wallet from its words")]
    Damaged,
    /// The folder cannot be read or written.
    #[error("the wallet's key cannot be read or written")]
    Folder(#[source] io::Error),
}

/// What is needed to open the key in `folder`.
///
/// # Errors
/// [`KeyError::Missing`], [`KeyError::Folder`] or [`KeyError::Damaged`].
pub fn protection_of(folder: &Path) -> Result<ProtectionKind, KeyError> {
    match read_optional(&folder.join(AGE_FILE))? {
        Some(sealed) => sealed_kind(&sealed),
        None if folder.join(PLAIN_FILE).exists() => Ok(ProtectionKind::Unprotected),
        None => Err(KeyError::Missing),
    }
}

/// Writes `key` into `folder`, in place of what is there.
///
/// # Errors
/// [`KeyError`]; the former key is then still in force.
pub fn write(folder: &Path, key: &Secret<32>, protection: &Protection) -> Result<(), KeyError> {
    let (name, former, content) = match protection {
        Protection::Passphrase(passphrase) => {
            let recipient = age::scrypt::Recipient::new(secret_string(passphrase));
            (AGE_FILE, PLAIN_FILE, encrypt(&recipient, key)?)
        }
        Protection::KeyFile(path) => {
            let recipient = read_or_make_identity(path)?.to_public();
            (AGE_FILE, PLAIN_FILE, encrypt(&recipient, key)?)
        }
        Protection::Unprotected => (PLAIN_FILE, AGE_FILE, plain_text(key)),
    };
    replace(folder, name, &content).map_err(KeyError::Folder)?;
    match fs::remove_file(folder.join(former)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(KeyError::Folder(error)),
        _ => Ok(()),
    }
}

/// Reads the key in `folder`.
///
/// # Errors
/// [`KeyError`]; a wrong passphrase and a wrong key file have their own.
pub fn open(folder: &Path, protection: &Protection) -> Result<Secret<32>, KeyError> {
    let kind = protection_of(folder)?;
    match (kind, protection) {
        (ProtectionKind::Passphrase, Protection::Passphrase(passphrase)) => {
            let identity = age::scrypt::Identity::new(secret_string(passphrase));
            decrypt(folder, &identity, KeyError::WrongPassphrase)
        }
        (ProtectionKind::KeyFile, Protection::KeyFile(path)) => {
            decrypt(folder, &read_identity(path)?, KeyError::WrongKeyFile)
        }
        // Whatever was offered: no key is needed.
        (ProtectionKind::Unprotected, _) => {
            let text = fs::read(folder.join(PLAIN_FILE)).map_err(KeyError::Folder)?;
            key_from_hex(&Zeroizing::new(text))
        }
        (needed, _) => Err(KeyError::OtherProtection(needed)),
    }
}

fn sealed_kind(sealed: &[u8]) -> Result<ProtectionKind, KeyError> {
    let decryptor = age::Decryptor::new_buffered(sealed).map_err(|_| KeyError::Damaged)?;
    Ok(if decryptor.is_scrypt() {
        ProtectionKind::Passphrase
    } else {
        ProtectionKind::KeyFile
    })
}

fn encrypt(recipient: &impl age::Recipient, key: &Secret<32>) -> Result<Vec<u8>, KeyError> {
    age::encrypt(recipient, &plain_text(key)).map_err(|error| match error {
        age::EncryptError::Io(error) => KeyError::Folder(error),
        _ => KeyError::KeyFileForm,
    })
}

fn decrypt(
    folder: &Path,
    identity: &impl age::Identity,
    wrong: KeyError,
) -> Result<Secret<32>, KeyError> {
    let sealed = fs::read(folder.join(AGE_FILE)).map_err(KeyError::Folder)?;
    let opened = age::decrypt(identity, &sealed).map_err(|error| match error {
        age::DecryptError::DecryptionFailed
        | age::DecryptError::KeyDecryptionFailed
        | age::DecryptError::NoMatchingKeys => wrong,
        _ => KeyError::Damaged,
    })?;
    key_from_hex(&Zeroizing::new(opened))
}

fn plain_text(key: &Secret<32>) -> Vec<u8> {
    format!("{}\n", data_encoding::HEXLOWER.encode(key.expose())).into_bytes()
}

fn key_from_hex(text: &[u8]) -> Result<Secret<32>, KeyError> {
    let bytes = data_encoding::HEXLOWER
        .decode(text.trim_ascii_end())
        .map_err(|_| KeyError::Damaged)?;
    Secret::from_slice(&Zeroizing::new(bytes)).ok_or(KeyError::Damaged)
}

fn read_or_make_identity(path: &Path) -> Result<age::x25519::Identity, KeyError> {
    if path.exists() {
        return read_identity(path);
    }
    let identity = age::x25519::Identity::generate();
    let text = Zeroizing::new(format!("{}\n", identity.to_string().expose_secret()));
    let mut file = private_file(path, true).map_err(KeyError::KeyFile)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(KeyError::KeyFile)?;
    Ok(identity)
}

fn read_identity(path: &Path) -> Result<age::x25519::Identity, KeyError> {
    let text = Zeroizing::new(fs::read_to_string(path).map_err(KeyError::KeyFile)?);
    text.lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'))
        .and_then(|line| line.parse().ok())
        .ok_or(KeyError::KeyFileForm)
}

fn secret_string(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, KeyError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(KeyError::Folder(error)),
    }
}

/// Writes beside, makes durable, renames: a crash leaves the old file or the new one.
fn replace(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let beside = folder.join(format!("{name}.new"));
    let mut file = private_file(&beside, false)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, folder.join(name))?;
    sync_folder(folder)
}

/// A file that only its owner reads.
fn private_file(path: &Path, must_be_new: bool) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    options.create_new(must_be_new);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes renames in a folder durable, where the system has a way.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Secret<32> {
        Secret::new([0x5a; 32])
    }

    fn passphrase(text: &str) -> Protection {
        Protection::Passphrase(Zeroizing::new(text.to_owned()))
    }

    #[test]
    fn a_passphrase_opens_its_key_and_another_is_told_apart_from_damage() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), &key(), &passphrase("right")).expect("written");
        assert_eq!(
            protection_of(folder.path()).expect("there"),
            ProtectionKind::Passphrase
        );
        assert_eq!(
            open(folder.path(), &passphrase("right")).expect("opens"),
            key()
        );
        let wrong = open(folder.path(), &passphrase("wrong"));
        assert!(matches!(wrong, Err(KeyError::WrongPassphrase)));
        fs::write(folder.path().join(AGE_FILE), b"not age").expect("written");
        let damaged = open(folder.path(), &passphrase("right"));
        assert!(matches!(damaged, Err(KeyError::Damaged)));
    }

    #[test]
    fn a_key_file_is_made_once_and_opens_only_its_own_wallet() {
        let folder = tempfile::tempdir().expect("a folder");
        let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
        write(folder.path(), &key(), &Protection::KeyFile(one.clone())).expect("written");
        read_or_make_identity(&other).expect("made");
        assert_eq!(
            open(folder.path(), &Protection::KeyFile(one)).expect("opens"),
            key()
        );
        let wrong = open(folder.path(), &Protection::KeyFile(other));
        assert!(matches!(wrong, Err(KeyError::WrongKeyFile)));
    }

    #[test]
    fn changing_the_protection_leaves_one_key_and_no_plain_one() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), &key(), &Protection::Unprotected).expect("written");
        assert_eq!(
            open(folder.path(), &Protection::Unprotected).expect("opens"),
            key()
        );
        let file = Protection::KeyFile(folder.path().join("identity"));
        write(folder.path(), &key(), &file).expect("changed");
        assert!(!folder.path().join(PLAIN_FILE).exists());
        let refused = open(folder.path(), &Protection::Unprotected);
        assert!(matches!(
            refused,
            Err(KeyError::OtherProtection(ProtectionKind::KeyFile))
        ));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_an_unprotected_key() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), &key(), &Protection::Unprotected).expect("written");
        let metadata = fs::metadata(folder.path().join(PLAIN_FILE)).expect("there");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }
}
