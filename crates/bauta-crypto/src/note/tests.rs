use super::*;
use crate::secret::Secret;
use crate::sign::VerifyingKey;
use crate::vectors::{array, number, read, text};
use proptest::prelude::*;
use serde_json::Value;

fn file() -> Value {
    read(include_str!("../../tests/vectors/checkpoint.json"))
}

fn vkey(file: &Value, name: &str) -> Vkey {
    text(file, name)
        .parse()
        .expect("the vector's key is canonical")
}

fn signer(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([seed; 32]))
}

fn log() -> LogSigner {
    LogSigner::new("log.example/1", &signer(1)).expect("a name")
}

fn cosigner(name: &str, seed: u8) -> CosignerSigner {
    CosignerSigner::new(name, &signer(seed)).expect("a name")
}

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint {
        origin: "log.example/1".to_owned(),
        size,
        root: [3; 32],
    }
}

#[test]
fn what_another_implementation_signed_is_signed_again_and_opened() {
    let file = file();
    let checkpoint = Checkpoint::parse(text(&file, "text")).expect("the text is canonical");
    let log = LogSigner::new(
        &checkpoint.origin,
        &SigningKey::from_seed(&Secret::new(array(&file, "log_seed"))),
    );
    let log = log.expect("a name");
    let key = SigningKey::from_seed(&Secret::new(array(&file, "cosigner_seed")));
    let cosigner = CosignerSigner::new("witness.example.com/w1", &key).expect("a name");
    assert_eq!(log.vkey().to_string(), text(&file, "log_vkey"));
    assert_eq!(cosigner.vkey().to_string(), text(&file, "cosigner_vkey"));
    assert_eq!(
        sign_checkpoint(&checkpoint, &log).as_deref(),
        Ok(text(&file, "signed"))
    );
    let cosigned = cosign(text(&file, "signed"), &cosigner, number(&file, "time_s"));
    assert_eq!(cosigned.as_deref(), Ok(text(&file, "cosigned")));
    let opened =
        open_checkpoint(text(&file, "cosigned"), &vkey(&file, "log_vkey")).expect("it opens");
    assert_eq!(opened.checkpoint, checkpoint);
    assert_eq!(
        opened.cosignature_time(&vkey(&file, "cosigner_vkey")),
        Some(number(&file, "time_s"))
    );
}

#[test]
fn the_published_note_of_the_go_implementation_verifies() {
    let vkey: Vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
        .parse()
        .expect("a key");
    let note = "If you think cryptography is the answer to your problem,\n\
                then you don't know what your problem is.\n\
                \n\
                — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    let note = OpenedNote::parse(note).expect("a note");
    let signature = note.signature_of(&vkey).expect("it is signed");
    assert_eq!(verify(&vkey, note.text.as_bytes(), signature), Ok(()));
}

#[test]
fn a_key_that_is_not_canonical_is_refused() {
    let good = log().vkey().to_string();
    let (name, rest) = good.split_once('+').expect("a key has three parts");
    let (id, key) = rest.split_once('+').expect("a key has three parts");
    assert_eq!(good.parse::<Vkey>().as_ref(), Ok(log().vkey()));
    let other_id = format!("{name}+00000000+{key}");
    let upper_id = format!("{name}+{}+{key}", id.to_uppercase());
    let other_name = format!("{name}x+{id}+{key}");
    let padded = format!("{good}=");
    let unknown_type = format!(
        "{name}+{id}+{}",
        data_encoding::BASE64.encode(&[[2; 1].as_slice(), &[1; 32]].concat())
    );
    let short = format!("{name}+{id}+AQ==");
    for text in [
        &other_id,
        &upper_id,
        &other_name,
        &padded,
        &unknown_type,
        &short,
        "",
        "+",
        "a+b",
        "a b+00000000+AQ==",
    ] {
        assert_eq!(
            text.parse::<Vkey>().err(),
            Some(NoteError::MalformedVkey),
            "{text}"
        );
    }
}

#[test]
fn a_name_that_would_break_a_line_is_refused() {
    for name in ["", "a b", "a+b", "a\nb", "a\u{7f}", "a\u{a0}b"] {
        assert_eq!(
            LogSigner::new(name, &signer(1)).err(),
            Some(NoteError::InvalidName)
        );
        assert_eq!(
            CosignerSigner::new(name, &signer(1)).err(),
            Some(NoteError::InvalidName)
        );
    }
}

#[test]
fn a_checkpoint_that_is_not_canonical_is_refused() {
    let good = checkpoint(10).text();
    assert_eq!(Checkpoint::parse(&good), Ok(checkpoint(10)));
    let extended = format!("{good}extension\n");
    let cut = &good[..good.len() - 1];
    let leading_zero = good.replace("\n10\n", "\n010\n");
    let signed = good.replace("\n10\n", "\n+10\n");
    let too_large = good.replace("\n10\n", "\n18446744073709551616\n");
    let no_origin = good.replace("log.example/1", "");
    let loose_base64 = good.replace("AwM=\n", "AwN=\n");
    let returns = good.replace('\n', "\r\n");
    assert_ne!(loose_base64, good);
    for text in [
        &extended,
        cut,
        &leading_zero,
        &signed,
        &too_large,
        &no_origin,
        &loose_base64,
        &returns,
        "",
        "\n\n\n",
    ] {
        assert_eq!(
            Checkpoint::parse(text),
            Err(NoteError::MalformedCheckpoint),
            "{text:?}"
        );
    }
}

#[test]
fn a_log_signs_only_its_own_checkpoints() {
    let other = Checkpoint {
        origin: "other.example".to_owned(),
        ..checkpoint(1)
    };
    assert_eq!(sign_checkpoint(&other, &log()), Err(NoteError::OtherOrigin));
    let lines = Checkpoint {
        origin: "log.example/1\n7".to_owned(),
        ..checkpoint(1)
    };
    assert_eq!(
        sign_checkpoint(&lines, &log()),
        Err(NoteError::MalformedCheckpoint)
    );
}

#[test]
fn a_checkpoint_opens_for_the_key_of_its_log_only() {
    let note = sign_checkpoint(&checkpoint(1), &log()).expect("it is signed");
    let error = |note: &str, vkey: &Vkey| open_checkpoint(note, vkey).err();
    assert_eq!(error(&note, log().vkey()), None);
    let stranger = LogSigner::new("log.example/1", &signer(2)).expect("a name");
    assert_eq!(error(&note, stranger.vkey()), Some(NoteError::Unsigned));
    assert_eq!(
        error(&note, cosigner("log.example/1", 1).vkey()),
        Some(NoteError::NotALogKey)
    );
    assert_eq!(
        error(&note.replace("\n1\n", "\n2\n"), log().vkey()),
        Some(NoteError::InvalidSignature)
    );
    assert_eq!(
        error(note.trim_end(), log().vkey()),
        Some(NoteError::MalformedNote)
    );
    assert_eq!(error("", log().vkey()), Some(NoteError::MalformedNote));
    let forged = Vkey {
        key: VerifyingKey([0; 32]),
        ..log().vkey().clone()
    };
    assert_eq!(error(&note, &forged), Some(NoteError::InvalidSignature));
}

#[test]
fn a_key_of_the_log_signing_for_another_origin_opens_nothing() {
    let other = Checkpoint {
        origin: "other.example".to_owned(),
        ..checkpoint(1)
    };
    let signature = signer(1).sign_plain(other.text().as_bytes());
    let line = line(log().vkey(), signature.0.to_vec()).expect("a name");
    let note = OpenedNote {
        text: other.text(),
        lines: vec![line],
    }
    .print()
    .expect("a note");
    assert_eq!(
        open_checkpoint(&note, log().vkey()).err(),
        Some(NoteError::OtherOrigin)
    );
}

#[test]
fn cosignatures_count_for_their_cosigner_and_the_newest_replaces_the_older() {
    let (first, second) = (
        cosigner("witness.example/1", 2),
        cosigner("witness.example/2", 3),
    );
    let note = sign_checkpoint(&checkpoint(1), &log()).expect("it is signed");
    let note = cosign(&note, &first, 100).expect("cosigned");
    let note = cosign(&note, &second, 200).expect("cosigned");
    let note = cosign(&note, &first, 300).expect("cosigned");
    let opened = open_checkpoint(&note, log().vkey()).expect("it opens");
    assert_eq!(opened.cosignature_time(first.vkey()), Some(300));
    assert_eq!(opened.cosignature_time(second.vkey()), Some(200));
    assert_eq!(
        opened.cosignature_time(cosigner("witness.example/3", 4).vkey()),
        None
    );
    assert_eq!(
        opened.cosignature_time(cosigner("witness.example/1", 4).vkey()),
        None
    );
    assert_eq!(opened.cosignature_time(log().vkey()), None);
    assert_eq!(note.lines().count(), 7);
}

#[test]
fn a_cosignature_with_another_time_or_over_another_text_does_not_count() {
    let witness = cosigner("witness.example/1", 2);
    let honest = cosign(
        &sign_checkpoint(&checkpoint(1), &log()).expect("signed"),
        &witness,
        100,
    )
    .expect("cosigned");
    let mut note = OpenedNote::parse(&honest).expect("a note");
    let mut bytes = note
        .signature_of(witness.vkey())
        .expect("cosigned")
        .to_vec();
    bytes[7] ^= 1;
    note.lines[1] = line(witness.vkey(), bytes.clone()).expect("a name");
    let altered = note.print().expect("a note");
    let opened = open_checkpoint(&altered, log().vkey()).expect("the log's signature is good");
    assert_eq!(opened.cosignature_time(witness.vkey()), None);
    let cosignature = honest.lines().last().expect("the cosignature");
    let moved = format!(
        "{}{cosignature}\n",
        sign_checkpoint(&checkpoint(2), &log()).expect("signed")
    );
    let opened = open_checkpoint(&moved, log().vkey()).expect("the log's signature is good");
    assert_eq!(opened.cosignature_time(witness.vkey()), None);
    note.lines[1] = line(witness.vkey(), bytes[..71].to_vec()).expect("a name");
    let opened = open_checkpoint(&note.print().expect("a note"), log().vkey())
        .expect("the log's signature is good");
    assert_eq!(opened.cosignature_time(witness.vkey()), None);
}

#[test]
fn a_time_is_bounded_on_both_sides() {
    let witness = cosigner("witness.example/1", 2);
    let note = sign_checkpoint(&checkpoint(1), &log()).expect("it is signed");
    assert!(cosign(&note, &witness, 0).is_ok());
    assert!(cosign(&note, &witness, (1 << 63) - 1).is_ok());
    assert_eq!(
        cosign(&note, &witness, 1 << 63),
        Err(NoteError::InvalidTime)
    );
}

#[test]
fn only_a_checkpoint_is_cosigned() {
    let note = "any text\n\n— log.example/1 AAAAAAAAAAA=\n";
    assert_eq!(
        cosign(note, &cosigner("witness.example/1", 2), 1),
        Err(NoteError::MalformedCheckpoint)
    );
    assert_eq!(
        cosign("any text\n", &cosigner("witness.example/1", 2), 1),
        Err(NoteError::MalformedNote)
    );
}

#[test]
fn a_cosigner_takes_a_standard_log_s_extension_lines_and_vouches_for_the_whole_text() {
    let text = format!("{}an extension\nanother\n", checkpoint(7).text());
    let signature = signer(1).sign_plain(text.as_bytes());
    let lines = vec![line(log().vkey(), signature.0.to_vec()).expect("a name")];
    let note = OpenedNote { text, lines }.print().expect("a note");
    let strict = open_checkpoint(&note, log().vkey()).err();
    assert_eq!(strict, Some(NoteError::MalformedCheckpoint));
    let mut opened = open_foreign_checkpoint(&note, log().vkey()).expect("opens");
    assert_eq!(opened.checkpoint, checkpoint(7));
    let witness = cosigner("witness.example/1", 2);
    let answer = opened.cosignature(&witness, 100).expect("cosigned");
    assert_eq!(opened.add_cosignature(&answer, witness.vkey()), Ok(100));
    assert_eq!(opened.cosignature_time(witness.vkey()), Some(100));
    for text in ["", "x", "\n", "x\n\n", "x\n\ny\n"] {
        let extended = format!("{}{text}", checkpoint(7).text());
        let parsed = Checkpoint::parse_extended(&extended);
        assert_eq!(parsed.is_ok(), text.is_empty(), "{text:?}");
    }
}

#[test]
fn of_what_a_witness_answers_only_its_own_valid_cosignature_is_taken() {
    let (witness, other) = (
        cosigner("witness.example/1", 2),
        cosigner("witness.example/2", 3),
    );
    let open = |size| {
        let note = sign_checkpoint(&checkpoint(size), &log()).expect("signed");
        open_checkpoint(&note, log().vkey()).expect("opens")
    };
    let answer = |size, by: &CosignerSigner| open(size).cosignature(by, 100).expect("cosigned");
    let added = |lines: &str| {
        let mut opened = open(1);
        let before = opened.note.print();
        let added = opened.add_cosignature(lines, witness.vkey());
        assert!(added.is_ok() || opened.note.print() == before);
        added
    };
    let both = answer(1, &other) + &answer(1, &witness);
    assert_eq!(added(&both), Ok(100));
    assert_eq!(added(&answer(1, &other)), Err(NoteError::Unsigned));
    assert_eq!(
        added(&answer(2, &witness)),
        Err(NoteError::InvalidSignature)
    );
    assert_eq!(added(""), Err(NoteError::MalformedNote));
    let with_text = format!("more text\n\n{}", answer(1, &witness));
    assert_eq!(added(&with_text), Err(NoteError::MalformedNote));
    let as_log = open(1).add_cosignature(&answer(1, &witness), log().vkey());
    assert_eq!(as_log, Err(NoteError::NotACosignerKey));
}

#[test]
fn debug_shows_no_key() {
    assert_eq!(
        format!("{:?} {:?}", log(), log().vkey()),
        "LogSigner(..) Vkey(\"log.example/1\", Log, ..)"
    );
}

proptest! {
    #[test]
    fn a_note_altered_anywhere_has_no_valid_signature_or_the_same_text(place: prop::sample::Index, to: char) {
        let witness = cosigner("witness.example/1", 2);
        let note = cosign(&sign_checkpoint(&checkpoint(9), &log()).expect("signed"), &witness, 100).expect("cosigned");
        let place = place.index(note.chars().count());
        let altered: String = note.chars().enumerate().map(|(at, from)| if at == place { to } else { from }).collect();
        if let Ok(opened) = open_checkpoint(&altered, log().vkey()) {
            prop_assert_eq!(&opened.checkpoint, &checkpoint(9));
            let time = opened.cosignature_time(witness.vkey());
            prop_assert!(time.is_none() || altered == note);
        }
    }

    #[test]
    fn no_text_panics(text: String) {
        let _ = (Checkpoint::parse(&text), text.parse::<Vkey>(), open_checkpoint(&text, log().vkey()));
    }
}
