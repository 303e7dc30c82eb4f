//! rtpengine as Debian ships it, in user space, told by its NG protocol (bencoded dictionaries over UDP) to relay calls.

use crate::beside::{Agreed, Load};
use crate::load::Guard;
use crate::namespaces::NODE;
use ringfort_relay::namespace::Host;
use std::io::{self, Error};
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const NG: &str = "127.0.0.1:2223";
/// It starts within this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the machine has it.
pub fn is_there() -> bool {
    std::path::Path::new("/usr/bin/rtpengine").exists()
}

/// Starts it on `host` with two threads, as many as there are cores here.
pub fn start(host: &Host) -> io::Result<Guard> {
    let started = host.run(|| {
        Command::new("/usr/bin/rtpengine")
            .args(["--config-file=none", "--table=-1", "--foreground", "--log-stderr", "--log-level=3", "--num-threads=2"])
            .args(["--port-min=10000", "--port-max=59999", "--timeout=600", "--silent-timeout=600", "--delete-delay=0"])
            .arg(format!("--interface={NODE}"))
            .arg(format!("--listen-ng={NG}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    })?;
    started.map(Guard)
}

/// Sets a call up for each offer, and returns its ports and the answer to the caller.
pub fn set_up(host: &Host, load: Load, offers: Vec<String>) -> io::Result<Agreed> {
    host.run(move || {
        let ng = Ng::new()?;
        offers.into_iter().enumerate().map(|(n, offer)| ng.call(n, load, offer)).collect()
    })?
}

struct Ng(UdpSocket);

impl Ng {
    /// Waits until it answers.
    fn new() -> io::Result<Ng> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(NG)?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        let (ng, begun) = (Ng(socket), Instant::now());
        while !ng.ask(0, &[("command", "ping".into())], &[]).is_ok_and(|answer| answer.contains("pong")) {
            if begun.elapsed() > PATIENCE {
                return Err(Error::other("rtpengine does not answer"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(ng)
    }

    /// One dictionary of strings there, with lists of words, one back as text.
    fn ask(&self, cookie: usize, values: &[(&str, String)], lists: &[(&str, &[&str])]) -> io::Result<String> {
        let text = |value: &str| format!("{}:{value}", value.len());
        let mut values: Vec<(&str, String)> = values.iter().map(|(key, value)| (*key, text(value))).collect();
        for (key, words) in lists {
            values.push((key, format!("l{}e", words.iter().map(|word| text(word)).collect::<String>())));
        }
        values.sort();
        let body: String = values.iter().map(|(key, value)| text(key) + value).collect();
        let cookie = format!("c{cookie} ");
        self.0.send(format!("{cookie}d{body}e").as_bytes())?;
        let mut buffer = [0; 16_384];
        loop {
            let len = self.0.recv(&mut buffer)?;
            let answer = String::from_utf8_lossy(&buffer[..len]);
            if let Some(answer) = answer.strip_prefix(&cookie) {
                return Ok(answer.into());
            }
        }
    }

    fn call(&self, n: usize, load: Load, offer: String) -> io::Result<([u16; 2], String)> {
        let common = |command: &str, sdp: String| {
            let pairs =
                [("command", command), ("call-id", &format!("bench-{n}")), ("from-tag", "a"), ("sdp", &sdp), ("ICE", "remove")];
            pairs.map(|(key, value)| (key, value.to_string())).to_vec()
        };
        let mut asked = common("offer", offer);
        // Where the callee has the transport of the offer, it is told the caller's keys, and the caller the callee's.
        if load != Load::Untouched {
            asked.push(("transport-protocol", "RTP/AVP".into()));
        }
        let lists: &[(&str, &[&str])] = match load {
            Load::Opus => &[("flags", &["codec-mask-opus", "codec-transcode-PCMA"])],
            // The caller's RTCP goes by the same port, the callee's does not.
            Load::Dtls => &[("rtcp-mux", &["demux"])],
            Load::Plain | Load::Sdes | Load::Untouched => &[],
        };
        let offered = self.ask(2 * n + 1, &asked, lists)?;
        // The answer is for the caller, who keeps the transport of the offer and opens the handshake.
        let mut told = common("answer", load.answer());
        told.push(("to-tag", "b".into()));
        if load == Load::Dtls {
            told.push(("DTLS", "passive".into()));
        }
        let answered = self.ask(2 * n + 2, &told, &[])?;
        let port = |answer: &str| answer.split("m=audio ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
        let both = port(&answered).zip(port(&offered)).map(|(caller, callee)| [caller, callee]);
        let why = || Error::other(refusal(&offered).or(refusal(&answered)).unwrap_or("no description").to_string());
        let ports = both.ok_or_else(why)?;
        let sdp = sdp_in(&answered).ok_or_else(why)?;
        if load == Load::Opus && !sdp.to_ascii_lowercase().contains("opus/48000") {
            return Err(Error::other(format!("rtpengine does not transcode Opus: {sdp}")));
        }
        if load == Load::Untouched && keys_in(sdp) != keys_in(&load.answer()) {
            return Err(Error::other(format!("rtpengine has keys of its own: {sdp}")));
        }
        Ok((ports, sdp.to_string()))
    }
}

/// The description in an answer.
fn sdp_in(answer: &str) -> Option<&str> {
    text_of(answer, "3:sdp")
}

/// The first keys in a description (RFC 4568 6.1).
fn keys_in(sdp: &str) -> Option<&str> {
    sdp.split_once("inline:")?.1.split(['|', ' ', '\r', '\n']).next()
}

/// Why it refused.
fn refusal(answer: &str) -> Option<&str> {
    text_of(answer, "12:error-reason")
}

/// The text under a key, which is written with its length.
fn text_of<'a>(answer: &'a str, key: &str) -> Option<&'a str> {
    let (len, rest) = answer.split_once(key)?.1.split_once(':')?;
    rest.get(..len.parse().ok()?)
}
