//! Files in a folder, read as if a web server served them: for a log that was copied or whose server is gone.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Component, Path, PathBuf},
};

use bauta_proto::transport::{Body, Method, Request, Response, Transport, TransportError};

use crate::threads::blocking;

/// Answers GET with the file that stands at the address's path in the folder. The address is `file:` and a path.
#[derive(Clone, Debug)]
pub struct FolderTransport {
    root: PathBuf,
}

/// The base address for requests to a [`FolderTransport`].
pub const FOLDER_URL: &str = "file:";

impl FolderTransport {
    /// Serves what is in `root`.
    #[must_use]
    pub const fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where the file of an address is; none for an address that leads out of the folder.
    fn path(&self, url: &str) -> Option<PathBuf> {
        let path = Path::new(url.strip_prefix(FOLDER_URL)?.trim_start_matches('/'));
        let is_inside = path
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        is_inside.then(|| self.root.join(path))
    }
}

impl Transport for FolderTransport {
    type Body = FileBody;

    async fn send(&self, request: Request) -> Result<Response<FileBody>, TransportError> {
        let answer = |status, bytes| Response {
            status,
            from: 0,
            body: FileBody(bytes),
        };
        if request.method == Method::Post {
            return Ok(answer(405, None));
        }
        let path = self.path(&request.url).ok_or(TransportError::Address)?;
        let read = blocking(move || fs::read(path)).await.and_then(|read| read);
        match read {
            Ok(bytes) => Ok(answer(200, Some(bytes))),
            Err(error) if is_absence(&error) => Ok(answer(404, None)),
            Err(_unreadable) => Err(TransportError::Broken),
        }
    }
}

fn is_absence(error: &io::Error) -> bool {
    use ErrorKind::{IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | IsADirectory)
}

/// A whole file.
#[derive(Debug)]
pub struct FileBody(Option<Vec<u8>>);

impl Body for FileBody {
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        Ok(self.0.take())
    }
}

#[cfg(test)]
mod tests {
    use bauta_proto::transport::{CallError, fetch};

    use super::*;

    #[tokio::test]
    async fn files_are_read_and_nothing_outside_the_folder_is() {
        let path = std::env::temp_dir().join(format!("bauta-folder-{}", std::process::id()));
        fs::create_dir_all(path.join("public/tile")).expect("a folder");
        fs::write(path.join("public/tile/0"), b"hashes").expect("writes");
        fs::write(path.join("secret"), b"secret").expect("writes");
        let folder = FolderTransport::new(path.join("public"));
        let get = async |url: &str| fetch(&folder, Request::get(url.to_owned()), 100).await;
        assert_eq!(get("file:/tile/0").await.expect("reads"), b"hashes");
        for absent in ["file:/tile", "file:/tile/1", "file:/tile/0/1", "file:"] {
            let answer = get(absent).await;
            assert!(matches!(answer, Err(CallError::Status(404))), "{absent}");
        }
        for outside in ["file:/../secret", "file:/tile/../../secret", "/secret"] {
            assert!(get(outside).await.is_err(), "{outside}");
        }
        fs::remove_dir_all(path).expect("removes");
    }
}
