use super::*;
use crate::vectors::decode;
use proptest::prelude::*;

#[test]
fn the_vector_of_rfc_8452_is_sealed_and_opened() {
    let mut key = [0; 32];
    key[0] = 1;
    let mut nonce = [0; 12];
    nonce[0] = 3;
    let plaintext = decode("0100000000000000");
    let sealed = seal(&Secret::new(key), nonce, b"", &plaintext);
    assert_eq!(
        sealed[NONCE_BYTES..],
        decode("c2ef328e5c71c83b843122130f7364b761e0b97427e3df28")
    );
    assert_eq!(open(&Secret::new(key), b"", &sealed), Ok(plaintext));
}

#[test]
fn too_short_a_record_is_refused() {
    for length in 0..NONCE_BYTES + TAG_BYTES {
        assert_eq!(
            open(&Secret::new([0; 32]), b"", &vec![0; length]),
            Err(OpenError)
        );
    }
}

proptest! {
    #[test]
    fn a_record_opens_under_its_key_and_place_and_unaltered_only(
        key: [u8; 32], nonce: [u8; 12], aad: Vec<u8>, plaintext: Vec<u8>, flipped: prop::sample::Index,
    ) {
        let key = Secret::new(key);
        let sealed = seal(&key, nonce, &aad, &plaintext);
        prop_assert_eq!(open(&key, &aad, &sealed), Ok(plaintext));
        let elsewhere = [aad.as_slice(), b"x"].concat();
        prop_assert_eq!(open(&key, &elsewhere, &sealed), Err(OpenError));
        let mut altered = sealed.clone();
        altered[flipped.index(sealed.len())] ^= 1;
        prop_assert_eq!(open(&key, &aad, &altered), Err(OpenError));
        prop_assert_eq!(open(&key, &aad, &sealed[..sealed.len() - 1]), Err(OpenError));
    }
}
