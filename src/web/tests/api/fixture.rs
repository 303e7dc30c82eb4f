//! A node that is not there, and a browser for it.

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use ringfort_base::entropy::Seeded;
use ringfort_base::event::{CallRecord, LegQuality, MissingAudio, Mode, RecordingNote};
use ringfort_base::{CallId, Now, Pii, SourceNet, Time, Transport, Wall};
use ringfort_call::status::{
    AlarmStatus, BanStatus, CallStatus, LimitStatus, PeerStatus, RegistrationStatus, SeatStatus, Status, Totals,
};
use ringfort_web::model::{StepView, TimelineView};
use ringfort_web::{Admins, Backend, Hasher, PhoneAccount, WebOptions, WebState, router};
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::ServiceExt;

pub const ADMIN_PASSWORD: &str = "a password of the admin";
pub const USER_PASSWORD: &str = "secret-of-101";

/// The source that the fake node bans.
pub fn banned() -> SourceNet {
    SourceNet::of([198, 51, 100, 66].into())
}

/// What the fake node knows.
pub struct FakeNode {
    pub status: Mutex<Arc<Status>>,
    pub accounts: Mutex<Vec<(&'static str, &'static str)>>,
    pub hung_up: Mutex<Vec<CallId>>,
    pub reload: Mutex<Result<(), String>>,
}

impl Backend for FakeNode {
    fn status(&self) -> Arc<Status> {
        self.status.lock().unwrap().clone()
    }
    fn uptime_s(&self) -> u64 {
        42
    }
    fn version(&self) -> String {
        "0.1.0".into()
    }
    fn phone_account(&self, user: &str) -> Option<PhoneAccount> {
        let accounts = self.accounts.lock().unwrap();
        let (name, password) = accounts.iter().find(|(name, _)| *name == user)?;
        Some(PhoneAccount {
            uri: format!("sip:{name}@example.com"),
            realm: "example.com".into(),
            username: (*name).into(),
            display_name: format!("Phone {name}"),
            ha1_md5: format!("ha1 of {password}"),
            ws_path: "/sip".into(),
            conference: "*6".into(),
        })
    }
    fn verify_user_password(&self, user: &str, password: &str) -> bool {
        self.accounts.lock().unwrap().contains(&(user, password))
    }
    fn timeline(&self, call: CallId, anonymous: bool) -> Option<TimelineView> {
        let from = if anonymous { "…56" } else { "+4930123456" };
        let details = [("from".to_owned(), from.to_owned())].into();
        let step = StepView { at: 1_000, party: String::new(), what: "call-started".into(), details };
        (call == CallId(0x1f)).then(|| TimelineView { call: call.to_string(), ended: false, left_out: 0, steps: vec![step] })
    }
    fn unban(&self, source: SourceNet) -> bool {
        source == banned()
    }

    fn hang_up(&self, call: CallId) -> bool {
        self.hung_up.lock().unwrap().push(call);
        call == CallId(0x1f)
    }
    fn reload(&self) -> Result<(), String> {
        self.reload.lock().unwrap().clone()
    }
    fn metrics(&self) -> String {
        "ringfort_calls 1\n".into()
    }
}

/// A node, its clock and its router.
pub struct Site {
    pub node: Arc<FakeNode>,
    pub router: Router,
    clock_us: Arc<AtomicU64>,
    pub one_time_password: String,
    _dir: tempfile::TempDir,
}

impl Site {
    /// A node at its first start: `admin` has a one-time password; the phone accounts `101` and `admin` exist.
    pub fn new() -> Site {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admins.json");
        let hasher = Hasher::for_tests().unwrap();
        let (admins, first) = Admins::open(path, hasher, &mut Seeded::new(1)).unwrap();
        let node = Arc::new(FakeNode {
            status: Mutex::new(Arc::new(status())),
            accounts: Mutex::new(vec![("101", USER_PASSWORD), ("admin", USER_PASSWORD)]),
            hung_up: Mutex::default(),
            reload: Mutex::new(Ok(())),
        });
        let clock_us = Arc::new(AtomicU64::new(1));
        let reader = clock_us.clone();
        let clock = Arc::new(move || {
            let us = reader.load(Ordering::Relaxed);
            Now { mono: Time::from_micros(us), wall: Wall(us / 1_000) }
        });
        let options = WebOptions { admins, clock, entropy: Box::new(Seeded::new(2)), hsts: false };
        let router = router(WebState::new(node.clone(), options));
        let one_time_password = first.unwrap().password.to_string();
        Site { node, router, clock_us, one_time_password, _dir: dir }
    }

    /// A browser that has not signed in, at an address of its own.
    pub fn browser(&self, address: &str) -> Browser {
        Browser { router: self.router.clone(), address: address.parse().unwrap(), cookie: None, guard: true }
    }

    /// A browser in which the administrator has signed in and changed the one-time password, once for this site.
    pub async fn admin(&self) -> Browser {
        let mut browser = self.must_change().await;
        let change = json!({"current": self.one_time_password, "new": ADMIN_PASSWORD});
        let reply = browser.send("PUT", "/api/v1/password", Some(change)).await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT, "{:?}", reply.body);
        browser
    }

    /// A browser in which the administrator has signed in with the one-time password.
    pub async fn must_change(&self) -> Browser {
        let mut browser = self.browser("192.0.2.1");
        assert_eq!(browser.sign_in("admin", &self.one_time_password).await.status, StatusCode::OK);
        browser
    }

    /// A browser in which the phone user has signed in.
    pub async fn user(&self) -> Browser {
        let mut browser = self.browser("192.0.2.2");
        assert_eq!(browser.sign_in("101", USER_PASSWORD).await.status, StatusCode::OK);
        browser
    }

    pub fn advance(&self, duration: Duration) {
        self.clock_us.fetch_add(duration.as_micros() as u64, Ordering::Relaxed);
    }
}

/// Keeps a cookie and sends the guard header, as the pages do.
#[derive(Clone)]
pub struct Browser {
    router: Router,
    address: IpAddr,
    pub cookie: Option<String>,
    pub guard: bool,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    /// `Null` when the body is not JSON.
    pub body: Value,
}

impl Reply {
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

impl Browser {
    pub async fn get(&mut self, path: &str) -> Reply {
        self.send("GET", path, None).await
    }

    pub async fn sign_in(&mut self, user: &str, password: &str) -> Reply {
        self.send("POST", "/api/v1/session", Some(json!({"user": user, "password": password}))).await
    }

    pub async fn send(&mut self, method: &str, path: &str, body: Option<Value>) -> Reply {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
            *request.body_mut() = Body::from(body.to_string());
        }
        self.perform(request).await
    }

    pub fn request(&self, method: &str, path: &str) -> Request<Body> {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        if self.guard {
            request = request.header("X-Ringfort", "1");
        }
        let peer = ConnectInfo(SocketAddr::new(self.address, 40_000));
        request.extension(peer).body(Body::empty()).unwrap()
    }

    pub async fn perform(&mut self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        if let Some(cookie) = parts.headers.get(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            self.cookie = (!pair.ends_with('=')).then(|| pair.to_owned());
        }
        let octets = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(octets.to_vec()).unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Reply { status: parts.status, headers: parts.headers, text, body }
    }

    /// The raw response, for streams.
    pub async fn open(&self, path: &str) -> axum::response::Response {
        self.router.clone().oneshot(self.request("GET", path)).await.unwrap()
    }
}

/// A status in which every optional value is there.
pub fn status() -> Status {
    let peer = PeerStatus {
        name: "cloud".into(),
        address: "pbx.example.com:5061".into(),
        transport: Transport::Tls,
        up: true,
        since: Wall(1),
        reason: "answered OPTIONS".into(),
        round_trip_ms: Some(12),
        calls: 1,
    };
    Status {
        node: "site-1".into(),
        mode: Mode::Normal,
        mode_since: Wall(1),
        mode_reason: "the cloud answers".into(),
        cloud: Some(peer.clone()),
        trunks: vec![PeerStatus { name: "carrier".into(), ..peer }],
        registrations: vec![registration(0)],
        calls: vec![call(0x1f)],
        recent: vec![record()],
        alarms: vec![AlarmStatus { name: "kernel eth0".into(), reason: "refused".into(), since: Wall(5) }],
        bans: vec![BanStatus { source: banned().into(), reason: "scanner".into(), until: Wall(3_000) }],
        limits: vec![limit()],
        seats: Vec::new(),
        subscriptions: 3,
        totals: Totals { calls: 2, ..Totals::default() },
    }
}

fn limit() -> LimitStatus {
    LimitStatus {
        holder: "node".into(),
        calls: 1,
        calls_max: 240,
        per_second_max: 50,
        peak: 2,
        kbit: 174,
        kbit_max: 0,
        refused: 3,
        measured: vec!["calls_max".into()],
    }
}

/// An answered call of a client of `user`.
pub fn seat(user: &str, call: u64) -> SeatStatus {
    SeatStatus {
        user: Pii::new(user.into()),
        call: CallId(call),
        call_id: Pii::new(format!("dialog-{call}")),
        node_tag: "node".into(),
        client_tag: "client".into(),
        outgoing: true,
        peer: Pii::new("+4930123456".into()),
        peer_name: Pii::new("Ada".into()),
        held: false,
        answered: Wall(2_000),
    }
}

pub fn registration(n: u64) -> RegistrationStatus {
    RegistrationStatus {
        aor: Pii::new(format!("1{n:02}@example.com")),
        transport: Transport::Wss,
        source: Pii::new("198.51.100.7:5060".into()),
        user_agent: "Phone/1.0".into(),
        expires: Wall(300_000),
        by_cloud: false,
    }
}

pub fn call(id: u64) -> CallStatus {
    CallStatus {
        call: CallId(id),
        from: Pii::new("101".into()),
        to: Pii::new("+4930123456".into()),
        state: "connected".into(),
        route: "outbound".into(),
        target: "trunk:carrier".into(),
        started: Wall(1_000),
        answered: Some(Wall(2_000)),
        media: ["dtls-srtp".into(), "rtp".into()],
        packets: [100, 99],
        quality: [quality(); 2],
        tier: ["kernel".into(), "sockets".into()],
        tier_program: ["xdp".into(), String::new()],
        tier_cause: [String::new(), "secure".into()],
        tier_reason: [String::new(), "SRTP begins or ends here".into()],
        missing: [Some(missing()), Some(missing())],
        recording: "by main".into(),
    }
}

fn quality() -> LegQuality {
    LegQuality { lost: 3, jitter_max_us: 2_500, round_trip_us: Some(40_000), missed: 1, mos: Some(4.31), mos_told: Some(4.2) }
}

fn missing() -> MissingAudio {
    MissingAudio { cause: "other-source".into(), detail: Pii::new("locked on 192.0.2.1:4000".into()), seconds: 12 }
}

fn record() -> CallRecord {
    CallRecord {
        call: CallId(u64::MAX),
        from: Pii::new("101".into()),
        to: Pii::new("102".into()),
        route: "internal".into(),
        mode: Mode::Normal,
        source: "account:101".into(),
        started: Wall(1),
        answered: Some(Wall(2)),
        ended: Wall(3),
        status: 200,
        cause: "normal".into(),
        reroutes: 0,
        packets: [1, 2],
        quality: Box::new([quality(); 2]),
        missing: Box::new([Some(missing()), Some(missing())]),
        recordings: vec![RecordingNote {
            recorder: "main".into(),
            began: Some(Wall(2)),
            ended: Wall(3),
            cause: "call-ended".into(),
        }],
    }
}
