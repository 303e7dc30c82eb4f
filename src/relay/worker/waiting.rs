//! How long a worker waits before it looks again.

use super::{RETRY_MS, Worker};
use ringfort_base::Time;

impl Worker {
    pub(super) fn clock(&self) -> Time {
        Time::from_micros(self.parts.began.elapsed().as_micros() as u64)
    }

    /// Something waits already that no socket tells of.
    fn is_pressed(&self) -> bool {
        !self.parts.handed.is_empty() || !self.later.is_empty()
    }

    /// Where many packets come, lets them gather. True: what has gathered is looked at, and not waited for. Who waited would be woken by
    /// the first packet alone, and whoever sends would have the work of waking.
    pub(super) fn rest(&mut self) -> bool {
        let Some(due) = self.pace.rest(self.now).filter(|_| !self.is_pressed()) else { return false };
        let due = self.next_frame.map_or(due, |frame| due.min(frame));
        let time = due.since(self.clock());
        if !time.is_zero() {
            std::thread::sleep(time);
        }
        true
    }

    /// How long to wait for the next packet.
    pub(super) fn timeout(&self) -> i32 {
        let reports = (!self.flows.is_empty()).then_some(self.next_reports);
        let due = self.next_frame.into_iter().chain(reports).min();
        let frame = due.map(|due| due.since(self.now).as_micros().div_ceil(1_000) as i32);
        match (self.is_pressed(), self.parts.outbox.is_waiting(), frame) {
            (true, ..) => 0,
            (_, true, frame) => RETRY_MS.min(frame.unwrap_or(RETRY_MS)),
            (_, false, frame) => frame.unwrap_or(-1),
        }
    }
}
