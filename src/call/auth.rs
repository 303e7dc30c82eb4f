//! Local digest authentication (RFC 3261 22, RFC 8760): challenges with SHA-256 and MD5, nonces that need no memory until
//! a right answer used them, replay refused by the nonce count.

use crate::config::Account;
use crate::context::Context;
use ringfort_base::{Event, Hop, Wall, limits};
use ringfort_sip::digest::{Algorithm, Challenge, Credentials};
use ringfort_sip::message::{HeaderName, Message};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Why credentials were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// None were sent for this realm: challenge.
    Missing,
    /// The nonce is too old, or its counter was used: challenge with stale=true.
    Stale(&'static str),
    /// Wrong; challenge again, and count it.
    Wrong(&'static str),
}

/// Nonces and their counters.
pub struct Authenticator {
    key: [u8; 32],
    used: HashMap<String, u32>,
    order: VecDeque<String>,
}

impl Authenticator {
    /// With a fresh key: nonces of an earlier process are stale.
    pub fn new(key: [u8; 32]) -> Authenticator {
        Authenticator { key, used: HashMap::new(), order: VecDeque::new() }
    }

    /// A nonce tells its own time under a keyed hash, so that challenges cost no memory.
    fn nonce(&self, issued: Wall) -> String {
        format!("{:012x}{}", issued.0, self.seal(issued))
    }

    fn seal(&self, issued: Wall) -> String {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(issued.0.to_be_bytes());
        hash.update(self.key);
        hash.finalize()[..12].iter().map(|b| format!("{b:02x}")).collect()
    }

    fn age(&self, nonce: &str, now: Wall) -> Option<Duration> {
        let issued = Wall(u64::from_str_radix(nonce.get(..12)?, 16).ok()?);
        let sealed = nonce.get(12..)? == self.seal(issued);
        sealed.then(|| now.left(issued))
    }

    /// Challenges for one realm, the stronger algorithm first (RFC 8760 2.4).
    pub fn challenges(&self, cx: &Context, stale: bool) -> Vec<String> {
        let nonce = self.nonce(cx.now.wall);
        [Algorithm::Sha256, Algorithm::Md5]
            .map(|algorithm| {
                let realm = cx.snapshot.node.domain.clone();
                Challenge { realm, nonce: nonce.clone(), opaque: None, algorithm, qop_auth: true, stale }.to_string()
            })
            .to_vec()
    }

    /// The account that `message` is from, by its credentials in `header`.
    pub fn check(&mut self, cx: &mut Context, message: &Message, header: HeaderName, hop: &Hop) -> Result<Account, Refusal> {
        let realm = cx.snapshot.node.domain.clone();
        let credentials = message
            .headers(header)
            .filter_map(|value| Credentials::parse(value).ok())
            .find(|c| c.realm == realm)
            .ok_or(Refusal::Missing)?;
        let verdict = self.verify(cx, message, &credentials);
        if let Err(Refusal::Wrong(reason) | Refusal::Stale(reason)) = &verdict {
            cx.totals.auth_failures += 1;
            cx.event(Event::AuthFailed {
                user: credentials.username.clone().into(),
                source: hop.remote.into(),
                reason: (*reason).into(),
            });
        }
        verdict
    }

    fn verify(&mut self, cx: &Context, message: &Message, credentials: &Credentials) -> Result<Account, Refusal> {
        let limit = Duration::from_secs(cx.snapshot.sip.nonce_s.into());
        match self.age(&credentials.nonce, cx.now.wall) {
            None => return Err(Refusal::Stale("unknown-nonce")),
            Some(age) if age > limit => return Err(Refusal::Stale("stale-nonce")),
            Some(_) => {}
        }
        let account = cx.snapshot.accounts.get(&credentials.username).ok_or(Refusal::Wrong("unknown-user"))?;
        if !account.ha1.verify(credentials, message.method().as_str()) {
            return Err(Refusal::Wrong("bad-response"));
        }
        self.count(credentials)?;
        Ok(account.clone())
    }

    /// Each nonce count is good once, and they rise (RFC 7616 3.4). Without qop there is none, and the nonce is good once.
    fn count(&mut self, credentials: &Credentials) -> Result<(), Refusal> {
        let count = credentials.nonce_count().unwrap_or(1);
        if let Some(last) = self.used.get_mut(&credentials.nonce) {
            if count <= *last {
                return Err(Refusal::Stale("replayed-nc"));
            }
            *last = count;
            return Ok(());
        }
        if self.order.len() >= limits::NONCES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.used.remove(&oldest);
        }
        self.used.insert(credentials.nonce.clone(), count);
        self.order.push_back(credentials.nonce.clone());
        Ok(())
    }
}
