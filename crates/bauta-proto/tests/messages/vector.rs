//! The form of a vector file: header lines, an empty line, hexadecimal bytes.

use bauta_crypto::sign::VerifyingKey;
use data_encoding::HEXLOWER;

use crate::kinds::Kind;

/// What a decoder, and the checks that need nothing else, say to the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Expect {
    /// They are the message, its lists make sense and its signatures hold.
    Ok,
    /// They end before the message does.
    Truncated,
    /// More follows.
    Trailing,
    /// Another encoding of a value that has one.
    NotCanonical,
    /// A field with a value that there is not.
    Unknown,
    /// More bytes than the message may have.
    TooLong,
    /// They decode, but lists, order or sums make no sense.
    Form,
    /// They decode, but a signature does not hold.
    Signature,
}

impl Expect {
    pub(crate) const ALL: [Self; 8] = [
        Self::Ok,
        Self::Truncated,
        Self::Trailing,
        Self::NotCanonical,
        Self::Unknown,
        Self::TooLong,
        Self::Form,
        Self::Signature,
    ];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Truncated => "truncated",
            Self::Trailing => "trailing",
            Self::NotCanonical => "not-canonical",
            Self::Unknown => "unknown",
            Self::TooLong => "too-long",
            Self::Form => "form",
            Self::Signature => "signature",
        }
    }
}

/// One vector.
#[derive(Clone)]
pub(crate) struct Vector {
    pub(crate) comment: String,
    pub(crate) kind: &'static Kind,
    pub(crate) expect: Expect,
    /// Whose signature is expected, where the message itself does not say.
    pub(crate) signer: Option<VerifyingKey>,
    /// The id of the message's body, for good ones.
    pub(crate) id: Option<[u8; 32]>,
    pub(crate) bytes: Vec<u8>,
}

impl Vector {
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!(
            "comment: {}\ntype: {}\nexpect: {}\n",
            self.comment,
            self.kind.name,
            self.expect.word()
        );
        if let Some(signer) = self.signer {
            text += &format!("signer: {}\n", HEXLOWER.encode(&signer.0));
        }
        if let Some(id) = self.id {
            text += &format!("id: {}\n", HEXLOWER.encode(&id));
        }
        for line in self.bytes.chunks(32) {
            text += "\n";
            text += &HEXLOWER.encode(line);
        }
        text + "\n"
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_header = |line: &&str| line.contains(": ");
        let header = |name: &str| {
            let mut lines = text.lines().take_while(is_header);
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        let hex: String = text.lines().skip_while(is_header).collect();
        let word = header("expect")?;
        let array = |hex: &str| HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok();
        Some(Self {
            comment: header("comment")?.to_owned(),
            kind: Kind::named(header("type")?)?,
            expect: Expect::ALL
                .into_iter()
                .find(|expect| expect.word() == word)?,
            signer: header("signer").and_then(array).map(VerifyingKey),
            id: header("id").and_then(array),
            bytes: HEXLOWER.decode(hex.as_bytes()).ok()?,
        })
    }
}
