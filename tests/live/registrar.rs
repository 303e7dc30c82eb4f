//! Devices that register with the node itself, and calls that need proof of who calls.

use ringfort_tests::ensure;
use ringfort_tests::harness::digest::{self, Algorithm};
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::sip_client::SipClient;
use ringfort_tests::harness::sip_message::plain_sdp;
use ringfort_tests::harness::site::{DOMAIN, Site, password_of};
use ringfort_tests::harness::stream::Wire;
use ringfort_tests::harness::wait::seconds;
use ringfort_tests::harness::{Outcome, Scene, play};

fn node(scene: &Scene) -> Outcome<Node> {
    Node::start(scene, Site::new(scene)?.account("101").account("102"))
}

fn phone(node: &Node, user: &str, password: &str) -> Outcome<SipClient> {
    Ok(SipClient::new(Wire::udp(Node::at(node.site().udp), 0)?, user, password, DOMAIN))
}

#[test]
fn both_digest_algorithms_are_taken() -> Outcome<()> {
    play("registrar-digest", |scene| {
        let node = node(scene)?;
        for (user, algorithm) in [("101", Algorithm::Md5), ("102", Algorithm::Sha256)] {
            let mut phone = phone(&node, user, &password_of(user))?.with(algorithm);
            let answer = phone.register(300)?;
            ensure!(answer.status() == Some(200), "{algorithm:?}: {}", answer.start);
            ensure!(answer.header("Contact").contains("expires="), "no expiry in {}", answer.header("Contact"));
        }
        node.await_metric("ringfort_registrations", 2.0, seconds(2))
    })
}

#[test]
fn nonce_counts_are_hexadecimal_and_rise() -> Outcome<()> {
    play("registrar-nonce-count", |scene| {
        let node = node(scene)?;
        let mut phone = phone(&node, "101", &password_of("101"))?;
        let challenge = phone.register_once(300, "")?;
        ensure!(challenge.status() == Some(401), "{}", challenge.start);
        // The eleventh count is 0000000b: who reads it as decimal stumbles here.
        for turn in 1..=17 {
            let answer = phone.register_again(&challenge, 300)?;
            ensure!(answer.status() == Some(200), "turn {turn}: {}", answer.start);
        }
        Ok(())
    })
}

#[test]
fn no_two_challenges_share_a_nonce() -> Outcome<()> {
    play("registrar-nonces", |scene| {
        let node = node(scene)?;
        let mut phones = [phone(&node, "101", "")?, phone(&node, "102", "")?];
        let mut nonces = std::collections::HashSet::new();
        // Two devices that share a nonce share its count: the second one's first use of it would be a replay.
        for _ in 0..20 {
            for phone in &mut phones {
                let challenge = phone.register_once(300, "")?;
                let nonce = digest::param(challenge.header("WWW-Authenticate"), "nonce").unwrap_or_default().to_string();
                ensure!(nonces.insert(nonce.clone()), "nonce {nonce} was given twice");
            }
        }
        Ok(())
    })
}

#[test]
fn a_wrong_password_is_refused() -> Outcome<()> {
    play("registrar-wrong-password", |scene| {
        let node = node(scene)?;
        for (user, password) in [("101", "wrong"), ("999", "unknown"), ("101", &password_of("102"))] {
            let answer = phone(&node, user, password)?.register(300)?;
            ensure!(matches!(answer.status(), Some(401 | 403)), "{user}: {}", answer.start);
        }
        node.await_metric("ringfort_registrations", 0.0, seconds(2))
    })
}

#[test]
fn nobody_registers_for_somebody_else() -> Outcome<()> {
    play("registrar-other-account", |scene| {
        let node = node(scene)?;
        let mut phone = phone(&node, "101", &password_of("101"))?;
        let challenge = phone.register_once(300, "")?;
        let credentials = phone.credentials(&challenge, "REGISTER")?;
        let more = format!("Authorization: {credentials}\r\n");
        let answer = phone.register_other("102", 300, &more)?;
        ensure!(answer.status() == Some(403), "{}", answer.start);
        Ok(())
    })
}

#[test]
fn too_brief_a_registration_is_refused_and_a_removal_removes() -> Outcome<()> {
    play("registrar-expiry", |scene| {
        let node = node(scene)?;
        let mut phone = phone(&node, "101", &password_of("101"))?;
        let brief = phone.register(10)?;
        ensure!(brief.status() == Some(423) && brief.header("Min-Expires") == "60", "{}", brief.start);
        ensure!(phone.register(120)?.status() == Some(200), "the second must be granted");
        node.await_metric("ringfort_registrations", 1.0, seconds(2))?;
        ensure!(phone.register(0)?.status() == Some(200), "the removal must be granted");
        node.await_metric("ringfort_registrations", 0.0, seconds(2))
    })
}

#[test]
fn a_stranger_cannot_call_and_an_account_can() -> Outcome<()> {
    play("registrar-invite", |scene| {
        let node = node(scene)?;
        let stranger = phone(&node, "101", "wrong")?.invite("*43", &plain_sdp(scene.port()?, "sendrecv"))?;
        ensure!(stranger.answer.status() == Some(407), "{}", stranger.answer.start);
        let mut account = phone(&node, "101", &password_of("101"))?.with(Algorithm::Sha256);
        let call = account.call("*43", scene.port()?)?;
        ensure!(account.bye(&call)?.status() == Some(200), "BYE must be answered 200");
        node.await_metric("ringfort_calls", 0.0, seconds(5))
    })
}

#[test]
fn numbers_that_lead_nowhere_are_told_apart() -> Outcome<()> {
    play("registrar-numbers", |scene| {
        let node = node(scene)?;
        let mut phone = phone(&node, "101", &password_of("101"))?;
        for (number, status) in [("102", 480), ("777", 404)] {
            let placed = phone.invite(number, &plain_sdp(scene.port()?, "sendrecv"))?;
            ensure!(placed.answer.status() == Some(status), "{number}: {}", placed.answer.start);
        }
        Ok(())
    })
}
