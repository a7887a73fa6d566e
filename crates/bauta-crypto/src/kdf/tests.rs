use super::*;
use crate::vectors::{array, bytes, list, read};
use proptest::prelude::*;

#[test]
fn the_vectors_of_rfc_5869_are_reproduced() {
    let file = read(include_str!("../../tests/vectors/hkdf_sha256.json"));
    let vectors = list(&file, "vectors");
    let input = |index: usize| {
        let vector = &vectors[index];
        (
            bytes(vector, "salt"),
            bytes(vector, "secret"),
            bytes(vector, "info"),
        )
    };
    let (salt, secret, info) = input(0);
    assert_eq!(
        hkdf_sha256::<42>(&salt, &secret, &info).expose(),
        &array(&vectors[0], "derived")
    );
    let (salt, secret, info) = input(1);
    assert_eq!(
        hkdf_sha256::<82>(&salt, &secret, &info).expose(),
        &array(&vectors[1], "derived")
    );
    let (salt, secret, info) = input(2);
    assert_eq!(
        hkdf_sha256::<42>(&salt, &secret, &info).expose(),
        &array(&vectors[2], "derived")
    );
}

#[test]
fn a_label_is_the_salt_and_every_part_has_its_length_before_it() {
    let derived = derive::<32>(Label::of_standard("salt"), b"secret", &[b"ab", b""]);
    assert_eq!(
        derived,
        hkdf_sha256(b"salt", b"secret", b"\0\0\0\x02ab\0\0\0\0")
    );
}

proptest! {
    #[test]
    fn moving_a_border_between_parts_gives_another_key(text in proptest::collection::vec(any::<u8>(), 2..40), cut in 1_usize..39) {
        let cut = cut.min(text.len() - 1);
        let (left, right) = text.split_at(cut);
        let whole = derive::<32>(crate::label::KEY_WRAP, b"secret", &[&text]);
        prop_assert_ne!(whole, derive::<32>(crate::label::KEY_WRAP, b"secret", &[left, right]));
    }
}
