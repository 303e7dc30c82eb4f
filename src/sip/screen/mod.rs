//! Is a message fit to go on, and what is the peer owed if not?
//!
//! [`screen`] judges what every element must refuse: syntax and the mandatory headers (RFC 3261 8.1.1, 16.3).
//! [`uas::Uas`] judges what a transaction user refuses: methods, schemes, extensions, body types (RFC 3261 8.2).
//! [`screen_unparsed`] judges octets that are no message. A malformed response is dropped, and so is a malformed ACK,
//! which nothing may answer (RFC 3261 17.1.1.3).

pub mod uas;

use crate::message::text::is_token;
use crate::message::{Builder, HeaderError, HeaderName, MAGIC_COOKIE, Message, Method, ParseError, Via};
use crate::uri::Uri;
use bytes::Bytes;
use ringfort_base::limits::SIP_LIST_VALUES_MAX;

/// What to do with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Accept,
    /// Answer and forget.
    Reply {
        /// Status owed.
        status: u16,
        /// The rule's stable name, for events and metrics.
        rule: &'static str,
        /// The reason phrase, which names the rule to the peer.
        reason: String,
    },
    /// Forget; nothing can or may be answered.
    Drop {
        /// The rule's stable name, for events and metrics.
        rule: &'static str,
    },
}

impl Verdict {
    pub(crate) fn reply(status: u16, rule: &'static str, reason: impl Into<String>) -> Verdict {
        Verdict::Reply { status, rule, reason: reason.into() }
    }
}

/// A broken rule and the words for the peer.
struct Broken {
    status: u16,
    rule: &'static str,
    words: String,
}

impl Broken {
    fn new(rule: &'static str, words: impl Into<String>) -> Broken {
        Broken { status: 400, rule, words: words.into() }
    }
}

impl From<HeaderError> for Broken {
    fn from(error: HeaderError) -> Broken {
        Broken::new(error.rule(), error.to_string())
    }
}

/// Judges a message that could be parsed.
pub fn screen(message: &Message) -> Verdict {
    if message.is_request() { screen_request(message) } else { screen_response(message) }
}

/// Judges octets that could not be parsed. Use [`reply_unparsed`] for a [`Verdict::Reply`].
pub fn screen_unparsed(octets: &Bytes, error: ParseError) -> Verdict {
    let rule = error.rule();
    if error == ParseError::Empty {
        return Verdict::Drop { rule };
    }
    let message = Message::salvage(octets.clone());
    let status = match error {
        ParseError::MessageTooLarge | ParseError::BodyTooLarge => 413,
        _ => 400,
    };
    refuse(&message, Broken { status, rule, words: error.to_string() })
}

/// The reply to octets that could not be parsed: carries whichever of Via, From, To, Call-ID and CSeq could be read.
/// `None` when the sender's Via could not, or when the octets are no request.
pub fn reply_unparsed(octets: &Bytes, status: u16, reason: &str, to_tag: &str) -> Option<Bytes> {
    let message = Message::salvage(octets.clone());
    can_be_answered(&message).then(|| Builder::reply(&message, status, Some(reason), Some(to_tag)).build())
}

fn screen_request(message: &Message) -> Verdict {
    match check_version(message).and_then(|()| check_request(message)) {
        Ok(()) => Verdict::Accept,
        Err(broken) => refuse(message, broken),
    }
}

fn screen_response(message: &Message) -> Verdict {
    match check_version(message).and_then(|()| check_response(message)) {
        Ok(()) => Verdict::Accept,
        Err(broken) => Verdict::Drop { rule: broken.rule },
    }
}

/// A refusal where one can be delivered; otherwise silence.
fn refuse(message: &Message, broken: Broken) -> Verdict {
    if !can_be_answered(message) {
        return Verdict::Drop { rule: broken.rule };
    }
    let reason = format!("{} ({})", crate::status::reason(broken.status), broken.words);
    Verdict::Reply { status: broken.status, rule: broken.rule, reason }
}

/// A reply needs a Via whose sender can be read, even if its parameters cannot; an ACK is never answered.
fn can_be_answered(message: &Message) -> bool {
    let sent = message.values(HeaderName::Via).next().map(Via::sent);
    message.is_request() && message.method() != Method::Ack && matches!(sent, Some(Ok(_)))
}

fn check_version(message: &Message) -> Result<(), Broken> {
    if message.version().eq_ignore_ascii_case("SIP/2.0") {
        return Ok(());
    }
    // RFC 3261 21.5.6.
    Err(Broken { status: 505, rule: "sip-version", words: "only SIP/2.0".to_owned() })
}

fn check_request(message: &Message) -> Result<(), Broken> {
    check_request_line(message)?;
    let (via, method) = check_mandatory(message)?;
    if method != message.method() {
        // RFC 3261 8.1.1.5.
        return Err(Broken::new("cseq-method-mismatch", "CSeq method differs"));
    }
    if via.has_magic_cookie() && via.branch.is_some_and(|branch| branch.len() == MAGIC_COOKIE.len()) {
        // A branch that is nothing but the cookie promises an identifier and gives none (RFC 3261 8.1.1.7).
        return Err(Broken::new("via-branch", "empty branch"));
    }
    message.max_forwards()?;
    message.contacts()?;
    check_names(message)
}

/// A response reaches its client with that client's Via alone; more than one means that it was meant for somebody else
/// (RFC 3261 8.1.3.3).
fn check_response(message: &Message) -> Result<(), Broken> {
    check_mandatory(message)?;
    if message.values(HeaderName::Via).nth(1).is_some() {
        return Err(Broken::new("via-count", "more than one Via"));
    }
    message.contacts()?;
    Ok(())
}

/// RFC 3261 7.1 and 19.1.1: one space on either side, no brackets, no headers inside.
fn check_request_line(message: &Message) -> Result<(), Broken> {
    if message.has_spaced_request_line() {
        return Err(Broken::new("request-line-space", "white space in Request-URI"));
    }
    let uri = message.request_uri().unwrap_or_default();
    if uri.starts_with('<') {
        return Err(Broken::new("request-uri-brackets", "Request-URI in brackets"));
    }
    match Uri::parse(uri) {
        Ok(uri) if uri.headers.is_empty() => Ok(()),
        Ok(_) => Err(Broken::new("request-uri-headers", "headers in Request-URI")),
        Err(error) => Err(Broken::new("request-uri", format!("Request-URI: {error}"))),
    }
}

/// The headers that every message carries (RFC 3261 8.1.1), once each, except Max-Forwards, which RFC 2543 did not
/// know.
fn check_mandatory(message: &Message) -> Result<(Via<'_>, Method), Broken> {
    const SINGLE: [HeaderName; 6] = [
        HeaderName::CallId,
        HeaderName::CSeq,
        HeaderName::From,
        HeaderName::To,
        HeaderName::MaxForwards,
        HeaderName::ContentType,
    ];
    for name in SINGLE {
        if message.headers(name).nth(1).is_some() {
            return Err(Broken::new("header-repeated", format!("more than one {name}")));
        }
    }
    let via = message.top_via()?;
    if message.values(HeaderName::Via).nth(SIP_LIST_VALUES_MAX).is_some() {
        return Err(HeaderError::TooManyValues(HeaderName::Via).into());
    }
    message.from()?;
    message.to()?;
    message.call_id()?;
    let (_, method) = message.cseq()?;
    Ok((via, method))
}

/// Names of unknown headers are tokens (RFC 3261 25.1); of known ones by comparison.
fn check_names(message: &Message) -> Result<(), Broken> {
    if message.unlisted_names().all(is_token) { Ok(()) } else { Err(Broken::new("header-name", "bad header name")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "OPTIONS sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\n\
        Call-ID: x\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n\r\n";

    fn verdict(text: &str) -> Verdict {
        let octets = Bytes::copy_from_slice(text.as_bytes());
        match Message::parse(octets.clone()) {
            Ok(message) => screen(&message),
            Err(error) => screen_unparsed(&octets, error),
        }
    }

    fn rule(verdict: Verdict) -> (u16, &'static str) {
        match verdict {
            Verdict::Accept => (0, "accept"),
            Verdict::Reply { status, rule, .. } => (status, rule),
            Verdict::Drop { rule } => (0, rule),
        }
    }

    #[test]
    fn every_rule_has_its_verdict() {
        for (from, to, expected) in [
            ("", "", (0, "accept")),
            ("Max-Forwards: 70\r\n", "", (0, "accept")),
            (";tag=1", "", (0, "accept")),
            ("OPTIONS sip", "OPTIONS  sip", (400, "request-line-space")),
            ("sip:b@h SIP", "sip:b@h?x=1 SIP", (400, "request-uri-headers")),
            ("sip:b@h SIP", "<sip:b@h> SIP", (400, "request-uri-brackets")),
            ("sip:b@h SIP", "b@h SIP", (400, "request-uri")),
            ("h SIP/2.0", "h SIP/3.0", (505, "sip-version")),
            ("h SIP/2.0", "h", (400, "start-line")),
            ("z9hG4bK1", "z9hG4bK", (400, "via-branch")),
            ("Via: SIP/2.0/UDP a;branch", "Via: SIP/2.0/UDP a;;branch", (400, "parameter-name")),
            ("Via: SIP/2.0/UDP a", "Via: SIP/2.0", (0, "via-protocol")),
            ("Via:", "X:", (0, "header-missing")),
            ("Call-ID: x\r\n", "", (400, "header-missing")),
            ("Call-ID: x", "Call-ID: x y", (400, "call-id")),
            ("From:", "To:", (400, "header-repeated")),
            ("1 OPTIONS", "1 INVITE", (400, "cseq-method-mismatch")),
            ("1 OPTIONS", "x OPTIONS", (400, "cseq-number")),
            ("Forwards: 70", "Forwards: 256", (400, "number")),
            ("Max-Forwards: 70", "Contact: *, <sip:a>", (400, "uri-scheme")),
            ("Max-Forwards: 70", "X Y: 70", (400, "header-name")),
            ("Max-Forwards: 70", "no colon", (400, "header-line")),
            ("Max-Forwards: 70", "X: a\rb", (400, "bare-cr")),
            ("Max-Forwards: 70", "Content-Length: 1", (400, "truncated-body")),
            ("OPTIONS sip:b@h SIP/2.0", "SIP/2.0 20 OK", (0, "status-code")),
        ] {
            assert_eq!(rule(verdict(&SOUND.replacen(from, to, 1))), expected, "{from} -> {to}");
        }
    }

    #[test]
    fn an_ack_is_never_answered() {
        let ack = SOUND.replace("OPTIONS", "ACK").replace("1 ACK", "x ACK");
        assert_eq!(verdict(&ack), Verdict::Drop { rule: "cseq-number" });
        assert_eq!(reply_unparsed(&Bytes::from(ack), 400, "Bad Request", "t"), None);
    }

    #[test]
    fn the_reply_to_octets_that_are_no_message() {
        let text = SOUND.replace("Max-Forwards: 70", "garbage\rgarbage\r\nX: y");
        let octets = Bytes::from(text);
        let Verdict::Reply { status, reason, .. } = screen_unparsed(&octets, Message::parse(octets.clone()).unwrap_err()) else {
            panic!("not answered");
        };
        assert_eq!((status, reason.as_str()), (400, "Bad Request (bad header line)"));
        let reply = Message::parse(reply_unparsed(&octets, status, &reason, "tt").unwrap()).unwrap();
        assert_eq!(screen(&reply), Verdict::Accept);
        assert_eq!((reply.status(), reply.to().unwrap().tag(), reply.call_id()), (Some(400), Some("tt"), Ok("x")));
        assert_eq!(reply.all_headers().count(), 6);
    }

    #[test]
    fn a_keep_alive_is_nothing() {
        assert_eq!(verdict("\r\n\r\n"), Verdict::Drop { rule: "keep-alive" });
        assert_eq!(verdict(""), Verdict::Drop { rule: "keep-alive" });
    }
}
