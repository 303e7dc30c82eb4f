//! baresip: registered over TLS, SRTP with keys in the description.

use ringfort_tests::ensure;
use ringfort_tests::harness::baresip::{Baresip, Setup, wav};
use ringfort_tests::harness::browser::Browser;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::sipp::Sipp;
use ringfort_tests::harness::site::{Site, password_of};
use ringfort_tests::harness::tone_peer::TonePeer;
use ringfort_tests::harness::wait::{await_until, seconds};
use ringfort_tests::harness::{Context, Outcome, play};

/// baresip is asked for SRTP, by its name. It gives up at a challenge with another algorithm than MD5.
const SECURED: &str = "[[profile]]\nname = \"secured-phone\"\ndigest = [\"MD5\"]\nsrtp = \"required\"\n\
    [[device]]\nuser_agent = \"baresip*\"\nprofile = \"secured-phone\"\n";

const PCMU: (&str, u32, u16) = ("pcmu", 8_000, 1);
const PCMA: (&str, u32, u16) = ("pcma", 8_000, 1);
const G722: (&str, u32, u16) = ("G722", 16_000, 1);
const OPUS: (&str, u32, u16) = ("opus", 48_000, 2);

fn phone<'a>(node: &Node, user: &'a str, hz: f64, dials: &'a str) -> Setup<'a> {
    Setup { user, hz, node_tls: node.site().tls, media: "srtp-mand", elliptic: false, rtcp_mux: false, codec: PCMU, dials }
}

/// The same, with keys by DTLS.
fn dtls_phone<'a>(node: &Node, user: &'a str, hz: f64, dials: &'a str) -> Setup<'a> {
    Setup { media: "dtls_srtp", elliptic: true, ..phone(node, user, hz, dials) }
}

/// What [`SECURED`] says, by DTLS and with every codec.
fn by_dtls() -> String {
    SECURED.replace("srtp =", "codecs = [\"opus\", \"g722\", \"pcma\", \"pcmu\"]\nsrtp_keying = \"dtls\"\nsrtp =")
}

#[test]
fn two_phones_over_tls_talk_by_srtp() -> Outcome<()> {
    play("interop-phones", |scene| {
        let site = Site::new(scene)?.account("101").account("102").section(SECURED);
        let node = Node::start(scene, site)?;
        let callee = Baresip::start(scene, &phone(&node, "102", 1_000.0, ""))?;
        callee.await_line("200 OK", seconds(10))?;
        let caller = Baresip::start(scene, &phone(&node, "101", 440.0, "102"))?;
        callee.await_tone(440.0, seconds(15))?;
        caller.await_tone(1_000.0, seconds(10))?;
        let admin = node.admin()?;
        let how = await_until("both legs secured", seconds(5), || {
            let status = admin.json("/api/v1/status")?;
            Ok(status.to_string().matches("sdes-srtp aes-cm-128-80").count().eq(&2).then_some(()))
        });
        how?;
        drop(caller);
        Ok(())
    })
}

/// Each phone is told the other's keys: what the one protects the other reads, and nothing but addresses has to change on the way.
#[test]
fn two_phones_talk_by_srtp_that_passes_untouched() -> Outcome<()> {
    play("interop-untouched", |scene| {
        let passing = SECURED.replace("srtp =", "srtp_pass = true\nsrtp =");
        let site = Site::new(scene)?.tier("auto").account("101").account("102").section(&passing);
        let node = Node::start(scene, site)?;
        let callee = Baresip::start(scene, &phone(&node, "102", 1_000.0, ""))?;
        callee.await_line("200 OK", seconds(10))?;
        let caller = Baresip::start(scene, &phone(&node, "101", 440.0, "102"))?;
        callee.await_tone(440.0, seconds(15))?;
        caller.await_tone(1_000.0, seconds(10))?;
        let admin = node.admin()?;
        await_until("nothing but the phones' place in the kernel's way", seconds(10), || {
            let status = admin.json("/api/v1/status")?;
            let reasons = status["calls"][0]["tier_reason"].to_string();
            ensure!(!reasons.contains("SRTP begins or ends here"), "{status}");
            // Where no program may be loaded, that is told instead.
            Ok((!reasons.contains("nothing came yet")).then_some(()))
        })?;
        drop(caller);
        Ok(())
    })
}

/// Keys by DTLS with each codec, with RTCP on the port of RTP and on one of its own, where it is left out.
#[test]
fn two_phones_talk_by_dtls_srtp() -> Outcome<()> {
    for (n, (codec, rtcp_mux)) in [(OPUS, false), (G722, true), (PCMU, true), (PCMA, false)].into_iter().enumerate() {
        play(&format!("interop-dtls-{n}"), |scene| {
            let site = Site::new(scene)?.account("101").account("102").section(&by_dtls());
            let node = Node::start(scene, site)?;
            let callee = Baresip::start(scene, &Setup { codec, rtcp_mux, ..dtls_phone(&node, "102", 1_000.0, "") })?;
            callee.await_line("200 OK", seconds(20))?;
            let caller = Baresip::start(scene, &Setup { codec, rtcp_mux, ..dtls_phone(&node, "101", 440.0, "102") })?;
            callee.await_tone(440.0, seconds(30))?;
            caller.await_tone(1_000.0, seconds(20))?;
            let status = node.admin()?.json("/api/v1/status")?;
            ensure!(status["calls"][0]["media"].to_string().matches("dtls-srtp aes-").count() == 2, "{status}");
            Ok(())
        })?;
    }
    Ok(())
}

/// One phone by DTLS, the other one with keys in the description.
#[test]
fn a_phone_by_dtls_talks_with_one_by_sdes() -> Outcome<()> {
    play("interop-dtls-sdes", |scene| {
        let site = Site::new(scene)?.account("101").account("102").section(SECURED);
        let node = Node::start(scene, site)?;
        let callee = Baresip::start(scene, &phone(&node, "102", 1_000.0, ""))?;
        callee.await_line("200 OK", seconds(20))?;
        let caller = Baresip::start(scene, &dtls_phone(&node, "101", 440.0, "102"))?;
        callee.await_tone(440.0, seconds(30))?;
        caller.await_tone(1_000.0, seconds(20))
    })
}

/// The certificate that baresip 1.0 makes for itself: the call ends, and says why.
#[test]
fn a_phone_with_an_rsa_certificate_is_told_by_name() -> Outcome<()> {
    play("interop-dtls-rsa", |scene| {
        let node = Node::start(scene, Site::new(scene)?.account("101").section(SECURED))?;
        let setup = Setup { elliptic: false, ..dtls_phone(&node, "101", 440.0, "*43") };
        let _phone = Baresip::start(scene, &setup)?;
        node.log().await_line("cause=\"dtls-certificate\"", seconds(40))?;
        node.await_metric("ringfort_calls", 0.0, seconds(20))
    })
}

/// SRTP over TLS on one leg, plain RTP over UDP on the other.
#[test]
fn a_secured_phone_and_a_plain_trunk() -> Outcome<()> {
    play("interop-phone-trunk", |scene| {
        let trunk = scene.port()?;
        let site = Site::new(scene)?.account("101").trunk("carrier", trunk).route("out", "0*", "trunk:carrier").section(SECURED);
        let node = Node::start(scene, site)?;
        let carrier = TonePeer::start(scene.port()?, 1_000.0)?;
        let mut answers = Sipp::new("carrier", "answer", trunk).key("tone_port", carrier.port()).start(scene)?;
        let phone = Baresip::start(scene, &phone(&node, "101", 440.0, "0301234"))?;
        carrier.await_tone(440.0, seconds(15))?;
        phone.await_tone(1_000.0, seconds(10))?;
        let admin = node.admin()?;
        let status = admin.json("/api/v1/status")?;
        let call = status["calls"][0]["call"].as_str().unwrap_or_default().to_string();
        admin.request("POST", &format!("/api/v1/calls/{call}/hangup"), None)?;
        answers.finish(seconds(10))
    })
}

/// Each phone has one codec only, and none has the other's. Phones without G.711 are offered more by their profile.
#[test]
fn phones_without_a_common_codec_hear_each_other() -> Outcome<()> {
    for (n, (one, other)) in [(OPUS, PCMA), (G722, OPUS), (PCMU, G722)].into_iter().enumerate() {
        play(&format!("interop-transcoding-{n}"), |scene| {
            let all = SECURED.replace("srtp =", "codecs = [\"opus\", \"g722\", \"pcma\", \"pcmu\"]\nsrtp =");
            let site = Site::new(scene)?.account("101").account("102").section(if n == 0 { SECURED } else { &all });
            let node = Node::start(scene, site)?;
            let callee = Baresip::start(scene, &Setup { codec: other, ..phone(&node, "102", 1_000.0, "") })?;
            callee.await_line("200 OK", seconds(10))?;
            let caller = Baresip::start(scene, &Setup { codec: one, ..phone(&node, "101", 440.0, "102") })?;
            callee.await_tone(440.0, seconds(15))?;
            caller.await_tone(1_000.0, seconds(10))
        })?;
    }
    Ok(())
}

/// An announcement from a WAV file, heard in the caller's codec.
#[test]
fn a_phone_hears_an_announcement() -> Outcome<()> {
    play("interop-announcement", |scene| {
        let file = scene.file("closed.wav");
        std::fs::write(&file, wav(700.0, 44_100, 2)).during(file.display())?;
        let sound = format!("{SECURED}[[sound]]\nname = \"closed\"\nfile = \"{}\"\n", file.display());
        let site = Site::new(scene)?.account("101").route("closed", "9*", "sound:closed").section(&sound);
        let node = Node::start(scene, site)?;
        let caller = Baresip::start(scene, &Setup { codec: G722, ..phone(&node, "101", 440.0, "90") })?;
        caller.await_tone(700.0, seconds(15))
    })
}

/// Two phones of different codecs in one room: each hears the other one and not itself.
#[test]
fn phones_meet_in_a_conference() -> Outcome<()> {
    play("interop-conference", |scene| {
        let room = format!("{SECURED}[services]\nconference = \"*6\"\n");
        let node = Node::start(scene, Site::new(scene)?.account("101").account("102").section(&room))?;
        let one = Baresip::start(scene, &Setup { codec: OPUS, ..phone(&node, "101", 440.0, "*612") })?;
        let other = Baresip::start(scene, &Setup { codec: PCMA, ..phone(&node, "102", 1_000.0, "*612") })?;
        one.await_tone(1_000.0, seconds(15))?;
        other.await_tone(440.0, seconds(10))
    })
}

/// A desk phone by TLS and SDES is brought into the conference of a web phone by re-INVITE: the mix reaches it, and the others hear it.
#[test]
fn a_desk_phone_is_merged_into_a_conference() -> Outcome<()> {
    play("interop-merge", |scene| {
        let room = format!("{SECURED}[services]\nconference = \"*6\"\n");
        let node = Node::start(scene, Site::new(scene)?.account("101").account("102").account("103").section(&room))?;
        let desk = Baresip::start(scene, &phone(&node, "102", 1_000.0, ""))?;
        desk.await_line("200 OK", seconds(20))?;
        let mut browser = Browser::start(scene)?;
        browser.open_phone("ada", &node.page(), "101", &password_of("101"), 440.0)?;
        browser.open_phone("carol", &node.page(), "103", &password_of("103"), 1_400.0)?;
        browser.dial("ada", "102")?;
        browser.await_tone("ada", 1_000.0, seconds(20))?;
        browser.direct("ada", "second-call", "103")?;
        browser.click("carol", "answer")?;
        browser.await_tone("ada", 1_400.0, seconds(15))?;
        browser.click("ada", "merge")?;
        for (tab, hz) in [("ada", 1_000.0), ("ada", 1_400.0), ("carol", 440.0), ("carol", 1_000.0)] {
            browser.await_in_mix(tab, hz, seconds(15))?;
        }
        // What baresip writes down ends with the hold; its log tells of the mix's first packet, decrypted.
        desk.await_line("SSRC changed", seconds(15))
    })
}
