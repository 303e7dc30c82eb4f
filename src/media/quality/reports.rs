//! Sender and receiver reports on their way through the node (RFC 3550 6.4): what a peer says of the audio that it gets, and how long
//! a packet takes to it and back. The node reads what passes; reports of its own are made in `making.rs`.

use super::extended::{self, Told};
use ringfort_base::Time;
use std::time::Duration;

const SENDER: u8 = 200;
const RECEIVER: u8 = 201;
/// Octets of one report block.
const BLOCK: usize = 24;
/// Reports of SSRC and more in front of the blocks: of a sender and of a receiver.
const BEFORE_BLOCKS: [usize; 2] = [28, 8];
/// Sender reports that are remembered.
const SENT_KEPT: usize = 3;
/// A round trip that takes longer was measured from another report.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(10);

/// What a peer reports of one source that it listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The source.
    pub ssrc: u32,
    /// Packets that it missed since the beginning; fewer than none where duplicates came.
    pub lost: i32,
    /// Interarrival jitter in units of the stream's clock.
    pub jitter: u32,
    /// Middle 32 bits of the time in the last sender report that it got; 0: it got none.
    pub last_report: u32,
    /// How long ago that was, in 1/65536 s.
    pub since_report: u32,
}

/// Sources of sender reports with their times, and blocks, of a compound packet, in order. What does not fit is left out.
pub fn read(mut compound: &[u8], mut sender: impl FnMut(u32, u32), mut block: impl FnMut(Block)) {
    while let Some(&[first, kind, high, low]) = compound.first_chunk::<4>() {
        let length = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        let Some(packet) = compound.get(..length) else { return };
        if first >> 6 != 2 {
            return;
        }
        if kind == SENDER
            && let (Some(source), Some(time)) = (word(packet, 4), word(packet, 10))
        {
            sender(source, time);
        }
        if matches!(kind, SENDER | RECEIVER) {
            let blocks = packet.get(BEFORE_BLOCKS[usize::from(kind == RECEIVER)]..).unwrap_or_default();
            blocks.chunks_exact(BLOCK).take(usize::from(first & 0x1f)).filter_map(block_of).for_each(&mut block);
        }
        compound = &compound[length..];
    }
}

fn word(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..)?.first_chunk::<4>().map(|word| u32::from_be_bytes(*word))
}

fn block_of(octets: &[u8]) -> Option<Block> {
    Some(Block {
        ssrc: word(octets, 0)?,
        // 24 bits with a sign behind eight of the fraction.
        lost: (word(octets, 4)? << 8) as i32 >> 8,
        jitter: word(octets, 12)?,
        last_report: word(octets, 16)?,
        since_report: word(octets, 20)?,
    })
}

/// Which sources are audio, where there are others in the same bundle. `None`: whatever is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audio {
    /// The source that the peer sends.
    pub from: Option<u32>,
    /// The source that goes to the peer.
    pub to: Option<u32>,
}

/// Measures the way to one peer and back: by a sender report, or an extended one's time, that was passed on to it, and its next report.
/// Keeps what the peer says of its audio.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundTrip {
    /// Times in the last sender reports that went to it, newest first. It answers to the last one that it got, and there may be newer ones on
    /// their way.
    sent: [Option<(u32, Time)>; SENT_KEPT],
    /// The reference time that went to it last.
    asked: Option<(u32, Time)>,
    last: Option<Duration>,
    /// The peer's last sender report.
    heard: Option<(u32, Time)>,
    /// What the peer missed of what it was sent, as it says.
    lost: u32,
    /// Ten times the mean opinion score of what it hears, as it says.
    mos_tenths: Option<u8>,
}

impl RoundTrip {
    /// A compound packet goes out to the peer, in plain.
    pub fn passed_on(&mut self, now: Time, compound: &[u8]) {
        read(
            compound,
            |_, time| {
                self.sent.rotate_right(1);
                self.sent[0] = Some((time, now));
            },
            |_| {},
        );
        extended::read(compound, |told| {
            if let Told::ReferenceTime(time) = told {
                self.asked = Some((time, now));
            }
        });
    }

    /// One comes from the peer, in plain. `audio` says of which sources more is kept than the way's length.
    pub fn came(&mut self, now: Time, compound: &[u8], audio: Audio) {
        let (sent, mut last, mut lost, mut heard) = (self.sent, self.last, self.lost, self.heard);
        read(
            compound,
            |source, time| {
                if audio.from.is_none_or(|audio| audio == source) {
                    heard = Some((time, now));
                }
            },
            |block| {
                if audio.to.is_none_or(|audio| audio == block.ssrc) {
                    lost = u32::try_from(block.lost).unwrap_or_default();
                }
                let trips = sent.iter().map(|sent| trip(now, *sent, block.last_report, block.since_report));
                last = trips.flatten().next().or(last);
            },
        );
        (self.last, self.lost, self.heard) = (last, lost, heard);
        extended::read(compound, |told| match told {
            Told::Delay { last, since } => self.last = trip(now, self.asked, last, since).or(self.last),
            Told::Voip(metrics) => self.mos_tenths = metrics.mos_listening.or(self.mos_tenths),
            Told::ReferenceTime(_) => {}
        });
    }

    /// Ten times the mean opinion score of what the peer hears, as it says; `None`: it has not said.
    pub fn mos_tenths(&self) -> Option<u8> {
        self.mos_tenths
    }

    /// The last one measured.
    pub fn last(&self) -> Option<Duration> {
        self.last
    }

    /// The peer's last sender report, and how long ago it came.
    pub fn last_report(&self, now: Time) -> Option<(u32, Duration)> {
        self.heard.map(|(time, at)| (time, now.since(at)))
    }

    /// Packets that the peer says it missed.
    pub fn peer_lost(&self) -> u32 {
        self.lost
    }
}

/// The way there and back, of a time that went out and came back after it was held for `since` 1/65536 s. `None`: it was another time, or
/// cannot be.
fn trip(now: Time, sent: Option<(u32, Time)>, last: u32, since: u32) -> Option<Duration> {
    let (_, at) = sent.filter(|(time, _)| *time == last && *time != 0)?;
    let held = Duration::from_micros(u64::from(since) * 1_000_000 / 65_536);
    now.since(at).checked_sub(held).filter(|trip| *trip <= ROUND_TRIP_MAX)
}

#[cfg(test)]
mod tests {
    use super::super::extended::tests::{extended, voip};
    use super::*;

    fn report(kind: u8, ntp_middle: u32, blocks: &[Block]) -> Vec<u8> {
        let mut out = vec![0x80 | blocks.len() as u8, kind, 0, 0];
        out.extend(7u32.to_be_bytes());
        if kind == SENDER {
            out.extend([1, 2]);
            out.extend(ntp_middle.to_be_bytes());
            out.extend([0; 14]);
        }
        for block in blocks {
            out.extend(block.ssrc.to_be_bytes());
            out.extend((block.lost as u32 & 0xff_ffff).to_be_bytes());
            out.extend([0; 4]);
            out.extend(block.jitter.to_be_bytes());
            out.extend(block.last_report.to_be_bytes());
            out.extend(block.since_report.to_be_bytes());
        }
        let words = (out.len() / 4 - 1) as u16;
        out[2..4].copy_from_slice(&words.to_be_bytes());
        out
    }

    fn block(lost: i32, last_report: u32, since_report: u32) -> Block {
        Block { ssrc: 9, lost, jitter: 3, last_report, since_report }
    }

    #[test]
    fn blocks_and_times_are_read_of_compounds_and_nothing_of_noise() {
        let blocks = [block(5, 1, 2), block(-3, 0, 0)];
        let compound = [
            report(SENDER, 0xabcd_1234, &blocks),
            vec![0x81, 202, 0, 2, 0, 0, 0, 7, 1, 0, 0, 0],
            report(RECEIVER, 0, &blocks[..1]),
        ];
        let (mut times, mut read_blocks) = (Vec::new(), Vec::new());
        read(&compound.concat(), |_, time| times.push(time), |block| read_blocks.push(block));
        assert_eq!((times, read_blocks), (vec![0xabcd_1234], vec![blocks[0], blocks[1], blocks[0]]));
        for noise in
            [&[][..], &[0x80], &[0x9f, 200, 0, 1, 0, 0, 0, 0], &[0x80, 201, 0xff, 0xff, 0, 0], &[0, 201, 0, 1, 0, 0, 0, 0]]
        {
            read(noise, |_, _| {}, |block| panic!("{block:?}"));
        }
    }

    #[test]
    fn a_round_trip_is_the_time_without_what_the_peer_held() {
        let mut trip = RoundTrip::default();
        trip.passed_on(Time::from_micros(1_000_000), &report(SENDER, 77, &[]));
        // Half a second later, of which it held 0.4 s.
        trip.came(Time::from_micros(1_500_000), &report(RECEIVER, 0, &[block(4, 77, 26_214)]), Audio::default());
        let measured = trip.last().expect("measured").as_millis();
        assert!((99..=101).contains(&measured), "{measured} ms");
        assert_eq!(trip.peer_lost(), 4);
        trip.came(Time::from_micros(2_000_000), &report(RECEIVER, 0, &[block(4, 78, 0)]), Audio::default());
        assert_eq!(trip.last().expect("still").as_millis(), measured, "of another report");
        trip.came(Time::from_micros(2_000_000), &report(RECEIVER, 0, &[block(-4, 77, u32::MAX)]), Audio::default());
        assert_eq!(
            (trip.last().expect("still").as_millis(), trip.peer_lost()),
            (measured, 0),
            "it held longer than the whole way"
        );
    }

    /// On a long way the next report is out before the answer to the one before is back.
    #[test]
    fn an_answer_to_an_earlier_report_counts() {
        let mut trip = RoundTrip::default();
        for n in 1..=4u32 {
            trip.passed_on(Time::from_millis(u64::from(n) * 1_000), &report(SENDER, n, &[]));
        }
        trip.came(Time::from_millis(4_100), &report(RECEIVER, 0, &[block(0, 3, 65_536)]), Audio::default());
        assert_eq!(trip.last(), Some(Duration::from_millis(100)));
        trip.came(Time::from_millis(4_200), &report(RECEIVER, 0, &[block(0, 1, 65_536)]), Audio::default());
        assert_eq!(trip.last(), Some(Duration::from_millis(100)), "that one is forgotten");
    }

    #[test]
    fn extended_reports_measure_the_way_and_tell_what_is_heard() {
        let mut trip = RoundTrip::default();
        let time = [&[0u8, 1][..], &77u32.to_be_bytes(), &[0, 0]].concat();
        trip.passed_on(Time::from_micros(1_000_000), &extended(&[(4, time)]));
        let delay = [7u32, 77, 26_214].map(u32::to_be_bytes).concat();
        trip.came(Time::from_micros(1_500_000), &extended(&[(5, delay), voip(93, 42, 41)]), Audio::default());
        let measured = trip.last().expect("measured").as_millis();
        assert!((99..=101).contains(&measured), "{measured} ms");
        assert_eq!(trip.mos_tenths(), Some(42));
        trip.came(Time::from_micros(1_600_000), &extended(&[voip(93, 127, 127)]), Audio::default());
        assert_eq!(trip.mos_tenths(), Some(42), "what it does not tell changes nothing");
    }
}
