//! Single rules of the description syntax: who is tolerated, who is refused, and at which line.

use ringfort_media::sdp::{Candidate, Connection, Direction, Fingerprint, Rule, Sdp, SdpError, Setup};

fn parse(text: &str) -> Sdp {
    Sdp::parse(text.as_bytes()).unwrap()
}

fn error(text: &str) -> (usize, Rule) {
    Sdp::parse(text.as_bytes()).map_err(|SdpError { line, rule }| (line, rule)).unwrap_err()
}

#[test]
fn real_peers_are_tolerated() {
    let crlf = parse("v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n");
    assert_eq!(parse("v=0\no=- 1 1 IN IP4 10.0.0.1\ns=-\nt=0 0\nm=audio 9 RTP/AVP 0\n\n"), crlf, "LF alone, blank end");
    assert_eq!(parse("v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 0"), crlf, "no line end");
    let bare = parse("v=0\nm=audio 9 RTP/AVP 0 8 \nm=video 0 RTP/AVP\n");
    assert_eq!(bare.media[0].line().formats, ["0", "8"], "trailing blank");
    assert!(bare.media[1].line().formats.is_empty(), "refused without format");
}

#[test]
fn structure_is_held_to() {
    let cases = [
        ("", 1, Rule::Empty),
        ("\r\n\r\n", 1, Rule::Empty),
        ("v=1\r\n", 1, Rule::Version),
        ("o=- 1 1 IN IP4 10.0.0.1\r\nv=0\r\n", 1, Rule::Version),
        ("v=0\r\n\r\ns=-\r\n", 2, Rule::LineSyntax),
        ("v=0\r\na\r\n", 2, Rule::LineSyntax),
        ("v=0\r\n a=x\r\n", 2, Rule::LineSyntax),
        ("v=0\r\na=x\ry\r\n", 2, Rule::ControlCharacter),
        ("v=0\r\na=x\0\r\n", 2, Rule::ControlCharacter),
        ("v=0\r\nm=audio RTP/AVP 0\r\n", 2, Rule::MediaLine),
        ("v=0\r\nm=audio 70000 RTP/AVP 0\r\n", 2, Rule::MediaLine),
        ("v=0\r\nm=audio +9 RTP/AVP 0\r\n", 2, Rule::MediaLine),
        ("v=0\r\nm=audio 9 RTP/AVP\r\n", 2, Rule::MediaLine),
        ("v=0\r\nm=audio 9 RTP//AVP 0\r\n", 2, Rule::MediaLine),
    ];
    for (text, line, rule) in cases {
        assert_eq!(error(text), (line, rule), "{text:?}");
    }
}

#[test]
fn views_tell_absent_from_malformed() {
    let sdp =
        parse("v=0\nm=audio 9 RTP/AVP 0\na=ptime:x\nc=IN IP4 10.0.0.256\na=rtpmap:0\na=setup:server\na=fingerprint:sha-256 AA\n");
    let section = sdp.media_section(0).unwrap();
    let at = |line, rule| SdpError { line, rule };
    assert_eq!(section.ptime(), Err(at(3, Rule::Ptime)));
    assert_eq!(section.connection(), Err(at(4, Rule::Connection)));
    assert_eq!(section.rtpmaps().unwrap_err(), at(5, Rule::Rtpmap));
    assert_eq!(section.setup(), Err(at(6, Rule::Setup)));
    assert_eq!(section.fingerprints().unwrap_err(), at(7, Rule::Fingerprint));
    let empty = parse("v=0\nm=audio 9 RTP/AVP 0\n");
    let section = empty.media_section(0).unwrap();
    assert_eq!(
        (section.ptime(), section.connection(), section.setup(), section.rtcp()),
        (Ok(None), Ok(None), Ok(None), Ok(None))
    );
    assert!(empty.media_section(1).is_none());
}

#[test]
fn values_are_read() {
    let sdp = parse(
        "v=0\na=group:BUNDLE 0 1\nm=audio 9 RTP/AVP 96\nc=IN IP6 2001:db8::1\na=rtpmap:96 opus/48000/2 \na=fmtp:96 a=1;b=2\n\
         a=ptime:20.0\na=rtcp:53020 IN IP4 126.16.64.4\na=setup:passive\na=recvonly\na=mid:0\na=rtcp-mux\n\
         a=candidate:1 1 UDP 2130706431 10.0.0.1 8998 typ srflx raddr 10.9.9.9 rport 4\n\
         a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR|2^20|1:32\na=fingerprint:SHA-1 00:01:02:03:04:05:06:07:08:09:0a:0B:0C:0D:0E:0F:10:11:12:13\n",
    );
    let section = sdp.media_section(0).unwrap();
    assert_eq!(section.connection(), Ok(Some(Connection::Address("2001:db8::1".parse().unwrap()))));
    assert_eq!(section.rtpmaps().unwrap()[0].encoding, "opus/48000/2");
    assert_eq!(section.fmtps().unwrap()[0].parameters, "a=1;b=2");
    assert_eq!(section.ptime(), Ok(Some(20)));
    assert_eq!(section.rtcp().unwrap().unwrap().port, 53020);
    assert_eq!((section.setup(), section.direction()), (Ok(Some(Setup::Passive)), Some(Direction::RecvOnly)));
    assert_eq!((section.mid(), section.has("rtcp-mux"), section.has("rtcp")), (Some("0"), true, true));
    let candidates = section.candidates().unwrap();
    let expected = Candidate {
        foundation: "1",
        component: 1,
        transport: "UDP",
        priority: 2_130_706_431,
        address: "10.0.0.1",
        port: 8998,
        kind: "srflx",
        related: Some("10.9.9.9"),
    };
    assert_eq!(candidates, [expected]);
    assert_eq!(section.cryptos().unwrap()[0].suite, "AES_CM_128_HMAC_SHA1_80");
    let fingerprint: &Fingerprint = &section.fingerprints().unwrap()[0];
    assert_eq!(fingerprint.to_string(), "sha-1 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13");
    let groups = sdp.session_section().groups().unwrap();
    assert_eq!(groups[0].mids().collect::<Vec<_>>(), ["0", "1"]);
}

#[test]
fn connection_addresses() {
    let connection = |text: &str| {
        let sdp = parse(&format!("v=0\nc={text}\n"));
        let section = sdp.session_section();
        section.connection().map(|connection| format!("{:?}", connection.unwrap())).ok()
    };
    assert_eq!(connection("IN IP4 224.2.1.1/127/3").as_deref(), Some("Address(224.2.1.1)"));
    assert_eq!(connection("IN IP4 pc.example.com").as_deref(), Some("Host(\"pc.example.com\")"));
    assert_eq!(connection("ATM NSAP 47.0091").as_deref(), Some("Foreign"));
    assert_eq!(connection("IN IP4 2001:db8::1"), None);
    assert_eq!(connection("IN IP6 10.0.0.1"), None);
    assert_eq!(connection("IN IP4"), None);
}

#[test]
fn other_character_sets_are_carried_not_read() {
    let body = b"v=0\r\ns=Besprechung f\xfcr alle\r\nm=audio 9 RTP/AVP 0\r\na=x-raum:K\xfcche\r\n";
    let sdp = Sdp::parse(body).unwrap();
    assert_eq!(sdp.write(), body);
    assert_eq!(sdp.media_section(0).unwrap().attributes().count(), 0);
}
