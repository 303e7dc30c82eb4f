//! Hold and resume through both legs (RFC 3264 8.4), in today's and in the old way.

use crate::peers::{PHONE_ANSWER, SIPP, T0, lines, rtp, text};
use ringfort_base::PortId;
use ringfort_media::plan::{Destination, DiscardReason, FlowPlan};
use ringfort_media::sdp::Direction;
use ringfort_media::{LegOutput, LegSession};

const HOLDS: Destination = Destination::Discard(DiscardReason::OnHold);

struct Call {
    caller: LegSession,
    callee: LegSession,
}

impl Call {
    fn connected() -> Call {
        let mut call = Call { caller: rtp(4000), callee: rtp(4100) };
        call.caller_offers("a=sendrecv", "a=sendrecv");
        call
    }

    /// The caller's offer with `direction`; the callee's answer with `reply`. Returns the direction lines that the node wrote to the
    /// callee and to the caller.
    fn caller_offers(&mut self, direction: &str, reply: &str) -> (String, String) {
        self.caller_sends(&format!("{SIPP}{direction}\r\n"), reply)
    }

    fn caller_sends(&mut self, offer: &str, reply: &str) -> (String, String) {
        let description = self.caller.receive_offer(T0, offer.as_bytes()).unwrap();
        let offer = text(self.callee.make_offer(T0, &description).unwrap());
        let reply = PHONE_ANSWER.replace("a=sendrecv", reply);
        let description = self.callee.receive_answer(T0, reply.as_bytes()).unwrap();
        let answer = text(self.caller.make_answer(T0, &description).unwrap());
        (direction_of(&offer), direction_of(&answer))
    }

    fn plans(&self) -> (FlowPlan, FlowPlan) {
        let (caller, callee) = (self.caller.port(), self.callee.port());
        (self.caller.plan(Destination::Port(callee)), self.callee.plan(Destination::Port(caller)))
    }

    /// Whether media flows from caller to callee, and back: accepted on one port and sent by the other.
    fn flows(&self) -> (bool, bool) {
        let (caller, callee) = self.plans();
        let passes = |from: &FlowPlan, to: &FlowPlan| matches!(from.destination, Destination::Port(_)) && !to.transmit.muted;
        (passes(&caller, &callee), passes(&callee, &caller))
    }
}

fn direction_of(body: &str) -> String {
    let all = ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"];
    let found: Vec<&str> = lines(body, "a=").into_iter().filter(|line| all.contains(line)).collect();
    assert_eq!(found.len(), 1, "{body}");
    found[0].to_owned()
}

#[test]
fn hold_and_resume() {
    let mut call = Call::connected();
    assert_eq!(call.flows(), (true, true));
    let told = call.caller_offers("a=sendonly", "a=recvonly");
    assert_eq!(told, ("a=sendonly".to_owned(), "a=recvonly".to_owned()));
    assert_eq!(call.flows(), (true, false), "music on hold passes");
    assert!(call.caller.on_hold() && !call.callee.on_hold());
    assert_eq!(
        (call.caller.remote_direction(), call.caller.local_direction()),
        (Some(Direction::SendOnly), Some(Direction::RecvOnly))
    );
    call.caller_offers("a=sendrecv", "a=sendrecv");
    assert_eq!(call.flows(), (true, true));
    assert!(!call.caller.on_hold());
}

#[test]
fn directions_are_mirrored() {
    for (offer, reply, to_callee, to_caller, flows) in [
        ("a=inactive", "a=inactive", "a=inactive", "a=inactive", (false, false)),
        ("a=recvonly", "a=sendonly", "a=recvonly", "a=sendonly", (false, true)),
        ("a=sendonly", "a=sendrecv", "a=sendonly", "a=recvonly", (true, false)),
        ("a=sendonly", "a=inactive", "a=sendonly", "a=inactive", (false, false)),
        ("a=sendrecv", "a=sendonly", "a=sendrecv", "a=sendonly", (false, true)),
        ("a=sendrecv", "a=inactive", "a=sendrecv", "a=inactive", (false, false)),
    ] {
        let mut call = Call::connected();
        let told = call.caller_offers(offer, reply);
        assert_eq!(told, (to_callee.to_owned(), to_caller.to_owned()), "{offer} {reply}");
        assert_eq!(call.flows(), flows, "{offer} {reply}");
    }
}

#[test]
fn the_old_hold_with_an_unspecified_address() {
    let mut call = Call::connected();
    let told = call.caller_sends(&SIPP.replace("c=IN IP4 10.7.0.5", "c=IN IP4 0.0.0.0"), "a=recvonly");
    assert_eq!(told, ("a=sendonly".to_owned(), "a=recvonly".to_owned()));
    assert_eq!(call.flows(), (true, false));
    let (caller, _) = call.plans();
    assert_eq!(caller.transmit.rtp, Some("10.7.0.5:6000".parse().unwrap()), "the peer has not moved");
    let told =
        call.caller_sends(&format!("{}a=inactive\r\n", SIPP.replace("c=IN IP4 10.7.0.5", "c=IN IP4 0.0.0.0")), "a=inactive");
    assert_eq!(told, ("a=inactive".to_owned(), "a=inactive".to_owned()));
    assert_eq!(call.plans().0.destination, HOLDS);
    call.caller_sends(SIPP, "a=sendrecv");
    assert_eq!(call.flows(), (true, true));
}

#[test]
fn a_refused_reinvite_changes_nothing() {
    let mut call = Call::connected();
    while call.caller.poll_output().is_some() {}
    let before = call.plans();
    call.caller.receive_offer(T0, format!("{SIPP}a=inactive\r\n").as_bytes()).unwrap();
    assert_eq!(call.plans(), before, "an offer alone changes nothing");
    call.caller.reject_offer();
    assert_eq!((call.plans(), call.caller.poll_output()), (before, None));
}

#[test]
fn a_moved_peer_is_latched_anew() {
    let mut leg = rtp(4000);
    crate::peers::answered(&mut leg, SIPP);
    leg.latched(ringfort_media::plan::Component::Rtp, "10.7.0.5:6000".parse().unwrap());
    assert_eq!(
        (leg.poll_output(), leg.poll_output()),
        (Some(LegOutput::PlanChanged), Some(LegOutput::Ready { how: "rtp".to_owned() }))
    );
    let before = leg.plan(Destination::Port(PortId(1)));
    crate::peers::answered(&mut leg, SIPP);
    let mut refreshed = before.clone();
    refreshed.receive.opened = 1;
    let told = (leg.plan(Destination::Port(PortId(1))), leg.poll_output());
    assert_eq!(told, (refreshed, Some(LegOutput::PlanChanged)), "a session refresh may come from behind another NAT");
    crate::peers::answered(&mut leg, &SIPP.replace("6000", "6400"));
    assert_eq!(leg.poll_output(), Some(LegOutput::PlanChanged));
    assert_ne!(leg.plan(Destination::Port(PortId(1))).receive.latch, before.receive.latch);
}
