//! What holds of every decoder and every byte string.

use std::sync::LazyLock;

use proptest::prelude::*;

use crate::{
    generate::good_messages,
    kinds::{KINDS, Kind},
};

static GOOD: LazyLock<Vec<(&'static Kind, Vec<u8>)>> = LazyLock::new(good_messages);

/// Bytes that decode are the encoding of what they decode to.
fn decodes_canonically(kind: &Kind, bytes: &[u8]) -> bool {
    kind.decode(bytes, None)
        .map_or(true, |decoded| decoded.bytes == bytes)
}

/// A list of numbers is how bytes are shown, quotes are around words.
#[test]
fn debug_output_shows_no_bytes_and_no_words_of_any_message() {
    for (kind, bytes) in GOOD.iter() {
        let debug = kind.decode(bytes, None).expect("good").debug;
        let ends_in_digit = |item: &str| item.ends_with(|c: char| c.is_ascii_digit());
        let items: Vec<&str> = debug.split(", ").collect();
        let is_list = items.windows(2).any(|pair| {
            ends_in_digit(pair[0]) && pair[1].starts_with(|c: char| c.is_ascii_digit())
        });
        assert!(!is_list && !debug.contains('"'), "{}: {debug}", kind.name);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic_or_accept_a_second_form(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        for kind in KINDS {
            prop_assert!(decodes_canonically(kind, &bytes), "{}", kind.name);
        }
    }

    #[test]
    fn no_mixture_of_messages_makes_a_decoder_panic(
        first in any::<prop::sample::Index>(),
        second in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        other_cut in any::<prop::sample::Index>(),
    ) {
        let (kind, head) = first.get(&GOOD);
        let (_, tail) = second.get(&GOOD);
        let mixed = [&head[..cut.index(head.len())], &tail[other_cut.index(tail.len())..]].concat();
        prop_assert!(decodes_canonically(kind, &mixed), "{}", kind.name);
    }

    #[test]
    fn a_changed_byte_is_refused_or_changes_value_and_id(
        message in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        difference in 1_u8..,
    ) {
        let (kind, good) = message.get(&GOOD);
        let mut changed = good.clone();
        changed[place.index(good.len())] ^= difference;
        if let Ok(decoded) = kind.decode(&changed, None) {
            let original = kind.decode(good, None).expect("good");
            let body_bytes = body_bytes(kind, good);
            prop_assert_ne!(&decoded.bytes, &original.bytes);
            prop_assert_eq!(decoded.id != original.id, changed[..body_bytes] != good[..body_bytes]);
        }
    }
}

/// How many bytes of a message are its body; signatures follow, which no id covers.
fn body_bytes(kind: &Kind, bytes: &[u8]) -> usize {
    if kind.name.starts_with("Signed<") {
        bytes.len() - 64
    } else if kind.name.starts_with("Authorized<") {
        // Two coins sign in every sample: a length of two bytes and two signatures.
        bytes.len() - 2 - 2 * 64
    } else {
        bytes.len()
    }
}
