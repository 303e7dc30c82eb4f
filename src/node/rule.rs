//! `ringfort rule try`: a profile's rules on a pasted message. Nothing runs and nothing is sent.

use crate::configuration::{Source, profile_file};
use bytes::Bytes;
use ringfort_base::limits;
use ringfort_call::config::{Direction, PeerProfile, find_profile};
use ringfort_call::rules::{Scene, trial};
use ringfort_sip::message::Message;
use std::io::Read;
use std::path::PathBuf;

/// `ringfort rule …`.
#[derive(clap::Subcommand)]
pub enum RuleCommand {
    /// Show what the rules of a profile make of the message on standard input.
    Try {
        /// The profile's name.
        #[arg(long)]
        profile: String,
        /// Which way the message goes, seen from the node.
        #[arg(long)]
        direction: Way,
        /// Configuration file, for its own profiles, its domain and the folder `peers` beside it.
        #[arg(long, short)]
        config: Option<PathBuf>,
    },
}

/// Which way a message goes.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Way {
    /// From the peer.
    Receive,
    /// To the peer.
    Send,
}

impl RuleCommand {
    /// Does it, and returns what is to be printed.
    pub fn run(self) -> Result<String, String> {
        let RuleCommand::Try { profile, direction, config } = self;
        let snapshot = Source::new(config.clone(), None, None).check().map_err(|e| e.to_string())?;
        let found = match snapshot.profiles.inline(&profile) {
            Some(inline) => (**inline).clone(),
            None => from_files(&profile, config)?,
        };
        let mut octets = Vec::new();
        let read = std::io::stdin().take(limits::SIP_MESSAGE_MAX as u64 + 1).read_to_end(&mut octets);
        read.map_err(|error| format!("standard input: {error}"))?;
        let message = Message::parse(with_line_ends(octets)).map_err(|error| format!("this is no SIP message: {error}"))?;
        let host = snapshot.sip.advertise.any().map_or("192.0.2.10".to_string(), |ip| ip.to_string());
        let scene = Scene { host, domain: snapshot.node.domain.clone(), peer: "203.0.113.1".into() };
        let direction = match direction {
            Way::Receive => Direction::Receive,
            Way::Send => Direction::Send,
        };
        Ok(trial(&found, direction, &message, &scene).text())
    }
}

fn from_files(profile: &str, config: Option<PathBuf>) -> Result<PeerProfile, String> {
    let found = find_profile(profile, &mut |name| profile_file(config.as_deref(), name)).map_err(|e| e.to_string())?;
    found.ok_or_else(|| format!("no profile is named `{profile}`"))
}

/// A pasted message has the line ends of its editor, and often no empty line at its end.
fn with_line_ends(octets: Vec<u8>) -> Bytes {
    if octets.windows(4).any(|four| four == b"\r\n\r\n") {
        return octets.into();
    }
    let mut text = String::from_utf8_lossy(&octets).replace("\r\n", "\n");
    if !text.contains("\n\n") {
        text = format!("{}\n\n", text.trim_end());
    }
    text.replace('\n', "\r\n").into()
}
