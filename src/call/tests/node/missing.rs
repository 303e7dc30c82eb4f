//! Audio that is missing in a call: named while it lasts, and in the record.

use crate::fixture::Desk;
use crate::talk::{CONFIG, End, PHONE, TRUNK, connected, contact, sdp};
use ringfort_base::event::{CallRecord, MissingAudio};
use ringfort_base::{Event, PortId};
use ringfort_call::Input;
use ringfort_media::plan::{Component, PortCounters, RelayCommand, RelayEvent};
use std::time::Duration;

/// The offer of a browser that sends no check.
const BROWSER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 8\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=rtcp-mux\r\na=sendrecv\r\na=rtpmap:8 PCMA/8000\r\n\
    a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef01234567\r\na=setup:actpass\r\na=fingerprint:sha-256 \
    00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n";

/// The relay's side of a call: what it counted at the ports of caller and callee.
struct Ports {
    ports: Vec<PortId>,
    counted: [PortCounters; 2],
}

impl Ports {
    fn of(desk: &Desk) -> Ports {
        let open = |command: &RelayCommand| if let RelayCommand::Open { port, .. } = command { Some(*port) } else { None };
        Ports { ports: desk.relayed.iter().filter_map(open).collect(), counted: [PortCounters::default(); 2] }
    }

    fn tell(&self, desk: &mut Desk, last: bool) {
        for (port, counters) in self.ports.iter().zip(self.counted) {
            desk.input(Input::Relay(RelayEvent::Counters { port: *port, counters: Box::new(counters), last }));
        }
    }

    /// Seconds pass, in which the counters grow so.
    fn pass(&mut self, desk: &mut Desk, seconds: u32, grow: fn(&mut [PortCounters; 2])) {
        for _ in 0..seconds / 2 {
            self.tell(desk, false);
            desk.pass(Duration::from_secs(2));
            grow(&mut self.counted);
        }
        self.tell(desk, false);
    }
}

/// Both parties speak and hear.
fn both(counted: &mut [PortCounters; 2]) {
    let [caller, callee] = counted;
    speaks(caller);
    speaks(callee);
    (caller.rtp_out, callee.rtp_out) = (callee.rtp_in, caller.rtp_in);
}

fn speaks(counters: &mut PortCounters) {
    counters.rtp_in += 100;
}

fn talking() -> (Desk, End, End, Ports) {
    let (desk, phone, trunk) = connected(CONFIG, "", "");
    let ports = Ports::of(&desk);
    (desk, phone, trunk, ports)
}

fn told(desk: &Desk) -> Vec<(String, MissingAudio)> {
    let told = |event: &Event| match event {
        Event::AudioMissing { leg, missing, .. } => Some((leg.clone(), missing.clone())),
        _ => None,
    };
    desk.events.iter().filter_map(told).collect()
}

fn names(missing: &[Option<MissingAudio>; 2]) -> [&str; 2] {
    missing.each_ref().map(|missing| missing.as_ref().map_or("", |missing| missing.cause.as_str()))
}

fn record(desk: &Desk) -> CallRecord {
    let ended = |event: &Event| if let Event::CallEnded(record) = event { Some(record.clone()) } else { None };
    desk.events.iter().find_map(ended).expect("a record")
}

/// What the relay counts, and what the call then says of caller and callee.
#[test]
fn each_cause_is_shown_told_and_recorded() {
    type Grow = fn(&mut [PortCounters; 2]);
    let cases: [(Grow, [&str; 2]); 12] = [
        (both, ["", ""]),
        (|_| {}, ["no-rtp", "no-rtp"]),
        (|[caller, _]| speaks(caller), ["", "one-way"]),
        (|[_, callee]| speaks(callee), ["one-way", ""]),
        (|[caller, callee]| (speaks(callee), caller.auth_failed += 100).1, ["srtp-authentication", ""]),
        (|[caller, callee]| (speaks(callee), caller.replayed += 100).1, ["srtp-replayed", ""]),
        (|[caller, callee]| (speaks(callee), caller.stray_source += 100).1, ["other-source", ""]),
        (|[caller, callee]| (speaks(callee), caller.malformed += 100).1, ["not-rtp", ""]),
        (|[caller, callee]| (speaks(callee), speaks(caller), caller.unknown_payload += 100).2, ["wrong-payload", ""]),
        (|[caller, callee]| (speaks(callee), speaks(caller), caller.signals_in += 100).2, ["only-signals", ""]),
        (|[caller, callee]| (speaks(callee), speaks(caller), caller.send_failed += 100).2, ["send-failed", ""]),
        (|[caller, callee]| (speaks(callee), speaks(caller), caller.srtp_unsent += 100).2, ["srtp-unsent", ""]),
    ];
    for (n, (grow, expected)) in cases.into_iter().enumerate() {
        let (mut desk, mut phone, _, mut ports) = talking();
        ports.pass(&mut desk, 6, grow);
        assert_eq!(names(&desk.status().calls[0].missing), expected, "case {n}, live");
        let told = told(&desk);
        let expected_of: Vec<_> = ["caller", "callee"].into_iter().zip(expected).filter(|(_, cause)| !cause.is_empty()).collect();
        assert_eq!(told.iter().map(|(leg, missing)| (leg.as_str(), missing.cause.as_str())).collect::<Vec<_>>(), expected_of);
        phone.send(&mut desk, "BYE", "", "");
        ports.tell(&mut desk, true);
        let record = record(&desk);
        assert_eq!((names(&record.missing), record.cause.as_str()), (expected, "normal"), "case {n}, record");
        assert!(record.missing.iter().flatten().all(|missing| missing.seconds == 6), "{:?}", record.missing);
    }
}

#[test]
fn a_call_that_was_hung_up_at_once_misses_nothing() {
    let (mut desk, mut phone, _, ports) = talking();
    ports.tell(&mut desk, false);
    desk.pass(Duration::from_millis(1_500));
    phone.send(&mut desk, "BYE", "", "");
    ports.tell(&mut desk, true);
    assert_eq!((told(&desk), *record(&desk).missing), (vec![], [None, None]));
}

/// What ceases in the middle of a call is in its record, though it came again.
#[test]
fn a_gap_is_recorded_with_what_shows_it() {
    let (mut desk, mut phone, _, mut ports) = talking();
    ports.pass(&mut desk, 10, both);
    let (port, source) = (ports.ports[0], "203.0.113.5:4000".parse().expect("an address"));
    desk.input(Input::Relay(RelayEvent::Latched { port, component: Component::Rtp, source }));
    ports.counted[0].stray_last = "203.0.113.99:7000".parse().ok();
    ports.pass(&mut desk, 14, |[caller, callee]| (speaks(callee), caller.stray_source += 100).1);
    assert_eq!(names(&desk.status().calls[0].missing), ["other-source", ""]);
    ports.pass(&mut desk, 10, both);
    assert_eq!(desk.status().calls[0].missing, [None, None], "heard again");
    phone.send(&mut desk, "BYE", "", "");
    ports.tell(&mut desk, true);
    let missing = record(&desk).missing[0].clone().expect("recorded");
    let detail = missing.detail.reveal();
    assert!(detail.contains("locked on 203.0.113.5:4000") && detail.contains("the last from 203.0.113.99:7000"), "{detail}");
    assert_eq!((missing.cause.as_str(), missing.seconds, told(&desk).len()), ("other-source", 14, 1));
}

#[test]
fn who_sends_while_it_holds_is_named_and_who_holds_is_not_missed() {
    let (mut desk, mut phone, trunk, mut ports) = talking();
    ports.pass(&mut desk, 4, both);
    phone.send(&mut desk, "INVITE", "", &sdp(PHONE, 2, "inactive"));
    trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 2, "inactive"));
    phone.ack(&mut desk, "");
    ports.pass(&mut desk, 60, |_| {});
    assert_eq!(names(&desk.status().calls[0].missing), ["", ""]);
    ports.pass(&mut desk, 6, |[caller, _]| caller.discarded_on_hold += 100);
    assert_eq!(names(&desk.status().calls[0].missing), ["sent-while-held", ""]);
}

/// Live the step that is not done, then the failure that ends the call.
#[test]
fn a_browser_without_checks_is_named_before_it_fails() {
    let mut desk = Desk::new(CONFIG);
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &contact("101", PHONE), BROWSER);
    desk.reply(TRUNK, "200 OK", "t", &contact("gw", TRUNK), &sdp(TRUNK, 1, "sendrecv"));
    let mut ports = Ports::of(&desk);
    ports.pass(&mut desk, 4, |[_, callee]| speaks(callee));
    assert_eq!(names(&desk.status().calls[0].missing), ["ice-timeout", ""]);
    desk.pass(Duration::from_secs(12));
    ports.tell(&mut desk, true);
    let record = record(&desk);
    assert_eq!((record.cause.as_str(), names(&record.missing)[0]), ("ice-timeout", "ice-timeout"));
}

#[test]
fn what_was_missing_survives_a_restart() {
    let (mut desk, _, _, mut ports) = talking();
    ports.pass(&mut desk, 6, |[_, callee]| speaks(callee));
    ports.pass(&mut desk, 4, both);
    let port = ports.ports[0];
    let source = "203.0.113.5:4000".parse().expect("an address");
    desk.input(Input::Relay(RelayEvent::Latched { port, component: Component::Rtp, source }));
    let mut desk = Desk::restarted(CONFIG, desk.left_behind());
    let call = desk.status().calls[0].call;
    ports.counted = [PortCounters::default(); 2];
    ports.pass(&mut desk, 10, both);
    assert_eq!(desk.status().calls[0].missing, [None, None]);
    desk.input(Input::HangUp(call));
    ports.tell(&mut desk, true);
    assert_eq!(names(&record(&desk).missing), ["one-way", ""]);
}
