//! A peer's description: as its offer, and as its answer to ours.

use ringfort_base::entropy::Seeded;
use ringfort_base::{PortId, Time};
use ringfort_media::Srtp;
use ringfort_media::description::Description;
use ringfort_media::plan::Destination;
use ringfort_media::sdp::Sdp;
use ringfort_media::session::{LegKind, LegSession, MediaAddress};

/// Reads octets as SDP, offers them to a leg and answers a leg's offer with them.
pub fn sdp(octets: &[u8]) {
    let _ = Sdp::parse(octets);
    let (mut leg, now) = (leg(), Time::ZERO);
    if let Ok(described) = leg.receive_offer(now, octets) {
        if let Ok(answer) = leg.make_answer(now, &described) {
            Sdp::parse(&answer).expect("our own answer parses");
        }
        let mut other = self::leg();
        if let Ok(offer) = other.make_offer(now, &described) {
            Sdp::parse(&offer).expect("our own offer parses");
        }
    }
    let mut secured = self::leg().with_security(Srtp::Optional);
    secured.make_offer(now, &Description::g711()).expect("G.711 can always be offered");
    let _ = secured.receive_answer(now, octets);
    let mut asking = self::leg();
    asking.make_offer(now, &Description::g711()).expect("G.711 can always be offered");
    let _ = asking.receive_answer(now, octets);
    let _ = (asking.plan(Destination::Port(PortId(2))), leg.plan(Destination::Port(PortId(2))));
}

fn leg() -> LegSession {
    let rtp = ([192, 0, 2, 10], 20_000).into();
    let rtcp = Some(([192, 0, 2, 10], 20_001).into());
    let address = MediaAddress { rtp, rtcp, advertised: [192, 0, 2, 10].into() };
    LegSession::new(LegKind::Rtp, PortId(1), address, &mut Seeded::new(1))
}
