//! A browser and the node on a lossy wire in virtual time: ICE, DTLS, keys, deadlines.

use crate::browser::{Browser, Faults};
use crate::peers::{T0, text, webrtc};
use ringfort_base::entropy::Seeded;
use ringfort_base::{Pii, PortId, Step, Time, limits};
use ringfort_media::plan::{Destination, DiscardReason, FlowPlan, Latch};
use ringfort_media::{Description, DtlsIdentity, LegOutput, LegSession, MediaCause};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use str0m::crypto::dtls::DtlsVersion;

const TO: Destination = Destination::Port(PortId(9));
const WIFI: &str = "192.0.2.10:50000";
const MOBILE: &str = "203.0.113.10:50001";
const DELAY: Duration = Duration::from_millis(20);

enum Packet {
    ToNode { from: SocketAddr, datagram: Vec<u8> },
    ToBrowser { to: SocketAddr, datagram: Vec<u8> },
}

/// The two ends and the wire between them.
pub struct Net {
    pub now: Time,
    pub node: LegSession,
    pub browser: Browser,
    /// Outputs of the node other than datagrams.
    pub seen: Vec<LegOutput>,
    /// What the timeline is told.
    pub steps: Vec<Step>,
    /// `a=fingerprint` line as the node told it.
    pub told_fingerprint: String,
    wire: Vec<(Time, Packet)>,
    random: Seeded,
    loss_per_mille: u64,
    /// An address of the browser from which and to which nothing passes.
    pub cut: Option<SocketAddr>,
}

impl Net {
    fn new(seed: u64, loss_per_mille: u64) -> Net {
        Net {
            now: T0,
            node: webrtc(40_000),
            browser: Browser::new(seed, &[WIFI]),
            seen: Vec::new(),
            steps: Vec::new(),
            told_fingerprint: String::new(),
            wire: Vec::new(),
            random: Seeded::new(seed),
            loss_per_mille,
            cut: None,
        }
    }

    /// The browser called: its offer was answered.
    pub fn answering(seed: u64, loss_per_mille: u64) -> Net {
        let mut net = Net::new(seed, loss_per_mille);
        net.browser_offers("actpass");
        net
    }

    /// The browser was called and answered with this role.
    fn offering(seed: u64, loss_per_mille: u64, setup: &str) -> Net {
        let mut net = Net::new(seed, loss_per_mille);
        let offer = text(net.node.make_offer(net.now, &Description::g711()).unwrap());
        net.node.receive_answer(net.now, net.browser.description(setup).as_bytes()).unwrap();
        // The browser's view of roles: it chose its own, the node has the other.
        let node_role = if setup == "active" { "passive" } else { "active" };
        net.tell_browser(&offer.replace("a=setup:actpass", &format!("a=setup:{node_role}")));
        net
    }

    fn browser_offers(&mut self, setup: &str) -> String {
        let offer = self.browser.description(setup);
        let description = self.node.receive_offer(self.now, offer.as_bytes()).unwrap();
        let answer = text(self.node.make_answer(self.now, &description).unwrap());
        self.tell_browser(&answer);
        answer
    }

    fn tell_browser(&mut self, sdp: &str) {
        self.told_fingerprint = sdp.lines().find(|line| line.starts_with("a=fingerprint:")).unwrap().to_owned();
        self.browser.take(self.now, sdp);
    }

    fn plan(&self) -> FlowPlan {
        self.node.plan(TO)
    }

    fn collect(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                LegOutput::Send { to, datagram } => self.carry(to, Packet::ToBrowser { to, datagram }),
                LegOutput::Step(step) => self.steps.push(step),
                other => self.seen.push(other),
            }
        }
        while let Some((from, _, datagram)) = self.browser.poll_send() {
            self.carry(from, Packet::ToNode { from, datagram });
        }
    }

    fn carry(&mut self, end: SocketAddr, packet: Packet) {
        if self.cut != Some(end) && !self.random.chance(self.loss_per_mille) {
            let jitter = Duration::from_micros(self.random.below(5_000));
            self.wire.push((self.now + DELAY + jitter, packet));
        }
    }

    /// Runs until `until` or until `done`.
    fn run(&mut self, until: Time, done: impl Fn(&Net) -> bool) {
        for _ in 0..200_000 {
            self.collect();
            if done(self) {
                return;
            }
            let arrival = self.wire.iter().map(|(at, _)| *at).min().unwrap_or(Time::NEVER);
            let next = arrival.min(self.node.next_timeout()).min(self.browser.next_timeout()).max(self.now);
            if next > until {
                self.now = until;
                return;
            }
            self.step(next);
        }
        panic!("the simulation does not come to rest");
    }

    fn step(&mut self, next: Time) {
        self.now = next;
        while let Some(index) = self.wire.iter().position(|(at, _)| *at <= next) {
            match self.wire.remove(index).1 {
                Packet::ToNode { from, datagram } => self.node.handle_datagram(next, from, &datagram),
                Packet::ToBrowser { to, datagram } => self.browser.handle(next, to, &datagram),
            }
        }
        if self.node.next_timeout() <= next {
            self.node.handle_timeout(next);
        }
        if self.browser.next_timeout() <= next {
            self.browser.handle_timeout(next);
        }
    }

    pub fn run_for(&mut self, duration: Duration) {
        self.run(self.now + duration, |_| false);
    }

    pub fn run_until_ready(&mut self) {
        self.run(self.now + limits::MEDIA_SETUP_MAX, |net| net.is_ready() && net.browser.keys.is_some());
        assert!(self.is_ready(), "{:?}", self.seen);
    }

    fn is_ready(&self) -> bool {
        self.seen.iter().any(|output| matches!(output, LegOutput::Ready { .. }))
    }

    fn failure(&self) -> Option<MediaCause> {
        self.seen.iter().find_map(|output| match output {
            LegOutput::Failed { cause } => Some(*cause),
            _ => None,
        })
    }

    fn assert_keys_match(&self) {
        let plan = self.plan();
        let (of_browser, of_node) = self.browser.keys.clone().unwrap();
        assert_eq!((plan.receive.srtp.as_ref(), plan.transmit.srtp.as_ref()), (Some(&of_browser), Some(&of_node)));
        assert!(plan.receive.srtp.unwrap() != plan.transmit.srtp.unwrap());
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn the_browser_calls_and_both_ends_have_the_same_keys() {
    let mut net = Net::answering(1, 0);
    assert_eq!(net.plan().destination, Destination::Discard(DiscardReason::NotReady));
    assert!(net.plan().transmit.muted);
    net.run_until_ready();
    let plan = net.plan();
    assert_eq!((plan.receive.latch, plan.destination), (Latch::Exact(address(WIFI)), TO));
    assert_eq!((plan.transmit.rtp, plan.transmit.rtcp), (Some(address(WIFI)), None));
    assert!(plan.transmit.rtcp_mux && !plan.transmit.muted);
    net.assert_keys_match();
    let how = net.node.describe().to_owned();
    assert!(how.starts_with("dtls-srtp aes-"), "{how}");
    assert_eq!(net.seen, [LegOutput::PlanChanged, LegOutput::PlanChanged, LegOutput::Ready { how }]);
}

/// Each step of the way is told once, in its order, with the version and the suite.
#[test]
fn the_timeline_is_told_each_step() {
    for (version, named) in [(DtlsVersion::Dtls12, "1.2"), (DtlsVersion::Dtls13, "1.3")] {
        for (setup, role) in [("active", "server"), ("passive", "client")] {
            let mut net = Net::new(23, 0);
            net.browser.version = version;
            net.browser_offers(setup);
            net.run_until_ready();
            let suite = net.node.describe().trim_start_matches("dtls-srtp ").to_owned();
            let (peer, role) = (Pii::new(address(WIFI)), role.to_owned());
            let expected = [
                Step::IceChecked { peer: peer.clone() },
                Step::IceSelected { peer: peer.clone() },
                Step::DtlsBegun { role, peer },
                Step::DtlsDone { version: named.into(), suite },
            ];
            // A browser may open its handshake before it nominates.
            net.steps[1..3].sort_by_key(|step| std::cmp::Reverse(step.name()));
            assert_eq!(net.steps, expected, "{named} {setup}");
        }
    }
}

/// A browser that changes its pair all the time is told of so often and no more.
#[test]
fn what_a_peer_can_repeat_is_told_so_often() {
    let mut net = Net::answering(24, 0);
    net.run_until_ready();
    for n in 0..2 * u64::from(limits::LEG_STEPS_MAX) {
        net.browser.restart_ice(1_000 + n);
        net.browser_offers("actpass");
        net.run_for(Duration::from_secs(5));
    }
    assert_eq!(net.steps.len(), usize::from(limits::LEG_STEPS_MAX));
    net.assert_keys_match();
}

#[test]
fn the_called_browser_chooses_either_role() {
    for setup in ["active", "passive"] {
        let mut net = Net::offering(2, 0, setup);
        net.run_until_ready();
        net.assert_keys_match();
    }
}

#[test]
fn dtls_1_2_and_1_3_in_both_roles() {
    for version in [DtlsVersion::Dtls12, DtlsVersion::Dtls13] {
        for setup in ["active", "passive"] {
            let mut net = Net::new(17, 100);
            net.browser.version = version;
            net.browser_offers(setup);
            net.run_until_ready();
            net.assert_keys_match();
        }
    }
}

#[test]
fn a_leg_may_have_its_own_identity() {
    let identity = Arc::new(DtlsIdentity::generate().unwrap());
    let mut net = Net::new(18, 0);
    net.node = net.node.with_identity(identity.clone());
    let answer = net.browser_offers("actpass");
    assert!(answer.contains(&format!("a=fingerprint:{}\r\n", identity.fingerprint())));
    net.run_until_ready();
    net.assert_keys_match();
}

#[test]
fn a_browser_that_offers_passive_is_met_by_a_client() {
    let mut net = Net::new(3, 0);
    let answer = net.browser_offers("passive");
    assert!(answer.contains("a=setup:active\r\n"), "{answer}");
    net.run_until_ready();
    net.assert_keys_match();
}

#[test]
fn every_fifth_datagram_is_lost() {
    // The engine draws the pauses between its flights itself, so the same seed is not the same every time.
    for seed in 0..6 {
        let mut net = if seed % 2 == 0 { Net::answering(seed, 200) } else { Net::offering(seed, 200, "passive") };
        net.run_until_ready();
        net.assert_keys_match();
    }
}

#[test]
fn established_calls_outlive_minutes() {
    let mut net = Net::answering(4, 50);
    net.run_until_ready();
    let plan = net.plan();
    net.run_for(Duration::from_secs(300));
    assert_eq!((net.plan(), net.failure()), (plan, None));
}

#[test]
fn no_check_arrives() {
    let mut net = Net::answering(5, 1000);
    let begun = net.now;
    net.run_for(limits::MEDIA_SETUP_MAX - Duration::from_millis(1));
    assert_eq!(net.failure(), None);
    net.run_for(Duration::from_secs(2));
    assert_eq!(net.failure(), Some(MediaCause::IceTimeout));
    assert_eq!(net.node.next_timeout(), Time::NEVER);
    assert!(net.now.since(begun) < Duration::from_secs(18));
}

#[test]
fn checks_without_nomination() {
    let mut net = Net::new(6, 0);
    net.browser.faults = Faults { never_nominates: true, ..Faults::default() };
    net.browser_offers("actpass");
    net.run_for(limits::MEDIA_SETUP_MAX + Duration::from_secs(1));
    assert_eq!(net.failure(), Some(MediaCause::IceIncomplete));
}

#[test]
fn ice_without_dtls() {
    for setup in ["active", "passive"] {
        let mut net = Net::new(7, 0);
        net.browser.faults = Faults { no_dtls: true, ..Faults::default() };
        net.browser_offers(setup);
        net.run_for(limits::MEDIA_SETUP_MAX + Duration::from_secs(1));
        assert_eq!(net.failure(), Some(MediaCause::DtlsTimeout), "{setup}");
        assert_eq!(net.plan().destination, Destination::Discard(DiscardReason::NotReady));
    }
}

#[test]
fn another_certificate_than_announced() {
    for setup in ["active", "passive"] {
        let mut net = Net::new(8, 0);
        let announced = net.browser.fingerprint();
        let other = Browser::new(9, &[WIFI]).fingerprint();
        let offer = net.browser.description(setup).replace(&announced, &other);
        let description = net.node.receive_offer(net.now, offer.as_bytes()).unwrap();
        let answer = text(net.node.make_answer(net.now, &description).unwrap());
        net.tell_browser(&answer);
        net.run_for(Duration::from_secs(5));
        assert_eq!(net.failure(), Some(MediaCause::FingerprintMismatch), "{setup}");
        assert!(net.plan().receive.srtp.is_none() && net.plan().transmit.muted);
    }
}

#[test]
fn one_of_several_fingerprints_suffices() {
    let mut net = Net::new(10, 0);
    let other = Browser::new(11, &[WIFI]).fingerprint();
    let offer = net.browser.description("actpass").replace("a=setup", &format!("a=fingerprint:{other}\r\na=setup"));
    let description = net.node.receive_offer(net.now, offer.as_bytes()).unwrap();
    let answer = text(net.node.make_answer(net.now, &description).unwrap());
    net.tell_browser(&answer);
    net.run_until_ready();
}

#[test]
fn the_browser_vanishes() {
    let mut net = Net::answering(12, 0);
    net.run_until_ready();
    net.cut = Some(address(WIFI));
    net.run_for(Duration::from_secs(28));
    assert_eq!(net.failure(), None);
    net.run_for(Duration::from_secs(8));
    assert_eq!(net.failure(), Some(MediaCause::ConsentExpired));
    assert_eq!(net.plan().destination, Destination::Discard(DiscardReason::NotReady));
    // It comes back and says so by SIP.
    net.cut = None;
    net.seen.clear();
    net.browser.restart_ice(55);
    net.browser_offers("actpass");
    net.run_for(Duration::from_secs(60));
    assert_eq!((net.plan().destination, net.failure()), (TO, None));
    net.assert_keys_match();
}

/// The node asks a browser that fell silent to begin anew: other credentials, the same keys, and nothing goes out before it consents.
#[test]
fn the_node_begins_ice_anew() {
    let mut net = Net::answering(21, 0);
    net.run_until_ready();
    let (keys, seen) = (net.browser.keys.clone(), std::mem::take(&mut net.seen));
    assert!(seen.contains(&LegOutput::PlanChanged));
    net.cut = Some(address(WIFI));
    net.run_for(Duration::from_secs(36));
    assert_eq!(net.failure(), Some(MediaCause::ConsentExpired));
    net.seen.clear();
    let told = net.node.plan(TO).receive.fragment;
    net.node.restart_ice();
    let offer = text(net.node.repeat_offer().unwrap());
    assert!(!offer.contains(told.as_deref().unwrap_or("none")), "{offer}");
    net.browser.restart_ice(66);
    net.node.receive_answer(net.now, net.browser.description("active").as_bytes()).unwrap();
    net.tell_browser(&offer.replace("a=setup:actpass", "a=setup:passive"));
    net.run_for(Duration::from_secs(5));
    assert_eq!(net.plan().destination, Destination::Discard(DiscardReason::NotReady), "it has not consented");
    net.cut = None;
    net.run_for(Duration::from_secs(60));
    assert_eq!((net.plan().destination, net.failure(), net.browser.keys.clone()), (TO, None, keys));
    net.assert_keys_match();
}

#[test]
fn the_browser_changes_its_network() {
    let mut net = Net::new(13, 0);
    net.browser = Browser::new(13, &[WIFI, MOBILE]);
    net.browser_offers("actpass");
    net.run_until_ready();
    let first = net.plan().transmit.rtp.unwrap();
    let second = if first == address(WIFI) { address(MOBILE) } else { address(WIFI) };
    net.seen.clear();
    net.cut = Some(first);
    net.run(net.now + Duration::from_secs(29), |net| net.plan().transmit.rtp == Some(second));
    assert_eq!(net.plan().receive.latch, Latch::Exact(second));
    assert_eq!(net.seen, [LegOutput::PlanChanged]);
    net.assert_keys_match();
}

#[test]
fn ice_restart_keeps_the_keys() {
    let mut net = Net::answering(14, 0);
    net.run_until_ready();
    // The node's own credentials change with the browser's, and with them what its checks are known by.
    let but_fragment = |mut plan: FlowPlan| {
        plan.receive.fragment = None;
        plan
    };
    let (plan, keys) = (but_fragment(net.plan()), net.browser.keys.clone());
    let before = net.node.make_offer(net.now, &Description::g711()).map(text).unwrap();
    net.node.reject_offer();
    net.browser.restart_ice(99);
    let answer = net.browser_offers("actpass");
    let ufrag = |body: &str| body.lines().find(|line| line.starts_with("a=ice-ufrag:")).unwrap().to_owned();
    assert_ne!(ufrag(&before), ufrag(&answer), "RFC 8839 4.4.3.1.1");
    net.run_for(Duration::from_secs(60));
    assert_eq!((but_fragment(net.plan()), net.browser.keys.clone(), net.failure()), (plan, keys, None));
    assert!(net.browser.is_connected());
}

#[test]
fn a_reloaded_page_begins_anew() {
    let mut net = Net::answering(15, 0);
    net.run_until_ready();
    let before = net.plan();
    net.browser.reload(77);
    net.seen.clear();
    net.browser_offers("actpass");
    assert_eq!(net.plan().destination, Destination::Discard(DiscardReason::NotReady));
    net.run_until_ready();
    net.assert_keys_match();
    assert_ne!(net.plan().receive.srtp, before.receive.srtp);
}

#[test]
fn hold_does_not_touch_the_transport() {
    let mut net = Net::answering(16, 0);
    net.run_until_ready();
    let keys = net.plan().receive.srtp;
    let hold = net.browser.description("actpass").replace("a=sendrecv", "a=inactive");
    let description = net.node.receive_offer(net.now, hold.as_bytes()).unwrap();
    let answer = text(net.node.make_answer(net.now, &description).unwrap());
    assert!(answer.contains("a=inactive\r\n") && answer.contains(&net.told_fingerprint) && !answer.contains("a=msid"));
    let plan = net.plan();
    assert_eq!((plan.destination, plan.transmit.muted), (Destination::Discard(DiscardReason::OnHold), true));
    assert_eq!(plan.receive.srtp, keys);
    net.run_for(Duration::from_secs(60));
    net.browser_offers("actpass");
    assert_eq!((net.plan().destination, net.plan().receive.srtp, net.failure()), (TO, keys, None));
}
