//! The registrar's rules, standalone (RFC 3261 10.3), and what it does with bindings that the cloud granted.

use crate::script::{Leg, Party, Script};
use crate::wire::Wire;
use ringfort_base::Event;
use std::time::Duration;

const CONFIG: &str = r#"
[node]
domain = "ringfort.test"
[sip]
listen = ["udp:192.0.2.10:5060"]
nonce_s = 100
[[account]]
user = "101"
[[account]]
user = "102"
"#;

fn stage() -> (Script, Party) {
    let mut s = Script::new(CONFIG);
    let phone = s.party("101", "10.1.0.101:5060");
    (s, phone)
}

/// Asks without credentials, then with; the request is changed on the way.
fn ask(s: &mut Script, phone: &Party, leg: &mut Leg, change: impl Fn(Wire) -> Wire) {
    s.send(phone, &change(leg.register(phone, Some(300))));
    let challenge = s.expect(phone, "401");
    let answer = phone.answer(&challenge, 1);
    s.send(phone, &change(leg.register(phone, Some(300))).with("Authorization", answer));
}

fn refusals(s: &Script) -> Vec<String> {
    let reason = |e: &Event| if let Event::AuthFailed { reason, .. } = e { Some(reason.clone()) } else { None };
    s.world.checks.events.iter().filter_map(reason).collect()
}

fn bindings(s: &Script) -> usize {
    s.world.node.status().registrations.len()
}

#[test]
fn a_binding_is_made_listed_and_runs_out() {
    let (mut s, phone) = stage();
    let mut leg = s.registering(&phone);
    ask(&mut s, &phone, &mut leg, |wire| wire);
    assert_eq!(s.expect(&phone, "200").get("Contact"), "<sip:101@10.1.0.101:5060>;expires=300");
    assert_eq!((bindings(&s), s.world.journal.keys().filter(|k| k.starts_with("binding/")).count()), (1, 1));
    s.run(Duration::from_secs(301));
    s.world.ensure_journal();
    assert_eq!(bindings(&s), 0);
}

#[test]
fn too_brief_is_told_the_least() {
    let (mut s, phone) = stage();
    let mut leg = s.registering(&phone);
    ask(&mut s, &phone, &mut leg, |wire| wire.replace("Contact", "<sip:101@10.1.0.101:5060>;expires=5"));
    assert_eq!(s.expect(&phone, "423").get("Min-Expires"), "60");
    assert_eq!(bindings(&s), 0);
}

#[test]
fn a_nonce_grows_stale() {
    let (mut s, phone) = stage();
    let mut leg = s.registering(&phone);
    s.send(&phone, &leg.register(&phone, Some(300)));
    let challenge = s.expect(&phone, "401");
    // A challenge without memory is the same for 32 s, and is as old as their end.
    s.run(Duration::from_secs(100 + 33));
    s.send(&phone, &leg.register(&phone, Some(300)).with("Authorization", phone.answer(&challenge, 1)));
    assert!(s.expect(&phone, "401").get("WWW-Authenticate").contains("stale=true"));
    assert_eq!(refusals(&s), [""; 0], "it is no wrong password");
}

#[test]
fn a_nonce_count_is_good_once() {
    let (mut s, phone) = stage();
    let mut leg = s.registering(&phone);
    s.send(&phone, &leg.register(&phone, Some(300)));
    let challenge = s.expect(&phone, "401");
    for (nc, expected) in [(1, "200"), (2, "200"), (2, "401")] {
        s.send(&phone, &leg.register(&phone, Some(300)).with("Authorization", phone.answer(&challenge, nc)));
        s.expect(&phone, expected);
    }
    assert_eq!(refusals(&s), ["replayed-nc"]);
}

#[test]
fn md5_is_taken_from_phones_that_know_no_better() {
    let (mut s, phone) = stage();
    let mut leg = s.registering(&phone);
    s.send(&phone, &leg.register(&phone, Some(300)));
    let challenge = s.expect(&phone, "401");
    let secret = crate::wire::Secret { user: "101".into(), password: "101101".into(), algorithm: "MD5" };
    let answer = secret.answer(&secret.challenge(&challenge).expect("offered"), "REGISTER", "sip:ringfort.test", 1);
    s.send(&phone, &leg.register(&phone, Some(300)).with("Authorization", answer));
    s.expect(&phone, "200");
}

#[test]
fn wrong_credentials_are_challenged_again() {
    for (user, password, reason) in [("101", "guess", "bad-response"), ("999", "999999", "unknown-user")] {
        let (mut s, phone) = stage();
        let mut leg = s.registering(&phone);
        s.send(&phone, &leg.register(&phone, Some(300)));
        let challenge = s.expect(&phone, "401");
        let answer = phone.answer_as(&challenge, 1, user, password);
        s.send(&phone, &leg.register(&phone, Some(300)).with("Authorization", answer));
        s.expect(&phone, "401");
        assert_eq!(refusals(&s), [reason]);
    }
}

#[test]
fn nobody_registers_another_s_address() {
    let (mut s, phone) = stage();
    let mut leg = s.registering(&phone);
    s.send(&phone, &leg.register(&phone, Some(300)));
    let challenge = s.expect(&phone, "401");
    let answer = phone.answer_as(&challenge, 1, "102", "102102");
    s.send(&phone, &leg.register(&phone, Some(300)).with("Authorization", answer));
    s.expect(&phone, "403");
    assert_eq!(bindings(&s), 0);
}

#[test]
fn another_domain_is_not_served() {
    let (mut s, phone) = stage();
    let mut leg = s.registering(&phone);
    ask(&mut s, &phone, &mut leg, |wire| wire.replace("To", "<sip:101@elsewhere.test>"));
    s.expect(&phone, "404");
}

#[test]
fn an_older_request_changes_nothing() {
    let (mut s, phone) = stage();
    let mut leg = s.register(&phone);
    s.send(&phone, &leg.register(&phone, Some(300)));
    let challenge = s.expect(&phone, "401");
    leg.cseq = 0;
    s.send(&phone, &leg.register(&phone, Some(0)).with("Authorization", phone.answer(&challenge, 1)));
    s.expect(&phone, "500");
    assert_eq!(bindings(&s), 1);
}

#[test]
fn a_star_removes_all_and_needs_expires_0() {
    let (mut s, phone) = stage();
    let mut leg = s.register(&phone);
    s.send(&phone, &leg.register(&phone, None).replace("Contact", "*"));
    s.expect(&phone, "400");
    ask(&mut s, &phone, &mut leg, |wire| wire.replace("Contact", "*").with("Expires", 0));
    assert_eq!(s.expect(&phone, "200").get("Contact"), "");
    assert_eq!(bindings(&s), 0);
    s.world.ensure_journal();
}

#[test]
fn ten_devices_and_those_the_latest() {
    let (mut s, phone) = stage();
    for n in 0..11 {
        let mut leg = s.registering(&phone);
        let contact = format!("<sip:101@10.1.0.101:{}>;expires=300", 6000 + n);
        ask(&mut s, &phone, &mut leg, |wire| wire.replace("Contact", &contact));
        s.expect(&phone, "200");
    }
    assert_eq!(bindings(&s), 10);
}

#[test]
fn a_registered_device_is_known_after_a_restart() {
    let (mut s, phone) = stage();
    s.register(&phone);
    s.world.restart();
    assert_eq!(bindings(&s), 1);
    let _ = s.dial(&phone, "*43");
    s.expect(&phone, "200");
}

const CLOUDED: &str = r#"
[node]
domain = "ringfort.test"
[sip]
listen = ["udp:192.0.2.10:5060"]
[cloud]
address = "10.3.0.100:5060"
domain = "cloud.test"
[[account]]
user = "101"
"#;

/// A phone without account here, registered by the cloud, which then dies.
fn orphaned() -> (Script, Party, Leg) {
    let mut s = Script::new(CLOUDED);
    let (phone, cloud) = (s.party("300", "10.1.0.130:5060"), s.party("cloud", "10.3.0.100:5060"));
    let mut leg = s.registering(&phone);
    s.send(&phone, &leg.register(&phone, Some(300)));
    let relayed = s.expect(&cloud, "REGISTER");
    assert!(relayed.contact().contains("192.0.2.10") && relayed.contact().contains(";rf="), "{}", relayed.contact());
    s.send(&cloud, &relayed.reply(200, "x").with("Contact", format!("<{}>;expires=200", relayed.contact())));
    assert_eq!(s.expect(&phone, "200").get("Contact"), "<sip:300@10.1.0.130:5060>;expires=200");
    s.silence(&cloud);
    s.run(Duration::from_secs(5));
    assert_eq!(s.world.node.status().mode, ringfort_base::event::Mode::Survivable);
    (s, phone, leg)
}

#[test]
fn what_the_cloud_granted_may_be_refreshed_without_it() {
    let (mut s, phone, mut leg) = orphaned();
    s.run(Duration::from_secs(150));
    s.send(&phone, &leg.register(&phone, Some(300)));
    assert!(s.expect(&phone, "200").get("Contact").ends_with("expires=300"));
    s.run(Duration::from_secs(100));
    assert_eq!(bindings(&s), 1);
}

#[test]
fn a_refresh_with_the_cloud_s_credentials_is_taken_too() {
    let (mut s, phone, mut leg) = orphaned();
    let own = "Digest realm=\"ringfort.test\", nonce=\"of-the-cloud\", algorithm=SHA-256, qop=\"auth\"";
    let secret = crate::wire::Secret { user: "300".into(), password: "secret".into(), algorithm: "SHA-256" };
    let answer = secret.answer(own, "REGISTER", "sip:ringfort.test", 7);
    s.send(&phone, &leg.register(&phone, Some(300)).with("Authorization", answer));
    s.expect(&phone, "200");
}

#[test]
fn but_only_by_the_same_device_from_the_same_place() {
    let (mut s, phone, mut leg) = orphaned();
    s.send(&phone, &leg.register(&phone, Some(300)).replace("Contact", "<sip:300@10.1.0.130:7000>;expires=300"));
    s.expect(&phone, "401");
    let thief = Party { address: s.party("300", "10.9.0.130:5060").address, ..phone.clone() };
    let mut leg = s.registering(&thief);
    s.send(&thief, &leg.register(&thief, Some(300)).replace("Contact", &phone.contact()));
    s.expect(&thief, "401");
    assert_eq!(bindings(&s), 1);
}
