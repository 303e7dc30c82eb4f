//! Long streams: roll-over, loss, late packets, many SSRCs, restarts.

use super::super::{SrtpError, StreamPosition};
use super::*;
use ringfort_base::entropy::Seeded;
use ringfort_base::limits::{SRTP_RETIRED_MAX, SRTP_STREAMS_MAX};
use std::collections::HashSet;

/// 200,000 packets with 3 % loss and a shuffle within 8, across three roll-overs, with every delivered one intact.
#[test]
fn wraps_with_loss_and_reordering() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let mut random = Seeded::new(42);
        let mut pending = Vec::new();
        for n in 0..200_000u32 {
            let plain = rtp(7, (n + 30_000) as u16);
            pending.push((protected(&mut sender, &plain), plain));
            if pending.len() == 8 {
                let (secret, plain) = pending.swap_remove(random.below(8) as usize);
                if !random.chance(30) {
                    assert_eq!(unprotected(&mut receiver, &secret), Ok(plain), "packet {n}");
                }
            }
        }
        assert_eq!(receiver.positions().streams[0].rtp.unwrap().highest >> 16, 3);
    }
}

/// The sender too gets packets late: those of the old roll-over after the new one began.
#[test]
fn sender_takes_late_packets_across_the_wrap() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        for sequence in [65_533, 65_535, 1, 65_534, 0, 3, 2] {
            let secret = protected(&mut sender, &rtp(7, sequence));
            assert_eq!(unprotected(&mut receiver, &secret), Ok(rtp(7, sequence)), "sequence {sequence}");
        }
    }
}

#[test]
fn replays_are_refused() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let secrets: Vec<_> = (0..300).map(|n| protected(&mut sender, &rtp(7, n))).collect();
        for secret in &secrets {
            assert!(unprotected(&mut receiver, secret).is_ok());
        }
        for (n, secret) in secrets.iter().enumerate() {
            let expected = if n < 300 - 128 { SrtpError::TooOld } else { SrtpError::Replayed };
            assert_eq!(unprotected(&mut receiver, secret), Err(expected), "packet {n}");
        }
        let report = protected(&mut sender, &rtcp(7, 1));
        assert!(unprotected(&mut receiver, &report).is_ok());
        assert_eq!(unprotected(&mut receiver, &report), Err(SrtpError::Replayed));
    }
}

/// Sending two payloads under one index would repeat keystream.
#[test]
fn sender_never_uses_an_index_twice() {
    for profile in PROFILES {
        let (mut sender, _) = pair(profile);
        protected(&mut sender, &rtp(7, 5));
        let mut buffer = [rtp(7, 5), vec![0; 32]].concat();
        let len = buffer.len() - 32;
        assert_eq!(sender.protect_rtp(&mut buffer, len), Err(SrtpError::Replayed));
    }
}

#[test]
fn streams_are_kept_apart() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        for sequence in 0..50 {
            for ssrc in 0..SRTP_STREAMS_MAX as u32 {
                let plain = rtp(ssrc, sequence + 7 * ssrc as u16);
                let secret = protected(&mut sender, &plain);
                assert_eq!(unprotected(&mut receiver, &secret), Ok(plain));
            }
        }
        assert_eq!(receiver.positions().streams.len(), SRTP_STREAMS_MAX);
    }
}

/// The table is bounded; the least recently used makes room and does not come back at the sender.
#[test]
fn the_oldest_stream_makes_room() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        for ssrc in 0..=SRTP_STREAMS_MAX as u32 {
            let secret = protected(&mut sender, &rtp(ssrc, 1));
            assert_eq!(unprotected(&mut receiver, &secret), Ok(rtp(ssrc, 1)));
        }
        let kept: Vec<u32> = receiver.positions().streams.iter().map(|s| s.ssrc).collect();
        assert_eq!(kept, (1..=SRTP_STREAMS_MAX as u32).collect::<Vec<_>>());
        let mut buffer = [rtp(0, 2), vec![0; 32]].concat();
        let len = buffer.len() - 32;
        assert_eq!(sender.protect_rtp(&mut buffer, len), Err(SrtpError::Retired));
    }
}

fn refused(sender: &mut SrtpSender, packet: &[u8]) -> Option<SrtpError> {
    sender.protect_rtp(&mut [packet, &[0; 32]].concat(), packet.len()).err()
}

/// Who came back after nobody remembers that would begin at roll-over 0 again.
#[test]
fn a_sender_that_remembers_no_more_streams_takes_no_new_ones() {
    for profile in PROFILES {
        let (mut sender, _) = pair(profile);
        let all = (SRTP_STREAMS_MAX + SRTP_RETIRED_MAX) as u32;
        for ssrc in 0..all {
            protected(&mut sender, &rtp(ssrc, 1));
        }
        let mut restored = SrtpSender::new(&keys(profile, 0x5a)).unwrap();
        restored.restore(&sender.positions());
        for mut sender in [sender, restored] {
            assert_eq!(refused(&mut sender, &rtp(all, 1)), Some(SrtpError::TooManyStreams));
            assert_eq!(refused(&mut sender, &rtp(0, 2)), Some(SrtpError::Retired));
            assert_eq!(refused(&mut sender, &rtp(all - 1, 2)), None, "those it knows go on");
        }
    }
}

/// What a media server does when it plays something else under one SSRC: the listener loses a packet, and a few where it went back a
/// little only, and hears all others in their order.
#[test]
fn a_stream_that_begins_anew_goes_on() {
    for profile in PROFILES {
        for (first, anew, lost) in [(9_000u32, 4_000, 1), (40_000, 20_000, 1), (200, 1, 7), (65_450, 50_000, 1)] {
            let (mut sender, mut receiver) = pair(profile);
            let mut numbers = Vec::new();
            let mut pass = |sequence: u32| {
                let sequence = sequence as u16;
                let mut secret = [rtp(7, sequence), vec![0; 32]].concat();
                let Ok(len) = sender.protect_rtp(&mut secret, 172) else { return 1 };
                let plain = unprotected(&mut receiver, &secret[..len]).expect("readable");
                assert_eq!(plain[12..], rtp(7, sequence)[12..]);
                numbers.push(u16::from_be_bytes([plain[2], plain[3]]));
                0
            };
            assert_eq!((first..first + 150).map(&mut pass).sum::<u32>(), 0);
            assert_eq!((anew..anew + 300).map(&mut pass).sum::<u32>(), lost, "{first} to {anew}");
            assert_eq!((anew..anew + 300).map(&mut pass).sum::<u32>(), 7, "and once more");
            assert!(numbers.windows(2).all(|two| two[0].wrapping_add(1) == two[1]), "{first} to {anew}");
        }
    }
}

/// What is late or comes twice is no new beginning.
#[test]
fn duplicates_do_not_shift_a_stream() {
    let (mut sender, _) = pair(SrtpProfile::AeadAes128Gcm);
    (1..5_000).for_each(|n| drop(protected(&mut sender, &rtp(7, n))));
    let again = [4_900, 4_901, 4_902, 4_903, 4_904, 4_905, 4_906, 2_000, 4_500, 4_501, 4_502, 4_503];
    assert!(again.iter().all(|n| refused(&mut sender, &rtp(7, *n)).is_some()));
    protected(&mut sender, &rtp(7, 5_000));
    assert_eq!(sender.positions().streams[0], StreamPosition { shift: 0, ..sender.positions().streams[0] });
    assert_eq!(sender.positions().streams[0].rtp.unwrap().highest, 5_000);
}

/// Whatever numbers and SSRCs come, and whenever the process dies: no two packets are encrypted alike.
#[test]
fn keystream_never_repeats() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let mut dice = Seeded::new(11);
        let (mut ssrc, mut sequence, mut used, mut written, mut sent) = (0, 0u16, HashSet::new(), sender.positions(), false);
        for n in 0..60_000 {
            match dice.below(400) {
                0 => sequence = dice.next() as u16,
                1 | 2 => sequence = sequence.wrapping_sub(dice.below(9_000) as u16),
                3 => sequence = sequence.wrapping_sub(dice.below(200) as u16),
                4 if dice.chance(100) => ssrc = dice.below(40) as u32,
                5 if sent => {
                    sequence = sequence.wrapping_add(1 + dice.below(500) as u16);
                    sender = SrtpSender::new(&keys(profile, 0x5a)).unwrap();
                    sender.restore(&written);
                }
                _ => sequence = sequence.wrapping_add(1),
            }
            let mut packet = rtp(ssrc, sequence);
            packet[12..].fill(0);
            packet.resize(172 + 32, 0);
            let protected = sender.protect_rtp(&mut packet, 172);
            sent = protected.is_ok();
            let Ok(len) = protected else { continue };
            assert!(used.insert(packet[12..28].to_vec()), "packet {n}");
            if ssrc < 8 && sender.positions().streams.len() < 8 {
                assert_eq!(unprotected(&mut receiver, &packet[..len]).map(|plain| plain.len()), Ok(172), "packet {n}");
            }
            if sender.take_turned() {
                written = sender.positions();
            }
        }
        assert!(used.len() > 5_000, "{}", used.len());
    }
}

/// Positions are written as JSON and read by a process that has nothing else but the keys.
#[test]
fn a_restarted_pair_goes_on() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let mut last = Vec::new();
        for n in 0..70_000u32 {
            last = protected(&mut sender, &rtp(7, n as u16));
            unprotected(&mut receiver, &last).unwrap();
        }
        let report = protected(&mut sender, &rtcp(7, 1));
        unprotected(&mut receiver, &report).unwrap();
        let written = serde_json::to_string(&(sender.positions(), receiver.positions())).unwrap();
        let read: (crate::srtp::SrtpPositions, crate::srtp::SrtpPositions) = serde_json::from_str(&written).unwrap();

        let (mut sender, mut receiver) = pair(profile);
        sender.restore(&read.0);
        receiver.restore(&read.1);
        assert_eq!(unprotected(&mut receiver, &last), Err(SrtpError::Replayed));
        assert_eq!(unprotected(&mut receiver, &report), Err(SrtpError::Replayed));
        for n in 70_100..70_200u32 {
            let secret = protected(&mut sender, &rtp(7, n as u16));
            assert_eq!(unprotected(&mut receiver, &secret), Ok(rtp(7, n as u16)));
        }
        let report = protected(&mut sender, &rtcp(7, 2));
        assert_eq!(unprotected(&mut receiver, &report), Ok(rtcp(7, 2)));
        assert!(receiver.positions().streams[0].rtcp.unwrap().highest > 1000, "what may have been sent since is leapt over");
    }
}

#[test]
fn header_extension_and_csrc_stay_readable() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let head = hex("92800001000000a000000007 11111111 22222222 bede0001 10ff0000");
        let plain = [head.clone(), vec![0x55; 160]].concat();
        let secret = protected(&mut sender, &plain);
        assert_eq!(secret[..head.len()], head);
        assert_ne!(secret[head.len()..head.len() + 160], plain[head.len()..]);
        assert_eq!(unprotected(&mut receiver, &secret), Ok(plain));
    }
}

/// RFC 3550 5.1 allows a packet without payload, RFC 3711 protects it as any other.
#[test]
fn empty_payloads_pass() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let plain = hex("800000010000000000000007");
        let secret = protected(&mut sender, &plain);
        assert_eq!(unprotected(&mut receiver, &secret), Ok(plain));
    }
}

/// Others carried the stream on, over a roll-over: what they say of it is good if the next packet proves it, and nothing of it is taken
/// twice.
#[test]
fn a_stream_that_others_carried_goes_on() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        assert!(unprotected(&mut receiver, &protected(&mut sender, &rtp(1, 65_000))).is_ok());
        let carried: Vec<_> = (65_001..=65_535).chain(0..40_000).map(|n| protected(&mut sender, &rtp(1, n))).collect();
        receiver.carried_on(1, 0x1_0000 + 39_999);
        let mut old = carried.last().unwrap().clone();
        assert_eq!(unprotected(&mut receiver, &old), Err(SrtpError::Replayed));
        assert!(unprotected(&mut receiver, &protected(&mut sender, &rtp(1, 40_000))).is_ok());
        assert_eq!(receiver.highest(1), Some(0x1_0000 + 40_000));
        // From here on it is proved, and goes on from nowhere else.
        assert_eq!(receiver.unprotect_rtp_of_known(&mut old), Err(SrtpError::Replayed));
    }
}

/// They were led astray: a packet of the known source may go on where the last proved one stood.
#[test]
fn a_stream_that_was_led_astray_goes_on_where_it_was_proved() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        assert!(unprotected(&mut receiver, &protected(&mut sender, &rtp(1, 1))).is_ok());
        for (astray, sequence) in [(5_000, 2), (0x5_0000, 3)] {
            receiver.carried_on(1, astray);
            let packet = protected(&mut sender, &rtp(1, sequence));
            assert!(unprotected(&mut receiver, &packet).is_err(), "not from anywhere");
            let mut known = packet.clone();
            let len = receiver.unprotect_rtp_of_known(&mut known).expect("proved");
            assert_eq!(known[..len], rtp(1, sequence));
        }
        receiver.carried_on(2, 9);
        receiver.carried_on(1, 1 << 48);
        assert_eq!((receiver.highest(2), receiver.highest(1)), (None, Some(3)), "no stream, and no index");
    }
}

/// What is written down is what was proved: whoever went on after a restart from where others led the count would never find back.
#[test]
fn what_is_written_down_was_proved() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        assert!(unprotected(&mut receiver, &protected(&mut sender, &rtp(1, 1))).is_ok());
        receiver.take_turned();
        receiver.carried_on(1, 0x5_0000);
        assert!(!receiver.take_turned(), "nothing was proved");
        let (_, mut next) = pair(profile);
        next.restore(&receiver.positions());
        assert!(unprotected(&mut next, &protected(&mut sender, &rtp(1, 2))).is_ok());
        receiver.carried_on(1, 0x5_0001);
        let far = protected(&mut sender, &rtp(1, 20_000));
        assert_eq!(receiver.unprotect_rtp_of_known(&mut far.clone()).map(|_| ()), Ok(()));
        assert!(receiver.take_turned(), "it was proved that it went on");
    }
}
