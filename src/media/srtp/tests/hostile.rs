//! Packets that somebody changed, cut, or made up.

use super::super::SrtpError;
use super::*;
use proptest::prelude::*;

/// Every octet of a packet counts, and a forged packet leaves no trace: the true one passes afterwards.
#[test]
fn every_tampered_octet_is_refused() {
    for profile in PROFILES {
        for plain in [rtp(7, 1), rtcp(7, 1)] {
            let (mut sender, mut receiver) = pair(profile);
            let secret = protected(&mut sender, &plain);
            for place in 0..secret.len() {
                let mut forged = secret.clone();
                forged[place] ^= 0x10;
                assert!(unprotected(&mut receiver, &forged).is_err(), "{profile:?}, octet {place}");
            }
            assert_eq!(receiver.positions().streams, vec![]);
            assert_eq!(unprotected(&mut receiver, &secret), Ok(plain));
        }
    }
}

#[test]
fn every_cut_packet_is_refused() {
    for profile in PROFILES {
        for plain in [rtp(7, 1), rtcp(7, 1)] {
            let (mut sender, mut receiver) = pair(profile);
            let secret = protected(&mut sender, &plain);
            for len in 0..secret.len() {
                let mut cut = secret[..len].to_vec();
                assert!(receiver.unprotect_rtp(&mut cut.clone()).is_err());
                assert!(receiver.unprotect_rtcp(&mut cut).is_err());
            }
        }
    }
}

#[test]
fn other_keys_are_refused() {
    for profile in PROFILES {
        let (mut sender, _) = pair(profile);
        let mut other = SrtpReceiver::new(&keys(profile, 0x33)).unwrap();
        assert_eq!(unprotected(&mut other, &protected(&mut sender, &rtp(7, 1))), Err(SrtpError::AuthFailed));
        assert_eq!(unprotected(&mut other, &protected(&mut sender, &rtcp(7, 1))), Err(SrtpError::AuthFailed));
    }
}

#[test]
fn keys_of_wrong_length_are_refused() {
    for profile in PROFILES {
        let good = keys(profile, 1);
        let (key, salt) = (good.key.len(), good.salt.len());
        for (key, salt) in [(key - 1, salt), (key + 8, salt), (key, 13), (key, 0), (0, 0)] {
            let bad = SrtpKeys { profile, key: vec![0; key], salt: vec![0; salt] };
            assert_eq!(SrtpSender::new(&bad).err(), Some(SrtpError::KeyLength));
            assert_eq!(SrtpReceiver::new(&bad).err(), Some(SrtpError::KeyLength));
        }
    }
}

#[test]
fn a_buffer_without_room_is_refused() {
    for profile in PROFILES {
        let (mut sender, _) = pair(profile);
        let packet = rtp(7, 1);
        let (mut roomy, plain) = (pair(profile).0, rtp(7, 1));
        let tag = protected(&mut roomy, &plain).len() - plain.len();
        for room in 0..tag {
            let mut buffer = [packet.clone(), vec![0; room]].concat();
            assert_eq!(sender.protect_rtp(&mut buffer, packet.len()), Err(SrtpError::NoRoom));
            assert_eq!(sender.protect_rtp(&mut buffer, packet.len() + room + 1), Err(SrtpError::NoRoom));
            let report = rtcp(7, 1);
            let mut buffer = [report.clone(), vec![0; room]].concat();
            assert_eq!(sender.protect_rtcp(&mut buffer, report.len()), Err(SrtpError::NoRoom));
        }
    }
}

proptest! {
    /// Nothing made up passes, and nothing panics.
    #[test]
    fn random_octets_are_refused(mut packet in prop::collection::vec(any::<u8>(), 0..200), first in 0x80u8..0xc0, cm: bool) {
        let profile = if cm { SrtpProfile::Aes128CmSha1_80 } else { SrtpProfile::AeadAes128Gcm };
        let (mut sender, mut receiver) = pair(profile);
        if let Some(octet) = packet.first_mut() {
            *octet = first;
        }
        prop_assert!(receiver.unprotect_rtp(&mut packet.clone()).is_err());
        prop_assert!(receiver.unprotect_rtcp(&mut packet.clone()).is_err());
        let len = packet.len();
        packet.resize(len + SRTP_TRAILER_MAX, 0);
        let _ = sender.protect_rtcp(&mut packet.clone(), len);
        let _ = sender.protect_rtp(&mut packet, len);
    }

    /// Whatever payload goes in comes out.
    #[test]
    fn any_payload_comes_back(payload in prop::collection::vec(any::<u8>(), 0..1400), sequence: u16, ssrc: u32, cm: bool) {
        let profile = if cm { SrtpProfile::Aes128CmSha1_80 } else { SrtpProfile::AeadAes128Gcm };
        let (mut sender, mut receiver) = pair(profile);
        let mut plain = rtp(ssrc, sequence);
        plain.truncate(12);
        plain.extend(payload);
        let secret = protected(&mut sender, &plain);
        prop_assert_eq!(unprotected(&mut receiver, &secret), Ok(plain));
    }

    /// Positions read from a damaged file do no harm.
    #[test]
    fn any_position_can_be_restored(highest: u64, low: u64, high: u64, rtcp_next: u32, sequence: u16, shift: u16) {
        use crate::srtp::{Position, SrtpPositions, StreamPosition};
        let position = Some(Position { highest, seen: [low, high] });
        let streams = vec![StreamPosition { ssrc: 7, rtp: position, rtcp: position, shift }; 20];
        let (mut sender, mut receiver) = pair(SrtpProfile::AeadAes128Gcm);
        sender.restore(&SrtpPositions { streams: streams.clone(), rtcp_next, ..sender.positions() });
        receiver.restore(&SrtpPositions { streams, rtcp_next, ..receiver.positions() });
        let mut buffer = [rtp(7, sequence), vec![0; 32]].concat();
        let len = buffer.len() - 32;
        if let Ok(len) = sender.protect_rtp(&mut buffer, len) {
            prop_assert!(receiver.unprotect_rtp(&mut buffer[..len]).is_ok());
        }
        let _ = sender.protect_rtcp(&mut [rtcp(7, 1), vec![0; 32]].concat(), 32);
    }
}
