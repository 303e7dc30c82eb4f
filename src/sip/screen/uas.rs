//! What a transaction user refuses before it looks at a request's purpose (RFC 3261 8.2, 16.3).

use super::Verdict;
use crate::message::{Builder, HeaderName, Message, Method};
use crate::uri::{Scheme, Uri};

/// What this UAS understands. The lists are short: they are searched in order.
#[derive(Clone, Copy, Debug)]
pub struct Uas<'a> {
    /// Methods that are allowed; ACK and CANCEL always are.
    pub methods: &'a [Method],
    /// Option tags that may be required.
    pub extensions: &'a [&'a str],
    /// Media types of bodies, or of their parts.
    pub content_types: &'a [&'a str],
    /// Methods whose bodies pass to somebody else unread, whatever their type.
    pub unread: &'a [Method],
}

impl Uas<'_> {
    /// Judges a request that [`super::screen`] accepted, in the order of RFC 3261 8.2.
    pub fn screen(&self, request: &Message) -> Verdict {
        let checks = [Self::method, Self::scheme, Self::hops, Self::extensions, Self::body, Self::answer_type];
        let method = request.method();
        checks.iter().find_map(|check| check(self, request, &method)).unwrap_or(Verdict::Accept)
    }

    /// The refusal with the header that its status owes: Allow (405), Unsupported (420), Accept (415, 406).
    pub fn refuse(&self, request: &Message, status: u16, reason: &str, to_tag: &str) -> Builder {
        let reply = Builder::reply(request, status, Some(reason), Some(to_tag));
        match status {
            405 => reply.header(HeaderName::Allow, self.allow()),
            420 => reply.header(HeaderName::Unsupported, self.unsupported(request).collect::<Vec<_>>().join(", ")),
            415 | 406 => reply.header(HeaderName::Accept, self.accept()),
            _ => reply,
        }
    }

    /// The value of Allow.
    pub fn allow(&self) -> String {
        self.methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
    }

    /// The value of Accept.
    pub fn accept(&self) -> String {
        [self.content_types, &["multipart/mixed"]].concat().join(", ")
    }

    /// RFC 3261 8.2.1. A method that is not even known gets the same answer: Allow tells its sender more than 501 would.
    fn method(&self, _: &Message, method: &Method) -> Option<Verdict> {
        if matches!(method, Method::Ack | Method::Cancel) || self.methods.contains(method) {
            return None;
        }
        Some(Verdict::reply(405, "method-not-allowed", "Method Not Allowed"))
    }

    /// RFC 3261 8.2.2.1. A registration must be for a SIP address (RFC 3261 10.2).
    fn scheme(&self, request: &Message, method: &Method) -> Option<Verdict> {
        let scheme = |text: &str| Uri::parse(text).map(|uri| uri.scheme);
        let target = request.request_uri().map(scheme)?;
        if !matches!(target, Ok(Scheme::Sip | Scheme::Sips | Scheme::Tel)) {
            return Some(Verdict::reply(416, "uri-scheme-unknown", "Unsupported URI Scheme"));
        }
        let registered = request.to().map(|to| scheme(to.uri));
        if *method == Method::Register && !matches!(registered, Ok(Ok(Scheme::Sip | Scheme::Sips))) {
            return Some(Verdict::reply(400, "register-to-scheme", "Bad Request (To is not a SIP URI)"));
        }
        None
    }

    /// RFC 3261 16.3, step 3. OPTIONS is answered by the element where its hops end; ACK and CANCEL are hop by hop or
    /// unanswered; a registration goes no further than here.
    fn hops(&self, request: &Message, method: &Method) -> Option<Verdict> {
        let ends_here = matches!(method, Method::Options | Method::Ack | Method::Cancel | Method::Register);
        match request.max_forwards() {
            Ok(Some(0)) if !ends_here => Some(Verdict::reply(483, "max-forwards", "Too Many Hops")),
            _ => None,
        }
    }

    /// RFC 3261 8.2.2.3: Require in ACK and CANCEL is ignored.
    fn extensions(&self, request: &Message, method: &Method) -> Option<Verdict> {
        if matches!(method, Method::Ack | Method::Cancel) {
            return None;
        }
        self.unsupported(request).next().map(|_| Verdict::reply(420, "require", "Bad Extension"))
    }

    fn unsupported<'m>(&self, request: &'m Message) -> impl Iterator<Item = &'m str> {
        let known = |tag: &str| self.extensions.iter().any(|own| own.eq_ignore_ascii_case(tag));
        request.values(HeaderName::Require).filter(move |tag| !known(tag))
    }

    /// RFC 3261 8.2.3: a body whose handling is optional may be of any type.
    fn body(&self, request: &Message, method: &Method) -> Option<Verdict> {
        let unread = matches!(method, Method::Ack | Method::Cancel) || self.unread.contains(method);
        if unread || request.is_understood(&[]) {
            return None;
        }
        let encoded = request.values(HeaderName::ContentEncoding).any(|coding| !coding.eq_ignore_ascii_case("identity"));
        let refused = encoded || !request.is_understood(self.content_types);
        refused.then(|| Verdict::reply(415, "content-type", "Unsupported Media Type"))
    }

    /// An INVITE is answered with SDP; a caller that does not take it is told so at once (RFC 3261 21.4.7).
    fn answer_type(&self, request: &Message, method: &Method) -> Option<Verdict> {
        let takes_sdp = |range: &str| {
            let range = range.split(';').next().unwrap_or_default().trim();
            ["application/sdp", "application/*", "*/*"].iter().any(|sdp| sdp.eq_ignore_ascii_case(range))
        };
        let mut ranges = request.values(HeaderName::Accept).peekable();
        if *method != Method::Invite || ranges.peek().is_none() || ranges.any(takes_sdp) {
            return None;
        }
        Some(Verdict::reply(406, "accept", "Not Acceptable (answers are application/sdp)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const UAS: Uas<'_> = Uas {
        methods: &[Method::Invite, Method::Register, Method::Options, Method::Info],
        extensions: &["100rel", "replaces"],
        content_types: &["application/sdp"],
        unread: &[Method::Info],
    };

    fn request(method: &str, uri: &str, headers: &str, body: &str) -> Message {
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\n\
             Call-ID: x\r\nCSeq: 1 {method}\r\n{headers}\r\n{body}"
        );
        Message::parse(Bytes::from(text)).unwrap()
    }

    #[test]
    fn each_refusal() {
        for (method, uri, headers, body, status) in [
            ("INVITE", "sip:b@h", "", "", 0),
            ("INVITE", "tel:+1", "", "", 0),
            ("PUBLISH", "sip:b@h", "", "", 405),
            ("FOO", "sip:b@h", "", "", 405),
            ("INVITE", "urn:service:x", "", "", 416),
            ("INVITE", "sip:b@h", "Max-Forwards: 0\r\n", "", 483),
            ("OPTIONS", "sip:b@h", "Max-Forwards: 0\r\n", "", 0),
            ("INVITE", "sip:b@h", "Require: 100REL, foo\r\n", "", 420),
            ("ACK", "sip:b@h", "Require: foo\r\n", "", 0),
            ("INVITE", "sip:b@h", "c: text/plain\r\n", "x", 415),
            ("INVITE", "sip:b@h", "c: text/plain\r\n", "", 0),
            ("INVITE", "sip:b@h", "c: text/plain\r\nContent-Disposition: icon;handling=optional\r\n", "x", 0),
            ("INVITE", "sip:b@h", "c: application/sdp;charset=x\r\n", "x", 0),
            ("INVITE", "sip:b@h", "c: application/sdp\r\ne: gzip\r\n", "x", 415),
            ("INVITE", "sip:b@h", "", "x", 415),
            ("INFO", "sip:b@h", "c: application/dtmf-relay\r\n", "x", 0),
            ("INVITE", "sip:b@h", "Accept: text/plain\r\n", "", 406),
            ("INVITE", "sip:b@h", "Accept: text/plain, application/*;q=0.1\r\n", "", 0),
        ] {
            let own = match UAS.screen(&request(method, uri, headers, body)) {
                Verdict::Reply { status, .. } => status,
                Verdict::Accept => 0,
                Verdict::Drop { .. } => panic!("dropped"),
            };
            assert_eq!(own, status, "{method} {uri} {headers}");
        }
    }

    #[test]
    fn refusals_carry_what_they_owe() {
        let request = request("INVITE", "sip:b@h", "Require: foo, 100rel\r\nRequire: bar\r\n", "");
        for (status, name, value) in [
            (420, HeaderName::Unsupported, "foo, bar"),
            (405, HeaderName::Allow, "INVITE, REGISTER, OPTIONS, INFO"),
            (415, HeaderName::Accept, "application/sdp, multipart/mixed"),
        ] {
            let reply = Message::parse(UAS.refuse(&request, status, "x", "t").build()).unwrap();
            assert_eq!(reply.header(name), Some(value));
        }
    }
}
