use std::{fs, path::PathBuf};

use bauta_crypto::note::{Checkpoint, CosignerSigner, LogSigner, cosign, sign_checkpoint};

use super::*;
use crate::log::test_log::{ORIGIN, TestLog, URL, key};

/// A file of tests/vectors/policy: header lines, `---`, and the policy's text.
struct Vector {
    name: String,
    expect: String,
    /// Positions of witnesses, from 1, that are a quorum or are none.
    reached: Vec<Vec<usize>>,
    missed: Vec<Vec<usize>>,
    text: String,
}

fn vectors() -> Vec<Vector> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/policy");
    let files = fs::read_dir(folder).expect("the folder of vectors");
    files
        .map(|file| read(file.expect("a file").path()))
        .collect()
}

fn read(path: PathBuf) -> Vector {
    let content = fs::read_to_string(&path).expect("a vector");
    let (header, text) = content.split_once("---\n").expect("a header");
    let values = |name: &str| {
        let lines = header
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        lines.map(str::trim).collect::<Vec<_>>()
    };
    let positions = |name| {
        let numbers = |list: &str| {
            list.split_whitespace()
                .map(|n| n.parse().expect("a position"))
                .collect()
        };
        values(name).into_iter().map(numbers).collect()
    };
    Vector {
        name: path.display().to_string(),
        expect: values("expect").join(","),
        reached: positions("reached"),
        missed: positions("missed"),
        text: text.to_owned(),
    }
}

fn outcome(text: &str) -> String {
    match text.parse::<Policy>() {
        Ok(_) => "accepted".to_owned(),
        Err(PolicyTextError::Line { line, defect }) => format!("line {line} {defect:?}"),
        Err(error) => format!("{error:?}"),
    }
}

#[test]
fn every_vector_is_accepted_or_refused_as_its_header_says() {
    let vectors = vectors();
    assert!(vectors.len() >= 58, "all vectors are read");
    for vector in vectors {
        assert_eq!(outcome(&vector.text), vector.expect, "{}", vector.name);
        if let Ok(policy) = vector.text.parse::<Policy>() {
            assert_eq!(policy.text(), vector.text);
            let reaches = |positions: &Vec<usize>| {
                let count = policy.witnesses.len();
                let cosigned: Vec<bool> = (1..=count).map(|p| positions.contains(&p)).collect();
                policy.quorum.is_reached(&cosigned)
            };
            assert!(vector.reached.iter().all(reaches), "{}", vector.name);
            assert!(!vector.missed.iter().any(reaches), "{}", vector.name);
        }
    }
}

#[test]
fn the_longest_policy_is_read_and_one_byte_more_is_not() {
    let policy = TestLog::new(0).policy();
    let padded = |bytes: usize| {
        let comment = "#".repeat(bytes - policy.text().len());
        format!("{}{comment}", policy.text())
    };
    assert_eq!(outcome(&padded(POLICY_BYTES_MAX)), "accepted");
    assert_eq!(outcome(&padded(POLICY_BYTES_MAX + 1)), "TooLong");
}

#[test]
fn groups_as_deep_as_a_policy_can_hold_are_read_and_decided() {
    let log = TestLog::new(0);
    let mut text = log.policy().text().replace("quorum self\n", "");
    let mut innermost = "self".to_owned();
    for depth in 0.. {
        let line = format!("group {depth:x} 1 {innermost}\n");
        if text.len() + line.len() + 20 > POLICY_BYTES_MAX {
            break;
        }
        text += &line;
        innermost = format!("{depth:x}");
    }
    text += &format!("quorum {innermost}\n");
    let policy: Policy = text.parse().expect("a policy");
    assert!(policy.quorum.is_reached(&[true]) && !policy.quorum.is_reached(&[false]));
    policy.check(&log.checkpoint(0, 1)).expect("cosigned");
}

#[test]
fn a_policy_of_one_log_takes_one_word_as_its_address_and_keys_of_their_kind() {
    let log = TestLog::new(0);
    let (key, cosigner) = (log.log.vkey(), log.cosigner.vkey());
    let policy = Policy::of_one_log(key, URL, cosigner).expect("a policy");
    assert_eq!(policy.logs()[0].url.as_deref(), Some(URL));
    for url in [
        "",
        "http://a b",
        "http://a\nquorum none",
        "http://ä",
        "http://a\t",
    ] {
        assert!(Policy::of_one_log(key, url, cosigner).is_err(), "{url:?}");
    }
    assert!(Policy::of_one_log(cosigner, URL, cosigner).is_err());
    assert!(Policy::of_one_log(key, URL, key).is_err());
}

#[test]
fn a_policys_name_depends_on_every_byte() {
    let text = TestLog::new(0).policy().text().to_owned();
    let id = |text: &str| text.parse::<Policy>().expect("a policy").policy_id();
    assert_eq!(id(&text), id(&text));
    assert_ne!(id(&text), id(&format!("{text}\n")));
    assert_ne!(id(&text), id(&text.replace("http://", "https://")));
}

/// Two of three witnesses, and their signers.
fn two_of_three() -> (Policy, LogSigner, Vec<CosignerSigner>) {
    let log = LogSigner::new(ORIGIN, &key(1)).expect("a name");
    let witness =
        |n: u8| CosignerSigner::new(&format!("witness{n}.example"), &key(10 + n)).expect("a name");
    let witnesses: Vec<_> = (1..=3).map(witness).collect();
    let lines: String = witnesses
        .iter()
        .enumerate()
        .map(|(n, witness)| format!("witness {n} {}\n", witness.vkey()))
        .collect();
    let text = format!("log {}\n{lines}group g 2 0 1 2\nquorum g\n", log.vkey());
    (text.parse().expect("a policy"), log, witnesses)
}

fn signed(log: &LogSigner) -> String {
    let checkpoint = Checkpoint {
        origin: ORIGIN.to_owned(),
        size: 3,
        root: [1; 32],
    };
    sign_checkpoint(&checkpoint, log).expect("signs")
}

#[test]
fn a_quorum_counts_valid_cosignatures_of_listed_witnesses_only() {
    let (policy, log, witnesses) = two_of_three();
    let note = signed(&log);
    let one = cosign(&note, &witnesses[0], 10).expect("cosigns");
    assert!(matches!(policy.check(&note), Err(PolicyError::Quorum)));
    assert!(matches!(policy.check(&one), Err(PolicyError::Quorum)));

    let stranger = CosignerSigner::new("witness2.example", &key(99)).expect("a name");
    let with_stranger = cosign(&one, &stranger, 10).expect("cosigns");
    assert!(matches!(
        policy.check(&with_stranger),
        Err(PolicyError::Quorum)
    ));
    let copied = format!("{one}{}\n", one.lines().last().expect("a line"));
    assert!(policy.check(&copied).is_err(), "the same cosignature twice");

    let two = cosign(&one, &witnesses[2], 20).expect("cosigns");
    let checked = policy.check(&two).expect("a quorum");
    assert_eq!((checked.size, checked.root), (3, [1; 32]));
    assert!(checked.quorum_within(|time| time <= Timestamp(20)));
    assert!(!checked.quorum_within(|time| time <= Timestamp(19)));
    assert!(!checked.quorum_within(|time| time > Timestamp(10)));
}

#[test]
fn one_changed_byte_of_a_cosigned_checkpoint_is_refused() {
    let (policy, log, witnesses) = two_of_three();
    let one = cosign(&signed(&log), &witnesses[0], 10).expect("cosigns");
    let note = cosign(&one, &witnesses[1], 10).expect("cosigns");
    policy.check(&note).expect("a quorum");
    for position in 0..note.len() {
        let mut bytes = note.clone().into_bytes();
        bytes[position] ^= 1;
        let refused = String::from_utf8(bytes).map_or(true, |note| policy.check(&note).is_err());
        assert!(refused, "byte {position}");
    }
}

#[test]
fn a_log_that_the_policy_does_not_list_is_unknown() {
    let (policy, _, witnesses) = two_of_three();
    let other = LogSigner::new("log.example/other", &key(1)).expect("a name");
    let checkpoint = Checkpoint {
        origin: "log.example/other".to_owned(),
        size: 3,
        root: [1; 32],
    };
    let note = sign_checkpoint(&checkpoint, &other).expect("signs");
    let note = cosign(&note, &witnesses[0], 10).expect("cosigns");
    assert!(matches!(policy.check(&note), Err(PolicyError::UnknownLog)));
    let impostor = LogSigner::new(ORIGIN, &key(2)).expect("a name");
    let note = signed(&impostor);
    assert!(matches!(
        policy.check(&note),
        Err(PolicyError::Note(NoteError::Unsigned))
    ));
}

/// The fewest witnesses that two quorums share, by looking at every pair.
fn shared_by_all_pairs(policy: &Policy) -> usize {
    let count = policy.witnesses.len();
    let quorums: Vec<u32> = (0..1_u32 << count)
        .filter(|set| {
            let cosigned: Vec<bool> = (0..count).map(|bit| set >> bit & 1 == 1).collect();
            policy.quorum.is_reached(&cosigned)
        })
        .collect();
    let pairs = quorums
        .iter()
        .flat_map(|a| quorums.iter().map(move |b| a & b));
    let shared = pairs.map(|both| both.count_ones() as usize).min();
    shared.unwrap_or(0)
}

/// A policy of groups of groups: for each member the threshold among its witnesses, and how many there are.
fn nested(groups: &[(usize, usize)], threshold: usize) -> Policy {
    let log = LogSigner::new(ORIGIN, &key(1)).expect("a name");
    let mut text = format!("log {} {URL}\n", log.vkey());
    let mut number = 0_u8;
    for (group, (needed, count)) in groups.iter().enumerate() {
        let mut names = String::new();
        for _ in 0..*count {
            let name = format!("w{number}.example");
            let witness = CosignerSigner::new(&name, &key(10 + number)).expect("a name");
            text += &format!("witness {name} {}\n", witness.vkey());
            names += &format!(" {name}");
            number += 1;
        }
        text += &format!("group g{group} {}{names}\n", needed.min(count));
    }
    let names: String = (0..groups.len())
        .map(|group| format!(" g{group}"))
        .collect();
    text += &format!(
        "group all {}{names}\nquorum all\n",
        threshold.min(groups.len())
    );
    text.parse().expect("a policy")
}

proptest::proptest! {
    #[test]
    fn as_many_witnesses_may_cheat_as_no_two_quorums_are_without_one_more(
        groups in proptest::collection::vec((1_usize..=3, 1_usize..=3), 1..=3),
        threshold in 1_usize..=3,
    ) {
        let policy = nested(&groups, threshold);
        let bad_max = shared_by_all_pairs(&policy).checked_sub(1);
        proptest::prop_assert_eq!(policy.bad_witnesses_max(), bad_max);
    }
}

#[test]
fn three_of_four_witnesses_bear_one_that_cheats() {
    assert_eq!(nested(&[(3, 4)], 1).bad_witnesses_max(), Some(1));
    assert_eq!(nested(&[(2, 3)], 1).bad_witnesses_max(), Some(0));
    assert_eq!(nested(&[(1, 2)], 1).bad_witnesses_max(), None);
}

#[test]
fn a_policy_that_cannot_decide_is_not_used() {
    let log = |origin: &str, number| {
        let log = LogSigner::new(origin, &key(number)).expect("a name");
        format!("log {} {URL}\n", log.vkey())
    };
    let shard = log("log.example/20261101-20270201", 1);
    let witness = TestLog::new(0).cosigner.vkey().to_string();
    let tail = format!("witness w {witness}\nquorum w\n");
    let at = |text: String, expiry| {
        let policy: Policy = text.parse().expect("a policy");
        policy.check_use(Timestamp(expiry))
    };
    let (inside, outside) = (1_795_000_000, 1_802_000_000);
    assert_eq!(at(shard.clone() + &tail, inside), Ok(()));
    assert_eq!(
        at(shard.clone() + &tail, outside),
        Err(PolicyUseError::TooFewLogs)
    );
    let two = shard.clone() + "#bauta logs 2\n" + &tail;
    assert_eq!(at(two.clone(), inside), Err(PolicyUseError::TooFewLogs));
    assert_eq!(at(log("other.example", 3) + &two, inside), Ok(()));
    let unaddressed = shard.replace(&format!(" {URL}"), "") + &tail;
    assert_eq!(at(unaddressed, inside), Err(PolicyUseError::NoAddress));
    let alone = shard.clone() + "quorum none\n";
    assert_eq!(at(alone, inside), Err(PolicyUseError::NoWitness));
    let many: String = (0..9)
        .map(|number| log(&format!("log{number}.example"), 20 + number))
        .collect();
    assert_eq!(at(many + &tail, inside), Err(PolicyUseError::TooManyLogs));
    let either = nested(&[(1, 2)], 1);
    assert_eq!(
        either.check_use(Timestamp(inside)),
        Err(PolicyUseError::Overlap)
    );
}

#[test]
fn how_many_logs_must_agree_is_said_once_and_is_a_comment_to_others() {
    let policy = |line: &str| {
        let text = TestLog::new(0).policy().text().to_owned() + line;
        text.parse::<Policy>().map(|policy| policy.log_threshold())
    };
    assert_eq!(policy("# bauta logs 2\n"), Ok(1), "an ordinary comment");
    assert_eq!(policy("#bauta logs 2\n"), Ok(2));
    for bad in [
        "#bauta logs 0\n",
        "#bauta logs 9\n",
        "#bauta logs two\n",
        "#bauta log 2\n",
        "#bauta logs 1\n#bauta logs 1\n",
    ] {
        assert!(policy(bad).is_err(), "{bad}");
    }
}
