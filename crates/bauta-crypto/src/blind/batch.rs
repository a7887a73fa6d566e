//! Many signatures at once: a random linear combination, one pairing per distinct key and one more.

use super::{CoinSignature, IssuerPublicKey, coin_point, point};
use blst::min_sig::Signature;
use blst::{MultiPoint, blst_fp12, blst_p1, blst_p1_affine, blst_p2_affine, p1_affines};
use rand_core::CryptoRng;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Bits of a coefficient: a false batch passes with probability 2^-128 at most.
const COEFFICIENT_BITS: usize = 128;
const COEFFICIENT_BYTES: usize = COEFFICIENT_BITS / 8;

/// Whether every signature is by its key on its message; an empty batch is valid.
///
/// Checks `e(sum c_i * sig_i, g2) = product over keys of e(sum c_i * H(m_i), key)` with random `c_i`, so that no crafted
/// errors cancel out. A `false` does not say which item is at fault: ask [`IssuerPublicKey::verify`] for each.
pub fn verify_batch(
    items: &[(IssuerPublicKey, &[u8], CoinSignature)],
    rng: &mut impl CryptoRng,
) -> bool {
    if items.is_empty() {
        return true;
    }
    let coefficients = draw_coefficients(items.len(), rng);
    let (Some(signatures), Some(keyed)) =
        (decode_signatures(items), sum_by_key(items, &coefficients))
    else {
        return false;
    };
    let signed = affine(signatures.as_slice().mult(&coefficients, COEFFICIENT_BITS));
    let (keys, messages): (Vec<blst_p2_affine>, Vec<blst_p1_affine>) = keyed.into_iter().unzip();
    blst_fp12::finalverify(
        &blst_fp12::miller_loop(&point::key_generator(), &signed),
        &blst_fp12::miller_loop_n(&keys, &messages),
    )
}

fn draw_coefficients(count: usize, rng: &mut impl CryptoRng) -> Vec<u8> {
    let mut coefficients = vec![0; count * COEFFICIENT_BYTES];
    rng.fill_bytes(&mut coefficients);
    coefficients
}

/// All signatures as points of the group, `None` if one is not.
fn decode_signatures(
    items: &[(IssuerPublicKey, &[u8], CoinSignature)],
) -> Option<Vec<blst_p1_affine>> {
    items
        .par_iter()
        .map(|(_, _, signature)| decode_signature(signature))
        .collect()
}

fn decode_signature(signature: &CoinSignature) -> Option<blst_p1_affine> {
    let point = Signature::uncompress(&signature.0).ok()?;
    point.validate(true).ok()?;
    Some(point.into())
}

/// For each distinct key the combination of its messages' points, `None` if a key is not a point of its group.
fn sum_by_key(
    items: &[(IssuerPublicKey, &[u8], CoinSignature)],
    coefficients: &[u8],
) -> Option<Vec<(blst_p2_affine, blst_p1_affine)>> {
    let points: Vec<blst_p1> = items
        .par_iter()
        .map(|(_, message, _)| coin_point(message).as_projective())
        .collect();
    let points = p1_affines::from(&points);
    let mut groups: BTreeMap<IssuerPublicKey, (Vec<blst_p1_affine>, Vec<u8>)> = BTreeMap::new();
    for ((item, point), coefficient) in items
        .iter()
        .zip(points.as_slice())
        .zip(coefficients.chunks_exact(COEFFICIENT_BYTES))
    {
        let group = groups.entry(item.0).or_default();
        group.0.push(*point);
        group.1.extend_from_slice(coefficient);
    }
    groups
        .into_iter()
        .map(|(key, (points, coefficients))| {
            let sum = points.as_slice().mult(&coefficients, COEFFICIENT_BITS);
            Some((key.decode()?.into(), affine(sum)))
        })
        .collect()
}

fn affine(point: blst_p1) -> blst_p1_affine {
    p1_affines::from(&[point])[0]
}
