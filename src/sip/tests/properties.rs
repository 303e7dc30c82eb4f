//! Properties that hold for any octets: no panic, what was built reads back, chunking does not matter.

use bytes::Bytes;
use proptest::prelude::*;
use ringfort_base::Transport;
use ringfort_sip::digest::{Challenge, Credentials};
use ringfort_sip::framing::StreamFramer;
use ringfort_sip::message::{Builder, ContentType, HeaderName, Message, Method, NameAddr, Via, Warning};
use ringfort_sip::screen::{Verdict, reply_unparsed, screen, screen_unparsed};
use ringfort_sip::uri::Uri;

const INVITE: &str = "INVITE sip:bob@biloxi.example;user=phone SIP/2.0\r\n\
    Via: SIP/2.0/UDP [2001:db8::9]:5060 ;branch=z9hG4bK74;rport , SIP/2.0/TLS b.example;branch=x;received=192.0.2.1\r\n\
    Max-Forwards: 70\r\nf: \"Al \\\" ice\" <sip:alice@atlanta.example>;tag=9fx\r\nTo : Bob <sip:bob@biloxi.example>\r\n\
    i: 38482762@x\r\nCSeq:\r\n 1 INVITE\r\nm: <sip:alice@192.0.2.4;transport=tcp>;q=0.5;expires=60, *\r\n\
    Route: <sip:a;lr>,<sip:b;lr>\r\nExpires: 7\r\nRequire: 100rel\r\nWarning: 301 x \"y\"\r\n\
    Authorization: Digest username=\"a\", realm=\"b\", nonce=c, uri=\"sip:x\", response=\"00\", nc=00000001, qop=auth, cnonce=\"d\"\r\n\
    Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n";

/// Calls everything that reads.
fn read_all(octets: &Bytes) {
    let message = match Message::parse(octets.clone()) {
        Ok(message) => message,
        Err(error) => {
            if let Verdict::Reply { status, reason, .. } = screen_unparsed(octets, error) {
                let reply = reply_unparsed(octets, status, &reason, "t").expect("a reply was promised");
                Message::parse(reply).expect("our own reply parses");
            }
            return;
        }
    };
    if let Verdict::Reply { status, reason, .. } = screen(&message) {
        let reply = Builder::reply(&message, status, Some(&reason), Some("t")).build();
        Message::parse(reply).expect("our own reply parses");
    }
    for name in HeaderName::all() {
        for value in message.values(name).chain(message.headers(name)) {
            let _ = (NameAddr::parse(value), Via::parse(value), ContentType::parse(value), Warning::parse(value));
            let _ = (Challenge::parse(value), Credentials::parse(value));
            let uri = NameAddr::parse(value).map(|address| Uri::parse(address.uri));
            if let Ok(Ok(uri)) = uri {
                assert_eq!(Uri::parse(&uri.to_string()).as_ref(), Ok(&uri));
                assert!(uri.equivalent(&uri));
            }
        }
    }
    let _ = (message.contacts(), message.cseq(), message.call_id(), message.method(), message.top_via(), format!("{message:?}"));
    message.received_from("[2001:db8::1]:5060".parse().expect("an address"));
    let mut copy = Builder::request(&message.method(), message.request_uri().unwrap_or("sip:x"));
    for (_, line) in message.lines() {
        copy = copy.line(line);
    }
    let copy = copy.build();
    let lines = message.all_headers().count();
    if let Ok(copy) = Message::parse(copy) {
        assert!(copy.all_headers().count() <= lines + 1, "a line became two");
    }
}

proptest! {
    #[test]
    fn random_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
        read_all(&Bytes::from(octets));
    }

    #[test]
    fn mutated_messages_never_panic(
        edits in proptest::collection::vec((0..INVITE.len(), prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b'"'), Just(b' '), Just(b','), Just(b'<'), Just(b';'), Just(b'\\'), Just(b'%')]), 0..12),
        cut in 0..INVITE.len() * 3,
    ) {
        let mut octets = INVITE.as_bytes().to_vec();
        for (at, octet) in edits {
            octets[at] = octet;
        }
        octets.truncate(cut.max(1));
        read_all(&Bytes::from(octets));
    }

    #[test]
    fn texts_never_panic(text in "[ -~\u{e9}]{0,80}") {
        let _ = (Uri::parse(&text), NameAddr::parse(&text), Via::parse(&text), Challenge::parse(&text));
        let _ = (Uri::parse(&format!("sip:{text}")), Via::parse(&format!("SIP/2.0/UDP {text}")), Credentials::parse(&format!("Digest {text}")));
    }

    #[test]
    fn what_is_built_reads_back(
        subject in "[^\0]{0,60}",
        user in "[ -~]{1,20}",
        branch in "[a-z0-9]{1,20}",
        tag in "[a-z0-9]{1,20}",
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let uri = Uri::sip(Some(&user), "192.0.2.1".parse::<std::net::IpAddr>().expect("an address").into(), Some(5060)).to_string();
        let octets = Builder::request(&Method::Invite, &uri)
            .header(HeaderName::From, format_args!("<{uri}>;tag={tag}"))
            .header(HeaderName::To, format_args!("<{uri}>"))
            .header(HeaderName::CallId, "c")
            .header(HeaderName::CSeq, "1 INVITE")
            .header(HeaderName::Subject, &subject)
            .via(Transport::Tcp, "h:5060", &branch, true)
            .body("application/octet-stream", body.clone())
            .build();
        let message = Message::parse(octets).expect("what was built parses");
        prop_assert_eq!(screen(&message), Verdict::Accept);
        prop_assert_eq!(message.body(), &body[..]);
        prop_assert_eq!(message.top_via().expect("a Via").branch, Some(&branch[..]));
        prop_assert_eq!(message.from().expect("a From").tag(), Some(&tag[..]));
        let own = subject.replace(['\r', '\n'], " ");
        prop_assert_eq!(message.header(HeaderName::Subject), Some(own.trim_matches([' ', '\t'])));
        prop_assert!(Uri::parse(&uri).expect("a URI").user_is(&user));
        let reply = Message::parse(Builder::reply(&message, 200, None, Some("r")).build()).expect("a reply parses");
        prop_assert_eq!(screen(&reply), Verdict::Accept);
    }

    #[test]
    fn chunking_does_not_matter(
        pieces in proptest::collection::vec(prop_oneof![Just(INVITE), Just("\r\n"), Just("\r\n\r\n"), Just("OPTIONS sip:x SIP/2.0\r\nl: 0\r\n\r\n")], 0..8),
        chunks in proptest::collection::vec(1usize..400, 1..60),
    ) {
        let stream = pieces.concat();
        let mut whole = StreamFramer::new();
        whole.push(stream.as_bytes());
        let expected: Vec<Bytes> = std::iter::from_fn(|| whole.next_message().expect("a sound stream")).collect();
        let (mut framer, mut found, mut rest) = (StreamFramer::new(), Vec::new(), stream.as_bytes());
        for chunk in chunks.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at((*chunk).min(rest.len()));
            framer.push(now);
            rest = later;
            found.extend(std::iter::from_fn(|| framer.next_message().expect("a sound stream")));
        }
        prop_assert_eq!(&found, &expected);
        prop_assert_eq!(framer.take_pings(), whole.take_pings());
        prop_assert_eq!(found.len(), pieces.iter().filter(|piece| piece.len() > 4).count());
    }

    #[test]
    fn random_streams_never_panic(chunks in proptest::collection::vec(proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), Just(b'l'), Just(b'5'), any::<u8>()], 0..40), 0..20)) {
        let mut framer = StreamFramer::new();
        for chunk in chunks {
            framer.push(&chunk);
            while let Ok(Some(message)) = framer.next_message() {
                read_all(&message);
            }
        }
    }
}
