//! What is wrong with the node for longer than a moment. An alarm begins once, stays in the status and the metrics, and ends once.

use crate::context::Context;
use crate::status::AlarmStatus;
use ringfort_base::{Event, limits};

/// What the driver says is wrong now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Stable name: `kernel`, `kernel eth0`, `af_xdp eth0`.
    pub name: String,
    /// In words.
    pub reason: String,
}

/// What is wrong, and since when.
#[derive(Default)]
pub(crate) struct Alarms {
    now: Vec<AlarmStatus>,
}

impl Alarms {
    /// Everything that is wrong now. What was not before begins, what is not any more has ended.
    pub(crate) fn are(&mut self, cx: &mut Context, alarms: Vec<Alarm>) {
        let before = std::mem::take(&mut self.now);
        let goes_on = |name: &str| alarms.iter().any(|alarm| alarm.name == name);
        for AlarmStatus { name, reason, .. } in before.iter().filter(|alarm| !goes_on(&alarm.name)).cloned() {
            cx.event(Event::Alarm { alarm: name, raised: false, reason });
        }
        for Alarm { name, reason } in alarms.into_iter().take(limits::ALARMS_MAX) {
            let since = before.iter().find(|alarm| alarm.name == name).map(|alarm| alarm.since);
            if since.is_none() {
                cx.event(Event::Alarm { alarm: name.clone(), raised: true, reason: reason.clone() });
            }
            self.now.push(AlarmStatus { name, reason, since: since.unwrap_or(cx.now.wall) });
        }
    }

    pub(crate) fn status(&self) -> Vec<AlarmStatus> {
        self.now.clone()
    }
}
