//! The status as a stream and as pages.

use crate::fixture::{Browser, Site, call, registration, seat, status};
use axum::body::BodyDataStream;
use futures_util::StreamExt;
use ringfort_call::status::{SeatStatus, Status};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

async fn open(browser: &Browser) -> BodyDataStream {
    open_at(browser, "/api/v1/events").await
}

async fn open_at(browser: &Browser, path: &str) -> BodyDataStream {
    let response = browser.open(path).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response.into_body().into_data_stream()
}

/// The data of the next event; `None` when the stream ends. Comments are left out.
async fn next(stream: &mut BodyDataStream) -> Option<Value> {
    loop {
        let chunk = stream.next().await?.unwrap();
        let text = String::from_utf8(chunk.to_vec()).unwrap();
        if let Some(data) = text.strip_prefix("data: ") {
            return Some(serde_json::from_str(data.trim_end()).unwrap());
        }
    }
}

fn change(site: &Site, reason: &str) {
    let changed = Status { mode_reason: reason.into(), ..status() };
    *site.node.status.lock().unwrap() = Arc::new(changed);
}

#[tokio::test(start_paused = true)]
async fn the_status_comes_at_once_and_when_it_changes_but_not_faster_than_each_second() {
    let site = Site::new();
    let mut stream = open(&site.admin().await).await;
    let first = next(&mut stream).await.unwrap();
    assert_eq!(first["calls"][0]["call"], "c1f");
    assert_eq!(first["recent"][0]["call"], format!("c{:x}", u64::MAX));
    assert_eq!((first["version"].as_str(), first["uptime_s"].as_u64()), (Some("0.1.0"), Some(42)));
    // An equal status in a new place is no change.
    *site.node.status.lock().unwrap() = Arc::new(status());
    assert!(timeout(Duration::from_secs(10), next(&mut stream)).await.is_err());
    let start = Instant::now();
    for reason in ["one", "two", "three"] {
        change(&site, reason);
        assert_eq!(next(&mut stream).await.unwrap()["mode_reason"], reason);
    }
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_user_is_told_of_own_calls_and_of_nobody_elses() {
    let site = Site::new();
    let mut stream = open_at(&site.user().await, "/api/v1/phone/calls").await;
    assert_eq!(next(&mut stream).await.unwrap(), json!({"calls": [], "devices": 0}));
    let with = |seats: Vec<SeatStatus>, reason: &str| {
        let registrations = (0..3).map(registration).collect();
        let changed = Status { seats, registrations, mode_reason: reason.into(), ..status() };
        *site.node.status.lock().unwrap() = Arc::new(changed);
    };
    with(vec![seat("102", 1), seat("1011", 2), seat("101", 3), seat("10", 4)], "");
    let told = next(&mut stream).await.unwrap();
    assert_eq!(told["devices"], 1);
    assert_eq!(told["calls"].as_array().unwrap().len(), 1);
    assert_eq!((&told["calls"][0]["call_id"], &told["calls"][0]["peer_name"]), (&json!("dialog-3"), &json!("Ada")));
    // What changes for others is no news.
    with(vec![seat("102", 1), seat("101", 3)], "another");
    assert!(timeout(Duration::from_secs(10), next(&mut stream)).await.is_err());
    with(Vec::new(), "");
    assert_eq!(next(&mut stream).await.unwrap()["calls"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_says_that_it_lives() {
    let site = Site::new();
    let mut stream = open(&site.admin().await).await;
    next(&mut stream).await.unwrap();
    let chunk = timeout(Duration::from_secs(20), stream.next()).await.unwrap().unwrap().unwrap();
    assert!(chunk.starts_with(b":"), "{chunk:?}");
}

#[tokio::test(start_paused = true)]
async fn the_stream_ends_with_the_session_and_does_not_keep_it_alive() {
    let site = Site::new();
    let mut admin = site.admin().await;
    let mut stream = open(&admin).await;
    next(&mut stream).await.unwrap();
    admin.send("DELETE", "/api/v1/session", None).await;
    assert_eq!(next(&mut stream).await, None);

    let mut browser = site.browser("192.0.2.1");
    browser.sign_in("admin", crate::fixture::ADMIN_PASSWORD).await;
    let mut stream = open(&browser).await;
    for hour in 0..11 {
        change(&site, &hour.to_string());
        assert!(next(&mut stream).await.is_some());
        site.advance(Duration::from_secs(3600));
    }
    site.advance(Duration::from_secs(3600));
    change(&site, "later");
    assert_eq!(next(&mut stream).await, None);
}

#[tokio::test(start_paused = true)]
async fn streams_are_bounded_and_give_their_place_back() {
    let site = Site::new();
    let admin = site.admin().await;
    let mut streams = Vec::new();
    for _ in 0..ringfort_web::state::STREAMS_MAX {
        streams.push(open(&admin).await);
    }
    assert_eq!(admin.open("/api/v1/events").await.status(), 503);
    streams.pop();
    assert_eq!(admin.open("/api/v1/events").await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn one_user_has_so_many_streams_and_no_more() {
    let site = Site::new();
    let mut user = site.user().await;
    let mut streams = Vec::new();
    for _ in 0..ringfort_web::state::PHONE_STREAMS_PER_USER_MAX {
        streams.push(open_at(&user, "/api/v1/phone/calls").await);
    }
    assert_eq!(user.open("/api/v1/phone/calls").await.status(), 503);
    // Neither another session of the same user brings more, nor do others go without.
    user.sign_in("101", crate::fixture::USER_PASSWORD).await;
    assert_eq!(user.open("/api/v1/phone/calls").await.status(), 503);
    site.node.accounts.lock().unwrap().push(("102", "secret-of-102"));
    let mut other = site.browser("192.0.2.3");
    other.sign_in("102", "secret-of-102").await;
    assert_eq!(other.open("/api/v1/phone/calls").await.status(), 200);
    streams.pop();
    assert_eq!(user.open("/api/v1/phone/calls").await.status(), 200);
}

#[tokio::test]
async fn long_lists_are_cut_in_the_status_and_whole_page_by_page() {
    let site = Site::new();
    let mut admin = site.admin().await;
    let registrations = (0..2_345).map(registration).collect();
    let calls = (0..1_234).map(call).collect();
    *site.node.status.lock().unwrap() = Arc::new(Status { registrations, calls, ..status() });
    let view = admin.get("/api/v1/status").await.body;
    assert_eq!(view["calls"].as_array().unwrap().len(), 500);
    assert_eq!((&view["call_count"], &view["registration_count"]), (&Value::from(1_234), &Value::from(2_345)));
    let mut seen = 0;
    for (offset, expected) in [(0, 1_000), (1_000, 1_000), (2_000, 345), (3_000, 0)] {
        let page = admin.get(&format!("/api/v1/registrations?offset={offset}&limit=99999")).await.body;
        assert_eq!(page["total"], 2_345);
        assert_eq!(page["registrations"].as_array().unwrap().len(), expected);
        seen += expected;
    }
    assert_eq!(seen, 2_345);
    let page = admin.get("/api/v1/calls?offset=1230&limit=2").await.body;
    assert_eq!(page["calls"][1]["call"], format!("c{:x}", 1_231));
    for query in ["offset=-1", "limit=x", "page=2", "offset=99999999999999999999999"] {
        assert_eq!(admin.get(&format!("/api/v1/calls?{query}")).await.code(), "bad-query", "{query}");
    }
}
