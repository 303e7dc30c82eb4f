//! Sessions of signed-in people. They live in memory: a restart signs everybody out.

use crate::state::lock;
use ring::digest::{SHA256, digest};
use ringfort_base::limits::WEB_SESSIONS_MAX;
use ringfort_base::{Entropy, Time};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;
use utoipa::ToSchema;

/// A session without a request for this long has ended.
pub const SESSION_IDLE: Duration = Duration::from_secs(12 * 3600);
/// A session ends after this long however busy it is.
pub const SESSION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
pub use ringfort_base::limits::SESSIONS_PER_USER_MAX;
/// Characters of a token, of 5 bits each.
const TOKEN_CHARACTERS: usize = 48;

/// What a signed-in person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Administration.
    Admin,
    /// The own web phone.
    User,
}

/// Who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Name.
    pub user: String,
    /// What it may do.
    pub role: Role,
    /// Digest of the account's secret when the session began: a session ends when the password is replaced.
    pub fingerprint: [u8; 32],
}

/// SHA-256 of a token. The table is searched by it, so that neither a memory dump nor the time taken by the search
/// gives a token away.
type TokenDigest = [u8; 32];

#[derive(Debug)]
struct Entry {
    session: Session,
    began: Time,
    used: Time,
}

/// All sessions.
#[derive(Debug, Default)]
pub struct Sessions {
    table: Mutex<HashMap<TokenDigest, Entry>>,
}

impl Sessions {
    /// Begins a session and returns its token. When there are too many, the one unused for longest ends; an
    /// administrator's only when there are no others.
    pub fn begin(&self, now: Time, session: Session, entropy: &mut dyn Entropy) -> String {
        let token = entropy.token(TOKEN_CHARACTERS);
        let mut table = lock(&self.table);
        table.retain(|_, entry| entry.is_alive(now));
        let own = |entry: &Entry| entry.session.user == session.user && entry.session.role == session.role;
        if table.values().filter(|entry| own(entry)).count() >= SESSIONS_PER_USER_MAX {
            end_oldest(&mut table, own);
        }
        if table.len() >= WEB_SESSIONS_MAX {
            end_oldest(&mut table, |_| true);
        }
        table.insert(digest_of(token.as_bytes()), Entry { session, began: now, used: now });
        token
    }

    /// The session of a token; counts as use of it.
    pub fn find(&self, now: Time, token: &str) -> Option<Session> {
        let mut table = lock(&self.table);
        let entry = table.get_mut(&digest_of(token.as_bytes())).filter(|entry| entry.is_alive(now))?;
        entry.used = now;
        Some(entry.session.clone())
    }

    /// Whether a session goes on. A stream that is merely open does not keep it alive.
    pub fn is_alive(&self, now: Time, token: &str) -> bool {
        lock(&self.table).get(&digest_of(token.as_bytes())).is_some_and(|entry| entry.is_alive(now))
    }

    /// Ends a session.
    pub fn end(&self, token: &str) {
        lock(&self.table).remove(&digest_of(token.as_bytes()));
    }

    /// Ends all sessions of an administrator but the one of `keep`, whose fingerprint is renewed.
    pub fn end_others(&self, user: &str, keep: &str, fingerprint: [u8; 32]) {
        let keep = digest_of(keep.as_bytes());
        lock(&self.table).retain(|token, entry| {
            if *token == keep {
                entry.session.fingerprint = fingerprint;
            }
            *token == keep || entry.session.user != user || entry.session.role != Role::Admin
        });
    }

    /// Sessions in the table.
    pub fn len(&self) -> usize {
        lock(&self.table).len()
    }
    /// Whether nobody is signed in.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Entry {
    fn is_alive(&self, now: Time) -> bool {
        now.since(self.used) < SESSION_IDLE && now.since(self.began) < SESSION_MAX
    }
}

/// SHA-256.
pub fn digest_of(octets: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, octets).as_ref());
    out
}

fn end_oldest(table: &mut HashMap<TokenDigest, Entry>, among: impl Fn(&Entry) -> bool) {
    let candidates = table.iter().filter(|(_, entry)| among(entry));
    let oldest = candidates.min_by_key(|(_, entry)| (entry.session.role == Role::Admin, entry.used));
    if let Some(token) = oldest.map(|(token, _)| *token) {
        table.remove(&token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_base::entropy::Seeded;

    fn session(user: &str, role: Role) -> Session {
        Session { user: user.into(), role, fingerprint: [0; 32] }
    }

    fn hours(hours: u64) -> Time {
        Time::ZERO + Duration::from_secs(hours * 3600)
    }

    #[test]
    fn sessions_end_when_idle_and_when_old() {
        let sessions = Sessions::default();
        let token = sessions.begin(hours(0), session("a", Role::Admin), &mut Seeded::new(1));
        assert!(sessions.find(hours(11), &token).is_some());
        assert!(sessions.find(hours(22), &token).is_some());
        assert!(sessions.is_alive(hours(33), &token));
        assert!(sessions.find(hours(34), &token).is_none(), "looking does not keep it alive");
        let token = sessions.begin(hours(0), session("a", Role::Admin), &mut Seeded::new(2));
        for hour in (0..7 * 24).step_by(6) {
            assert!(sessions.find(hours(hour), &token).is_some());
        }
        assert!(sessions.find(hours(7 * 24), &token).is_none());
    }

    #[test]
    fn sessions_are_bounded_and_users_cannot_push_administrators_out() {
        let sessions = Sessions::default();
        let entropy = &mut Seeded::new(1);
        let admin = sessions.begin(hours(0), session("admin", Role::Admin), entropy);
        let first = sessions.begin(hours(1), session("user", Role::User), entropy);
        for _ in 0..SESSIONS_PER_USER_MAX {
            sessions.begin(hours(2), session("user", Role::User), entropy);
        }
        assert!(sessions.find(hours(2), &first).is_none());
        assert_eq!(sessions.len(), 1 + SESSIONS_PER_USER_MAX);
        for n in 0..2 * WEB_SESSIONS_MAX {
            sessions.begin(hours(2), session(&format!("user{n}"), Role::User), entropy);
        }
        assert_eq!(sessions.len(), WEB_SESSIONS_MAX);
        assert!(sessions.find(hours(2), &admin).is_some());
    }

    #[test]
    fn other_sessions_end_with_the_password() {
        let sessions = Sessions::default();
        let entropy = &mut Seeded::new(1);
        let here = sessions.begin(hours(0), session("admin", Role::Admin), entropy);
        let there = sessions.begin(hours(0), session("admin", Role::Admin), entropy);
        let phone = sessions.begin(hours(0), session("admin", Role::User), entropy);
        sessions.end_others("admin", &here, [1; 32]);
        assert_eq!(sessions.find(hours(0), &here).unwrap().fingerprint, [1; 32]);
        assert!(sessions.find(hours(0), &there).is_none());
        assert!(sessions.find(hours(0), &phone).is_some(), "another account of the same name");
        sessions.end(&here);
        assert!(sessions.find(hours(0), &here).is_none());
    }
}
