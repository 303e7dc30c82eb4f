//! Whether a recorder's audio arrives. Its signalling may live on another machine than what takes the audio, so that answers to OPTIONS
//! say nothing of it; what can be seen is whether its RTCP goes on (RFC 3550 6.2), and whether the system sends at all.

use crate::b2bua::call::Call;
use crate::b2bua::{Env, Tables};
use ringfort_base::{Event, PortId, Time, limits};
use ringfort_media::plan::PortCounters;

/// What is known of the way of one stream.
#[derive(Clone, Copy, Default)]
pub(super) struct Way {
    rtcp_in: u64,
    rtp_out: u64,
    send_failed: u64,
    /// When there was no reason to doubt it last.
    sound_at: Time,
}

impl Way {
    /// Takes the newest counters. Returns why the way seems to be dead, if it does.
    fn look(&mut self, now: Time, counters: &PortCounters) -> Option<&'static str> {
        let (spoke, sent) = (counters.rtcp_in > self.rtcp_in, counters.rtp_out > self.rtp_out);
        let refused = counters.send_failed > self.send_failed && !sent;
        // Who never sent RTCP does not speak it; and nobody has to report on nothing.
        let idle = !refused && (!sent || counters.rtcp_in == 0);
        if spoke || idle || self.sound_at == Time::ZERO {
            self.sound_at = now;
        }
        let PortCounters { rtcp_in, rtp_out, send_failed, .. } = *counters;
        *self = Way { rtcp_in, rtp_out, send_failed, ..*self };
        let dead = now.since(self.sound_at) >= limits::RECORDER_SILENT;
        dead.then_some(if refused { "media-refused" } else { "media-silent" })
    }
}

impl Call {
    /// Counters of a port that leads to a recorder. Where the rule has another recorder, that one takes over from one whose audio does
    /// not arrive; else it is told, and the session stays.
    pub(super) fn recorder_counted(&mut self, env: &mut Env<'_>, tables: &mut Tables, port: PortId, counters: &PortCounters) {
        let (call, now) = (self.id, env.cx.now.mono);
        let Some(recorded) = &mut self.recorded else { return };
        let Some(live) = recorded.live.as_mut().filter(|live| live.began.is_some()) else { return };
        let Some(place) = live.audio.ports().position(|own| own == port) else { return };
        let Some(way) = live.ways.get_mut(place) else { return };
        let dead = way.look(now, counters);
        let was = std::mem::replace(&mut live.silent[place], dead.is_some());
        let others = recorded.wanted.as_ref().is_some_and(|rule| rule.to.len() > 1);
        match (was, dead) {
            (_, Some(cause)) if others => self.next_recorder(env, tables, cause, false),
            (false, Some(cause)) => {
                let (recorder, cause) = (live.recorder.clone(), cause.to_string());
                env.cx.event(Event::Recording { call, recorder, state: "silent".into(), cause });
            }
            (true, None) => {
                let (recorder, cause) = (live.recorder.clone(), String::new());
                env.cx.event(Event::Recording { call, recorder, state: "resumed".into(), cause });
            }
            _ => {}
        }
    }
}
