//! `ringfort calls`: the calls of the node that runs on this machine, for whoever is signed in there. The node tells its status to everybody
//! who connects to a socket in its run folder; the file's mode says who may.

use crate::configuration::Source;
use crate::timeline;
use ringfort_base::Wall;
use ringfort_call::status::{CallStatus, Status};
use ringfort_observe::Timelines;
use ringfort_web::convert::call_id;
use ringfort_web::model::TimelineView;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::sync::Semaphore;

/// Readers at once; others wait.
const READERS_MAX: usize = 4;
/// Longest question, octets.
const QUESTION_MAX: u64 = 256;
/// How long the node and its reader wait for each other.
const PATIENCE: Duration = Duration::from_secs(5);

/// What to show.
#[derive(clap::Args)]
pub struct Options {
    /// Configuration file of the node; without one the embedded default's run folder is meant
    #[arg(long, short)]
    config: Option<PathBuf>,
    /// Run folder of the node, instead of the file's
    #[arg(long, env = "RINGFORT_RUN_DIR")]
    run_dir: Option<PathBuf>,
    /// Everything that is known of each call, as JSON
    #[arg(long)]
    json: bool,
    /// What happened in this one call, step by step; also of a call that ended not long ago
    #[arg(long, value_name = "CALL")]
    timeline: Option<String>,
    /// The timeline with numbers, names and addresses masked, to be passed on
    #[arg(long, requires = "timeline")]
    anonymous: bool,
}

/// What is asked; nothing: all calls.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Question {
    timeline: Option<String>,
    anonymous: bool,
}

/// What the node tells.
#[derive(Serialize, Deserialize)]
struct Told {
    now: Wall,
    status: Status,
}

fn place(run_dir: &Path) -> PathBuf {
    run_dir.join("status.sock")
}

/// Tells the status, and what happened in calls, from now on.
///
/// # Errors
/// The socket cannot be made; the node runs all the same.
pub fn serve(run_dir: &Path, status: impl Fn() -> Arc<Status> + Send + Sync + 'static, timelines: Timelines) -> io::Result<()> {
    let path = place(run_dir);
    // That of a process that is gone: the ports of one that lives would have ended this one before.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let (places, status) = (Arc::new(Semaphore::new(READERS_MAX)), Arc::new(status));
    tokio::spawn(async move {
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let Ok((mut reader, _)) = listener.accept().await else {
                tokio::time::sleep(PATIENCE).await;
                continue;
            };
            let (status, timelines) = (status.clone(), timelines.clone());
            tokio::spawn(async move {
                let mut asked = Vec::new();
                let mut question = (&mut reader).take(QUESTION_MAX);
                // Whoever does not come to the point, or stops reading, hears no more.
                if let Ok(Ok(_)) = tokio::time::timeout(PATIENCE, question.read_to_end(&mut asked)).await {
                    let json = answer(&asked, &*status, &timelines);
                    let _ = tokio::time::timeout(PATIENCE, reader.write_all(&json)).await;
                }
                drop(place);
            });
        }
    });
    Ok(())
}

fn answer(asked: &[u8], status: &impl Fn() -> Arc<Status>, timelines: &Timelines) -> Vec<u8> {
    let question: Question = serde_json::from_slice(asked).unwrap_or_default();
    let json = match question.timeline {
        Some(call) => serde_json::to_vec(&call_id(&call).and_then(|call| {
            let line = timelines.of_call(call)?;
            Some(timeline::view(call, &line, question.anonymous))
        })),
        None => serde_json::to_vec(&Told { now: crate::clock::wall(), status: status().as_ref().clone() }),
    };
    json.unwrap_or_default()
}

/// Prints the calls of the node that runs.
///
/// # Errors
/// In words: there is no such node, or it may not be asked.
pub fn run(options: Options) -> Result<(), String> {
    let run_dir = match options.run_dir {
        Some(dir) => dir,
        None => Source::new(options.config, None, None).check().map_err(|error| error.to_string())?.node.run_dir.clone(),
    };
    let path = place(&run_dir);
    let silent = |error| format!("{}: {error}; does the node run, and is this its user or root?", path.display());
    if let Some(call) = options.timeline {
        let question = Question { timeline: Some(call.clone()), anonymous: options.anonymous };
        let line: Option<TimelineView> = ask(&path, &question).map_err(silent)?;
        let line = line.ok_or_else(|| format!("{call}: there is no such call, or it was over too long ago"))?;
        return print(options.json, &line, || timeline::text(&line));
    }
    let told: Told = ask(&path, &Question::default()).map_err(silent)?;
    print(options.json, &told.status.calls, || text(&told))
}

fn print(json: bool, what: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), String> {
    match json {
        true => println!("{}", serde_json::to_string_pretty(what).map_err(|error| error.to_string())?),
        false => print!("{}", text()),
    }
    Ok(())
}

fn ask<T: DeserializeOwned>(path: &Path, question: &Question) -> io::Result<T> {
    let mut node = UnixStream::connect(path)?;
    node.set_read_timeout(Some(PATIENCE))?;
    node.write_all(&serde_json::to_vec(question)?)?;
    node.shutdown(Shutdown::Write)?;
    let mut json = Vec::new();
    node.read_to_end(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

/// A line for each call and one for each of its two parties.
fn text(told: &Told) -> String {
    let calls = &told.status.calls;
    let mut text = format!("{}, {} mode, {} calls\n", plain(&told.status.node), told.status.mode.as_str(), calls.len());
    for call in calls {
        let age = told.now.0.saturating_sub(call.started.0) / 1_000;
        let (from, to) = (plain(call.from.reveal()), plain(call.to.reveal()));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n{}  {}  {from} to {to}  by {}  {age} s", call.call, call.state, plain(&call.target));
        for (side, party) in ["caller", "callee"].into_iter().enumerate() {
            let _ = writeln!(text, "  {party}  {}", leg(call, side));
        }
    }
    text
}

/// One party's audio: how it comes, what carries it and why, how good it is, what is wrong.
fn leg(call: &CallStatus, side: usize) -> String {
    let told = [&call.media, &call.tier, &call.tier_program, &call.tier_reason];
    let [media, tier, program, reason] = told.map(|both| both[side].as_str());
    if media.is_empty() {
        return "no audio".into();
    }
    let quality = &call.quality[side];
    let mut text = format!("{media}, {} packets, {} lost", call.packets[side], quality.lost);
    // Writing to a String cannot fail.
    let _ = match [program, reason].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(": ").as_str() {
        _ if tier.is_empty() => Ok(()),
        "" => write!(text, ", by {tier}"),
        how => write!(text, ", by {tier} ({how})"),
    };
    if let Some(mos) = quality.mos {
        let _ = write!(text, ", jitter {} ms, MOS {mos:.1}", quality.jitter_max_us / 1_000);
    }
    if let Some(missing) = &call.missing[side] {
        let _ = write!(text, ", MISSING for {} s: {} {}", missing.seconds, missing.cause, plain(missing.detail.reveal()));
    }
    text.trim_end().to_owned()
}

/// What came from a network may not speak to the terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_base::{CallId, Event, Party, Step};
    use ringfort_observe::Subscriber;

    fn told() -> Told {
        let call = serde_json::json!({
            "call": 7, "from": "101", "to": "\u{1b}[2J102", "state": "connected", "route": "r", "target": "extension:102",
            "started": 1_000, "answered": 2_000, "media": ["dtls-srtp aes-gcm-256", "rtp"], "packets": [50, 0],
            "tier": ["kernel", "kernel"], "tier_program": ["tc", "xdp"], "tier_reason": ["secure", ""],
            "missing": [null, { "cause": "no-rtp", "detail": "", "seconds": 9 }],
        });
        let status = Status { node: "n1".into(), calls: vec![serde_json::from_value(call).unwrap()], ..Status::default() };
        Told { now: Wall(11_000), status }
    }

    #[test]
    fn a_call_is_told_with_what_carries_it() {
        let text = text(&told());
        for part in [
            "n1, ",
            " 1 calls",
            "101 to ?[2J102  by extension:102  10 s",
            "by kernel (tc: secure)",
            "by kernel (xdp)",
            "MISSING for 9 s: no-rtp",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains('\u{1b}'));
    }

    async fn asked<T: DeserializeOwned + Send + 'static>(path: PathBuf, question: Question) -> T {
        tokio::task::spawn_blocking(move || ask(&path, &question)).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn the_node_is_asked_through_its_socket() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(place(dir.path()), "of a dead process").unwrap();
        let timelines = Timelines::new();
        let step = Step::Codec { codec: "PCMA".into() };
        timelines.clone().on(Wall(1_000), &Event::CallStep { call: CallId(7), leg: Party::Caller, step });
        serve(dir.path(), || Arc::new(told().status), timelines).unwrap();
        let path = place(dir.path());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for _ in 0..2 * READERS_MAX {
            let path = path.clone();
            let heard: Told = asked(path, Question::default()).await;
            assert_eq!(heard.status, told().status);
        }
        let of = |call: &str| Question { timeline: Some(call.into()), anonymous: true };
        let line: Option<TimelineView> = asked(path.clone(), of("c7")).await;
        assert!(timeline::text(&line.unwrap()).contains("caller  codec  codec PCMA"));
        for call in ["c8", "7", ""] {
            let line: Option<TimelineView> = asked(path.clone(), of(call)).await;
            assert_eq!(line, None, "{call}");
        }
    }
}
