//! Bans in force. The sockets know of each, so that a banned source's messages are dropped before they are read.

use crate::context::{Context, Output};
use crate::status::BanStatus;
use ringfort_base::{Event, FlowId, SourceNet, Time, Wall, limits};
use std::collections::BTreeMap;
use std::time::Duration;

/// What the sockets are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShieldCommand {
    /// Listen to this source no more, but for one message a second, by which it may prove itself.
    Ban(SourceNet),
    /// Listen to it again.
    Unban(SourceNet),
    /// Somebody proved himself there; over this connection, if it is one.
    Trust {
        /// The source.
        source: SourceNet,
        /// The connection, which counts no more as one of an unknown source.
        flow: Option<FlowId>,
    },
    /// Nobody proved himself there for days.
    Distrust {
        /// The source.
        source: SourceNet,
    },
    /// Somebody there speaks inside a dialog.
    Expect {
        /// The source.
        source: SourceNet,
    },
}

#[derive(Clone, Copy, Debug)]
struct Ban {
    until: Time,
    until_wall: Wall,
    reason: &'static str,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Bans {
    by_source: BTreeMap<SourceNet, Ban>,
    by_end: BTreeMap<(Time, SourceNet), ()>,
}

impl Bans {
    /// Whether the source is banned.
    pub fn holds(&self, source: SourceNet) -> bool {
        self.by_source.contains_key(&source)
    }

    /// Bans a source. Where there is no room the ban that ends first is lifted.
    pub fn begin(&mut self, cx: &mut Context, source: SourceNet, reason: &'static str, time: Duration) {
        if self.holds(source) {
            return;
        }
        if self.by_source.len() >= limits::SHIELD_BANS_MAX
            && let Some((_, first)) = self.by_end.keys().next().copied()
        {
            self.lift(cx, first, "table-full");
        }
        let ban = Ban { until: cx.now.mono + time, until_wall: cx.now.wall.plus(time), reason };
        self.by_source.insert(source, ban);
        self.by_end.insert((ban.until, source), ());
        cx.event(Event::SourceBanned { source: source.into(), reason: reason.into(), seconds: time.as_secs() });
        cx.outputs.push_back(Output::Shield(ShieldCommand::Ban(source)));
    }

    /// Ends a ban. False: there is none.
    pub fn lift(&mut self, cx: &mut Context, source: SourceNet, reason: &str) -> bool {
        let Some(ban) = self.by_source.remove(&source) else { return false };
        self.by_end.remove(&(ban.until, source));
        cx.event(Event::SourceUnbanned { source: source.into(), reason: reason.into() });
        cx.outputs.push_back(Output::Shield(ShieldCommand::Unban(source)));
        true
    }

    /// Ends those that are over.
    pub fn lift_due(&mut self, cx: &mut Context) {
        while let Some((at, source)) = self.by_end.keys().next().copied().filter(|(at, _)| *at <= cx.now.mono) {
            if !self.lift(cx, source, "over") {
                self.by_end.remove(&(at, source));
            }
        }
    }

    /// When the first one ends.
    pub fn next(&self) -> Time {
        self.by_end.keys().next().map_or(Time::NEVER, |(at, _)| *at)
    }

    /// For the page.
    pub fn status(&self) -> Vec<BanStatus> {
        let row = |source: &SourceNet| {
            let ban = self.by_source.get(source)?;
            Some(BanStatus { source: (*source).into(), reason: ban.reason.into(), until: ban.until_wall })
        };
        self.by_end.keys().filter_map(|(_, source)| row(source)).take(limits::STATUS_LIST_MAX).collect()
    }
}
