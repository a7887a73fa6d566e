//! Content keys under the secret of one sale.
//!
//! One ciphertext serves every buyer: its key never travels, only `wk = K xor HKDF(u, hu || ct_root)` does, and whoever
//! learns `u` computes `K`.

use crate::{content::ContentKey, kdf, label, secret::Secret};

/// Masks a content key with the sale's secret `u`, bound to `hu = SHA-256(u)` and to the ciphertext's BLAKE3 root.
pub fn wrap(key: &ContentKey, u: &Secret<32>, hu: &[u8; 32], ct_root: &[u8; 32]) -> [u8; 16] {
    exclusive_or(key.expose(), &mask(u, hu, ct_root))
}

/// Takes the mask off again. Any 16 bytes give a key: that it is the right one is seen at the content's commitment.
pub fn unwrap(wrapped: &[u8; 16], u: &Secret<32>, hu: &[u8; 32], ct_root: &[u8; 32]) -> ContentKey {
    Secret::new(exclusive_or(wrapped, &mask(u, hu, ct_root)))
}

fn mask(u: &Secret<32>, hu: &[u8; 32], ct_root: &[u8; 32]) -> Secret<16> {
    kdf::derive(label::KEY_WRAP, u.expose(), &[hu, ct_root])
}

fn exclusive_or(left: &[u8; 16], mask: &Secret<16>) -> [u8; 16] {
    core::array::from_fn(|index| left[index] ^ mask.expose()[index])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{array, read};

    #[test]
    fn the_wrapping_of_another_implementation_is_reproduced() {
        let vector = read(include_str!("../tests/vectors/wrap.json"));
        let (u, hu, ct_root) = (
            Secret::new(array(&vector, "u")),
            array(&vector, "hu"),
            array(&vector, "ct_root"),
        );
        let key = Secret::new(array(&vector, "key"));
        let wrapped = array(&vector, "wrapped");
        assert_eq!(wrap(&key, &u, &hu, &ct_root), wrapped);
        assert_eq!(unwrap(&wrapped, &u, &hu, &ct_root), key);
    }

    #[test]
    fn the_secret_that_wrapped_a_key_gives_it_back_and_no_other_does() {
        let key = Secret::new([9; 16]);
        let (u, other) = (Secret::new([1; 32]), Secret::new([2; 32]));
        let wrapped = wrap(&key, &u, &[3; 32], &[4; 32]);
        assert_eq!(unwrap(&wrapped, &u, &[3; 32], &[4; 32]), key);
        assert_ne!(unwrap(&wrapped, &other, &[3; 32], &[4; 32]), key);
        assert_ne!(unwrap(&wrapped, &u, &[3; 32], &[5; 32]), key);
    }
}
