//! Cloud and trunks that are named, not numbered.

use crate::fixture::{Desk, SDP};
use ringfort_base::event::Mode;
use std::time::Duration;

const NAMED: &str = "[cloud]\naddress = \"pbx.example.com:5060\"\n";

fn found(desk: &mut Desk, addresses: &[&str]) {
    let zone: Vec<String> = addresses.iter().map(|ip| format!("pbx.example.com A {ip}")).collect();
    desk.zone(&zone.join("\n"));
}

#[test]
fn a_look_up_has_its_time() {
    let mut desk = Desk::new(NAMED);
    desk.pass(Duration::from_millis(200));
    assert_eq!((desk.status().mode, desk.looked_up.len()), (Mode::Normal, 1));
    found(&mut desk, &["198.51.100.1"]);
    desk.pass(Duration::from_millis(1));
    assert_eq!(desk.last("198.51.100.1:5060").request_uri(), Some("sip:pbx.example.com:5060"));
    desk.reply("198.51.100.1:5060", "200 OK", "t", "", "");
    desk.pass(Duration::from_secs(1));
    assert_eq!(desk.status().mode, Mode::Normal);
}

#[test]
fn a_name_that_means_nothing_is_found_out_in_five_seconds() {
    let mut desk = Desk::new(NAMED);
    found(&mut desk, &[]);
    desk.pass(Duration::from_secs(5));
    assert_eq!(desk.status().mode, Mode::Survivable);
    assert!(desk.looked_up.len() < 6, "{} look-ups", desk.looked_up.len());
}

#[test]
fn a_cloud_that_moved_is_followed_and_one_that_answers_is_not_left() {
    let mut desk = Desk::new(NAMED);
    found(&mut desk, &["198.51.100.1"]);
    desk.pass(Duration::from_secs(5));
    assert_eq!(desk.status().mode, Mode::Survivable);
    found(&mut desk, &["198.51.100.1", "198.51.100.2"]);
    desk.pass(Duration::from_secs(7));
    for _ in 0..40 {
        desk.reply("198.51.100.2:5060", "200 OK", "t", "", "");
        desk.pass(Duration::from_millis(400));
    }
    assert_eq!(desk.status().mode, Mode::Normal);
    found(&mut desk, &["198.51.100.1", "198.51.100.2"]);
    let before = desk.last("198.51.100.2:5060").call_id().map(str::to_string);
    desk.pass(Duration::from_secs(2));
    assert_ne!(desk.last("198.51.100.2:5060").call_id().map(str::to_string), before, "the next question goes there too");
}

#[test]
fn a_peer_that_is_reached_by_tls_is_not_believed_by_datagram() {
    let trunk =
        |transport: &str| format!("[[trunk]]\nname = \"c\"\naddress = \"198.51.100.1:5061\"\ntransport = \"{transport}\"\n");
    for (transport, status) in [("tls", 407), ("udp", 200)] {
        let mut desk = Desk::new(&trunk(transport));
        let contact = "Contact: <sip:c@198.51.100.1:5061>\r\n";
        desk.request("198.51.100.1:5070", "INVITE", "sip:*43@ringfort.local", "c", contact, SDP);
        assert_eq!(desk.answer("198.51.100.1:5070"), status, "{transport}");
    }
}
