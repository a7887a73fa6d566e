use super::*;
use crate::vectors::{array, bytes, list, read, text};
use proptest::prelude::*;

fn file() -> serde_json::Value {
    read(include_str!("../../tests/vectors/ed25519.json"))
}

#[test]
fn the_vectors_of_rfc_8032_are_signed_and_verified() {
    for vector in list(&file(), "vectors") {
        let key = SigningKey::from_seed(&Secret::new(array(vector, "seed")));
        let message = bytes(vector, "message");
        assert_eq!(key.verifying_key(), VerifyingKey(array(vector, "key")));
        assert_eq!(
            key.sign_plain(&message),
            Signature(array(vector, "signature"))
        );
        assert_eq!(
            key.verifying_key()
                .verify_plain(&message, &key.sign_plain(&message)),
            Ok(())
        );
    }
}

#[test]
fn what_only_a_lax_verifier_takes_is_refused() {
    for case in list(&file(), "refused") {
        let key = VerifyingKey(array(case, "key"));
        let verdict = key.verify_plain(
            &bytes(case, "message"),
            &Signature(array(case, "signature")),
        );
        assert_eq!(verdict, Err(SignatureError), "{}", text(case, "defect"));
    }
}

#[test]
fn the_signed_message_is_prefix_zero_type_and_body() {
    let key = SigningKey::from_seed(&Secret::new([5; 32]));
    assert_eq!(
        key.sign(0x0203, b"body"),
        key.sign_plain(b"bauta1\0\x02\x03body")
    );
}

#[test]
fn debug_shows_no_key_and_no_signature() {
    let key = SigningKey::from_seed(&Secret::new([5; 32]));
    let shown = format!("{key:?} {:?} {:?}", key.verifying_key(), key.sign(1, b""));
    assert_eq!(shown, "SigningKey(..) VerifyingKey(..) Signature(..)");
}

proptest! {
    #[test]
    fn a_signature_is_good_for_its_key_type_and_body_only(
        seed: [u8; 32], other_seed: [u8; 32], message_type: u16, other_type: u16, body: Vec<u8>, flipped in 0_usize..512,
    ) {
        let key = SigningKey::from_seed(&Secret::new(seed));
        let signature = key.sign(message_type, &body);
        let verifying = key.verifying_key();
        prop_assert_eq!(verifying.verify(message_type, &body, &signature), Ok(()));
        prop_assert_eq!(verifying.verify(other_type, &body, &signature).is_ok(), other_type == message_type);
        let other = SigningKey::from_seed(&Secret::new(other_seed)).verifying_key();
        prop_assert_eq!(other.verify(message_type, &body, &signature).is_ok(), other == verifying);
        let mut altered = signature;
        altered.0[flipped / 8] ^= 1 << (flipped % 8);
        prop_assert!(verifying.verify(message_type, &body, &altered).is_err());
        let longer = [body.as_slice(), b"x"].concat();
        prop_assert!(verifying.verify(message_type, &longer, &signature).is_err());
    }
}
