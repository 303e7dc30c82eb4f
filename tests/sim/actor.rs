//! A peer with a temper: a phone or a trunk. It registers, calls, answers, rejects, holds and hangs up as its dice say.

use crate::ua::{CallNo, Habits, Notice, Purpose, State, Ua};
use crate::wire::Wire;
use ringfort_base::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// How a peer behaves. Chances are of 1000.
#[derive(Clone, Debug)]
pub struct Temper {
    /// Rings so long before it answers, milliseconds.
    pub answer_ms: (u64, u64),
    /// Talks so long, milliseconds.
    pub talk_ms: (u64, u64),
    /// Time between two calls of its own, milliseconds; 0: never calls.
    pub dial_ms: u64,
    /// What it dials: whole Request-URIs.
    pub dials: Vec<String>,
    /// Cancels when nobody answered for so long, milliseconds.
    pub patience_ms: u64,
    /// Time between two requests that are no calls, milliseconds; 0: never sends any.
    pub speak_ms: u64,
    /// Refuses at once.
    pub reject: u64,
    /// Rings and never answers.
    pub deaf: u64,
    /// Does not even say 100.
    pub mute: u64,
    /// Sends early media.
    pub early: u64,
    /// Answers although it was cancelled.
    pub late: u64,
    /// Answers twice, as a proxy that forked.
    pub fork: u64,
    /// Changes the call while it talks: hold, resume, or an INVITE without offer.
    pub change: u64,
    /// Time between two changes, milliseconds.
    pub change_ms: (u64, u64),
    /// Hangs up on the next full ten seconds, as others may at the same moment.
    pub sharp: u64,
    /// Changes the call on the next full second, as others may at the same moment.
    pub glare: u64,
    /// Of its changes these are UPDATEs.
    pub update: u64,
    /// Says something within a call that changes nothing, instead of a change.
    pub tell: u64,
    /// Transfers the other party instead of a change.
    pub refer: u64,
    /// A carrier that wants credentials with each INVITE.
    pub challenge: u64,
    /// Takes an INVITE or re-INVITE back soon after it was sent.
    pub fickle: u64,
}

impl Temper {
    /// Answers at once, talks until told otherwise, never does anything by itself.
    pub const CALM: Temper = Temper {
        answer_ms: (10, 10),
        talk_ms: (86_400_000, 86_400_000),
        dial_ms: 0,
        dials: Vec::new(),
        patience_ms: 60_000,
        speak_ms: 0,
        reject: 0,
        deaf: 0,
        mute: 0,
        early: 0,
        late: 0,
        fork: 0,
        change: 0,
        change_ms: (500, 8_000),
        sharp: 0,
        glare: 0,
        update: 0,
        tell: 0,
        refer: 0,
        challenge: 0,
        fickle: 0,
    };

    /// The same peer when little happens: long calls, few changes.
    pub fn at_night(&self) -> Temper {
        let rarely = |ms: u64, pause: u64| if ms > 0 { pause } else { 0 };
        Temper {
            talk_ms: (60_000, 4 * 3_600_000),
            dial_ms: rarely(self.dial_ms, 4 * 3_600_000),
            speak_ms: rarely(self.speak_ms, 3_600_000),
            change_ms: (60_000, 3_600_000),
            ..self.clone()
        }
    }
}

/// What a peer has in mind.
#[derive(Clone, Copy, Debug)]
enum Errand {
    Dial,
    Speak,
    Register,
    Answer(CallNo),
    AnswerChange(CallNo),
    GiveUp(CallNo),
    Abandon(CallNo),
    Change(CallNo),
    Session(CallNo),
    Report(CallNo, u16),
    HangUp(CallNo),
}

/// A peer.
pub struct Actor {
    /// Its signalling.
    pub ua: Ua,
    /// Its behaviour.
    pub temper: Temper,
    /// Starts nothing new.
    pub quiet: bool,
    /// Seconds of its registrations; 0: it registers nowhere.
    pub expires_s: u32,
    /// Lost its connection, or forgot its calls, at least once.
    pub harmed: bool,
    /// The last REGISTER was granted.
    pub registered: bool,
    /// Final answers to REGISTER, counted.
    pub register_answers: BTreeMap<u16, u32>,
    errands: BTreeMap<u64, Errand>,
    /// REFERs that the node sent, by call.
    referrals: BTreeMap<CallNo, Wire>,
    /// Sessions that ran out although the node was to refresh them.
    pub expired: u32,
    nonce: Option<(String, u32)>,
}

impl Actor {
    /// A peer that begins at once.
    pub fn new(mut ua: Ua, temper: Temper, expires_s: u32) -> Actor {
        let start = Time::from_millis(ua.dice.below(1_500));
        let mut actor = Actor {
            ua,
            temper,
            quiet: false,
            expires_s,
            harmed: false,
            registered: false,
            register_answers: BTreeMap::new(),
            errands: BTreeMap::new(),
            referrals: BTreeMap::new(),
            expired: 0,
            nonce: None,
        };
        if expires_s > 0 {
            actor.plan(start, Errand::Register);
        }
        if actor.temper.dial_ms > 0 {
            actor.plan(start + Duration::from_secs(3), Errand::Dial);
        }
        if actor.temper.speak_ms > 0 {
            actor.plan(start + Duration::from_secs(4), Errand::Speak);
        }
        actor
    }

    fn plan(&mut self, at: Time, errand: Errand) {
        let token = self.errands.keys().next_back().map_or(0, |last| last + 1);
        self.errands.insert(token, errand);
        self.ua.wake(at, token);
    }

    fn within(&mut self, (from, to): (u64, u64)) -> Duration {
        Duration::from_millis(from + self.ua.dice.below(to - from + 1))
    }

    /// Acts on everything that happened; what is left is for the owner.
    pub fn act(&mut self, now: Time) -> Vec<Wire> {
        let mut left = Vec::new();
        while let Some(notice) = self.ua.notices.pop_front() {
            match notice {
                Notice::Incoming(no) => self.incoming(now, no),
                Notice::Cancelled(no) => self.cancelled(now, no),
                Notice::Reinvited(no) => self.reinvited(now, no),
                Notice::Answered(purpose, wire) => self.answered(now, purpose, &wire),
                Notice::Unanswered(Purpose::Register) => self.plan(now + Duration::from_secs(5), Errand::Register),
                Notice::Unanswered(_) => {}
                Notice::Session(no) => self.watch_session(no),
                Notice::Referred(no, wire) => {
                    self.referrals.insert(no, wire);
                    self.plan(now, Errand::Report(no, 100));
                    let pause = self.within((500, 5_000));
                    let status = if self.ua.dice.chance(600) { 200 } else { 486 };
                    self.plan(now + pause, Errand::Report(no, status));
                }
                Notice::Transferred(no, status) => {
                    if (200..300).contains(&status) && self.ua.dice.chance(500) {
                        self.ua.bye(now, no);
                    }
                }
                Notice::Request(wire) if wire.method() == "REGISTER" && self.temper.challenge > 0 => {
                    let reply = self.registrar(&wire);
                    self.ua.answer_request(now, &wire, reply);
                }
                Notice::Request(wire) if wire.method() == "OPTIONS" => {
                    let reply = wire.reply(200, "options");
                    self.ua.answer_request(now, &wire, reply);
                }
                Notice::Request(wire) if matches!(wire.method(), "MESSAGE" | "NOTIFY") => {
                    let status = if self.ua.dice.chance(self.temper.reject) { 486 } else { 200 };
                    self.ua.answer_request(now, &wire, wire.reply(status, "spoken"));
                }
                Notice::Request(wire) => left.push(wire),
                Notice::Due(token) => {
                    if let Some(errand) = self.errands.remove(&token) {
                        self.run(now, errand);
                    }
                }
            }
        }
        left
    }

    fn run(&mut self, now: Time, errand: Errand) {
        match errand {
            Errand::Dial => self.dial(now),
            Errand::Speak => self.speak(now),
            Errand::Register => self.register(now),
            Errand::Answer(no) if self.ua.waits_for_prack(no) && self.ua.calls[no].state == State::Early => {
                self.plan(now + Duration::from_millis(200), Errand::Answer(no));
            }
            Errand::Answer(no) if self.ua.calls[no].state == State::Early => {
                self.ua.accept(now, no);
                if self.ua.dice.chance(self.temper.fork) {
                    self.ua.fork(now, no);
                }
                self.talk(now, no);
            }
            Errand::AnswerChange(no) => self.ua.accept(now, no),
            Errand::GiveUp(no) if self.ua.calls[no].state == State::Early => {
                self.ua.cancel(now, no);
                self.plan(now + Duration::from_secs(70), Errand::Abandon(no));
            }
            Errand::Abandon(no) if self.ua.calls[no].state == State::Early => self.ua.calls[no].state = State::Over,
            Errand::Change(no) if self.ua.calls[no].state == State::Confirmed => self.change(now, no),
            Errand::Session(no) if self.ua.calls[no].state == State::Confirmed => self.session_due(now, no),
            Errand::Report(no, status) if self.ua.calls[no].state == State::Confirmed => {
                if let Some(refer) = self.referrals.get(&no).cloned() {
                    self.ua.report(now, no, &refer, status);
                }
            }
            Errand::HangUp(no) => self.ua.bye(now, no),
            _ => {}
        }
    }

    fn dial(&mut self, now: Time) {
        if self.quiet {
            return;
        }
        let pause = self.within((self.temper.dial_ms / 2, self.temper.dial_ms * 2));
        self.plan(now + pause, Errand::Dial);
        if self.ua.alive().count() < 3 {
            let pick = self.ua.dice.below(self.temper.dials.len() as u64) as usize;
            let uri = self.temper.dials[pick].clone();
            self.call(now, &uri);
        }
    }

    /// Says or asks something that is no call.
    fn speak(&mut self, now: Time) {
        if self.quiet {
            return;
        }
        let pause = self.within((self.temper.speak_ms / 2, self.temper.speak_ms * 2));
        self.plan(now + pause, Errand::Speak);
        let pick = self.ua.dice.below(self.temper.dials.len() as u64) as usize;
        let uri = self.temper.dials[pick].clone();
        let event = ["dialog", "message-summary", "presence", "conference"][self.ua.dice.below(4) as usize];
        match self.ua.dice.below(10) {
            0..4 => self.ua.speak(now, "MESSAGE", &uri, ""),
            4 => {
                let own = format!("sip:{}@ringfort.test", self.ua.user);
                self.ua.speak(now, "PUBLISH", &own, "presence");
            }
            _ => self.ua.speak(now, "SUBSCRIBE", &uri, event),
        }
    }

    /// Calls now.
    pub fn call(&mut self, now: Time, uri: &str) -> CallNo {
        let no = self.ua.call(now, uri);
        let soon = self.ua.dice.chance(self.temper.fickle);
        let patience = if soon { self.within((0, 2_000)) } else { Duration::from_millis(self.temper.patience_ms) };
        self.plan(now + patience, Errand::GiveUp(no));
        no
    }

    /// Calls with a header field that names another device's call: to take it over, or to talk along.
    pub fn take_over(&mut self, now: Time, uri: &str, (name, value): (&str, String)) {
        let no = self.ua.call_instead(now, uri, Some((name, value)));
        self.plan(now + Duration::from_millis(self.temper.patience_ms), Errand::GiveUp(no));
    }

    fn incoming(&mut self, now: Time, no: CallNo) {
        let (temper, dice) = (self.temper.clone(), &mut self.ua.dice);
        if dice.chance(temper.mute) {
            return;
        }
        if temper.challenge > 0 && self.challenges(now, no) {
            return;
        }
        let dice = &mut self.ua.dice;
        if dice.chance(temper.reject) {
            let statuses = [302, 403, 404, 480, 486, 488, 500, 503, 600, 603];
            let status = statuses[dice.below(statuses.len() as u64) as usize];
            return self.ua.reject(now, no, status);
        }
        let early = dice.chance(temper.early);
        let deaf = dice.chance(temper.deaf);
        self.ua.progress(now, no, if early { 183 } else { 180 }, early);
        if deaf {
            // Rings on when the caller is gone for good: the node died meanwhile.
            return self.plan(now + Duration::from_secs(300), Errand::Abandon(no));
        }
        let pause = self.within(temper.answer_ms);
        self.plan(now + pause, Errand::Answer(no));
    }

    fn cancelled(&mut self, now: Time, no: CallNo) {
        let may = self.ua.calls[no].state == State::Early && !self.ua.waits_for_prack(no);
        if may && self.ua.dice.chance(self.temper.late) {
            self.ua.accept(now, no);
            return self.talk(now, no);
        }
        self.ua.reject(now, no, 487);
    }

    fn reinvited(&mut self, now: Time, no: CallNo) {
        match self.ua.dice.below(10) {
            0 if self.temper.change > 0 => self.ua.reject(now, no, 488),
            1 if self.temper.change > 0 => {
                let pause = self.within((100, 3_000));
                self.plan(now + pause, Errand::AnswerChange(no));
            }
            _ => self.ua.accept(now, no),
        }
    }

    fn answered(&mut self, now: Time, purpose: Purpose, wire: &Wire) {
        match (purpose, wire.status().unwrap_or(500)) {
            (Purpose::Invite(no), 200..=299) => self.talk(now, no),
            (Purpose::Reinvite(no) | Purpose::Update(no), 491) => {
                let pause = self.within((0, 4_000));
                self.plan(now + pause, Errand::Change(no));
            }
            (Purpose::Register, status) => self.register_answered(now, status, wire),
            _ => {}
        }
    }

    /// The call stands: what will happen to it.
    fn talk(&mut self, now: Time, no: CallNo) {
        let end = now + self.within(self.temper.talk_ms);
        let sharp = self.ua.dice.chance(self.temper.sharp);
        let end = if sharp { next_full(now, Duration::from_secs(10)) } else { end };
        self.plan(end, Errand::HangUp(no));
        self.plan_change(now, no);
    }

    fn plan_change(&mut self, now: Time, no: CallNo) {
        if self.ua.dice.chance(self.temper.change) {
            let at = now + self.within(self.temper.change_ms);
            let glare = self.ua.dice.chance(self.temper.glare);
            self.plan(if glare { next_full(now, Duration::from_secs(2)) } else { at }, Errand::Change(no));
        }
    }

    fn change(&mut self, now: Time, no: CallNo) {
        let call = &self.ua.calls[no];
        if self.quiet || call.pending || call.waiting.is_some() {
            return;
        }
        if self.ua.dice.chance(100) {
            self.ua.options(now, no);
            return self.plan_change(now, no);
        }
        if self.ua.dice.chance(self.temper.tell) {
            let method = if self.ua.dice.chance(700) { "INFO" } else { "MESSAGE" };
            self.ua.tell(now, no, method);
            return self.plan_change(now, no);
        }
        if self.ua.dice.chance(self.temper.refer) {
            self.transfer(now, no);
            return self.plan_change(now, no);
        }
        let direction = match (self.ua.dice.below(10), self.ua.calls[no].direction) {
            (0, _) => None,
            (1, _) => Some("inactive"),
            (_, "sendrecv") => Some("sendonly"),
            _ => Some("sendrecv"),
        };
        if self.ua.dice.chance(self.temper.update) {
            self.ua.update(now, no, direction);
            return self.plan_change(now, no);
        }
        self.ua.reinvite(now, no, direction);
        if self.ua.dice.chance(self.temper.fickle) {
            self.ua.cancel(now, no);
        }
        self.plan_change(now, no);
    }

    /// Sends the other party to a number, or to the other party of another call of ours.
    fn transfer(&mut self, now: Time, no: CallNo) {
        let other = self.ua.alive().find(|other| *other != no && self.ua.calls[*other].state == State::Confirmed);
        let pick = self.ua.dice.below(self.temper.dials.len() as u64) as usize;
        let uri = self.temper.dials[pick].clone();
        self.ua.refer(now, no, &uri, other);
    }

    fn watch_session(&mut self, no: CallNo) {
        if let Some(session) = self.ua.calls[no].session {
            self.plan(session.due(), Errand::Session(no));
        }
    }

    /// Half the session is over and we refresh; or all of it, and nobody did.
    fn session_due(&mut self, now: Time, no: CallNo) {
        let call = &self.ua.calls[no];
        let Some(session) = call.session.filter(|session| session.due() <= now) else { return };
        let busy = call.pending || call.waiting.is_some();
        match session.ours {
            true if busy => self.plan(now + Duration::from_secs(2), Errand::Session(no)),
            true if self.ua.habits.update => self.ua.update(now, no, None),
            true => {
                let direction = call.direction;
                self.ua.reinvite(now, no, Some(direction));
            }
            false => {
                self.expired += 1;
                self.ua.bye(now, no);
            }
        }
    }

    /// Registers, refreshes or, with 0 seconds, unregisters.
    pub fn register(&mut self, now: Time) {
        let answer = match (&self.ua.secret, &mut self.nonce) {
            (Some(secret), Some((challenge, count))) => {
                *count += 1;
                Some(secret.answer(challenge, "REGISTER", &format!("sip:{}", self.ua.domain()), *count))
            }
            _ => None,
        };
        self.ua.register(now, self.expires_s, answer);
    }

    fn register_answered(&mut self, now: Time, status: u16, wire: &Wire) {
        *self.register_answers.entry(status).or_default() += 1;
        let challenge = self.ua.secret.as_ref().and_then(|s| s.challenge(wire));
        match (status, challenge) {
            (200, _) => {
                self.registered = true;
                self.ua.learn_gruu(wire);
                if self.expires_s > 0 {
                    let share = 600 + self.ua.dice.below(300);
                    let granted = self.ua.granted_s(wire).unwrap_or(u64::from(self.expires_s));
                    self.plan(now + Duration::from_millis(granted * share), Errand::Register);
                }
            }
            // One answer to each new challenge; then a rest, as a phone with a wrong password takes it.
            (401, Some(challenge)) if self.nonce.as_ref().is_none_or(|(last, _)| *last != challenge) => {
                self.nonce = Some((challenge, 0));
                self.register(now);
            }
            _ => {
                self.registered = false;
                self.nonce = None;
                self.plan(now + Duration::from_secs(10), Errand::Register);
            }
        }
    }

    /// The power fails: calls and transactions are forgotten; it starts again.
    pub fn crash(&mut self, now: Time) {
        self.harmed = true;
        self.errands.clear();
        self.ua.die();
        self.plan(now + Duration::from_secs(2), Errand::Register);
        if self.temper.dial_ms > 0 {
            self.plan(now + Duration::from_secs(10), Errand::Dial);
        }
        if self.temper.speak_ms > 0 {
            self.plan(now + Duration::from_secs(12), Errand::Speak);
        }
    }

    /// Its connection broke; it opens another and says where it is.
    pub fn reconnected(&mut self, now: Time) {
        self.harmed = true;
        self.plan(now + Duration::from_millis(50), Errand::Register);
    }

    /// Behaves otherwise from now on; registrations, sessions and subscriptions last for so long.
    pub fn turn(&mut self, now: Time, temper: Temper, expires_s: u32, habits: Habits) {
        (self.temper, self.ua.habits) = (temper, habits);
        if self.expires_s > 0 {
            self.expires_s = expires_s;
        }
        self.errands.retain(|_, errand| !matches!(errand, Errand::Dial | Errand::Speak));
        let soon = self.within((0, 20_000));
        if self.temper.dial_ms > 0 {
            self.plan(now + soon, Errand::Dial);
        }
        if self.temper.speak_ms > 0 {
            self.plan(now + soon, Errand::Speak);
        }
    }

    /// Starts nothing new.
    pub fn rest(&mut self) {
        self.quiet = true;
    }

    /// Ends every call that lives.
    pub fn hang_up(&mut self, now: Time) {
        for no in self.ua.alive().collect::<Vec<_>>() {
            match self.ua.calls[no].state {
                State::Confirmed => self.ua.bye(now, no),
                _ if self.ua.calls[no].outgoing => self.ua.cancel(now, no),
                _ => self.ua.reject(now, no, 480),
            }
        }
    }
}

fn next_full(now: Time, unit: Duration) -> Time {
    let unit = unit.as_micros() as u64;
    Time::from_micros((now.as_micros() / unit + 1) * unit)
}
