//! On what, and from which source, a result came about.

use serde::{Deserialize, Serialize};
use std::fs;
use std::process::Command;

/// The machine and the build.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// Model as the processor names itself.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Kernel release.
    pub kernel: String,
    /// `x86_64`, `aarch64`.
    pub architecture: String,
    /// Commit of the source; `+` when it was changed since.
    pub commit: String,
    /// Whether the compiler optimised.
    pub optimised: bool,
}

impl Machine {
    /// This one.
    pub fn this() -> Machine {
        Machine {
            cpu: cpu_model(),
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get()),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").map_or("unknown".into(), |release| release.trim().into()),
            architecture: std::env::consts::ARCH.into(),
            commit: commit(),
            optimised: !cfg!(debug_assertions),
        }
    }
}

fn cpu_model() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(':'));
    model.map_or("unknown".into(), |(_, model)| model.trim().into())
}

/// `RINGFORT_COMMIT` where no repository is at hand, else what git says.
fn commit() -> String {
    if let Ok(commit) = std::env::var("RINGFORT_COMMIT") {
        return commit;
    }
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".into() };
    let changed = git(&["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty());
    if changed { format!("{commit}+") } else { commit }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
}
