//! Suites of SRTP that Debian's phones have not, by rtpengine.

use ringfort_tests::ensure;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::rtpengine::Rtpengine;
use ringfort_tests::harness::sip_client::SipClient;
use ringfort_tests::harness::sip_message::plain_sdp;
use ringfort_tests::harness::site::{DOMAIN, Site, password_of};
use ringfort_tests::harness::stream::Wire;
use ringfort_tests::harness::tone_peer::TonePeer;
use ringfort_tests::harness::wait::seconds;
use ringfort_tests::harness::{Context, Outcome, play};

/// A phone behind rtpengine calls the echo and hears itself, also after the node was killed and started again: what rtpengine protects
/// the node reads and protects anew.
#[test]
fn keys_of_192_and_256_bits_are_taken_up() -> Outcome<()> {
    play("interop-suites", |scene| {
        let mut node = Node::start(scene, Site::new(scene)?.account("101"))?;
        let engine = Rtpengine::start(scene)?;
        let mut phone = SipClient::new(Wire::udp(Node::at(node.site().udp), 0)?, "101", &password_of("101"), DOMAIN);
        for (suite, told) in [
            ("AES_256_CM_HMAC_SHA1_80", "aes-cm-256-80"),
            ("AES_256_CM_HMAC_SHA1_32", "aes-cm-256-32"),
            ("AES_192_CM_HMAC_SHA1_80", "aes-cm-192-80"),
            ("AES_192_CM_HMAC_SHA1_32", "aes-cm-192-32"),
        ] {
            let ear = TonePeer::start(scene.port()?, 440.0)?;
            let offer = engine.secure(suite, &plain_sdp(ear.port(), "sendrecv"), suite)?;
            ensure!(offer.contains(suite) && offer.matches("a=crypto:").count() == 1, "rtpengine offers {offer}");
            let call = phone.invite("*43", &offer)?;
            let answer = engine.answer(suite, &call.answer.body)?;
            let port = answer.split("m=audio ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
            ear.send_to(port.during("a port in rtpengine's answer")?);
            ear.await_tone(440.0, seconds(15))?;
            node.log().await_line(&format!("how=\"sdes-srtp {told}\""), seconds(10))?;
            if suite.ends_with("80") {
                node.kill();
                node.start_again()?;
                ear.await_tone(440.0, seconds(15))?;
            }
            ensure!(phone.bye(&call)?.status() == Some(200), "BYE must be answered 200");
            node.await_metric("ringfort_calls", 0.0, seconds(10))?;
        }
        Ok(())
    })
}
