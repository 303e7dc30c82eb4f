//! One request of a source: whether it goes on, is dropped, or is answered here without being remembered.

use super::bucket::Rate;
use super::{Kind, Shield, Standing, agents};
use crate::ALLOW;
use crate::auth::{Authenticator, Foreseen};
use crate::context::Context;
use crate::overload::{self, Stage};
use ringfort_base::event::Mode;
use ringfort_base::{Event, Hop, SourceNet, limits};
use ringfort_sip::message::{HeaderName, Message, Method};
use ringfort_sip::uri::Uri;
use std::time::Duration;

/// A source that goes on for so long although it is over its rate is banned.
const OVER_MAX: Duration = Duration::from_secs(10);
/// The same for so many messages.
const OVER_COUNT_MAX: u32 = 2_000;
/// Messages under a scanner's name before its source is banned.
const SCANS_MAX: u32 = 3;
/// Wrong answers for one account from anywhere that are looked at: a burst, then one each interval.
const ACCOUNT_GUESSES: (Duration, u32) = (Duration::from_secs(10), 20);
/// What a banned source may still ask, to prove itself.
const PENANCE: (Duration, u32) = (Duration::from_secs(5), 2);

/// A request as it came.
pub(crate) struct Request<'a> {
    pub hop: Hop,
    pub message: &'a Message,
    pub mode: Mode,
}

impl Request<'_> {
    fn user_of(&self, name: HeaderName) -> Option<String> {
        let address = match name {
            HeaderName::From => self.message.from(),
            _ => self.message.to(),
        };
        let uri = Uri::parse(address.ok()?.uri).ok()?;
        Some(uri.user_unescaped()?.chars().take(64).collect())
    }

    fn credentials(&self) -> HeaderName {
        if self.message.method() == Method::Register { HeaderName::Authorization } else { HeaderName::ProxyAuthorization }
    }
}

impl Shield {
    /// Who sends it. Peers and dialogs are the caller's to know.
    pub fn standing(&mut self, cx: &Context, request: &Request<'_>) -> Standing {
        if !cx.snapshot.shield.enabled || self.known.is_device(&request.hop) {
            return Standing::Known;
        }
        let source = SourceNet::of(request.hop.remote.ip());
        if !self.known.harbours(source) {
            return Standing::Unknown;
        }
        let kind = Kind::of(&request.message.method());
        let rate = kind.rate(&cx.snapshot.shield, 1);
        let user = request.user_of(HeaderName::From).unwrap_or_default();
        let familiar = self.known.familiar(source, &user).is_some_and(|bucket| bucket.take(cx.now.mono, rate));
        if familiar { Standing::Familiar } else { Standing::Unknown }
    }

    /// Whether a source may send one more message that breaks a rule, and have it answered.
    pub fn tolerates_malformed(&mut self, cx: &mut Context, hop: &Hop) -> bool {
        if !cx.snapshot.shield.enabled || self.known.is_device(hop) {
            return true;
        }
        let passed = cx.overload < Stage::Busy && self.toll(cx, hop, Kind::Malformed);
        cx.totals.dropped_unknown += u64::from(!passed);
        passed
    }

    /// Judges a sound request. True: it goes on to its transaction. False: it was dropped, or answered here.
    pub fn judge(&mut self, cx: &mut Context, auth: &Authenticator, standing: Standing, request: &Request<'_>) -> bool {
        if standing != Standing::Unknown {
            return self.sheds(cx, request);
        }
        let passed = cx.overload < Stage::Busy && self.is_heard(cx, auth, request);
        if !passed {
            cx.totals.dropped_unknown += 1;
            return false;
        }
        // What was let in before has the answer of its transaction, and no other one.
        cx.transactions.is_repeat(request.message) || self.answer(cx, auth, request)
    }

    /// What known devices are refused when the node is behind: first what is no call, last REGISTER. True: it goes on.
    fn sheds(&mut self, cx: &mut Context, request: &Request<'_>) -> bool {
        let inside = request.message.to().is_ok_and(|to| to.tag().is_some());
        let refused_from = match request.message.method() {
            Method::Options => Stage::Overloaded,
            Method::Subscribe | Method::Publish | Method::Message if !inside => Stage::Overloaded,
            Method::Register => Stage::Severe,
            _ => return true,
        };
        if cx.overload < refused_from {
            return true;
        }
        let wait = overload::retry_after_s(cx.entropy.u64()).to_string();
        cx.transactions.reply_statelessly(request.hop, request.message, 503, &[(HeaderName::RetryAfter, wait)]);
        false
    }

    /// Whether the request of an unknown source is listened to.
    fn is_heard(&mut self, cx: &mut Context, auth: &Authenticator, request: &Request<'_>) -> bool {
        let source = SourceNet::of(request.hop.remote.ip());
        if request.message.header(HeaderName::UserAgent).is_some_and(agents::is_scanner) {
            return self.scanned(cx, source);
        }
        if self.bans.holds(source) {
            return self.does_penance(cx, auth, source, request);
        }
        self.toll(cx, &request.hop, Kind::of(&request.message.method())) && !self.is_dictionary(cx, source, request)
    }

    fn scanned(&mut self, cx: &mut Context, source: SourceNet) -> bool {
        let scans = self.sources.at(source, cx.now.mono).map_or(0, |entry| {
            entry.scans = entry.scans.saturating_add(1);
            entry.scans
        });
        if scans >= SCANS_MAX {
            self.ban(cx, source, "scanner");
        }
        false
    }

    /// A banned source may ask to be challenged, and answer; nothing else, and not often.
    fn does_penance(&mut self, cx: &mut Context, auth: &Authenticator, source: SourceNet, request: &Request<'_>) -> bool {
        let (interval, burst) = PENANCE;
        let now = cx.now.mono;
        let patient = self.sources.at(source, now).is_some_and(|e| e.penance.take(now, Rate::one_each(interval, burst)));
        let local = request.mode != Mode::Normal || request.message.method() != Method::Register;
        let asks = matches!(request.message.method(), Method::Register | Method::Invite);
        patient
            && local
            && asks
            && !matches!(auth.foresee(cx, request.message, request.credentials(), &request.hop), Foreseen::Wrong(..))
    }

    /// Takes a token of the source and one of its listener. False: there is none, and the source may be banned for it.
    fn toll(&mut self, cx: &mut Context, hop: &Hop, kind: Kind) -> bool {
        let (source, now) = (SourceNet::of(hop.remote.ip()), cx.now.mono);
        if kind == Kind::Malformed && self.bans.holds(source) {
            return false;
        }
        let section = &cx.snapshot.shield;
        let (own, all) = (kind.rate(section, 1), kind.rate(section, section.listener_factor));
        let Some(entry) = self.sources.at(source, now) else { return false };
        let within = entry.buckets.get_mut(kind as usize).is_some_and(|bucket| bucket.take(now, own));
        if within {
            return self.listener(hop).and_then(|buckets| buckets.get_mut(kind as usize)).is_some_and(|b| b.take(now, all));
        }
        let (time, count) = entry.is_over(now);
        if time >= OVER_MAX || count >= OVER_COUNT_MAX {
            self.ban(cx, source, "flood");
        }
        false
    }

    fn listener(&mut self, hop: &Hop) -> Option<&mut [super::Bucket; Kind::COUNT]> {
        let key = (hop.transport, hop.local);
        let place = self.listeners.iter().position(|(name, _)| *name == key);
        let place = match place {
            Some(place) => place,
            None if self.listeners.len() < limits::SHIELD_LISTENERS_MAX => {
                self.listeners.push((key, Default::default()));
                self.listeners.len() - 1
            }
            None => 0,
        };
        self.listeners.get_mut(place).map(|(_, buckets)| buckets)
    }

    /// Whether a source names one address of record after another and proves itself for none.
    fn is_dictionary(&mut self, cx: &mut Context, source: SourceNet, request: &Request<'_>) -> bool {
        let Some(user) = request.user_of(HeaderName::To) else { return false };
        let hash = self.sources.hash(user.as_bytes());
        let named = self.sources.at(source, cx.now.mono).map_or(0, |entry| entry.names(hash));
        let many = named > cx.snapshot.shield.accounts_max && !self.known.harbours(source);
        if many {
            self.ban(cx, source, "dictionary");
        }
        many
    }

    /// Answers what an unknown source asks, without remembering it. True: the request bears the right digest, or only the cloud knows
    /// whether it does, and goes on.
    fn answer(&mut self, cx: &mut Context, auth: &Authenticator, request: &Request<'_>) -> bool {
        let message = request.message;
        let inside = message.to().is_ok_and(|to| to.tag().is_some());
        let mut reply = |status, headers: &[(HeaderName, String)]| {
            cx.transactions.reply_statelessly(request.hop, message, status, headers);
            false
        };
        match message.method() {
            // Nothing is kept for them: an ACK ends nothing here, and the transaction layer answers a CANCEL that fits nothing.
            Method::Ack | Method::Cancel => true,
            _ if inside => reply(481, &[]),
            Method::Bye | Method::Notify | Method::Info | Method::Prack | Method::Update => reply(481, &[]),
            Method::Options => reply(200, &[(HeaderName::Allow, ALLOW.into()), (HeaderName::Accept, crate::ACCEPT.into())]),
            Method::Register if request.mode == Mode::Normal => {
                message.header(HeaderName::Authorization).is_none() || self.may_guess(cx, request, None)
            }
            _ => self.challenge(cx, auth, request),
        }
    }

    fn challenge(&mut self, cx: &mut Context, auth: &Authenticator, request: &Request<'_>) -> bool {
        let stale = match auth.foresee(cx, request.message, request.credentials(), &request.hop) {
            Foreseen::Right(user) => return self.is_first_try(cx, request, &user),
            Foreseen::Nothing => false,
            Foreseen::Stale => true,
            Foreseen::Wrong(user, reason) => {
                if !self.may_guess(cx, request, Some(&user)) {
                    return false;
                }
                cx.totals.auth_failures += 1;
                let source = request.hop.remote.into();
                cx.event(Event::AuthFailed { user: user.into(), source, reason: reason.into() });
                false
            }
        };
        let (status, name) = match request.message.method() {
            Method::Register => (401, HeaderName::WwwAuthenticate),
            _ => (407, HeaderName::ProxyAuthenticate),
        };
        let challenges = auth.stateless_challenges(cx, &request.hop, request.message, stale).into_iter();
        let headers: Vec<_> = challenges.map(|challenge| (name, challenge)).collect();
        cx.transactions.reply_statelessly(request.hop, request.message, status, &headers);
        false
    }

    /// The answer is right. From a source that guessed wrong before it counts only while its account is not being guessed at: so
    /// nobody is locked out for what others do, and many sources together learn little.
    fn is_first_try(&mut self, cx: &mut Context, request: &Request<'_>, user: &str) -> bool {
        let source = SourceNet::of(request.hop.remote.ip());
        let guesses = self.sources.at(source, cx.now.mono).map_or(0, |entry| entry.guesses);
        guesses == 0 || self.account_has_room(cx, user)
    }

    /// A wrong answer, or one that only the cloud can judge. False: there were too many; the request is dropped.
    fn may_guess(&mut self, cx: &mut Context, request: &Request<'_>, user: Option<&str>) -> bool {
        let source = SourceNet::of(request.hop.remote.ip());
        let guesses = self.sources.at(source, cx.now.mono).map_or(0, |entry| {
            entry.guesses = entry.guesses.saturating_add(1);
            entry.guesses
        });
        if guesses > cx.snapshot.shield.guesses_max {
            self.ban(cx, source, "guessing");
        }
        guesses <= cx.snapshot.shield.guesses_max && user.is_none_or(|user| self.account_has_room(cx, user))
    }

    fn account_has_room(&mut self, cx: &Context, user: &str) -> bool {
        let place = self.sources.hash(user.as_bytes()) as usize % limits::SHIELD_ACCOUNTS_MAX;
        let (interval, burst) = ACCOUNT_GUESSES;
        let rate = Rate::one_each(interval, burst);
        self.accounts.get_mut(place).is_none_or(|bucket| bucket.take(cx.now.mono, rate))
    }

    /// Bans a source, unless somebody proved himself behind it: then it is only slowed.
    fn ban(&mut self, cx: &mut Context, source: SourceNet, reason: &'static str) {
        if self.known.harbours(source) {
            return;
        }
        let (min, max) = (cx.snapshot.shield.ban_min_s, cx.snapshot.shield.ban_max_s);
        let Some(entry) = self.sources.at(source, cx.now.mono) else { return };
        let seconds = min.saturating_mul(1 << entry.strikes.min(16)).min(max);
        entry.strikes += 1;
        self.bans.begin(cx, source, reason, Duration::from_secs(seconds.into()));
        self.arm(cx);
    }
}
