//! HTTP by hand: one request a connection, bytes as they are.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(60);

/// A request or answer: everything up to the empty line, and what follows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The bytes as they came.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), b"\r\n\r\n", &self.body].concat()
    }
}

impl Parts {
    /// Reads one request, or one answer of a connection that ends with it. None if the other side ends it before.
    pub(crate) fn read(stream: &mut impl Read) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let mut buffer = vec![0; 65_536];
        loop {
            if let Some(end) = find(&bytes, b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
                let body = bytes.split_off(end + 4);
                return Self { head, body }.complete(stream, &mut buffer).map(Some);
            }
            match stream.read(&mut buffer)? {
                0 => return Ok(None),
                count => bytes.extend_from_slice(&buffer[..count]),
            }
        }
    }

    fn complete(mut self, stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<Self> {
        let is_request = !self.head.starts_with("HTTP/");
        let length = match self.header("content-length") {
            Some(length) => length.parse().map_err(io::Error::other)?,
            None if is_request => 0,
            None => usize::MAX,
        };
        while self.body.len() < length {
            match stream.read(buffer)? {
                0 if length == usize::MAX => break,
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.body.extend_from_slice(&buffer[..count]),
            }
        }
        Ok(self)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1);
        lines.find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The second word: a request's path, an answer's status.
    pub(crate) fn second_word(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// The bytes, with the wish that the connection ends afterwards.
    pub(crate) fn for_one_connection(&self) -> Vec<u8> {
        let lines = self.head.lines();
        let kept = lines.filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
        let mut head: String = kept.flat_map(|line| [line, "\r\n"]).collect();
        head.push_str("connection: close\r\n\r\n");
        [head.as_bytes(), &self.body].concat()
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes
        .windows(pattern.len())
        .position(|window| window == pattern)
}

/// Sends these bytes and reads the answer.
pub(crate) fn exchange(port: u16, request: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(LIMIT))?;
    // The other side may answer before it has read everything.
    let written = stream.write_all(request);
    answer_of(&mut stream).or_else(|error| written.and(Err(error)))
}

/// Reads the answer of a connection that ends with it.
pub(crate) fn answer_of(stream: &mut TcpStream) -> io::Result<Answer> {
    let parts = Parts::read(stream)?;
    let parts = parts.ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = parts.second_word().parse().map_err(io::Error::other)?;
    Ok(Answer {
        status,
        head: parts.head,
        body: parts.body,
    })
}

/// GET; none when nobody answers.
pub(crate) fn get(port: u16, path: &str) -> Option<Answer> {
    request(port, "GET", path, None, &[]).ok()
}

/// POST.
pub(crate) fn post(port: u16, path: &str, media_type: &str, body: &[u8]) -> Answer {
    request(port, "POST", path, Some(media_type), body).expect("an answer")
}

fn request(
    port: u16,
    method: &str,
    path: &str,
    media_type: Option<&str>,
    body: &[u8],
) -> io::Result<Answer> {
    let kind = media_type.map_or_else(String::new, |kind| format!("content-type: {kind}\r\n"));
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n{kind}content-length: {}",
        body.len()
    );
    let body = body.to_vec();
    exchange(port, &Parts { head, body }.for_one_connection())
}
