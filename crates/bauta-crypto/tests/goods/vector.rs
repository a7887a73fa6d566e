//! The form of a vector file: header lines, an empty line, hexadecimal bytes.

use std::fmt;

use data_encoding::HEXLOWER;

/// What whoever opens the ciphertext says to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// It opens to the plain text of the header.
    Ok,
    /// Its header does not commit to key and context.
    WrongKey,
    /// It ends where no ciphertext can end.
    Truncated,
    /// This full record, the first such one, does not authenticate.
    Record(u64),
    /// The short record at the end, with this number, does not authenticate.
    LastRecord(u64),
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::WrongKey => f.write_str("wrong-key"),
            Self::Truncated => f.write_str("truncated"),
            Self::Record(index) => write!(f, "record {index}"),
            Self::LastRecord(index) => write!(f, "last-record {index}"),
        }
    }
}

impl Expect {
    fn parse(text: &str) -> Option<Self> {
        match text.split_once(' ') {
            Some(("record", index)) => Some(Self::Record(index.parse().ok()?)),
            Some(("last-record", index)) => Some(Self::LastRecord(index.parse().ok()?)),
            Some(_) => None,
            None => [Self::Ok, Self::WrongKey, Self::Truncated]
                .into_iter()
                .find(|expect| expect.to_string() == text),
        }
    }
}

/// One ciphertext.
#[derive(Clone)]
pub(crate) struct Vector {
    pub(crate) comment: String,
    pub(crate) expect: Expect,
    pub(crate) key: [u8; 16],
    pub(crate) context: Vec<u8>,
    /// How many bytes of the pattern are the plain text; for good ones.
    pub(crate) plaintext_bytes: Option<usize>,
    /// BLAKE3 of the plain text; for good ones.
    pub(crate) pt_root: Option<[u8; 32]>,
    /// BLAKE3 of the ciphertext as it stands here.
    pub(crate) ct_root: [u8; 32],
    pub(crate) ciphertext: Vec<u8>,
}

impl Vector {
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!(
            "comment: {}\nexpect: {}\nkey: {}\ncontext: {}\n",
            self.comment,
            self.expect,
            HEXLOWER.encode(&self.key),
            HEXLOWER.encode(&self.context),
        );
        if let (Some(bytes), Some(root)) = (self.plaintext_bytes, self.pt_root) {
            text += &format!("plaintext: pattern {bytes}\n");
            text += &format!("pt_root: {}\n", HEXLOWER.encode(&root));
        }
        text += &format!("ct_root: {}\n\n", HEXLOWER.encode(&self.ct_root));
        for line in self.ciphertext.chunks(32) {
            text += &HEXLOWER.encode(line);
            text += "\n";
        }
        text
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (headers, hex) = text.split_once("\n\n").unwrap_or((text, ""));
        let header = |name: &str| {
            let mut lines = headers.lines();
            lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(":")?.trim()))
        };
        let bytes = |hex: &str| HEXLOWER.decode(hex.as_bytes()).ok();
        let root = |hex: &str| bytes(hex)?.try_into().ok();
        let hex: String = hex.lines().collect();
        Some(Self {
            comment: header("comment")?.to_owned(),
            expect: Expect::parse(header("expect")?)?,
            key: bytes(header("key")?)?.try_into().ok()?,
            context: bytes(header("context")?)?,
            plaintext_bytes: match header("plaintext") {
                Some(text) => Some(text.strip_prefix("pattern ")?.parse().ok()?),
                None => None,
            },
            pt_root: header("pt_root").and_then(root),
            ct_root: header("ct_root").and_then(root)?,
            ciphertext: bytes(&hex)?,
        })
    }
}

/// The length of a ciphertext, and of its plain text if a ciphertext can have it.
pub(crate) struct Length {
    pub(crate) ciphertext_bytes: u64,
    pub(crate) plaintext_bytes: Option<u64>,
}

impl Length {
    pub(crate) fn to_text(lengths: &[Self]) -> String {
        let comment = "bytes of a ciphertext, then of its plain text, or none where no ciphertext has this length";
        let mut text = format!("comment: {comment}\n\n");
        for length in lengths {
            let plain = length.plaintext_bytes;
            let plain = plain.map_or("none".to_owned(), |bytes| bytes.to_string());
            text += &format!("{} {plain}\n", length.ciphertext_bytes);
        }
        text
    }

    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (ciphertext, plain) = line.split_once(' ')?;
        Some(Self {
            ciphertext_bytes: ciphertext.parse().ok()?,
            plaintext_bytes: match plain {
                "none" => None,
                bytes => Some(bytes.parse().ok()?),
            },
        })
    }
}
