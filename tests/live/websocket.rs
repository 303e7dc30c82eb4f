//! Frames as hostile and as legal as RFC 6455 lets them be, over WebSocket with TLS and without: what is legal is answered, what is
//! not ends its connection with the code that the RFC names, and the next one is served.

use ringfort_tests::ensure;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::site::{DOMAIN, Site};
use ringfort_tests::harness::stream::{Wire, is_timeout};
use ringfort_tests::harness::wait::seconds;
use ringfort_tests::harness::{Context, Failure, Outcome, play};
use std::io::{Read, Write};
use std::time::Instant;

const CONTINUED: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
/// The last frame of its message.
const FIN: u8 = 0x80;
/// Close codes (RFC 6455 7.4.1).
const NORMAL: u16 = 1000;
const PROTOCOL: u16 = 1002;
const NOT_UTF8: u16 = 1007;
const TOO_BIG: u16 = 1009;

/// A stream on which the WebSocket's opening handshake is over.
struct Line(Box<dyn Stream>, Vec<u8>);

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// What the node sent.
#[derive(Debug, PartialEq)]
enum Heard {
    Frame(u8, Vec<u8>),
    /// The connection ended.
    End,
}

impl Line {
    fn open(wire: Wire) -> Outcome<Line> {
        match wire {
            Wire::Ws(socket) => Ok(Line(Box::new(socket.into_inner()), Vec::new())),
            Wire::Wss(socket) => Ok(Line(Box::new(socket.into_inner()), Vec::new())),
            _ => Err(Failure::new("no WebSocket")),
        }
    }

    fn send(&mut self, octets: &[u8]) -> Outcome<()> {
        // The node may have ended the connection before the last of it: what it said then is what counts.
        let _ = self.0.write_all(octets).and_then(|()| self.0.flush());
        Ok(())
    }

    /// The next frame that is no ping, or the end.
    fn hear(&mut self) -> Outcome<Heard> {
        let until = Instant::now() + seconds(5);
        while Instant::now() < until {
            if let Some((length, frame)) = unframed(&self.1) {
                self.1.drain(..length);
                // The node asks by itself whether the line lives.
                if !matches!(frame, Heard::Frame(PING, _)) {
                    return Ok(frame);
                }
                continue;
            }
            let mut buffer = [0; 4096];
            match self.0.read(&mut buffer) {
                Ok(length @ 1..) => self.1.extend_from_slice(&buffer[..length]),
                Err(error) if is_timeout(error.kind()) => {}
                Ok(0) | Err(_) => return Ok(Heard::End),
            }
        }
        Err(Failure::new("the node said nothing within 5 s"))
    }

    /// The code that the connection ends with, if any; pongs and answers before that are passed over.
    fn ending(&mut self) -> Outcome<Option<u16>> {
        loop {
            match self.hear()? {
                Heard::End => return Ok(None),
                Heard::Frame(CLOSE, payload) => {
                    return Ok(payload.first_chunk::<2>().map(|code| u16::from_be_bytes(*code)));
                }
                Heard::Frame(..) => {}
            }
        }
    }
}

/// A frame of the node and its length on the wire; the node never masks.
fn unframed(octets: &[u8]) -> Option<(usize, Heard)> {
    let (&[first, second], rest) = octets.split_first_chunk::<2>()?;
    let (head, length) = match second {
        126 => (4, usize::from(u16::from_be_bytes(*rest.first_chunk::<2>()?))),
        short => (2, usize::from(short)),
    };
    let payload = octets.get(head..head + length)?.to_vec();
    Some((head + length, Heard::Frame(first & 0x0f, payload)))
}

/// A frame as a client sends it, masked.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length @ 126..65_536 => {
            out.push(0x80 | 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    let mask = [0x11, 0xa2, 0x33, 0xc4];
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(octet, mask)| octet ^ mask));
    out
}

fn options(n: usize) -> Vec<u8> {
    format!(
        "OPTIONS sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/WS frames.invalid;branch=z9hG4bKframes{n}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@{DOMAIN}>;tag=1\r\nTo: <sip:{DOMAIN}>\r\nCall-ID: frames{n}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

/// Opens a line over each kind of WebSocket and has `body` play on it.
fn over_each(node: &Node, body: impl Fn(&mut Line) -> Outcome<()>) -> Outcome<()> {
    let site = node.site();
    body(&mut Line::open(Wire::ws(Node::at(site.ws), "/")?)?).during("over WebSocket")?;
    body(&mut Line::open(Wire::wss(Node::at(site.web), "/sip")?)?).during("over WebSocket with TLS")
}

fn is_answered(line: &mut Line, n: usize) -> Outcome<()> {
    match line.hear()? {
        Heard::Frame(TEXT | BINARY, payload) => {
            let text = String::from_utf8_lossy(&payload).into_owned();
            ensure!(text.starts_with("SIP/2.0 200") && text.contains(&format!("frames{n}\r\n")), "answer {n}: {text}");
            Ok(())
        }
        other => Err(Failure::new(format!("answer {n}: {other:?}"))),
    }
}

#[test]
fn legal_frames_are_read_however_they_come() -> Outcome<()> {
    play("websocket-legal", |scene| {
        let node = Node::start(scene, Site::new(scene)?)?;
        over_each(&node, |line| {
            line.send(&frame(FIN | TEXT, &options(1)))?;
            is_answered(line, 1)?;
            line.send(&frame(FIN | BINARY, &options(2)))?;
            is_answered(line, 2)?;
            // In three fragments, one of them empty, a ping between them (RFC 6455 5.4).
            let message = options(3);
            let (front, back) = message.split_at(40);
            line.send(&frame(TEXT, front))?;
            line.send(&frame(CONTINUED, b""))?;
            line.send(&frame(FIN | PING, b"between"))?;
            ensure!(line.hear()? == Heard::Frame(PONG, b"between".to_vec()), "a ping between fragments is answered at once");
            line.send(&frame(FIN | CONTINUED, back))?;
            is_answered(line, 3)?;
            // Octet by octet.
            frame(FIN | TEXT, &options(4)).iter().try_for_each(|octet| line.send(&[*octet]))?;
            is_answered(line, 4)?;
            // Two messages in one segment, an unsolicited pong before them.
            let both = [frame(FIN | PONG, b"nobody asked"), frame(FIN | TEXT, &options(5)), frame(FIN | TEXT, &options(6))];
            line.send(&both.concat())?;
            is_answered(line, 5)?;
            is_answered(line, 6)?;
            for payload in [&b""[..], &[0, 0xff, 0xfe], &[b'x'; 125]] {
                line.send(&frame(FIN | PING, payload))?;
                ensure!(line.hear()? == Heard::Frame(PONG, payload.to_vec()), "a pong echoes {} octets", payload.len());
            }
            line.send(&frame(FIN | CLOSE, &[&NORMAL.to_be_bytes()[..], b"bye"].concat()))?;
            let code = line.ending()?;
            ensure!(code == Some(NORMAL), "a close is echoed: {code:?}");
            Ok(())
        })
    })
}

#[test]
fn illegal_frames_end_their_connection_and_no_other() -> Outcome<()> {
    play("websocket-illegal", |scene| {
        let node = Node::start(scene, Site::new(scene)?)?;
        let unmasked = [&[FIN | TEXT, 2][..], b"ab"].concat();
        let endless = [&[FIN | TEXT, 0x80 | 127][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat();
        let close = |code: u16| frame(FIN | CLOSE, &code.to_be_bytes());
        let cases: Vec<(String, Vec<u8>, u16)> = [
            ("a ping of 126 octets", frame(FIN | PING, &[b'x'; 126]), PROTOCOL),
            ("a fragmented ping", frame(PING, b"x"), PROTOCOL),
            ("a continuation of nothing", frame(FIN | CONTINUED, b"x"), PROTOCOL),
            ("a message within a message", [frame(TEXT, b"x"), frame(FIN | TEXT, b"y")].concat(), PROTOCOL),
            ("an unmasked frame", unmasked, PROTOCOL),
            ("text that is not UTF-8", frame(FIN | TEXT, b"OPTIONS \xff\xfe"), NOT_UTF8),
            ("text that is not UTF-8, in fragments", [frame(TEXT, b"\xce"), frame(FIN | CONTINUED, b"\x41")].concat(), NOT_UTF8),
            ("a length beyond all bounds", endless, TOO_BIG),
            ("more than a message may have", frame(FIN | BINARY, &vec![b'x'; 200_000]), TOO_BIG),
            (
                "the same in fragments",
                [frame(BINARY, &vec![b'x'; 60_000]), frame(FIN | CONTINUED, &vec![b'x'; 60_000])].concat(),
                TOO_BIG,
            ),
            ("a close of one octet", frame(FIN | CLOSE, &[3]), PROTOCOL),
            ("a reason that is not UTF-8", frame(FIN | CLOSE, b"\x03\xe8\xff"), NOT_UTF8),
        ]
        .into_iter()
        .map(|(name, octets, code)| (name.to_string(), octets, code))
        .chain((3..=7).chain(11..=15).map(|op| (format!("opcode {op}"), frame(FIN | op, b"x"), PROTOCOL)))
        .chain([0x40, 0x20, 0x10].map(|bit| (format!("reserved bit {bit:#x}"), frame(FIN | bit | TEXT, b"x"), PROTOCOL)))
        .chain([0, 999, 1004, 1005, 1006, 1016, 2999].map(|code| (format!("close code {code}"), close(code), PROTOCOL)))
        .collect();
        over_each(&node, |probe| {
            probe.send(&frame(FIN | TEXT, &options(0)))?;
            is_answered(probe, 0)
        })?;
        for (name, octets, code) in &cases {
            let mut line = Line::open(Wire::ws(Node::at(node.site().ws), "/")?)?;
            line.send(octets)?;
            let ended = line.ending().during(name)?;
            ensure!(ended == Some(*code), "{name}: ended with {ended:?}, not {code}");
        }
        over_each(&node, |line| {
            line.send(&frame(FIN | TEXT, &options(7)))?;
            is_answered(line, 7)
        })
    })
}
