//! Keys that do not come about, and packets that nobody can read, have a name: in the call's record, and while it lasts. The other end of
//! each handshake is OpenSSL, as a phone that does DTLS-SRTP without ICE.

use ringfort_tests::ensure;
use ringfort_tests::harness::certificate::{Certificate, Kind};
use ringfort_tests::harness::http::Api;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::process::Process;
use ringfort_tests::harness::programs::require;
use ringfort_tests::harness::rtp::Sender;
use ringfort_tests::harness::sip_client::SipClient;
use ringfort_tests::harness::site::{DOMAIN, Site, password_of};
use ringfort_tests::harness::stream::Wire;
use ringfort_tests::harness::wait::{await_until, seconds};
use ringfort_tests::harness::{Context, Failure, Outcome, Scene, play};
use std::net::UdpSocket;
use std::process::Command;

/// What is wrong with a handshake, and what the node calls that.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Handshake {
    /// Nobody opens it.
    Unopened,
    /// By another certificate than the description says.
    OtherCertificate,
    /// The peer wants no SRTP of it.
    WithoutSrtp,
    /// The peer does not believe the node's certificate.
    Distrusted,
    /// The peer's certificate is an RSA one.
    Rsa,
}

impl Handshake {
    const ALL: [Handshake; 5] =
        [Handshake::Unopened, Handshake::OtherCertificate, Handshake::WithoutSrtp, Handshake::Distrusted, Handshake::Rsa];

    fn cause(self) -> &'static str {
        match self {
            Handshake::Unopened => "dtls-timeout",
            Handshake::OtherCertificate => "fingerprint-mismatch",
            Handshake::WithoutSrtp => "srtp-profile",
            Handshake::Distrusted => "dtls-failed",
            Handshake::Rsa => "dtls-certificate",
        }
    }

    fn user(self) -> String {
        format!("10{}", self as u8)
    }
}

fn offer(port: u16, fingerprint: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} UDP/TLS/RTP/SAVP 0\r\n\
         a=rtcp-mux\r\na=setup:active\r\na=fingerprint:sha-256 {fingerprint}\r\na=sendrecv\r\n"
    )
}

/// The phone's side of a faulty handshake with the node's port; ends with the value.
fn open(scene: &Scene, fault: Handshake, (own, node): (u16, u16), shown: &Certificate) -> Outcome<Option<Process>> {
    let mut command = Command::new(require("openssl")?);
    command.args([
        "s_client",
        "-dtls1_2",
        "-ign_eof",
        "-connect",
        &format!("127.0.0.1:{node}"),
        "-bind",
        &format!("127.0.0.1:{own}"),
    ]);
    command.arg("-cert").arg(&shown.pem).arg("-key").arg(&shown.key);
    match fault {
        Handshake::Unopened => return Ok(None),
        Handshake::WithoutSrtp => {}
        Handshake::OtherCertificate | Handshake::Rsa => drop(command.args(["-use_srtp", "SRTP_AES128_CM_SHA1_80"])),
        Handshake::Distrusted => {
            command.args([
                "-use_srtp",
                "SRTP_AES128_CM_SHA1_80",
                "-verify",
                "1",
                "-verify_return_error",
                "-no-CAfile",
                "-no-CApath",
            ]);
        }
    }
    let name = format!("openssl-{}", fault.cause());
    Process::start(&name, command, &scene.file(&format!("{name}.log"))).map(Some)
}

#[test]
fn each_fault_of_a_handshake_has_a_name() -> Outcome<()> {
    play("causes-dtls", |scene| {
        let site = Handshake::ALL.iter().fold(Site::new(scene)?, |site, fault| site.account(&fault.user()));
        let node = Node::start(scene, site)?;
        let admin = node.admin()?;
        let own = Certificate::make(&scene.file(""), "own", Kind::Elliptic)?;
        let other = Certificate::make(&scene.file(""), "other", Kind::Elliptic)?;
        let rsa = Certificate::make(&scene.file(""), "rsa", Kind::Rsa)?;
        // All at once: each but the wrong certificate has its whole time.
        let mut lines = Vec::new();
        for fault in Handshake::ALL {
            let user = fault.user();
            let mut sip = SipClient::new(Wire::udp(Node::at(node.site().udp), 0)?, &user, &password_of(&user), DOMAIN);
            let port = scene.port()?;
            let described = if fault == Handshake::Rsa { &rsa } else { &own };
            let call = sip.invite("*43", &offer(port, &described.fingerprint))?;
            ensure!(call.answer.status() == Some(200), "{fault:?}: {}", call.answer.start);
            let shown = if fault == Handshake::OtherCertificate { &other } else { described };
            let peer = open(scene, fault, (port, call.media_port()?), shown)?;
            lines.push((fault, sip, peer));
        }
        for (fault, ..) in &lines {
            await_until(&format!("{fault:?} to be recorded as {}", fault.cause()), seconds(30), || recorded(&admin, *fault))?;
        }
        Ok(())
    })
}

fn recorded(admin: &Api, fault: Handshake) -> Outcome<Option<()>> {
    let status = admin.json("/api/v1/status")?;
    let user = fault.user();
    let of_user = |record: &&serde_json::Value| record["from"].as_str().is_some_and(|from| from.contains(&user));
    let Some(record) = status["recent"].as_array().into_iter().flatten().find(of_user) else { return Ok(None) };
    match record["cause"].as_str() {
        Some(cause) if cause == fault.cause() => Ok(Some(())),
        other => Err(Failure::new(format!("{fault:?} is recorded as {other:?}: {record}"))),
    }
}

/// What is wrong with packets that come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Packets {
    /// They are protected by other keys than the description has.
    OtherKeys,
    /// They come from another port than the one that spoke first.
    OtherPort,
}

impl Packets {
    fn cause(self) -> &'static str {
        match self {
            Packets::OtherKeys => "srtp-authentication",
            Packets::OtherPort => "other-source",
        }
    }

    fn offer(self, port: u16) -> String {
        let (proto, key) = match self {
            // Whatever comes is not protected by this.
            Packets::OtherKeys => {
                ("RTP/SAVP", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n")
            }
            Packets::OtherPort => ("RTP/AVP", ""),
        };
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} {proto} 0 101\r\n\
             a=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n{key}"
        )
    }
}

#[test]
fn packets_that_are_not_the_party_s_have_a_name() -> Outcome<()> {
    play("causes-packets", |scene| {
        let node = Node::start(scene, Site::new(scene)?.account("101"))?;
        let admin = node.admin()?;
        for fault in [Packets::OtherKeys, Packets::OtherPort] {
            faulty_call(scene, &node, &admin, fault)?;
        }
        Ok(())
    })
}

fn faulty_call(scene: &Scene, node: &Node, admin: &Api, fault: Packets) -> Outcome<()> {
    let mut sip = SipClient::new(Wire::udp(Node::at(node.site().udp), 0)?, "101", &password_of("101"), DOMAIN);
    let bind = || UdpSocket::bind(("127.0.0.1", scene.port()?)).during("a media port");
    let (first, second) = (bind()?, bind()?);
    let call = sip.invite("*43", &fault.offer(first.local_addr().during("its address")?.port()))?;
    ensure!(call.answer.status() == Some(200), "{fault:?}: {}", call.answer.start);
    let to = Node::at(call.media_port()?);
    let mut sender = Sender::new(4_711);
    if fault == Packets::OtherPort {
        // A key, so that the port locks and no speech was heard.
        first.send_to(&sender.packet(101, 160, &[5, 0x0a, 0, 160]), to).during("sending")?;
    }
    let from = if fault == Packets::OtherPort { &second } else { &first };
    let mut last = String::new();
    let found = await_until(fault.cause(), seconds(10), || {
        from.send_to(&sender.packet(0, 160, &[0xd5; 170]), to).during("sending")?;
        last = admin.json("/api/v1/status")?["calls"][0]["missing"][0].to_string();
        Ok(last.contains(&format!("\"{}\"", fault.cause())).then_some(()))
    });
    ensure!(found.is_ok(), "{fault:?}: {found:?}; the node says {last}");
    ensure!(node.calls()?.contains(fault.cause()), "`ringfort calls` does not say {}: {}", fault.cause(), node.calls()?);
    ensure!(sip.bye(&call)?.status() == Some(200), "BYE must be answered 200");
    await_until("its record", seconds(5), || {
        let record = admin.json("/api/v1/status")?["recent"][0]["missing"].to_string();
        Ok(record.contains(&format!("\"{}\"", fault.cause())).then_some(()))
    })
}
