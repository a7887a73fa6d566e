//! Fetching ciphertext: in parts, hashed on the way, resumed where it stopped.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, Write as _},
    path::Path,
};

use bauta_crypto::hash::ContentHasher;
use bauta_io::threads::{blocking, consume};
use bauta_proto::{
    ids::CiphertextRoot,
    problem::Problem,
    transport::{
        Body, CallError, Method, Request, Response, Resume, Transport, TransportError, address,
        collect, merchant, refusal,
    },
};
use futures_util::future::join;
use tokio::sync::mpsc;

use crate::error::{Result, WalletError};

/// Pieces are gathered to this size before they are hashed and written, in bytes.
const PIECE_BYTES: usize = 1024 * 1024;
/// Pieces on their way to the disk at most: what a download needs of memory.
const PIECES_QUEUED: usize = 4;

/// What is fetched, from where to where.
pub(crate) struct Download<'a> {
    pub(crate) shop_url: &'a str,
    pub(crate) path: &'a Path,
    pub(crate) root: CiphertextRoot,
    pub(crate) length: u64,
}

/// Whether the file that came is the one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Intact,
    Damaged,
}

impl Download<'_> {
    /// Fetches what is missing. A file that turns out to be damaged is removed.
    pub(crate) async fn run<T: Transport>(
        &self,
        transport: &T,
        progress: &mut (impl FnMut(u64) + Send),
    ) -> Result<Outcome> {
        let mut part = self.open_part().await?;
        if part.length < self.length {
            let mut response = self.ask(transport, part.length).await?;
            // The shop may send everything again, when its file is not the one of before.
            part.restart_from(response.from)?;
            part = self.receive(&mut response.body, part, progress).await?;
        }
        part.finish(self.root.0, self.length, self.path)
    }

    /// What is there already, hashed.
    async fn open_part(&self) -> Result<Part> {
        let path = self.path.to_owned();
        Ok(blocking(move || Part::open(&path)).await??)
    }

    async fn ask<T: Transport>(&self, transport: &T, from: u64) -> Result<Response<T::Body>> {
        let root = self.root.hex();
        let path = format!("{}{root}", merchant::CIPHERTEXT_PATH);
        let resume = (from > 0).then_some(Resume {
            from,
            entity_tag: root,
        });
        let request = Request {
            method: Method::Get,
            resume,
            ..Request::get(address(self.shop_url, &path))
        };
        let shop = |error: TransportError| WalletError::Shop(error.into());
        let mut response = transport.send(request).await.map_err(shop)?;
        if response.status < 300 {
            return Ok(response);
        }
        let body = collect(&mut response.body, Problem::BYTES_MAX).await;
        Err(WalletError::Shop(refusal(
            response.status,
            &body.map_err(shop)?,
        )))
    }

    /// Writes and hashes on another thread while the next pieces come in. What was received before an error is kept.
    async fn receive(
        &self,
        body: &mut impl Body,
        part: Part,
        progress: &mut (impl FnMut(u64) + Send),
    ) -> Result<Part> {
        let (queue, pieces) = mpsc::channel(PIECES_QUEUED);
        let came = self.forward(body, queue, part.length, progress);
        let written = consume(part, pieces, |part, piece: Vec<u8>| part.append(&piece));
        let (came, written) = join(came, written).await;
        let part = written?;
        came.map_err(WalletError::Shop)?;
        Ok(part)
    }

    async fn forward(
        &self,
        body: &mut impl Body,
        queue: mpsc::Sender<Vec<u8>>,
        mut received: u64,
        progress: &mut (impl FnMut(u64) + Send),
    ) -> std::result::Result<(), CallError> {
        let mut gathered = Vec::with_capacity(PIECE_BYTES);
        let result = loop {
            match body.chunk().await {
                Ok(Some(chunk)) => {
                    received += chunk.len() as u64;
                    gathered.extend_from_slice(&chunk);
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.into()),
            }
            progress(received);
            // Too much: the hash will show it, there is no need to read on.
            if received > self.length {
                break Ok(());
            }
            if gathered.len() >= PIECE_BYTES {
                let piece = std::mem::replace(&mut gathered, Vec::with_capacity(PIECE_BYTES));
                if queue.send(piece).await.is_err() {
                    return Ok(()); // The writer has an error to tell.
                }
            }
        };
        // An error of the writer is told by the writer.
        let _ = queue.send(gathered).await;
        result
    }
}

/// A file that is growing, and the hash of what is in it.
struct Part {
    file: File,
    hasher: ContentHasher,
    length: u64,
}

impl Part {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)?;
        let mut hasher = ContentHasher::new();
        let mut length = 0;
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            length += count as u64;
        }
        Ok(Self {
            file,
            hasher,
            length,
        })
    }

    fn restart_from(&mut self, from: u64) -> io::Result<()> {
        if from == self.length {
            return Ok(());
        }
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.hasher = ContentHasher::new();
        self.length = 0;
        if from == 0 {
            Ok(())
        } else {
            Err(io::Error::other(
                "the shop sent another part than asked for",
            ))
        }
    }

    fn append(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_all(piece)?;
        self.hasher.update(piece);
        self.length += piece.len() as u64;
        Ok(())
    }

    fn finish(self, root: [u8; 32], length: u64, path: &Path) -> Result<Outcome> {
        if self.length < length {
            return Err(WalletError::Shop(TransportError::Broken.into()));
        }
        if self.length == length && self.hasher.finalize() == root {
            self.file.sync_all()?;
            return Ok(Outcome::Intact);
        }
        fs::remove_file(path)?;
        Ok(Outcome::Damaged)
    }
}
