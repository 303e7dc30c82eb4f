//! Messages from other projects' test suites and RFC call flows: none may panic, and those that are sound must be
//! accepted. The corpora lie beside the repository and are optional.

use bytes::Bytes;
use ringfort_sip::framing::StreamFramer;
use ringfort_sip::message::{HeaderName, Message};
use ringfort_sip::screen::{Verdict, screen, screen_unparsed};
use rsip::headers::UntypedHeader;
use rsip::message::HeadersExt;
use std::path::{Path, PathBuf};

fn folder(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata").join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: corpus not present");
    None
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("readable corpus").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found
}

fn with_crlf(text: &str) -> Bytes {
    Bytes::from(text.replace("\r\n", "\n").replace('\n', "\r\n"))
}

/// Reads everything there is to read; the value does not matter, only that nothing panics.
fn judge(octets: &Bytes) -> Verdict {
    match Message::parse(octets.clone()) {
        Ok(message) => {
            for name in HeaderName::all() {
                let _ = (message.values(name).count(), message.addresses(name), message.number(name));
            }
            screen(&message)
        }
        Err(error) => screen_unparsed(octets, error),
    }
}

/// The call flows of RFC 3665 and others, as another stack's test suite keeps them: all are sound. Those on the way
/// between proxies have several Vias, which a response to us never has.
#[test]
fn call_flows() {
    let Some(folder) = folder("php-sip-flows") else { return };
    let (mut accepted, mut agreed, mut failures) = (0, 0, Vec::new());
    for path in files(&folder, "yaml") {
        let text = std::fs::read_to_string(&path).expect("readable corpus");
        for block in text.split("- |+\n").skip(1) {
            let mut message: String =
                block.lines().map(|line| format!("{}\r\n", line.strip_prefix("  ").unwrap_or(line))).collect();
            if !message.contains("\r\n\r\n") {
                // The last message of a file may have lost its empty line.
                message.push_str("\r\n");
            }
            match judge(&Bytes::from(message.clone())) {
                Verdict::Accept => {
                    accepted += 1;
                    agreed += usize::from(second_opinion(&Bytes::from(message)));
                }
                Verdict::Drop { rule: "via-count" } => {}
                // Three messages of RFC 5626 leave out what does not matter to their flow.
                _ if !message.contains("Via: ") => {}
                refused => failures.push(format!("{}: {refused:?}\n{message}", path.display())),
            }
        }
    }
    println!("{accepted} accepted, rsip agrees on {agreed}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(accepted > 150 && agreed > 60);
}

/// Whether rsip reads the message too; what both read must be the same. It refuses some that are sound.
fn second_opinion(octets: &Bytes) -> bool {
    let own = Message::parse(octets.clone()).expect("accepted before");
    let Ok(other) = rsip::SipMessage::try_from(octets.as_ref()) else { return false };
    let value = |own: Option<&str>, other: &str| assert_eq!(own.map(str::trim), Some(other.trim()));
    if let Ok(header) = other.call_id_header() {
        value(own.header(HeaderName::CallId), header.value());
    }
    if let Ok(header) = other.cseq_header() {
        value(own.header(HeaderName::CSeq), header.value());
    }
    if let (Ok(header), Ok(from)) = (other.from_header(), own.from()) {
        let tag = header.tag().ok().flatten().map(|tag| tag.to_string());
        assert_eq!(from.tag(), tag.as_deref().map(|tag| tag.trim_start_matches(";tag=")));
    }
    true
}

/// jain-sip's torture tests: most are broken on purpose, some in ways that this parser may represent.
#[test]
fn jain_sip_messages() {
    let Some(folder) = folder("jain-sip-torture") else { return };
    let text = std::fs::read_to_string(folder.join("torture.xml")).expect("readable corpus");
    let (mut accepted, mut refused) = (0, 0);
    for block in text.split("<message>").skip(1) {
        let inside = block.split("<![CDATA[").nth(1).and_then(|rest| rest.split("]]>").next()).unwrap_or_default();
        // Many have lost their empty line in the XML.
        let inside = inside.trim();
        let inside = if inside.contains("\n\n") { inside.to_owned() } else { format!("{inside}\n\n") };
        match judge(&with_crlf(&inside)) {
            Verdict::Accept => accepted += 1,
            _ => refused += 1,
        }
    }
    println!("{accepted} accepted, {refused} refused");
    assert!(accepted + refused > 50 && accepted > 200);
}

/// Captures with a log's lines between messages: cut at what looks like a start line.
#[test]
fn captures() {
    let Some(folder) = folder("sip2json-captures") else { return };
    for path in files(&folder, "sip") {
        let octets = std::fs::read(&path).expect("readable corpus");
        judge(&Bytes::from(octets.clone()));
        let text = String::from_utf8_lossy(&octets).into_owned();
        for part in text.split("---\n") {
            judge(&with_crlf(part));
        }
        let mut framer = StreamFramer::new();
        for chunk in octets.chunks(100) {
            framer.push(chunk);
            while let Ok(Some(message)) = framer.next_message() {
                judge(&message);
            }
        }
    }
}
