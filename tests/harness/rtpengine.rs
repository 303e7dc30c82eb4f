//! rtpengine as the media half of a PBX: between a plain phone and the node it has SRTP of a suite that no phone in Debian has. Told by its
//! NG protocol, bencoded dictionaries over UDP.

use super::process::Process;
use super::programs::require;
use super::wait::{await_until, seconds};
use super::{Context, Failure, Outcome, Scene};
use std::cell::Cell;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::time::Duration;

/// Every suite that it has (RFC 4568, RFC 6188, RFC 7714).
const SUITES: [&str; 12] = [
    "AEAD_AES_256_GCM",
    "AEAD_AES_128_GCM",
    "AES_256_CM_HMAC_SHA1_80",
    "AES_256_CM_HMAC_SHA1_32",
    "AES_192_CM_HMAC_SHA1_80",
    "AES_192_CM_HMAC_SHA1_32",
    "AES_CM_128_HMAC_SHA1_80",
    "AES_CM_128_HMAC_SHA1_32",
    "F8_128_HMAC_SHA1_80",
    "F8_128_HMAC_SHA1_32",
    "NULL_HMAC_SHA1_80",
    "NULL_HMAC_SHA1_32",
];

/// A running rtpengine.
#[derive(Debug)]
pub struct Rtpengine {
    process: Process,
    control: UdpSocket,
    /// Numbers questions: one that it had before it answers as it did then.
    asked: Cell<u32>,
}

impl Rtpengine {
    /// Starts it on the loopback interface, without the kernel's help, and waits until it answers.
    pub fn start(scene: &Scene) -> Outcome<Rtpengine> {
        let (port, media) = (scene.port()?, scene.ports().borrow_mut().take_block()?);
        let mut command = Command::new(require("rtpengine")?);
        command
            .args(["--config-file=none", "--table=-1", "--foreground", "--log-stderr", "--log-level=6", "--num-threads=1"])
            .arg(format!("--port-min={}", media.first))
            .arg(format!("--port-max={}", media.last))
            .args(["--interface=127.0.0.1".to_owned(), format!("--listen-ng=127.0.0.1:{port}")]);
        let process = Process::start("rtpengine", command, &scene.file("rtpengine.log"))?;
        let control = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).during("a socket for rtpengine")?;
        control.connect((Ipv4Addr::LOCALHOST, port)).during("a socket for rtpengine")?;
        control.set_read_timeout(Some(Duration::from_millis(200))).during("setting a time limit")?;
        let mut engine = Rtpengine { process, control, asked: Cell::new(0) };
        await_until("rtpengine to answer", seconds(20), || {
            engine.process.must_run()?;
            let answer = engine.ask("ping", &[], &[]).ok();
            Ok(answer.filter(|answer| answer.contains("pong")).map(drop))
        })?;
        engine.control.set_read_timeout(Some(seconds(10))).during("setting a time limit")?;
        Ok(engine)
    }

    /// A plain phone's offer as it goes on: secured by this suite alone.
    pub fn secure(&self, call: &str, offer: &str, suite: &str) -> Outcome<String> {
        let others: Vec<String> = SUITES.iter().filter(|name| **name != suite).map(|name| format!("no-{name}")).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        let values = [
            ("call-id", call),
            ("from-tag", "a"),
            ("sdp", offer),
            ("ICE", "remove"),
            ("DTLS", "off"),
            ("transport-protocol", "RTP/SAVP"),
        ];
        description(&self.ask("offer", &values, &[("SDES", &others)])?)
    }

    /// The answer to that, as the plain phone gets it.
    pub fn answer(&self, call: &str, answer: &str) -> Outcome<String> {
        description(&self.ask("answer", &[("call-id", call), ("from-tag", "a"), ("to-tag", "b"), ("sdp", answer)], &[])?)
    }

    /// One dictionary there, with words and lists of words, one back as text. Nothing else is under way.
    fn ask(&self, command: &str, values: &[(&str, &str)], lists: &[(&str, &[&str])]) -> Outcome<String> {
        let text = |value: &str| format!("{}:{value}", value.len());
        let mut pairs: Vec<(&str, String)> = values.iter().map(|(key, value)| (*key, text(value))).collect();
        pairs.push(("command", text(command)));
        pairs.extend(lists.iter().map(|(key, words)| (*key, format!("l{}e", words.iter().map(|w| text(w)).collect::<String>()))));
        pairs.sort();
        let body: String = pairs.iter().map(|(key, value)| text(key) + value).collect();
        self.asked.set(self.asked.get() + 1);
        let cookie = format!("{} ", self.asked.get());
        self.control.send(format!("{cookie}d{body}e").as_bytes()).during("asking rtpengine")?;
        let mut buffer = [0; 16_384];
        loop {
            let len = self.control.recv(&mut buffer).during(format_args!("rtpengine's answer to {command}"))?;
            if let Some(answer) = String::from_utf8_lossy(&buffer[..len]).strip_prefix(&cookie) {
                return Ok(answer.into());
            }
        }
    }
}

/// The description in a dictionary.
fn description(answer: &str) -> Outcome<String> {
    let found = answer.split_once("3:sdp").and_then(|(_, rest)| rest.split_once(':'));
    let found = found.and_then(|(len, rest)| rest.get(..len.parse().ok()?));
    found.map(str::to_owned).ok_or_else(|| Failure::new(format!("rtpengine: {answer}")))
}
