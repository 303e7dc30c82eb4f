//! Topology hiding (RFC 5853 3.1): which attributes of a peer's audio section the other leg may see.
//!
//! Attributes that Ringfort knows are either understood and written anew (formats, direction, packet time) or belong to the hop
//! between the peer and this node ([`HOP_ATTRIBUTES`]). The rest is passed on as written, so that peers may use what Ringfort has
//! never heard of, unless it names something that belongs to the peer ([`Secrets::show_in`]).
//!
//! Other lines do not pass: `o=`, `s=`, `i=`, `u=`, `e=`, `p=` and `c=` tell who and where the peer is, `b=` counts the headers of its own
//! path (RFC 8866 5.8), `k=` is a key, and attributes of the session speak of lines that were refused.

use crate::sdp::{Connection, Sdp};
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::LazyLock;

/// Attributes that mean something only between one peer and this node, with the reason. [`HOP`] is the same, cut into words.
const HOP_ATTRIBUTES: &[&str] = &[
    // Written anew from what was understood.
    "rtpmap fmtp ptime maxptime sendrecv sendonly recvonly inactive record recordpref",
    // Transport: this node ends ICE, DTLS and RTCP (RFC 8839, RFC 8842, RFC 4145, RFC 3605, RFC 5761, RFC 5506, RFC 3611, RFC 4570).
    "ice-ufrag ice-pwd ice-lite ice-options ice-mismatch ice-pacing candidate remote-candidates end-of-candidates",
    "fingerprint setup connection tls-id dtls-id rtcp rtcp-mux rtcp-mux-only rtcp-rsize rtcp-xr source-filter",
    // The same in older or private ways: X-Lite's ICE, RFC 6947, and marks that media relays leave for each other.
    "alt altc direction nortpproxy",
    // Keys of the hop (RFC 4568, RFC 4567, RFC 6189).
    "crypto key-mgmt encryption zrtp-hash",
    // Feedback and header extensions refer to a transport and to streams whose identity ends here (RFC 4585, RFC 8285).
    "rtcp-fb extmap extmap-allow-mixed",
    // Identity of lines, groups and streams (RFC 5888, RFC 9143, RFC 8830, RFC 5576, RFC 8851, RFC 8853, RFC 8827).
    "mid group bundle-only msid msid-semantic ssrc ssrc-group rid simulcast identity",
    // Capabilities of an endpoint that this node would have to honour (RFC 3407, RFC 5939).
    "sqn cdsc cpar cparmin cparmax csup creq acap tcap pcfg acfg",
];

/// Words of the grammar: no secrets.
const GRAMMAR: &str = "sha-256 sha-1 sha-384 sha-512 host srflx prflx relay raddr rport tcptype active passive generation network-id \
     network-cost ufrag cname msid mslabel label";

// Cut once: each attribute of each description is looked for.
static HOP: LazyLock<HashSet<&str>> = LazyLock::new(|| HOP_ATTRIBUTES.iter().flat_map(|line| line.split(' ')).collect());
static WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| GRAMMAR.split(' ').collect());

/// Texts of a peer shorter than this tell nothing.
const TELLING_LENGTH: usize = 4;
/// From this length on a text is looked for within words too. Chrome's user name fragments have four characters, which are part of
/// some parameter sooner or later.
const SUBSTRING_LENGTH: usize = 8;

/// Texts that identify a peer: from its `o=`, ICE credentials, stream names and host names.
#[derive(Debug, Default)]
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    /// Collects them from every section.
    pub fn of(sdp: &Sdp) -> Secrets {
        let mut secrets = Secrets::default();
        let sections = (0..sdp.media.len()).filter_map(|index| sdp.media_section(index));
        for section in std::iter::once(sdp.session_section()).chain(sections) {
            section.lines('o').for_each(|(_, text)| text.split_ascii_whitespace().for_each(|word| secrets.add(word)));
            if let Ok(Some(Connection::Host(name))) = section.connection() {
                secrets.add(name);
            }
            for attribute in section.attributes() {
                secrets.add_attribute(attribute.name, attribute.value.unwrap_or_default());
            }
        }
        secrets
    }

    fn add_attribute(&mut self, name: &str, value: &str) {
        match name {
            // A user name fragment may be all digits.
            "ice-ufrag" | "ice-pwd" if value.trim().len() >= TELLING_LENGTH => self.0.push(value.trim().to_ascii_lowercase()),
            "fingerprint" | "msid" | "candidate" | "rtcp" => value.split_ascii_whitespace().for_each(|word| self.add(word)),
            // `a=ssrc:<ssrc> <attribute>[:<value>]` (RFC 5576 4.1): the number, a CNAME or stream names.
            "ssrc" => value.split([' ', ':']).for_each(|word| self.add(word)),
            _ => {}
        }
    }

    /// Words of the grammar are no secrets, and neither are ports, versions and what is too short to tell anything.
    fn add(&mut self, word: &str) {
        let number = word.bytes().all(|octet| octet.is_ascii_digit()) && word.len() < 8;
        if word.len() >= TELLING_LENGTH && !number && !WORDS.contains(word) {
            self.0.push(word.to_ascii_lowercase());
        }
    }

    /// Whether `text` holds one of them, or any address, host name or mail address at all.
    pub fn show_in(&self, text: &str) -> bool {
        let lower = text.to_ascii_lowercase();
        let holds = |secret: &String| match secret.len() {
            SUBSTRING_LENGTH.. => lower.contains(secret.as_str()),
            _ => holds_word(&lower, secret),
        };
        names_a_place(text) || self.0.iter().any(holds)
    }

    /// Whether an attribute with this name and text (behind `a=`) may be passed on.
    pub fn permit(&self, name: &str, text: &str) -> bool {
        let browser = name.starts_with("x-google") || name.starts_with("ice-");
        !browser && !belongs_to_hop(name) && !self.show_in(text)
    }
}

fn belongs_to_hop(name: &str) -> bool {
    HOP.contains(name)
}

/// Whether `word` stands in `text` with neither letter nor digit before or behind it.
fn holds_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let behind = text[at + word.len()..].chars().next();
        ![before, behind].into_iter().flatten().any(|c| c.is_ascii_alphanumeric())
    })
}

/// An address literal, a dotted name whose last label is of letters, or `user@host`.
pub(crate) fn names_a_place(text: &str) -> bool {
    let separator = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '_' | '@'));
    text.split(separator).any(|word| word.contains('@') || is_address(word) || word.split(':').any(is_dotted_name))
}

fn is_address(word: &str) -> bool {
    let bare = word.trim_matches('.');
    bare.parse::<IpAddr>().is_ok()
        || (bare.contains('.') && bare.split([':', '-', '_']).any(|part| part.parse::<IpAddr>().is_ok()))
}

fn is_dotted_name(word: &str) -> bool {
    let Some((head, last)) = word.trim_end_matches('.').rsplit_once('.') else { return false };
    !head.is_empty() && last.len() >= 2 && last.bytes().all(|octet| octet.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_recognised() {
        for text in [
            "10.0.0.1",
            "at 10.0.0.1:5060",
            "[2001:db8::1]",
            "fe80::1",
            "pc.example.com",
            "<alice@home>",
            "x;host=a.corp.local;y",
        ] {
            assert!(names_a_place(text), "{text}");
        }
        for text in
            ["0-15", "minptime=10;useinbandfec=1", "silenceSupp:off - - - -", "mode=20.0", "12:30:00", "profile 1.2", "annexb=no"]
        {
            assert!(!names_a_place(text), "{text}");
        }
    }

    #[test]
    fn hop_attributes_and_secrets_stay() {
        let body = b"v=0\r\no=alice-laptop 77123456 1 IN IP4 10.0.0.1\r\nm=audio 9 RTP/AVP 0\r\na=ssrc:1234 cname:KeKsDoSe\r\na=ice-ufrag:f00b\r\n";
        let secrets = Secrets::of(&Sdp::parse(body).unwrap());
        assert!(secrets.permit("silenceSupp", "silenceSupp:off - - - -"));
        for (name, text) in [
            ("candidate", "candidate:x"),
            ("ice-ufrag", "ice-ufrag:zzzz"),
            ("x-note", "x-note:from ALICE-laptop"),
            ("x-note", "x-note:keksdose"),
            ("x-note", "x-note:F00B"),
            ("x-note", "x-note:10.9.8.7"),
        ] {
            assert!(!secrets.permit(name, text), "{text}");
        }
    }
}
