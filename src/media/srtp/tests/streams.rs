//! Long streams: roll-over, loss, late packets, many SSRCs, restarts.

use super::super::SrtpError;
use super::*;
use ringfort_base::entropy::Seeded;
use ringfort_base::limits::SRTP_STREAMS_MAX;

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
