use super::point::Point;
use super::*;
use crate::vectors::{array, bytes, decode, list, read, rng, text};
use proptest::prelude::*;
use std::collections::HashSet;

fn issuer(seed: u8) -> IssuerKey {
    IssuerKey::from_seed(&Secret::new([seed; 32]))
}

fn factor(seed: u8) -> BlindingFactor {
    BlindingFactor::from_seed(&Secret::new([seed; 32]))
}

fn coin(key: &IssuerKey, message: &[u8]) -> CoinSignature {
    let factor = factor(9);
    let answer = key
        .sign(&blind(message, &factor))
        .expect("our own blinded message is a point");
    unblind(message, &factor, &answer, &key.public_key())
        .expect("an honest issuer's answer verifies")
}

#[test]
fn hashing_to_the_curve_gives_the_vectors_of_rfc_9380() {
    let file = read(include_str!("../../tests/vectors/hash_to_g1.json"));
    for vector in list(&file, "vectors") {
        let point = Point::hash(
            text(vector, "message").as_bytes(),
            text(&file, "domain").as_bytes(),
        );
        let compressed = Signature::uncompress(&point.encode()).expect("a point was encoded");
        assert_eq!(
            compressed.serialize().to_vec(),
            [bytes(vector, "x"), bytes(vector, "y")].concat()
        );
    }
}

#[test]
fn an_unblinded_signature_is_the_plain_bls_signature() {
    let key = issuer(1);
    let plain = key.0.sign(b"coin", label::COIN_POINT.as_bytes(), &[]);
    assert_eq!(coin(&key, b"coin"), CoinSignature(plain.compress()));
}

#[test]
fn a_message_blinded_twice_shows_nothing_in_common_and_gives_one_signature() {
    let key = issuer(1);
    let (first, second) = (blind(b"coin", &factor(2)), blind(b"coin", &factor(3)));
    assert_ne!(first, second);
    let open = |seed, blinded| {
        let answer = key.sign(blinded).expect("a point");
        unblind(b"coin", &factor(seed), &answer, &key.public_key()).expect("an honest answer")
    };
    assert_eq!(open(2, &first), open(3, &second));
}

#[test]
fn unlinkable_because_each_blinded_point_fits_each_message_under_some_factor() {
    // The points of two messages are multiples of each other, H' = s * H, and blinding is a multiplication too: what r
    // makes of H', s * r makes of H. So the point that the issuer sees fits either message.
    let (scalar, r) = (issuer(4), factor(5));
    let other = coin_point(b"coin").multiply(&scalar.0);
    let blinded_other = other.multiply(&r.0);
    let blinded = coin_point(b"coin").multiply(&r.0).multiply(&scalar.0);
    assert_eq!(blinded_other.encode(), blinded.encode());
}

#[test]
fn an_issuer_refuses_what_is_no_point_of_the_group() {
    let mut infinity = [0; 48];
    infinity[0] = 0xc0;
    // On the curve, but of the cofactor's part of it: x = 4.
    let mut elsewhere = [0; 48];
    (elsewhere[0], elsewhere[47]) = (0x80, 4);
    let on_curve = Signature::uncompress(&elsewhere).expect("x = 4 is on the curve");
    assert!(!on_curve.subgroup_check());
    let mut off_curve = elsewhere;
    off_curve[47] = 1;
    let modulus = "9a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab";
    let beyond: [u8; 48] = decode(modulus).try_into().expect("48 bytes");
    let mut uncompressed = blind(b"coin", &factor(2)).0;
    uncompressed[0] &= 0x7f;
    for bytes in [
        [0; 48],
        [0xff; 48],
        infinity,
        elsewhere,
        off_curve,
        beyond,
        uncompressed,
    ] {
        assert_eq!(
            issuer(1).sign(&BlindedMessage(bytes)),
            Err(BlindError::BlindedMessage)
        );
        assert_eq!(
            unblind_unchecked(&factor(2), &BlindSignature(bytes)),
            Err(BlindError::BlindSignature)
        );
        assert!(!issuer(1).verify(b"coin", &CoinSignature(bytes)));
        assert!(
            !issuer(1)
                .public_key()
                .verify(b"coin", &CoinSignature(bytes))
        );
        assert!(!verify_batch(
            &[(issuer(1).public_key(), b"coin", CoinSignature(bytes))],
            &mut rng()
        ));
    }
}

/// The vector's signature plus the point (0, 2) of order 3: wherever the group is not checked, a multiple by three passes.
#[test]
fn a_valid_signature_plus_a_point_outside_the_group_is_refused() {
    let vector = read(include_str!("../../tests/vectors/coin.json"));
    let key = IssuerKey::from_seed(&Secret::new(array(&vector, "issuer_seed")));
    let altered = CoinSignature(array(&vector, "signature_plus_a_point_of_order_3"));
    assert!(Signature::uncompress(&altered.0).is_ok());
    assert!(!key.verify(b"coin", &altered));
    assert!(!key.public_key().verify(b"coin", &altered));
    assert!((0..64).all(|_| !verify_batch(&[(key.public_key(), b"coin", altered)], &mut rng())));
    assert_eq!(
        key.sign(&BlindedMessage(altered.0)),
        Err(BlindError::BlindedMessage)
    );
}

#[test]
fn a_coin_of_fixed_seeds_never_changes() {
    let vector = read(include_str!("../../tests/vectors/coin.json"));
    let key = IssuerKey::from_seed(&Secret::new(array(&vector, "issuer_seed")));
    let factor = BlindingFactor::from_seed(&Secret::new(array(&vector, "factor_seed")));
    let message = text(&vector, "message").as_bytes();
    let blinded = blind(message, &factor);
    let answer = key.sign(&blinded).expect("a point");
    let signature =
        unblind(message, &factor, &answer, &key.public_key()).expect("an honest answer");
    assert_eq!(
        key.public_key(),
        IssuerPublicKey(array(&vector, "public_key"))
    );
    assert_eq!(blinded, BlindedMessage(array(&vector, "blinded")));
    assert_eq!(answer, BlindSignature(array(&vector, "blind_signature")));
    assert_eq!(signature, CoinSignature(array(&vector, "signature")));
}

#[test]
fn a_key_at_infinity_verifies_nothing() {
    let mut key = [0; 96];
    key[0] = 0xc0;
    let mut infinity = [0; 48];
    infinity[0] = 0xc0;
    assert!(!IssuerPublicKey(key).verify(b"coin", &CoinSignature(infinity)));
    assert!(!verify_batch(
        &[(IssuerPublicKey(key), b"coin", CoinSignature(infinity))],
        &mut rng()
    ));
    assert!(!verify_batch(
        &[(IssuerPublicKey([7; 96]), b"coin", coin(&issuer(1), b"coin"))],
        &mut rng()
    ));
}

#[test]
fn an_answer_by_another_key_does_not_unblind() {
    let answer = issuer(2)
        .sign(&blind(b"coin", &factor(3)))
        .expect("a point");
    let verdict = unblind(b"coin", &factor(3), &answer, &issuer(1).public_key());
    assert_eq!(verdict, Err(BlindError::NotBySigner));
    let wrong_factor = unblind(b"coin", &factor(4), &answer, &issuer(2).public_key());
    assert_eq!(wrong_factor, Err(BlindError::NotBySigner));
}

#[test]
fn an_empty_batch_is_valid() {
    assert!(verify_batch(&[], &mut rng()));
}

#[test]
fn a_batch_is_valid_only_if_every_item_is() {
    let keys: Vec<IssuerKey> = (1..4).map(issuer).collect();
    let messages: Vec<[u8; 2]> = (0..40).map(|index: u8| [index, 1]).collect();
    let items: Vec<_> = messages
        .iter()
        .enumerate()
        .map(|(index, message)| {
            let key = &keys[index % keys.len()];
            (key.public_key(), message.as_slice(), coin(key, message))
        })
        .collect();
    for length in [1, 2, 3, 31, 32, 40] {
        assert!(verify_batch(&items[..length], &mut rng()), "{length} items");
    }
    for index in 0..items.len() {
        let mut altered = items.clone();
        altered[index].1 = b"other";
        assert!(!verify_batch(&altered, &mut rng()), "item {index}");
    }
}

#[test]
fn errors_that_cancel_out_do_not_pass_a_batch() {
    let key = issuer(1);
    let items = [
        (key.public_key(), b"a".as_slice(), coin(&key, b"b")),
        (key.public_key(), b"b".as_slice(), coin(&key, b"a")),
    ];
    assert!(!verify_batch(&items, &mut rng()));
}

#[test]
fn debug_shows_no_point_and_no_key() {
    let shown = format!(
        "{:?} {:?} {:?}",
        issuer(1),
        issuer(1).public_key(),
        blind(b"coin", &factor(1))
    );
    assert_eq!(
        shown,
        "IssuerKey(..) IssuerPublicKey(..) BlindedMessage(..)"
    );
}

#[test]
fn different_seeds_give_different_factors_and_keys() {
    let blinded: HashSet<_> = (0..20).map(|seed| blind(b"coin", &factor(seed))).collect();
    let keys: HashSet<_> = (0..20).map(|seed| issuer(seed).public_key()).collect();
    assert_eq!((blinded.len(), keys.len()), (20, 20));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_is_blinded_signed_and_unblinded_verifies_for_issuer_and_everybody(
        seed: [u8; 32], factor_seed: [u8; 32], message: Vec<u8>, other: Vec<u8>, flipped in 0_usize..384,
    ) {
        let key = IssuerKey::from_seed(&Secret::new(seed));
        let factor = BlindingFactor::from_seed(&Secret::new(factor_seed));
        let answer = key.sign(&blind(&message, &factor)).expect("a point");
        let signature = unblind(&message, &factor, &answer, &key.public_key()).expect("an honest answer");
        prop_assert_eq!(unblind_unchecked(&factor, &answer), Ok(signature));
        prop_assert!(key.verify(&message, &signature) && key.public_key().verify(&message, &signature));
        prop_assert_eq!(key.verify(&other, &signature), other == message);
        prop_assert_eq!(key.public_key().verify(&other, &signature), other == message);
        let mut altered = signature;
        altered.0[flipped / 8] ^= 1 << (flipped % 8);
        prop_assert!(!key.verify(&message, &altered) && !key.public_key().verify(&message, &altered));
    }
}
