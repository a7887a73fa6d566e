//! Opening delivered goods into a file.

use std::{
    fs::{self, File},
    io::{self, BufReader, Write as _},
    path::{Path, PathBuf},
};

use bauta_crypto::content::{self, ContentKey, DecryptError, Opened};
use bauta_proto::{
    offer::{CONTENT_CONTEXT, Offer},
    transport::Transport,
};

use super::{Defect, Offered, Purchase, PurchaseId, download::Outcome};
use crate::{
    error::{Result, WalletError},
    file_name::safe_file_name,
    observer::{Event, Observer, Write},
    store::Batch,
    wallet::Wallet,
};

const READ_BYTES: usize = 4 * 1024 * 1024;

/// How to save.
#[derive(Clone, Copy, Debug, Default)]
pub struct SaveOptions {
    /// Replaces a file of the same name.
    pub overwrite: bool,
}

impl<T: Transport> Wallet<T> {
    /// Opens delivered goods into `destination`: a folder, in which the file gets the merchant's name made safe, or the
    /// file itself. Nothing is at the destination before all of it was verified. Returns where the file is.
    ///
    /// # Errors
    /// [`WalletError::Defective`] names what the merchant did wrong, and is noted in the purchase;
    /// [`WalletError::DestinationExists`], [`WalletError::DiskFull`] and others leave everything as it was.
    pub async fn save(
        &mut self,
        id: PurchaseId,
        destination: &Path,
        options: SaveOptions,
    ) -> Result<PathBuf> {
        let purchase = self.purchase(id)?;
        let delivered = purchase
            .stage
            .delivered()
            .ok_or(WalletError::NotDelivered)?;
        let offered = delivered.accepting.locking.offered.clone();
        let opened = offered.opened();
        let key = opened.open_key(&delivered.preimage);
        let key = key.ok_or(WalletError::NotDelivered)?;
        let target = target(destination, &opened.terms().file_name);
        if !options.overwrite && target.exists() {
            return Err(WalletError::DestinationExists);
        }
        let ciphertext = self.store.download_path(opened.offer().ct_root.as_bytes());
        if !ciphertext.exists() {
            self.fetch_again(&purchase, &offered).await?;
        }
        let part = part_path(&target, id);
        let result = decrypt(
            &ciphertext,
            &part,
            &key,
            opened.offer(),
            id,
            &mut *self.observer,
        );
        match result {
            Ok(()) => place(&part, &target, options.overwrite).map(|()| target),
            Err(WalletError::Defective(defect)) => {
                discard(&part);
                self.blame(purchase, &offered, defect).await
            }
            Err(error) => {
                discard(&part);
                Err(error)
            }
        }
    }

    /// The goods are defective, unless it is this disk's copy that has changed since it was checked.
    async fn blame(
        &mut self,
        mut purchase: Purchase,
        offered: &Offered,
        defect: Defect,
    ) -> Result<PathBuf> {
        if self.fetch_ciphertext(&purchase, offered).await? == Outcome::Damaged {
            return Err(WalletError::DownloadLost);
        }
        purchase.defect = Some(defect);
        let mut batch = Batch::new();
        batch.put(&purchase);
        self.commit(Write::Opened, batch)?;
        Err(WalletError::Defective(defect))
    }

    async fn fetch_again(&mut self, purchase: &Purchase, offered: &Offered) -> Result<()> {
        match self.fetch_ciphertext(purchase, offered).await? {
            Outcome::Intact => Ok(()),
            Outcome::Damaged => Err(WalletError::DownloadLost),
        }
    }
}

fn target(destination: &Path, file_name: &str) -> PathBuf {
    if destination.is_dir() {
        destination.join(safe_file_name(file_name))
    } else {
        destination.to_owned()
    }
}

/// Beside the target, so that it can be renamed, under a name that is no other file's.
fn part_path(target: &Path, purchase: PurchaseId) -> PathBuf {
    target.with_file_name(format!(".bauta-{purchase}.part"))
}

fn decrypt(
    ciphertext: &Path,
    part: &Path,
    key: &ContentKey,
    offer: &Offer,
    purchase: PurchaseId,
    observer: &mut dyn Observer,
) -> Result<()> {
    let source = File::open(ciphertext).map_err(|_| WalletError::DownloadLost)?;
    let mut source = BufReader::with_capacity(READ_BYTES, source);
    let mut file = File::create(part)?;
    let mut progress = |progress: content::Progress| {
        observer.observe(Event::Saving {
            purchase,
            bytes: progress.plaintext_bytes,
            bytes_total: offer.pt_len,
        });
    };
    let opened = content::decrypt(&mut source, &mut file, key, CONTENT_CONTEXT, &mut progress);
    check(opened.map_err(failure)?, offer)?;
    file.flush()?;
    file.sync_all()?;
    Ok(())
}

fn check(opened: Opened, offer: &Offer) -> Result<()> {
    if opened.pt_len != offer.pt_len {
        Err(WalletError::Defective(Defect::Length))
    } else if opened.pt_root != offer.pt_root.0 {
        Err(WalletError::Defective(Defect::Content))
    } else {
        Ok(())
    }
}

fn failure(error: DecryptError) -> WalletError {
    match error {
        DecryptError::Read(_) => WalletError::DownloadLost,
        DecryptError::Write(error) => error.into(),
        DecryptError::WrongKey => WalletError::Defective(Defect::WrongKey),
        DecryptError::Record { .. } | DecryptError::LastRecord { .. } => {
            WalletError::Defective(Defect::Record)
        }
        DecryptError::Truncated | DecryptError::TooLong => WalletError::Defective(Defect::Length),
    }
}

/// Gives the file its name. Without leave to overwrite, a file that appeared meanwhile stays as it is.
fn place(part: &Path, target: &Path, overwrite: bool) -> Result<()> {
    let placed = if overwrite {
        fs::rename(part, target)
    } else {
        match fs::hard_link(part, target) {
            Ok(()) => fs::remove_file(part),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // Not every file system has links.
            Err(_) => fs::rename(part, target),
        }
    };
    placed.inspect_err(|_| discard(part))?;
    Ok(())
}

fn discard(part: &Path) {
    // A part that cannot be removed is harmless: the next save begins it anew.
    let _ = fs::remove_file(part);
}
