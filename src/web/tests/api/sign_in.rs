//! Signing in, guessing passwords, and how sessions end.

use crate::fixture::{ADMIN_PASSWORD, Site, USER_PASSWORD};
use axum::body::Body;
use axum::http::header;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn a_session_is_a_cookie_that_scripts_and_other_sites_cannot_use() {
    let site = Site::new();
    let mut browser = site.browser("192.0.2.1");
    let reply = browser.sign_in("101", USER_PASSWORD).await;
    assert_eq!(reply.body, json!({"user": "101", "role": "user", "must_change_password": false}));
    let cookie = reply.headers[header::SET_COOKIE].to_str().unwrap();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert!(pair.strip_prefix("ringfort_session=").unwrap().len() >= 32);
    assert_eq!(attributes, "Path=/; HttpOnly; Secure; SameSite=Strict");
    assert_eq!(reply.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(browser.get("/api/v1/session").await.body, reply.body);
}

#[tokio::test]
async fn the_phone_account_is_the_own_one() {
    let site = Site::new();
    let account = site.user().await.get("/api/v1/phone").await.body;
    assert_eq!(account["username"], "101");
    assert_eq!(account["uri"], "sip:101@example.com");
    assert_eq!(account["ws_path"], "/sip");
    assert_eq!(account["ha1_md5"], format!("ha1 of {USER_PASSWORD}"));
}

#[tokio::test]
async fn signing_out_ends_the_session_itself() {
    let site = Site::new();
    let mut browser = site.user().await;
    let mut thief = browser.clone();
    let reply = browser.send("DELETE", "/api/v1/session", None).await;
    assert!(reply.headers[header::SET_COOKIE].to_str().unwrap().ends_with("Max-Age=0"));
    assert_eq!(browser.cookie, None);
    assert_eq!(thief.get("/api/v1/session").await.status, 401);
}

#[tokio::test]
async fn signing_in_again_ends_the_session_before() {
    let site = Site::new();
    let mut browser = site.user().await;
    let mut before = browser.clone();
    browser.sign_in("101", USER_PASSWORD).await;
    assert_eq!(before.get("/api/v1/session").await.status, 401);
    assert_eq!(browser.get("/api/v1/session").await.status, 200);
}

#[tokio::test]
async fn failures_all_look_alike() {
    let site = Site::new();
    let mut replies = Vec::new();
    for (n, (user, password)) in
        [("101", "wrong"), ("nobody", "wrong"), ("admin", "wrong"), ("admin", USER_PASSWORD)].into_iter().enumerate()
    {
        let reply = site.browser(&format!("192.0.2.{n}")).sign_in(user, password).await;
        assert!(!reply.headers.contains_key(header::SET_COOKIE));
        replies.push((reply.status.as_u16(), reply.text));
    }
    assert_eq!(replies[0].0, 401);
    assert!(replies.iter().all(|reply| *reply == replies[0]), "{replies:?}");
}

#[tokio::test]
async fn a_phone_account_named_like_an_administrator_opens_nothing() {
    // The accounts of the fixture hold a phone user `admin`.
    let site = Site::new();
    assert_eq!(site.browser("192.0.2.9").sign_in("admin", USER_PASSWORD).await.status, 401);
    assert_eq!(site.admin().await.get("/api/v1/phone").await.status, 403);
}

#[tokio::test]
async fn bodies_that_are_no_credentials_are_refused_without_a_guess() {
    let site = Site::new();
    let mut browser = site.browser("192.0.2.1");
    for (body, code) in [
        (json!({"user": "101"}), "bad-body"),
        (json!({"user": "101", "password": 5}), "bad-body"),
        (json!({"user": "101", "password": "x", "extra": true}), "bad-body"),
        (json!([]), "bad-body"),
        (json!({"user": "", "password": "x"}), "bad-length"),
        (json!({"user": "101", "password": ""}), "bad-length"),
        (json!({"user": "x".repeat(300), "password": "x"}), "bad-length"),
        (json!({"user": "101", "password": "x".repeat(2_000)}), "bad-length"),
        (json!({"user": "101", "password": "x".repeat(70_000)}), "too-large"),
    ] {
        let reply = browser.send("POST", "/api/v1/session", Some(body)).await;
        assert_eq!(reply.code(), code, "{}", reply.text);
        assert!(!reply.text.contains("xxxx"), "an error does not quote the body");
    }
    let mut request = browser.request("POST", "/api/v1/session");
    *request.body_mut() = Body::from("user=101");
    assert_eq!(browser.perform(request).await.code(), "not-json");
    assert_eq!(browser.sign_in("101", USER_PASSWORD).await.status, 200);
}

#[tokio::test]
async fn guesses_wait_longer_and_longer() {
    let site = Site::new();
    let mut attacker = site.browser("198.51.100.1");
    let mut waits = Vec::new();
    for _ in 0..30 {
        let reply = attacker.sign_in("admin", "a guess").await;
        if reply.status == 429 {
            let wait: u64 = reply.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
            assert_eq!(reply.code(), "throttled");
            waits.push(wait);
            // Even the right password waits here.
            assert_eq!(attacker.sign_in("admin", &site.one_time_password).await.status, 429);
            site.advance(Duration::from_secs(wait));
        }
    }
    assert!(waits.len() > 8, "{waits:?}");
    assert!(waits.is_sorted() && waits[4] >= 16, "{waits:?}");
    // The administrator elsewhere is not locked out.
    assert_eq!(site.must_change().await.get("/api/v1/session").await.status, 200);
}

#[tokio::test]
async fn one_machine_cannot_try_many_users() {
    let site = Site::new();
    let mut refused = 0;
    for n in 0..40 {
        let reply = site.browser("198.51.100.1").sign_in(&format!("user{n}"), "123456").await;
        refused += usize::from(reply.status == 429);
    }
    assert_eq!(refused, 20);
    assert_eq!(site.user().await.get("/api/v1/session").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn many_machines_only_delay_the_right_person() {
    let site = Site::new();
    for n in 0..60 {
        assert_eq!(site.browser(&format!("198.51.100.{n}")).sign_in("101", "a guess").await.status, 401);
    }
    let before = tokio::time::Instant::now();
    site.user().await;
    let delay = before.elapsed();
    assert!(delay > Duration::from_millis(100) && delay < Duration::from_secs(3), "{delay:?}");
}

#[tokio::test]
async fn a_slip_of_the_pen_costs_nothing() {
    let site = Site::new();
    let mut browser = site.browser("192.0.2.1");
    for _ in 0..10 {
        assert_eq!(browser.sign_in("101", "oops").await.status, 401);
        assert_eq!(browser.sign_in("101", USER_PASSWORD).await.status, 200);
    }
}

#[tokio::test]
async fn sessions_end_when_nobody_uses_them() {
    let site = Site::new();
    let mut browser = site.user().await;
    site.advance(Duration::from_secs(11 * 3600));
    assert_eq!(browser.get("/api/v1/session").await.status, 200);
    site.advance(Duration::from_secs(11 * 3600));
    assert_eq!(browser.get("/api/v1/session").await.status, 200);
    site.advance(Duration::from_secs(12 * 3600));
    assert_eq!(browser.get("/api/v1/session").await.status, 401);
}

#[tokio::test]
async fn sessions_end_with_the_account_or_its_password() {
    let site = Site::new();
    for accounts in [vec![], vec![("101", "another password")]] {
        *site.node.accounts.lock().unwrap() = vec![("101", USER_PASSWORD)];
        let mut browser = site.user().await;
        *site.node.accounts.lock().unwrap() = accounts;
        assert_eq!(browser.get("/api/v1/phone").await.status, 401);
        *site.node.accounts.lock().unwrap() = vec![("101", USER_PASSWORD)];
        assert_eq!(browser.get("/api/v1/phone").await.status, 401, "it does not come back");
    }
}

#[tokio::test]
async fn the_table_of_sessions_does_not_grow_by_signing_in() {
    let site = Site::new();
    let mut first = site.admin().await;
    for _ in 0..20 {
        site.advance(Duration::from_secs(1));
        assert_eq!(site.browser("192.0.2.1").sign_in("admin", ADMIN_PASSWORD).await.status, 200);
    }
    // The one unused for longest made room.
    assert_eq!(first.get("/api/v1/session").await.body["error"]["code"], Value::from("not-signed-in"));
}
