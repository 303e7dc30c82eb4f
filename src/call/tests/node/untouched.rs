//! SRTP that passes untouched: keys of one side that the other side is told, and what takes them back.

use crate::fixture::Desk;
use crate::talk::{self, End, PHONE, TRUNK, body, contact, sdp};
use ringfort_base::PortId;
use ringfort_base::limits::KEY_EXCHANGES_MAX;
use ringfort_media::plan::{Destination, FlowPlan, RelayCommand};
use ringfort_sip::message::Method;
use std::time::Duration;

const TARGET: &str = "203.0.113.9:5060";

fn config() -> String {
    let (trunk, rest) = talk::CONFIG.split_once("[[account]]").expect("accounts");
    format!(
        "{trunk}profile = \"secured\"\n[[device]]\nuser_agent = \"*\"\nprofile = \"secured\"\n\
         [[profile]]\nname = \"secured\"\nsrtp = \"required\"\nsrtp_pass = true\n[[account]]{rest}"
    )
}

/// 30 octets in base 64: keys of a party.
fn inline(of: &str, nth: u32) -> String {
    format!("{of}{nth}").repeat(40).chars().take(40).collect()
}

/// What a party says of its audio, with these keys.
fn secured(address: &str, version: u32, keys: &str) -> String {
    let plain = sdp(address, version, "sendrecv").replace("RTP/AVP", "RTP/SAVP");
    format!("{plain}a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{keys}\r\n")
}

fn told(sdp: &str, keys: &str) -> bool {
    sdp.contains(&format!(" AES_CM_128_HMAC_SHA1_80 inline:{keys}"))
}

/// 101 has called 0123 by the trunk, each with its keys.
fn connected() -> (Desk, End, End) {
    let mut desk = Desk::new(&config());
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    let offer = secured(PHONE, 1, &inline("phone", 1));
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &contact("101", PHONE), &offer);
    let invite = desk.last_of(TRUNK, |m| m.method() == Method::Invite);
    assert!(told(&body(&invite), &inline("phone", 1)), "{}", body(&invite));
    desk.reply(TRUNK, "200 OK", "t", &contact("gw", TRUNK), &secured(TRUNK, 1, &inline("trunk", 1)));
    let ok = desk.last_of(PHONE, |m| m.status() == Some(200));
    assert!(told(&body(&ok), &inline("trunk", 1)), "{}", body(&ok));
    let (mut phone, trunk) = talk::ends(&ok, &invite);
    phone.ack(&mut desk, "");
    (desk, phone, trunk)
}

/// The last plans of all open ports, the one that was opened first first.
fn plans(desk: &Desk) -> Vec<FlowPlan> {
    let mut plans: Vec<(PortId, FlowPlan)> = Vec::new();
    for command in &desk.relayed {
        match command {
            RelayCommand::Plan { port, plan } => {
                plans.retain(|(known, _)| known != port);
                plans.push((*port, (**plan).clone()));
            }
            RelayCommand::Close { port } => plans.retain(|(known, _)| known != port),
            _ => {}
        }
    }
    plans.sort_by_key(|(port, _)| *port);
    plans.into_iter().map(|(_, plan)| plan).collect()
}

fn assert_untouched(desk: &Desk) {
    let plans = plans(desk);
    let [.., a, b] = &plans[..] else { panic!("two ports") };
    assert!(a.transmit.lent && b.transmit.lent && !a.transmit.muted && !b.transmit.muted);
    assert_eq!((&a.receive.srtp, &b.receive.srtp), (&b.transmit.srtp, &a.transmit.srtp));
}

#[test]
fn keys_cross_and_follow_changes() {
    let (mut desk, mut phone, mut trunk) = connected();
    assert_untouched(&desk);
    let sent = desk.sent.len();
    // Hold with the same keys, then other keys of either side.
    phone.send(&mut desk, "INVITE", "", &secured(PHONE, 2, &inline("phone", 1)).replace("sendrecv", "sendonly"));
    assert!(told(&body(&trunk.asked(&desk)), &inline("phone", 1)));
    trunk.answer(&mut desk, "200 OK", "", &secured(TRUNK, 2, &inline("trunk", 1)).replace("sendrecv", "recvonly"));
    phone.ack(&mut desk, "");
    phone.send(&mut desk, "INVITE", "", &secured(PHONE, 3, &inline("phone", 2)));
    assert!(told(&body(&trunk.asked(&desk)), &inline("phone", 2)));
    trunk.answer(&mut desk, "200 OK", "", &secured(TRUNK, 3, &inline("trunk", 2)));
    assert!(told(&body(&phone.answered(&desk)), &inline("trunk", 2)));
    phone.ack(&mut desk, "");
    assert_untouched(&desk);
    trunk.send(&mut desk, "INVITE", "", &secured(TRUNK, 4, &inline("trunk", 3)));
    assert!(told(&body(&phone.asked(&desk)), &inline("trunk", 3)));
    phone.answer(&mut desk, "200 OK", "", &secured(PHONE, 4, &inline("phone", 2)));
    trunk.ack(&mut desk, "");
    assert_untouched(&desk);
    let invites = desk.sent[sent..].iter().filter(|(_, m)| m.is_request() && m.method() == Method::Invite).count();
    assert_eq!(invites, 3, "the node asks for nothing of its own");
    let next = Desk::restarted(&config(), desk.left_behind());
    assert_untouched(&next);
}

/// The node's own keys were told first. As soon as the caller's are known the callee is told those.
#[test]
fn a_late_offer_is_completed_by_one_more() {
    let mut desk = Desk::new(&config());
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &contact("101", PHONE), "");
    let invite = desk.last_of(TRUNK, |m| m.method() == Method::Invite);
    desk.reply(TRUNK, "200 OK", "t", &contact("gw", TRUNK), &secured(TRUNK, 1, &inline("trunk", 1)));
    let ok = desk.last_of(PHONE, |m| m.status() == Some(200));
    assert!(told(&body(&ok), &inline("trunk", 1)), "{}", body(&ok));
    let (mut phone, trunk) = talk::ends(&ok, &invite);
    phone.ack(&mut desk, &secured(PHONE, 1, &inline("phone", 1)));
    let again = trunk.asked(&desk);
    assert!(again.method() == Method::Invite && told(&body(&again), &inline("phone", 1)), "{}", body(&again));
    trunk.answer(&mut desk, "200 OK", "", &secured(TRUNK, 2, &inline("trunk", 1)));
    assert_untouched(&desk);
}

/// Peers that take other keys with each answer would ask each other for ever.
#[test]
fn peers_that_never_keep_their_keys_get_the_node_s() {
    let (mut desk, phone, trunk) = connected();
    let answer = |desk: &mut Desk, end: &End, of: &str, n: u32| {
        end.answer(desk, "200 OK", "", &secured(end.address, n, &inline(of, n)));
    };
    let mut changed = trunk.clone();
    changed.send(&mut desk, "INVITE", "", &secured(TRUNK, 2, &inline("trunk", 2)));
    answer(&mut desk, &phone, "phone", 2);
    changed.ack(&mut desk, "");
    let before = desk.sent.len();
    let mut asked = before;
    for n in 3..40 {
        let open = desk.sent[asked..].iter().find(|(_, m)| m.is_request() && m.method() == Method::Invite).cloned();
        let Some((to, _)) = open else { break };
        asked = desk.sent.len();
        let (end, of) = if to.to_string() == TRUNK { (&trunk, "trunk") } else { (&phone, "phone") };
        answer(&mut desk, end, of, n);
    }
    let offers = desk.sent[before..].iter().filter(|(_, m)| m.is_request() && m.method() == Method::Invite).count();
    assert!(offers <= usize::from(KEY_EXCHANGES_MAX) + 2, "{offers} offers");
    let plans = plans(&desk);
    assert!(plans.iter().all(|plan| plan.transmit.srtp.is_some() && !plan.transmit.muted), "both hear");
}

/// 101 has transferred the trunk to 103, who took the call. The node asks the trunk for other keys.
fn transferred() -> (Desk, End, End) {
    let (mut desk, mut phone, trunk) = connected();
    assert_eq!(desk.register(TARGET, "103", &contact("103", TARGET)), 200);
    phone.send(&mut desk, "REFER", "Refer-To: <sip:103@ringfort.local>\r\n", "");
    let invite = desk.last_of(TARGET, |m| m.is_request() && m.method() == Method::Invite);
    assert!(!told(&body(&invite), &inline("phone", 1)) && !told(&body(&invite), &inline("trunk", 1)));
    desk.reply(TARGET, "200 OK", "x", &contact("103", TARGET), &secured(TARGET, 1, &inline("other", 1)));
    let (_, target) = talk::ends_at(&invite, TARGET, &invite, TARGET);
    let target = End { local: target.local.replace("tag=t", "tag=x"), ..target };
    let again = trunk.asked(&desk);
    assert!(again.method() == Method::Invite && told(&body(&again), &inline("other", 1)), "{}", body(&again));
    (desk, trunk, target)
}

/// Plans by which a party hears another one.
fn heard(desk: &Desk) -> Vec<FlowPlan> {
    plans(desk).into_iter().filter(|plan| matches!(plan.destination, Destination::Port(_))).collect()
}

/// Who transferred the call knows the keys, and hears nothing that is said after it.
#[test]
fn who_leaves_the_call_takes_no_keys_along() {
    let (mut desk, trunk, target) = transferred();
    // The transferor's own leg is about to go; nobody is at its other side.
    let lent: Vec<FlowPlan> = heard(&desk).into_iter().filter(|plan| plan.transmit.lent).collect();
    assert!(lent.len() == 1 && lent[0].transmit.muted, "nothing is said by the old keys: {lent:?}");
    trunk.answer(&mut desk, "200 OK", "", &secured(TRUNK, 2, &inline("trunk", 2)));
    let again = target.asked(&desk);
    assert!(again.method() == Method::Invite && told(&body(&again), &inline("trunk", 2)), "{}", body(&again));
    target.answer(&mut desk, "200 OK", "", &secured(TARGET, 2, &inline("other", 1)));
    let heard = heard(&desk);
    assert!(heard.len() == 2 && heard.iter().all(|plan| plan.transmit.lent && !plan.transmit.muted), "{heard:?}");
}

/// Most peers keep their keys in a re-INVITE. Who left knows those, so the next one is not told them, nor is it after a restart.
#[test]
fn who_leaves_the_call_takes_not_those_along_of_who_stays() {
    let (mut desk, trunk, target) = transferred();
    let sent = desk.sent.len();
    trunk.answer(&mut desk, "200 OK", "", &secured(TRUNK, 2, &inline("trunk", 1)));
    let shows = |desk: &Desk, from: usize| desk.sent[from..].iter().any(|(_, m)| told(&body(m), &inline("trunk", 1)));
    assert!(!shows(&desk, sent));
    let to_target = |desk: &Desk| {
        let heard = heard(desk);
        let keys = heard[0].receive.srtp.clone();
        heard.iter().find(|plan| plan.receive.srtp != keys).expect("the target's").transmit.clone()
    };
    let (told_to_target, known) = (to_target(&desk), heard(&desk)[0].receive.srtp.clone());
    assert!(!told_to_target.lent && !told_to_target.muted && told_to_target.srtp != known, "keys of the node's own");
    let mut next = Desk::restarted(&config(), desk.left_behind());
    let mut target = target;
    target.send(&mut next, "INVITE", "", &secured(TARGET, 2, &inline("other", 2)));
    trunk.answer(&mut next, "200 OK", "", &secured(TRUNK, 3, &inline("trunk", 1)));
    assert!(!shows(&next, 0) && !to_target(&next).lent);
}

/// A peer that refuses other keys would hear nothing for ever.
#[test]
fn a_peer_that_refuses_other_keys_is_asked_again_and_then_released() {
    let (mut desk, trunk, _) = transferred();
    for refusal in ["488 Not Acceptable Here", "500 Server Error", "603 Decline"] {
        let asked = desk.requests(TRUNK, Method::Invite).len();
        trunk.answer(&mut desk, refusal, "", "");
        assert_eq!((desk.requests(TRUNK, Method::Invite).len(), desk.requests(TRUNK, Method::Bye).len()), (asked, 0));
        desk.pass(Duration::from_secs(6));
    }
    assert_eq!([TRUNK, TARGET].map(|to| desk.requests(to, Method::Bye).is_empty()), [false; 2]);
}

#[test]
fn a_peer_that_refuses_other_keys_once_hears_again() {
    let (mut desk, trunk, _) = transferred();
    trunk.answer(&mut desk, "500 Server Error", "", "");
    desk.pass(Duration::from_secs(6));
    trunk.answer(&mut desk, "200 OK", "", &secured(TRUNK, 2, &inline("trunk", 2)));
    assert!(heard(&desk).iter().all(|plan| !plan.transmit.muted));
}

/// The process died before the trunk had other keys.
#[test]
fn keys_are_taken_back_after_a_restart() {
    let (desk, trunk, _) = transferred();
    let next = Desk::restarted(&config(), desk.left_behind());
    let again = next.requests(TRUNK, Method::Invite);
    assert!(again.len() == 1 && told(&body(&again[0]), &inline("other", 1)), "{again:?}");
    drop(trunk);
}
