//! Verifier keys as text (C2SP signed-note): `<name>+<id>+<base64 of type and key>`.

use super::NoteError;
use crate::sign::VerifyingKey;
use core::{fmt, str::FromStr};
use data_encoding::BASE64;

/// What a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VkeyKind {
    /// A log's notes: Ed25519, type 0x01.
    Log,
    /// Timestamped cosignatures: Ed25519, type 0x04.
    Cosigner,
}

impl VkeyKind {
    const fn signature_type(self) -> u8 {
        match self {
            Self::Log => 0x01,
            Self::Cosigner => 0x04,
        }
    }

    const fn from_signature_type(signature_type: u8) -> Option<Self> {
        match signature_type {
            0x01 => Some(Self::Log),
            0x04 => Some(Self::Cosigner),
            _ => None,
        }
    }
}

/// A public key with the name of its owner.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vkey {
    /// The owner's name, by which signatures say whose they are.
    pub name: String,
    /// The first four bytes of a hash over name, kind and key, by which signatures say which key.
    pub id: u32,
    /// The key itself.
    pub key: VerifyingKey,
    /// What it signs.
    pub kind: VkeyKind,
}

impl Vkey {
    /// Names a key and computes its id.
    ///
    /// # Errors
    /// [`NoteError::InvalidName`] if the name is empty or has spaces, control characters or a plus sign.
    pub fn new(name: &str, key: VerifyingKey, kind: VkeyKind) -> Result<Self, NoteError> {
        if !signed_note::is_key_name_valid(name) || name.contains(char::is_control) {
            return Err(NoteError::InvalidName);
        }
        let id = signed_note::key_id(name, &typed_key(kind, &key));
        Ok(Self {
            name: name.to_owned(),
            id,
            key,
            kind,
        })
    }
}

impl fmt::Display for Vkey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = BASE64.encode(&typed_key(self.kind, &self.key));
        write!(formatter, "{}+{:08x}+{key}", self.name, self.id)
    }
}

/// The name alone, which is published with every signature.
impl fmt::Debug for Vkey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Vkey({:?}, {:?}, ..)", self.name, self.kind)
    }
}

impl FromStr for Vkey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let vkey = read(text).ok_or(NoteError::MalformedVkey)?;
        if vkey.to_string() != text {
            return Err(NoteError::MalformedVkey);
        }
        Ok(vkey)
    }
}

/// Reads all but the id, which printing again compares.
fn read(text: &str) -> Option<Vkey> {
    let (name, rest) = text.split_once('+')?;
    let (_, typed_key) = rest.split_once('+')?;
    let typed_key = BASE64.decode(typed_key.as_bytes()).ok()?;
    let (signature_type, key) = typed_key.split_first()?;
    let kind = VkeyKind::from_signature_type(*signature_type)?;
    Vkey::new(name, VerifyingKey(key.try_into().ok()?), kind).ok()
}

fn typed_key(kind: VkeyKind, key: &VerifyingKey) -> Vec<u8> {
    [&[kind.signature_type()], key.0.as_slice()].concat()
}
