//! Connected identity (RFC 4916, RFC 5876): both parties know who sits at the other end, from the ringing on, and after every change.

use crate::fixture::Desk;
use crate::talk::{self, ALLOWS_UPDATE, End, PHONE, TRUNK, contact, sdp};
use ringfort_sip::message::{HeaderName, Message, Method};

const TARGET: &str = "203.0.113.9:5060";
const FROM_CHANGE: &str = "Allow: INVITE, ACK, BYE, CANCEL, UPDATE\r\nSupported: from-change\r\n";

fn config(trusted: bool, identity: &str) -> String {
    format!(
        "[[trunk]]\nname = \"carrier\"\naddress = \"{TRUNK}\"\noptions_interval_ms = 0\ntrusted = {trusted}\nprofile = \"p\"\n\
         [[account]]\nuser = \"101\"\ndisplay_name = \"Ann\"\n[[account]]\nuser = \"102\"\ndisplay_name = \"Bob\"\n\
         [[account]]\nuser = \"103\"\ndisplay_name = \"Cid\"\n\
         [[route]]\nname = \"out\"\nnumber = \"0*\"\nto = [\"trunk:carrier\"]\n[[profile]]\nname = \"p\"\nidentity = \"{identity}\"\n"
    )
}

fn field(message: &Message, name: HeaderName) -> Option<&str> {
    message.header(name)
}

const PAI: HeaderName = HeaderName::PAssertedIdentity;

/// The carrier calls 102, who rings and answers with these fields; what the carrier is told of it in 180 and 200.
fn answered_by_102(config: &str, more: &str) -> [Message; 2] {
    let mut desk = Desk::new(config);
    assert_eq!(desk.register(PHONE, "102", &contact("102", PHONE)), 200);
    let body = sdp(TRUNK, 1, "sendrecv");
    desk.request(TRUNK, "INVITE", "sip:102@ringfort.local", "0301", &contact("gw", TRUNK), &body);
    desk.reply(PHONE, "180 Ringing", "t", &format!("{}{more}", contact("102", PHONE)), "");
    let ringing = desk.last(TRUNK);
    desk.reply(PHONE, "200 OK", "t", &format!("{}{more}", contact("102", PHONE)), &sdp(PHONE, 1, "sendrecv"));
    [ringing, desk.last(TRUNK)]
}

#[test]
fn who_rings_and_who_answers_is_told_to_trusted_peers_only() {
    let claims = "P-Asserted-Identity: <sip:999@elsewhere.test>\r\n";
    for message in answered_by_102(&config(true, "pai"), claims) {
        assert_eq!(field(&message, PAI), Some("\"Bob\" <sip:102@ringfort.local>"));
        assert_eq!(field(&message, HeaderName::Privacy), None);
    }
    for message in answered_by_102(&config(false, "pai"), "") {
        assert_eq!(field(&message, PAI), None);
    }
    let rpid = "\"Bob\" <sip:102@ringfort.local>;party=called;screen=yes;privacy=off";
    assert_eq!(field(&answered_by_102(&config(true, "rpid"), "")[1], HeaderName::RemotePartyId), Some(rpid));
    assert_eq!(field(&answered_by_102(&config(true, "from"), "")[1], PAI), None);
}

#[test]
fn who_answers_and_wants_privacy_has_it() {
    for message in answered_by_102(&config(true, "pai"), "Privacy: id\r\n") {
        assert_eq!((field(&message, PAI).is_some(), field(&message, HeaderName::Privacy)), (true, Some("id")));
    }
    for message in answered_by_102(&config(false, "ppi"), "Privacy: id\r\n") {
        assert_eq!((field(&message, HeaderName::PPreferredIdentity), field(&message, HeaderName::Privacy)), (None, None));
    }
}

/// 101 calls 0123; the trunk answers with these fields.
fn calls_out(trusted: bool, caller: &str, callee: &str) -> (Desk, End, End) {
    talk::connected(&config(trusted, "pai"), caller, callee)
}

#[test]
fn a_trusted_trunk_says_who_answered_and_an_untrusted_one_does_not() {
    let said = "P-Asserted-Identity: \"Desk\" <sip:0199@gw7.inside.example>\r\n";
    let (desk, phone, _) = calls_out(true, "", said);
    assert_eq!(field(&phone.answered(&desk), PAI), Some("\"Desk\" <sip:0199@ringfort.local>"));
    let (desk, phone, _) = calls_out(false, "", said);
    assert_eq!(field(&phone.answered(&desk), PAI), Some("<sip:0123@ringfort.local>"), "what was dialled");
    let (desk, phone, _) = calls_out(true, "", &format!("{said}Privacy: id\r\n"));
    assert_eq!(field(&phone.answered(&desk), PAI), None);
}

/// RFC 4916 3: an UPDATE without offer says who it is now; it goes on in the same way.
#[test]
fn a_new_party_is_told_by_update() {
    let (mut desk, phone, mut trunk) = calls_out(true, ALLOWS_UPDATE, ALLOWS_UPDATE);
    trunk.send(&mut desk, "UPDATE", "P-Asserted-Identity: <sip:0177@gw7.inside.example>\r\n", "");
    assert_eq!(trunk.status(&desk), 200);
    let update = phone.asked(&desk);
    assert_eq!((update.method(), update.body().len()), (Method::Update, 0));
    assert_eq!(field(&update, PAI), Some("<sip:0177@ringfort.local>"));
    assert!(!String::from_utf8_lossy(update.octets()).contains("inside"));
    phone.answer(&mut desk, "200 OK", "", "");
    // The same again is no news.
    let told = desk.requests(PHONE, Method::Update).len();
    trunk.send(&mut desk, "UPDATE", "P-Asserted-Identity: <sip:0177@gw7.inside.example>\r\n", "");
    assert_eq!(desk.requests(PHONE, Method::Update).len(), told);
}

#[test]
fn a_new_party_is_told_within_the_change_that_names_it() {
    let (mut desk, phone, mut trunk) = calls_out(true, "", "");
    trunk.send(&mut desk, "INVITE", "P-Asserted-Identity: <sip:0177@x.test>\r\n", &sdp(TRUNK, 2, "sendrecv"));
    let invite = phone.asked(&desk);
    assert_eq!((invite.method(), field(&invite, PAI)), (Method::Invite, Some("<sip:0177@ringfort.local>")));
    phone.answer(&mut desk, "200 OK", "", &sdp(PHONE, 2, "sendrecv"));
    assert_eq!(field(&trunk.answered(&desk), PAI), Some("\"Ann\" <sip:101@192.0.2.10>"));
    // And without UPDATE a refresh that names another party goes on as re-INVITE with the description as it was.
    trunk.ack(&mut desk, "");
    trunk.send(&mut desk, "INVITE", "P-Asserted-Identity: <sip:0178@x.test>\r\n", &sdp(TRUNK, 2, "sendrecv"));
    assert_eq!(trunk.status(&desk), 200);
    assert_eq!(phone.asked(&desk).method(), Method::Ack, "the trunk's ACK comes first");
    trunk.ack(&mut desk, "");
    let again = phone.asked(&desk);
    assert_eq!((again.method(), field(&again, PAI)), (Method::Invite, Some("<sip:0178@ringfort.local>")));
}

/// RFC 4916 4.3 and 4.4: From changes where both sides take that, and its tag stays.
#[test]
fn from_changes_where_both_sides_take_it() {
    let (mut desk, mut phone, mut trunk) = calls_out(false, FROM_CHANGE, FROM_CHANGE);
    let before = trunk.local.clone();
    trunk.local = before.replace("sip:0123@192.0.2.10", "sip:0188@gw7.inside.example");
    assert_ne!(before, trunk.local);
    trunk.send(&mut desk, "UPDATE", "", "");
    assert_eq!(trunk.status(&desk), 200);
    let update = phone.asked(&desk);
    let from = update.from().expect("one");
    assert_eq!((from.uri, from.tag()), ("sip:0188@ringfort.local", talk_tag(&phone.remote).as_deref()));
    phone.answer(&mut desk, "200 OK", "", "");
    // What the node sends to the trunk names it as it called itself.
    phone.send(&mut desk, "UPDATE", "", &sdp(PHONE, 2, "sendonly"));
    assert_eq!(trunk.asked(&desk).to().expect("one").uri, "sip:0188@gw7.inside.example");
}

fn talk_tag(field: &str) -> Option<String> {
    field.split(";tag=").nth(1).map(str::to_string)
}

#[test]
fn from_stays_where_one_side_does_not_take_a_change() {
    let (mut desk, phone, mut trunk) = calls_out(true, ALLOWS_UPDATE, FROM_CHANGE);
    trunk.send(&mut desk, "UPDATE", "P-Asserted-Identity: <sip:0177@x.test>\r\n", "");
    let update = phone.asked(&desk);
    assert_eq!(
        (field(&update, HeaderName::From), field(&update, PAI)),
        (Some(&*phone.remote), Some("<sip:0177@ringfort.local>"))
    );
}

/// RFC 5589 with RFC 4916: after an attended transfer each remaining party is told the other one.
#[test]
fn after_a_transfer_both_parties_know_each_other() {
    let mut desk = Desk::new(&config(true, "pai"));
    assert_eq!(desk.register(PHONE, "102", &contact("102", PHONE)), 200);
    assert_eq!(desk.register(TARGET, "103", &contact("103", TARGET)), 200);
    let (trunk, mut phone) = talk::call(&mut desk, (TRUNK, "0301", ""), "102", (PHONE, ""));
    let (consult, target) = talk::call(&mut desk, (PHONE, "102", ""), "103", (TARGET, ""));
    let tag = |field: &str| talk_tag(field).unwrap_or_default();
    let replaces = format!("{}%3Bto-tag%3D{}%3Bfrom-tag%3D{}", consult.call_id, tag(&consult.remote), tag(&consult.local));
    phone.send(&mut desk, "REFER", &format!("Refer-To: <sip:103@ringfort.local?Replaces={replaces}>\r\n"), "");
    assert_eq!(field(&trunk.asked(&desk), PAI), Some("\"Cid\" <sip:103@ringfort.local>"));
    trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 2, "sendrecv"));
    assert_eq!(field(&target.asked(&desk), PAI), Some("<sip:0301@ringfort.local>"));
}

/// RFC 3891: who takes a call over is told to the other party.
#[test]
fn after_replaces_the_other_party_knows_who_took_over() {
    let mut desk = Desk::new(&config(true, "pai"));
    assert_eq!(desk.register(PHONE, "102", &contact("102", PHONE)), 200);
    let (trunk, phone) = talk::call(&mut desk, (TRUNK, "0301", ""), "102", (PHONE, "Privacy: id\r\n"));
    assert_eq!(desk.register(TARGET, "102", &contact("102", TARGET)), 200);
    let tag = |field: &str| talk_tag(field).unwrap_or_default();
    let replaces = format!("Replaces: {};to-tag={};from-tag={}\r\n", phone.call_id, tag(&phone.remote), tag(&phone.local));
    let more = format!("{}{replaces}", contact("102", TARGET));
    desk.request(TARGET, "INVITE", "sip:102@ringfort.local", "102", &more, &sdp(TARGET, 1, "sendrecv"));
    let told = trunk.asked(&desk);
    assert_eq!((field(&told, PAI), field(&told, HeaderName::Privacy)), (Some("\"Bob\" <sip:102@ringfort.local>"), None));
}

#[test]
fn who_sits_there_outlives_the_process() {
    let (desk, ..) = calls_out(true, "", "P-Asserted-Identity: <sip:0199@x.test>\r\n");
    assert!(desk.kept_call().contains("\"user\":\"0199\""));
}

/// The end of an early dialog: of whoever the node has asked, with this tag.
fn early(desk: &Desk, address: &'static str, tag: &str) -> End {
    let invite = desk.requests(address, Method::Invite).pop().expect("an INVITE");
    let field = |name| invite.header(name).expect("a field").to_string();
    End {
        address,
        call_id: field(HeaderName::CallId),
        local: format!("{};tag={tag}", field(HeaderName::To)),
        remote: field(HeaderName::From),
        cseq: 0,
    }
}

/// Before the answer: the number that was dialled rings on somewhere else.
#[test]
fn who_rings_now_is_told_before_the_answer() {
    let mut desk = Desk::new(&config(true, "pai"));
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &contact("101", PHONE), &sdp(PHONE, 1, "sendrecv"));
    desk.reply(TRUNK, "180 Ringing", "t", &format!("{}{ALLOWS_UPDATE}", contact("gw", TRUNK)), "");
    let mut trunk = early(&desk, TRUNK, "t");
    let said = "P-Asserted-Identity: <sip:0177@gw7.inside.example>\r\n";
    for (more, ringing) in [("", 1), (said, 2), (said, 2)] {
        trunk.send(&mut desk, "UPDATE", more, "");
        assert_eq!(trunk.status(&desk), 200);
        assert_eq!(desk.responses(PHONE, 180).len(), ringing, "the same again is no news");
    }
    assert_eq!(field(&desk.responses(PHONE, 180)[1], PAI), Some("<sip:0177@ringfort.local>"));
    // With audio it is no ringing.
    let invite = desk.requests(TRUNK, Method::Invite).remove(0);
    desk.reply_to(TRUNK, &invite, "183 Session Progress", "t", &contact("gw", TRUNK), &sdp(TRUNK, 1, "sendrecv"));
    trunk.send(&mut desk, "UPDATE", &said.replace("0177", "0178"), "");
    let told = desk.responses(PHONE, 183).pop().expect("one");
    assert_eq!(field(&told, PAI), Some("<sip:0178@ringfort.local>"));
    desk.reply_to(TRUNK, &invite, "200 OK", "t", &contact("gw", TRUNK), &sdp(TRUNK, 1, "sendrecv"));
    assert_eq!(field(&desk.last(PHONE), PAI), Some("<sip:0178@ringfort.local>"));
}

/// The carrier's caller is transferred while 102 rings: who takes UPDATE sees it at once, and everybody does when the call stands.
#[test]
fn who_calls_now_is_told_before_the_answer() {
    for (allow, at_once, after) in [(ALLOWS_UPDATE, 1, Method::Update), ("Allow: INVITE, ACK, BYE\r\n", 0, Method::Invite)] {
        let mut desk = Desk::new(&config(true, "pai"));
        assert_eq!(desk.register(PHONE, "102", &contact("102", PHONE)), 200);
        let more = format!("{}{ALLOWS_UPDATE}", contact("gw", TRUNK));
        desk.request(TRUNK, "INVITE", "sip:102@ringfort.local", "0301", &more, &sdp(TRUNK, 1, "sendrecv"));
        let invite = desk.last(PHONE);
        desk.reply_to(PHONE, &invite, "180 Ringing", "r", &format!("{}{allow}", contact("102", PHONE)), "");
        let ringing = desk.last(TRUNK);
        desk.inside(TRUNK, "UPDATE", &ringing, 50, "P-Asserted-Identity: <sip:0388@gw7.inside.example>\r\n", "");
        assert_eq!(desk.answer(TRUNK), 200);
        let updates = desk.requests(PHONE, Method::Update);
        assert_eq!(updates.len(), at_once, "{allow}");
        for update in &updates {
            assert_eq!(field(update, PAI), Some("<sip:0388@ringfort.local>"));
            assert!(update.to().expect("one").tag() == Some("r") && update.body().is_empty());
            assert!(!String::from_utf8_lossy(update.octets()).contains("inside"));
            desk.receive(PHONE, &talk::reply(update, "200 OK", "", ""));
        }
        desk.reply_to(PHONE, &invite, "200 OK", "r", &format!("{}{allow}", contact("102", PHONE)), &sdp(PHONE, 1, "sendrecv"));
        let told = desk.last_of(PHONE, |m| m.is_request() && m.method() != Method::Ack);
        assert_eq!((told.method(), field(&told, PAI)), (after, Some("<sip:0388@ringfort.local>")));
        assert_eq!(desk.status().calls[0].state, "connected");
    }
}
