//! The cloud asks a phone for credentials in the middle of a call: it is the phone that has them.

use crate::fixture::Desk;
use crate::talk::{self, End, PHONE, TRUNK as CLOUD, contact, sdp};
use ringfort_sip::message::{HeaderName, Method};

const CHALLENGE: &str = "Proxy-Authenticate: Digest realm=\"pbx.inside\", nonce=\"n1\"\r\n";
const PROOF: &str =
    "Proxy-Authorization: Digest username=\"101\", realm=\"pbx.inside\", nonce=\"n1\", uri=\"sip:x\", response=\"00\"\r\n";
const OWN: &str =
    "Proxy-Authorization: Digest username=\"101\", realm=\"ringfort.local\", nonce=\"m\", uri=\"sip:x\", response=\"11\"\r\n";

const ALLOWS: &str = "Allow: INVITE, ACK, BYE, CANCEL, UPDATE, INFO\r\n";

/// 101 has called 300, whom only the cloud knows.
fn talking() -> (Desk, End, End) {
    let mut desk =
        Desk::new(&format!("[cloud]\naddress = \"{CLOUD}\"\ndomain = \"pbx.inside\"\noptions_interval_ms = 3600000\n"));
    desk.request(PHONE, "REGISTER", "sip:ringfort.local", "101", &contact("101", PHONE), "");
    desk.reply(CLOUD, "200 OK", "t", "Expires: 600\r\n", "");
    assert_eq!(desk.answer(PHONE), 200);
    let (phone, cloud) = talk::call(&mut desk, (PHONE, "101", ""), "300", (CLOUD, ALLOWS));
    (desk, phone, cloud)
}

#[test]
fn a_change_is_challenged_and_proved_by_the_phone() {
    for (method, status, name) in [
        ("INVITE", "407 Proxy Authentication Required", HeaderName::ProxyAuthenticate),
        ("UPDATE", "407 Proxy Authentication Required", HeaderName::ProxyAuthenticate),
        ("INVITE", "401 Unauthorized", HeaderName::WwwAuthenticate),
    ] {
        let (mut desk, mut phone, cloud) = talking();
        phone.send(&mut desk, method, "", &sdp(PHONE, 2, "sendonly"));
        assert_eq!(cloud.asked(&desk).header(HeaderName::ProxyAuthorization), None);
        let challenge = if status.starts_with("401") { CHALLENGE.replace("Proxy", "WWW") } else { CHALLENGE.to_string() };
        cloud.answer(&mut desk, status, &challenge, "");
        let refused = phone.answered(&desk);
        assert_eq!(refused.status(), status[..3].parse().ok());
        assert!(refused.header(name).is_some_and(|value| value.contains("pbx.inside")));
        if method == "INVITE" {
            phone.ack(&mut desk, "");
        }
        let proof = if status.starts_with("401") { PROOF.replace("Proxy-", "") } else { PROOF.to_string() };
        // Its answer to the node's own challenge stays here.
        phone.send(&mut desk, method, &format!("{proof}{OWN}"), &sdp(PHONE, 2, "sendonly"));
        let asked = cloud.asked(&desk);
        let answers =
            [HeaderName::Authorization, HeaderName::ProxyAuthorization].into_iter().flat_map(|name| asked.headers(name));
        assert_eq!(answers.map(|value| value.contains("pbx.inside")).collect::<Vec<_>>(), [true], "{method} {status}");
        cloud.answer(&mut desk, "200 OK", "", &sdp(CLOUD, 2, "recvonly"));
        assert_eq!(phone.status(&desk), 200);
        assert_eq!(desk.status().calls[0].state, "held");
    }
}

#[test]
fn so_is_a_change_whose_offer_the_cloud_is_asked_for() {
    let (mut desk, mut phone, cloud) = talking();
    phone.send(&mut desk, "INVITE", "", "");
    cloud.answer(&mut desk, "407 Proxy Authentication Required", CHALLENGE, "");
    assert_eq!((phone.status(&desk), phone.answered(&desk).headers(HeaderName::ProxyAuthenticate).count()), (407, 1));
    phone.ack(&mut desk, "");
    phone.send(&mut desk, "INVITE", PROOF, "");
    assert!(cloud.asked(&desk).header(HeaderName::ProxyAuthorization).is_some());
    cloud.answer(&mut desk, "200 OK", "", &sdp(CLOUD, 2, "sendrecv"));
    assert_eq!(phone.status(&desk), 200);
}

#[test]
fn so_is_a_digit() {
    let (mut desk, mut phone, cloud) = talking();
    let digit = "Content-Type: application/dtmf-relay\r\n";
    phone.send(&mut desk, "INFO", digit, "Signal=5\r\n");
    cloud.answer(&mut desk, "407 Proxy Authentication Required", CHALLENGE, "");
    assert_eq!((phone.status(&desk), phone.answered(&desk).headers(HeaderName::ProxyAuthenticate).count()), (407, 1));
    phone.send(&mut desk, "INFO", &format!("{digit}{PROOF}"), "Signal=5\r\n");
    assert!(cloud.asked(&desk).header(HeaderName::ProxyAuthorization).is_some());
    cloud.answer(&mut desk, "200 OK", "", "");
    assert_eq!(phone.status(&desk), 200);
}

/// A phone that was challenged before proves itself at once.
#[test]
fn a_bye_has_the_phones_proof() {
    let (mut desk, mut phone, cloud) = talking();
    phone.send(&mut desk, "BYE", &format!("{PROOF}{OWN}"), "");
    assert_eq!(phone.status(&desk), 200);
    let bye = cloud.asked(&desk);
    assert_eq!((bye.method(), bye.headers(HeaderName::ProxyAuthorization).count()), (Method::Bye, 1));
    assert!(bye.header(HeaderName::ProxyAuthorization).is_some_and(|value| value.contains("pbx.inside")));
}

/// What a phone asks of the cloud, and a carrier of a phone, is nobody's to answer.
#[test]
fn other_challenges_stay_with_the_node() {
    let (mut desk, phone, mut cloud) = talking();
    cloud.send(&mut desk, "INVITE", PROOF, &sdp(CLOUD, 2, "sendonly"));
    assert_eq!(phone.asked(&desk).header(HeaderName::ProxyAuthorization), None);
    phone.answer(&mut desk, "401 Unauthorized", &CHALLENGE.replace("Proxy", "WWW"), "");
    assert_eq!((cloud.status(&desk), cloud.answered(&desk).header(HeaderName::WwwAuthenticate)), (502, None));
    let (mut desk, mut phone, trunk) = talk::connected(talk::CONFIG, "", "");
    phone.send(&mut desk, "INFO", &format!("Content-Type: a/b\r\n{PROOF}"), "x");
    assert_eq!((trunk.asked(&desk).method(), trunk.asked(&desk).header(HeaderName::ProxyAuthorization)), (Method::Info, None));
    trunk.answer(&mut desk, "407 Proxy Authentication Required", CHALLENGE, "");
    assert_eq!((phone.status(&desk), phone.answered(&desk).header(HeaderName::ProxyAuthenticate)), (502, None));
}
