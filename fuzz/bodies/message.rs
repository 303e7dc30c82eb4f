//! One datagram or one stream: framed, parsed, judged, answered.

use bytes::Bytes;
use ringfort_sip::framing::StreamFramer;
use ringfort_sip::message::{Builder, ContentType, HeaderName, Message, NameAddr, Via, Warning};
use ringfort_sip::screen::{Verdict, reply_unparsed, screen, screen_unparsed};
use ringfort_sip::uri::Uri;

/// Reads octets as a datagram, and again as a stream in two pieces.
pub fn message(octets: &[u8]) {
    datagram(&Bytes::copy_from_slice(octets));
    stream(octets);
}

fn datagram(octets: &Bytes) {
    match Message::parse(octets.clone()) {
        Ok(message) => parsed(&message),
        Err(error) => {
            if let Verdict::Reply { status, reason, .. } = screen_unparsed(octets, error) {
                let reply = reply_unparsed(octets, status, &reason, "t").expect("a reply was promised");
                Message::parse(reply).expect("our own reply parses");
            }
        }
    }
}

fn parsed(message: &Message) {
    if let Verdict::Reply { status, reason, .. } = screen(message) {
        let reply = Builder::reply(message, status, Some(&reason), Some("t")).build();
        Message::parse(reply).expect("our own reply parses");
    }
    for name in HeaderName::all() {
        message.values(name).for_each(value);
    }
    let stamped = message.received_from(([192, 0, 2, 1], 5060).into());
    let _ = (stamped.contacts(), stamped.cseq(), stamped.call_id(), stamped.top_via(), format!("{stamped:?}"));
    copied(message);
}

fn value(value: &str) {
    let _ = (Via::parse(value), ContentType::parse(value), Warning::parse(value));
    let Ok(address) = NameAddr::parse(value) else { return };
    if let Ok(uri) = Uri::parse(address.uri) {
        assert_eq!(Uri::parse(&uri.to_string()).as_ref(), Ok(&uri), "a URI reads back as it was");
        assert!(uri.equivalent(&uri), "a URI is equivalent to itself");
    }
}

/// Header injection: what is copied line by line never becomes more lines.
fn copied(message: &Message) {
    let copy = Builder::request(&message.method(), message.request_uri().unwrap_or("sip:x"));
    let copy = message.lines().fold(copy, |copy, (_, line)| copy.line(line)).build();
    if let Ok(copy) = Message::parse(copy) {
        assert!(copy.all_headers().count() <= message.all_headers().count() + 1, "a line became two");
    }
}

/// Where the stream is cut into reads does not matter.
fn stream(octets: &[u8]) {
    let at = octets.first().map_or(0, |first| usize::from(*first) % (octets.len() + 1));
    let (one, two) = octets.split_at(at);
    assert_eq!(framed(&[octets]), framed(&[one, two]), "framing depends on the reads");
}

/// Messages and whether the stream broke. Pings are left out: those behind the break are seen only when they come later.
fn framed(reads: &[&[u8]]) -> (Vec<Bytes>, bool) {
    let (mut framer, mut messages) = (StreamFramer::new(), Vec::new());
    for read in reads {
        framer.push(read);
        loop {
            match framer.next_message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(_) => return (messages, true),
            }
        }
    }
    (messages, false)
}
