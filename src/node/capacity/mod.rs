//! `ringfort capacity`: what this very machine can carry, found by trying. Written beside the state, where admission control takes its
//! default limit from, and as a picture.

mod calls;
mod handshakes;
mod picture;
mod transcoding;

use picture::picture;
use ringfort_base::Entropy;
use ringfort_base::limits::CALLS_MAX;
use ringfort_media::audio::Codec;
use ringfort_relay::capacity::{Kind, Step, curve};
use ringfort_store::{StateDir, write_atomic};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// In the state directory.
const FILE: &str = "capacity.json";
const PICTURE: &str = "capacity.svg";
/// Time for calls, and for handshakes.
const TRIAL: Duration = Duration::from_millis(700);

/// How to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Configuration file; without one the embedded default's folders are meant
    #[arg(long, short)]
    config: Option<PathBuf>,
    /// Folder where the result is kept, instead of the file's
    #[arg(long, env = "RINGFORT_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// 99 of 100 packets must pass within this time, milliseconds
    #[arg(long, default_value_t = 10)]
    delay_ms: u64,
    /// Time for each step, milliseconds; longer steps are less at the mercy of chance
    #[arg(long, default_value_t = 400)]
    step_ms: u64,
    /// Print the result as JSON, and what happens meanwhile to standard error
    #[arg(long)]
    json: bool,
}

/// What was found. What could not be measured is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capacity {
    /// Version that was measured.
    version: String,
    /// The processor as it names itself, and the kernel's release.
    processor: String,
    kernel: String,
    /// Processors of the machine.
    cores: usize,
    /// The delay that had to be kept, milliseconds.
    delay_ms: u64,
    /// Calls whose audio is relayed plain, by sockets.
    plain_calls: u32,
    /// Calls of which one side has SRTP with AES-CM, as phones and carriers do.
    secure_calls: u32,
    /// Calls of which one side has SRTP with AES-GCM, as browsers do.
    browser_calls: u32,
    /// Calls whose plain audio the kernel carries.
    kernel_calls: Option<u32>,
    /// Calls with a browser's SRTP on one side that pass as frames (AF_XDP).
    frames_calls: Option<u32>,
    /// DTLS handshakes that a core answers in a second; all are answered on one core.
    handshakes_a_second: Option<u32>,
    /// Calls that a core transcodes between Opus and G.711.
    opus_g711_calls_a_core: Option<u32>,
    /// Calls that a core transcodes between Opus and G.722.
    opus_g722_calls_a_core: Option<u32>,
    /// Calls that a core sets up and releases in a second, without sockets; all are on one core.
    sip_calls_a_second: Option<u32>,
    /// What admission control takes as the limit where none is configured: the least that sockets relay of any kind.
    calls_max: u32,
    /// What was not measured, and why.
    not_measured: Vec<String>,
}

/// The limits that were measured; 0: none was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Calls at once.
    pub calls: u32,
    /// Calls at once that are transcoded.
    pub transcoded: u32,
    /// New calls a second.
    pub calls_a_second: u32,
}

/// Calls a second are measured without sockets and TLS, whose work is on the same core: they and the kernel's part for them take about three
/// times as much as what is measured (`ringfort-bench call` and `process`).
const SIGNALLING_WHOLE: u32 = 4;

/// What an earlier `ringfort capacity` found on this machine. What another one could carry says nothing about this one: a folder that
/// moved, a virtual machine with other cores.
pub fn kept(state_dir: &Path) -> Kept {
    let octets = std::fs::read(state_dir.join(FILE)).unwrap_or_default();
    let capacity: Capacity = serde_json::from_slice(&octets).unwrap_or_default();
    let here = this_machine(0);
    if capacity == Capacity::default() {
        return Kept::default();
    }
    if (capacity.cores, &capacity.processor) != (here.cores, &here.processor) {
        tracing::warn!(
            measured_on = format!("{}, {} cores", capacity.processor, capacity.cores),
            here = format!("{}, {} cores", here.processor, here.cores),
            "what `ringfort capacity` found was found on another machine and sets no limit: run it again"
        );
        return Kept::default();
    }
    Kept { calls: capacity.calls_max, transcoded: capacity.transcoded_calls_max(), calls_a_second: capacity.calls_a_second_max() }
}

/// A kind of flow, and what its steps cost.
struct Curve {
    name: &'static str,
    steps: Vec<Step>,
}

/// What flows are tried.
const KINDS: [(Kind, &str); 5] = [
    (Kind::Plain, "RTP to RTP by sockets"),
    (Kind::Secure, "SRTP (AES-CM) to RTP by sockets"),
    (Kind::Browser, "SRTP (AES-GCM) to RTP by sockets"),
    (Kind::Kernel, "RTP to RTP by the kernel"),
    (Kind::Frames, "SRTP (AES-GCM) to RTP by AF_XDP"),
];

/// Measures, tells, and keeps what was found.
pub fn run(options: Options, entropy: &mut dyn Entropy) -> Result<(), String> {
    crate::start::raise_descriptor_limit();
    let begun = Instant::now();
    let tell = |line: &str| if options.json { eprintln!("{line}") } else { println!("{line}") };
    let source = crate::configuration::Source::new(options.config.clone(), options.state_dir.clone(), None);
    let state_dir = source.load(entropy).map_err(|e| e.to_string())?.snapshot.node.state_dir.clone();
    let (capacity, curves) = measure(&options, &tell)?;
    keep(&capacity, &curves, &state_dir)?;
    let took = begun.elapsed().as_secs();
    tell(&format!("{}\nmeasured in {took} s, kept in {}", words(&capacity), state_dir.join(FILE).display()));
    if options.json {
        println!("{}", serde_json::to_string_pretty(&capacity).map_err(|e| e.to_string())?);
    }
    Ok(())
}

fn measure(options: &Options, tell: &dyn Fn(&str)) -> Result<(Capacity, Vec<Curve>), String> {
    let (delay_max, time) = (Duration::from_millis(options.delay_ms), Duration::from_millis(options.step_ms.max(100)));
    let mut capacity = this_machine(options.delay_ms);
    let mut curves = Vec::new();
    for (kind, name) in KINDS {
        tell(&format!("{name}: flows of 50 packets a second"));
        match curve(kind, delay_max, time, CALLS_MAX, |step| tell(&line(step))) {
            Ok(steps) => {
                capacity.set(kind, &steps, delay_max);
                curves.push(Curve { name, steps });
            }
            Err(why) if kind == Kind::Kernel => capacity.not_measured.push(format!("what the kernel carries by itself: {why}")),
            Err(why) if kind == Kind::Frames => capacity.not_measured.push(format!("what AF_XDP carries: {why}")),
            Err(why) => return Err(why.to_string()),
        }
    }
    tell("handshakes, transcoding, calls: in memory, on one core");
    capacity.handshakes_a_second = handshakes::a_second_and_core(TRIAL);
    capacity.opus_g711_calls_a_core = transcoding::calls_a_core(Codec::Opus, Codec::Pcma);
    capacity.opus_g722_calls_a_core = transcoding::calls_a_core(Codec::Opus, Codec::G722);
    capacity.sip_calls_a_second = calls::a_second_and_core(TRIAL);
    Ok((capacity, curves))
}

/// Nothing is measured yet.
fn this_machine(delay_ms: u64) -> Capacity {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(':'));
    let unmeasured =
        ["network interfaces, their interrupts and drivers", "what sockets and TLS take of signalling", "conferences"];
    Capacity {
        version: env!("CARGO_PKG_VERSION").into(),
        processor: model.map_or("unknown processor", |(_, model)| model.trim()).into(),
        kernel: read("/proc/sys/kernel/osrelease").trim().into(),
        cores: std::thread::available_parallelism().map_or(1, |cores| cores.get()),
        delay_ms,
        not_measured: unmeasured.map(String::from).to_vec(),
        ..Capacity::default()
    }
}

impl Capacity {
    /// Calls between Opus and G.711 by three quarters of all cores: the last one is for signalling and for audio that only passes.
    fn transcoded_calls_max(&self) -> u32 {
        let all = u64::from(self.opus_g711_calls_a_core.unwrap_or(0)) * self.cores as u64;
        u32::try_from(all * 3 / 4).unwrap_or(u32::MAX)
    }

    /// New calls a second with all that belongs to them.
    fn calls_a_second_max(&self) -> u32 {
        self.sip_calls_a_second.unwrap_or(0) / SIGNALLING_WHOLE
    }

    /// A call has a flow in each direction.
    fn set(&mut self, kind: Kind, steps: &[Step], delay_max: Duration) {
        let calls = carried(steps, delay_max) as u32 / 2;
        match kind {
            Kind::Plain => self.plain_calls = calls,
            Kind::Secure => self.secure_calls = calls,
            Kind::Browser => self.browser_calls = calls,
            Kind::Kernel => self.kernel_calls = Some(calls),
            Kind::Frames => self.frames_calls = Some(calls),
        }
        self.calls_max = self.plain_calls.min(self.secure_calls).min(self.browser_calls);
    }
}

fn line(step: &Step) -> String {
    let (cores, lost) = (step.cores, 100.0 * step.lost);
    let hindered = if step.was_sent { "" } else { "; the sender found no time" };
    format!("  {:>6} flows: {cores:.2} cores, p99 {} µs, {lost:.2} % lost{hindered}", step.flows, step.delay_p99_us)
}

fn words(capacity: &Capacity) -> String {
    let Capacity { processor, kernel, cores, delay_ms, plain_calls, secure_calls, browser_calls, calls_max, .. } = capacity;
    let told = |value: Option<u32>| value.map_or("not measured".to_string(), |value| value.to_string());
    format!(
        "{processor}, {cores} cores, Linux {kernel}; 99 of 100 packets within {delay_ms} ms\n\
         calls relayed by sockets: {plain_calls} plain, {secure_calls} with SRTP (AES-CM) on one side, {browser_calls} with a browser's (AES-GCM)\n\
         calls relayed by the kernel: {}; with a browser's on one side by AF_XDP: {}\n\
         DTLS handshakes a second, on one core: {}\n\
         transcoded calls a core: {} Opus and G.711, {} Opus and G.722\n\
         SIP calls a second, set up and released by the core, without sockets: {}\n\
         default limits: {calls_max} calls at once, of which transcoded: {}; new calls a second: {} (limits.calls_max,\n\
         limits.transcoded_calls_max and limits.calls_per_second in the configuration go before them)\n\
         not measured: {}",
        told(capacity.kernel_calls),
        told(capacity.frames_calls),
        told(capacity.handshakes_a_second),
        told(capacity.opus_g711_calls_a_core),
        told(capacity.opus_g722_calls_a_core),
        told(capacity.sip_calls_a_second),
        capacity.transcoded_calls_max(),
        capacity.calls_a_second_max(),
        capacity.not_measured.join("; "),
    )
}

/// The most flows that were carried.
fn carried(steps: &[Step], delay_max: Duration) -> usize {
    steps.iter().filter(|step| step.is_carried(delay_max)).map(|step| step.flows).max().unwrap_or(0)
}

fn keep(capacity: &Capacity, curves: &[Curve], state_dir: &Path) -> Result<(), String> {
    StateDir::open(state_dir).map_err(|e| e.to_string())?;
    let json = serde_json::to_vec_pretty(capacity).map_err(|e| e.to_string())?;
    write_atomic(&state_dir.join(FILE), &json, 0o644).map_err(|e| e.to_string())?;
    write_atomic(&state_dir.join(PICTURE), picture(curves).as_bytes(), 0o644).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps() -> Vec<Step> {
        let step = |flows, delay_p99_us| Step { flows, cores: flows as f64 / 1_000.0, delay_p99_us, lost: 0.0, was_sent: true };
        vec![step(100, 200), step(200, 300), step(300, 90_000)]
    }

    #[test]
    fn the_most_that_was_carried_becomes_the_default_limit() {
        assert_eq!(carried(&steps(), Duration::from_millis(10)), 200);
        assert_eq!(carried(&[], Duration::from_millis(10)), 0);
        let folder = std::env::temp_dir().join(format!("ringfort-capacity-{}", std::process::id()));
        assert_eq!(kept(&folder), Kept::default());
        let (rates, here) = ([Some(300), Some(8_000)], this_machine(10));
        let mut capacity = Capacity { opus_g711_calls_a_core: rates[0], sip_calls_a_second: rates[1], ..here.clone() };
        let found = [(Kind::Plain, 3), (Kind::Secure, 2), (Kind::Browser, 2), (Kind::Kernel, 1)];
        found.iter().for_each(|(kind, count)| capacity.set(*kind, &steps()[..*count], Duration::from_secs(1)));
        assert_eq!((capacity.plain_calls, capacity.kernel_calls, capacity.calls_max), (150, Some(50), 100));
        keep(&capacity, &[Curve { name: "RTP to RTP", steps: steps() }], &folder).expect("the folder can be made");
        let transcoded = 300 * here.cores as u32 * 3 / 4;
        assert_eq!(kept(&folder), Kept { calls: 100, transcoded, calls_a_second: 2_000 });
        let rewrite = |change: fn(&mut serde_json::Map<String, serde_json::Value>)| {
            let mut json = serde_json::to_value(&capacity).expect("it is JSON");
            json.as_object_mut().map(change).expect("it is an object");
            std::fs::write(folder.join(FILE), json.to_string()).expect("it can be written");
        };
        rewrite(|json| json.retain(|key, _| ["version", "processor", "cores", "calls_max"].contains(&key.as_str())));
        assert_eq!(kept(&folder), Kept { calls: 100, ..Kept::default() }, "a file of an older version has less in it");
        rewrite(|json| drop(json.insert("cores".into(), 4_096.into())));
        assert_eq!(kept(&folder), Kept::default(), "found with other cores");
        rewrite(|json| drop(json.insert("processor".into(), "another".into())));
        assert_eq!(kept(&folder), Kept::default(), "found on another processor");
        std::fs::write(folder.join(FILE), "{").expect("it can be written");
        assert_eq!(kept(&folder), Kept::default(), "a damaged file sets no limit");
        std::fs::remove_dir_all(&folder).expect("it is there");
    }

    #[test]
    fn the_picture_has_a_line_for_each_kind() {
        let svg = picture(&["a", "b"].map(|name| Curve { name, steps: steps() }));
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN"));
        assert!(!picture(&[]).contains("NaN"));
    }

    #[test]
    fn what_is_missing_is_said() {
        let mut capacity = this_machine(10);
        capacity.not_measured.push("what the kernel carries by itself: not permitted".into());
        let text = words(&capacity);
        assert!(text.contains("calls relayed by the kernel: not measured") && text.contains("itself: not permitted"), "{text}");
    }
}
