//! A role's keys: one seed in a file that only its owner can read, from which everything else is derived.

use std::{fs, io, path::Path};

use bauta_crypto::{kdf, label, secret::Secret, sign::SigningKey};
use data_encoding::HEXLOWER;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// The 32 bytes behind all keys of one role.
#[derive(Clone)]
pub struct RoleSeed(Secret<32>);

impl std::fmt::Debug for RoleSeed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("RoleSeed(..)")
    }
}

/// Why a key file cannot be used. Its owner is at fault.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read or written.
    #[error("the key file cannot be used")]
    Io(#[from] io::Error),
    /// It is not 64 hexadecimal digits.
    #[error("the key file does not hold 64 hexadecimal digits")]
    Form,
    /// Others can read it.
    #[error("the key file can be read by others; allow its owner only (chmod 600)")]
    Exposed,
}

impl RoleSeed {
    /// Draws a new seed.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(Secret::generate(rng))
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        check_permissions(path)?;
        let text = Zeroizing::new(fs::read_to_string(path)?);
        let bytes = HEXLOWER
            .decode(text.trim().as_bytes())
            .map_err(|_| KeyFileError::Form)?;
        let bytes = Zeroizing::new(bytes);
        Secret::from_slice(&bytes)
            .map(Self)
            .ok_or(KeyFileError::Form)
    }

    /// Writes a new key file that only its owner can read; never over an existing one.
    ///
    /// # Errors
    /// [`KeyFileError::Io`], also when the file exists.
    pub fn store(&self, path: &Path) -> Result<(), KeyFileError> {
        let text = Zeroizing::new(HEXLOWER.encode(self.0.expose()) + "\n");
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        io::Write::write_all(&mut file, text.as_bytes())?;
        Ok(file.sync_all()?)
    }

    /// The secret for one purpose.
    #[must_use]
    pub fn secret(&self, purpose: &str) -> Secret<32> {
        kdf::derive(label::ROLE_KEY, self.0.expose(), &[purpose.as_bytes()])
    }

    /// The signing key for one purpose.
    #[must_use]
    pub fn signing_key(&self, purpose: &str) -> SigningKey {
        SigningKey::from_seed(&self.secret(purpose))
    }
}

#[cfg(unix)]
fn check_permissions(path: &Path) -> Result<(), KeyFileError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(KeyFileError::Exposed)
    }
}

#[cfg(not(unix))]
fn check_permissions(_path: &Path) -> Result<(), KeyFileError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_reads_back_is_never_overwritten_and_must_not_be_readable_by_others() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("role.key");
        let seed = RoleSeed(Secret::new([5; 32]));
        seed.store(&path).expect("writes");
        let again = RoleSeed::load(&path).expect("reads");
        assert_eq!(again.secret("x"), seed.secret("x"));
        assert!(seed.store(&path).is_err());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("changes");
            assert!(matches!(RoleSeed::load(&path), Err(KeyFileError::Exposed)));
        }
    }
}
