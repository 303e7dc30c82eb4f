//! Redirections: followed, passed on, refused.

use crate::fixture::{Desk, SDP};
use ringfort_sip::message::{HeaderName, Method};

const CALLER: &str = "203.0.113.5:5060";
const ONE: &str = "203.0.113.6:5060";
const TWO: &str = "203.0.113.7:5060";
const CONTACT: &str = "Contact: <sip:101@203.0.113.5:5060>\r\n";

/// 101 calls 102, who redirects.
fn redirected(policy: &str, contact: &str) -> Desk {
    let accounts = ["101", "102", "103"].map(|user| format!("[[account]]\nuser = \"{user}\"\n")).concat();
    let mut desk = Desk::new(&format!("[sip]\ndevice_redirect = \"{policy}\"\n{accounts}"));
    for (phone, user) in [(CALLER, "101"), (ONE, "102"), (TWO, "103")] {
        assert_eq!(desk.register(phone, user, &format!("Contact: <sip:{user}@{phone}>\r\n")), 200);
    }
    desk.request(CALLER, "INVITE", "sip:102@ringfort.local", "101", CONTACT, SDP);
    desk.reply(ONE, "302 Moved Temporarily", "one", &format!("Contact: {contact}\r\n"), "");
    desk
}

#[test]
fn a_redirection_is_followed_by_the_same_evaluator() {
    let mut desk = redirected("follow", "<sip:555@ringfort.local>;q=0.2, <sip:103@192.0.2.10>;q=0.9");
    assert_eq!(desk.requests(TWO, Method::Invite).len(), 1);
    // The one it leads to sends the call back: that is no way.
    desk.reply(TWO, "302 Moved Temporarily", "two", "Contact: <sip:102@ringfort.local>\r\n", "");
    assert_eq!(desk.answer(CALLER), 480);
}

#[test]
fn a_redirection_out_of_the_house_is_not() {
    let desk = redirected("follow", "<sip:103@elsewhere.test>");
    assert_eq!((desk.answer(CALLER), desk.requests(TWO, Method::Invite).len()), (480, 0));
}

#[test]
fn a_redirection_is_told_in_the_node_s_own_domain() {
    let desk = redirected("pass", "<sip:103@192.0.2.10:5999;transport=tcp>");
    assert_eq!((desk.answer(CALLER), desk.last(CALLER).header(HeaderName::Contact)), (302, Some("<sip:103@ringfort.local>")));
}

#[test]
fn a_redirection_is_a_refusal_where_the_policy_says_so() {
    assert_eq!(redirected("refuse", "<sip:103@ringfort.local>").answer(CALLER), 480);
}
