//! Numbers that others published.

use super::super::gcm::Gcm;
use super::super::header::{RtpHeader, rtcp_ssrc};
use super::super::transform::Transform;
use super::super::{SrtpPositions, SrtpReceiver, SrtpSender};
use super::*;
use std::path::PathBuf;

/// The data set beside the project, for whoever has it.
fn data(path: &str) -> Option<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata");
    let text = std::fs::read_to_string(root.join(path));
    if text.is_err() {
        println!("skipped: no {path}");
    }
    text.ok()
}

fn cm_keys() -> SrtpKeys {
    let (key, salt) = (hex("e1f97a0d3e018be0d64fa32c06de4139"), hex("0ec675ad498afeebb6960b3aabe6"));
    SrtpKeys { profile: SrtpProfile::Aes128CmSha1_80, key, salt }
}

fn gcm_keys() -> SrtpKeys {
    let (key, salt) = (hex("000102030405060708090a0b0c0d0e0f"), hex("a0a1a2a3a4a5a6a7a8a9aaab"));
    SrtpKeys { profile: SrtpProfile::AeadAes128Gcm, key, salt }
}

/// Both ways: the sender makes `secret` of `plain`, and the receiver `plain` of `secret`.
fn check(keys: &SrtpKeys, plain: &str, secret: &str, rtcp_index: u32) {
    let (plain, secret) = (hex(plain), hex(secret));
    let mut sender = SrtpSender::new(keys).unwrap();
    for _ in 0..rtcp_index {
        protected(&mut sender, &rtcp(1, 0));
    }
    assert_eq!(protected(&mut sender, &plain), secret);
    assert_eq!(unprotected(&mut SrtpReceiver::new(keys).unwrap(), &secret).unwrap(), plain);
}

const RTP: &str = "800f1234decafbadcafebabeabababababababababababababababab";
const RTCP: &str = "81c8000bcafebabeabababababababababababababababab";

/// Published with libsrtp, in wide use as a first check of interworking.
#[test]
fn packets_of_libsrtp() {
    check(&cm_keys(), RTP, "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb", 0);
    check(&cm_keys(), RTCP, "81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798", 1);
    let rtp = "800f1234decafbadcafebabec5002ede04cfdd2eb91159e0880aa06ed2976826f796b201df3131a127e8a392";
    let rtcp = "81c8000bcafebabec98b8b5df0392a55852b6c21ac8e7025c52c6fbea2b3b446ea31123ba88ce61e80000001";
    check(&gcm_keys(), RTP, rtp, 0);
    check(&gcm_keys(), RTCP, rtcp, 1);
}

#[test]
fn packets_of_the_data_set() {
    let Some(text) = data("rfc-vectors/srtp-aes-cm.json") else { return };
    let vectors: serde_json::Value = serde_json::from_str(&text).unwrap();
    let vectors = vectors.as_array().unwrap().iter();
    let vector = vectors.into_iter().find(|v| v["name"] == "srtp_aes_128_cm_hmac_sha1_80").unwrap();
    let field = |name: &str| vector[name].as_str().unwrap();
    let keys = SrtpKeys { profile: SrtpProfile::Aes128CmSha1_80, key: hex(field("master_key")), salt: hex(field("master_salt")) };
    check(&keys, field("rtp_plain"), field("srtp_packet"), 0);
    check(&keys, field("srtcp_plain"), field("srtcp_packet"), vector["srtcp_index"].as_u64().unwrap() as u32);
}

/// The same packet under a key of 256 bits (RFC 6188), and what both tags of it are.
#[test]
fn a_packet_of_libsrtp_with_a_long_key() {
    let (key, salt) =
        (hex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6"), hex("3b04803de51ee7c96423ab5b78d2"));
    let secret = "800f1234decafbadcafebabef1d9de17ff251ff1aa007774b0b4b40da08d9d9a5b3a55d8873b";
    let mut keys = SrtpKeys { profile: SrtpProfile::Aes256CmSha1_80, key, salt };
    check(&keys, RTP, secret, 0);
    keys.profile = SrtpProfile::Aes256CmSha1_32;
    check(&keys, RTP, &secret[..secret.len() - 12], 0);
}

/// The packet of libsrtp with the first 32 bits of its tag; SRTCP keeps 80 (RFC 3711 5.2, RFC 4568 6.2.2).
#[test]
fn a_short_tag_is_the_beginning_of_the_long_one() {
    let mut keys = cm_keys();
    keys.profile = SrtpProfile::Aes128CmSha1_32;
    check(&keys, RTP, "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc", 0);
    check(&keys, RTCP, "81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798", 1);
}

/// Session key and salt of RFC 7714 16 and 17, which give no master key.
fn gcm_session(octets: u8) -> Gcm {
    let key: Vec<u8> = (0..octets).collect();
    Gcm::with_session(&key, hex("517569642070726f2071756f").try_into().unwrap())
}

const GALLIA: &str = "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573";

/// RFC 7714 16.1.1, 16.1.2, 16.2.1 and 16.2.2.
#[test]
fn srtp_of_rfc_7714() {
    let secrets = [
        "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833\
         899d7f27beb16a9152cf765ee4390cce",
        "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b\
         7aa3db36dfffd6b0f9bb7878d7a76c13",
    ];
    for (key, secret) in [16, 32].into_iter().zip(secrets.map(hex)) {
        let mut packet = hex(GALLIA);
        let (len, header) = (packet.len(), RtpHeader::parse(&packet).unwrap());
        packet.resize(len + 16, 0);
        assert_eq!(gcm_session(key).seal_rtp(&mut packet, len, header, header.sequence.into()), Ok(secret.len()));
        assert_eq!(packet, secret);
        assert_eq!(gcm_session(key).open_rtp(&mut packet, header, header.sequence.into()), Ok(len));
        assert_eq!(packet[..len], hex(GALLIA));
    }
}

const LUNA: &str = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";

/// RFC 7714 17.1 to 17.4: encrypted, then only tagged.
#[test]
fn srtcp_of_rfc_7714() {
    let encrypted = [
        "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9\
         275bc84aa45896cf4d2fc5abf87245d9eade800005d4",
        "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b\
         6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4",
    ];
    let tagged = ["841dd9683dd78ec92ae58790125f62b3000005d4", "91db4afbfeee5a978fab4393ed2615fe000005d4"];
    let plain = hex(LUNA);
    let ssrc = rtcp_ssrc(&plain).unwrap();
    for (key, (secret, trailer)) in [16, 32].into_iter().zip(encrypted.map(hex).into_iter().zip(tagged.map(hex))) {
        let mut buffer = plain.clone();
        buffer.resize(plain.len() + 20, 0);
        assert_eq!(gcm_session(key).seal_rtcp(&mut buffer, plain.len(), ssrc, 0x5d4), Ok(secret.len()));
        assert_eq!(buffer, secret);
        for mut secret in [secret, [&plain[..], &trailer].concat()] {
            let word = gcm_session(key).rtcp_word(&secret).unwrap();
            assert_eq!(gcm_session(key).open_rtcp(&mut secret, ssrc, word), Ok(plain.len()));
            assert_eq!(secret[..plain.len()], plain);
        }
    }
}

/// An index that no test could reach by sending.
#[test]
fn the_last_srtcp_index_is_the_end() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        sender.restore(&SrtpPositions { rtcp_next: (1 << 31) - 1 - (1 << 15), ..sender.positions() });
        let secret = protected(&mut sender, &rtcp(9, 1));
        assert_eq!(unprotected(&mut receiver, &secret), Ok(rtcp(9, 1)));
        let mut buffer = [rtcp(9, 2), vec![0; 32]].concat();
        assert_eq!(sender.protect_rtcp(&mut buffer, 32), Err(crate::srtp::SrtpError::KeyExhausted));
    }
}
