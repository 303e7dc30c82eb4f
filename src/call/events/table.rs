//! The table of subscriptions: how they are entered and forgotten, what time does to them, what a restart leaves of them, and how
//! they move when the cloud is lost or comes back.

use super::subscription::{End, Notifier, Party, Phase, Subscription};
use super::{AGAIN_S, Events, OWN_PACKAGE, Pending, reply, write};
use crate::b2bua::Env;
use crate::context::Context;
use crate::route::Source;
use crate::wake::Wake;
use ringfort_base::event::Mode;
use ringfort_base::{Time, limits};
use ringfort_sip::message::{HeaderName, Method};
use std::time::Duration;

/// The first NOTIFY comes within this time, and the last one (RFC 6665 4.1.2.4: 64 T1).
const NOTIFY_WAIT: Duration = Duration::from_secs(32);
/// Subscriptions that move do so one after another: devices do not all subscribe anew in the same moment.
const MOVE_PAUSE: Duration = Duration::from_millis(2);
/// More requests than a process sends within one dialog between two entries of the journal.
const CSEQ_GAP: u32 = 1_000;

impl Events {
    /// Takes a new subscription in.
    pub(super) fn enter(&mut self, subscription: Subscription) {
        let id = subscription.id;
        let device = &subscription.subscriber.dialog.id;
        self.dialogs.insert((device.call_id.clone(), device.local_tag.clone()), (id, End::Subscriber));
        match &subscription.notifier {
            Notifier::Remote { call_id, tag, .. } => {
                self.dialogs.insert((call_id.clone(), tag.clone()), (id, End::Notifier));
            }
            Notifier::Own { .. } => self.own += 1,
        }
        *self.shares.entry(subscription.source.to_string()).or_default() += 1;
        self.live.insert(id, subscription);
    }

    /// Forgets one.
    pub(super) fn remove(&mut self, cx: &mut Context, id: u64) {
        let Some(gone) = self.live.remove(&id) else { return };
        let device = gone.subscriber.dialog.id.clone();
        self.dialogs.remove(&(device.call_id, device.local_tag));
        match &gone.notifier {
            Notifier::Remote { call_id, tag, .. } => drop(self.dialogs.remove(&(call_id.clone(), tag.clone()))),
            Notifier::Own { .. } => self.own -= 1,
        }
        let holder = gone.source.to_string();
        if let Some(share) = self.shares.get_mut(&holder) {
            *share -= 1;
            if *share == 0 {
                self.shares.remove(&holder);
            }
        }
        self.due.remove(&(gone.due, id));
        self.arm(cx);
        cx.persist(gone.key(), None);
    }

    /// A subscription enters a phase, and is looked at when its time is over.
    pub(super) fn enter_phase(&mut self, cx: &mut Context, id: u64, phase: Phase) {
        let Some(subscription) = self.live.get(&id) else { return };
        let now = cx.now.mono;
        let due = match phase {
            Phase::Asked => Time::NEVER,
            Phase::Granted | Phase::Ends => now + NOTIFY_WAIT,
            Phase::Stands => now + subscription.expires.left(cx.now.wall),
            Phase::Moves => now,
        };
        self.enter_phase_until(cx, id, phase, due);
    }

    fn enter_phase_until(&mut self, cx: &mut Context, id: u64, phase: Phase, due: Time) {
        let Some(subscription) = self.live.get_mut(&id) else { return };
        self.due.remove(&(subscription.due, id));
        (subscription.phase, subscription.due) = (phase, due);
        if due != Time::NEVER {
            self.due.insert((due, id));
        }
        self.arm(cx);
    }

    fn arm(&self, cx: &mut Context) {
        cx.timers.set(Wake::Subscriptions, self.due.first().map_or(Time::NEVER, |(due, _)| *due));
    }

    /// Whether this subscriber may have one more. The cloud subscribes for many.
    pub(super) fn has_room(&self, source: &Source) -> bool {
        let share = self.shares.get(&source.to_string()).copied().unwrap_or_default();
        let has_share = share < limits::SUBSCRIPTIONS_PER_USER_MAX || *source == Source::Cloud;
        self.live.len() < limits::SUBSCRIPTIONS_MAX && has_share
    }

    /// Writes one down as it stands: whoever watches goes on doing so after a restart.
    pub(super) fn keep(&self, cx: &mut Context, id: u64) {
        if let Some(subscription) = self.live.get(&id) {
            cx.persist(subscription.key(), crate::kept::write(subscription));
        }
    }

    /// Takes over what an earlier process wrote down.
    pub fn restore(&mut self, cx: &mut Context, saved: Vec<Subscription>) {
        for mut subscription in saved {
            let id = subscription.id;
            if subscription.expires <= cx.now.wall || self.live.len() >= limits::SUBSCRIPTIONS_MAX {
                cx.persist(subscription.key(), None);
                continue;
            }
            self.next = self.next.max(id);
            restored(&mut subscription.subscriber);
            match &mut subscription.notifier {
                Notifier::Remote { end, .. } => end.iter_mut().for_each(|party| restored(party)),
                Notifier::Own { version, told } => {
                    *version = version.saturating_add(CSEQ_GAP);
                    *told = None;
                }
            }
            self.enter(subscription);
            self.enter_phase(cx, id, Phase::Stands);
        }
        self.calls_changed(cx);
    }

    /// What has been due: it ends, or is forgotten.
    pub fn turn(&mut self, env: &mut Env<'_>) {
        while let Some((due, id)) = self.due.first().copied().filter(|(due, _)| *due <= env.cx.now.mono) {
            self.due.remove(&(due, id));
            let Some(subscription) = self.live.get(&id) else { continue };
            match subscription.phase {
                Phase::Stands if !subscription.is_own() => self.enter_phase(env.cx, id, Phase::Ends),
                Phase::Stands => self.terminate(env, id, "timeout"),
                Phase::Moves => self.terminate(env, id, "deactivated"),
                Phase::Asked | Phase::Granted | Phase::Ends => self.remove(env.cx, id),
            }
        }
        self.arm(env.cx);
    }

    /// The last NOTIFY, by the node. `deactivated`: the device subscribes anew at once (RFC 6665 4.1.3).
    pub(super) fn terminate(&mut self, env: &mut Env<'_>, id: u64, reason: &str) {
        let Some(subscription) = self.live.get_mut(&id) else { return };
        let event = subscription.event.clone();
        if let Some(hop) = write::way(env, &mut subscription.subscriber) {
            let octets = write::inside(env, &mut subscription.subscriber, &Method::Notify)
                .header(HeaderName::Event, event)
                .header(HeaderName::SubscriptionState, format!("terminated;reason={reason}"))
                .build();
            self.send(env.cx, hop, octets, Pending::Own { subscription: id });
        }
        self.remove(env.cx, id);
    }

    /// The cloud was lost, or is back. Whoever watches calls is served by the node without it, and by the cloud with it: those
    /// subscriptions end, and their devices subscribe anew. What waits for the cloud need not wait any more.
    pub fn mode_changed(&mut self, env: &mut Env<'_>) {
        let with_cloud = env.mode == Mode::Normal;
        if !with_cloud {
            self.give_up_cloud(env);
        }
        let moves = |s: &&Subscription| match with_cloud {
            _ if s.phase == Phase::Ends => false,
            true => s.is_own(),
            false => s.is_of_cloud() && s.package() == OWN_PACKAGE,
        };
        let moving: Vec<u64> = self.live.values().filter(moves).map(|s| s.id).collect();
        let mut due = env.cx.now.mono;
        for id in moving {
            due = due + MOVE_PAUSE;
            self.enter_phase_until(env.cx, id, Phase::Moves, due);
        }
    }

    /// Requests that the cloud will not answer.
    fn give_up_cloud(&mut self, env: &mut Env<'_>) {
        let of_cloud = |id: &u64| self.live.get(id).is_some_and(Subscription::is_of_cloud);
        let waits = |pending: &Pending| match pending {
            Pending::Subscribe { subscription, .. } => of_cloud(subscription),
            _ => false,
        };
        let keys: Vec<u64> = self.pending.iter().filter(|(_, pending)| waits(pending)).map(|(key, _)| *key).collect();
        for key in keys {
            let Some(Pending::Subscribe { subscription, asked, first, .. }) = self.pending.remove(&key) else { continue };
            if first {
                self.remove(env.cx, subscription);
                self.subscribed(env, asked);
            } else {
                reply(env.cx, &asked, 504, &[(HeaderName::RetryAfter, AGAIN_S.into())]);
            }
        }
        self.singles_without_cloud(env);
    }
}

/// A party as the next process finds it: what the dead one sent after this was written down is unknown, and connections are gone.
fn restored(party: &mut Party) {
    party.dialog.local_cseq = party.dialog.local_cseq.saturating_add(CSEQ_GAP);
    if party.dialog.hop.transport.is_reliable() {
        party.dialog.hop.flow = None;
    }
}
