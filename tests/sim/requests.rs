//! Requests that found nothing: what each is owed.

use crate::script::{Party, Script, at_node};
use std::time::Duration;

const CONFIG: &str =
    "[node]\ndomain = \"ringfort.test\"\n[sip]\nlisten = [\"udp:192.0.2.10:5060\"]\n[[account]]\nuser = \"101\"\n";

fn stage() -> (Script, Party) {
    let mut s = Script::new(CONFIG);
    let party = s.party("101", "10.1.0.101:5060");
    (s, party)
}

/// Sends one request and yields the status, and the field value of a header of the answer.
fn ask(method: &str, to_tag: &str, more: &[(&str, &str)], header: &str) -> (u16, String) {
    let (mut s, party) = stage();
    let mut leg = s.leg(&party, &at_node("101"), &format!("<sip:101@ringfort.test>{to_tag}"));
    let request = more.iter().fold(leg.request(method), |wire, (name, value)| wire.replace(name, value));
    s.send(&party, &request);
    s.run(Duration::from_millis(100));
    let status = [200, 400, 405, 407, 416, 420, 481, 483, 501, 505].into_iter().find_map(|status| {
        let wire = s.take(&party, status)?;
        Some((status, wire.get(header).to_string()))
    });
    status.unwrap_or((0, String::new()))
}

#[test]
fn methods_that_are_not_taken() {
    let allow = ringfort_call::ALLOW.to_string();
    assert_eq!(ask("DANCE", "", &[], "Allow"), (405, allow));
    // Of strangers: who are they, and what do they speak of?
    for (method, status) in [("SUBSCRIBE", 407), ("PUBLISH", 407), ("MESSAGE", 407), ("NOTIFY", 481), ("INFO", 481)] {
        assert_eq!(ask(method, "", &[], "Call-ID").0, status, "{method}");
    }
}

#[test]
fn dialogs_that_do_not_exist() {
    assert_eq!(ask("BYE", ";tag=gone", &[], "Call-ID").0, 481);
    assert_eq!(ask("INVITE", ";tag=gone", &[("Contact", "<sip:101@10.1.0.101>")], "Call-ID").0, 481);
    assert_eq!(ask("CANCEL", "", &[], "Call-ID").0, 481);
    assert_eq!(ask("ACK", ";tag=gone", &[], "Call-ID").0, 0);
    assert_eq!(ask("ACK", "", &[], "Call-ID").0, 0);
}

#[test]
fn hops_extensions_and_schemes() {
    let contact = ("Contact", "<sip:101@10.1.0.101>");
    assert_eq!(ask("INVITE", "", &[("Max-Forwards", "0"), contact], "Call-ID").0, 483);
    assert_eq!(ask("INVITE", "", &[("Require", "100rel, precondition"), contact], "Unsupported"), (420, "precondition".into()));
    assert_eq!(ask("REGISTER", "", &[("Require", "gruu"), contact], "Unsupported"), (420, "gruu".into()));
    assert_eq!(ask("OPTIONS", "", &[("Max-Forwards", "0")], "Accept"), (200, "application/sdp, multipart/mixed".into()));
}

#[test]
fn what_is_malformed_is_told_why() {
    assert_eq!(ask("OPTIONS", "", &[("CSeq", "1 INVITE")], "Call-ID").0, 400);
    assert_eq!(ask("OPTIONS", "", &[("Max-Forwards", "many")], "Call-ID").0, 400);
    assert_eq!(ask("OPTIONS", "", &[("From", "nobody <")], "Call-ID").0, 400);
}

#[test]
fn noise_is_counted_and_answered_by_nothing() {
    let (mut s, party) = stage();
    for noise in ["", "\r\n\r\n", "\0\0\0\0", "GET / HTTP/1.1\r\n\r\n", "SIP/2.0 200 OK\r\n\r\n", "INVITE"] {
        s.world.send(party.address, noise.as_bytes().to_vec());
    }
    s.expect_nothing(&party, Duration::from_millis(100));
    assert!(s.world.node.status().totals.messages_rejected >= 4);
}
