//! `GET /v1/ciphertext/{root}`: encrypted goods, with ranges (RFC 9110 §14), so that downloads resume.
//!
//! A ciphertext is named by its own BLAKE3 root: it never changes, and its entity tag is the root.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::PathBuf,
    sync::Arc,
};

use axum::{
    body::Body,
    extract::{Path, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{
            ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
            HeaderName, IF_NONE_MATCH, IF_RANGE, RANGE,
        },
    },
    response::{IntoResponse, Response},
};
use bauta_io::threads::blocking;
use bauta_proto::{
    ids::CiphertextRoot,
    problem::{Problem, ProblemKind},
    transport::Transport,
};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::OwnedSemaphorePermit;

use super::{super::Merchant, catalogue::known_goods};
use crate::{edge::Refusal, roles::merchant::goods::ciphertext_path};

/// What is read from the disk at once; all that a download keeps in memory.
const CHUNK_BYTES: usize = 1024 * 1024;
/// The same for downloads that find no place among those in large chunks: thousands of callers who hardly read must not fill the memory.
const SMALL_CHUNK_BYTES: usize = 16 * 1024;

/// Which bytes are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Wanted {
    /// All.
    Whole,
    /// From the first to the last of these.
    Part(u64, u64),
    /// Bytes that there are not.
    Beyond,
}

/// A ciphertext or a part of it.
pub(super) async fn ciphertext<T: Transport + 'static>(
    State(merchant): State<Arc<Merchant<T>>>,
    Path(root): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let not_found = || Refusal(ProblemKind::NotFound.into());
    let root: CiphertextRoot = root.parse().map_err(|_| not_found())?;
    let goods = known_goods(&merchant).await?;
    let length = goods.ciphertext_bytes(&root).ok_or_else(not_found)?;
    let entity_tag = format!("\"{}\"", root.hex());
    if names(&headers, IF_NONE_MATCH, &entity_tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, entity_tag)]).into_response());
    }
    let wanted = if method == Method::GET {
        wanted(&headers, &entity_tag, length)
    } else {
        Wanted::Whole
    };
    let path = ciphertext_path(&merchant.ciphertexts, &root);
    let large = Arc::clone(&merchant.large_chunks).try_acquire_owned().ok();
    respond((path, length), &entity_tag, wanted, large)
        .await
        .map_err(|error| unreadable(&error))
}

async fn respond(
    (path, length): (PathBuf, u64),
    entity_tag: &str,
    wanted: Wanted,
    large: Option<OwnedSemaphorePermit>,
) -> io::Result<Response> {
    let (status, first, count) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0, length),
        Wanted::Part(first, last) => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Wanted::Beyond => {
            let range = [(CONTENT_RANGE, format!("bytes */{length}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, range).into_response());
        }
    };
    let body = part_of_file((path, length), (first, count), large).await?;
    let headers = [
        (ETAG, entity_tag.to_owned()),
        (ACCEPT_RANGES, "bytes".to_owned()),
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_LENGTH, count.to_string()),
        (
            CACHE_CONTROL,
            "public, max-age=31536000, immutable".to_owned(),
        ),
    ];
    let mut response = (status, headers, body).into_response();
    if let Wanted::Part(first, last) = wanted {
        let range = HeaderValue::try_from(format!("bytes {first}-{last}/{length}"));
        let range = range.expect("digits and ASCII signs");
        response.headers_mut().insert(CONTENT_RANGE, range);
    }
    Ok(response)
}

async fn part_of_file(
    (path, length): (PathBuf, u64),
    (first, count): (u64, u64),
    large: Option<OwnedSemaphorePermit>,
) -> io::Result<Body> {
    let part = blocking(move || Part::open((path, length), (first, count), large)).await??;
    let chunks = stream::try_unfold(part, async |mut part: Part| {
        blocking(move || part.chunk().map(|chunk| chunk.map(|chunk| (chunk, part)))).await?
    });
    Ok(Body::from_stream(chunks))
}

/// What is left to send of a file.
struct Part {
    file: io::Take<File>,
    /// Held for as long as the body is sent.
    large: Option<OwnedSemaphorePermit>,
}

impl Part {
    fn open(
        (path, length): (PathBuf, u64),
        (first, count): (u64, u64),
        large: Option<OwnedSemaphorePermit>,
    ) -> io::Result<Self> {
        let mut file = File::open(path)?;
        if file.metadata()?.len() != length {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the file does not have the length of the ciphertext",
            ));
        }
        file.seek(SeekFrom::Start(first))?;
        let file = file.take(count);
        Ok(Self { file, large })
    }

    /// The next piece, none at the end.
    fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        let bytes_max = match self.large {
            Some(_) => CHUNK_BYTES,
            None => SMALL_CHUNK_BYTES,
        };
        let mut chunk = Vec::with_capacity(
            bytes_max.min(usize::try_from(self.file.limit()).unwrap_or(bytes_max)),
        );
        (&mut self.file)
            .take(bytes_max as u64)
            .read_to_end(&mut chunk)?;
        Ok((!chunk.is_empty()).then(|| chunk.into()))
    }
}

/// The range that the headers ask for. One that is not understood, several at once, and one of another version are
/// answered with the whole, as RFC 9110 §13.1.5 and §14.2 allow.
pub(in super::super) fn wanted(headers: &HeaderMap, entity_tag: &str, length: u64) -> Wanted {
    let is_current = !headers.contains_key(IF_RANGE)
        || headers.get(IF_RANGE).map(HeaderValue::as_bytes) == Some(entity_tag.as_bytes());
    let range = headers.get(RANGE).and_then(|value| value.to_str().ok());
    match range.and_then(|range| parse(range, length)) {
        Some(part) if is_current => part,
        _ => Wanted::Whole,
    }
}

/// `bytes=5-9`, `bytes=5-` or `bytes=-5`.
fn parse(range: &str, length: u64) -> Option<Wanted> {
    let (first, last) = range.trim().strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        let count: u64 = digits(last)?;
        return Some(if count == 0 || length == 0 {
            Wanted::Beyond
        } else {
            Wanted::Part(length.saturating_sub(count), length - 1)
        });
    }
    let first = digits(first)?;
    let last = if last.is_empty() {
        u64::MAX
    } else {
        digits(last)?
    };
    if last < first {
        None
    } else if first >= length {
        Some(Wanted::Beyond)
    } else {
        Some(Wanted::Part(first, last.min(length - 1)))
    }
}

/// A number; one that is too large is as large as any, signs and spaces are none.
fn digits(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

fn names(headers: &HeaderMap, header: HeaderName, entity_tag: &str) -> bool {
    headers
        .get_all(header)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|tags| tags.contains(entity_tag))
}

fn unreadable(error: &io::Error) -> Refusal {
    tracing::error!(%error, "an encrypted good cannot be read");
    Refusal(Problem::new(ProblemKind::Internal))
}
