//! One registration: which REGISTER is out, which challenge was answered, and when the next one is due.

use crate::config::{RegisterSection, TrunkSection};
use crate::context::{Context, Owner};
use crate::peers::{PeerName, Peers};
use crate::wake::Wake;
use ringfort_base::{Event, FlowId, Hop, Time, Transport, limits};
use ringfort_sip::digest::{Challenge, Ha1};
use ringfort_sip::message::{Contacts, HeaderName, Message, NameAddr};
use ringfort_sip::originate::{Origin, RegisterCredentials};
use ringfort_sip::transaction::TransactionId;
use ringfort_sip::uri::{Host, Uri};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

/// The trunk's address is not known yet: looked for again after this time.
const ADDRESS_AWAITED: Duration = Duration::from_secs(1);
/// The longest registration that is asked for, whatever a registrar wants at least.
const EXPIRES_MAX_S: u32 = 86_400;

/// Kind of the journal's entries.
pub const KEPT: &str = "trunk";

/// What stays of a registration when the process ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// The trunk's name.
    pub trunk: String,
    /// Whose registration.
    aor: String,
    call_id: String,
    cseq: u32,
}

/// An answer to a REGISTER.
pub struct Answer<'a> {
    /// Of which one.
    pub id: TransactionId,
    /// How it came.
    pub hop: Hop,
    /// The answer.
    pub response: &'a Message,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Client {
    /// The trunk's name.
    pub trunk: String,
    /// In words, for the page.
    pub state: String,
    section: RegisterSection,
    contact_user: Option<String>,
    host: Host,
    port: Option<u16>,
    /// What a registrar knows the registration by: the next process goes on with it.
    kept: Kept,
    /// The connection that holds it.
    flow: Option<FlowId>,
    expires_s: u32,
    /// The challenge in use, whether a proxy gave it, and how often it was answered.
    challenge: Option<(Challenge, bool, u32)>,
    pending: Option<Pending>,
    failures: u32,
    /// When the next REGISTER is due.
    due: Time,
}

/// A REGISTER that is out.
#[derive(Clone, Copy, Debug)]
struct Pending {
    id: TransactionId,
    hop: Hop,
    /// It answered a challenge.
    with_credentials: bool,
    /// It asked for as long as the registrar wants at least.
    raised: bool,
}

impl Client {
    pub fn new(cx: &mut Context, trunk: &TrunkSection, section: &RegisterSection, kept: Option<Kept>) -> Client {
        let (host, port) = trunk.named();
        let aor = Uri::sip(Some(&section.user), host.clone(), port).to_string();
        let known = kept.filter(|kept| kept.aor == aor);
        Client {
            trunk: trunk.name.clone(),
            state: "not registered yet".into(),
            section: section.clone(),
            contact_user: trunk.contact_user().map(str::to_string),
            host,
            port,
            kept: known.unwrap_or_else(|| Kept { trunk: trunk.name.clone(), aor, call_id: cx.entropy.token(20), cseq: 0 }),
            flow: None,
            expires_s: section.expires_s,
            challenge: None,
            pending: None,
            failures: 0,
            due: cx.now.mono,
        }
    }

    /// Whether it registers what this section says.
    pub fn is_for(&self, trunk: &TrunkSection, section: &RegisterSection) -> bool {
        let same_place = (self.host.clone(), self.port) == trunk.named() && self.contact_user.as_deref() == trunk.contact_user();
        self.trunk == trunk.name && same_place && self.section == *section
    }

    /// Forgets the REGISTER that is out; yields when the next one is due.
    pub fn abandon(&mut self, cx: &mut Context) -> Time {
        if let Some(pending) = self.pending.take() {
            cx.owners.remove(&pending.id);
            self.due = cx.now.mono;
        }
        self.due
    }

    pub fn woken(&mut self, cx: &mut Context, peers: &mut Peers, index: usize) {
        match self.pending.take() {
            Some(pending) => {
                cx.owners.remove(&pending.id);
                self.unanswered(cx, peers, index, pending.hop);
            }
            None => self.register(cx, peers, index, false),
        }
    }

    pub fn failed(&mut self, cx: &mut Context, peers: &mut Peers, index: usize, id: TransactionId) {
        if let Some(pending) = self.pending.take_if(|pending| pending.id == id) {
            self.unanswered(cx, peers, index, pending.hop);
        }
    }

    /// RFC 3263 4.3: another server of the trunk at once; without one the registration backs off.
    fn unanswered(&mut self, cx: &mut Context, peers: &mut Peers, index: usize, hop: Hop) {
        let name = PeerName::Trunk(self.trunk.clone());
        peers.server_failed(cx, &name, hop, None, "REGISTER unanswered");
        let other = peers.find(&name).is_some_and(|peer| peer.next_server(&[hop]).is_some());
        match other {
            true => self.register(cx, peers, index, false),
            false => self.back_off(cx, index, "no answer", None),
        }
    }

    /// Sends a REGISTER to the trunk's server in use.
    fn register(&mut self, cx: &mut Context, peers: &Peers, index: usize, raised: bool) {
        let peer = peers.find(&PeerName::Trunk(self.trunk.clone()));
        let Some((hop, peer)) = peer.and_then(|peer| Some((peer.hop()?, peer))) else {
            return self.wait(cx, index, ADDRESS_AWAITED);
        };
        self.count_up(cx);
        let registrar = Uri::sip(None, self.host.clone(), self.port);
        let aor = Uri::sip(Some(&self.section.user), self.host.clone(), None);
        let own = cx.own.address(&hop);
        let contact = self.contact(own, hop.transport);
        let credentials = self.challenge.as_mut().map(|(challenge, proxy, count)| {
            *count += 1;
            let ha1 = Ha1::new(self.section.auth_user(), &challenge.realm, self.section.password.as_str());
            let uri = registrar.to_string();
            (challenge.answer(self.section.auth_user(), &ha1, "REGISTER", &uri, &cx.entropy.token(16), *count), *proxy)
        });
        let answer = credentials.as_ref().map(|(own, proxy)| match proxy {
            true => RegisterCredentials::Proxy(own),
            false => RegisterCredentials::Server(own),
        });
        let (branch, tag) = (cx.branch(), cx.tag());
        let octets = Origin {
            target: &registrar,
            from: &aor,
            to: &aor,
            contact: Some(&contact),
            routes: peer.way().proxy(),
            tag: &tag,
            call_id: &self.kept.call_id,
            cseq: self.kept.cseq,
            transport: hop.transport,
            sent_by: own,
            branch: &branch,
            user_agent: crate::PRODUCT,
        }
        .register(self.expires_s, answer);
        match cx.request(hop, octets, Some(Owner::TrunkRegistration(index))) {
            Some(id) => {
                self.pending = Some(Pending { id, hop, with_credentials: credentials.is_some(), raised });
                self.wait(cx, index, limits::TRUNK_REGISTER_PATIENCE);
            }
            None => self.back_off(cx, index, "too many transactions", None),
        }
    }

    /// The contact that is registered: one for the user, or one for all numbers of the account (RFC 6140 5.2).
    fn contact(&self, own: SocketAddr, transport: Transport) -> Uri {
        let user = self.contact_user.as_deref().filter(|_| !self.section.bulk);
        let contact = Uri::sip(user, own.ip().into(), Some(own.port()));
        let contact = contact.with_param("transport", Some(transport.uri_token()));
        if self.section.bulk { contact.with_param("bnc", None) } else { contact }
    }

    /// The next number, which no later process uses again (RFC 3261 10.2: Call-ID stays, CSeq grows).
    fn count_up(&mut self, cx: &mut Context) {
        self.kept.cseq += 1;
        cx.persist(format!("{KEPT}/{}", self.trunk), crate::kept::write(&self.kept));
    }

    /// The connection that held the registration broke: nobody can call by it, so another one is made.
    pub fn flow_closed(&mut self, cx: &mut Context, peers: &mut Peers, index: usize, flow: FlowId) {
        if self.flow.take_if(|held| *held == flow).is_none() {
            return;
        }
        peers.registered(&PeerName::Trunk(self.trunk.clone()), None, Vec::new());
        if self.pending.is_none() {
            self.state = "not registered: the connection broke".into();
            let wait = limits::TRUNK_REGISTER_FLOW_WAIT.mul_f64(0.5 + cx.entropy.u64() as f64 / u64::MAX as f64 / 2.0);
            self.wait(cx, index, wait);
        }
    }

    pub fn answered(&mut self, cx: &mut Context, peers: &mut Peers, index: usize, answer: Answer<'_>) {
        let Answer { id, hop, response } = answer;
        let status = response.status().unwrap_or(500);
        if status < 200 {
            return;
        }
        let Some(pending) = self.pending.take_if(|pending| pending.id == id) else { return };
        match status {
            200..=299 => {
                let service = response.values(HeaderName::ServiceRoute).filter(|value| NameAddr::parse(value).is_ok());
                let service = service.take(limits::PATH_VALUES_MAX).map(str::to_string).collect();
                peers.registered(&PeerName::Trunk(self.trunk.clone()), Some(hop), service);
                self.flow = hop.flow;
                self.granted(cx, index, response);
            }
            401 | 407 => self.challenged(cx, peers, index, &pending, status == 407, response),
            423 if !pending.raised => match min_expires(response) {
                Some(least) if least > self.expires_s && least <= EXPIRES_MAX_S => {
                    self.expires_s = least;
                    self.register(cx, peers, index, true);
                }
                _ => self.back_off(cx, index, "answered 423", None),
            },
            503 => {
                let again = retry_after(response);
                peers.server_failed(cx, &PeerName::Trunk(self.trunk.clone()), pending.hop, again, "REGISTER answered 503");
                self.back_off(cx, index, "answered 503", again);
            }
            // RFC 3261 21.4.4: the same would be refused again. A redirection (3xx) is not followed: credentials go where the
            // configuration says and nowhere else.
            300..=399 | 403 | 404 => {
                self.back_off(cx, index, &format!("answered {status}"), Some(limits::TRUNK_REGISTER_WAIT_MAX))
            }
            _ => self.back_off(cx, index, &format!("answered {status}"), None),
        }
    }

    /// The registrar took it: refreshed at four fifths of the time, less some chance so that many nodes spread.
    fn granted(&mut self, cx: &mut Context, index: usize, response: &Message) {
        let granted = granted_s(response, self.contact_user.as_deref().filter(|_| !self.section.bulk))
            .unwrap_or(self.expires_s)
            .clamp(1, EXPIRES_MAX_S);
        if self.failures > 0 || !self.state.starts_with("registered") {
            self.tell(cx, "registered");
        }
        self.failures = 0;
        let until = cx.now.wall.plus(Duration::from_secs(granted.into()));
        self.state = format!("registered until {}", until.rfc3339());
        let wait = Duration::from_secs(granted.into()) * 4 / 5;
        let chance = wait.mul_f64(cx.entropy.u64() as f64 / u64::MAX as f64 / 10.0);
        self.wait(cx, index, (wait - chance).max(Duration::from_secs(1)));
    }

    /// Answers a challenge once; a second one only when it says that the nonce alone was too old (RFC 7616 3.3).
    fn challenged(&mut self, cx: &mut Context, peers: &Peers, index: usize, pending: &Pending, proxy: bool, response: &Message) {
        let name = if proxy { HeaderName::ProxyAuthenticate } else { HeaderName::WwwAuthenticate };
        let Some(challenge) = Challenge::choose(response.headers(name)) else {
            return self.back_off(cx, index, "a challenge that cannot be answered", Some(limits::TRUNK_REGISTER_WAIT_MAX));
        };
        // A refresh answers the nonce it knows; a new one without `stale` is a registrar that does not write it.
        let fresh = self
            .challenge
            .as_ref()
            .is_none_or(|(known, _, count)| known.nonce != challenge.nonce && (challenge.stale || *count > 1));
        if pending.with_credentials && !fresh {
            self.challenge = None;
            return self.back_off(cx, index, "name or password refused", Some(limits::TRUNK_REGISTER_WAIT_MAX));
        }
        self.challenge = Some((challenge, proxy, 0));
        self.register(cx, peers, index, pending.raised);
    }

    /// RFC 5626 4.5: the wait doubles from one failure to the next; between half and all of it, by chance.
    fn back_off(&mut self, cx: &mut Context, index: usize, why: &str, least: Option<Duration>) {
        let doubled = limits::TRUNK_REGISTER_WAIT.saturating_mul(1 << self.failures.min(10));
        let most = doubled.max(least.unwrap_or_default()).min(limits::TRUNK_REGISTER_WAIT_MAX);
        let wait = most.mul_f64(0.5 + cx.entropy.u64() as f64 / u64::MAX as f64 / 2.0);
        self.failures = self.failures.saturating_add(1);
        self.state = format!("not registered: {why}");
        if self.failures == 1 {
            let state = self.state.clone();
            self.tell(cx, &state);
        }
        self.wait(cx, index, wait);
    }

    fn tell(&self, cx: &mut Context, state: &str) {
        let up = state == "registered";
        cx.event(Event::PeerState { peer: format!("trunk:{} registration", self.trunk), up, reason: state.to_string() });
    }

    fn wait(&mut self, cx: &mut Context, index: usize, time: Duration) {
        self.due = cx.now.mono + time;
        cx.timers.set(Wake::RegisterTrunk(index), self.due);
    }
}

/// Seconds granted: of our contact, else of the whole answer. Other contacts of the account are another matter.
fn granted_s(response: &Message, user: Option<&str>) -> Option<u32> {
    let of_contact = match response.contacts() {
        Ok(Contacts::List(list)) => {
            let is_ours = |uri: Uri| user.map_or(uri.param("bnc").is_some(), |user| uri.user_is(user));
            let ours = |uri: &str| Uri::parse(uri).is_ok_and(is_ours);
            list.iter().filter(|contact| ours(contact.uri)).filter_map(|contact| contact.expires()).min()
        }
        _ => None,
    };
    of_contact.or_else(|| response.expires().ok().flatten())
}

fn min_expires(response: &Message) -> Option<u32> {
    response.header(HeaderName::MinExpires)?.trim().parse().ok()
}

/// How long a refusal wants to be left alone (RFC 3261 20.33).
pub fn retry_after(response: &Message) -> Option<Duration> {
    let digits = response.header(HeaderName::RetryAfter)?.trim().split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().map(Duration::from_secs)
}
