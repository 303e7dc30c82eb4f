//! `[limits]`: how many calls the node and each user may have. Limits of a trunk stand in its `[[trunk]]`.

use serde::Deserialize;

/// `[limits]`. 0: no limit but the node's fixed ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSection {
    /// Calls at once through the node.
    pub calls_max: u32,
    /// New calls a second through the node.
    pub calls_per_second: u32,
    /// Calls at once whose audio the node transcodes. A leg beyond it gets no codec that would need it.
    pub transcoded_calls_max: u32,
    /// Bandwidth of all media legs, kbit/s, estimated by codec.
    pub kbit_max: u32,
    /// Calls at once of one user, made and taken.
    pub user_calls_max: u32,
    /// New calls a second by one user.
    pub user_calls_per_second: u32,
    /// What a refused caller is told to wait, seconds.
    pub retry_after_s: u32,
    /// Which of them are not configured but were measured on this machine.
    #[serde(skip)]
    pub measured: Measured,
}

/// Limits that `ringfort capacity` found, and that nobody configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// `calls_max`.
    pub calls: bool,
    /// `calls_per_second`.
    pub per_second: bool,
    /// `transcoded_calls_max`.
    pub transcoded: bool,
}

impl LimitsSection {
    /// Takes what was measured where nothing is configured; 0 is nothing.
    pub fn fill(&mut self, calls: u32, per_second: u32, transcoded: u32) {
        let filled = |limit: &mut u32, found: u32| {
            let takes = *limit == 0 && found > 0;
            *limit = if takes { found } else { *limit };
            takes
        };
        self.measured = Measured {
            calls: filled(&mut self.calls_max, calls),
            per_second: filled(&mut self.calls_per_second, per_second),
            transcoded: filled(&mut self.transcoded_calls_max, transcoded),
        };
    }
}

impl Default for LimitsSection {
    fn default() -> Self {
        LimitsSection {
            calls_max: 0,
            calls_per_second: 0,
            transcoded_calls_max: 0,
            kbit_max: 0,
            user_calls_max: 0,
            user_calls_per_second: 0,
            retry_after_s: 10,
            measured: Measured::default(),
        }
    }
}
