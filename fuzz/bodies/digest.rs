//! Challenges and credentials of a peer.

use ringfort_sip::digest::{Challenge, Credentials, Ha1};

/// Reads octets as a challenge that is answered, and as credentials that are verified.
pub fn digest(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let ha1 = Ha1::new("101", "ringfort.local", "secret");
    if let Ok(challenge) = Challenge::parse(text) {
        let again = Challenge::parse(&challenge.to_string()).expect("our own words parse");
        assert_eq!((&again.realm, &again.nonce), (&challenge.realm, &challenge.nonce), "a challenge reads back as it was");
        let answer = challenge.answer("101", &ha1, "REGISTER", "sip:ringfort.local", "c", 1).to_string();
        let answer = Credentials::parse(&answer).expect("our own answer parses");
        assert!(ha1.verify(&answer, "REGISTER"), "our own answer is right");
    }
    if let Ok(credentials) = Credentials::parse(text) {
        let _ = (ha1.verify(&credentials, "REGISTER"), credentials.nonce_count(), format!("{credentials:?}"));
    }
}
