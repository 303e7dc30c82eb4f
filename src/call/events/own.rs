//! Subscriptions to `dialog` that the node answers itself while there is no cloud (RFC 4235).

use super::dialogs::{self, Row};
use super::subscribe::Wish;
use super::subscription::{Notifier, Phase};
use super::{Asked, Events, Pending, write};
use crate::b2bua::Env;
use crate::context::Context;
use crate::wake::Wake;
use ringfort_sip::message::{HeaderName, Method};
use std::time::Duration;

/// What changes within this time is told at once.
const LOOK_SOON: Duration = Duration::from_millis(50);
/// Nobody is told more often (RFC 4235 3.10).
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

impl Events {
    pub(super) fn begin_own(&mut self, env: &mut Env<'_>, asked: Asked, wish: Wish) {
        let notifier = Notifier::Own { version: 0, told: None };
        let Some(subscription) = self.found(env, &asked, &wish, notifier) else { return };
        let id = subscription.id;
        self.enter(subscription);
        self.grant_own(env, id, &asked, wish.expires_s);
    }

    pub(super) fn refresh_own(&mut self, env: &mut Env<'_>, id: u64, asked: Asked, expires_s: u32) {
        if let Some(subscription) = self.live.get_mut(&id) {
            subscription.expires = env.cx.now.wall.plus(Duration::from_secs(expires_s.into()));
        }
        self.grant_own(env, id, &asked, expires_s);
    }

    /// 200, and with the next look a NOTIFY with the whole state (RFC 6665 4.2.1.2). One of 0 seconds has the state once, and ends.
    fn grant_own(&mut self, env: &mut Env<'_>, id: u64, asked: &Asked, expires_s: u32) {
        self.grant(env, id, asked, expires_s);
        self.enter_phase(env.cx, id, if expires_s == 0 { Phase::Ends } else { Phase::Stands });
        if let Some(subscription) = self.live.get_mut(&id)
            && let Notifier::Own { told, .. } = &mut subscription.notifier
        {
            *told = None;
        }
        self.keep(env.cx, id);
        self.calls_changed(env.cx);
    }

    /// Calls changed, or somebody subscribed to them: whoever watches is told soon.
    pub fn calls_changed(&mut self, cx: &mut Context) {
        if self.own > 0 && self.look.is_none() {
            let at = (cx.now.mono + LOOK_SOON).max(self.looked + LOOK_INTERVAL);
            self.look = Some(at);
            cx.timers.set(Wake::TellOfCalls, at);
        }
    }

    /// Compares what own subscribers were told with the calls.
    pub fn look(&mut self, env: &mut Env<'_>, rows: &[Row]) {
        (self.look, self.looked) = (None, env.cx.now.mono);
        let said = dialogs::by_user(rows);
        let own: Vec<u64> = self.live.values().filter(|s| s.is_own()).map(|s| s.id).collect();
        for id in own {
            self.tell(env, id, &said);
        }
    }

    /// A NOTIFY to a subscriber who does not know this yet.
    fn tell(&mut self, env: &mut Env<'_>, id: u64, said: &dialogs::Said) {
        let Some(subscription) = self.live.get_mut(&id) else { return };
        let Some(hop) = write::way(env, &mut subscription.subscriber) else { return };
        let left_s = subscription.expires.left(env.cx.now.wall).as_secs();
        let Notifier::Own { version, told } = &mut subscription.notifier else { return };
        let now = said.get(&subscription.watched).cloned().unwrap_or_default();
        if subscription.phase == Phase::Moves || told.as_ref() == Some(&now) {
            return;
        }
        let rows = dialogs::with_ended(told.as_deref().unwrap_or_default(), &now);
        let entity = format!("sip:{}@{}", crate::b2bua::write::user(&subscription.watched), env.cx.snapshot.node.domain);
        let body = dialogs::document(&entity, *version, &rows);
        (*version, *told) = (version.saturating_add(1), Some(now));
        let state = match subscription.phase {
            Phase::Ends => "terminated;reason=timeout".to_string(),
            _ => format!("active;expires={left_s}"),
        };
        let event = subscription.event.clone();
        let octets = write::inside(env, &mut subscription.subscriber, &Method::Notify)
            .header(HeaderName::Event, event)
            .header(HeaderName::SubscriptionState, state)
            .body(dialogs::KIND, body)
            .build();
        let last = subscription.phase == Phase::Ends;
        self.send(env.cx, hop, octets, Pending::Own { subscription: id });
        if last {
            self.remove(env.cx, id);
        }
    }
}
