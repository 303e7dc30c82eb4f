//! Section 2 of RFC 3665, in order: Bob registers over TLS, adds a contact that is no telephone, asks what is bound, takes all of it back,
//! and fails with a wrong password. Of the messages kept beside the repository Bob's are sent, with a proof for the node's own
//! challenge, and the node's are compared with the server's.

use crate::fixture::{Desk, proof};
use crate::flows::{folder, steps};
use ringfort_sip::message::{Contacts, HeaderName, Message};

const BOB: &str = "203.0.113.6:5061";

/// The REGISTER as Bob sends it here: `flow` sets its Call-ID apart from those of the other flows, which all have the same.
fn worded(message: &Message, flow: &str, authorization: Option<&str>) -> String {
    let text = String::from_utf8_lossy(message.octets()).into_owned();
    let (head, _) = text.split_once("\r\n\r\n").expect("a head");
    let mut lines = vec![format!("REGISTER sip:ringfort.local SIP/2.0")];
    let mut left_out = false;
    for line in head.split("\r\n").skip(1) {
        let goes_on = line.starts_with([' ', '\t']);
        left_out = if goes_on { left_out } else { ["Authorization:", "Call-ID:"].iter().any(|name| line.starts_with(name)) };
        if !left_out {
            lines.push(line.to_string());
        }
    }
    lines.push(format!("Call-ID: {flow}"));
    lines.extend(authorization.map(|value| format!("Authorization: {value}")));
    lines.join("\r\n").replace("bob@biloxi.example.com>", "bob@ringfort.local>") + "\r\n\r\n"
}

/// URIs of a response's contacts, without what the node or the registrar adds to them.
fn bound(message: &Message) -> Vec<String> {
    let Ok(Contacts::List(list)) = message.contacts() else { return Vec::new() };
    let mut uris: Vec<String> =
        list.iter().map(|contact| contact.uri.split(';').next().unwrap_or_default().to_string()).collect();
    uris.sort();
    uris
}

/// Plays a flow; what Bob heard and what he should have: status and bindings of each answer.
fn play(desk: &mut Desk, text: &str, flow: &str, user: &str) -> [Vec<(Option<u16>, Vec<String>)>; 2] {
    let (mut heard, mut wanted) = (Vec::new(), Vec::new());
    let steps = steps(text);
    // A flow that begins with a proof goes on from an earlier challenge.
    let proves = |message: &Message| message.header(HeaderName::Authorization).is_some();
    if let Some(first) = steps.first().filter(|step| proves(&step.message)) {
        desk.receive(BOB, &worded(&first.message, &format!("{flow}-before"), None).replace("CSeq: 1", "CSeq: 90"));
    }
    for step in &steps {
        let message = &step.message;
        if message.is_request() {
            let challenge =
                proves(message).then(|| desk.last(BOB).header(HeaderName::WwwAuthenticate).map(str::to_string)).flatten();
            let authorization = challenge.map(|challenge| proof(&challenge, user, "REGISTER", "sip:ringfort.local"));
            desk.receive(BOB, &worded(message, flow, authorization.as_deref()));
            heard.push((desk.last(BOB).status(), bound(&desk.last(BOB))));
        } else {
            wanted.push((message.status(), bound(message)));
        }
    }
    [heard, wanted]
}

#[test]
fn rfc_3665_registrations() {
    let Some(folder) = folder() else { return println!("skipped: corpus not present") };
    let mut desk = Desk::new("[[account]]\nuser = \"bob\"\n");
    desk.connect(BOB, 7);
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .expect("a readable corpus")
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    names.retain(|name| name.starts_with("2.") && name.ends_with(".yaml"));
    names.sort();
    assert_eq!(names.len(), 5, "{names:?}");
    for name in names {
        let text = std::fs::read_to_string(folder.join(&name)).expect("a readable corpus");
        let fails = name.starts_with("2.05");
        // Whoever does not know Bob's password answers with another one.
        let [heard, wanted] = play(&mut desk, &text, &name[..4], if fails { "mallory" } else { "bob" });
        assert_eq!(heard, wanted, "{name}");
        let registered = desk.status().registrations.len();
        assert_eq!(registered > 0, !name.starts_with("2.04") && !fails, "{name}");
    }
}
