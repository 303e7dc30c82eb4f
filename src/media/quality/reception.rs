//! Loss and jitter of what one port receives (RFC 3550 A.1, A.3, A.8). A fixed size, no allocation, a few comparisons a packet.

use super::making::Heard;
use ringfort_base::Time;

/// A jump ahead that is more than a gap: the sender began anew (RFC 3550 A.1).
const DROPOUT_MAX: u16 = 3_000;
/// How far back a packet may belong that is only late (RFC 3550 A.1).
const MISORDER_MAX: u16 = 100;

/// What was measured since the port was opened, streams that came one after another taken together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reception {
    stream: Option<Stream>,
    /// Packets that earlier streams lost.
    lost_before: u64,
    /// Highest jitter of any stream, µs.
    jitter_max_us: u32,
}

/// One synchronisation source, from one beginning to the next.
#[derive(Clone, Copy, Debug)]
struct Stream {
    ssrc: u32,
    /// Sequence number that the count began with, extended by roll-overs.
    first: u64,
    /// Highest one so far, extended.
    highest: u64,
    received: u64,
    /// A jump was seen, and this number would confirm that the sender began anew.
    confirms: Option<u16>,
    /// Arrival and RTP timestamp of the packet before, for jitter.
    before: Option<(Time, u32)>,
    /// In 1/16 µs, as RFC 3550 A.8 keeps it.
    jitter_16: u64,
}

/// Where the count stands, to be handed to whoever counts meanwhile (the kernel), and taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The stream's source; `None`: nothing came yet, and the next four are 0.
    pub ssrc: Option<u32>,
    /// Sequence number that the count began with, extended by roll-overs.
    pub first: u64,
    /// Highest one so far, extended.
    pub highest: u64,
    /// Packets of this stream.
    pub received: u64,
    /// Jitter of this stream, 1/16 µs.
    pub jitter_16: u64,
    /// Packets that earlier streams lost.
    pub lost_before: u64,
    /// Highest jitter of any stream, µs.
    pub jitter_max_us: u32,
}

impl Stream {
    fn begin(ssrc: u32, sequence: u16) -> Stream {
        // Room for what comes late from before the first packet.
        let first = (1 << 16) | u64::from(sequence);
        Stream { ssrc, first, highest: first, received: 1, confirms: None, before: None, jitter_16: 0 }
    }

    fn expected(&self) -> u64 {
        self.highest - self.first + 1
    }

    /// Duplicates can make more received than expected: that is no loss.
    fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }

    /// False: it belongs to a new beginning.
    fn takes(&mut self, sequence: u16) -> bool {
        let ahead = sequence.wrapping_sub(self.highest as u16);
        if ahead < DROPOUT_MAX {
            self.highest += u64::from(ahead);
        } else if ahead <= u16::MAX - MISORDER_MAX {
            // Two in a row make a new beginning; one alone is a stray.
            let anew = self.confirms == Some(sequence);
            self.confirms = Some(sequence.wrapping_add(1));
            return !anew;
        } else {
            // Late. What is older than the first packet was never expected.
            let back = u64::from((self.highest as u16).wrapping_sub(sequence));
            self.first = self.first.min(self.highest - back);
        }
        self.confirms = None;
        self.received += 1;
        true
    }

    fn spaced(&mut self, now: Time, timestamp: u32, clock_hz: u32) {
        if let Some((at, stamp)) = self.before.replace((now, timestamp)) {
            let arrived_us = now.since(at).as_micros() as i64;
            let sent_us = i64::from(timestamp.wrapping_sub(stamp) as i32) * 1_000_000 / i64::from(clock_hz.max(1));
            let difference = (arrived_us - sent_us).unsigned_abs();
            // A pause or a new time base is no jitter.
            if difference < 1_000_000 {
                self.jitter_16 = self.jitter_16 + difference - ((self.jitter_16 + 8) >> 4);
            }
        }
    }

    fn jitter_us(&self) -> u32 {
        (self.jitter_16 >> 4) as u32
    }
}

impl Reception {
    /// The source that was received last.
    pub fn source(&self) -> Option<u32> {
        self.stream.map(|stream| stream.ssrc)
    }

    /// A packet that was taken, in plain. `clock_hz` is the clock of its payload type when it is speech: others, such as telephone
    /// events, keep the time of their beginning.
    pub fn packet(&mut self, now: Time, packet: &[u8], clock_hz: Option<u32>) {
        let Some(&[_, _, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3]) = packet.first_chunk::<12>() else { return };
        let (sequence, timestamp) = (u16::from_be_bytes([s0, s1]), u32::from_be_bytes([t0, t1, t2, t3]));
        let ssrc = u32::from_be_bytes([i0, i1, i2, i3]);
        let goes_on = self.stream.as_mut().filter(|stream| stream.ssrc == ssrc).is_some_and(|stream| stream.takes(sequence));
        if !goes_on {
            self.close();
            self.stream = Some(Stream::begin(ssrc, sequence));
        }
        if let (Some(stream), Some(clock_hz)) = (&mut self.stream, clock_hz) {
            stream.spaced(now, timestamp, clock_hz);
            self.jitter_max_us = self.jitter_max_us.max(stream.jitter_us());
        }
    }

    /// Where the count stands.
    pub fn progress(&self) -> Progress {
        let whole = Progress { lost_before: self.lost_before, jitter_max_us: self.jitter_max_us, ..Progress::default() };
        self.stream.map_or(whole, |stream| Progress {
            ssrc: Some(stream.ssrc),
            first: stream.first,
            highest: stream.highest,
            received: stream.received,
            jitter_16: stream.jitter_16,
            ..whole
        })
    }

    /// Goes on from there. The time between the packet before and the next one is not taken for jitter.
    pub fn resume(&mut self, from: Progress) {
        let Progress { ssrc, first, highest, received, jitter_16, lost_before, jitter_max_us } = from;
        let stream = ssrc.map(|ssrc| Stream { ssrc, first, highest, received, confirms: None, before: None, jitter_16 });
        *self = Reception { stream, lost_before, jitter_max_us };
    }

    /// What is to be reported of the stream that comes, by its clock. `None`: nothing came.
    pub fn heard(&self, clock_hz: u32) -> Option<Heard> {
        self.stream.map(|stream| Heard {
            ssrc: stream.ssrc,
            highest: stream.highest.wrapping_sub(1 << 16) as u32,
            expected: stream.expected(),
            received: stream.received,
            jitter: (u64::from(stream.jitter_us()) * u64::from(clock_hz) / 1_000_000) as u32,
            last_report: None,
        })
    }

    fn close(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.lost_before += stream.lost();
        }
    }

    /// Packets that did not come, duplicates taken off.
    pub fn lost(&self) -> u64 {
        self.lost_before + self.stream.map_or(0, |stream| stream.lost())
    }

    /// Interarrival jitter now, µs (RFC 3550 6.4.1).
    pub fn jitter_us(&self) -> u32 {
        self.stream.map_or(0, |stream| stream.jitter_us())
    }

    /// The highest jitter so far, µs.
    pub fn jitter_max_us(&self) -> u32 {
        self.jitter_max_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets as `(ssrc, sequence number, timestamp, arrival in µs)`.
    fn heard(packets: impl IntoIterator<Item = (u32, u16, u32, u64)>) -> Reception {
        let mut reception = Reception::default();
        for (ssrc, sequence, timestamp, at) in packets {
            let packet = [&[0x80, 0][..], &sequence.to_be_bytes(), &timestamp.to_be_bytes(), &ssrc.to_be_bytes()].concat();
            reception.packet(Time::from_micros(at), &packet, Some(8_000));
        }
        reception
    }

    fn even(numbers: impl IntoIterator<Item = u64>) -> impl Iterator<Item = (u32, u16, u32, u64)> {
        numbers.into_iter().map(|n| (7, n as u16, n as u32 * 160, n * 20_000))
    }

    #[test]
    fn what_does_not_come_is_lost_and_what_comes_late_is_not() {
        assert_eq!(heard(even(0..100)).lost(), 0);
        assert_eq!(heard(even((0..100).filter(|n| n % 10 != 5))).lost(), 10);
        assert_eq!(heard(even([0, 1, 3, 2, 4])).lost(), 0, "swapped");
        assert_eq!(heard(even([5, 4, 6])).lost(), 0, "late from before the first");
        assert_eq!(heard(even([0, 1, 1, 1, 2])).lost(), 0, "a duplicate");
        assert_eq!(heard(even([65_530, 65_533, 65_536, 65_540])).lost(), 7, "across the roll-over");
        assert_eq!(heard(even(65_000..200_000)).lost(), 0, "two roll-overs");
    }

    #[test]
    fn a_sender_that_begins_anew_loses_nothing() {
        let anew = (0..50).map(|n| (7, 30_000 + n as u16, n as u32 * 160, 2_000_000 + n * 20_000));
        assert_eq!(heard(even(0..100).chain(anew)).lost(), 0);
        let other = (0..50).map(|n| (8, 30_000 + n as u16, n as u32 * 160, 2_000_000 + n * 20_000));
        assert_eq!(heard(even((0..100).filter(|n| *n != 3)).chain(other)).lost(), 1, "another source");
        let stray = even(0..10).chain([(7, 40_000, 0, 200_000)]).chain(even(10..20));
        assert_eq!(heard(stray).lost(), 0, "a stray is no beginning");
    }

    #[test]
    fn a_count_goes_on_where_another_one_stood() {
        let mut reception = heard(even((0..50).filter(|n| *n != 7)));
        let progress = reception.progress();
        assert_eq!((progress.ssrc, progress.received), (Some(7), 49));
        reception.resume(Progress { highest: progress.highest + 100, received: progress.received + 98, ..progress });
        assert_eq!(reception.lost(), 3);
        let next = [&[0x80, 0][..], &150u16.to_be_bytes(), &[0; 4], &7u32.to_be_bytes()].concat();
        reception.packet(Time::from_millis(9), &next, Some(8_000));
        assert_eq!(reception.lost(), 3, "it follows on what was counted elsewhere");
        assert_eq!(heard([]).progress(), Progress::default());
    }

    #[test]
    fn jitter_is_what_arrival_adds_to_sending() {
        assert_eq!(heard(even(0..500)).jitter_us(), 0);
        // ±5 ms by turns: the difference between neighbours is 10 ms, and so is the estimate in the end.
        let uneven = even(0..500).map(|(ssrc, n, stamp, at)| (ssrc, n, stamp, if n % 2 == 0 { at } else { at + 10_000 }));
        let jitter = heard(uneven).jitter_us();
        assert!((9_500..=10_000).contains(&jitter), "{jitter}");
        let pause = even(0..10).chain((10..20).map(|n| (7, n as u16, n as u32 * 160, 60_000_000 + n * 20_000)));
        assert_eq!(heard(pause).jitter_us(), 0, "silence is no jitter");
    }
}
