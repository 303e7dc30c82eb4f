//! The configuration file: where it is, what accounts without a password get, and how it is read again.

use ringfort_base::{Entropy, limits};
use ringfort_call::config::{Config, ConfigError, Snapshot, SoundSection};
use ringfort_media::audio::Sound;
use ringfort_relay::voice::{MIX_HZ, Sounds};
use ringfort_store::{FileError, StateDir, write_atomic};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// What runs when no file is named.
const EMBEDDED: &str = include_str!("../../configs/default.toml");
/// Characters of a password that is made, of 5 bits each.
const PASSWORD_CHARACTERS: usize = 12;

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub struct Source {
    file: Option<PathBuf>,
    state_dir: Option<PathBuf>,
    run_dir: Option<PathBuf>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is refused.
    #[error(transparent)]
    Refused(#[from] ConfigError),
    /// A sound's file is none that can be played.
    #[error("sound `{name}`, {}: {reason}", path.display())]
    Sound {
        /// Its name.
        name: String,
        /// Which file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Made passwords could not be kept.
    #[error(transparent)]
    File(#[from] FileError),
}

/// A configuration, and the passwords of accounts that have none in it.
pub struct Loaded {
    /// The configuration.
    pub snapshot: Arc<Snapshot>,
    /// Account and password, made just now: to be shown once.
    pub made: BTreeMap<String, Zeroizing<String>>,
    /// Where they are kept.
    pub passwords: PathBuf,
    /// Its sounds.
    pub sounds: Arc<Sounds>,
}

impl Source {
    /// From a file, or the embedded one. The folders override the file's.
    pub fn new(file: Option<PathBuf>, state_dir: Option<PathBuf>, run_dir: Option<PathBuf>) -> Source {
        Source { file, state_dir, run_dir }
    }

    /// Reads and checks it. Accounts without a password get one, which is kept in the state directory.
    pub fn load(&self, entropy: &mut dyn Entropy) -> Result<Loaded, SourceError> {
        let (name, text) = self.text()?;
        // The state directory stands in the file, so the file is read once for it and once in earnest.
        let state_dir = self.state_dir.clone().unwrap_or(Config::parse(&name, &text)?.node.state_dir);
        let path = state_dir.join("passwords.json");
        let kept = read_passwords(&path);
        let mut made = BTreeMap::new();
        let mut secret = |user: &str| {
            let known = kept.get(user).cloned();
            Some(known.unwrap_or_else(|| {
                let password = Zeroizing::new(entropy.token(PASSWORD_CHARACTERS));
                made.insert(user.to_string(), password.clone());
                password
            }))
        };
        let mut snapshot = Snapshot::load_with(&name, &text, &mut secret, &mut |name| profile_file(self.file.as_deref(), name))?;
        if !made.is_empty() {
            let all: BTreeMap<_, _> = kept.iter().chain(&made).collect();
            let json = Zeroizing::new(serde_json::to_vec_pretty(&all).unwrap_or_default());
            StateDir::open(&state_dir)?;
            write_atomic(&path, &json, 0o600)?;
        }
        let changed = Arc::make_mut(&mut snapshot);
        let kept = crate::capacity::kept(&state_dir);
        changed.limits.fill(kept.calls, kept.calls_a_second, kept.transcoded);
        changed.node.state_dir = state_dir;
        if let Some(dir) = &self.run_dir {
            changed.node.run_dir = dir.clone();
        }
        let sounds = Arc::new(self.sounds(&snapshot)?);
        Ok(Loaded { snapshot, made, passwords: path, sounds })
    }

    /// Checks it without making or writing anything.
    pub fn check(&self) -> Result<Arc<Snapshot>, SourceError> {
        let (name, text) = self.text()?;
        let mut files = |name: &str| profile_file(self.file.as_deref(), name);
        let snapshot = Snapshot::load_with(&name, &text, &mut |_| Some(Zeroizing::new(String::new())), &mut files)?;
        self.sounds(&snapshot)?;
        Ok(snapshot)
    }

    /// Reads the files of all sounds.
    fn sounds(&self, snapshot: &Snapshot) -> Result<Sounds, SourceError> {
        let folder = self.file.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
        let mut sounds = Sounds::new();
        let mut octets = 0;
        for SoundSection { name, file } in &snapshot.sounds {
            let path = folder.join(file);
            let refused = |reason: String| SourceError::Sound { name: name.clone(), path: path.clone(), reason };
            let sound = read_sound(&path).map_err(refused)?;
            octets += 2 * sound.end();
            if octets > limits::SOUNDS_OCTETS_MAX {
                let reason = format!("with it the sounds take more than {} MB of memory", limits::SOUNDS_OCTETS_MAX >> 20);
                return Err(SourceError::Sound { name: name.clone(), path, reason });
            }
            sounds.insert(name.clone(), sound);
        }
        Ok(sounds)
    }

    fn text(&self) -> Result<(String, String), SourceError> {
        match &self.file {
            None => Ok(("embedded default.toml".into(), EMBEDDED.into())),
            Some(path) => std::fs::read_to_string(path)
                .map(|text| (path.display().to_string(), text))
                .map_err(|source| SourceError::Unreadable { path: path.clone(), source }),
        }
    }
}

/// A WAV file as the relay plays it. No more is read than a sound may have.
fn read_sound(path: &Path) -> Result<Sound, String> {
    let mut octets = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(limits::SOUND_OCTETS_MAX as u64 + 1).read_to_end(&mut octets).map_err(|error| error.to_string())?;
    Sound::read(&octets).map(|sound| sound.at(MIX_HZ)).map_err(|error| error.to_string())
}

/// A peer profile beside the configuration file: its name for errors, and its text. One that cannot be read as text is refused as
/// an empty one would not be, so that a damaged file does not silently yield to the shipped profile.
pub fn profile_file(config: Option<&Path>, profile: &str) -> Option<(String, String)> {
    let path = config?.parent()?.join("peers").join(format!("{profile}.toml"));
    let octets = std::fs::read(&path).ok()?;
    Some((path.display().to_string(), String::from_utf8(octets).unwrap_or_else(|_| "not text".into())))
}

/// Passwords made earlier; none when there is no file or it is damaged, then new ones are made and printed.
fn read_passwords(path: &Path) -> BTreeMap<String, Zeroizing<String>> {
    let octets = Zeroizing::new(std::fs::read(path).unwrap_or_default());
    serde_json::from_slice(&octets).unwrap_or_default()
}

/// Keys of `new` that differ from what the process began with and that only its next start follows.
pub fn needs_restart(first: &Snapshot, new: &Snapshot) -> Vec<&'static str> {
    let (node, sip, web, media) = (&first.node, &first.sip, &first.web, &first.media);
    let same_number = first.realms.len() == new.realms.len();
    let realms_moved = !same_number || first.realms.iter().zip(&new.realms).any(|(old, new)| !old.is_where(new));
    let changed = [
        ("node.state_dir", node.state_dir != new.node.state_dir),
        ("node.run_dir", node.run_dir != new.node.run_dir),
        ("sip.listen", sip.listen != new.sip.listen),
        ("sip.advertise", sip.advertise != new.sip.advertise),
        ("sip.t1_ms", sip.t1_ms != new.sip.t1_ms),
        ("sip.dscp", sip.dscp != new.sip.dscp),
        ("realm", realms_moved),
        ("web.listen", web.listen != new.web.listen),
        ("media.bind", media.bind != new.media.bind),
        ("media.advertise", media.advertise != new.media.advertise),
        ("media.workers", media.workers != new.media.workers),
        ("media.dscp", media.dscp != new.media.dscp),
        ("media.dscp_video", media.dscp_video != new.media.dscp_video),
        ("media.gather_us", media.gather_us != new.media.gather_us),
        ("media.realtime", media.realtime != new.media.realtime),
        ("media.tier", media.tier != new.media.tier),
        ("media.af_xdp", media.af_xdp != new.media.af_xdp),
    ];
    changed.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(text: &str) -> Arc<Snapshot> {
        Snapshot::load("t", text, &mut |_| None).expect("sound")
    }

    #[test]
    fn what_only_a_restart_follows_is_named() {
        let first = snapshot("");
        let new = snapshot("[sip]\nlisten = [\"udp:127.0.0.1:5080\"]\nnonce_s = 60\n[media]\nworkers = 3\nport_last = 25000\n");
        assert_eq!(needs_restart(&first, &new), ["sip.listen", "media.workers"]);
        assert!(needs_restart(&first, &first).is_empty());
    }

    /// A file that cannot be played is refused by its name and path; one that can is there at the relay's rate.
    #[test]
    fn sounds_are_read_from_beside_the_configuration() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("node.toml");
        std::fs::write(&file, "[[sound]]\nname = \"music\"\nfile = \"music.wav\"\n").expect("written");
        let source = Source::new(Some(file), None, None);
        let refusal = |source: &Source| source.check().map(drop).expect_err("no such file").to_string();
        assert!(refusal(&source).starts_with("sound `music`, "), "{}", refusal(&source));
        let wav = folder.path().join("music.wav");
        std::fs::write(&wav, b"RIFFnothing").expect("written");
        assert!(refusal(&source).contains("music.wav: "), "{}", refusal(&source));
        let head: &[u8] = b"RIFF\x30\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\x0c\0\0\0";
        std::fs::write(&wav, [head, &[1; 12]].concat()).expect("written");
        let sounds = source.sounds(&source.check().expect("sound")).expect("read");
        assert_eq!(sounds["music"].rate_hz(), MIX_HZ);
    }
}
