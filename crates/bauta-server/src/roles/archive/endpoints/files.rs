//! The log's static files (C2SP tlog-tiles) and the archive's policy. Any web server can do the same for the files.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use bauta_crypto::merkle;
use bauta_io::threads::blocking;
use bauta_proto::{
    log::reader::{KEPT_FOLDER, kept_hour_of},
    problem::{Problem, ProblemKind},
};

use crate::{
    edge::Refusal,
    roles::archive::{Archive, publish::CHECKPOINT_FILE},
};

const TEXT: &str = "text/plain; charset=utf-8";
const BINARY: &str = "application/octet-stream";
/// The checkpoint changes all the time.
const ASK_AGAIN: &str = "no-cache";
/// Tiles never change: a partial one has its width in its name.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// `GET /checkpoint`
pub(in crate::roles::archive) async fn checkpoint(
    State(archive): State<Arc<Archive>>,
) -> Result<Response, Refusal> {
    file(&archive, None, CHECKPOINT_FILE).await
}

/// `GET /YYYYMMDD-YYYYMMDD/checkpoint`
pub(in crate::roles::archive) async fn checkpoint_of_shard(
    State(archive): State<Arc<Archive>>,
    Path(shard): Path<String>,
) -> Result<Response, Refusal> {
    file(&archive, Some(&shard), CHECKPOINT_FILE).await
}

/// `GET /tile/...`
pub(in crate::roles::archive) async fn tile(
    State(archive): State<Arc<Archive>>,
    Path(path): Path<String>,
) -> Result<Response, Refusal> {
    let name = tile_name(&path).ok_or(Refusal(ProblemKind::NotFound.into()))?;
    file(&archive, None, &name).await
}

/// `GET /YYYYMMDD-YYYYMMDD/tile/...`
pub(in crate::roles::archive) async fn tile_of_shard(
    State(archive): State<Arc<Archive>>,
    Path((shard, path)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let name = tile_name(&path).ok_or(Refusal(ProblemKind::NotFound.into()))?;
    file(&archive, Some(&shard), &name).await
}

/// `GET /checkpoints/...`
pub(in crate::roles::archive) async fn kept(
    State(archive): State<Arc<Archive>>,
    Path(hour): Path<String>,
) -> Result<Response, Refusal> {
    let name = kept_name(&hour).ok_or(Refusal(ProblemKind::NotFound.into()))?;
    file(&archive, None, &name).await
}

/// `GET /YYYYMMDD-YYYYMMDD/checkpoints/...`
pub(in crate::roles::archive) async fn kept_of_shard(
    State(archive): State<Arc<Archive>>,
    Path((shard, hour)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let name = kept_name(&hour).ok_or(Refusal(ProblemKind::NotFound.into()))?;
    file(&archive, Some(&shard), &name).await
}

/// `GET /v1/log-policy`
pub(in crate::roles::archive) async fn policy(State(archive): State<Arc<Archive>>) -> Response {
    let headers = [(CONTENT_TYPE, TEXT), (CACHE_CONTROL, ASK_AGAIN)];
    (headers, archive.policy.text().to_owned()).into_response()
}

async fn file(archive: &Archive, shard: Option<&str>, name: &str) -> Result<Response, Refusal> {
    let slot = archive.slots.named(shard);
    let slot = slot.ok_or(Refusal(ProblemKind::NotFound.into()))?;
    let headers = match name {
        // The file of the present hour grows.
        _ if name == CHECKPOINT_FILE || kept_hour_of(name).is_some() => {
            [(CONTENT_TYPE, TEXT), (CACHE_CONTROL, ASK_AGAIN)]
        }
        _ => [(CONTENT_TYPE, BINARY), (CACHE_CONTROL, FOR_EVER)],
    };
    let name = name.to_owned();
    let read = blocking(move || slot.folder.read(&name)).await;
    match read {
        Ok(Ok(Some(bytes))) => Ok((headers, bytes).into_response()),
        Ok(Ok(None)) => Err(Refusal(ProblemKind::NotFound.into())),
        Ok(Err(error)) => {
            tracing::error!(%error, "a public file cannot be read");
            Err(Refusal(Problem::new(ProblemKind::Internal)))
        }
        Err(_stopping) => Err(Refusal(Problem::new(ProblemKind::Overloaded))),
    }
}

/// The file's name, if the path behind `/checkpoints/` is that of an hour in its one form.
fn kept_name(hour: &str) -> Option<String> {
    let name = format!("{KEPT_FOLDER}/{hour}");
    kept_hour_of(&name).map(|_| name)
}

/// The file's name, if the path behind `/tile/` is that of a tile or bundle in its one form.
fn tile_name(path: &str) -> Option<String> {
    let (kind, place) = path.split_once('/')?;
    let (place, width) = match place.split_once(".p/") {
        Some((place, width)) => (place, Some(width.parse().ok()?)),
        None => (place, None),
    };
    let groups = place.split('/');
    let digits: String = groups.map(|group| group.trim_start_matches('x')).collect();
    let index = digits.parse().ok()?;
    let name = match kind {
        "entries" => merkle::entries_path(index, width),
        level => merkle::tile_path(level.parse().ok()?, index, width),
    };
    (name.strip_prefix("tile/") == Some(path)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_form_of_a_tiles_path_is_a_file() {
        for path in [
            "0/000",
            "5/x001/234",
            "entries/x001/x002/003",
            "0/000.p/255",
            "entries/000.p/1",
        ] {
            assert_eq!(tile_name(path), Some(format!("tile/{path}")));
        }
        for path in [
            "",
            "0",
            "0/",
            "/0/000",
            "0/0",
            "0/0000",
            "00/000",
            "0/x000/000",
            "0/+01",
            "0/000.p/256",
            "0/000.p/",
            "0/000.p/01",
            "0/../../archive.db",
            "entries/../000",
            "data/000",
            "0/xx001/234",
            "0/000.p/1.p/1",
            "0/000/000",
            "0/x001/x234",
        ] {
            assert_eq!(tile_name(path), None, "{path}");
        }
    }
}
