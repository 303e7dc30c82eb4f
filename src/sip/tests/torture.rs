//! RFC 4475, "SIP Torture Test Messages": one row a message, with what the RFC says and what Ringfort does.
//!
//! The corpus lies beside the repository and is optional; the messages of our own at the end of this file are always
//! run.

use bytes::Bytes;
use ringfort_sip::framing::StreamFramer;
use ringfort_sip::message::{HeaderName, Message, Method};
use ringfort_sip::screen::uas::Uas;
use ringfort_sip::screen::{Verdict, reply_unparsed, screen, screen_unparsed};
use std::collections::BTreeSet;
use std::path::PathBuf;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    /// Goes on to its call or registration.
    Accept,
    /// Refused as malformed, statelessly.
    Reply(u16),
    /// Forgotten.
    Drop,
    /// Well formed; the transaction user refuses it.
    AcceptWithTuStatus(u16),
}
use Expected::{Accept, AcceptWithTuStatus, Drop, Reply};

struct Row {
    name: &'static str,
    section: &'static str,
    rfc: &'static str,
    expected: Expected,
}

const fn row(name: &'static str, section: &'static str, rfc: &'static str, expected: Expected) -> Row {
    Row { name, section, rfc, expected }
}

const ROWS: &[Row] = &[
    row("wsinv", "3.1.1.1", "valid: folds, odd case, space around every separator", Accept),
    row("intmeth", "3.1.1.2", "valid: the widest range of characters; method unknown, 405 or 501", AcceptWithTuStatus(405)),
    row("esc01", "3.1.1.3", "valid: escapes in URIs", Accept),
    row("escnull", "3.1.1.4", "valid: escaped nulls in URIs", Accept),
    row("esc02", "3.1.1.5", "valid: percent signs that are no escapes; the method is not REGISTER", AcceptWithTuStatus(405)),
    row("lwsdisp", "3.1.1.6", "valid: no space between display name and <", Accept),
    row("longreq", "3.1.1.7", "valid: long values", Accept),
    row("dblreq", "3.1.1.8", "valid: octets beyond Content-Length are dropped, not taken for a message", Accept),
    row("semiuri", "3.1.1.9", "valid: semicolon and escaped @ in the user part", Accept),
    row("transports", "3.1.1.10", "valid: unknown transports in Via", Accept),
    row("mpart01", "3.1.1.11", "valid: multipart body with binary parts", Accept),
    row("unreason", "3.1.1.12", "valid: reason phrase in UTF-8", Accept),
    row("noreason", "3.1.1.13", "valid: empty reason phrase", Accept),
    row("badinv01", "3.1.2.1", "400: separators without parameters in Via and Contact", Reply(400)),
    row("clerr", "3.1.2.2", "400: Content-Length larger than the datagram", Reply(400)),
    row("ncl", "3.1.2.3", "400: negative Content-Length", Reply(400)),
    row("scalar02", "3.1.2.4", "400: CSeq and Max-Forwards out of range", Reply(400)),
    row("scalarlg", "3.1.2.5", "drop: CSeq of a response out of range", Drop),
    row("quotbal", "3.1.2.6", "400: quote in To never closed", Reply(400)),
    row("ltgtruri", "3.1.2.7", "400: Request-URI in brackets", Reply(400)),
    row("lwsruri", "3.1.2.8", "400: white space inside the Request-URI", Reply(400)),
    row("lwsstart", "3.1.2.9", "400: more than one space in the request line", Reply(400)),
    row("trws", "3.1.2.10", "400, or liberal: space at the end of the request line; nothing is unclear", Accept),
    row("escruri", "3.1.2.11", "400, or liberal: headers in the Request-URI", Reply(400)),
    row("baddate", "3.1.2.12", "time zone other than GMT; should not be refused unless Date matters, which it does not", Accept),
    row("regbadct", "3.1.2.13", "400: Contact with headers but without brackets", Reply(400)),
    row("badaspec", "3.1.2.14", "400, or liberal: space inside the brackets", Reply(400)),
    row("baddn", "3.1.2.15", "400, or liberal: display name with a comma and no quotes; no empty line in this copy", Reply(400)),
    row("badvers", "3.1.2.16", "505: SIP/7.0", Reply(505)),
    row("mismatch01", "3.1.2.17", "400: method in CSeq differs", Reply(400)),
    row("mismatch02", "3.1.2.18", "400 or 501: method in CSeq differs, method unknown", Reply(400)),
    row("bigcode", "3.1.2.19", "drop: status code out of range", Drop),
    row("badbranch", "3.2.1", "400, or RFC 2543 matching: the branch is the magic cookie alone", Reply(400)),
    row("insuf", "3.3.1", "400: Call-ID, From and To missing", Reply(400)),
    row("unkscm", "3.3.2", "416: unknown scheme", AcceptWithTuStatus(416)),
    row("novelsc", "3.3.3", "416: known scheme that is not SIP's", AcceptWithTuStatus(416)),
    row("unksm2", "3.3.4", "400 by a registrar: To is not a SIP URI", AcceptWithTuStatus(400)),
    row("bext01", "3.3.5", "420: unknown option tags required", AcceptWithTuStatus(420)),
    row("invut", "3.3.6", "415: unknown body type", AcceptWithTuStatus(415)),
    row("regaut01", "3.3.7", "accepted: credentials of an unknown scheme are as good as none (401 by the registrar)", Accept),
    row("multi01", "3.3.8", "400: headers repeated that occur once", Reply(400)),
    row("mcl01", "3.3.9", "400: contradicting Content-Length", Reply(400)),
    row("bcast", "3.3.10", "drop: the response has a Via below ours", Drop),
    row("zeromf", "3.3.11", "OPTIONS with Max-Forwards 0: 200 by the element where it ends", Accept),
    row("cparam01", "3.3.12", "accepted: unknown header parameter of Contact", Accept),
    row("cparam02", "3.3.13", "accepted: unknown URI parameter of Contact", Accept),
    row("regescrt", "3.3.14", "accepted: Contact with headers in brackets", Accept),
    row("sdp01", "3.3.15", "406: Accept without application/sdp", AcceptWithTuStatus(406)),
    row("inv2543", "3.4.1", "accepted: RFC 2543 without branch, tag and Max-Forwards", Accept),
    row("test", "-", "in the corpus, not in the RFC: no Via, no version; nobody to answer", Drop),
];

/// A B2BUA of the kind that Ringfort is.
const UAS: Uas<'_> = Uas {
    methods: &[Method::Invite, Method::Bye, Method::Options, Method::Register, Method::Message, Method::Update],
    extensions: &["100rel", "replaces"],
    content_types: &["application/sdp", "multipart/mixed"],
    unread: &[],
};

/// What Ringfort does, and the rule's name.
fn judge(octets: &Bytes) -> (Expected, &'static str) {
    let message = match Message::parse(octets.clone()) {
        Ok(message) => message,
        Err(error) => return refusal(octets, screen_unparsed(octets, error)),
    };
    match screen(&message) {
        Verdict::Accept if message.is_request() => match UAS.screen(&message) {
            Verdict::Reply { status, rule, reason } => {
                let reply = UAS.refuse(&message, status, &reason, "tag").build();
                assert_eq!(screen_reply(reply), Some(status));
                (AcceptWithTuStatus(status), rule)
            }
            _ => (Accept, ""),
        },
        Verdict::Accept => (Accept, ""),
        refused => refusal(octets, refused),
    }
}

/// A refusal must be one that can really be written, and read by our own parser.
fn refusal(octets: &Bytes, verdict: Verdict) -> (Expected, &'static str) {
    match verdict {
        Verdict::Accept => (Accept, ""),
        Verdict::Drop { rule } => (Drop, rule),
        Verdict::Reply { status, rule, reason } => {
            let reply = reply_unparsed(octets, status, &reason, "tag").expect("a reply was promised");
            assert_eq!(screen_reply(reply), Some(status));
            (Reply(status), rule)
        }
    }
}

fn screen_reply(octets: Bytes) -> Option<u16> {
    let message = Message::parse(octets).expect("our own reply parses");
    assert!(message.values(HeaderName::Via).next().is_some());
    message.status()
}

fn corpus() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata/rfc4475-torture");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: corpus not present");
    None
}

fn read(name: &str) -> Option<Bytes> {
    corpus().map(|folder| Bytes::from(std::fs::read(folder.join(format!("{name}.dat"))).expect("readable corpus")))
}

#[test]
fn every_message_gets_its_verdict() {
    let Some(_) = corpus() else { return };
    let mut failures = Vec::new();
    for row in ROWS {
        let octets = read(row.name).expect("corpus is there");
        let (actual, rule) = judge(&octets);
        println!("{:12} {:9} {:28} {rule:24} {}", row.name, row.section, format!("{actual:?}"), row.rfc);
        if actual != row.expected {
            failures.push(format!("{} ({}): expected {:?}, got {actual:?} by {rule:?}", row.name, row.section, row.expected));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_row_has_a_file_and_every_file_a_row() {
    let Some(folder) = corpus() else { return };
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .expect("readable corpus")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".dat").map(str::to_owned))
        .collect();
    let rows: BTreeSet<String> = ROWS.iter().map(|row| row.name.to_owned()).collect();
    assert_eq!(rows, files);
    assert_eq!(ROWS.len(), rows.len(), "a name occurs twice");
}

/// What the accepted messages mean, where the RFC says it.
#[test]
fn meanings_that_the_rfc_spells_out() {
    let Some(octets) = read("wsinv") else { return };
    let message = Message::parse(octets).unwrap();
    assert_eq!(message.to().unwrap().tag(), Some("1918181833n"));
    assert_eq!(message.from().unwrap().display_name().as_deref(), Some("J Rosenberg \\\""));
    assert_eq!((message.max_forwards(), message.cseq()), (Ok(Some(68)), Ok((9, Method::Invite))));
    let hosts: Vec<_> = message.values(HeaderName::Via).map(|via| ringfort_sip::message::Via::parse(via).unwrap().host).collect();
    assert_eq!(hosts, ["192.0.2.2", "spindle.example.com", "192.168.255.111"]);
    let contacts = message.contacts().unwrap();
    let contact = contacts.first().unwrap();
    assert_eq!((contact.display_name().as_deref(), contact.q_per_mille()), (Some("Quoted string \"\""), Some(330)));
    assert_eq!(contact.param("newparam"), Some("newvalue"));
    assert_eq!(message.header(HeaderName::Subject), Some(""));

    let message = Message::parse(read("dblreq").unwrap()).unwrap();
    assert_eq!((message.method(), message.body().len()), (Method::Register, 0));

    let message = Message::parse(read("mpart01").unwrap()).unwrap();
    assert_eq!(message.body().len(), 553);
    assert!(message.body().contains(&0));

    let message = Message::parse(read("unreason").unwrap()).unwrap();
    assert!(message.reason().starts_with("= 2**3 * 5**2 но"));

    let message = Message::parse(read("esc02").unwrap()).unwrap();
    assert_eq!(message.contacts().unwrap(), Message::parse(read("esc02").unwrap()).unwrap().contacts().unwrap());
    assert_eq!(message.addresses(HeaderName::Contact).unwrap().len(), 2, "C%6Fntact is another header");
}

/// The corpus's copy lacks the empty line, so the row alone does not prove what the RFC means.
#[test]
fn baddn_is_refused_for_its_display_name_too() {
    let Some(octets) = read("baddn") else { return };
    let whole = Bytes::from([&octets[..], b"\r\n"].concat());
    assert_eq!(judge(&whole), (Reply(400), "display-name"));
}

/// On a stream the second request of `dblreq` is a message of its own.
#[test]
fn on_a_stream_two_requests_are_two() {
    let Some(octets) = read("dblreq") else { return };
    let mut framer = StreamFramer::new();
    framer.push(&octets);
    let methods: Vec<_> = std::iter::from_fn(|| framer.next_message().unwrap())
        .take(2)
        .map(|octets| Message::parse(octets).unwrap().method())
        .collect();
    assert_eq!(methods, [Method::Register, Method::Invite]);
}

const HEAD: &str =
    "Via: SIP/2.0/UDP a.example;branch=z9hG4bK1\r\nFrom: <sip:a@x.example>;tag=1\r\nTo: <sip:b@x.example>\r\nCall-ID: own\r\n";

/// Messages of our own in the RFC's spirit.
#[test]
fn own_messages() {
    let options =
        |line: &str, rest: &str| [line.as_bytes(), b"\r\n", HEAD.as_bytes(), b"CSeq: 1 OPTIONS\r\n", rest.as_bytes()].concat();
    let plain = "OPTIONS sip:b@x.example SIP/2.0";
    let mut latin1 = options(plain, "Subject: caf#\r\n\r\n");
    latin1.iter_mut().filter(|b| **b == b'#').for_each(|b| *b = 0xe9);
    let many = "X: y\r\n".repeat(300);
    let rows: Vec<(&str, Vec<u8>, Expected)> = vec![
        ("line ends before the start line", [b"\r\n\r\n".to_vec(), options(plain, "\r\n")].concat(), Accept),
        ("lone LFs", String::from_utf8(options(plain, "\r\n")).unwrap().replace('\r', "").into_bytes(), Accept),
        (
            "a bare CR that another parser could take for a line end",
            options(plain, "Subject: a\rRoute: <sip:evil>\r\n\r\n"),
            Reply(400),
        ),
        ("a header in ISO 8859-1", latin1, Accept),
        ("IPv6 everywhere", options("OPTIONS sip:b@[2001:db8::1]:5060 SIP/2.0", "Contact: <sip:a@[::1]>\r\n\r\n"), Accept),
        ("the same Content-Length twice", options(plain, "c: application/sdp\r\nContent-Length: 2\r\nl: 2\r\n\r\nok"), Accept),
        ("Content-Length beyond every integer", options(plain, "l: 99999999999999999999999\r\n\r\n"), Reply(400)),
        ("the end of the head missing", options(plain, ""), Reply(400)),
        ("more fields than anybody needs", options(plain, &format!("{many}\r\n")), Reply(400)),
        ("a fold before the first header", options(&format!("{plain}\r\n folded"), "\r\n"), Reply(400)),
        ("a status line for a request", options("SIP/2.0 200 OK", "\r\n"), Accept),
        ("a status code of two digits", options("SIP/2.0 20 OK", "\r\n"), Drop),
        ("an ACK that is broken", format!("ACK sip:b SIP/2.0\r\n{HEAD}CSeq: x ACK\r\n\r\n").into_bytes(), Drop),
        ("a tel URI", options("OPTIONS tel:+49301234 SIP/2.0", "\r\n"), Accept),
        ("nothing but a keep-alive", b"\r\n\r\n".to_vec(), Drop),
        ("a WebSocket handshake on the wrong port", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), Drop),
    ];
    for (what, octets, expected) in rows {
        assert_eq!(judge(&Bytes::from(octets)).0, expected, "{what}");
    }
}
