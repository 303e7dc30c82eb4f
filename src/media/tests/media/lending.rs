//! Keys that one leg's peer is told of the other's: four sessions, of which the two in the middle are the node's.

use crate::peers::{T0, lines, rtp, text};
use ringfort_base::PortId;
use ringfort_media::plan::{Destination, FlowPlan};
use ringfort_media::{Description, Digits, LegSession, Policy, Security, Srtp, Suites};

fn plan(leg: &LegSession) -> FlowPlan {
    leg.plan(Destination::Port(PortId(9)))
}

fn passing() -> Security {
    Security { srtp: Srtp::Required, pass: true, ..Security::default() }
}

fn only(suite: &str) -> Security {
    let suites = Suites::try_from(vec![suite.to_owned()]).expect("a list");
    Security { srtp: Srtp::Required, suites, ..Security::default() }
}

/// Two phones and the legs that face them.
struct Call {
    phones: [LegSession; 2],
    legs: [LegSession; 2],
}

impl Call {
    fn new(legs: [Security; 2], phones: [Security; 2]) -> Call {
        Call::at(4000, legs, phones)
    }

    /// Ports, and with them what is random, begin with `first`.
    fn at(first: u16, [near, far]: [Security; 2], [a, b]: [Security; 2]) -> Call {
        let at = |nth: u16, security: Security| rtp(first + nth * 10).with_security(security);
        Call { legs: [at(0, near), at(1, far)], phones: [at(2, a), at(3, b)] }
    }

    fn usual() -> Call {
        Call::new([passing(), passing()], [Srtp::Required.into(), Srtp::Required.into()])
    }

    fn lend(&mut self, to: usize) {
        let lent = self.legs[1 - to].lends();
        self.legs[to].borrow(lent);
    }

    /// A phone offers, the other one answers. `change`: what becomes of the offer on its way. Returns what the node told the other one.
    fn offer(&mut self, from: usize, change: impl Fn(String) -> String) -> String {
        let to = 1 - from;
        let offer = change(text(self.phones[from].make_offer(T0, &Description::g711()).expect("an offer")));
        let described = self.legs[from].receive_offer(T0, offer.as_bytes()).expect("usable");
        self.lend(to);
        let told = text(self.legs[to].make_offer(T0, &described).expect("an offer"));
        let described = self.phones[to].receive_offer(T0, told.as_bytes()).expect("usable");
        let answer = self.phones[to].make_answer(T0, &described).expect("an answer");
        let described = self.legs[to].receive_answer(T0, &answer).expect("usable");
        self.lend(from);
        let answer = self.legs[from].make_answer(T0, &described).expect("an answer");
        self.phones[from].receive_answer(T0, &answer).expect("usable");
        told
    }

    /// The node asks a phone of its own.
    fn ask(&mut self, to: usize) {
        self.lend(to);
        let offer = self.legs[to].make_offer(T0, &Description::g711()).expect("an offer");
        let described = self.phones[to].receive_offer(T0, &offer).expect("usable");
        let answer = self.phones[to].make_answer(T0, &described).expect("an answer");
        self.legs[to].receive_answer(T0, &answer).expect("usable");
    }

    /// What each phone protects the other can read, and each is told so by the node.
    fn assert_untouched(&self) {
        let [a, b] = [&self.legs[0], &self.legs[1]].map(plan);
        assert!(a.transmit.lent && b.transmit.lent);
        assert_eq!((&a.receive.srtp, &b.receive.srtp), (&b.transmit.srtp, &a.transmit.srtp));
        let [one, other] = [&self.phones[0], &self.phones[1]].map(plan);
        assert!(one.transmit.srtp.is_some() && one.transmit.srtp == other.receive.srtp);
        assert_eq!(one.receive.srtp, other.transmit.srtp);
        assert!(![0, 1].iter().any(|side| self.is_overheard(*side)));
    }

    /// Each side has keys of the node's own, and is understood.
    fn assert_apart(&self) {
        for side in [0, 1] {
            let (leg, phone) = (plan(&self.legs[side]), plan(&self.phones[side]));
            assert!(!leg.transmit.lent && leg.transmit.srtp != plan(&self.legs[1 - side]).receive.srtp);
            assert_eq!((leg.transmit.srtp, leg.receive.srtp), (phone.receive.srtp, phone.transmit.srtp));
        }
    }

    fn is_overheard(&self, side: usize) -> bool {
        self.legs[side].holds_keys_of_another(Some(&self.legs[1 - side]))
    }
}

#[test]
fn each_side_is_told_the_other_side_s_keys() {
    let mut call = Call::usual();
    call.offer(0, |offer| offer);
    call.assert_untouched();
    let under = |leg: &LegSession| (plan(leg).receive.srtp, plan(leg).transmit);
    let before = call.legs.each_ref().map(under);
    call.offer(1, |offer| offer);
    call.offer(0, |offer| offer);
    assert_eq!(call.legs.each_ref().map(under), before, "a re-INVITE of either side changes no key");
    let [a, b] = call.legs;
    let read_back = |leg: LegSession| serde_json::from_str(&serde_json::to_string(&leg).expect("written")).expect("read");
    call.legs = [read_back(a), read_back(b)];
    assert_eq!(call.legs.each_ref().map(|leg| plan(leg).transmit), before.map(|(_, transmit)| transmit), "nor does a restart");
    call.offer(0, |offer| offer);
    call.assert_untouched();
}

/// Who is not let to keeps its keys; so does who only tells digits in another way, since the node stands between the two then.
#[test]
fn without_leave_each_side_has_keys_of_the_node() {
    for legs in [[passing(), Srtp::Required.into()], [Srtp::Required.into(), passing()]] {
        let mut call = Call::new(legs, [Srtp::Required.into(), Srtp::Required.into()]);
        call.offer(0, |offer| offer);
        call.assert_apart();
    }
    let mut call = Call::usual();
    call.legs[1].set_policy(Policy { security: passing(), digits: Digits::Info, ..Policy::default() });
    call.offer(0, |offer| offer);
    call.assert_apart();
    assert!(!call.legs[1].would_borrow(&call.legs[0]));
}

#[test]
fn who_chooses_another_suite_or_none_is_understood() {
    let mut call = Call::new([passing(), passing()], [only("AES_CM_128_HMAC_SHA1_80"), only("AEAD_AES_128_GCM")]);
    let told = call.offer(0, |offer| offer);
    assert_eq!(lines(&told, "a=crypto:").len(), 4, "lent ones and the node's own: {told}");
    call.assert_apart();
    let optional = Security { srtp: Srtp::Optional, ..passing() };
    let mut call = Call::new([passing(), optional], [Srtp::Required.into(), Srtp::Off.into()]);
    let offer = text(call.phones[0].make_offer(T0, &Description::g711()).expect("an offer"));
    let described = call.legs[0].receive_offer(T0, offer.as_bytes()).expect("usable");
    call.lend(1);
    call.legs[1].make_offer(T0, &described).expect("an offer");
    let answer = crate::peers::PHONE_ANSWER;
    let described = call.legs[1].receive_answer(T0, answer.as_bytes()).expect("a phone without SRTP");
    call.lend(0);
    call.legs[0].make_answer(T0, &described).expect("an answer");
    let plans = call.legs.each_ref().map(plan);
    assert!(!plans[0].transmit.lent && plans[0].transmit.srtp.is_some() && plans[1].transmit.srtp.is_none());
}

/// The lent suite comes first, and the answer names the line that the other side chose, by its own tag.
#[test]
fn the_line_that_was_chosen_is_answered() {
    let mut call = Call::new([passing(), passing()], [Srtp::Required.into(), only("AEAD_AES_128_GCM")]);
    call.offer(0, |offer| offer);
    call.assert_untouched();
    assert_eq!(call.legs[0].describe(), "sdes-srtp aes-gcm-128");
}

/// Keys change in a new offer: the other side is told the new ones, in the place of those before.
#[test]
fn new_keys_are_told_to_the_other_side() {
    for from in [0, 1] {
        let mut call = Call::usual();
        call.offer(0, |offer| offer);
        let before = call.legs.each_ref().map(plan);
        let new = "inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd";
        let told = call.offer(from, |offer| {
            let inline = offer.split_once("inline:").map(|(_, rest)| rest.split("\r\n").next().unwrap_or_default());
            offer.replace(&format!("inline:{}", inline.expect("keys")), new)
        });
        assert!(told.contains(new), "{told}");
        let after = call.legs.each_ref().map(plan);
        assert_eq!(after[from].receive.srtp, after[1 - from].transmit.srtp);
        assert_ne!(after[from].receive.srtp, before[from].receive.srtp);
        assert_eq!(after[from].transmit.srtp, before[from].transmit.srtp, "the other direction goes on");
        assert!(after.iter().all(|plan| plan.transmit.lent));
    }
}

/// Without an offer in the INVITE the node's own keys are told first. One offer more, and both directions pass.
#[test]
fn after_a_late_offer_one_more_completes_it() {
    let mut call = Call::usual();
    call.ask(1);
    call.ask(0);
    assert_eq!(call.legs.each_ref().map(|leg| plan(leg).transmit.lent), [true, false]);
    assert!(call.legs[1].would_borrow(&call.legs[0]) && !call.legs[0].would_borrow(&call.legs[1]));
    call.ask(1);
    call.assert_untouched();
    assert!(!call.legs[1].would_borrow(&call.legs[0]));
}

/// Whoever forgets to ask gives away nothing, and takes back what was given.
#[test]
fn keys_are_lent_once_and_for_one_description() {
    let mut call = Call::usual();
    call.offer(0, |offer| offer);
    let repeated = text(call.legs[1].repeat_offer().expect("an offer"));
    call.legs[1].reject_offer();
    let own = text(call.legs[1].make_offer(T0, &Description::g711()).expect("an offer"));
    assert_ne!(lines(&own, "a=crypto:"), lines(&repeated, "a=crypto:"));
    call.legs[1].reject_offer();
    // The same answer again stays what it was, for the 200 after a 183.
    let lent = plan(&call.legs[0]).transmit;
    call.legs[0].make_answer(T0, &Description::g711()).expect("again");
    assert_eq!(plan(&call.legs[0]).transmit, lent);
    // A party that is somebody else's now.
    let mut another = Call::at(6000, [passing(), passing()], [Srtp::Required.into(), Srtp::Required.into()]);
    another.offer(0, |offer| offer);
    assert!(call.legs[1].holds_keys_of_another(Some(&another.legs[0])) && call.legs[1].holds_keys_of_another(None));
    assert!(call.legs[1].would_borrow(&another.legs[0]));
    call.legs.iter_mut().for_each(LegSession::lend_no_more);
    call.ask(1);
    call.ask(0);
    call.assert_apart();
}

/// An offer that was refused leaves the keys where they were.
#[test]
fn a_refused_change_of_keys_changes_nothing() {
    let mut call = Call::usual();
    call.offer(0, |offer| offer);
    let offer = text(call.phones[0].make_offer(T0, &Description::g711()).expect("an offer"));
    call.legs[0].receive_offer(T0, offer.as_bytes()).expect("usable");
    call.lend(1);
    call.legs[1].make_offer(T0, &Description::g711()).expect("an offer");
    assert!(!call.is_overheard(1), "while it is asked");
    call.legs.iter_mut().for_each(LegSession::reject_offer);
    call.phones[0].reject_offer();
    call.assert_untouched();
}

#[test]
fn lent_keys_are_not_shown() {
    let mut call = Call::usual();
    call.offer(0, |offer| offer);
    let key = plan(&call.legs[0]).receive.srtp.map(|keys| format!("{:?}", &keys.key[..4])).expect("keys");
    let shown = format!("{:?}", call.legs[0].lends());
    assert!(shown.contains("Aes128CmSha1_80") && !shown.contains(key.trim_matches(['[', ']'])), "{shown}");
}
