//! The node's own sender and receiver reports (RFC 3550 6.4), for a peer that gets none otherwise: the other party sends none, or the
//! node is the end of the stream. While reports of the other party pass, the node is silent: they say more.
//!
//! Feed a [`Reporter`] with [`Reporter::sent`] and [`Reporter::passed`]; when [`Reporter::is_due`], have it [`write`](Reporter::write).

use ringfort_base::entropy::Seeded;
use ringfort_base::{Entropy, Time};
use std::time::Duration;

/// Minimum interval, of which each is 0.5 to 1.5 times, divided by e - 1.5 (RFC 3550 6.2, 6.3.1). Two participants never need a longer
/// one.
const INTERVAL_MS: u64 = 5_000;
/// e - 1.5, in thousandths.
const COMPENSATION: u64 = 1_218;
/// Another party's reports are waited for so long, and missed after that: longer than its longest two intervals.
const PATIENCE: Duration = Duration::from_secs(15);
/// Who sent nothing for so long is no sender (RFC 3550 6.4: two intervals).
const SENDER_MAX: Duration = Duration::from_secs(10);
/// Octets that any of these packets has at most: sender report with a block, CNAME, BYE.
pub const MADE_MAX: usize = 128;

/// What is reported of the stream that comes from the peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Its source.
    pub ssrc: u32,
    /// Highest sequence number, with the count of its roll-overs.
    pub highest: u32,
    /// Packets that should have come.
    pub expected: u64,
    /// Packets that came.
    pub received: u64,
    /// Interarrival jitter in units of the stream's clock.
    pub jitter: u32,
    /// Middle of the time in the peer's last sender report, and how long ago that came.
    pub last_report: Option<(u32, Duration)>,
}

/// What was sent to the peer of one source.
#[derive(Clone, Copy, Debug)]
struct Sent {
    ssrc: u32,
    packets: u32,
    octets: u32,
    stamp: u32,
    clock_hz: u32,
    at: Time,
}

/// Makes the reports to one peer.
#[derive(Clone, Debug)]
pub struct Reporter {
    /// The node's own source, while it only listens.
    ssrc: u32,
    /// Random, and so the same for nobody else (RFC 7022 4.2).
    name: [u8; 16],
    dice: Seeded,
    began: Option<Time>,
    due: Option<Time>,
    /// When a report of the other party passed.
    passed: Option<Time>,
    sent: Option<Sent>,
    /// Source, expected and received packets at the last report.
    before: (u32, u64, u64),
    has_reported: bool,
}

impl Reporter {
    /// `dice` says what is random of it.
    pub fn new(dice: &mut Seeded) -> Reporter {
        let mut own = Seeded::new(dice.next());
        let name = own.token(16);
        let mut octets = [b'a'; 16];
        octets.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
        let ssrc = own.next() as u32;
        Reporter {
            ssrc,
            name: octets,
            dice: own,
            began: None,
            due: None,
            passed: None,
            sent: None,
            before: (0, 0, 0),
            has_reported: false,
        }
    }

    /// An RTP packet goes to the peer, in plain. `clock_hz`: its clock, where that is known.
    pub fn sent(&mut self, now: Time, packet: &[u8], clock_hz: Option<u32>) {
        let Some(&[first, _, _, _, t0, t1, t2, t3, i0, i1, i2, i3]) = packet.first_chunk::<12>() else { return };
        let (stamp, ssrc) = (u32::from_be_bytes([t0, t1, t2, t3]), u32::from_be_bytes([i0, i1, i2, i3]));
        let payload = packet.len().saturating_sub(12 + 4 * usize::from(first & 0x0f)) as u32;
        let before = self.sent.filter(|sent| sent.ssrc == ssrc);
        let (packets, octets) = before.map_or((0, 0), |sent| (sent.packets, sent.octets));
        let clock_hz = clock_hz.or(before.map(|sent| sent.clock_hz)).unwrap_or(0);
        self.sent =
            Some(Sent { ssrc, packets: packets.wrapping_add(1), octets: octets.wrapping_add(payload), stamp, clock_hz, at: now });
    }

    /// What was sent so far is somebody else's to report.
    pub fn forget_sent(&mut self) {
        self.sent = None;
    }

    /// The source of the audio that went to the peer last.
    pub fn source(&self) -> Option<u32> {
        self.sent.map(|sent| sent.ssrc)
    }

    /// A report of the other party goes to the peer.
    pub fn passed(&mut self, now: Time) {
        self.passed = Some(now);
    }

    /// Whether a report is to be made now. `alone`: there is no other party that could send one.
    pub fn is_due(&mut self, now: Time, alone: bool) -> bool {
        let began = *self.began.get_or_insert(now);
        let pause = self.pause();
        // The first one comes after half an interval (RFC 3550 6.2).
        let due = *self.due.get_or_insert(now + pause / 2);
        if now < due {
            return false;
        }
        self.due = Some(now + pause);
        let since = self.passed.unwrap_or(began);
        alone || now.since(since) >= PATIENCE
    }

    fn pause(&mut self) -> Duration {
        Duration::from_millis((INTERVAL_MS / 2 + self.dice.below(INTERVAL_MS + 1)) * 1_000 / COMPENSATION)
    }

    /// Whether the peer knows of the node's source, so that it should be told when that goes.
    pub fn has_reported(&self) -> bool {
        self.has_reported
    }

    /// Writes a report, with the node's name; `bye`: the last one. `ntp` is the time of day (RFC 3550 4). Returns its octets. `None`:
    /// there is nothing to report, or no room.
    pub fn write(&mut self, now: Time, ntp: u64, heard: Option<Heard>, bye: bool, out: &mut [u8]) -> Option<usize> {
        let sender = self.sent.filter(|sent| sent.clock_hz > 0 && now.since(sent.at) < SENDER_MAX);
        if sender.is_none() && heard.is_none() {
            return None;
        }
        let ssrc = sender.map_or(self.ssrc, |sent| sent.ssrc);
        let mut pen = Pen { out, len: 0 };
        let count = u32::from(heard.is_some());
        // Version 2, the count of blocks, SR or RR, the length in words less one.
        let (kind, words) = if sender.is_some() { (200, 6 + 6 * count) } else { (201, 1 + 6 * count) };
        pen.word(0x8000_0000 | count << 24 | kind << 16 | words)?;
        pen.word(ssrc)?;
        if let Some(sent) = sender {
            let passed = now.since(sent.at).as_micros() as u64 * u64::from(sent.clock_hz) / 1_000_000;
            pen.word((ntp >> 32) as u32)?;
            pen.word(ntp as u32)?;
            pen.word(sent.stamp.wrapping_add(passed as u32))?;
            pen.word(sent.packets)?;
            pen.word(sent.octets)?;
        }
        if let Some(heard) = heard {
            self.block(&mut pen, &heard)?;
        }
        // SDES: one chunk with SSRC, CNAME of 16 octets, and the end of the list (RFC 3550 6.5).
        pen.word(0x81ca_0006)?;
        pen.word(ssrc)?;
        pen.octets(&[1, 16])?;
        pen.octets(&self.name)?;
        pen.octets(&[0, 0])?;
        if bye {
            pen.word(0x81cb_0001)?;
            pen.word(ssrc)?;
        }
        self.has_reported = true;
        Some(pen.len)
    }

    fn block(&mut self, pen: &mut Pen<'_>, heard: &Heard) -> Option<()> {
        let (ssrc, expected, received) = self.before;
        let (expected, received) = if ssrc == heard.ssrc { (expected, received) } else { (0, 0) };
        let (expected, received) = (heard.expected.saturating_sub(expected), heard.received.saturating_sub(received));
        self.before = (heard.ssrc, heard.expected, heard.received);
        let fraction = expected.saturating_sub(received).min(expected) * 256 / expected.max(1);
        // 24 bits with a sign; duplicates make it negative (RFC 3550 A.3).
        let lost = (heard.expected as i64 - heard.received as i64).clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
        let (last, since) =
            heard.last_report.map_or((0, 0), |(last, since)| (last, since.as_micros() as u64 * 65_536 / 1_000_000));
        pen.word(heard.ssrc)?;
        pen.word((fraction.min(255) as u32) << 24 | lost)?;
        pen.word(heard.highest)?;
        pen.word(heard.jitter)?;
        pen.word(last)?;
        pen.word(u32::try_from(since).unwrap_or(u32::MAX))
    }
}

/// Writes octets as long as there is room.
struct Pen<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl Pen<'_> {
    fn octets(&mut self, octets: &[u8]) -> Option<()> {
        self.out.get_mut(self.len..self.len + octets.len())?.copy_from_slice(octets);
        self.len += octets.len();
        Some(())
    }

    fn word(&mut self, word: u32) -> Option<()> {
        self.octets(&word.to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::super::reports::read;
    use super::*;

    const SECOND: u64 = 1_000;

    fn packet(ssrc: u32, n: u32) -> Vec<u8> {
        [&[0x80, 0, 0, n as u8][..], &(n * 160).to_be_bytes(), &ssrc.to_be_bytes(), &[0; 160]].concat()
    }

    fn heard() -> Heard {
        let last_report = Some((0xabcd_1234, Duration::from_millis(500)));
        Heard { ssrc: 9, highest: 0x1_0063, expected: 100, received: 90, jitter: 17, last_report }
    }

    #[test]
    fn a_sender_report_tells_what_was_sent_and_what_was_heard() {
        let mut reporter = Reporter::new(&mut Seeded::new(1));
        (0..50).for_each(|n| reporter.sent(Time::from_millis(u64::from(n) * 20), &packet(7, n), Some(8_000)));
        let mut out = [0; MADE_MAX];
        let ntp = 0x1111_2222_3333_4444;
        let len = reporter.write(Time::from_millis(1_000), ntp, Some(heard()), false, &mut out).expect("a report");
        let (mut times, mut blocks) = (Vec::new(), Vec::new());
        read(&out[..len], |_, time| times.push(time), |block| blocks.push(block));
        assert_eq!(times, [0x2222_3333]);
        assert_eq!((blocks[0].ssrc, blocks[0].lost, blocks[0].jitter), (9, 10, 17));
        assert_eq!((blocks[0].last_report, blocks[0].since_report), (0xabcd_1234, 32_768));
        let word = |out: &[u8], at: usize| u32::from_be_bytes(*out[at..].first_chunk().unwrap());
        // The last packet was sent 20 ms ago.
        assert_eq!((word(&out, 4), word(&out, 16), word(&out, 20), word(&out, 24)), (7, 49 * 160 + 160, 50, 50 * 160));
        assert_eq!(out[32], 25, "a tenth of them was lost: 25/256");
        assert_eq!((len, out[52 + 1], word(&out, 56), out[60..62].to_vec()), (52 + 28, 202, 7, vec![1, 16]));
        // Nothing more is lost until the next one.
        reporter.write(Time::from_millis(1_100), ntp, Some(heard()), true, &mut out).expect("a report");
        assert_eq!((out[32], out[80 + 1], word(&out, 84)), (0, 203, 7), "and says goodbye");
    }

    #[test]
    fn who_sends_nothing_reports_under_a_source_of_its_own() {
        let mut reporter = Reporter::new(&mut Seeded::new(1));
        let mut out = [0; MADE_MAX];
        assert_eq!(reporter.write(Time::ZERO, 0, None, false, &mut out), None);
        assert!(!reporter.has_reported());
        reporter.sent(Time::ZERO, &packet(7, 1), Some(8_000));
        let len = reporter.write(Time::from_millis(11 * SECOND), 0, Some(heard()), false, &mut out).expect("a report");
        assert_eq!((out[1], len), (201, 8 + 24 + 28), "who was silent for ten seconds is no sender");
        assert_ne!(out[4..8], 7u32.to_be_bytes());
        assert_eq!(reporter.write(Time::ZERO, 0, Some(heard()), true, &mut out[..40]), None, "no room");
    }

    #[test]
    fn intervals_are_random_and_the_other_party_goes_first() {
        let mut reporter = Reporter::new(&mut Seeded::new(5));
        let due = |reporter: &mut Reporter, alone, from: u64, to: u64| -> Vec<u64> {
            (from * 10..to * 10).filter(|tenth| reporter.is_due(Time::from_millis(tenth * 100), alone)).collect()
        };
        let times = due(&mut reporter, true, 0, 600);
        assert!((10..=31).contains(&times[0]), "{times:?}");
        let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (20..=63).contains(gap)), "{gaps:?}");
        assert!(gaps.iter().any(|gap| *gap < 35) && gaps.iter().any(|gap| *gap > 50), "{gaps:?}");

        let mut reporter = Reporter::new(&mut Seeded::new(5));
        assert!(due(&mut reporter, false, 0, 15).is_empty(), "the other party's first reports are waited for");
        assert!(!due(&mut reporter, false, 15, 30).is_empty());
        reporter.passed(Time::from_millis(30 * SECOND));
        assert!(due(&mut reporter, false, 30, 45).is_empty());
        assert!(!due(&mut reporter, false, 45, 60).is_empty(), "it has ceased");
    }
}
