//! Digits from every way to every way.

use super::line::*;
use crate::audio::*;

/// How digits travel on one leg.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Events(u8, u32),
    InBand,
    /// By signalling, which tells a digit when it is over, with its duration; the core carries it between its requests and the relay.
    Info,
}

const WAYS: [Way; 4] = [Way::Events(101, 8_000), Way::Events(102, 48_000), Way::InBand, Way::Info];

fn leg(way: Way) -> (Speaking, Hearing) {
    let events = match way {
        Way::Events(payload, clock_hz) => Some((payload, clock_hz)),
        Way::InBand | Way::Info => None,
    };
    let codec = if way == WAYS[1] { Codec::Opus } else { Codec::Pcmu };
    (Speaking { events, ..speaking(codec, 8_000) }, Hearing { in_band: way == Way::InBand, ..hearing() })
}

/// A phone, the node and another phone: the node hears on one leg and speaks on the other.
struct Call {
    ways: [Way; 2],
    from: Line,
    to: Line,
    /// What the other phone understood.
    digits: Vec<Digit>,
    /// What the node passed on as audio while it listened.
    passed: Vec<i16>,
}

impl Call {
    fn new(from: Way, to: Way) -> Call {
        let ((speaking, hearing), (onwards, heard)) = (leg(from), leg(to));
        Call {
            ways: [from, to],
            from: Line::heard_by(&speaking, &hearing),
            to: Line::heard_by(&onwards, &heard),
            digits: Vec::new(),
            passed: Vec::new(),
        }
    }

    /// `ms` of silence said by the phone, and all that follows from it.
    fn run(&mut self, ms: usize, fate: &mut Fate<'_>) {
        for _ in 0..ms / 10 {
            let quiet = vec![0; self.from.mouth.rate_hz() as usize / 100];
            let heard = self.from.say(&quiet, 8_000, fate);
            self.passed.extend(&heard);
            while let Some(digit) = self.from.ear.poll_digit() {
                match self.ways[1] {
                    Way::Info => self.digits.push(digit),
                    _ => self.to.mouth.digit(digit),
                }
            }
            self.to.say(&heard, 8_000, &mut at_once);
            while let Some(digit) = self.to.ear.poll_digit() {
                self.digits.push(digit);
            }
        }
    }

    fn press(&mut self, symbol: char, ms: u32, fate: &mut Fate<'_>) {
        let digit = Digit::whole(symbol, ms).unwrap();
        match self.ways[0] {
            Way::Info => self.to.mouth.digit(digit),
            _ => self.from.mouth.digit(digit),
        }
        self.run(ms as usize + 160, fate);
    }

    fn ended(&self) -> Vec<(char, u32)> {
        self.digits.iter().filter(|digit| digit.end).map(|digit| (digit.symbol(), digit.duration_ms)).collect()
    }
}

/// Each digit arrives once, and lasts as long as it was pressed: within one packet.
#[test]
fn every_way_to_every_way() {
    for from in WAYS {
        // From one request to another one nothing is turned into anything.
        for to in WAYS.into_iter().filter(|to| (from, *to) != (Way::Info, Way::Info)) {
            let mut call = Call::new(from, to);
            call.run(200, &mut at_once);
            let durations = [40, 80, 100, 160, 250, 333];
            for (n, symbol) in "0123456789*#ABCD".chars().enumerate() {
                call.press(symbol, durations[n % 6], &mut at_once);
            }
            call.run(400, &mut at_once);
            let ended = call.ended();
            assert_eq!(ended.iter().map(|(symbol, _)| symbol).collect::<String>(), "0123456789*#ABCD", "{from:?} to {to:?}");
            assert_eq!(call.digits.len(), 32, "{from:?} to {to:?}: each begins and ends once");
            for (n, (symbol, ms)) in ended.into_iter().enumerate() {
                assert!(ms.abs_diff(durations[n % 6]) <= 20, "{from:?} to {to:?}: {symbol} lasts {ms} of {}", durations[n % 6]);
                let is_exact = from != Way::InBand && to != Way::InBand && durations[n % 6] % 20 == 0;
                assert!(!is_exact || ms == durations[n % 6], "{from:?} to {to:?}: {symbol} lasts {ms} of {}", durations[n % 6]);
            }
        }
    }
}

/// Every second packet of an event is lost, its beginning or its ends among them.
#[test]
fn events_survive_loss() {
    for phase in 0..2 {
        let mut call = Call::new(WAYS[0], WAYS[1]);
        let mut lossy = |n: u64| (n % 2 == phase).then_some(std::time::Duration::ZERO);
        call.run(200, &mut at_once);
        for symbol in "0123456789*#ABCD".chars() {
            call.press(symbol, 100, &mut lossy);
        }
        call.run(600, &mut at_once);
        let ended = call.ended();
        assert_eq!(ended.iter().map(|(symbol, _)| symbol).collect::<String>(), "0123456789*#ABCD");
        assert!(ended.iter().all(|(_, ms)| ms.abs_diff(100) <= 20), "{ended:?}");
    }
}

/// 20 s are three segments at 8 kHz, fifteen at 48 kHz.
#[test]
fn a_key_held_for_long_is_one_digit() {
    for to in [WAYS[0], WAYS[1]] {
        for from in [WAYS[0], WAYS[1]] {
            let mut call = Call::new(from, to);
            call.run(200, &mut at_once);
            call.press('5', 20_000, &mut at_once);
            call.run(600, &mut at_once);
            assert_eq!(call.ended(), [('5', 20_000)], "{from:?} to {to:?}");
            assert_eq!(call.digits.len(), 2);
        }
    }
}

/// A digit that arrives as an event is not heard as a tone beside it, and what is left of a tone that became an event is too short to be
/// recognised (ITU-T Q.24).
#[test]
fn no_digit_comes_twice() {
    let mut call = Call::new(Way::InBand, WAYS[0]);
    call.to = Line::heard_by(&leg(WAYS[0]).0, &Hearing { in_band: true, ..hearing() });
    call.run(200, &mut at_once);
    for symbol in "159D".chars() {
        call.press(symbol, 120, &mut at_once);
    }
    call.run(400, &mut at_once);
    assert_eq!(call.ended().len(), 4, "{:?}", call.digits);
    let loud = call.passed.chunks(8).filter(|ms| ms.iter().any(|sample| sample.abs() > 2_000)).count();
    assert!(loud < 4 * 24, "{loud} ms of four tones were passed on");
}

/// Three packets tell the end (RFC 4733 2.5.1.4); the first has the marker, and all have one timestamp.
#[test]
fn events_are_sent_as_the_rfc_says() {
    let mut line = Line::new(&speaking(Codec::Pcma, 8_000));
    line.say(&[0; 320], 8_000, &mut at_once);
    line.mouth.digit(Digit::whole('#', 100).unwrap());
    line.say(&[0; 160 * 12], 8_000, &mut at_once);
    let events: Vec<_> = line.packets.iter().filter(|packet| packet[1] & 0x7f == 101).collect();
    let field = |from: usize, to: usize| events.iter().map(|packet| packet[from..to].to_vec()).collect::<Vec<_>>();
    assert_eq!(events.len(), 7);
    assert!(events.iter().enumerate().all(|(n, packet)| (packet[1] & 0x80 != 0) == (n == 0) && packet[12] == 11));
    assert!(field(4, 8).windows(2).all(|pair| pair[0] == pair[1]));
    let durations: Vec<u16> = events.iter().map(|packet| u16::from_be_bytes([packet[14], packet[15]])).collect();
    assert_eq!(durations, [160, 320, 480, 640, 800, 800, 800]);
    assert_eq!(events.iter().map(|packet| packet[13] >> 7).collect::<Vec<_>>(), [0, 0, 0, 0, 1, 1, 1]);
    // Sequence numbers go on, and speech after it begins a talkspurt where time stands.
    let sequences: Vec<u16> = line.packets.iter().map(|packet| u16::from_be_bytes([packet[2], packet[3]])).collect();
    assert!(sequences.windows(2).all(|pair| pair[1] == pair[0] + 1));
    let stamp = |n: usize| u32::from_be_bytes(line.packets[n][4..8].try_into().unwrap());
    assert_eq!((stamp(9).wrapping_sub(stamp(1)), line.packets[9][1]), (8 * 160, 0x80 | 8));
}
