//! Dialogs: RFC 3261 12, both sides, their requests and what they refuse.

use bytes::Bytes;
use ringfort_base::{Hop, Transport};
use ringfort_sip::dialog::{Dialog, DialogError, DialogId, DialogState, NewVia};
use ringfort_sip::message::HeaderError;
use ringfort_sip::{Builder, HeaderName, Message, Method};

const VIA: NewVia<'_> = NewVia { transport: Transport::Udp, sent_by: "192.0.2.1:5060", branch: "z9hG4bKn", rport: true };

fn message(text: &str) -> Message {
    Message::parse(Bytes::from(text.to_owned())).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn built(builder: Builder) -> Message {
    Message::parse(builder.build()).expect("a message")
}

fn hop(transport: Transport) -> Hop {
    Hop::to(transport, "192.0.2.2:5060".parse().expect("an address"))
}

fn invite_text() -> String {
    "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
     From: \"Alice, A.\" <sip:alice@example.com>;tag=alice\r\nTo: <sip:bob@example.com>\r\nCall-ID: call\r\nCSeq: 7 INVITE\r\n\
     Contact: <sip:alice@192.0.2.2:5070;transport=tcp>\r\nRecord-Route: <sip:p1;lr>, <sip:p2;lr>\r\nRecord-Route: <sip:p3;lr>\r\n\
     Content-Length: 0\r\n\r\n"
        .to_owned()
}

fn ok_text(extra: &str) -> String {
    let reply = Builder::reply(&message(&invite_text()), 200, None, Some("bob")).build();
    String::from_utf8_lossy(&reply).replace("Content-Length", &format!("{extra}Content-Length"))
}

const CONTACT: &str = "Contact: <sip:bob@192.0.2.9>\r\n";

fn uas() -> Dialog {
    Dialog::uas(&message(&invite_text()), "bob", hop(Transport::Udp)).expect("a dialog")
}

fn uac(extra: &str) -> Dialog {
    Dialog::uac(&message(&invite_text()), &message(&ok_text(extra)), hop(Transport::Udp)).expect("a dialog")
}

fn routes(message: &Message) -> Vec<&str> {
    message.values(HeaderName::Route).collect()
}

fn in_dialog(method: &str, cseq: u32, extra: &str) -> Message {
    message(&format!(
        "{method} sip:ringfort SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK2\r\nFrom: <sip:alice@example.com>;tag=alice\r\n\
         To: <sip:bob@example.com>;tag=bob\r\nCall-ID: call\r\nCSeq: {cseq} {method}\r\n{extra}Content-Length: 0\r\n\r\n"
    ))
}

#[test]
fn the_called_side_takes_routes_as_they_are_and_the_contact_as_target() {
    let mut dialog = uas();
    assert_eq!((dialog.state, dialog.id.local_tag.as_str(), dialog.id.remote_tag.as_str()), (DialogState::Early, "bob", "alice"));
    assert_eq!(dialog.next_hop(), "sip:p1;lr");
    dialog.confirm();
    let bye = built(dialog.request(&Method::Bye, VIA));
    assert_eq!(bye.request_uri(), Some("sip:alice@192.0.2.2:5070;transport=tcp"));
    assert_eq!(routes(&bye), ["<sip:p1;lr>", "<sip:p2;lr>", "<sip:p3;lr>"]);
    assert_eq!(bye.header(HeaderName::From), Some("<sip:bob@example.com>;tag=bob"));
    assert_eq!(bye.header(HeaderName::To), Some("\"Alice, A.\" <sip:alice@example.com>;tag=alice"));
    assert_eq!(bye.header(HeaderName::Via), Some("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKn;rport"));
    assert_eq!((bye.call_id(), bye.cseq(), bye.max_forwards()), (Ok("call"), Ok((1, Method::Bye)), Ok(Some(70))));
    assert!(dialog.ack(VIA).is_none(), "we sent no INVITE");
}

#[test]
fn the_calling_side_reverses_the_routes() {
    let mut dialog = uac(&format!("{CONTACT}Record-Route: <sip:p3;lr>, <sip:p2;lr>\r\nRecord-Route: <sip:p1;lr>\r\n"));
    assert_eq!(dialog.state, DialogState::Confirmed);
    let ack = built(dialog.ack(VIA).expect("an INVITE was sent"));
    assert_eq!((ack.cseq(), ack.request_uri()), (Ok((7, Method::Ack)), Some("sip:bob@192.0.2.9")));
    assert_eq!(routes(&ack), ["<sip:p1;lr>", "<sip:p2;lr>", "<sip:p3;lr>"]);
    assert_eq!(ack.header(HeaderName::From), Some("\"Alice, A.\" <sip:alice@example.com>;tag=alice"));
    assert_eq!(ack.to().expect("To").tag(), Some("bob"));
    let info = built(dialog.request(&Method::Info, VIA));
    assert_eq!(info.cseq(), Ok((8, Method::Info)));
    let again = built(dialog.ack(VIA).expect("an INVITE was sent"));
    assert_eq!(again.cseq(), Ok((7, Method::Ack)), "the INVITE's number, whatever came since");
    let reinvite = built(dialog.request(&Method::Invite, VIA));
    assert_eq!(reinvite.cseq(), Ok((9, Method::Invite)));
    assert_eq!(built(dialog.ack(VIA).expect("an INVITE was sent")).cseq(), Ok((9, Method::Ack)));
}

#[test]
fn a_strict_router_gets_itself_as_request_uri() {
    let mut dialog = uac(&format!("{CONTACT}Record-Route: <sip:p2;lr>, <sip:strict.example;method=INVITE;x=1?Subject=a>\r\n"));
    let bye = built(dialog.request(&Method::Bye, VIA));
    assert_eq!(bye.request_uri(), Some("sip:strict.example;x=1"));
    assert_eq!(routes(&bye), ["<sip:p2;lr>", "<sip:bob@192.0.2.9>"]);
    assert!(dialog.next_hop().starts_with("sip:strict.example"));
}

#[test]
fn without_routes_the_target_is_the_next_hop() {
    let mut dialog = uac("Contact: Bob <sips:bob@h?X=1>;q=1\r\n");
    assert_eq!(dialog.next_hop(), "sips:bob@h?X=1");
    let bye = built(dialog.request(&Method::Bye, VIA));
    assert_eq!(bye.request_uri(), Some("sips:bob@h"), "RFC 3261 19.1.1: no headers in a Request-URI");
    assert_eq!(routes(&bye), Vec::<&str>::new());
}

#[test]
fn an_early_dialog_takes_its_route_from_the_2xx() {
    let ringing = ok_text("Record-Route: <sip:early;lr>\r\n").replace("200 OK", "180 Ringing");
    let mut dialog = Dialog::uac(&message(&invite_text()), &message(&ringing), hop(Transport::Udp)).expect("a dialog");
    assert_eq!((dialog.state, dialog.remote_target.as_str()), (DialogState::Early, "sip:bob@example.com"));
    dialog.accept_success(&message(&ok_text(&format!("{CONTACT}Record-Route: <sip:late;lr>\r\n")))).expect("sound");
    assert_eq!((dialog.state, dialog.remote_target.as_str()), (DialogState::Confirmed, "sip:bob@192.0.2.9"));
    assert_eq!(dialog.route_set, ["<sip:late;lr>"]);
    // Later ones only refresh the target (RFC 3261 12.2).
    dialog.accept_success(&message(&ok_text("Contact: <sip:bob@new>\r\nRecord-Route: <sip:other;lr>\r\n"))).expect("sound");
    assert_eq!((dialog.remote_target.as_str(), dialog.route_set.len()), ("sip:bob@new", 1));
    assert_eq!(dialog.route_set, ["<sip:late;lr>"]);
    dialog.accept_success(&message(&ok_text("Contact: <sip:bob@bye>\r\n").replace("INVITE", "BYE"))).expect("sound");
    assert_eq!(dialog.remote_target, "sip:bob@new", "BYE refreshes no target");
}

#[test]
fn only_some_responses_found_a_dialog() {
    let founds =
        |text: String| Dialog::uac(&message(&invite_text()), &message(&text), hop(Transport::Udp)).map(|dialog| dialog.state);
    assert_eq!(founds(ok_text(CONTACT)), Ok(DialogState::Confirmed));
    assert_eq!(founds(ok_text("").replace("200 OK", "183 Progress")), Ok(DialogState::Early));
    for text in [
        ok_text("").replace("200 OK", "100 Trying"),
        ok_text("").replace("200 OK", "486 Busy"),
        ok_text("").replace("200 OK", "180 R").replace(";tag=bob", ""),
    ] {
        assert_eq!(founds(text), Err(DialogError::NotFounding));
    }
    // A peer of RFC 2543 has no tag.
    assert_eq!(founds(ok_text(CONTACT).replace(";tag=bob", "")), Ok(DialogState::Confirmed));
}

#[test]
fn a_request_that_founds_none_is_refused_with_its_rule() {
    let refused = |text: String| {
        let error = Dialog::uas(&message(&text), "bob", hop(Transport::Udp)).expect_err("refused");
        (error.rule(), error.status())
    };
    let contact = "Contact: <sip:alice@192.0.2.2:5070;transport=tcp>\r\n";
    assert_eq!(refused(invite_text().replace(contact, "")), ("dialog-contact", 400));
    assert_eq!(refused(invite_text().replace(contact, "Contact: *\r\n")), ("dialog-contact", 400));
    assert_eq!(
        refused(invite_text().replace("To: <sip:bob@example.com>", "To: <sip:bob@example.com>;tag=x")),
        ("dialog-unknown", 481)
    );
    assert_eq!(refused(invite_text().replace("<sip:p3;lr>", "<sip:p3;lr")).1, 400);
    assert_eq!(refused(invite_text().replace("CSeq: 7 INVITE", "CSeq: x INVITE")).1, 400);
    let many = format!("Record-Route: {}\r\n", ["<sip:p;lr>"; 65].join(","));
    let text = invite_text().replace("Record-Route: <sip:p3;lr>\r\n", &many);
    let error = Dialog::uas(&message(&text), "bob", hop(Transport::Udp)).expect_err("refused");
    assert_eq!(error, DialogError::Header(HeaderError::TooManyValues(HeaderName::RecordRoute)));
}

#[test]
fn requests_must_count_upwards() {
    let mut dialog = uas();
    assert_eq!(dialog.accept_request(&in_dialog("INFO", 8, "")), Ok(()));
    assert_eq!(dialog.accept_request(&in_dialog("BYE", 100, "")), Ok(()));
    for late in [100, 9, 7] {
        let error = dialog.accept_request(&in_dialog("INFO", late, "")).expect_err("out of order");
        assert_eq!(error, DialogError::OutOfOrder { received: late, last: 100 });
        assert_eq!((error.status(), error.retry_after_s().is_some()), (500, true));
    }
    for follows in ["ACK", "CANCEL"] {
        assert_eq!(dialog.accept_request(&in_dialog(follows, 7, "")), Ok(()));
    }
    assert_eq!(dialog.remote_cseq, Some(100));
    // The calling side has heard none yet: any number begins the count.
    assert_eq!(uac(CONTACT).accept_request(&in_dialog("BYE", 0, "")), Ok(()));
}

#[test]
fn a_target_moves_only_by_what_may_move_it() {
    let mut dialog = uas();
    let moved = "Contact: <sip:alice@moved>\r\n";
    dialog.refresh_target(&in_dialog("INFO", 8, moved)).expect("sound");
    dialog.refresh_target(&in_dialog("INVITE", 9, "")).expect("sound");
    assert_eq!(dialog.remote_target, "sip:alice@192.0.2.2:5070;transport=tcp");
    assert!(dialog.refresh_target(&in_dialog("UPDATE", 9, "Contact: <broken\r\n")).is_err());
    assert_eq!(dialog.remote_target, "sip:alice@192.0.2.2:5070;transport=tcp");
    dialog.refresh_target(&in_dialog("UPDATE", 10, moved)).expect("sound");
    assert_eq!(dialog.remote_target, "sip:alice@moved");
}

#[test]
fn a_message_finds_its_dialog_by_call_id_and_tags() {
    assert_eq!(DialogId::of_received(&in_dialog("BYE", 8, "")), Ok(uas().id));
    assert_eq!(DialogId::of_received(&message(&ok_text(""))), Ok(uac(CONTACT).id));
    assert_ne!(uas().id, uac(CONTACT).id, "the two sides of one dialog");
    assert_eq!(DialogId::of_received(&message(&invite_text())).expect("an id").local_tag, "");
}

#[test]
fn a_dialog_is_secure_only_when_it_was_founded_so() {
    let sips = invite_text().replace("INVITE sip:", "INVITE SIPS:");
    for (text, transport, secure) in
        [(&sips, Transport::Tls, true), (&sips, Transport::Tcp, false), (&invite_text(), Transport::Tls, false)]
    {
        assert_eq!(Dialog::uas(&message(text), "bob", hop(transport)).expect("a dialog").secure, secure);
    }
}

#[test]
fn a_dialog_survives_being_written_down() {
    let mut dialog = uas();
    dialog.confirm();
    let _ = dialog.request(&Method::Invite, VIA);
    let written = serde_json::to_string(&dialog).expect("plain data");
    let mut read: Dialog = serde_json::from_str(&written).expect("the same data");
    assert_eq!(read, dialog);
    assert_eq!(read.request(&Method::Bye, VIA).build(), dialog.request(&Method::Bye, VIA).build());
}

#[test]
fn debug_output_names_nobody() {
    let shown = format!("{:?}", uas());
    for secret in ["alice@", "Alice", "example.com", "192.0.2", "call"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn a_hostile_contact_cannot_write_into_our_requests() {
    let text =
        invite_text().replace("<sip:alice@192.0.2.2:5070;transport=tcp>", "<sip:alice@h>\r\n ;x=\"\r\n Route: <sip:evil>\"");
    let Ok(mut dialog) = Dialog::uas(&message(&text), "bob", hop(Transport::Udp)) else { return };
    let bye = built(dialog.request(&Method::Bye, VIA));
    assert_eq!((bye.request_uri(), routes(&bye).len()), (Some("sip:alice@h"), 3));
}
