//! Offers and answers as real kinds of peers write them, and short words for legs.

use ringfort_base::entropy::Seeded;
use ringfort_base::{PortId, Time};
use ringfort_media::{Description, LegKind, LegSession, MediaAddress};

pub const T0: Time = Time::from_millis(1_000);

/// What Chromium 120+ writes for `addTransceiver('audio')`, trickle ICE ended.
pub const CHROMIUM: &str = "v=0\r\n\
o=- 8124759304718824905 2 IN IP4 127.0.0.1\r\n\
s=-\r\n\
t=0 0\r\n\
a=group:BUNDLE 0\r\n\
a=extmap-allow-mixed\r\n\
a=msid-semantic: WMS 7f3c1a52-lokal\r\n\
m=audio 51432 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\n\
c=IN IP4 192.168.77.31\r\n\
a=rtcp:9 IN IP4 0.0.0.0\r\n\
a=candidate:2915083521 1 udp 2122260223 192.168.77.31 51432 typ host generation 0 network-id 1 network-cost 10\r\n\
a=candidate:1148734523 1 udp 1686052607 203.0.113.77 51432 typ srflx raddr 192.168.77.31 rport 51432 generation 0\r\n\
a=candidate:4129 1 udp 2122194687 6a8f1c1e-0000-4b1d-9d4e-cafe.local 51433 typ host\r\n\
a=ice-ufrag:qW3z\r\n\
a=ice-pwd:H4xVt0dQ2mYk7nPzL1sBcR9f\r\n\
a=ice-options:trickle\r\n\
a=fingerprint:sha-256 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:3B:4B:65:2E:7D:46:3F:54:42:CD:54:F1\r\n\
a=setup:actpass\r\n\
a=mid:0\r\n\
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
a=sendrecv\r\n\
a=msid:7f3c1a52-lokal 0b9d44ee-spur\r\n\
a=rtcp-mux\r\n\
a=rtcp-rsize\r\n\
a=rtpmap:111 opus/48000/2\r\n\
a=rtcp-fb:111 transport-cc\r\n\
a=fmtp:111 minptime=10;useinbandfec=1\r\n\
a=rtpmap:63 red/48000/2\r\n\
a=fmtp:63 111/111\r\n\
a=rtpmap:9 G722/8000\r\n\
a=rtpmap:0 PCMU/8000\r\n\
a=rtpmap:8 PCMA/8000\r\n\
a=rtpmap:13 CN/8000\r\n\
a=rtpmap:110 telephone-event/48000\r\n\
a=rtpmap:126 telephone-event/8000\r\n\
a=ssrc:3570614608 cname:4TOk42mSjXCkVIa6\r\n\
a=ssrc:3570614608 msid:7f3c1a52-lokal 0b9d44ee-spur\r\n";

/// What Firefox writes: fingerprint, direction and ice-options in the session, port 9 and 0.0.0.0 before candidates are gathered, a
/// video and a data channel line.
pub const FIREFOX: &str = "v=0\r\n\
o=mozilla...THIS_IS_SDPARTA-128.0 5117269839218876230 0 IN IP4 0.0.0.0\r\n\
s=-\r\n\
t=0 0\r\n\
a=sendrecv\r\n\
a=fingerprint:sha-256 1F:2E:3D:4C:5B:6A:79:88:97:A6:B5:C4:D3:E2:F1:00:1F:2E:3D:4C:5B:6A:79:88:97:A6:B5:C4:D3:E2:F1:00\r\n\
a=group:BUNDLE a0 v1 d2\r\n\
a=ice-options:trickle\r\n\
a=msid-semantic:WMS *\r\n\
m=audio 9 UDP/TLS/RTP/SAVPF 109 9 0 8 101\r\n\
c=IN IP4 0.0.0.0\r\n\
a=sendrecv\r\n\
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1\r\n\
a=fmtp:101 0-15\r\n\
a=ice-pwd:8a2b7c6d5e4f30112233445566778899\r\n\
a=ice-ufrag:5d1c9e77\r\n\
a=mid:a0\r\n\
a=msid:{8d5dbd1c-strom} {1ce30a95-spur}\r\n\
a=rtcp-mux\r\n\
a=rtpmap:109 opus/48000/2\r\n\
a=rtpmap:9 G722/8000/1\r\n\
a=rtpmap:0 PCMU/8000\r\n\
a=rtpmap:8 PCMA/8000\r\n\
a=rtpmap:101 telephone-event/8000/1\r\n\
a=setup:actpass\r\n\
a=ssrc:1206370419 cname:{f6b1f1c4-7a0e-4c63}\r\n\
m=video 9 UDP/TLS/RTP/SAVPF 120 124\r\n\
c=IN IP4 0.0.0.0\r\n\
a=recvonly\r\n\
a=ice-pwd:8a2b7c6d5e4f30112233445566778899\r\n\
a=ice-ufrag:5d1c9e77\r\n\
a=mid:v1\r\n\
a=rtcp-mux\r\n\
a=rtpmap:120 VP8/90000\r\n\
a=rtpmap:124 rtx/90000\r\n\
a=setup:actpass\r\n\
m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
c=IN IP4 0.0.0.0\r\n\
a=mid:d2\r\n\
a=setup:actpass\r\n\
a=sctp-port:5000\r\n";

/// SIPp's default scenario.
pub const SIPP: &str = "v=0\r\n\
o=user1 53655765 2353687637 IN IP4 10.7.0.5\r\n\
s=-\r\n\
c=IN IP4 10.7.0.5\r\n\
t=0 0\r\n\
m=audio 6000 RTP/AVP 0\r\n\
a=rtpmap:0 PCMU/8000\r\n";

/// baresip: an RTCP port of its own choice, rtcp-mux offered, attributes that nobody else knows.
pub const BARESIP: &str = "v=0\r\n\
o=- 3921117720 1437519420 IN IP4 10.7.0.9\r\n\
s=-\r\n\
c=IN IP4 10.7.0.9\r\n\
t=0 0\r\n\
a=tool:baresip 3.9.0\r\n\
m=audio 14732 RTP/AVP 96 9 8 0 101\r\n\
a=rtpmap:96 opus/48000/2\r\n\
a=fmtp:96 stereo=1;sprop-stereo=1\r\n\
a=rtpmap:9 G722/8000\r\n\
a=rtpmap:8 PCMA/8000\r\n\
a=rtpmap:0 PCMU/8000\r\n\
a=rtpmap:101 telephone-event/8000\r\n\
a=fmtp:101 0-15\r\n\
a=sendrecv\r\n\
a=label:1\r\n\
a=rtcp-rsize\r\n\
a=ssrc:2890844526 cname:sip:anna@10.7.0.9\r\n\
a=ptime:20\r\n\
a=rtcp:14801 IN IP4 10.7.0.9\r\n\
a=rtcp-mux\r\n\
a=silenceSupp:off - - - -\r\n";

/// A desk phone's answer in G.711.
pub const PHONE_ANSWER: &str = "v=0\r\n\
o=desk-4711 20518 20518 IN IP4 10.7.1.44\r\n\
s=SIP Call\r\n\
c=IN IP4 10.7.1.44\r\n\
t=0 0\r\n\
m=audio 11780 RTP/AVP 0 101\r\n\
a=rtpmap:0 PCMU/8000\r\n\
a=rtpmap:101 telephone-event/8000\r\n\
a=fmtp:101 0-15\r\n\
a=ptime:20\r\n\
a=sendrecv\r\n";

pub fn leg(kind: LegKind, port: u16) -> LegSession {
    let rtcp = (kind == LegKind::Rtp).then(|| format!("198.51.100.1:{}", port + 1).parse().unwrap());
    let address =
        MediaAddress { rtp: format!("198.51.100.1:{port}").parse().unwrap(), rtcp, advertised: "198.51.100.1".parse().unwrap() };
    LegSession::new(kind, PortId(u64::from(port)), address, &mut Seeded::new(u64::from(port)))
}

pub fn rtp(port: u16) -> LegSession {
    leg(LegKind::Rtp, port)
}

pub fn webrtc(port: u16) -> LegSession {
    leg(LegKind::Webrtc, port)
}

pub fn text(body: Vec<u8>) -> String {
    String::from_utf8(body).unwrap()
}

/// A plain RTP leg whose peer's offer was answered with the peer's own wishes.
pub fn answered(leg: &mut LegSession, offer: &str) -> Description {
    let description = leg.receive_offer(T0, offer.as_bytes()).unwrap();
    leg.make_answer(T0, &description).unwrap();
    description
}

/// The `a=`, `c=` and `m=` lines, without what differs from leg to leg.
pub fn lines<'a>(body: &'a str, prefix: &str) -> Vec<&'a str> {
    body.lines().filter(|line| line.starts_with(prefix)).collect()
}
