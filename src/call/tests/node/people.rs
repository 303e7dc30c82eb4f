//! Who calls, whether the caller wants that known, who was called before; and that nothing else of one side reaches the other.

use crate::fixture::{Desk, SDP};
use ringfort_sip::message::{HeaderName, Message, Method};

const PHONE: &str = "203.0.113.5:5060";
const TRUSTED: &str = "198.51.100.7:5060";
const OTHER: &str = "198.51.100.8:5060";
const CONTACT: &str = "Contact: <sip:101@203.0.113.5:5060>\r\n";
const CARRIER: &str = "Contact: <sip:gw@gw7.inside.example:5060>\r\n";

/// Two trunks, one within the trust domain: `1…` goes to it, `2…` to the other.
fn site(profile: &str) -> Desk {
    let trunk = |name: &str, address: &str, trusted: bool| {
        format!(
            "[[trunk]]\nname = \"{name}\"\naddress = \"{address}\"\noptions_interval_ms = 0\ntrusted = {trusted}\nprofile = \"p\"\n"
        )
    };
    let route =
        |digit: u8, name: &str| format!("[[route]]\nname = \"{name}\"\nnumber = \"{digit}X*\"\nto = [\"trunk:{name}\"]\n");
    let mut desk = Desk::new(&format!(
        "[[account]]\nuser = \"101\"\ndisplay_name = \"Ann\"\n[emergency]\nnumbers = [\"112\"]\nto = [\"trunk:other\"]\n{}{}{}{}[[profile]]\nname = \"p\"\n{profile}",
        trunk("trusted", TRUSTED, true),
        trunk("other", OTHER, false),
        route(7, "trusted"),
        route(8, "other"),
    ));
    assert_eq!(desk.register(PHONE, "101", CONTACT), 200);
    desk
}

/// The INVITE that a party got last.
fn got(desk: &Desk, party: &str) -> Message {
    let invites =
        desk.sent.iter().rev().filter(|(to, m)| to.to_string() == party && m.is_request() && m.method() == Method::Invite);
    invites.map(|(_, m)| m.clone()).next().expect("an INVITE")
}

fn field(message: &Message, name: HeaderName) -> Option<String> {
    message.header(name).map(str::to_string)
}

#[test]
fn an_account_is_asserted_to_trusted_peers_only_and_is_who_it_is() {
    let mut desk = site("");
    let claims =
        format!("{CONTACT}P-Asserted-Identity: <sip:999@ringfort.local>\r\nP-Preferred-Identity: <sip:998@ringfort.local>\r\n");
    desk.request(PHONE, "INVITE", "sip:7123@ringfort.local", "101", &claims, SDP);
    assert_eq!(field(&got(&desk, TRUSTED), HeaderName::PAssertedIdentity).as_deref(), Some("\"Ann\" <sip:101@192.0.2.10>"));
    desk.request(PHONE, "INVITE", "sip:8123@ringfort.local", "101", &claims, SDP);
    let other = got(&desk, OTHER);
    assert_eq!((field(&other, HeaderName::PAssertedIdentity), field(&other, HeaderName::PPreferredIdentity)), (None, None));
}

#[test]
fn who_wants_privacy_is_hidden_from_the_untrusted_and_known_to_the_trusted() {
    for wish in ["id", "user", "header;id", "id;critical"] {
        let mut desk = site("");
        let more = format!("{CONTACT}Privacy: {wish}\r\n");
        desk.request(PHONE, "INVITE", "sip:8123@ringfort.local", "101", &more, SDP);
        let other = got(&desk, OTHER);
        let from = other.from().expect("a From");
        assert_eq!((from.uri, from.display), ("sip:anonymous@anonymous.invalid", Some("Anonymous")), "{wish}");
        assert!(!String::from_utf8_lossy(other.octets()).contains("101"), "{wish}");
        desk.request(PHONE, "INVITE", "sip:7123@ringfort.local", "101", &more, SDP);
        let trusted = got(&desk, TRUSTED);
        assert!(field(&trusted, HeaderName::PAssertedIdentity).is_some_and(|pai| pai.contains("sip:101@")), "{wish}");
        assert_eq!(field(&trusted, HeaderName::Privacy).as_deref(), Some(wish));
    }
}

#[test]
fn no_privacy_is_respected_and_too_much_is_refused() {
    let mut desk = site("");
    desk.request(PHONE, "INVITE", "sip:8123@ringfort.local", "101", &format!("{CONTACT}Privacy: none\r\n"), SDP);
    assert!(got(&desk, OTHER).from().expect("a From").uri.starts_with("sip:101@"));
    desk.request(PHONE, "INVITE", "sip:8124@ringfort.local", "101", &format!("{CONTACT}Privacy: unheard-of;critical\r\n"), SDP);
    assert_eq!(desk.answer(PHONE), 500);
}

#[test]
fn an_emergency_call_says_who_calls() {
    let mut desk = site("");
    let more = format!("{CONTACT}Privacy: id\r\nGeolocation: <https://lis.example/1>\r\n");
    desk.request(PHONE, "INVITE", "sip:112@ringfort.local", "101", &more, SDP);
    let call = got(&desk, OTHER);
    assert!(call.from().expect("a From").uri.starts_with("sip:101@"));
    assert_eq!(field(&call, HeaderName::Geolocation).as_deref(), Some("<https://lis.example/1>"));
}

#[test]
fn an_identity_is_believed_of_trusted_peers_only() {
    let more = format!("{CARRIER}P-Asserted-Identity: \"Bob\" <sip:+4930555@gw7.inside.example>\r\n");
    for (source, asserted) in [(TRUSTED, Some("\"Bob\" <sip:+4930555@192.0.2.10>")), (OTHER, None)] {
        let mut desk = site("");
        desk.request(source, "INVITE", "sip:7123@192.0.2.10", "anonymous", &more, SDP);
        assert_eq!(field(&got(&desk, TRUSTED), HeaderName::PAssertedIdentity).as_deref(), asserted);
    }
}

#[test]
fn a_profile_says_where_the_identity_stands() {
    let told = |profile: &str, name: HeaderName| {
        let mut desk = site(profile);
        desk.request(PHONE, "INVITE", "sip:7123@ringfort.local", "101", &format!("{CONTACT}Privacy: id\r\n"), SDP);
        let invite = got(&desk, TRUSTED);
        let identities = [HeaderName::PAssertedIdentity, HeaderName::PPreferredIdentity, HeaderName::RemotePartyId];
        assert!(identities.iter().all(|n| *n == name || invite.header(*n).is_none()), "{profile}");
        field(&invite, name)
    };
    assert_eq!(told("identity = \"ppi\"\n", HeaderName::PPreferredIdentity).as_deref(), Some("\"Ann\" <sip:101@192.0.2.10>"));
    let rpid = "\"Ann\" <sip:101@192.0.2.10>;party=calling;screen=yes;privacy=full";
    assert_eq!(told("identity = \"rpid\"\n", HeaderName::RemotePartyId).as_deref(), Some(rpid));
    assert_eq!(told("identity = \"from\"\n", HeaderName::From).map(|from| from.contains("sip:101@")), Some(true));
}

#[test]
fn forwards_are_told_as_the_peer_reads_them_with_the_node_s_host() {
    let diversion = format!(
        "{CARRIER}Diversion: <sip:200@gw7.inside.example>;reason=no-answer, <sip:100@gw7.inside.example>;reason=user-busy\r\n"
    );
    let mut desk = site("forwarding = \"both\"\n");
    desk.request(OTHER, "INVITE", "sip:7123@192.0.2.10", "555", &diversion, SDP);
    let invite = got(&desk, TRUSTED);
    let values = |name| invite.values(name).map(str::to_string).collect::<Vec<_>>();
    let told = ["<sip:200@192.0.2.10>;reason=no-answer;counter=1", "<sip:100@192.0.2.10>;reason=user-busy;counter=1"];
    assert_eq!(values(HeaderName::Diversion), told);
    let history = values(HeaderName::HistoryInfo);
    assert_eq!(
        history,
        [
            "<sip:100@192.0.2.10>;index=1",
            "<sip:200@192.0.2.10;cause=486>;index=1.1;mp=1",
            "<sip:7123@192.0.2.10;cause=408>;index=1.1.1;mp=1.1"
        ]
    );
    // And back.
    let mut desk = site("");
    let told = history.iter().map(|value| format!("History-Info: {value}\r\n")).collect::<String>();
    desk.request(OTHER, "INVITE", "sip:7123@192.0.2.10", "555", &format!("{CARRIER}{told}"), SDP);
    let back: Vec<String> = got(&desk, TRUSTED).values(HeaderName::Diversion).map(str::to_string).collect();
    assert_eq!(back, values(HeaderName::Diversion));
}

/// Whatever field a peer puts its inside into: no octet of it reaches another peer.
#[test]
fn nothing_of_one_side_s_inside_reaches_another() {
    let secrets = ["gw7.inside.example", "198.51.100.7", "203.0.113.5", "deep.inside.example"];
    let shapes = |host: &str| {
        [
            format!("<sip:x@{host}:5060>;q=1"),
            format!("text with {host} in it"),
            format!("<https://{host}/a>;info=x"),
            format!("SIP;cause=486;text=\"at {host}\""),
        ]
    };
    let skipped = |name: HeaderName| {
        use HeaderName as H;
        matches!(
            name,
            H::Via
                | H::To
                | H::From
                | H::CallId
                | H::CSeq
                | H::ContentLength
                | H::MaxForwards
                | H::ContentType
                | H::Require
                | H::ProxyRequire
        ) || matches!(name, H::Contact | H::Route | H::Join | H::Replaces | H::ContentEncoding | H::Expires | H::Identity)
    };
    for profile in ["", "forwarding = \"both\"\nidentity = \"rpid\"\nprivacy = \"pass\"\n"] {
        let mut desk = site(profile);
        for name in HeaderName::all().filter(|name| !skipped(*name)) {
            for host in ["gw7.inside.example", "198.51.100.7"] {
                for value in shapes(host) {
                    let more = format!("{CARRIER}{name}: {value}\r\nX-Any: {value}\r\n");
                    desk.request(TRUSTED, "INVITE", "sip:8123@192.0.2.10", "555", &more, SDP);
                    desk.request(
                        PHONE,
                        "INVITE",
                        "sip:8123@ringfort.local",
                        "101",
                        &format!("{CONTACT}{name}: {}\r\n", value.replace(host, "203.0.113.5")),
                        SDP,
                    );
                    for call in desk.status().calls {
                        desk.input(ringfort_call::Input::HangUp(call.call));
                    }
                }
            }
        }
        let leaks = |(to, m): &&(std::net::SocketAddr, Message)| {
            let text = String::from_utf8_lossy(m.octets()).into_owned();
            to.to_string() == OTHER && secrets.iter().any(|secret| text.contains(secret))
        };
        let leak = desk.sent.iter().find(leaks).map(|(_, m)| String::from_utf8_lossy(m.octets()).into_owned());
        assert_eq!(leak, None);
        assert!(desk.sent.iter().filter(|(to, m)| to.to_string() == OTHER && m.method() == Method::Invite).count() > 200);
    }
}

#[test]
fn a_field_that_the_node_does_not_know_is_passed_by_name_only() {
    for (profile, passed) in [("", None), ("pass = [\"X-Tenant\"]\n", Some("blue"))] {
        let mut desk = site(profile);
        desk.request(
            TRUSTED,
            "INVITE",
            "sip:8123@192.0.2.10",
            "555",
            &format!("{CARRIER}X-Tenant: blue\r\nX-Other: red\r\n"),
            SDP,
        );
        let invite = got(&desk, OTHER);
        assert_eq!((invite.header_named("X-Tenant"), invite.header_named("X-Other")), (passed, None));
    }
}

/// An account that calls from its other number is shown as itself, where the trunk that says so is believed.
#[test]
fn who_calls_from_his_other_number_is_shown_as_himself() {
    for (source, by, shown) in [
        (TRUSTED, "+49171555012", ("sip:101@", Some("Ann"))),
        (TRUSTED, "+49171555013", ("sip:+49171555013@", None)),
        (OTHER, "+49171555012", ("sip:+49171555012@", None)),
    ] {
        let mut desk = Desk::new(&format!(
            "[[account]]\nuser = \"101\"\ndisplay_name = \"Ann\"\nalternative = \"+49171555012\"\n[[account]]\nuser = \"102\"\n\
             [[trunk]]\nname = \"trusted\"\naddress = \"{TRUSTED}\"\noptions_interval_ms = 0\ntrusted = true\n\
             [[trunk]]\nname = \"other\"\naddress = \"{OTHER}\"\noptions_interval_ms = 0\n"
        ));
        assert_eq!(desk.register(PHONE, "102", "Contact: <sip:102@203.0.113.5:5060>\r\n"), 200);
        desk.request(source, "INVITE", "sip:102@192.0.2.10", by, CARRIER, SDP);
        let rings = got(&desk, PHONE);
        let from = rings.from().expect("a From");
        assert!(from.uri.starts_with(shown.0) && from.display == shown.1, "{} by {source}: {} {:?}", by, from.uri, from.display);
    }
}
