use super::*;

/// Tells of one event as a sender does, and collects what is understood.
struct Peer {
    events: Events,
    sequence: u16,
    digits: Vec<Digit>,
}

impl Peer {
    fn new() -> Peer {
        Peer { events: Events::default(), sequence: 0, digits: Vec::new() }
    }

    fn send(&mut self, ms: u64, timestamp: u32, code: u8, duration: u16, end: bool) {
        self.send_with(ms, timestamp, code, duration, end, false);
    }

    fn send_with(&mut self, ms: u64, timestamp: u32, code: u8, duration: u16, end: bool, marker: bool) {
        let payload = Payload { code, end, volume: 10, duration }.octets();
        let packet = Packet { payload_type: 101, marker, sequence: self.sequence, timestamp, ssrc: 1, payload: &payload };
        self.sequence = self.sequence.wrapping_add(1);
        let digits = self.events.receive(Time::from_millis(ms), &packet, 8_000);
        self.digits.extend(digits.into_iter().flatten());
    }

    fn lapse(&mut self, ms: u64) {
        let over = self.events.lapse(Time::from_millis(ms));
        self.digits.extend(over);
    }

    /// Code, duration and end of all that was understood.
    fn told(&self) -> Vec<(u8, u32, bool)> {
        self.digits.iter().map(|digit| (digit.code, digit.duration_ms, digit.end)).collect()
    }
}

#[test]
fn a_digit_begins_and_ends_once() {
    let mut peer = Peer::new();
    for n in 1..=5 {
        peer.send_with(n * 20, 1_000, 5, n as u16 * 160, false, n == 1);
    }
    for n in 6..9 {
        peer.send(n * 20, 1_000, 5, 960, true);
    }
    assert_eq!(peer.told(), [(5, 20, false), (5, 120, true)]);
}

#[test]
fn lost_beginnings_are_made_up() {
    let mut peer = Peer::new();
    peer.send(60, 1_000, 3, 480, false);
    peer.send(80, 1_000, 3, 640, true);
    // Only the last of the repeated ends came.
    peer.send(300, 3_000, 11, 800, true);
    assert_eq!(peer.told(), [(3, 60, false), (3, 80, true), (11, 100, false), (11, 100, true)]);
}

#[test]
fn lost_ends_are_made_up_by_time_or_by_the_next_digit() {
    let mut peer = Peer::new();
    peer.send(20, 1_000, 1, 160, false);
    peer.send(40, 1_000, 1, 320, false);
    peer.lapse(200);
    assert_eq!(peer.told(), [(1, 20, false)]);
    peer.lapse(241);
    assert_eq!(peer.told()[1..], [(1, 40, true)]);
    peer.send(400, 4_000, 1, 160, false);
    peer.send(420, 5_000, 1, 160, false);
    assert_eq!(peer.told()[2..], [(1, 20, false), (1, 20, true), (1, 20, false)]);
}

#[test]
fn duplicates_and_reordering_change_nothing() {
    let mut peer = Peer::new();
    peer.send(20, 1_000, 7, 160, false);
    peer.send(20, 1_000, 7, 160, false);
    peer.send(60, 1_000, 7, 480, false);
    peer.send(61, 1_000, 7, 320, false);
    peer.send(80, 1_000, 7, 640, true);
    peer.send(81, 1_000, 7, 480, false);
    peer.send(100, 2_000, 8, 160, false);
    // An end of the digit before, late.
    peer.send(101, 1_000, 7, 640, true);
    peer.send(140, 2_000, 8, 320, true);
    assert_eq!(peer.told(), [(7, 20, false), (7, 80, true), (8, 20, false), (8, 40, true)]);
}

/// RFC 4733 2.5.1.3: at 8 kHz a segment holds 8.19 s.
#[test]
fn a_long_event_is_one_digit() {
    for lost in [false, true] {
        let mut peer = Peer::new();
        let mut total = 0;
        while total < 200_000u32 {
            total += 160;
            let segment = (total - 1) / SEGMENT * SEGMENT;
            // The report that fills a segment may get lost.
            if !(lost && total.is_multiple_of(SEGMENT)) {
                peer.send(u64::from(total / 8), 77u32.wrapping_add(segment), 9, (total - segment) as u16, false);
            }
        }
        let segment = total / SEGMENT * SEGMENT;
        peer.send(30_000, 77 + segment, 9, (total - segment) as u16, true);
        assert_eq!(peer.told(), [(9, 20, false), (9, total / 8, true)], "{lost}");
    }
}

/// The same key twice in a row is two digits, however close.
#[test]
fn the_same_key_again_is_another_digit() {
    let mut peer = Peer::new();
    for (timestamp, ms) in [(1_000, 0), (1_640, 80), (2_280, 160)] {
        peer.send_with(ms + 20, timestamp, 2, 160, false, true);
        peer.send(ms + 60, timestamp, 2, 480, true);
        peer.send(ms + 60, timestamp, 2, 480, true);
    }
    assert_eq!(peer.told().iter().filter(|digit| digit.2).count(), 3);
    assert_eq!(peer.told().len(), 6);
}

#[test]
fn other_events_and_torn_packets_are_no_digits() {
    let mut peer = Peer::new();
    peer.send(20, 1_000, 16, 160, true);
    peer.send(20, 2_000, 255, 160, true);
    assert_eq!(Payload::parse(&[1, 2, 3]), None);
    assert_eq!(peer.told(), []);
}

#[test]
fn timestamps_wrap() {
    let mut peer = Peer::new();
    peer.send(20, u32::MAX - 100, 4, 160, false);
    peer.send(40, u32::MAX - 100, 4, 320, true);
    peer.send(100, 500, 5, 160, true);
    assert_eq!(peer.told().iter().filter(|digit| digit.2).count(), 2);
}
