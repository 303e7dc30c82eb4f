//! What a call's timeline is told of its media: each step once, when it happens.

use super::Env;
use super::call::{Call, Media, Side};
use ringfort_base::event::LegQuality;
use ringfort_base::step::Sample;
use ringfort_base::{Event, PortId, Step, Time};
use ringfort_media::plan::Component;
use ringfort_media::tier::Tier;
use std::net::SocketAddr;
use std::time::Duration;

/// Between two samples of a party's quality.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(10);

/// What the timeline was told of a leg last.
#[derive(Default)]
pub(crate) struct Told {
    codec: Option<String>,
    held: bool,
    tier: Option<Tier>,
    heard: bool,
    sampled: Option<Time>,
}

/// The relay locked on a source.
pub(super) fn latched(component: Component, source: SocketAddr) -> Step {
    let component = match component {
        Component::Rtp => "rtp",
        Component::Rtcp => "rtcp",
    };
    Step::Latched { component: component.into(), peer: source.into() }
}

impl Media {
    /// What descriptions changed since it was told last: the codec, and whether the party holds the call.
    pub(super) fn agreed_steps(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        let codec = self.session.codec();
        if codec.is_some() && codec != self.told.codec.as_deref() {
            self.told.codec = codec.map(str::to_owned);
            steps.extend(self.told.codec.clone().map(|codec| Step::Codec { codec }));
        }
        if self.told.held != self.session.on_hold() {
            self.told.held = !self.told.held;
            steps.push(if self.told.held { Step::Held } else { Step::Resumed });
        }
        steps
    }

    /// A stream of RTP began.
    pub(super) fn stream_step(&mut self, ssrc: u32) -> Step {
        match std::mem::replace(&mut self.told.heard, true) {
            false => Step::FirstAudio { ssrc },
            true => Step::SsrcChanged { ssrc },
        }
    }

    /// What carries the audio, where that changed. Before anything came it says nothing.
    fn tier_step(&mut self) -> Option<Step> {
        let tier = self.counters.tier;
        if self.counters.rtp_in == 0 || self.told.tier.replace(tier) == Some(tier) {
            return None;
        }
        Some(Step::Tier { tier: tier.name().into(), program: tier.program().into(), cause: tier.cause().into() })
    }

    /// How the audio arrived until now, from time to time.
    fn sample(&mut self, now: Time, quality: LegQuality) -> Option<Step> {
        let due = self.told.sampled.is_none_or(|last| now >= last + SAMPLE_INTERVAL);
        if self.counters.speech_in() == 0 || self.closed || !due {
            return None;
        }
        self.told.sampled = Some(now);
        Some(Step::Quality(Sample {
            packets: self.counters.rtp_in,
            lost: quality.lost,
            jitter_us: self.counters.jitter_us,
            round_trip_us: quality.round_trip_us,
            missed: quality.missed,
            mos: quality.mos,
        }))
    }
}

impl Call {
    /// A step of one side.
    pub(super) fn tell_step(&self, env: &mut Env<'_>, side: Side, step: Step) {
        env.cx.event(Event::CallStep { call: self.id, leg: side.into(), step });
    }

    /// The relay reported a port: what carries the audio, and how good it is.
    pub(super) fn tell_measured(&mut self, env: &mut Env<'_>, side: Side, port: PortId) {
        let quality = match side {
            Side::Caller => self.quality()[0],
            Side::Callee => self.quality()[1],
        };
        let answered = self.answered.is_some();
        // A target that rings has no audio of its own yet.
        let Some(media) = self.media(side).filter(|media| media.port == port) else { return };
        let steps = [media.tier_step(), if answered { media.sample(env.cx.now.mono, quality) } else { None }];
        steps.into_iter().flatten().for_each(|step| self.tell_step(env, side, step));
    }
}
