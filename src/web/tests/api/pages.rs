//! The pages and what every answer carries.

use crate::fixture::Site;

#[tokio::test]
async fn the_application_or_how_to_build_it_is_served_under_its_paths() {
    let site = Site::new();
    let mut browser = site.browser("192.0.2.9");
    for path in ["/", "/phone", "/admin", "/phone?dial=102"] {
        let reply = browser.get(path).await;
        assert!(reply.headers["content-type"].to_str().unwrap().starts_with("text/html"), "{path}");
        // Which of the two depends on whether the pages were built before this test.
        match reply.status.as_u16() {
            200 => {
                assert_eq!(reply.headers["cache-control"], "no-cache");
                assert!(reply.headers.contains_key("etag"));
            }
            503 => assert!(reply.text.contains("npm run build")),
            other => panic!("{path}: {other}"),
        }
    }
}

#[tokio::test]
async fn nothing_else_is_served() {
    let site = Site::new();
    let mut browser = site.browser("192.0.2.9");
    for path in [
        "/nothing",
        "/../Cargo.toml",
        "/%2e%2e/Cargo.toml",
        "//etc/passwd",
        "/.gitignore",
        "/api",
        "/api/v1",
        "/api/v1/nothing",
        "/api/v2/status",
    ] {
        let reply = browser.get(path).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (404, "not-found"), "{path}");
    }
    assert_eq!(browser.send("POST", "/", None).await.status, 405);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let site = Site::new();
    let mut browser = site.browser("192.0.2.9");
    for path in ["/", "/nothing", "/api/v1/health", "/api/v1/status", "/api/v1/nothing"] {
        let headers = browser.get(path).await.headers;
        let policy = headers["content-security-policy"].to_str().unwrap();
        for part in ["default-src 'self'", "connect-src 'self' wss:", "frame-ancestors 'none'", "object-src 'none'"] {
            assert!(policy.contains(part), "{path}: {part}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert!(headers["permissions-policy"].to_str().unwrap().contains("microphone=(self)"));
        assert!(!headers.contains_key("strict-transport-security"), "the certificate may be self-signed");
        assert!(!headers.contains_key("access-control-allow-origin"));
        if path.starts_with("/api") {
            assert_eq!(headers["cache-control"], "no-store");
        }
    }
}
