//! baresip as a desk phone: SIP over TLS and SRTP with keys in the description, which SIPp has not. It refuses the loopback interface, so
//! each namespace gets a virtual one.

use super::certificate::{Certificate, Kind, run};
use super::interface::{self, ADDRESS, INTERFACE};
use super::network::at;
use super::ports::PortBlock;
use super::process::Process;
use super::programs::require;
use super::site::{DOMAIN, password_of};
use super::tone::{self, Heard, WINDOW};
use super::wait::await_until;
use super::{Context, Failure, Outcome, Scene};
use ringfort_relay::namespace::Host;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Octets before the first sample of a WAV file as baresip and this file write it.
const WAV_HEAD: usize = 44;
/// Length of the tone that a phone plays, seconds: longer than any test.
const TONE_S: u64 = 90;

/// How a phone is set up.
pub struct Setup<'a> {
    /// Account, with the password of [`password_of`].
    pub user: &'a str,
    /// The tone that it sends, hertz.
    pub hz: f64,
    /// Port of the node's TLS listener.
    pub node_tls: u16,
    /// `srtp-mand` (SDES, and nothing else), `srtp`, `dtls_srtp`, or empty.
    pub media: &'a str,
    /// Its certificate for DTLS is of an elliptic curve, as later versions make it, and not the RSA one of version 1.0.
    pub elliptic: bool,
    /// RTCP goes by the port of RTP where the other side agrees; otherwise it asks for a port of its own.
    pub rtcp_mux: bool,
    /// The only codec that it has: name, sampling rate and channels.
    pub codec: (&'a str, u32, u16),
    /// Number that it dials at once; empty: none.
    pub dials: &'a str,
}

/// Where a phone is: the interface that it speaks by, its address, and that of the node.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Interface.
    pub interface: &'static str,
    /// The phone's address.
    pub address: &'static str,
    /// The node's.
    pub node: &'static str,
}

/// Beside the node.
const HERE: Place = Place { interface: INTERFACE, address: ADDRESS, node: "127.0.0.1" };

/// A running phone.
#[derive(Debug)]
pub struct Baresip {
    process: Process,
    /// Where it writes what it hears.
    heard: PathBuf,
}

impl Baresip {
    /// Starts it. It registers, answers every call, and dials where it is told to.
    pub fn start(scene: &Scene, setup: &Setup<'_>) -> Outcome<Baresip> {
        interface::raise()?;
        Baresip::start_at(scene, setup, HERE)
    }

    /// Starts it on a host of its own.
    pub fn start_on(host: &Host, scene: &Scene, setup: &Setup<'_>, place: Place) -> Outcome<Baresip> {
        at(host, || Baresip::start_at(scene, setup, place))
    }

    fn start_at(scene: &Scene, setup: &Setup<'_>, place: Place) -> Outcome<Baresip> {
        let name = format!("baresip-{}", setup.user);
        let folder = scene.file(&name);
        let heard = folder.join("heard");
        std::fs::create_dir_all(&heard).during(heard.display())?;
        let tone = folder.join("tone.wav");
        std::fs::write(&tone, wav(setup.hz, setup.codec.1, setup.codec.2)).during(tone.display())?;
        let media = scene.ports().borrow_mut().take_block()?;
        let (sip, config) = (scene.port()?, folder.join("config"));
        let text = configuration(place, sip, [&tone, &heard].map(|path| path.to_string_lossy()), &media, setup.rtcp_mux);
        std::fs::write(&config, text).during(config.display())?;
        let accounts = folder.join("accounts");
        std::fs::write(&accounts, account(setup, place.node)).during(accounts.display())?;
        let mut command = Command::new(require("baresip")?);
        command.arg("-f").arg(&folder);
        if !setup.dials.is_empty() {
            command.arg("-e").arg(format!("/dial {}", setup.dials));
        }
        if setup.elliptic {
            let (certificate, shim) = elliptic(&folder)?;
            command.env("CERTIFICATE", certificate).env("LD_PRELOAD", shim);
        }
        let process = Process::start(&name, command, &scene.file(&format!("{name}.log")))?;
        Ok(Baresip { process, heard })
    }

    /// Waits for a line of its log.
    pub fn await_line(&self, text: &str, limit: Duration) -> Outcome<()> {
        self.process.log().await_line(text, limit).map(drop)
    }

    /// Waits until the end of what it played is this tone.
    pub fn await_tone(&self, hz: f64, limit: Duration) -> Outcome<()> {
        await_until(&format!("a tone of {hz} Hz in {}", self.heard.display()), limit, || Ok(self.hears().is(hz).then_some(())))
            .map_err(|failure| Failure::new(format!("{failure}; it hears {:?}", self.hears())))
    }

    fn hears(&self) -> Heard {
        // Named by the time, what was heard ends so.
        let files = std::fs::read_dir(&self.heard).into_iter().flatten().flatten().map(|entry| entry.path());
        let heard = files.filter(|path| path.to_string_lossy().ends_with("-dec.wav")).max();
        let samples =
            heard.and_then(|path| std::fs::read(path).ok()).and_then(|octets| at_telephone_rate(&octets)).unwrap_or_default();
        match samples.len().checked_sub(WINDOW) {
            Some(from) => tone::listen(&samples[from..]),
            None => Heard::Silence,
        }
    }
}

/// The samples of a WAV file at [`tone::RATE`]: of its first channel every so many, which tones bear.
fn at_telephone_rate(octets: &[u8]) -> Option<Vec<i16>> {
    let channels = usize::from(u16::from_le_bytes(octets.get(22..24)?.try_into().ok()?));
    let rate = u32::from_le_bytes(octets.get(24..28)?.try_into().ok()?);
    let step = 2 * channels * (rate / tone::RATE as u32) as usize;
    Some(octets.get(WAV_HEAD..)?.chunks_exact(step).map(|frame| i16::from_le_bytes([frame[0], frame[1]])).collect())
}

/// A certificate of an elliptic curve with its key, and what gives it to baresip instead of its own.
fn elliptic(folder: &Path) -> Outcome<(PathBuf, PathBuf)> {
    let shim = folder.join("certificate.so");
    let Certificate { pem, key, .. } = Certificate::make(folder, "certificate", Kind::Elliptic)?;
    let both = [&pem, &key].map(|file| std::fs::read_to_string(file).during(file.display()));
    let [certificate, key] = both;
    std::fs::write(&pem, certificate? + &key?).during(pem.display())?;
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/harness/baresip_certificate.c");
    run(Command::new(require("cc")?).args(["-shared", "-fPIC", "-o"]).arg(&shim).arg(source))?;
    Ok((pem, shim))
}

fn account(setup: &Setup<'_>, node: &str) -> String {
    let (user, password, port) = (setup.user, password_of(setup.user), setup.node_tls);
    let media = if setup.media.is_empty() { String::new() } else { format!(";mediaenc={}", setup.media) };
    let (codec, rate, channels) = setup.codec;
    format!(
        "<sip:{user}@{DOMAIN};transport=tls>;auth_pass={password};outbound=\"sip:{node}:{port};transport=tls\";regint=60\
         {media};answermode=auto;audio_codecs={codec}/{rate}/{channels}\n"
    )
}

fn configuration(place: Place, sip: u16, [tone, heard]: [Cow<'_, str>; 2], media: &PortBlock, rtcp_mux: bool) -> String {
    let Place { interface, address, .. } = place;
    let rtcp_mux = if rtcp_mux { "yes" } else { "no" };
    let modules = ["stdio", "g711", "g722", "opus", "aufile", "aubridge", "sndfile", "srtp", "dtls_srtp"]
        .map(|name| format!("module {name}.so\n"))
        .concat();
    let applications = ["account", "menu"].map(|name| format!("module_app {name}.so\n")).concat();
    format!(
        "sip_listen {address}:{sip}\nnet_interface {interface}\naudio_source aufile,{tone}\naudio_player aubridge,nowhere\nsnd_path {heard}\n\
         audio_alert aufile,/dev/null\nrtp_ports {}-{}\nrtcp_mux {rtcp_mux}\ndns_server 127.0.0.1:9\nmodule_path /usr/lib/baresip/modules\n\
         {modules}{applications}",
        media.first, media.last
    )
}

/// A tone as WAV, 16 bits.
pub fn wav(hz: f64, rate: u32, channels: u16) -> Vec<u8> {
    let (samples, frame) = (u64::from(rate) * TONE_S, 2 * channels);
    let data = samples as u32 * u32::from(frame);
    let mut octets = Vec::with_capacity(WAV_HEAD + data as usize);
    octets.extend(b"RIFF");
    octets.extend((data + 36).to_le_bytes());
    octets.extend(b"WAVEfmt ");
    octets.extend(16_u32.to_le_bytes());
    octets.extend([1, 0]);
    octets.extend(channels.to_le_bytes());
    octets.extend(rate.to_le_bytes());
    octets.extend((rate * u32::from(frame)).to_le_bytes());
    octets.extend(frame.to_le_bytes());
    octets.extend([16, 0]);
    octets.extend(b"data");
    octets.extend(data.to_le_bytes());
    for n in 0..samples {
        let sample = tone::sample(hz * tone::RATE / f64::from(rate), n).to_le_bytes();
        (0..channels).for_each(|_| octets.extend(sample));
    }
    octets
}
