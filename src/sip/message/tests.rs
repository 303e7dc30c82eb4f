//! The message as a whole: what the index finds, and each limit at its edge.

use super::*;
use ringfort_base::limits::{SIP_BODY_MAX, SIP_HEAD_MAX, SIP_HEADERS_MAX, SIP_LIST_VALUES_MAX, SIP_MESSAGE_MAX};

fn parse(text: impl Into<Vec<u8>>) -> Result<Message, ParseError> {
    Message::parse(Bytes::from(text.into()))
}

#[test]
fn finds_what_is_there() {
    let message = parse(
        "\r\n\r\nINVITE sip:b@h;x=1 SIP/2.0\r\nv:SIP/2.0/UDP a, SIP/2.0/UDP b\r\nVIA : SIP/2.0/UDP c\r\nX-Own:1\r\nx-own: 2\r\n\
         Subject:\r\n\tfolded\r\n  twice\r\nSupported: \r\nk: 100rel , , timer\r\nl: 2\r\n\r\nokay",
    )
    .unwrap();
    assert!(message.is_request() && message.octets().starts_with(b"INVITE"));
    assert_eq!((message.method(), message.request_uri(), message.status()), (Method::Invite, Some("sip:b@h;x=1"), None));
    assert_eq!(message.values(HeaderName::Via).collect::<Vec<_>>(), ["SIP/2.0/UDP a", "SIP/2.0/UDP b", "SIP/2.0/UDP c"]);
    assert_eq!(message.headers(HeaderName::Via).count(), 2);
    assert_eq!(message.header(HeaderName::Subject).unwrap().split_ascii_whitespace().collect::<Vec<_>>(), ["folded", "twice"]);
    assert_eq!(
        (message.header_named("X-OWN"), message.header_named("subject")),
        (Some("1"), message.header(HeaderName::Subject))
    );
    assert_eq!((message.header(HeaderName::Supported), message.header(HeaderName::Route)), (Some(""), None));
    assert_eq!(message.values(HeaderName::Supported).collect::<Vec<_>>(), ["100rel", "timer"]);
    assert!(message.has_token(HeaderName::Supported, "100REL"));
    assert_eq!((message.body(), message.octets().ends_with(b"ok")), (&b"ok"[..], true));
    assert_eq!(message.clone(), message);
}

#[test]
fn absent_and_malformed_differ() {
    let message = parse("OPTIONS sip:h SIP/2.0\r\nMax-Forwards: x\r\nCSeq: 1\r\n\r\n").unwrap();
    assert_eq!(message.expires(), Ok(None));
    assert_eq!(message.max_forwards(), Err(HeaderError::malformed(HeaderName::MaxForwards, "number")));
    assert_eq!(message.call_id(), Err(HeaderError::Missing(HeaderName::CallId)));
    assert_eq!(message.cseq(), Err(HeaderError::malformed(HeaderName::CSeq, "cseq")));
    assert_eq!(message.contacts(), Ok(Contacts::None));
    assert_eq!(message.content_type(), Ok(None));
}

#[test]
fn responses() {
    let message = parse("SIP/2.0 183 Session  Progress\r\nCSeq: 1 INVITE\r\n\r\n").unwrap();
    assert_eq!((message.status(), message.reason(), message.method()), (Some(183), "Session  Progress", Method::Invite));
    assert_eq!((message.is_request(), message.request_uri(), message.version()), (false, None, "SIP/2.0"));
    assert_eq!(parse("SIP/2.0 200\r\n\r\n").unwrap().reason(), "");
    for bad in ["SIP/2.0 099 x", "SIP/2.0 700 x", "SIP/2.0 2000 x", "SIP/2.0 -20 x", "SIP/2.0", "SIP/2.0  200 x"] {
        assert_eq!(parse(format!("{bad}\r\n\r\n")).unwrap_err(), ParseError::StatusCode, "{bad}");
    }
}

#[test]
fn content_length_rules() {
    let body = |length: &str| parse(format!("OPTIONS sip:h SIP/2.0\r\n{length}\r\nabcd")).map(|message| message.body().len());
    for (length, expected) in [
        ("", Ok(4)),
        ("l: 4\r\n", Ok(4)),
        ("l: 3\r\n", Ok(3)),
        ("l: 0003\r\nContent-Length: 3\r\n", Ok(3)),
        ("l: 5\r\n", Err(ParseError::Truncated)),
        ("l: 3\r\nl: 4\r\n", Err(ParseError::ContentLengthConflict)),
        ("l: -1\r\n", Err(ParseError::ContentLength)),
        ("l:\r\n", Err(ParseError::ContentLength)),
        ("l: 3, 3\r\n", Err(ParseError::ContentLength)),
        ("l: 18446744073709551616\r\n", Err(ParseError::ContentLength)),
    ] {
        assert_eq!(body(length), expected, "{length}");
    }
}

#[test]
fn every_limit_at_its_edge() {
    let fields = |n: usize| parse(format!("OPTIONS sip:h SIP/2.0\r\n{}\r\n", "X: y\r\n".repeat(n)));
    assert_eq!(fields(SIP_HEADERS_MAX).unwrap().all_headers().count(), SIP_HEADERS_MAX);
    assert_eq!(fields(SIP_HEADERS_MAX + 1).unwrap_err(), ParseError::TooManyHeaders);

    let head = |n: usize| {
        let start = "OPTIONS sip:h SIP/2.0\r\nX: ";
        parse(format!("{start}{}\r\n\r\n", "x".repeat(n - start.len() - 4)))
    };
    assert!(head(SIP_HEAD_MAX).is_ok());
    assert_eq!(head(SIP_HEAD_MAX + 3).unwrap_err(), ParseError::HeadTooLarge);

    let body = |n: usize| parse(format!("OPTIONS sip:h SIP/2.0\r\n\r\n{}", "x".repeat(n)));
    assert!(body(SIP_BODY_MAX).is_ok());
    assert_eq!(body(SIP_BODY_MAX + 1).unwrap_err(), ParseError::BodyTooLarge);
    assert_eq!(body(SIP_MESSAGE_MAX).unwrap_err(), ParseError::MessageTooLarge);

    let values = |n: usize| parse(format!("OPTIONS sip:h SIP/2.0\r\nRoute: {}\r\n\r\n", "<sip:a>,".repeat(n))).unwrap();
    assert_eq!(values(SIP_LIST_VALUES_MAX).addresses(HeaderName::Route).unwrap().len(), SIP_LIST_VALUES_MAX);
    let error = values(SIP_LIST_VALUES_MAX + 1).addresses(HeaderName::Route).unwrap_err();
    assert_eq!(error, HeaderError::TooManyValues(HeaderName::Route));
}

#[test]
fn lines_pass_on_octet_for_octet() {
    let head = b"OPTIONS sip:h SIP/2.0\r\nSUBJECT :  caf\xe9\r\n  folded\r\nX-Y:1\r\n\r\n";
    let message = parse(&head[..]).unwrap();
    assert_eq!(message.header(HeaderName::Subject).map(|text| text.contains("caf?")), Some(true));
    let copy = message.lines().fold(Builder::request(&Method::Options, "sip:h"), |copy, (_, line)| copy.line(line)).build();
    assert_eq!(&copy[..head.len() - 2], &head[..head.len() - 2]);
}

#[test]
fn debug_shows_nobody() {
    let message = parse("INVITE sip:+4930123456@h SIP/2.0\r\nFrom: <sip:x>\r\n\r\n").unwrap();
    assert_eq!(format!("{message:?}"), format!("Message(INVITE, {} octets)", message.octets().len()));
}
