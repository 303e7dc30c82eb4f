//! What the server transport writes into the top Via of a request (RFC 3261 18.2.1, RFC 3581 4).

use super::{HeaderName, Message, Via};
use bytes::Bytes;
use std::fmt::Write;
use std::net::SocketAddr;

impl Message {
    /// The request as the server transport passes it up: the top Via carries `received` when the packet came from
    /// elsewhere than `sent-by` says, and the source port when the client asked for it with `rport`. A `received`
    /// that the client itself wrote is removed. Responses and requests that need nothing come back unchanged.
    pub fn received_from(&self, source: SocketAddr) -> Message {
        self.stamped(source).unwrap_or_else(|| self.clone())
    }

    fn stamped(&self, source: SocketAddr) -> Option<Message> {
        let via = self.top_via().ok().filter(|_| self.is_request())?;
        let plain = via.ip() == Some(source.ip()) && via.received.is_none() && via.rport.is_none();
        if plain || is_stamped(&via, source) {
            return None;
        }
        let field = self.index.named(HeaderName::Via).find(|field| !self.text(field.value).is_empty())?;
        // Only commas and spaces can precede the first value within its field.
        let start = field.value.range().start + self.text(field.value).find(via.raw)?;
        let mut octets = Vec::with_capacity(self.octets.len() + 64);
        octets.extend_from_slice(&self.octets[..start]);
        octets.extend_from_slice(stamp(&via, source).as_bytes());
        octets.extend_from_slice(&self.octets[start + via.raw.len()..]);
        // Fails only where the few octets more exceed a limit; the request then goes up as it came.
        Message::parse(Bytes::from(octets)).ok()
    }
}

/// Whether the Via says already what it would be made to say.
fn is_stamped(via: &Via<'_>, source: SocketAddr) -> bool {
    let received = via.received.and_then(|received| received.parse().ok());
    received == Some(source.ip()) && via.rport.is_none_or(|port| port == Some(source.port()))
}

fn stamp(via: &Via<'_>, source: SocketAddr) -> String {
    let mut out = via.raw.split(';').next().unwrap_or_default().trim_end().to_owned();
    for (name, value) in via.params.iter() {
        if name.eq_ignore_ascii_case("received") || name.eq_ignore_ascii_case("rport") {
            continue;
        }
        // Writing to a String cannot fail.
        let _ = match value {
            Some(value) => write!(out, ";{name}={value}"),
            None => write!(out, ";{name}"),
        };
    }
    let _ = write!(out, ";received={}", source.ip());
    if via.rport.is_some() {
        let _ = write!(out, ";rport={}", source.port());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(via: &str) -> Message {
        let text = format!("OPTIONS sip:a SIP/2.0\r\nVia: {via}\r\nCall-ID: x\r\nContent-Length: 0\r\n\r\n");
        Message::parse(Bytes::from(text)).unwrap()
    }

    #[test]
    fn stamps_received_and_rport() {
        let source: SocketAddr = "192.0.2.9:9988".parse().unwrap();
        for (via, expected) in [
            ("SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1", "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1"),
            ("SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1", "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1;received=192.0.2.9"),
            (
                "SIP/2.0/UDP 10.0.0.1 ;rport;branch=b , SIP/2.0/TCP h",
                "SIP/2.0/UDP 10.0.0.1;branch=b;received=192.0.2.9;rport=9988 , SIP/2.0/TCP h",
            ),
            ("SIP/2.0/UDP 192.0.2.9;received=6.6.6.6", "SIP/2.0/UDP 192.0.2.9;received=192.0.2.9"),
        ] {
            let stamped = request(via).received_from(source);
            assert_eq!(stamped.header(HeaderName::Via), Some(expected));
            assert_eq!(stamped.call_id(), Ok("x"));
            assert_eq!(stamped.received_from(source), stamped, "once is enough");
        }
    }

    #[test]
    fn stamps_ipv6_without_brackets() {
        let stamped = request("SIP/2.0/UDP h;rport").received_from("[2001:db8::1]:5060".parse().unwrap());
        let via = stamped.top_via().unwrap();
        assert_eq!((via.received, via.rport), (Some("2001:db8::1"), Some(Some(5060))));
    }
}
