//! Receipts: self-contained proofs that a leaf is in a cosigned tree, in the C2SP tlog-proof format.

use bauta_crypto::merkle;
use data_encoding::BASE64;

use crate::{
    limits::RECEIPT_BYTES_MAX,
    log::{
        leaf::Leaf,
        policy::{CheckedCheckpoint, Policy, PolicyError},
    },
};

const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// A tree of 2^63 leaves has paths of this length.
const PATH_HASHES_MAX: usize = 63;

/// The proof that some leaf has this index in the tree of this checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The leaf's index, from 0.
    pub index: u64,
    /// Its inclusion path, sibling first (RFC 6962 §2.1.1).
    pub path: Vec<merkle::Hash>,
    /// The checkpoint as a signed note with cosignatures, verbatim.
    pub checkpoint: String,
}

/// Why a receipt proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// The text is not a tlog-proof.
    #[error("the receipt is not in the tlog-proof format")]
    Form,
    /// The checkpoint is not one that the policy accepts.
    #[error("the receipt's checkpoint is not accepted")]
    Checkpoint(#[from] PolicyError),
    /// The path does not lead from the leaf to the root.
    #[error("the receipt does not prove that the leaf is in the tree")]
    Inclusion(#[from] merkle::MerkleError),
}

impl Receipt {
    /// The text in the tlog-proof format.
    #[must_use]
    pub fn to_text(&self) -> String {
        let path: String = self
            .path
            .iter()
            .map(|hash| BASE64.encode(hash) + "\n")
            .collect();
        format!(
            "{HEADER}\nindex {}\n{path}\n{}",
            self.index, self.checkpoint
        )
    }

    /// Reads the tlog-proof format; extra data is not ours and refused.
    ///
    /// # Errors
    /// [`ReceiptError::Form`].
    pub fn from_text(text: &[u8]) -> Result<Self, ReceiptError> {
        if text.len() > RECEIPT_BYTES_MAX {
            return Err(ReceiptError::Form);
        }
        let receipt = std::str::from_utf8(text).ok().and_then(Self::parse);
        let receipt = receipt.ok_or(ReceiptError::Form)?;
        if receipt.to_text().as_bytes() != text {
            Err(ReceiptError::Form)
        } else {
            Ok(receipt)
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (proof, checkpoint) = text.split_once("\n\n")?;
        let mut lines = proof.lines();
        if lines.next()? != HEADER {
            return None;
        }
        let index = lines.next()?.strip_prefix("index ")?.parse().ok()?;
        let decode = |line: &str| BASE64.decode(line.as_bytes()).ok()?.try_into().ok();
        let path: Vec<merkle::Hash> = lines.map(decode).collect::<Option<_>>()?;
        (path.len() <= PATH_HASHES_MAX).then(|| Self {
            index,
            path,
            checkpoint: checkpoint.to_owned(),
        })
    }

    /// Checks that `leaf` is in a tree that the policy accepts, and says at which times that tree was cosigned.
    ///
    /// # Errors
    /// [`ReceiptError`] says which of the steps failed; whoever made the receipt is at fault.
    pub fn check(&self, leaf: &Leaf, policy: &Policy) -> Result<CheckedCheckpoint, ReceiptError> {
        let checked = policy.check(&self.checkpoint)?;
        self.check_within(leaf, &checked)?;
        Ok(checked)
    }

    /// Checks that `leaf` is in the tree of the receipt's own checkpoint, whose signatures were checked before: many
    /// receipts share one.
    ///
    /// # Errors
    /// [`ReceiptError::Inclusion`]; whoever made the receipt is at fault.
    pub fn check_within(
        &self,
        leaf: &Leaf,
        checkpoint: &CheckedCheckpoint,
    ) -> Result<(), ReceiptError> {
        let (size, root) = (checkpoint.size, checkpoint.root);
        Ok(merkle::check_inclusion(
            &self.path,
            size,
            root,
            self.index,
            leaf.hash(),
        )?)
    }
}

#[cfg(test)]
mod tests;
