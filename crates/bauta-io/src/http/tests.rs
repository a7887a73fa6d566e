//! Every promise of the transport, over real sockets of the loopback interface.

use std::{net::SocketAddr, sync::Arc};

use bauta_proto::transport::{CallError, collect, fetch};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
};

use super::*;

/// A server that answers every connection's first request with fixed bytes, then closes; it shows what it was sent.
struct Canned {
    address: SocketAddr,
    seen: mpsc::UnboundedReceiver<String>,
}

impl Canned {
    async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, seen) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let head = read_head(&mut stream).await;
                let _closed = sender.send(head);
                let _closed = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { address, seen }
    }

    fn url(&self) -> String {
        format!("http://{}/thing", self.address)
    }
}

async fn read_head(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
            break;
        }
        bytes.push(byte[0]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn transport() -> HttpTransport {
    let options = HttpOptions {
        read_timeout: Duration::from_millis(200),
        ..HttpOptions::default()
    };
    HttpTransport::new(options).expect("a transport")
}

fn resuming(url: String, from: u64) -> Request {
    let resume = Some(Resume {
        from,
        entity_tag: "abc".to_owned(),
    });
    Request {
        resume,
        ..Request::get(url)
    }
}

#[tokio::test]
async fn an_answer_comes_back_and_the_request_says_nothing_about_the_sender() {
    let mut server = Canned::start("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
    let body = fetch(&transport(), Request::get(server.url()), 5).await;
    assert_eq!(body.expect("fetched"), b"hello");
    let head = server.seen.recv().await.expect("seen").to_lowercase();
    for told in ["user-agent", "cookie", "referer", "accept-encoding"] {
        assert!(!head.contains(told), "{head}");
    }
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused_and_one_at_the_limit_is_not() {
    let server = Canned::start("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
    let error = fetch(&transport(), Request::get(server.url()), 4).await;
    assert!(matches!(
        error,
        Err(CallError::Transport(TransportError::TooLarge(4)))
    ));
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let request = Request::get(format!("http://{address}/"));
    let error = transport().send(request).await.map(|_| ());
    assert_eq!(error, Err(TransportError::Connect));
}

#[tokio::test]
async fn what_is_not_a_web_address_is_refused_before_anything_is_sent() {
    for url in [
        "",
        "nonsense",
        "ftp://127.0.0.1/",
        "http://",
        "file:///etc/passwd",
    ] {
        let error = transport().send(Request::get(url.to_owned())).await;
        assert_eq!(error.map(|_| ()), Err(TransportError::Address), "{url}");
    }
}

#[tokio::test]
async fn silence_before_the_answer_and_inside_a_body_times_out() {
    for said in ["", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let silent = tokio::spawn(async move {
            let (mut stream, _): (TcpStream, _) = listener.accept().await.expect("a client");
            read_head(&mut stream).await;
            stream.write_all(said.as_bytes()).await.expect("written");
            std::future::pending::<()>().await;
        });
        let error = fetch(&transport(), Request::get(url), 5).await;
        assert!(
            matches!(error, Err(CallError::Transport(TransportError::Timeout))),
            "{error:?}"
        );
        silent.abort();
    }
}

#[tokio::test]
async fn a_connection_cut_before_the_answer_or_inside_a_body_is_broken() {
    for said in ["", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe"] {
        let server = Canned::start(said).await;
        let error = fetch(&transport(), Request::get(server.url()), 5).await;
        assert!(
            matches!(error, Err(CallError::Transport(TransportError::Broken))),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_download_resumes_where_it_stopped_under_the_same_entity_tag() {
    let mut server = Canned::start(
        "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 3-4/5\r\ncontent-length: 2\r\n\r\nlo",
    )
    .await;
    let mut answer = transport()
        .send(resuming(server.url(), 3))
        .await
        .expect("sent");
    assert_eq!((answer.status, answer.from), (206, 3));
    assert_eq!(collect(&mut answer.body, 2).await.expect("read"), b"lo");
    let head = server.seen.recv().await.expect("seen").to_lowercase();
    assert!(head.contains("range: bytes=3-\r\n"), "{head}");
    assert!(head.contains("if-range: \"abc\"\r\n"), "{head}");
}

#[tokio::test]
async fn a_changed_resource_comes_whole_and_from_its_first_byte() {
    let server = Canned::start("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
    let answer = transport()
        .send(resuming(server.url(), 3))
        .await
        .expect("sent");
    assert_eq!((answer.status, answer.from), (200, 0));
}

#[tokio::test]
async fn another_part_than_was_asked_for_is_refused() {
    for answer in [
        "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 2-4/5\r\ncontent-length: 3\r\n\r\nllo",
        "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 3-9/5\r\ncontent-length: 2\r\n\r\nlo",
        "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 3-2/5\r\ncontent-length: 2\r\n\r\nlo",
        "HTTP/1.1 206 Partial Content\r\ncontent-range: lines 3-4/5\r\ncontent-length: 2\r\n\r\nlo",
        "HTTP/1.1 206 Partial Content\r\ncontent-length: 2\r\n\r\nlo",
    ] {
        let server = Canned::start(answer).await;
        let error = transport().send(resuming(server.url(), 3)).await;
        assert_eq!(error.map(|_| ()), Err(TransportError::Part), "{answer}");
    }
}

#[tokio::test]
async fn a_redirect_is_handed_to_the_caller_and_not_followed() {
    let server = Canned::start(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let answer = transport().send(Request::get(server.url())).await;
    assert_eq!(answer.expect("sent").status, 302);
}

#[tokio::test]
async fn a_private_certificate_is_trusted_when_its_root_is_named_and_only_then() {
    let made = generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let pem = made.cert.pem().into_bytes();
    let port = https_server(made).await;
    let request = || Request::get(format!("https://localhost:{port}/"));
    let stranger = transport().send(request()).await.map(|_| ());
    assert_eq!(stranger, Err(TransportError::Certificate));
    let options = HttpOptions {
        extra_root: Some(pem),
        ..HttpOptions::default()
    };
    let trusting = HttpTransport::new(options).expect("a transport");
    let seen = fetch(&trusting, request(), 100).await.expect("fetched");
    assert_eq!(seen, b"TLSv1_3 X25519MLKEM768");
}

/// Answers with the protocol version and key exchange of the connection.
async fn https_server(made: CertifiedKey<rcgen::KeyPair>) -> u16 {
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a configuration");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            read_head(&mut stream).await;
            let connection = stream.get_ref().1;
            let version = connection.protocol_version().expect("agreed");
            let group = connection
                .negotiated_key_exchange_group()
                .expect("agreed")
                .name();
            let body = format!("{version:?} {group:?}");
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.expect("written");
            stream.shutdown().await.expect("closed");
        }
    });
    port
}

#[test]
fn a_root_that_is_no_certificate_is_refused() {
    for pem in [&b""[..], b"nonsense"] {
        let options = HttpOptions {
            extra_root: Some(pem.to_vec()),
            ..HttpOptions::default()
        };
        assert!(matches!(
            HttpTransport::new(options),
            Err(OptionsError::ExtraRoot)
        ));
    }
}
