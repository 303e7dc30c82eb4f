//! Tests of SRTP as a whole; those of a part stand beside it.

mod hostile;
mod streams;
mod vectors;

use super::{SrtpReceiver, SrtpSender};
use crate::plan::{SrtpKeys, SrtpProfile};
use ringfort_base::limits::SRTP_TRAILER_MAX;

pub(super) const PROFILES: [SrtpProfile; 8] = {
    use SrtpProfile::*;
    [
        Aes128CmSha1_80,
        Aes128CmSha1_32,
        Aes192CmSha1_80,
        Aes192CmSha1_32,
        Aes256CmSha1_80,
        Aes256CmSha1_32,
        AeadAes128Gcm,
        AeadAes256Gcm,
    ]
};

/// Octets of hexadecimal text; anything but digits is skipped.
pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Keys of a profile for tests, different for each `seed`.
fn keys(profile: SrtpProfile, seed: u8) -> SrtpKeys {
    let (key, salt) = profile.lengths();
    SrtpKeys { profile, key: (0..key as u8).map(|n| n ^ seed).collect(), salt: (0..salt as u8).map(|n| (n * 7) ^ seed).collect() }
}

fn pair(profile: SrtpProfile) -> (SrtpSender, SrtpReceiver) {
    let keys = keys(profile, 0x5a);
    (SrtpSender::new(&keys).unwrap(), SrtpReceiver::new(&keys).unwrap())
}

/// An RTP packet whose payload tells its SSRC and number.
fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let payload = sequence.to_be_bytes().repeat(80);
    let builder = rtp_types::RtpPacketBuilder::new()
        .payload_type(0)
        .ssrc(ssrc)
        .sequence_number(sequence)
        .timestamp(u32::from(sequence) * 160)
        .payload(payload.as_slice());
    builder.write_vec().unwrap()
}

/// A receiver report with a marked body.
fn rtcp(ssrc: u32, mark: u32) -> Vec<u8> {
    let mut packet = hex("81c90007");
    packet.extend(ssrc.to_be_bytes());
    packet.extend((0..6).flat_map(|_| mark.to_be_bytes()));
    packet
}

/// `packet` with room behind it, protected.
fn protected(sender: &mut SrtpSender, packet: &[u8]) -> Vec<u8> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + SRTP_TRAILER_MAX, 0xee);
    let len = if is_rtcp(packet) {
        sender.protect_rtcp(&mut buffer, packet.len())
    } else {
        sender.protect_rtp(&mut buffer, packet.len())
    };
    buffer.truncate(len.unwrap());
    buffer
}

/// What the receiver makes of a packet.
fn unprotected(receiver: &mut SrtpReceiver, packet: &[u8]) -> Result<Vec<u8>, super::SrtpError> {
    let mut buffer = packet.to_vec();
    let len = if is_rtcp(packet) { receiver.unprotect_rtcp(&mut buffer) } else { receiver.unprotect_rtp(&mut buffer) }?;
    buffer.truncate(len);
    Ok(buffer)
}

fn is_rtcp(packet: &[u8]) -> bool {
    crate::demux::classify(packet) == crate::demux::Kind::Rtcp
}
