//! Local digest authentication (RFC 3261 22, RFC 8760): challenges with SHA-256 and MD5, nonces that need no memory until
//! a right answer used them, replay refused by the nonce count.

use crate::config::{Account, DigestName, Direction};
use crate::context::Context;
use ringfort_base::{Event, Hop, Wall, limits};
use ringfort_sip::digest::{Algorithm, Challenge, Credentials};
use ringfort_sip::message::{HeaderName, Message};
use ringfort_sip::uri::Uri;
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

/// Digits of a nonce that tell when it was issued, milliseconds since 1970.
const TOLD_TIME: usize = 12;
/// The same with those of its number.
const TOLD: usize = TOLD_TIME + 8;

/// What credentials would be worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreseen {
    /// None were sent for this realm.
    Nothing,
    /// They are of another challenge, or too old.
    Stale,
    /// They prove this account, unless their nonce count was used.
    Right(String),
    /// Wrong for this user name; why.
    Wrong(String, &'static str),
}

/// Requests that come in one such window have a challenge that is good from its end on, so that repeats have the same.
const STATELESS_WINDOW_MS: u64 = 32_000;

/// Nonces and their counters.
pub struct Authenticator {
    key: [u8; 32],
    /// Nonces issued so far: no two are the same, though many are of one millisecond.
    issued: u32,
    used: HashMap<String, u32>,
    order: VecDeque<String>,
    /// Nonces issued until then may have been forgotten: one that is not remembered is stale.
    forgotten: Option<Wall>,
}

impl Authenticator {
    /// With a fresh key: nonces of an earlier process are stale.
    pub fn new(key: [u8; 32]) -> Authenticator {
        Authenticator { key, issued: 0, used: HashMap::new(), order: VecDeque::new(), forgotten: None }
    }

    /// A nonce tells its own time and number under a keyed hash, so that challenges cost no memory.
    fn nonce(&mut self, issued: Wall) -> String {
        self.issued = self.issued.wrapping_add(1);
        let told = format!("{:0TOLD_TIME$x}{:08x}", issued.0, self.issued);
        let seal = self.seal(&told);
        told + &seal
    }

    fn seal(&self, told: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(told);
        hash.update(self.key);
        hex(hash.finalize().into_iter().take(12))
    }

    fn age(&self, nonce: &str, now: Wall) -> Option<Duration> {
        let issued = issued(nonce)?;
        let (told, seal) = nonce.split_at_checked(TOLD)?;
        let sealed = seal == self.seal(told);
        sealed.then(|| now.left(issued))
    }

    /// Challenges for one realm, the stronger algorithm first (RFC 8760 2.4) unless the profile of who sent `request` says otherwise.
    pub fn challenges(&mut self, cx: &Context, stale: bool, hop: &Hop, request: &Message) -> Vec<String> {
        let nonce = self.nonce(cx.now.wall);
        challenges_with(cx, &nonce, stale, hop, request)
    }

    /// The same for a request that is answered without a transaction: within half a minute its repeats have the same challenge.
    pub fn stateless_challenges(&self, cx: &Context, hop: &Hop, message: &Message, stale: bool) -> Vec<String> {
        let window = Wall((cx.now.wall.0 / STATELESS_WINDOW_MS + 1) * STATELESS_WINDOW_MS);
        let via = message.header(HeaderName::Via).unwrap_or_default();
        let serial = self.seal(&format!("{} {via}", hop.remote));
        let told = format!("{:0TOLD_TIME$x}{}", window.0, serial.get(..TOLD - TOLD_TIME).unwrap_or_default());
        let nonce = format!("{told}{}", self.seal(&told));
        challenges_with(cx, &nonce, stale, hop, message)
    }

    /// What the credentials in `message` are worth. Nothing is counted and nothing remembered.
    pub fn foresee(&self, cx: &Context, message: &Message, header: HeaderName, hop: &Hop) -> Foreseen {
        let realm = &cx.snapshot.node.domain;
        let parsed = message.headers(header).filter_map(|value| Credentials::parse(value).ok());
        let Some(credentials) = parsed.into_iter().find(|c| c.realm == *realm) else { return Foreseen::Nothing };
        match self.is_right(cx, message, &credentials, hop) {
            Ok(account) => Foreseen::Right(account.user.clone()),
            Err(Refusal::Wrong(reason)) => Foreseen::Wrong(credentials.username, reason),
            Err(_) => Foreseen::Stale,
        }
    }

    /// The account that `message` is from, by its credentials in `header`.
    pub fn check(&mut self, cx: &mut Context, message: &Message, header: HeaderName, hop: &Hop) -> Result<Account, Refusal> {
        let realm = cx.snapshot.node.domain.clone();
        let credentials = message
            .headers(header)
            .filter_map(|value| Credentials::parse(value).ok())
            .find(|c| c.realm == realm)
            .ok_or(Refusal::Missing)?;
        let verdict = self.verify(cx, message, &credentials, hop);
        if let Ok(account) = &verdict {
            cx.prove(hop, &account.user);
        }
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

    fn verify(&mut self, cx: &Context, message: &Message, credentials: &Credentials, hop: &Hop) -> Result<Account, Refusal> {
        let account = self.is_right(cx, message, credentials, hop)?.clone();
        self.count(credentials)?;
        Ok(account)
    }

    /// Whether the nonce is ours and fresh, and the response right; whether the count was used is not asked.
    fn is_right<'a>(
        &self,
        cx: &'a Context,
        message: &Message,
        credentials: &Credentials,
        hop: &Hop,
    ) -> Result<&'a Account, Refusal> {
        let limit = Duration::from_secs(cx.snapshot.sip.nonce_s.into());
        match self.age(&credentials.nonce, cx.now.wall) {
            None => return Err(Refusal::Stale("unknown-nonce")),
            Some(age) if age > limit => return Err(Refusal::Stale("stale-nonce")),
            Some(_) => {}
        }
        if !is_about_request(cx, message, &credentials.uri, hop) {
            return Err(Refusal::Wrong("other-uri"));
        }
        let account = cx.snapshot.accounts.get(&credentials.username).ok_or(Refusal::Wrong("unknown-user"))?;
        if !account.ha1.verify(credentials, message.method().as_str()) {
            return Err(Refusal::Wrong("bad-response"));
        }
        Ok(account)
    }

    /// Each nonce count is good once, and they rise (RFC 7616 3.4). Without qop the response does not cover the count, whatever is
    /// written there, and the nonce is good once.
    fn count(&mut self, credentials: &Credentials) -> Result<(), Refusal> {
        let count = credentials.nonce_count().filter(|_| credentials.qop_auth).unwrap_or(1);
        if let Some(last) = self.used.get_mut(&credentials.nonce) {
            if count <= *last {
                return Err(Refusal::Stale("replayed-nc"));
            }
            *last = count;
            return Ok(());
        }
        if self.forgotten.is_some_and(|until| issued(&credentials.nonce).is_none_or(|at| at <= until)) {
            return Err(Refusal::Stale("forgotten-nonce"));
        }
        if self.order.len() >= limits::NONCES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.used.remove(&oldest);
            self.forgotten = self.forgotten.max(issued(&oldest));
        }
        self.used.insert(credentials.nonce.clone(), count);
        self.order.push_back(credentials.nonce.clone());
        Ok(())
    }
}

/// Lower case hexadecimal.
pub(crate) fn hex(octets: impl Iterator<Item = u8>) -> String {
    octets.flat_map(|octet| [octet >> 4, octet & 15]).filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// Whether the `uri` that credentials cover means what the request is for (RFC 7616 3.4.6): an answer that was given for one callee is
/// not one for another. Proxies and agents write it otherwise than the Request-URI (RFC 3261 22.4), so hosts and parameters may differ,
/// and a `uri` without user part names the server. Where rules rewrote the Request-URI there is nothing left to compare.
fn is_about_request(cx: &Context, request: &Message, uri: &str, hop: &Hop) -> bool {
    let asked = request.request_uri().unwrap_or_default();
    if uri == asked || cx.profile_at(hop, Some(request)).has_rules(Direction::Receive) {
        return true;
    }
    let (Ok(uri), Ok(asked)) = (Uri::parse(uri), Uri::parse(asked)) else { return false };
    let to = request.to().ok().and_then(|to| Uri::parse(to.uri).ok());
    let is_user = |of: &Uri| uri.user_unescaped() == of.user_unescaped();
    uri.user.is_none() || is_user(&asked) || to.as_ref().is_some_and(is_user)
}

fn challenges_with(cx: &Context, nonce: &str, stale: bool, hop: &Hop, request: &Message) -> Vec<String> {
    let realm = &cx.snapshot.node.domain;
    let algorithms = cx.profile_at(hop, Some(request)).digest.iter().map(|name| match name {
        DigestName::Sha256 => Algorithm::Sha256,
        DigestName::Md5 => Algorithm::Md5,
    });
    algorithms
        .map(|algorithm| {
            Challenge { realm: realm.clone(), nonce: nonce.to_string(), opaque: None, algorithm, qop_auth: true, stale }
                .to_string()
        })
        .collect()
}

/// When a nonce says that it was issued.
fn issued(nonce: &str) -> Option<Wall> {
    Some(Wall(u64::from_str_radix(nonce.get(..TOLD_TIME)?, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(nonce: &str, qop: &str) -> Credentials {
        let text = format!("Digest username=\"101\", realm=\"r\", nonce=\"{nonce}\", uri=\"sip:r\", response=\"00\"{qop}");
        Credentials::parse(&text).expect("credentials")
    }

    fn counted(nc: u32) -> String {
        format!(", qop=auth, cnonce=\"c\", nc={nc:08x}")
    }

    #[test]
    fn no_two_challenges_bear_one_nonce() {
        let mut auth = Authenticator::new([7; 32]);
        let (one, two) = (auth.nonce(Wall(1_000)), auth.nonce(Wall(1_000)));
        assert_ne!(one, two);
        assert_eq!(auth.age(&one, Wall(1_500)), Some(Duration::from_millis(500)));
        let forged = one.replacen("3e8", "3e9", 1);
        assert_eq!(
            [auth.age(&forged, Wall(1_500)), auth.age("", Wall(0)), auth.age("é0000000000000000000é", Wall(0))],
            [None; 3]
        );
    }

    #[test]
    fn a_nonce_count_is_good_once_and_rises() {
        let mut auth = Authenticator::new([7; 32]);
        let nonce = auth.nonce(Wall(1_000));
        let mut count = |nc| auth.count(&credentials(&nonce, &counted(nc)));
        assert_eq!([count(9), count(10)], [Ok(()), Ok(())]);
        assert_eq!([count(10), count(9)], [Err(Refusal::Stale("replayed-nc")); 2]);
    }

    /// The response of RFC 2069 covers no count: whoever overheard it could write another one each time.
    #[test]
    fn without_qop_a_nonce_is_good_once_whatever_count_is_written() {
        let mut auth = Authenticator::new([7; 32]);
        let nonce = auth.nonce(Wall(1_000));
        let mut count = |qop: &str| auth.count(&credentials(&nonce, qop));
        assert_eq!(count(""), Ok(()));
        assert_eq!(count(", nc=00000002"), Err(Refusal::Stale("replayed-nc")));
    }

    #[test]
    fn a_nonce_that_had_to_be_forgotten_is_stale() {
        let mut auth = Authenticator::new([7; 32]);
        let nonces: Vec<_> = (0..=limits::NONCES_MAX as u64).map(|ms| auth.nonce(Wall(ms))).collect();
        for nonce in &nonces {
            assert_eq!(auth.count(&credentials(nonce, &counted(1))), Ok(()));
        }
        assert_eq!(auth.count(&credentials(&nonces[0], &counted(1))), Err(Refusal::Stale("forgotten-nonce")));
        assert_eq!(auth.count(&credentials(&nonces[1], &counted(2))), Ok(()));
    }
}
