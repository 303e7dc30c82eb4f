//! The one-time password and its successor.

use crate::fixture::{ADMIN_PASSWORD, Site};
use serde_json::json;

#[tokio::test]
async fn the_one_time_password_opens_nothing_but_its_change() {
    let site = Site::new();
    let mut browser = site.must_change().await;
    assert_eq!(browser.get("/api/v1/session").await.body["must_change_password"], true);
    assert_eq!(browser.get("/api/v1/status").await.code(), "password-change-required");
    let change = json!({"current": site.one_time_password, "new": ADMIN_PASSWORD});
    assert_eq!(browser.send("PUT", "/api/v1/password", Some(change)).await.status, 204);
    assert_eq!(browser.get("/api/v1/session").await.body["must_change_password"], false);
    assert_eq!(browser.get("/api/v1/status").await.status, 200);
    // It is used up.
    assert_eq!(site.browser("192.0.2.8").sign_in("admin", &site.one_time_password).await.status, 401);
    assert_eq!(site.browser("192.0.2.8").sign_in("admin", ADMIN_PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_change_ends_the_other_sessions() {
    let site = Site::new();
    let mut other = site.must_change().await;
    let mut user = site.user().await;
    let mut here = site.admin().await;
    assert_eq!(other.get("/api/v1/session").await.status, 401);
    assert_eq!(here.get("/api/v1/session").await.status, 200);
    assert_eq!(user.get("/api/v1/session").await.status, 200);
}

#[tokio::test]
async fn weak_passwords_are_refused() {
    let site = Site::new();
    let mut browser = site.must_change().await;
    let long = "x".repeat(1_025);
    for new in ["", "elevenchars", "ÄÖÜäöüßÄÖÜä", site.one_time_password.as_str(), long.as_str()] {
        let change = json!({"current": site.one_time_password, "new": new});
        let reply = browser.send("PUT", "/api/v1/password", Some(change)).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (422, "weak-password"), "{new}");
        assert_eq!(reply.body["error"]["field"], "new");
    }
    let change = json!({"current": site.one_time_password, "new": "ÄÖÜäöüßÄÖÜäö"});
    assert_eq!(browser.send("PUT", "/api/v1/password", Some(change)).await.status, 204, "twelve characters");
}

#[tokio::test]
async fn the_current_password_cannot_be_guessed_with_a_stolen_session() {
    let site = Site::new();
    let mut thief = site.admin().await;
    let mut statuses = Vec::new();
    for _ in 0..8 {
        let change = json!({"current": "a guess", "new": "the thief's password"});
        let reply = thief.send("PUT", "/api/v1/password", Some(change)).await;
        statuses.push((reply.status.as_u16(), reply.code().to_owned()));
    }
    assert_eq!(statuses[0], (403, "wrong-password".to_owned()));
    assert_eq!(statuses[7], (429, "throttled".to_owned()));
    assert_eq!(site.browser("192.0.2.8").sign_in("admin", ADMIN_PASSWORD).await.status, 200);
}

#[tokio::test]
async fn phone_users_change_no_password_here() {
    let site = Site::new();
    let change = json!({"current": "secret-of-101", "new": "a password of twelve"});
    assert_eq!(site.user().await.send("PUT", "/api/v1/password", Some(change)).await.code(), "forbidden");
}
