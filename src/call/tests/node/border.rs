//! Rules at the border of the whole node: what is sent and received fits within its transaction whatever rules make of it.

use crate::fixture::{Desk, SDP};
use ringfort_base::Event;
use ringfort_sip::digest::{Challenge, Ha1};
use ringfort_sip::message::{HeaderName, Message, Method};
use std::time::Duration;

const PHONE: &str = "203.0.113.5:5060";
const TRUNK: &str = "198.51.100.7:5060";
const CONTACT: &str = "Contact: <sip:101@203.0.113.5:5060>\r\n";

/// A trunk whose rules change people, the called number and a field of their own, for INVITE only.
fn site(rules: &str) -> String {
    format!(
        "[[account]]\nuser = \"101\"\n[[trunk]]\nname = \"c\"\naddress = \"{TRUNK}\"\noptions_interval_ms = 0\nprofile = \"own\"\n\
         [[route]]\nname = \"out\"\nnumber = \"0*\"\nto = [\"trunk:c\"]\n[[profile]]\nname = \"own\"\n{rules}"
    )
}

const OUT: &str = r#"
[[profile.rule]]
name = "number"
direction = "send"
method = ["INVITE"]
do = [
  { rewrite = "request-uri.user", pattern = "^0", with = "+49" },
  { rewrite = "To.user", pattern = "^0", with = "+49" },
  { set = "From.host", value = "sbc.example.com" },
  { set = "X-Site", value = "${node.domain}" },
]
"#;

fn called() -> Desk {
    let mut desk = Desk::new(&site(OUT));
    assert_eq!(desk.register(PHONE, "101", CONTACT), 200);
    desk.request(PHONE, "INVITE", "sip:030123@ringfort.local", "101", CONTACT, SDP);
    desk
}

fn to_trunk(desk: &Desk, method: Method) -> Message {
    let all = desk.sent.iter().rev().filter(|(to, m)| to.to_string() == TRUNK && m.is_request() && m.method() == method);
    all.map(|(_, m)| m.clone()).next().expect("a request to the trunk")
}

#[test]
fn a_rule_changes_what_the_trunk_gets_and_repeats_are_the_same_octets() {
    let mut desk = called();
    let first = to_trunk(&desk, Method::Invite);
    assert_eq!(first.request_uri().and_then(|uri| uri.split('@').next()), Some("sip:+4930123"));
    assert!(
        first.to().expect("a To").uri.starts_with("sip:+4930123@")
            && first.from().expect("a From").uri.ends_with("@sbc.example.com")
    );
    assert_eq!(first.header_named("X-Site"), Some("ringfort.local"));
    // Another configuration in between changes nothing of what is on its way.
    desk.input(ringfort_call::Input::Reload(crate::fixture::snapshot(&site(""))));
    desk.pass(Duration::from_millis(600));
    let sent = desk.sent.iter().filter(|(to, m)| to.to_string() == TRUNK && m.method() == Method::Invite);
    assert!(sent.clone().count() > 1 && sent.clone().all(|(_, m)| *m == first));
}

#[test]
fn cancel_and_ack_fit_the_invite_as_it_was_sent() {
    let mut desk = called();
    let invite = to_trunk(&desk, Method::Invite);
    desk.reply(TRUNK, "180 Ringing", "t", "", "");
    let caller =
        desk.sent.iter().rev().find(|(to, m)| to.to_string() == PHONE && m.status() == Some(180)).expect("it rings").1.clone();
    assert!(caller.to().expect("a To").uri.starts_with("sip:030123@"), "the caller sees what it dialled");
    let field = |name| caller.header(name).unwrap_or_default().to_string();
    let to = field(HeaderName::To);
    let to = to.split(";tag").next().unwrap_or_default();
    desk.receive(PHONE, &format!(
        "CANCEL sip:030123@ringfort.local SIP/2.0\r\nVia: {}\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {} CANCEL\r\nMax-Forwards: 70\r\n\r\n",
        field(HeaderName::Via).split(";received").next().unwrap_or_default().replace(";rport=5060", ";rport"),
        field(HeaderName::From), caller.call_id().expect("one"), caller.cseq().expect("one").0
    ));
    let same = |other: &Message| {
        assert_eq!(other.request_uri(), invite.request_uri());
        assert_eq!(other.header(HeaderName::From), invite.header(HeaderName::From));
        assert_eq!(other.to().map(|to| to.uri.to_string()), invite.to().map(|to| to.uri.to_string()));
    };
    same(&to_trunk(&desk, Method::Cancel));
    let reply = format!(
        "SIP/2.0 487 Request Terminated\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=t\r\nCall-ID: {}\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
        invite.header(HeaderName::Via).unwrap_or_default(),
        invite.header(HeaderName::From).unwrap_or_default(),
        invite.header(HeaderName::To).unwrap_or_default(),
        invite.call_id().expect("one")
    );
    desk.receive(TRUNK, &reply);
    same(&to_trunk(&desk, Method::Ack));
}

#[test]
fn a_peer_gets_its_own_from_and_to_back_though_rules_changed_them() {
    let rules = "[[profile.rule]]\nname = \"in\"\ndirection = \"receive\"\nmethod = [\"INVITE\"]\n\
                 do = [{ rewrite = \"From.user\", pattern = \"^00\", with = \"+\" }, { set = \"To.user\", value = \"101\" }, { set = \"request-uri.user\", value = \"101\" }]\n";
    let mut desk = Desk::new(&site(rules));
    assert_eq!(desk.register(PHONE, "101", CONTACT), 200);
    desk.request(TRUNK, "INVITE", "sip:main@192.0.2.10", "0049305", "Contact: <sip:c@198.51.100.7:5060>\r\n", SDP);
    let rung = desk.last(PHONE);
    assert!(rung.method() == Method::Invite && rung.from().expect("a From").uri.starts_with("sip:+49305@"));
    desk.reply(PHONE, "200 OK", "p", CONTACT, SDP);
    let answer = desk.last(TRUNK);
    assert_eq!(answer.status(), Some(200));
    assert_eq!(answer.from().expect("a From").uri, "sip:0049305@ringfort.local");
    assert!(answer.to().expect("a To").uri == "sip:main@192.0.2.10" && answer.to().expect("a To").tag().is_some());
}

#[test]
fn a_rule_that_does_not_fit_is_told_and_the_call_goes_on() {
    let rules = "[[profile.rule]]\nname = \"bad\"\ndirection = \"send\"\ndo = [{ set = \"From.uri\", value = \"a b\" }]\n";
    let mut desk = Desk::new(&site(rules));
    assert_eq!(desk.register(PHONE, "101", CONTACT), 200);
    desk.request(PHONE, "INVITE", "sip:030123@ringfort.local", "101", CONTACT, SDP);
    assert_eq!(to_trunk(&desk, Method::Invite).method(), Method::Invite);
    assert!(desk.events.iter().any(|e| matches!(e, Event::RuleSkipped { profile, rule } if profile == "own" && rule == "bad")));
}

#[test]
fn a_profile_says_which_challenges_its_devices_get() {
    let text = "[[account]]\nuser = \"101\"\n[[device]]\nuser_agent = \"SIPp*\"\nprofile = \"sipp\"\n";
    let mut desk = Desk::new(text);
    let algorithms = |desk: &Desk| {
        let challenges: Vec<String> = desk.last(PHONE).headers(HeaderName::WwwAuthenticate).map(str::to_string).collect();
        challenges.iter().map(|c| c.contains("SHA-256")).collect::<Vec<_>>()
    };
    desk.request(PHONE, "REGISTER", "sip:ringfort.local", "101", &format!("{CONTACT}User-Agent: SIPp/Linux\r\n"), "");
    assert_eq!(algorithms(&desk), [false]);
    desk.request(PHONE, "REGISTER", "sip:ringfort.local", "101", CONTACT, "");
    assert_eq!(algorithms(&desk), [true, false]);
}

#[test]
fn an_answer_given_for_one_callee_is_none_for_another() {
    let mut desk = Desk::new("[[account]]\nuser = \"101\"\n");
    let ha1 = Ha1::new("101", "ringfort.local", "secret of 101");
    let uris =
        ["sip:900@ringfort.local", "sip:*43@ringfort.local", "sip:*43@192.0.2.10:5060;transport=udp", "sip:192.0.2.10", "no uri"];
    for (uri, status) in uris.into_iter().zip([407, 200, 200, 200, 407]) {
        desk.request(PHONE, "INVITE", "sip:*43@ringfort.local", "101", CONTACT, SDP);
        let challenge = desk.last(PHONE).header(HeaderName::ProxyAuthenticate).expect("a challenge").to_string();
        let answer = Challenge::parse(&challenge).expect("sound").answer("101", &ha1, "INVITE", uri, "c", 1);
        desk.request(
            PHONE,
            "INVITE",
            "sip:*43@ringfort.local",
            "101",
            &format!("{CONTACT}Proxy-Authorization: {answer}\r\n"),
            SDP,
        );
        assert_eq!(desk.answer(PHONE), status, "{uri}");
    }
}

#[test]
fn a_device_is_known_by_the_user_agent_that_it_registered_with() {
    let text = "[[account]]\nuser = \"101\"\n[[account]]\nuser = \"102\"\n[[device]]\nuser_agent = \"Yealink*\"\nprofile = \"own\"\n[[profile]]\nname = \"own\"\n\
                [[profile.rule]]\nname = \"mark\"\ndirection = \"send\"\nmethod = [\"INVITE\"]\ndo = [{ set = \"X-Mark\", value = \"1\" }]\n";
    let mut desk = Desk::new(text);
    let other = "203.0.113.6:5060";
    assert_eq!(desk.register(PHONE, "101", &format!("{CONTACT}User-Agent: Yealink SIP-T46U\r\n")), 200);
    assert_eq!(desk.register(other, "102", "Contact: <sip:102@203.0.113.6:5060>\r\nUser-Agent: Other\r\n"), 200);
    desk.request(other, "INVITE", "sip:101@ringfort.local", "102", "Contact: <sip:102@203.0.113.6:5060>\r\n", SDP);
    assert_eq!(desk.last(PHONE).header_named("X-Mark"), Some("1"));
    desk.request(PHONE, "INVITE", "sip:102@ringfort.local", "101", CONTACT, SDP);
    assert_eq!((desk.last(other).method(), desk.last(other).header_named("X-Mark")), (Method::Invite, None));
}
