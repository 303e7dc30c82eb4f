//! What a worker sends of its own: reports, and requests for a picture.

use super::{Worker, socket};
use crate::path::Departure;
use ringfort_base::PortId;
use ringfort_base::limits::SRTP_TRAILER_MAX;
use ringfort_media::quality::making::MADE_MAX;
use std::time::{Duration, SystemTime};

/// How often reports are looked for that are due: they come at random moments anyway.
const REPORTS_PAUSE: Duration = Duration::from_millis(250);
/// Room for a report of the node's own and its SRTCP trailer.
pub(super) const REPORT_MAX: usize = MADE_MAX + SRTP_TRAILER_MAX;
/// From 1900, where NTP begins, to 1970, seconds.
const NTP_SECONDS: u64 = 2_208_988_800;

impl Worker {
    /// Sends the reports that are due.
    pub(super) fn send_reports(&mut self) {
        self.next_reports = self.now + REPORTS_PAUSE;
        let (ntp, mut buffer, mut from) = (time_of_day(), [0; REPORT_MAX], 0);
        while let Some((next, departure)) = self.flows.poll_report(self.now, ntp, from, &mut buffer) {
            self.send_made(&departure, &buffer);
            from = next;
        }
    }

    /// Asks the peer of a port for a whole picture.
    pub(super) fn ask_for_picture(&mut self, port: PortId) {
        let mut buffer = [0; REPORT_MAX];
        if let Some(departure) = self.flows.ask_for_picture(self.now, port, &mut buffer) {
            self.send_made(&departure, &buffer);
        }
    }

    /// Sends what was made in `buffer`.
    pub(super) fn send_made(&mut self, departure: &Departure, buffer: &[u8]) {
        let socket = socket(&self.open, departure.slot, departure.component);
        let sent = socket.map(|socket| socket.send_to(&buffer[..departure.len], departure.to));
        self.flows.sent(departure, matches!(sent, Some(Ok(_))));
    }
}

/// As sender reports tell it: seconds since 1900 and their fraction (RFC 3550 4).
pub(super) fn time_of_day() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    (since.as_secs() + NTP_SECONDS) << 32 | fraction
}
