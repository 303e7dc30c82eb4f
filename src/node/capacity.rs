//! `ringfort capacity`: what this very machine can carry, found by trying. Written beside the state, where admission control takes its
//! default limit from, and as a picture.

use ringfort_base::Entropy;
use ringfort_base::limits::CALLS_MAX;
use ringfort_relay::capacity::{Kind, Step, curve};
use ringfort_store::{StateDir, write_atomic};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// In the state directory.
const FILE: &str = "capacity.json";
const PICTURE: &str = "capacity.svg";

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
    /// Time for each step, seconds
    #[arg(long, default_value_t = 2)]
    seconds: u64,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// Version that was measured.
    version: String,
    /// Processors of the machine.
    cores: usize,
    /// The delay that had to be kept, milliseconds.
    delay_ms: u64,
    /// Calls whose audio is relayed plain.
    plain_calls: u32,
    /// Calls of which one side has SRTP.
    secure_calls: u32,
    /// What admission control takes as the limit where none is configured: the least of these.
    calls_max: u32,
}

/// The limit that was measured, where there is one.
pub fn kept(state_dir: &Path) -> Option<u32> {
    let octets = std::fs::read(state_dir.join(FILE)).ok()?;
    let capacity: Capacity = serde_json::from_slice(&octets).ok()?;
    (capacity.calls_max > 0).then_some(capacity.calls_max)
}

/// Measures, tells, and keeps what was found.
pub fn run(options: Options, entropy: &mut dyn Entropy) -> Result<(), String> {
    crate::start::raise_descriptor_limit();
    let (delay_max, time) = (Duration::from_millis(options.delay_ms), Duration::from_secs(options.seconds.max(1)));
    let begun = Instant::now();
    let mut curves = Vec::new();
    // A flow has two ports here; a call has two flows and as many ports.
    for (kind, name) in [(Kind::Plain, "RTP to RTP"), (Kind::Secure, "SRTP to RTP")] {
        println!("{name}: flows of 50 packets a second, through sockets on loopback");
        let steps = curve(kind, delay_max, time, CALLS_MAX, tell).map_err(|e| e.to_string())?;
        curves.push((name, steps));
    }
    // A call has a flow in each direction.
    let calls = |n: usize| curves.get(n).map_or(0, |(_, steps)| carried(steps, delay_max) as u32 / 2);
    let capacity = Capacity {
        version: env!("CARGO_PKG_VERSION").into(),
        cores: std::thread::available_parallelism().map_or(1, |cores| cores.get()),
        delay_ms: options.delay_ms,
        plain_calls: calls(0),
        secure_calls: calls(1),
        calls_max: calls(0).min(calls(1)),
    };
    let state_dir = crate::configuration::Source::new(options.config, options.state_dir, None).load(entropy);
    let state_dir = state_dir.map_err(|e| e.to_string())?.snapshot.node.state_dir.clone();
    keep(&capacity, &curves, &state_dir)?;
    println!("{}\nmeasured in {} s, kept in {}", words(&capacity), begun.elapsed().as_secs(), state_dir.join(FILE).display());
    Ok(())
}

fn tell(step: &Step) {
    let (cores, lost) = (step.cores, 100.0 * step.lost);
    let hindered = if step.was_sent { "" } else { "; the sender found no time" };
    println!("  {:>6} flows: {cores:.2} cores, p99 {} µs, {lost:.2} % lost{hindered}", step.flows, step.delay_p99_us);
}

fn words(capacity: &Capacity) -> String {
    let Capacity { cores, delay_ms, plain_calls, secure_calls, calls_max, .. } = capacity;
    format!(
        "with {cores} cores and {delay_ms} ms: {plain_calls} calls plain, {secure_calls} calls with SRTP on one side\n\
         default limit of calls at once: {calls_max} (limits.calls_max in the configuration goes before it)\n\
         not measured: what the kernel carries by itself, handshakes, transcoding, calls a second, network interfaces"
    )
}

/// The most flows that were carried.
fn carried(steps: &[Step], delay_max: Duration) -> usize {
    steps.iter().filter(|step| step.is_carried(delay_max)).map(|step| step.flows).max().unwrap_or(0)
}

fn keep(capacity: &Capacity, curves: &[(&str, Vec<Step>)], state_dir: &Path) -> Result<(), String> {
    StateDir::open(state_dir).map_err(|e| e.to_string())?;
    let json = serde_json::to_vec_pretty(capacity).map_err(|e| e.to_string())?;
    write_atomic(&state_dir.join(FILE), &json, 0o644).map_err(|e| e.to_string())?;
    write_atomic(&state_dir.join(PICTURE), picture(curves).as_bytes(), 0o644).map_err(|e| e.to_string())
}

/// Processors over flows, as SVG: a line for each kind, the last point of each being the one that was not carried.
fn picture(curves: &[(&str, Vec<Step>)]) -> String {
    const WIDTH: f64 = 640.0;
    const HEIGHT: f64 = 360.0;
    const EDGE: f64 = 50.0;
    let all = || curves.iter().flat_map(|(_, steps)| steps);
    let flows_max = all().map(|step| step.flows).max().unwrap_or(1) as f64;
    let cores_max = all().map(|step| step.cores).fold(0.1, f64::max);
    let place = |flows: f64, cores: f64| {
        (EDGE + flows / flows_max * (WIDTH - 2.0 * EDGE), HEIGHT - EDGE - cores / cores_max * (HEIGHT - 2.0 * EDGE))
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let ((left, low), (right, high)) = (place(0.0, 0.0), place(flows_max, cores_max));
    // Writing to a String does not fail.
    let _ = writeln!(svg, "<path d=\"M{left} {high}V{low}H{right}\" fill=\"none\" stroke=\"black\"/>");
    let _ = writeln!(
        svg,
        "<text x=\"{right}\" y=\"{}\" text-anchor=\"end\">{flows_max} flows, 50 packets a second each</text>",
        low + 20.0
    );
    let _ = writeln!(svg, "<text x=\"{left}\" y=\"{}\">{cores_max:.2} cores</text>", high - 8.0);
    for (n, ((name, steps), colour)) in curves.iter().zip(["#1f5fbf", "#bf3f1f"]).enumerate() {
        let points: Vec<String> =
            steps.iter().map(|step| place(step.flows as f64, step.cores)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>", points.join(" "));
        let _ =
            writeln!(svg, "<text x=\"{}\" y=\"{}\" fill=\"{colour}\">{name}</text>", left + 20.0, high + 20.0 + 16.0 * n as f64);
    }
    svg + "</svg>\n"
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
        assert_eq!(kept(&folder), None);
        let version = "0".to_string();
        let capacity = Capacity { version, cores: 2, delay_ms: 10, plain_calls: 200, secure_calls: 100, calls_max: 100 };
        keep(&capacity, &[("RTP to RTP", steps())], &folder).expect("the folder can be made");
        assert_eq!(kept(&folder), Some(100));
        std::fs::write(folder.join(FILE), "{").expect("it can be written");
        assert_eq!(kept(&folder), None, "a damaged file sets no limit");
        std::fs::remove_dir_all(&folder).expect("it is there");
    }

    #[test]
    fn the_picture_has_a_line_for_each_kind() {
        let svg = picture(&[("a", steps()), ("b", steps())]);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN"));
        assert!(!picture(&[]).contains("NaN"));
    }
}
