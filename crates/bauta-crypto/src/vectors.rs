//! Reading the files of `tests/vectors`.

use data_encoding::HEXLOWER;
use serde_json::Value;

/// The file's JSON.
pub(crate) fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("a vector file is JSON")
}

/// The list under a name.
pub(crate) fn list<'a>(vector: &'a Value, name: &str) -> &'a [Value] {
    vector[name].as_array().expect("the vector has this list")
}

/// The text under a name.
pub(crate) fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().expect("the vector has this text")
}

/// The number under a name.
pub(crate) fn number(vector: &Value, name: &str) -> u64 {
    vector[name].as_u64().expect("the vector has this number")
}

/// The bytes under a name, written in hexadecimal.
pub(crate) fn bytes(vector: &Value, name: &str) -> Vec<u8> {
    decode(text(vector, name))
}

/// The bytes under a name, which are `N`.
pub(crate) fn array<const N: usize>(vector: &Value, name: &str) -> [u8; N] {
    bytes(vector, name)
        .try_into()
        .expect("the bytes have this length")
}

/// Bytes from hexadecimal.
pub(crate) fn decode(hex: &str) -> Vec<u8> {
    HEXLOWER
        .decode(hex.as_bytes())
        .expect("bytes are written in hexadecimal")
}

/// A generator for tests: the system's.
pub(crate) fn rng() -> impl rand_core::CryptoRng {
    rand_core::UnwrapErr(getrandom::SysRng)
}
