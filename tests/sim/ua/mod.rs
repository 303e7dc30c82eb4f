//! A minimal user agent of the simulator's own: transactions, dialogs and calls of one address. Deliberately not the product's
//! layers, so that a misunderstanding of the protocol shows on the wire. [`crate::phone`] and [`crate::trunk`] give it a temper.

mod client;
mod early;
mod inside;
mod server;
mod session;
mod watch;

pub use session::Session;

use crate::wire::{Secret, Wire};
use ringfort_base::Time;
use ringfort_base::entropy::Seeded;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// RFC 3261 17.1.1.1.
const T1: Duration = Duration::from_millis(500);
/// Timers B, F, H: 64*T1.
const GIVE_UP: Duration = Duration::from_secs(32);

/// A call's number within its user agent.
pub type CallNo = usize;

/// What a request was sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// First INVITE of a call.
    Invite(CallNo),
    /// INVITE within a call.
    Reinvite(CallNo),
    /// BYE.
    Bye(CallNo),
    /// UPDATE within a call.
    Update(CallNo),
    /// PRACK, CANCEL, OPTIONS and what else changes nothing.
    Other,
    /// REGISTER.
    Register,
}

/// What the user agent tells its owner.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A request of ours was answered; provisional responses only of INVITEs.
    Answered(Purpose, Wire),
    /// A request of ours was not answered at all.
    Unanswered(Purpose),
    /// A call comes in; the owner rings, answers or rejects.
    Incoming(CallNo),
    /// The caller took it back; the INVITE still waits for its final response.
    Cancelled(CallNo),
    /// A re-INVITE came; the owner answers.
    Reinvited(CallNo),
    /// A request outside any call.
    Request(Wire),
    /// The call has a session that runs out; the owner looks after it.
    Session(CallNo),
    /// REFER: the owner reports how it goes.
    Referred(CallNo, Wire),
    /// A transfer that we asked for ended with this status.
    Transferred(CallNo, u16),
    /// A timer of the owner's.
    Due(u64),
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// INVITE sent or received.
    Early,
    /// 2xx sent or received.
    Confirmed,
    /// Refused, cancelled or released.
    Over,
}

/// How a confirmed call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The node sent BYE.
    Released,
    /// Our BYE was answered so; 0: not at all.
    Bye(u16),
}

/// One call as this peer sees it.
#[derive(Debug)]
pub struct Call {
    /// We called.
    pub outgoing: bool,
    /// How far.
    pub state: State,
    /// The INVITE as sent or received, with the latest credentials.
    pub invite: Wire,
    /// Our tag, the other's.
    pub local_tag: String,
    /// Empty until known.
    pub remote_tag: String,
    remote_target: String,
    local_cseq: u32,
    remote_cseq: u32,
    /// Key of the INVITE that waits for our final response, first or re-INVITE.
    pub waiting: Option<String>,
    /// Our ACK, repeated when the 2xx is.
    ack: Option<(u32, Wire)>,
    /// Our own INVITE or re-INVITE is out.
    pub pending: bool,
    /// The audio direction we last offered.
    pub direction: &'static str,
    /// When and how it ended, if it was confirmed.
    pub end: Option<(Time, End)>,
    /// The node sent BYE, be it after ours.
    pub released: bool,
    /// When the 2xx passed.
    pub confirmed: Option<Time>,
    /// Final statuses of the first INVITE's transactions.
    pub finals: Vec<u16>,
    /// Digest was answered.
    pub proven: bool,
    /// Who refreshes the session, how often.
    pub session: Option<Session>,
    /// Tags of dialogs whose offer, made by the node, is answered already.
    answered: BTreeSet<String>,
    /// The last RSeq of each early dialog that we acknowledged.
    reliable_seen: BTreeMap<String, u32>,
    /// Our reliable provisional response that waits for its PRACK.
    reliable: Option<Reliable>,
    sdp_version: u32,
}

/// A reliable provisional response (RFC 3262).
#[derive(Clone, Debug)]
struct Reliable {
    response: Wire,
    rseq: u32,
    interval: Duration,
    since: Time,
    /// It carries our offer, so that the PRACK carries the answer.
    offers: bool,
}

/// Chances of 1000: which extensions a call of this user agent uses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Habits {
    /// Reliable provisional responses, either side.
    pub reliable: u64,
    /// Session timers, either side.
    pub timer: u64,
    /// An INVITE without offer.
    pub empty: u64,
    /// Takes and sends UPDATE.
    pub update: bool,
    /// Another early dialog, as of a proxy behind us that forks.
    pub branches: u64,
    /// Seconds of a session, about; no chance.
    pub session_s: u64,
    /// Seconds of a subscription, about; no chance.
    pub watch_s: u64,
}

struct Client {
    wire: Wire,
    purpose: Purpose,
    interval: Duration,
    provisional: bool,
    last: Option<(u16, String)>,
    ack: Option<Wire>,
    cancel: bool,
}

struct Server {
    wire: Wire,
    response: Option<Wire>,
    acked: bool,
    interval: Duration,
    since: Time,
    call: Option<CallNo>,
}

enum Timer {
    Reliable(CallNo, u32),
    Resend(String),
    Expire(String),
    Repeat(String),
    Forget(String),
    Owner(u64),
}

/// The user agent.
pub struct Ua {
    /// Word in everything that must not be told to others.
    pub word: &'static str,
    /// User part.
    pub user: String,
    /// Own address.
    pub address: SocketAddr,
    /// Speaks over a connection.
    pub tcp: bool,
    /// Tells of itself which device it is, and uses the GRUUs that it gets for that (RFC 5627).
    pub instance: Option<String>,
    /// The GRUU of its registration.
    pub gruu: Option<String>,
    domain: String,
    /// Randomness.
    pub dice: Seeded,
    serial: u64,
    clients: BTreeMap<String, Client>,
    servers: BTreeMap<String, Server>,
    timers: BTreeMap<(Time, u64), Timer>,
    /// Every call there was.
    pub calls: Vec<Call>,
    /// Datagrams to be sent.
    pub outbox: VecDeque<Vec<u8>>,
    /// What happened.
    pub notices: VecDeque<Notice>,
    /// Rules that the node broke.
    pub complaints: Vec<String>,
    /// Answers challenges of REGISTER and INVITE.
    pub secret: Option<Secret>,
    /// What its calls use.
    pub habits: Habits,
    /// Methods of requests that were never answered.
    pub ignored: Vec<String>,
    /// 2xx that nobody acknowledged.
    pub unacknowledged: u32,
    register: (String, u32),
    /// Call-IDs of its subscriptions.
    watching: Vec<String>,
}

impl Ua {
    /// A user agent at `address` that sends everything to `node`.
    pub fn new(word: &'static str, user: &str, address: SocketAddr, domain: &str, seed: u64) -> Ua {
        let mut dice = Seeded::new(seed ^ u64::from(address.port()) << 32 ^ word.bytes().fold(7, |h, b| h * 31 + u64::from(b)));
        let register = (format!("reg-{word}-{}@{}", dice.below(1 << 40), address.ip()), 0);
        Ua {
            word,
            user: user.into(),
            address,
            tcp: false,
            instance: None,
            gruu: None,
            domain: domain.into(),
            dice,
            serial: 0,
            clients: BTreeMap::new(),
            servers: BTreeMap::new(),
            timers: BTreeMap::new(),
            calls: Vec::new(),
            outbox: VecDeque::new(),
            notices: VecDeque::new(),
            complaints: Vec::new(),
            secret: None,
            habits: Habits::default(),
            ignored: Vec::new(),
            unacknowledged: 0,
            register,
            watching: Vec::new(),
        }
    }

    /// A name nobody else uses.
    fn unique(&mut self, prefix: &str) -> String {
        self.serial += 1;
        format!("{prefix}-{}-{}-{:x}", self.word, self.serial, self.dice.below(1 << 32))
    }

    /// Domain of its address of record.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Where we are.
    pub fn place(&self) -> String {
        format!("sip:{}@{}{}", self.user, self.address, if self.tcp { ";transport=tcp" } else { "" })
    }

    /// Our Contact in dialogs: the GRUU, if we have one.
    pub fn contact(&self) -> String {
        format!("<{}>", self.gruu.clone().unwrap_or_else(|| self.place()))
    }

    /// What a granted REGISTER says of our GRUU.
    pub fn learn_gruu(&mut self, wire: &Wire) {
        let name = if self.dice.chance(500) { "pub-gruu=\"" } else { "temp-gruu=\"" };
        let gruu = self.listed(wire).and_then(|value| value.split_once(name)?.1.split('"').next());
        self.gruu = gruu.filter(|_| self.instance.is_some()).map(str::to_string);
    }

    /// Our Contact as a granted REGISTER lists it.
    fn listed<'a>(&self, wire: &'a Wire) -> Option<&'a str> {
        let place = format!("<{}>", self.place());
        wire.all("Contact").into_iter().find(|value| value.contains(&place))
    }

    /// How long a REGISTER was granted, seconds.
    pub fn granted_s(&self, wire: &Wire) -> Option<u64> {
        self.listed(wire)?.split_once(";expires=")?.1.split(';').next()?.trim().parse().ok()
    }

    /// Our description, with everything in it that has to be hidden.
    pub fn sdp(&self, version: u32, direction: &str) -> String {
        let (ip, word) = (self.address.ip(), self.word);
        format!(
            "v=0\r\no={word} 77 {version} IN IP4 {ip}\r\ns={word}\r\nc=IN IP4 {ip}\r\nt=0 0\r\na=tool:{word}\r\n\
             m=audio 40000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
             a=rtpmap:101 telephone-event/8000\r\na=rtcp:40001 IN IP4 {ip}\r\na={direction}\r\n"
        )
    }

    /// Sets a timer that comes back as [`Notice::Due`].
    pub fn wake(&mut self, at: Time, token: u64) {
        self.timer(at, Timer::Owner(token));
    }

    fn timer(&mut self, at: Time, timer: Timer) {
        self.serial += 1;
        self.timers.insert((at, self.serial), timer);
    }

    /// When [`Ua::fire`] wants to be called.
    pub fn next(&self) -> Time {
        self.timers.keys().next().map_or(Time::NEVER, |(at, _)| *at)
    }

    /// Fires what is due.
    pub fn fire(&mut self, now: Time) {
        while let Some(entry) = self.timers.first_entry().filter(|e| e.key().0 <= now) {
            match entry.remove() {
                Timer::Reliable(no, rseq) => self.ring_again(now, no, rseq),
                Timer::Resend(key) => self.resend(now, key),
                Timer::Expire(key) => self.expire(key),
                Timer::Repeat(key) => self.repeat(now, key),
                Timer::Forget(key) => drop(self.servers.remove(&key)),
                Timer::Owner(token) => self.notices.push_back(Notice::Due(token)),
            }
        }
    }

    /// Forgets what its owner has in mind.
    pub fn die_timers(&mut self) {
        self.timers.retain(|_, timer| !matches!(timer, Timer::Owner(_)));
    }

    /// Forgets everything, as a process that dies.
    pub fn die(&mut self) {
        self.clients.clear();
        self.servers.clear();
        self.timers.clear();
        self.calls.clear();
        self.gruu = None;
        self.notices.clear();
    }

    /// Calls that are not over.
    pub fn alive(&self) -> impl Iterator<Item = CallNo> {
        (0..self.calls.len()).filter(|no| self.calls[*no].state != State::Over)
    }
}

impl Call {
    fn new(outgoing: bool, invite: Wire, local_tag: String, remote_tag: String) -> Call {
        Call {
            outgoing,
            state: State::Early,
            remote_target: invite.uri().into(),
            local_cseq: if outgoing { invite.cseq() } else { 0 },
            invite,
            local_tag,
            remote_tag,
            remote_cseq: 0,
            waiting: None,
            ack: None,
            pending: false,
            direction: "sendrecv",
            end: None,
            released: false,
            confirmed: None,
            finals: Vec::new(),
            proven: false,
            session: None,
            answered: BTreeSet::new(),
            reliable_seen: BTreeMap::new(),
            reliable: None,
            sdp_version: 1,
        }
    }
}

/// The direction that answers an offered one (RFC 3264 6.1).
pub fn mirror(offered: &str) -> &'static str {
    match offered {
        "sendonly" => "recvonly",
        "recvonly" => "sendonly",
        "inactive" => "inactive",
        _ => "sendrecv",
    }
}
