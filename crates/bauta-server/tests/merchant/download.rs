//! Ciphertexts with ranges (RFC 9110 §14).

use axum::{body::Body, http::Method};
use bauta_proto::{ids::CiphertextRoot, transport::merchant::CIPHERTEXT_PATH};

use futures_util::StreamExt;
use tower::ServiceExt;

use super::world::{Town, status};

struct Download {
    town: Town,
    path: String,
    tag: String,
    whole: Vec<u8>,
}

impl Download {
    async fn new(bytes: usize) -> Self {
        let town = Town::new().await;
        let good = town.add_good(&vec![7; bytes]);
        let path = format!("{CIPHERTEXT_PATH}{}", good.ct_root.hex());
        let whole = town.get(&path, &[]).await;
        assert_eq!(status(&whole).as_u16(), 200);
        assert_eq!(whole.headers()["accept-ranges"], "bytes");
        let tag = whole.headers()["etag"].to_str().expect("ASCII").to_owned();
        let whole = whole.into_body();
        assert_eq!(CiphertextRoot(*blake3_of(&whole)), good.ct_root);
        Self {
            town,
            path,
            tag,
            whole,
        }
    }

    /// Status, `Content-Range` and body of a request for a range.
    async fn range(&self, range: &str, if_range: Option<&str>) -> (u16, String, Vec<u8>) {
        let mut headers = vec![("range", range)];
        headers.extend(if_range.map(|tag| ("if-range", tag)));
        let answer = self.town.get(&self.path, &headers).await;
        let content_range = answer.headers().get("content-range");
        let content_range = content_range.map_or("", |value| value.to_str().expect("ASCII"));
        let (code, content_range) = (status(&answer).as_u16(), content_range.to_owned());
        (code, content_range, answer.into_body())
    }
}

fn blake3_of(bytes: &[u8]) -> Box<[u8; 32]> {
    let mut hasher = bauta_crypto::hash::ContentHasher::new();
    hasher.update(bytes);
    Box::new(hasher.finalize())
}

#[tokio::test]
async fn a_part_of_the_middle_and_of_the_end_are_just_those_bytes() {
    let download = Download::new(3_000_000).await;
    let (whole, length) = (&download.whole, download.whole.len());
    for (range, first, last) in [
        ("bytes=0-0".to_owned(), 0, 0),
        ("bytes=1048570-2097160".to_owned(), 1_048_570, 2_097_160),
        (format!("bytes={}-", length - 5), length - 5, length - 1),
        ("bytes=-5".to_owned(), length - 5, length - 1),
        (
            format!("bytes={}-99999999999999999999", length - 1),
            length - 1,
            length - 1,
        ),
        ("bytes=-99999999".to_owned(), 0, length - 1),
    ] {
        let (code, content_range, body) = download.range(&range, None).await;
        assert_eq!(code, 206, "{range}");
        assert_eq!(content_range, format!("bytes {first}-{last}/{length}"));
        assert_eq!(body, whole[first..=last], "{range}");
    }
}

#[tokio::test]
async fn a_range_beyond_the_end_is_not_satisfiable_and_the_last_byte_is() {
    let download = Download::new(10).await;
    let length = download.whole.len();
    let (code, content_range, _) = download.range(&format!("bytes={length}-"), None).await;
    assert_eq!((code, content_range), (416, format!("bytes */{length}")));
    assert_eq!(download.range("bytes=-0", None).await.0, 416);
    let last = format!("bytes={}-", length - 1);
    assert_eq!(download.range(&last, None).await.0, 206);
}

#[tokio::test]
async fn several_ranges_and_what_is_no_range_get_the_whole() {
    let download = Download::new(10).await;
    for range in [
        "bytes=0-1,3-4",
        "bytes=5-4",
        "lines=0-1",
        "bytes=a-b",
        "bytes=-",
        "bytes=+1-2",
    ] {
        let (code, content_range, body) = download.range(range, None).await;
        assert_eq!((code, content_range.as_str()), (200, ""), "{range}");
        assert_eq!(body, download.whole, "{range}");
    }
}

#[tokio::test]
async fn a_resumed_download_under_another_tag_gets_the_whole() {
    let download = Download::new(10).await;
    let same = download.range("bytes=3-", Some(&download.tag)).await;
    assert_eq!((same.0, same.2.as_slice()), (206, &download.whole[3..]));
    for tag in [
        "\"00\"",
        "Wed, 21 Oct 2015 07:28:00 GMT",
        &format!("W/{}", download.tag),
    ] {
        let other = download.range("bytes=3-", Some(tag)).await;
        assert_eq!((other.0, other.2), (200, download.whole.clone()), "{tag}");
    }
}

#[tokio::test]
async fn head_tells_the_length_and_sends_nothing() {
    let download = Download::new(10).await;
    let (town, path) = (&download.town, &download.path);
    let answer = town.request(Method::HEAD, path, &[]).await;
    assert_eq!((status(&answer).as_u16(), answer.body().len()), (200, 0));
    let length = download.whole.len().to_string();
    assert_eq!(answer.headers()["content-length"], length.as_str());
}

#[tokio::test]
async fn a_good_that_was_withdrawn_is_still_delivered_to_whoever_ordered_it() {
    let download = Download::new(10).await;
    let mut shop = download.town.shop();
    let good = shop.goods().expect("reads")[0].good;
    shop.withdraw_from_sale(good).expect("asks").expect("done");
    let answer = download.town.get(&download.path, &[]).await;
    assert_eq!(answer.into_body(), download.whole);
}

#[tokio::test]
async fn nothing_but_known_ciphertexts_is_served() {
    let town = Town::new().await;
    std::fs::write(town.config.data.join("ciphertext/secret.ct"), b"x").expect("written");
    let unknown = CiphertextRoot([1; 32]).hex();
    for name in [
        unknown.as_str(),
        "secret",
        "..%2fmerchant.db",
        "%2e%2e%2fmerchant.db",
        "",
        "secret.ct",
    ] {
        let answer = town.get(&format!("{CIPHERTEXT_PATH}{name}"), &[]).await;
        assert_eq!(status(&answer).as_u16(), 404, "{name}");
    }
}

#[tokio::test]
async fn callers_who_hardly_read_do_not_fill_the_memory() {
    let download = Download::new(3_000_000).await;
    let first_piece = async || {
        let request = axum::http::Request::get(&download.path);
        let request = request.body(Body::empty()).expect("a request");
        let router = download.town.merchant.router();
        let response = router.oneshot(request).await.expect("infallible");
        let mut body = response.into_body().into_data_stream();
        let piece = body.next().await.expect("a piece").expect("read");
        (body, piece.len())
    };
    let mut waiting = Vec::new();
    let mut kept = 0;
    for _ in 0..200 {
        let (body, piece) = first_piece().await;
        waiting.push(body);
        kept += piece;
    }
    assert!(kept < 64 << 20, "{kept} bytes");
    drop(waiting);
    let (_body, piece) = first_piece().await;
    assert!(piece > 100_000, "those who come alone are served fast");
}
