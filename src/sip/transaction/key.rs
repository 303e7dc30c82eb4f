//! How a message finds its transaction: RFC 3261 17.1.3 for responses, 17.2.3 for requests.
//!
//! A key is the octets of the fields that count, each behind its length, so that no two different lists of fields give the
//! same octets, whatever a peer writes into them. Keys are hashed with a seed from the node's entropy: a peer who chooses
//! branches cannot choose buckets.

use crate::message::{HeaderError, HeaderName, Message, Method};
use ringfort_base::Entropy;
use std::hash::{BuildHasher, DefaultHasher, Hasher};

/// Every branch made by RFC 3261 begins with it (8.1.1.7).
pub const MAGIC_COOKIE: &str = "z9hG4bK";

const NO_COOKIE: HeaderError = HeaderError::Malformed { header: HeaderName::Via, rule: "via-branch" };

/// Which space a key lives in.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Space {
    Client = 1,
    Server = 2,
    /// RFC 2543 peers: branches that are no proof of anything.
    LegacyServer = 3,
}

/// Builds keys in a buffer that is used again and again, so that looking up allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Keyring {
    buffer: Vec<u8>,
}

impl Keyring {
    /// Key of the client transaction that `message`, a request of ours or a response to one, belongs to:
    /// branch, sent-by and the CSeq method. A response with a foreign sent-by finds nothing (RFC 3261 18.1.2).
    pub fn client(&mut self, message: &Message) -> Result<&[u8], HeaderError> {
        let via = message.top_via()?;
        let branch = via.branch.filter(|b| has_cookie(b)).ok_or(NO_COOKIE)?;
        self.begin(Space::Client);
        self.field(branch.as_bytes());
        self.sent_by(via.transport, via.host, via.port);
        self.field(message.method().as_str().as_bytes());
        Ok(&self.buffer)
    }

    /// Key of the server transaction that the request belongs to. An ACK finds its INVITE. `method` replaces the request's
    /// own: a CANCEL looks for `INVITE` (RFC 3261 9.2).
    pub fn server(&mut self, request: &Message, method: &Method) -> Result<&[u8], HeaderError> {
        let via = request.top_via()?;
        let method = if *method == Method::Ack { &Method::Invite } else { method };
        match via.branch.filter(|b| has_cookie(b)) {
            Some(branch) => {
                self.begin(Space::Server);
                self.field(branch.as_bytes());
                self.sent_by(via.transport, via.host, via.port);
                self.field(method.as_str().as_bytes());
            }
            None => self.legacy(request, via.raw, method)?,
        }
        Ok(&self.buffer)
    }

    /// The key that was built last.
    pub fn last(&self) -> &[u8] {
        &self.buffer
    }

    /// RFC 2543 rule (RFC 3261 17.2.3): Request-URI, tags, Call-ID, CSeq and top Via. The To tag is left out for INVITE,
    /// because the ACK of a refusal bears the tag of the response; `receive.rs` compares that one.
    fn legacy(&mut self, request: &Message, via: &str, method: &Method) -> Result<(), HeaderError> {
        let (cseq, _) = request.cseq()?;
        let from = request.from()?;
        let to = request.to()?;
        self.begin(Space::LegacyServer);
        self.field(request.request_uri().unwrap_or_default().as_bytes());
        self.field(from.tag().unwrap_or_default().as_bytes());
        if *method != Method::Invite {
            self.field(to.tag().unwrap_or_default().as_bytes());
        }
        self.field(request.call_id()?.as_bytes());
        self.field(&cseq.to_be_bytes());
        self.field(via.as_bytes());
        self.field(method.as_str().as_bytes());
        Ok(())
    }

    fn begin(&mut self, space: Space) {
        self.buffer.clear();
        self.buffer.push(space as u8);
    }

    fn field(&mut self, octets: &[u8]) {
        // A message has at most 65,535 octets (limits::SIP_MESSAGE_MAX), so a field's length fits.
        self.buffer.extend_from_slice(&(octets.len() as u32).to_be_bytes());
        self.buffer.extend_from_slice(octets);
    }

    /// Host in lower case (names compare without case) and port, the transport's own when absent.
    fn sent_by(&mut self, transport: &str, host: &str, port: Option<u16>) {
        let begin = self.buffer.len() + size_of::<u32>();
        self.field(host.as_bytes());
        self.buffer[begin..].make_ascii_lowercase();
        let port = port.unwrap_or_else(|| default_port(transport));
        self.buffer.extend_from_slice(&port.to_be_bytes());
    }
}

/// Whether the top Via bears a branch that names the transaction alone.
pub(super) fn is_modern(message: &Message) -> bool {
    message.top_via().is_ok_and(|via| via.branch.is_some_and(has_cookie))
}

/// Whether the branch promises to be unique. The cookie alone, with nothing behind it, promises nothing.
pub(super) fn has_cookie(branch: &str) -> bool {
    // Compared as octets: a branch may hold any, so a `str` slice at 7 might cut a character.
    let (branch, cookie) = (branch.as_bytes(), MAGIC_COOKIE.as_bytes());
    branch.len() > cookie.len() && branch[..cookie.len()].eq_ignore_ascii_case(cookie)
}

/// The port that a sent-by without one means (RFC 3261 18.2.2; RFC 7118 has HTTP's for WebSocket, which no response
/// is ever sent to).
pub(super) fn default_port(transport: &str) -> u16 {
    match transport {
        t if t.eq_ignore_ascii_case("TLS") => 5061,
        t if t.eq_ignore_ascii_case("WS") => 80,
        t if t.eq_ignore_ascii_case("WSS") => 443,
        _ => 5060,
    }
}

/// SipHash with a secret prefix: std's keyed constructor is deprecated, and its random one reads the system's randomness.
#[derive(Clone)]
pub(super) struct SeededState(DefaultHasher);

impl SeededState {
    /// A new secret.
    pub fn new(entropy: &mut dyn Entropy) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(entropy.u64());
        hasher.write_u64(entropy.u64());
        SeededState(hasher)
    }
}

impl BuildHasher for SeededState {
    type Hasher = DefaultHasher;
    fn build_hasher(&self) -> DefaultHasher {
        self.0.clone()
    }
}

impl std::fmt::Debug for SeededState {
    /// Says nothing of the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SeededState")
    }
}
