//! SIP messages as plain text: as much of the grammar as a test's own peer needs, written apart from the product's parser.

use super::{Context, Outcome};
use std::net::IpAddr;

/// A received message.
#[derive(Clone, Debug)]
pub struct SipMessage {
    /// Start line.
    pub start: String,
    head: String,
    /// Body.
    pub body: String,
}

impl SipMessage {
    /// From octets.
    pub fn parse(octets: &[u8]) -> Outcome<SipMessage> {
        let text = String::from_utf8_lossy(octets);
        let (head, body) = text.split_once("\r\n\r\n").during(format_args!("no end of headers in {text:?}"))?;
        let (start, head) = head.split_once("\r\n").unwrap_or((head, ""));
        Ok(SipMessage { start: start.into(), head: head.into(), body: body.into() })
    }

    /// The status code of a response.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The method of a request.
    pub fn method(&self) -> Option<&str> {
        if self.status().is_some() { None } else { self.start.split(' ').next() }
    }

    /// Values of a header, line by line.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(move |(n, _)| n.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The first value of a header; "" when there is none.
    pub fn header<'a>(&'a self, name: &'a str) -> &'a str {
        self.headers(name).next().unwrap_or_default()
    }

    /// The URI within the angle brackets of Contact.
    pub fn contact_uri(&self) -> &str {
        let contact = self.header("Contact");
        contact.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(contact, |(uri, _)| uri)
    }

    /// A response to this request.
    pub fn reply(&self, status: &str, to_tag: &str, more: &str, body: &str) -> String {
        let mut reply = format!("SIP/2.0 {status}\r\n");
        for name in ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"] {
            for value in self.headers(name) {
                let tag = if name == "To" && !value.contains(";tag=") { format!(";tag={to_tag}") } else { String::new() };
                reply += &format!("{name}: {value}{tag}\r\n");
            }
        }
        reply + more + &ending(body)
    }
}

/// The end of the headers, and the body when there is one.
pub fn ending(body: &str) -> String {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!("{kind}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// The SDP of a plain phone with G.711 at this address.
pub fn plain_sdp(port: u16, direction: &str) -> String {
    format!(
        "v=0\r\no=phone 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 8 101\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na={direction}\r\n"
    )
}

/// The port of the first audio line of an SDP.
pub fn audio_port(sdp: &str) -> Option<u16> {
    sdp.lines().find_map(|line| line.strip_prefix("m=audio ")?.split(' ').next()?.parse().ok())
}

/// The address where an SDP wants its audio.
pub fn audio_host(sdp: &str) -> Outcome<IpAddr> {
    let host = sdp.lines().find_map(|line| line.strip_prefix("c=IN IP4 ")?.parse().ok());
    host.during(format_args!("no address in {sdp:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_copies_what_it_must() {
        let text = b"OPTIONS sip:a SIP/2.0\r\nVia: one\r\nVIA: two\r\nTo: <sip:a>\r\nCSeq: 1 OPTIONS\r\n\r\n";
        let reply = SipMessage::parse(text).expect("whole").reply("200 OK", "x", "", "");
        assert_eq!(
            reply,
            "SIP/2.0 200 OK\r\nVia: one\r\nVia: two\r\nTo: <sip:a>;tag=x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
    }
}
