//! Calls that a relay is given: what the caller offers, what the callee answers, and the relay of our own that carries them.

use super::floor::Floor;
use crate::media::{self, CASES};
use crate::namespaces::{DEVICE, NODE, PEER};
use ringfort_base::entropy::Seeded;
use ringfort_base::{CallId, PortId, Time};
use ringfort_media::plan::{
    AudioPlan, Destination, DiscardReason, FlowPlan, RelayCommand, RelayEvent, Source, Speech, SrtpKeys, SrtpProfile,
};
use ringfort_media::repertoire::Repertoire;
use ringfort_media::{
    Description, DtlsIdentity, Keying, LegKind, LegOutput, LegSession, MediaAddress, Policy, Security, Srtp, bridge,
};
use ringfort_relay::{Relay, RelayConfig};
use std::io::{self, BufRead, BufReader, Error, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Ports of the peer: callers send from the first, callees are the second.
pub const PORTS: [u16; 2] = [40_002, 40_004];
/// How often handshakes' timers are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What the caller has; the callee has plain G.711, but for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Load {
    /// The same.
    Plain,
    /// SRTP with keys in the description.
    Sdes,
    /// The same on both sides, each of which is told the other's keys: nothing but addresses changes.
    Untouched,
    /// SRTP with keys by DTLS.
    Dtls,
    /// Opus, plain.
    Opus,
}

impl Load {
    /// In tables.
    pub fn name(self) -> &'static str {
        match self {
            Load::Plain => "RTP to RTP",
            Load::Sdes => "SRTP AES-CM to RTP",
            Load::Untouched => "SRTP AES-CM untouched",
            Load::Dtls => "DTLS-SRTP to RTP",
            Load::Opus => "Opus to PCMA",
        }
    }

    /// On the command line.
    pub fn word(self) -> &'static str {
        match self {
            Load::Plain => "plain",
            Load::Sdes => "sdes",
            Load::Untouched => "untouched",
            Load::Dtls => "dtls",
            Load::Opus => "opus",
        }
    }

    /// The caller's offer, for keys by DTLS made by `session`.
    pub fn offer(self, session: Option<&mut LegSession>) -> io::Result<String> {
        match (self, session) {
            (Load::Plain, _) => Ok(description("RTP/AVP", PORTS[0], "0", "a=rtpmap:0 PCMU/8000\r\n")),
            (Load::Sdes | Load::Untouched, _) => Ok(secured(PORTS[0], media::keys(SrtpProfile::Aes128CmSha1_80))),
            (Load::Opus, _) => {
                let opus = "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\n";
                Ok(description("RTP/AVP", PORTS[0], "111", opus))
            }
            (Load::Dtls, Some(session)) => {
                let offer = session.make_offer(Time::ZERO, &Description::g711()).map_err(Error::other)?;
                String::from_utf8(offer).map_err(Error::other)
            }
            (Load::Dtls, None) => Err(Error::other("nobody makes the offer")),
        }
    }

    /// The callee's answer.
    pub fn answer(self) -> String {
        match self {
            Load::Opus => description("RTP/AVP", PORTS[1], "8", "a=rtpmap:8 PCMA/8000\r\n"),
            Load::Untouched => secured(PORTS[1], callee_keys()),
            _ => description("RTP/AVP", PORTS[1], "0", "a=rtpmap:0 PCMU/8000\r\n"),
        }
    }
}

/// Keys of a callee that has some.
fn callee_keys() -> SrtpKeys {
    let mut keys = media::keys(SrtpProfile::Aes128CmSha1_80);
    keys.key.reverse();
    keys
}

/// A description with these keys.
fn secured(port: u16, keys: SrtpKeys) -> String {
    let crypto = format!("a=rtpmap:0 PCMU/8000\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{}\r\n", key_text(&keys));
    description("RTP/SAVP", port, "0", &crypto)
}

fn description(profile: &str, port: u16, payload: &str, more: &str) -> String {
    format!(
        "v=0\r\no=bench 1 1 IN IP4 {PEER}\r\ns=-\r\nc=IN IP4 {PEER}\r\nt=0 0\r\nm=audio {port} {profile} {payload}\r\n\
         a=ptime:20\r\na=sendrecv\r\n{more}"
    )
}

/// Key and salt in base64 (RFC 4568 6.1).
fn key_text(keys: &SrtpKeys) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let octets = [&keys.key[..], &keys.salt[..]].concat();
    let sextets = |three: &[u8]| {
        let word = three.iter().fold(0u32, |word, octet| word << 8 | u32::from(*octet));
        [18, 12, 6, 0].map(|shift| char::from(ALPHABET[(word >> shift & 63) as usize]))
    };
    // 30 octets: no remainder.
    octets.chunks(3).flat_map(sextets).collect()
}

/// A leg of a peer at `port`, or of the relay.
fn leg(number: u64, at: SocketAddr) -> LegSession {
    let address = MediaAddress { rtp: at, rtcp: None, advertised: at.ip() };
    LegSession::new(LegKind::Rtp, PortId(number), address, &mut Seeded::new(number + 1))
}

/// A caller whose keys are agreed by DTLS.
pub fn dtls_caller(number: usize, identity: &Arc<DtlsIdentity>) -> io::Result<LegSession> {
    let at = format!("{PEER}:{}", PORTS[0]).parse().map_err(Error::other)?;
    let required = Security { srtp: Srtp::Required, keying: Keying::Dtls, ..Security::default() };
    Ok(leg(1 << 32 | number as u64, at).with_security(required).with_identity(identity.clone()))
}

/// Options of the process that is measured.
#[derive(clap::Args)]
pub struct ServeOptions {
    calls: usize,
    tier: ServedBy,
    load: Load,
}

/// What the relay may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ServedBy {
    Sockets,
    Kernel,
    AfXdp,
    /// The kernel, where the driver hands it frames.
    Xdp,
    /// No relay: sockets alone.
    Floor,
}

impl ServedBy {
    /// As the command line has it.
    pub fn word(self) -> &'static str {
        match self {
            ServedBy::Sockets => "sockets",
            ServedBy::Kernel => "kernel",
            ServedBy::AfXdp => "af-xdp",
            ServedBy::Xdp => "xdp",
            ServedBy::Floor => "floor",
        }
    }
}

/// What a leg's own thread hears.
enum News {
    Relay(RelayEvent),
    Ended,
}

/// Runs the relay for the measuring process: reads offers where each call has its own, tells the ports and answers, then serves until its
/// input ends.
pub fn serve(options: &ServeOptions) -> io::Result<()> {
    let (kernel, frames) = match options.tier {
        ServedBy::Sockets => (false, false),
        ServedBy::Kernel => (true, false),
        ServedBy::AfXdp => (false, true),
        ServedBy::Xdp => (true, true),
        ServedBy::Floor => return serve_floor(options.calls),
    };
    let af_xdp = if frames { vec![DEVICE.to_string()] } else { Vec::new() };
    let config = RelayConfig { kernel, af_xdp, ..RelayConfig::default() };
    let (news, hears): (Sender<News>, Receiver<News>) = channel();
    let told = news.clone();
    let relay = Relay::start(config, Arc::new(move |event| told.send(News::Relay(event)).is_ok()))?;
    if let Some(why) = relay.without_kernel().filter(|why| !why.is_chosen()) {
        return Err(Error::other(why.to_string()));
    }
    if let Some((_, why)) = relay.without_af_xdp().first() {
        return Err(Error::other(why.to_string()));
    }
    let mut input = BufReader::new(std::io::stdin()).lines();
    let mut out = std::io::stdout().lock();
    let mut calls = Vec::with_capacity(options.calls);
    for n in 0..options.calls {
        let offer = match options.load {
            Load::Dtls => {
                let line = input.next().ok_or_else(|| Error::other("no offer"))??;
                serde_json::from_str(&line)?
            }
            load => load.offer(None)?,
        };
        let (call, answer) = Call::new(&relay, n as u64, options.load, &offer)?;
        writeln!(out, "{}", serde_json::to_string(&(call.ports(&relay)?, answer))?)?;
        calls.push(call);
    }
    out.flush()?;
    std::thread::spawn(move || {
        input.for_each(drop);
        let _ = news.send(News::Ended);
    });
    attend(&relay, &mut calls, &hears);
    Ok(())
}

/// The same without a relay.
fn serve_floor(calls: usize) -> io::Result<()> {
    let floor = Floor::new(calls)?;
    for call in 0..calls {
        println!("{}", serde_json::to_string(&(floor.ports(call)?, ""))?);
    }
    std::thread::spawn(move || floor.run());
    std::io::stdin().lines().for_each(drop);
    Ok(())
}

/// Answers handshakes.
fn attend(relay: &Relay, calls: &mut [Call], news: &Receiver<News>) {
    let (began, mut looked) = (Instant::now(), Duration::ZERO);
    loop {
        match news.recv_timeout(LOOK) {
            Ok(News::Ended) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(News::Relay(RelayEvent::Control { port, from, datagram })) => {
                if let Some(call) = calls.get_mut((port.0 / 2) as usize) {
                    call.caller.handle_datagram(now(began), from, &datagram);
                    call.pump(relay);
                }
            }
            Ok(News::Relay(_)) | Err(RecvTimeoutError::Timeout) => {}
        }
        if began.elapsed() - looked > LOOK {
            looked = began.elapsed();
            let now = now(began);
            for call in calls.iter_mut().filter(|call| call.caller.next_timeout() <= now) {
                call.caller.handle_timeout(now);
                call.pump(relay);
            }
        }
    }
}

/// Time since then. The first second is that of setting up.
pub fn now(began: Instant) -> Time {
    Time::from_millis(1_000) + began.elapsed()
}

/// A call through our own relay.
struct Call {
    caller: LegSession,
    callee: LegSession,
}

impl Call {
    /// With the caller's offer; returns the answer for it, too.
    fn new(relay: &Relay, n: u64, load: Load, offer: &str) -> io::Result<(Call, String)> {
        let any: SocketAddr = format!("{NODE}:0").parse().map_err(Error::other)?;
        let open = |port| {
            relay.command(RelayCommand::Open { port, call: CallId(n), rtp: any, rtcp: None, shared: false });
            let local = relay.local(port).ok_or_else(|| Error::other("no socket; is the limit of open files too low?"))?;
            let untouched = Security { srtp: Srtp::Required, pass: true, ..Security::default() };
            let security = if load == Load::Untouched { untouched } else { Security::default() };
            Ok::<_, Error>(leg(port.0, local.rtp).with_policy(Policy {
                repertoire: Repertoire::Common,
                security,
                ..Policy::default()
            }))
        };
        let mut call = Call { caller: open(PortId(2 * n))?, callee: open(PortId(2 * n + 1))? };
        let answer = call.agree(load, offer).map_err(Error::other)?;
        call.plan(relay);
        Ok((call, String::from_utf8_lossy(&answer).into_owned()))
    }

    fn agree(&mut self, load: Load, offer: &str) -> Result<Vec<u8>, ringfort_media::MediaError> {
        let offered = self.caller.receive_offer(Time::ZERO, offer.as_bytes())?;
        self.callee.borrow(self.caller.lends());
        self.callee.make_offer(Time::ZERO, &offered)?;
        let answered = self.callee.receive_answer(Time::ZERO, load.answer().as_bytes())?;
        self.caller.borrow(self.callee.lends());
        self.caller.make_answer(Time::ZERO, &answered)
    }

    fn ports(&self, relay: &Relay) -> io::Result<[u16; 2]> {
        let port = |leg: &LegSession| relay.local(leg.port()).map(|local| local.rtp.port());
        let both = port(&self.caller).zip(port(&self.callee)).map(|(a, b)| [a, b]);
        both.ok_or_else(|| Error::other("a port is gone"))
    }

    fn pump(&mut self, relay: &Relay) {
        while let Some(output) = self.caller.poll_output() {
            match output {
                LegOutput::Send { to, datagram } => relay.command(RelayCommand::Send { port: self.caller.port(), to, datagram }),
                LegOutput::PlanChanged => self.plan(relay),
                LegOutput::Ready { .. } | LegOutput::Step(_) | LegOutput::Failed { .. } => {}
            }
        }
    }

    fn plan(&self, relay: &Relay) {
        for (near, far) in [(&self.caller, &self.callee), (&self.callee, &self.caller)] {
            relay.command(RelayCommand::Plan { port: near.port(), plan: across(near, far) });
        }
    }
}

/// As the node compiles it (`call/b2bua/media.rs`).
fn across(near: &LegSession, far: &LegSession) -> Box<FlowPlan> {
    let (there, back) = (bridge::crossing(near, far, false), bridge::crossing(far, near, false));
    let speak = back.speaking.map(|how| {
        let how = ringfort_media::audio::Speaking { ssrc: near.port().0 as u32 + 1, ..how };
        Speech { how, what: Source::Port(far.port()), digits: back.digits, pauses: back.passes }
    });
    let destination = if there.passes { Destination::Port(far.port()) } else { Destination::Discard(DiscardReason::Unheard) };
    let mut plan = Box::new(near.plan(destination));
    let silent = there.hearing.payloads.is_empty() && speak.is_none();
    plan.audio = (!silent).then(|| Box::new(AudioPlan { hear: there.hearing, speak }));
    plan
}

/// The caller's SRTP profile where its keys are fixed, and for the sender alone.
pub fn profile(load: Load) -> Option<SrtpProfile> {
    match load {
        Load::Sdes | Load::Untouched => CASES[1].from,
        Load::Dtls => CASES[2].from,
        Load::Plain | Load::Opus => None,
    }
}
