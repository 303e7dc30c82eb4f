//! The shield: unknown sources are slowed, challenged without memory, and banned; who is known is not.

use crate::fixture::{Desk, SDP};
use crate::talk;
use ringfort_base::{Event, SourceNet, limits};
use ringfort_call::Input;
use ringfort_call::overload::Load;
use ringfort_call::shield::ShieldCommand;
use ringfort_sip::message::HeaderName;
use std::time::Duration;

const CONFIG: &str = "[[trunk]]\nname = \"carrier\"\naddress = \"198.51.100.1:5060\"\noptions_interval_ms = 0\n\
    [[account]]\nuser = \"101\"\n[[account]]\nuser = \"102\"\n[[route]]\nname = \"out\"\nnumber = \"0*\"\nto = [\"trunk:carrier\"]\n";
const PHONE: &str = "203.0.113.5:5060";
const STRANGER: &str = "203.0.113.66:5060";
/// The same address as the phone's: somebody else behind the same NAT.
const NEIGHBOUR: &str = "203.0.113.5:9999";
const TRUNK: &str = "198.51.100.1:5060";
const CONTACT: &str = "Contact: <sip:101@203.0.113.5:5060>\r\n";
const SECOND: Duration = Duration::from_secs(1);

fn net(address: &str) -> SourceNet {
    let address: std::net::SocketAddr = address.parse().expect("an address");
    SourceNet::of(address.ip())
}

fn answers(desk: &Desk, to: &str) -> usize {
    desk.sent.iter().filter(|(remote, message)| remote.to_string() == to && !message.is_request()).count()
}

fn is_banned(desk: &Desk, address: &str) -> bool {
    desk.status().bans.iter().any(|ban| *ban.source.reveal() == net(address))
}

/// OPTIONS, `n` at once.
fn knock(desk: &mut Desk, from: &str, n: usize) {
    for _ in 0..n {
        desk.request(from, "OPTIONS", "sip:ringfort.local", "100", "", "");
    }
}

#[test]
fn an_unknown_invite_is_challenged_and_not_remembered() {
    let mut desk = Desk::new(CONFIG);
    desk.request(STRANGER, "INVITE", "sip:0123@ringfort.local", "101", "Contact: <sip:101@203.0.113.66>\r\n", SDP);
    assert_eq!((desk.answer(STRANGER), desk.residue()[2]), (407, 0));
    assert!(desk.last(STRANGER).header(HeaderName::ProxyAuthenticate).is_some());
}

#[test]
fn a_repeat_has_the_same_answer() {
    let mut desk = Desk::new(CONFIG);
    let text = format!(
        "INVITE sip:0123@ringfort.local SIP/2.0\r\nVia: SIP/2.0/UDP {STRANGER};branch=z9hG4bKsame;rport\r\nFrom: <sip:101@ringfort.local>;tag=f\r\n\
         To: <sip:0123@ringfort.local>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContact: <sip:101@203.0.113.66>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    );
    desk.receive(STRANGER, &text);
    let first = desk.last(STRANGER);
    desk.pass(SECOND / 2);
    desk.receive(STRANGER, &text);
    assert_eq!(answers(&desk, STRANGER), 2);
    assert_eq!(desk.last(STRANGER).octets(), first.octets());
    let ack = text.replace("INVITE sip", "ACK sip").replace("1 INVITE", "1 ACK");
    desk.receive(
        STRANGER,
        &ack.replace("To: <sip:0123@ringfort.local>", &format!("To: {}", first.header(HeaderName::To).expect("one"))),
    );
    assert_eq!((answers(&desk, STRANGER), desk.residue()[2]), (2, 0));
}

/// A REGISTER that waits for the cloud is repeated when the cloud has just been lost: only its transaction answers it.
#[test]
fn a_repeat_of_what_waits_is_not_challenged() {
    let mut desk =
        Desk::new("[cloud]\naddress = \"198.51.100.1:5060\"\noptions_interval_ms = 3600000\n[[account]]\nuser = \"103\"\n");
    desk.pass(SECOND / 100);
    desk.reply(TRUNK, "200 OK", "o", "", "");
    for (at, user, ms) in [("203.0.113.1:5060", "101", 600), ("203.0.113.2:5060", "102", 600)] {
        desk.request(at, "REGISTER", "sip:ringfort.local", user, CONTACT, "");
        desk.pass(Duration::from_millis(ms));
    }
    let text = format!(
        "REGISTER sip:ringfort.local SIP/2.0\r\nVia: SIP/2.0/UDP {STRANGER};branch=z9hG4bKwaits;rport\r\nFrom: <sip:103@ringfort.local>;tag=f\r\n\
         To: <sip:103@ringfort.local>\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\n{CONTACT}Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    );
    desk.receive(STRANGER, &text);
    desk.pass(Duration::from_millis(500));
    assert_eq!(desk.status().mode, ringfort_base::event::Mode::Survivable);
    desk.receive(STRANGER, &text);
    assert_eq!(answers(&desk, STRANGER), 0);
    desk.pass(SECOND);
    desk.receive(STRANGER, &text);
    let all: Vec<_> = desk.responses(STRANGER, 401).iter().map(|m| m.octets().clone()).collect();
    assert!(all.len() == 2 && all[0] == all[1] && answers(&desk, STRANGER) == 2, "{all:?}");
}

#[test]
fn the_right_digest_goes_on() {
    let mut desk = Desk::new(CONFIG);
    assert_eq!(desk.register(PHONE, "101", CONTACT), 200);
    assert!(desk.kept.contains_key("known/203.0.113.5"), "{:?}", desk.kept.keys());
}

#[test]
fn a_flood_is_slowed_then_banned_for_longer_each_time() {
    let mut desk = Desk::new(CONFIG);
    knock(&mut desk, STRANGER, 100);
    assert_eq!(answers(&desk, STRANGER), 20, "the burst of ten seconds");
    for _ in 0..11 {
        desk.pass(SECOND);
        knock(&mut desk, STRANGER, 20);
    }
    assert!(is_banned(&desk, STRANGER));
    assert!(desk.shielded.contains(&ShieldCommand::Ban(net(STRANGER))));
    desk.pass(SECOND * 61);
    assert!(!is_banned(&desk, STRANGER));
    for _ in 0..13 {
        desk.pass(SECOND);
        knock(&mut desk, STRANGER, 40);
    }
    let times: Vec<u64> = desk
        .events
        .iter()
        .filter_map(|e| if let Event::SourceBanned { seconds, .. } = e { Some(*seconds) } else { None })
        .collect();
    assert_eq!(times, [60, 120]);
    assert!(desk.status().totals.dropped_unknown > 100);
}

#[test]
fn a_scanner_gets_no_answer_and_is_banned() {
    let mut desk = Desk::new(CONFIG);
    for _ in 0..3 {
        desk.request(STRANGER, "OPTIONS", "sip:100@192.0.2.10", "100", "User-Agent: friendly-scanner\r\n", "");
    }
    assert_eq!((answers(&desk, STRANGER), is_banned(&desk, STRANGER)), (0, true));
}

#[test]
fn a_dictionary_of_extensions_is_banned() {
    let mut desk = Desk::new(CONFIG);
    for user in 200..270 {
        desk.request(STRANGER, "REGISTER", "sip:ringfort.local", &user.to_string(), "", "");
        desk.pass(SECOND / 4);
    }
    assert!(is_banned(&desk, STRANGER));
    assert_eq!(desk.status().bans[0].reason, "dictionary");
}

/// REGISTER with an answer to a real challenge that does not fit.
fn guess(desk: &mut Desk, from: &str, user: &str) {
    desk.request(from, "REGISTER", "sip:ringfort.local", user, "", "");
    let challenge = desk.last(from).header(HeaderName::WwwAuthenticate).expect("a challenge").to_string();
    let challenge = ringfort_sip::digest::Challenge::parse(&challenge).expect("sound");
    let ha1 = ringfort_sip::digest::Ha1::new(user, "ringfort.local", "wrong");
    let answer = challenge.answer(user, &ha1, "REGISTER", "sip:ringfort.local", "c", 1);
    desk.request(from, "REGISTER", "sip:ringfort.local", user, &format!("Authorization: {answer}\r\n"), "");
}

#[test]
fn guessing_is_banned_and_the_right_person_gets_in_from_elsewhere() {
    let mut desk = Desk::new(CONFIG);
    for _ in 0..11 {
        guess(&mut desk, STRANGER, "101");
        desk.pass(SECOND);
    }
    assert!(is_banned(&desk, STRANGER));
    assert_eq!(desk.status().bans[0].reason, "guessing");
    assert_eq!(desk.register(PHONE, "101", CONTACT), 200);
}

#[test]
fn many_sources_guess_at_one_account_and_lock_nobody_out() {
    let mut desk = Desk::new(CONFIG);
    for source in 1..60 {
        guess(&mut desk, &format!("192.0.2.{}:5060", 100 + source), "101");
    }
    assert_eq!(desk.register(PHONE, "101", CONTACT), 200);
}

#[test]
fn a_known_phone_works_while_its_nat_address_is_attacked() {
    let mut desk = Desk::new(CONFIG);
    assert_eq!(desk.register(PHONE, "101", CONTACT), 200);
    for round in 0..30 {
        desk.pass(SECOND);
        knock(&mut desk, NEIGHBOUR, 100);
        desk.request(NEIGHBOUR, "REGISTER", "sip:ringfort.local", &(200 + round).to_string(), "User-Agent: sipvicious\r\n", "");
        desk.request(PHONE, "OPTIONS", "sip:ringfort.local", "101", "", "");
        assert_eq!(desk.answer(PHONE), 200);
    }
    assert!(desk.status().bans.is_empty(), "never banned as a whole");
    assert!(answers(&desk, NEIGHBOUR) < 100, "but slowed: {}", answers(&desk, NEIGHBOUR));
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", CONTACT, SDP);
    assert_eq!(desk.last(TRUNK).request_uri().map(|uri| uri.contains("0123")), Some(true));
}

/// It has a new port after its start, while its neighbour has used up what unknown sources may send.
#[test]
fn a_phone_that_began_anew_behind_an_attacked_address_registers() {
    let mut desk = Desk::new(CONFIG);
    assert_eq!(desk.register(PHONE, "101", CONTACT), 200);
    for user in 200..400 {
        desk.request(NEIGHBOUR, "REGISTER", "sip:ringfort.local", &user.to_string(), "", "");
    }
    assert_eq!(desk.register("203.0.113.5:6200", "101", CONTACT), 200);
}

#[test]
fn the_sockets_are_told_where_the_peers_are() {
    let trunk = |at: &str| format!("{CONFIG}\n[[trunk]]\nname = \"gw\"\naddress = \"{at}:5060\"\n");
    let mut desk = Desk::new(&trunk("198.51.100.2"));
    let told = |desk: &Desk| desk.shielded.iter().filter_map(trusted).collect::<Vec<_>>();
    assert_eq!(told(&desk), [(true, net("198.51.100.1:1")), (true, net("198.51.100.2:1"))]);
    desk.input(Input::Reload(crate::fixture::snapshot(&trunk("198.51.100.3"))));
    assert_eq!(told(&desk)[2..], [(true, net("198.51.100.3:1")), (false, net("198.51.100.2:1"))]);
}

fn trusted(command: &ShieldCommand) -> Option<(bool, SourceNet)> {
    match command {
        ShieldCommand::Trust { source, .. } => Some((true, *source)),
        ShieldCommand::Distrust { source } => Some((false, *source)),
        _ => None,
    }
}

#[test]
fn who_was_known_is_known_after_a_restart_and_forgotten_after_days() {
    let mut desk = Desk::new(CONFIG);
    assert_eq!(desk.register(PHONE, "101", CONTACT), 200);
    let mut next = Desk::restarted(CONFIG, desk.left_behind());
    assert!(next.shielded.contains(&ShieldCommand::Trust { source: net(PHONE), flow: None }));
    for _ in 0..5 {
        next.request(NEIGHBOUR, "OPTIONS", "sip:ringfort.local", "1", "User-Agent: sundayddr\r\n", "");
    }
    assert!(!is_banned(&next, NEIGHBOUR));
    next.pass(Duration::from_secs(8 * 86_400));
    assert!(!next.kept.contains_key("known/203.0.113.5"));
    for _ in 0..5 {
        next.request(NEIGHBOUR, "OPTIONS", "sip:ringfort.local", "1", "User-Agent: sundayddr\r\n", "");
    }
    assert!(is_banned(&next, NEIGHBOUR));
}

#[test]
fn a_trunk_is_never_slowed() {
    let mut desk = Desk::new(CONFIG);
    for _ in 0..500 {
        desk.request(TRUNK, "OPTIONS", "sip:192.0.2.10", "x", "User-Agent: sipsak\r\n", "");
    }
    assert_eq!(answers(&desk, TRUNK), 500);
}

#[test]
fn made_up_sources_fill_no_table_and_together_have_a_limit() {
    let mut desk = Desk::new(CONFIG);
    for n in 0..5_000_u32 {
        let from = format!("10.{}.{}.1:5060", n >> 8 & 255, n & 255);
        desk.request(&from, "INVITE", "sip:0123@ringfort.local", "101", "Contact: <sip:101@10.0.0.1>\r\n", SDP);
    }
    assert_eq!(desk.residue(), [0; 3]);
    let answered = desk.sent.iter().filter(|(_, message)| !message.is_request()).count();
    assert_eq!(answered, 200, "what one listener takes of all of them in a second");
}

#[test]
fn a_banned_source_proves_itself_or_is_forgiven() {
    let mut desk = Desk::new(CONFIG);
    let ban = |desk: &mut Desk| {
        for _ in 0..3 {
            desk.request(STRANGER, "OPTIONS", "sip:192.0.2.10", "100", "User-Agent: sipcli/1.8\r\n", "");
        }
        assert!(is_banned(desk, STRANGER));
    };
    ban(&mut desk);
    desk.input(Input::Unban(net(STRANGER)));
    assert!(!is_banned(&desk, STRANGER));
    ban(&mut desk);
    assert_eq!(desk.register(STRANGER, "102", "Contact: <sip:102@203.0.113.66>\r\n"), 200);
    assert!(!is_banned(&desk, STRANGER));
    let why: Vec<&str> = desk
        .events
        .iter()
        .filter_map(|e| if let Event::SourceUnbanned { reason, .. } = e { Some(reason.as_str()) } else { None })
        .collect();
    assert_eq!(why, ["operator", "proven"]);
}

#[test]
fn overload_sheds_the_unknown_first_and_registrations_last() {
    let mut desk = Desk::new(CONFIG);
    assert_eq!(desk.register(PHONE, "101", CONTACT), 200);
    let load = |desk: &mut Desk, ms| desk.input(Input::Load(Load { queued: 0, lag: Duration::from_millis(ms) }));
    load(&mut desk, 150);
    knock(&mut desk, STRANGER, 1);
    assert_eq!(answers(&desk, STRANGER), 0);
    knock(&mut desk, PHONE, 1);
    assert_eq!(desk.answer(PHONE), 200);
    load(&mut desk, 400);
    knock(&mut desk, PHONE, 1);
    assert_eq!(desk.answer(PHONE), 503);
    desk.request(PHONE, "SUBSCRIBE", "sip:102@ringfort.local", "101", &format!("{CONTACT}Event: dialog\r\n"), "");
    assert_eq!(desk.answer(PHONE), 503);
    let wait: u32 = desk.last(PHONE).header(HeaderName::RetryAfter).and_then(|w| w.parse().ok()).expect("seconds");
    assert!((5..=20).contains(&wait));
    assert_eq!(desk.register(PHONE, "101", CONTACT), 200);
    load(&mut desk, limits::CORE_QUEUE_MAX as u64);
    desk.request(PHONE, "REGISTER", "sip:ringfort.local", "101", CONTACT, "");
    assert_eq!(desk.answer(PHONE), 503);
    load(&mut desk, 0);
    assert_eq!(desk.register(PHONE, "101", CONTACT), 200);
}

/// A carrier whose media gateway speaks for itself once the call stands.
#[test]
fn who_speaks_inside_a_dialog_from_elsewhere_is_expected_at_the_sockets() {
    let (mut desk, _, mut trunk) = talk::connected(talk::CONFIG, "", "");
    let expected = |desk: &Desk| desk.shielded.contains(&ShieldCommand::Expect { source: net(STRANGER) });
    knock(&mut desk, STRANGER, 1);
    let mut guess = trunk.clone();
    (guess.address, guess.remote) = (STRANGER, "<sip:a@b>;tag=guessed".into());
    guess.send(&mut desk, "INFO", "", "");
    assert!(!expected(&desk), "a tag that is not the dialog's");
    trunk.address = STRANGER;
    trunk.send(&mut desk, "BYE", "", "");
    assert!(expected(&desk));
    assert_eq!(trunk.status(&desk), 200);
}

#[test]
fn the_limits_are_checked() {
    let refused = |text: &str| {
        let loaded = ringfort_call::config::Snapshot::load("test.toml", text, &mut |_| None);
        loaded.map(|_| ()).expect_err("must be refused").to_string()
    };
    assert!(refused("[shield]\nban_min_s = 90\nban_max_s = 60\n").starts_with("test.toml:1: `ban_min_s`"));
    assert!(refused("[shield]\nregister_per_s = 0\n").contains("the rates"));
}
