//! rtpengine as Debian ships it, in user space, told by its NG protocol (bencoded dictionaries over UDP) to relay calls.

use crate::load::Guard;
use crate::media::keys;
use crate::namespaces::{Host, NODE, PEER};
use ringfort_media::plan::SrtpProfile;
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
            .args(["--port-min=20000", "--port-max=39999", "--timeout=600", "--silent-timeout=600", "--delete-delay=0"])
            .arg(format!("--interface={NODE}"))
            .arg(format!("--listen-ng={NG}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    })?;
    started.map(Guard)
}

/// Sets `calls` calls up from the peer's first port to its second, and returns where each caller sends.
pub fn set_up(host: &Host, calls: usize, secure: bool, ports: [u16; 2]) -> io::Result<Vec<u16>> {
    host.run(move || {
        let ng = Ng::new()?;
        (0..calls).map(|n| ng.call(n, secure, ports)).collect()
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
        while !ng.ask(0, &[("command", "ping".into())]).is_ok_and(|answer| answer.contains("pong")) {
            if begun.elapsed() > PATIENCE {
                return Err(Error::other("rtpengine does not answer"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(ng)
    }

    /// One dictionary of strings there, one back as text.
    fn ask(&self, cookie: usize, values: &[(&str, String)]) -> io::Result<String> {
        let mut values = values.to_vec();
        values.sort();
        let text = |value: &str| format!("{}:{value}", value.len());
        let body: String = values.iter().map(|(key, value)| text(key) + &text(value)).collect();
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

    fn call(&self, n: usize, secure: bool, [from, to]: [u16; 2]) -> io::Result<u16> {
        let crypto = if secure { format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{}\r\n", key_text()) } else { String::new() };
        let profile = if secure { "RTP/SAVP" } else { "RTP/AVP" };
        let common = |command: &str, sdp: String| {
            let pairs =
                [("command", command.to_string()), ("call-id", format!("bench-{n}")), ("from-tag", "a".into()), ("sdp", sdp)];
            let fixed = [("ICE", "remove".to_string()), ("transport-protocol", "RTP/AVP".into())];
            [&pairs[..], &fixed[..]].concat()
        };
        self.ask(2 * n + 1, &common("offer", description(profile, from, &crypto)))?;
        let answer = [common("answer", description("RTP/AVP", to, "")), vec![("to-tag", "b".to_string())]].concat();
        // The answer is for the caller, who keeps the transport of the offer.
        let answer: Vec<_> = answer.into_iter().filter(|(key, _)| *key != "transport-protocol").collect();
        let answer = self.ask(2 * n + 2, &answer)?;
        let port = answer.split("m=audio ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
        port.ok_or_else(|| Error::other(format!("rtpengine: {answer}")))
    }
}

fn description(profile: &str, port: u16, more: &str) -> String {
    format!(
        "v=0\r\no=bench 1 1 IN IP4 {PEER}\r\ns=-\r\nc=IN IP4 {PEER}\r\nt=0 0\r\nm=audio {port} {profile} 0\r\n\
         a=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=sendrecv\r\n{more}"
    )
}

/// Key and salt of the caller in base64 (RFC 4568 6.1).
fn key_text() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let keys = keys(SrtpProfile::Aes128CmSha1_80);
    let octets = [&keys.key[..], &keys.salt[..]].concat();
    let sextets = |three: &[u8]| {
        let word = three.iter().fold(0u32, |word, octet| word << 8 | u32::from(*octet));
        [18, 12, 6, 0].map(|shift| char::from(ALPHABET[(word >> shift & 63) as usize]))
    };
    // 30 octets: no remainder.
    octets.chunks(3).flat_map(sextets).collect()
}
