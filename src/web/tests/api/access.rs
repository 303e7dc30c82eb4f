//! Who may do what, as one table.

use crate::fixture::{Browser, Site};
use ringfort_base::CallId;
use serde_json::{Value, json};

/// Method, path, then the status for: anonymous, phone user, administrator with the one-time password, administrator.
const TABLE: [(&str, &str, [u16; 4]); 22] = [
    ("GET", "/api/v1/health", [200, 200, 200, 200]),
    ("GET", "/api/v1/openapi.json", [200, 200, 200, 200]),
    ("GET", "/api/v1/session", [401, 200, 200, 200]),
    ("GET", "/api/v1/status", [401, 403, 403, 200]),
    ("GET", "/api/v1/events", [401, 403, 403, 200]),
    ("GET", "/api/v1/calls", [401, 403, 403, 200]),
    ("GET", "/api/v1/calls?offset=1&limit=5", [401, 403, 403, 200]),
    ("GET", "/api/v1/calls/c1f/timeline", [401, 403, 403, 200]),
    ("GET", "/api/v1/calls/c2/timeline", [401, 403, 403, 404]),
    ("GET", "/api/v1/calls/c1f/timeline?anonymous=perhaps", [401, 403, 403, 400]),
    ("POST", "/api/v1/calls/c1f/hangup", [401, 403, 403, 204]),
    ("GET", "/api/v1/registrations", [401, 403, 403, 200]),
    ("GET", "/api/v1/phone", [401, 200, 403, 403]),
    ("GET", "/api/v1/phone/calls", [401, 200, 403, 403]),
    ("POST", "/api/v1/reload", [401, 403, 403, 204]),
    ("DELETE", "/api/v1/bans/198.51.100.66", [401, 403, 403, 204]),
    ("DELETE", "/api/v1/bans/198.51.100.67", [401, 403, 403, 404]),
    ("DELETE", "/api/v1/bans/nobody", [401, 403, 403, 404]),
    ("GET", "/api/v1/metrics", [401, 403, 403, 200]),
    ("GET", "/metrics", [401, 403, 403, 200]),
    // With a body that is sound, but whose password is wrong.
    ("PUT", "/api/v1/password", [401, 403, 403, 403]),
    ("DELETE", "/api/v1/session", [204, 204, 204, 204]),
];

fn body(path: &str) -> Option<Value> {
    path.ends_with("/password").then(|| json!({"current": "not the one", "new": "a good new password"}))
}

async fn ask(browser: &mut Browser, method: &str, path: &str) -> (u16, String) {
    if (path.ends_with("/events") || path.ends_with("/phone/calls")) && browser.open(path).await.status() == 200 {
        // The body of a success does not end.
        return (200, String::new());
    }
    let reply = browser.send(method, path, body(path)).await;
    if reply.status.as_u16() >= 400 {
        let message = reply.body["error"]["message"].as_str().unwrap_or_default();
        assert!(!message.is_empty(), "{method} {path} answers with another shape: {}", reply.text);
        assert!(!reply.code().is_empty());
    }
    (reply.status.as_u16(), reply.code().to_owned())
}

#[tokio::test]
async fn each_endpoint_lets_in_who_may_and_nobody_else() {
    for (method, path, expected) in TABLE {
        let (first, second) = (Site::new(), Site::new());
        let browsers = [first.browser("192.0.2.9"), first.user().await, first.must_change().await, second.admin().await];
        for (n, mut browser) in browsers.into_iter().enumerate() {
            let (status, code) = ask(&mut browser, method, path).await;
            assert_eq!(status, expected[n], "{method} {path} by person {n}");
            if n == 2 && status == 403 && !path.contains("/phone") && !path.ends_with("/password") {
                assert_eq!(code, "password-change-required", "{method} {path}");
            }
        }
        let told = if path.ends_with("/hangup") { vec![CallId(0x1f)] } else { vec![] };
        assert!(first.node.hung_up.lock().unwrap().is_empty(), "nobody but an administrator ends calls");
        assert_eq!(*second.node.hung_up.lock().unwrap(), told);
    }
}

#[tokio::test]
async fn a_cookie_that_is_not_a_session_is_nobody() {
    let site = Site::new();
    for cookie in ["ringfort_session=x", "ringfort_session=", "other=1", "ringfort_session=	"] {
        let mut browser = site.browser("192.0.2.9");
        browser.cookie = Some(cookie.to_owned());
        assert_eq!(browser.get("/api/v1/status").await.status, 401, "{cookie}");
    }
}

#[tokio::test]
async fn metrics_are_open_to_the_node_itself_but_not_through_a_proxy() {
    let site = Site::new();
    for (address, expected) in [("127.0.0.1", 200), ("::1", 200), ("::ffff:127.0.0.1", 200), ("192.0.2.9", 401)] {
        let reply = site.browser(address).get("/metrics").await;
        assert_eq!(reply.status, expected, "{address}");
        if expected == 200 {
            assert!(reply.text.contains("ringfort_calls 1"));
            assert!(reply.headers["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
        }
    }
    for name in ["X-Forwarded-For", "Forwarded", "Via"] {
        let mut proxy = site.browser("127.0.0.1");
        let mut request = proxy.request("GET", "/api/v1/metrics");
        request.headers_mut().insert(name, "192.0.2.9".parse().unwrap());
        assert_eq!(proxy.perform(request).await.status, 401, "{name}");
    }
    // A request whose address the node does not tell is not from the node itself.
    let mut browser = site.browser("127.0.0.1");
    let mut request = browser.request("GET", "/api/v1/metrics");
    request.extensions_mut().clear();
    assert_eq!(browser.perform(request).await.status, 401);
}

#[tokio::test]
async fn requests_that_change_something_need_the_guard() {
    let site = Site::new();
    let mut admin = site.admin().await;
    admin.guard = false;
    for (method, path) in [
        ("POST", "/api/v1/session"),
        ("DELETE", "/api/v1/session"),
        ("PUT", "/api/v1/password"),
        ("POST", "/api/v1/calls/c1f/hangup"),
        ("POST", "/api/v1/reload"),
    ] {
        let reply = admin.send(method, path, Some(json!({}))).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (403, "cross-site"), "{method} {path}");
    }
    assert!(site.node.hung_up.lock().unwrap().is_empty());
    assert_eq!(admin.get("/api/v1/status").await.status, 200, "reading needs none, and the session goes on");
}

#[tokio::test]
async fn a_timeline_names_people_unless_it_is_asked_not_to() {
    let site = Site::new();
    let mut admin = site.admin().await;
    for (query, from) in [("", "+4930123456"), ("?anonymous=false", "+4930123456"), ("?anonymous=true", "…56")] {
        let reply = admin.get(&format!("/api/v1/calls/c1f/timeline{query}")).await;
        assert_eq!((reply.status.as_u16(), &reply.body["call"]), (200, &json!("c1f")), "{query}");
        let step = &reply.body["steps"][0];
        assert_eq!((&step["what"], &step["party"], &step["details"]["from"]), (&json!("call-started"), &json!(""), &json!(from)));
    }
    for id in ["", "1f", "c2", "c1f%20"] {
        let reply = admin.get(&format!("/api/v1/calls/{id}/timeline")).await;
        assert_eq!(reply.status, 404, "{id}");
    }
}

#[tokio::test]
async fn calls_that_do_not_exist_cannot_be_ended() {
    let site = Site::new();
    let mut admin = site.admin().await;
    for id in ["c20", "31", "c", "c1f1f1f1f1f1f1f1f1f", "%00", "..%2f"] {
        let reply = admin.send("POST", &format!("/api/v1/calls/{id}/hangup"), None).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (404, "not-found"), "{id}");
    }
}

#[tokio::test]
async fn a_refused_configuration_is_told_with_its_reason() {
    let site = Site::new();
    let mut admin = site.admin().await;
    *site.node.reload.lock().unwrap() = Err("ringfort.toml line 3: unknown key".into());
    let reply = admin.send("POST", "/api/v1/reload", None).await;
    assert_eq!((reply.status.as_u16(), reply.code()), (409, "configuration-refused"));
    assert_eq!(reply.body["error"]["message"], "ringfort.toml line 3: unknown key");
}
