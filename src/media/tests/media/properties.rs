//! Properties of the description parser over generated input.

use proptest::prelude::*;
use ringfort_base::limits::{SDP_FORMATS_MAX, SDP_LINES_MAX, SDP_MAX, SDP_MEDIA_MAX};
use ringfort_media::sdp::{Line, Media, MediaLine, Rule, Sdp};

fn line() -> impl Strategy<Value = Line> {
    let letter = prop::sample::select(vec!['a', 'b', 'c', 'i', 'k', 'o', 's', 't', 'Z']);
    let attribute = "(rtpmap|fmtp|candidate|fingerprint|setup|rtcp|ptime|crypto|group|ice-ufrag|x-[a-z]{1,4}):[ -~]{0,24}";
    let value = prop_oneof![attribute.prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..24)];
    (letter, value).prop_map(|(letter, value)| Line::new(letter, value))
}

fn media() -> impl Strategy<Value = Media> {
    let head = ("[a-z]{1,8}", any::<u16>(), prop::option::of(1..4u16), "(RTP/AVP|UDP/TLS/RTP/SAVPF|udptl)");
    (head, prop::collection::vec("[0-9]{1,3}", 1..6), prop::collection::vec(line(), 0..8)).prop_map(|(head, formats, lines)| {
        let (kind, port, ports, proto) = head;
        let mut media = Media::new(MediaLine { kind, port, ports, proto, formats });
        media.lines = lines;
        media
    })
}

fn sdp() -> impl Strategy<Value = Sdp> {
    (prop::collection::vec(line(), 0..8), prop::collection::vec(media(), 0..4)).prop_map(|(mut session, media)| {
        session.insert(0, Line::new('v', "0"));
        Sdp { session, media }
    })
}

/// Asks every typed question; only for panics.
fn read_all(sdp: &Sdp) {
    let sections = (0..=sdp.media.len()).filter_map(|index| sdp.media_section(index));
    for section in std::iter::once(sdp.session_section()).chain(sections) {
        let _ = (section.connection(), section.direction(), section.rtpmaps(), section.fmtps(), section.ptime());
        let _ = (section.maxptime(), section.rtcp(), section.ice_ufrag(), section.ice_pwd(), section.fingerprints());
        let _ = (section.setup(), section.candidates(), section.cryptos(), section.groups(), section.mid());
    }
}

proptest! {
    #[test]
    fn written_is_read_back(sdp in sdp()) {
        let body = sdp.write();
        prop_assert_eq!(Sdp::parse(&body).unwrap(), sdp.clone());
        read_all(&sdp);
    }

    #[test]
    fn no_octets_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(sdp) = Sdp::parse(&body) {
            read_all(&sdp);
        }
    }

    #[test]
    fn damaged_descriptions_do_not_make_it_panic(sdp in sdp(), places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut body = sdp.write();
        for (place, octet) in places {
            let index = place.index(body.len());
            body[index] = octet;
        }
        if let Ok(sdp) = Sdp::parse(&body) {
            read_all(&sdp);
        }
    }

    #[test]
    fn a_line_cannot_smuggle_another(value in prop::collection::vec(any::<u8>(), 0..40)) {
        let sdp = Sdp { session: vec![Line::new('v', "0"), Line::new('a', &value)], media: vec![] };
        prop_assert_eq!(Sdp::parse(&sdp.write()).unwrap().session.len(), 2);
    }
}

#[test]
fn limits_hold_at_their_edge() {
    let rule = |body: &str| Sdp::parse(body.as_bytes()).map_err(|error| error.rule).err();
    let lines = |count: usize| format!("v=0\n{}", "a=x\n".repeat(count - 1));
    assert_eq!((rule(&lines(SDP_LINES_MAX)), rule(&lines(SDP_LINES_MAX + 1))), (None, Some(Rule::TooManyLines)));
    let media = |count: usize| format!("v=0\n{}", "m=audio 9 RTP/AVP 0\n".repeat(count));
    assert_eq!((rule(&media(SDP_MEDIA_MAX)), rule(&media(SDP_MEDIA_MAX + 1))), (None, Some(Rule::TooManyMedia)));
    let formats = |count: usize| format!("v=0\nm=audio 9 RTP/AVP{}\n", " 0".repeat(count));
    assert_eq!((rule(&formats(SDP_FORMATS_MAX)), rule(&formats(SDP_FORMATS_MAX + 1))), (None, Some(Rule::TooManyFormats)));
    let long = |length: usize| format!("v=0\na={}", "x".repeat(length - 6));
    assert_eq!((rule(&long(SDP_MAX)), rule(&long(SDP_MAX + 1))), (None, Some(Rule::TooLong)));
}
