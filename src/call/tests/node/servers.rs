//! Peers with several servers: found by SRV, left when they fail, kept when the DNS dies.

use crate::fixture::Desk;
use ringfort_base::Event;
use ringfort_base::event::Mode;
use ringfort_sip::message::Method;
use std::collections::HashSet;
use std::time::Duration;

/// A domain without port: NAPTR, then SRV, then addresses.
const DOMAIN: &str = "[cloud]\naddress = \"pbx.example.com\"\ntransport = \"udp\"\n";
const ZONE: &str = "
    _sip._udp.pbx.example.com SRV 10 1 5080 one.example.com
    _sip._udp.pbx.example.com SRV 20 1 5090 two.example.com
    one.example.com A 198.51.100.1
    two.example.com A 198.51.100.2";
const ONE: &str = "198.51.100.1:5080";
const TWO: &str = "198.51.100.2:5090";

fn questions_to(desk: &Desk, server: &str) -> usize {
    let server = server.parse().expect("an address");
    let to_it = desk.sent.iter().filter(|(to, message)| *to == server && message.method() == Method::Options);
    let ids: HashSet<&str> = to_it.filter_map(|(_, message)| message.call_id().ok()).collect();
    ids.len()
}

/// Time passes while these servers answer each OPTIONS.
fn pass(desk: &mut Desk, seconds: usize, living: &[&str]) {
    let mut answered: Vec<usize> = living.iter().map(|server| questions_to(desk, server)).collect();
    for _ in 0..seconds * 10 {
        desk.pass(Duration::from_millis(100));
        for (server, before) in living.iter().zip(&mut answered) {
            if questions_to(desk, server) > *before {
                *before = questions_to(desk, server);
                desk.reply(server, "200 OK", "t", "", "");
            }
        }
    }
}

#[test]
fn the_server_of_the_best_priority_is_asked() {
    let mut desk = Desk::new(DOMAIN);
    desk.zone(ZONE);
    pass(&mut desk, 3, &[ONE]);
    assert_eq!(desk.last(ONE).request_uri(), Some("sip:pbx.example.com"));
    assert_eq!((questions_to(&desk, TWO), desk.status().mode), (0, Mode::Normal));
}

#[test]
fn the_next_server_takes_over_and_the_first_is_used_again_after_it_has_answered() {
    let mut desk = Desk::new(DOMAIN);
    desk.zone(ZONE);
    pass(&mut desk, 5, &[TWO]);
    assert!(questions_to(&desk, TWO) > 0);
    assert_eq!(desk.status().mode, Mode::Normal, "one server of two is enough");
    let (one, two) = (questions_to(&desk, ONE), questions_to(&desk, TWO));
    pass(&mut desk, 20, &[TWO]);
    assert_eq!(questions_to(&desk, ONE), one, "a server that failed is left alone for 30 seconds");
    assert!(questions_to(&desk, TWO) > two + 5);
    pass(&mut desk, 20, &[ONE, TWO]);
    let two = questions_to(&desk, TWO);
    pass(&mut desk, 6, &[ONE, TWO]);
    assert!(questions_to(&desk, TWO) == two && questions_to(&desk, ONE) > one + 3, "the better one is in use again");
}

#[test]
fn a_peer_is_unreachable_only_when_none_of_its_servers_answers_and_comes_back_by_any() {
    let mut desk = Desk::new(DOMAIN);
    desk.zone(ZONE);
    pass(&mut desk, 6, &[]);
    assert_eq!(desk.status().mode, Mode::Survivable);
    pass(&mut desk, 20, &[TWO]);
    assert_eq!(desk.status().mode, Mode::Normal);
}

#[test]
fn the_servers_found_last_stay_in_use_while_the_dns_is_dead() {
    let mut desk = Desk::new(DOMAIN);
    desk.zone(ZONE);
    pass(&mut desk, 5, &[ONE]);
    desk.dns_dies();
    for _ in 0..20 {
        pass(&mut desk, 10, &[ONE]);
        desk.questions_fail();
    }
    assert_eq!(desk.status().mode, Mode::Normal, "far beyond the TTL of 60 seconds");
    let told = desk.events.iter().filter(|event| matches!(event, Event::Impaired { part, .. } if part == "dns")).count();
    assert_eq!(told, 1);
}

#[test]
fn the_ttl_has_the_name_looked_up_again() {
    let mut desk = Desk::new(DOMAIN);
    desk.zone(ZONE);
    pass(&mut desk, 50, &[ONE]);
    let asked = desk.looked_up.len();
    desk.zone("_sip._udp.pbx.example.com SRV 1 1 5090 two.example.com\ntwo.example.com A 198.51.100.2");
    assert_eq!(questions_to(&desk, TWO), 0);
    pass(&mut desk, 15, &[ONE, TWO]);
    assert!(desk.looked_up.len() > asked && questions_to(&desk, TWO) > 0);
}

#[test]
fn the_host_table_comes_before_the_dns() {
    let mut desk = Desk::new(&format!("[dns]\nhosts = {{ \"PBX.example.com\" = [\"198.51.100.7\"] }}\n{DOMAIN}"));
    pass(&mut desk, 1, &[]);
    assert!(desk.looked_up.iter().all(|question| question.name.starts_with("_sip")), "{:?}", desk.looked_up);
    desk.zone("");
    pass(&mut desk, 2, &[]);
    assert!(questions_to(&desk, "198.51.100.7:5060") > 0);
}
