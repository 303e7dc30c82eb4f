//! NOTIFY inside a subscription: passed to the subscriber, and his answer back (RFC 6665 4.1.3).

use super::subscription::{Notifier, Party, Phase, own_event, package};
use super::{Asked, Events, Pending, ends_subscription, reply, write};
use crate::b2bua::{Env, identity};
use crate::route::{Source, Target};
use ringfort_sip::dialog::{Dialog, DialogId, DialogState};
use ringfort_sip::message::{Contacts, HeaderName, Message, Method};
use std::time::Duration;

/// Subscription-State, read.
struct State {
    /// As the subscriber reads it.
    text: String,
    expires_s: Option<u32>,
    last: bool,
}

impl Events {
    /// A NOTIFY in the notifier's dialog. One that comes before the answer to SUBSCRIBE founds the dialog (RFC 6665 4.4.1); one of a
    /// further fork is refused.
    pub(super) fn notified(&mut self, env: &mut Env<'_>, id: u64, asked: Asked) {
        let Some(state) = State::read(&asked.message) else { return reply(env.cx, &asked, 400, &[]) };
        if let Err(status) = self.may_notify(env, id, &asked) {
            return reply(env.cx, &asked, status, &[]);
        }
        let Some(subscription) = self.live.get_mut(&id) else { return };
        let Notifier::Remote { target, .. } = &subscription.notifier else { return };
        let (domain, to) = (write::domain_at(env, target), write::domain_of(env, &subscription.source));
        let (event, founded) = (subscription.event.clone(), subscription.phase != Phase::Stands);
        if let Some(expires_s) = state.expires_s {
            let expires = env.cx.now.wall.plus(Duration::from_secs(expires_s.into()));
            subscription.expires = subscription.expires.min(expires);
        }
        let Some(hop) = write::way(env, &mut subscription.subscriber) else {
            reply(env.cx, &asked, 480, &[]);
            return self.remove(env.cx, id);
        };
        let builder = write::inside(env, &mut subscription.subscriber, &Method::Notify)
            .header(HeaderName::Event, event)
            .header(HeaderName::SubscriptionState, &state.text);
        let octets = write::with_document(env, builder, (&asked.message, &asked.hop, &domain), &to).build();
        if subscription.phase != Phase::Ends && subscription.phase != Phase::Moves {
            self.enter_phase(env.cx, id, Phase::Stands);
        }
        if founded {
            self.keep(env.cx, id);
        }
        let pending = Pending::Notify { subscription: id, asked, last: state.last };
        self.send(env.cx, hop, octets, pending);
    }

    /// The subscriber answered a NOTIFY. What he does not know, or does not answer, its notifier ends.
    pub(super) fn notify_answered(&mut self, env: &mut Env<'_>, id: u64, asked: &Asked, last: bool, status: u16) {
        let gone = ends_subscription(status);
        let told = match status {
            200..300 => 200,
            _ if gone => 481,
            300..=399 => 500,
            401 | 407 => 403,
            other => other,
        };
        reply(env.cx, asked, told, &[]);
        match last && !gone && self.is_asked(id) {
            // The 200 to a SUBSCRIBE of 0 seconds was overtaken.
            true => self.enter_phase(env.cx, id, Phase::Ends),
            false if last || gone => self.remove(env.cx, id),
            false => {}
        }
    }

    /// Whether the SUBSCRIBE that began it is not answered yet.
    fn is_asked(&self, id: u64) -> bool {
        let first =
            |pending: &Pending| matches!(pending, Pending::Subscribe { subscription, first: true, .. } if *subscription == id);
        self.pending.values().any(first)
    }

    /// Whether a NOTIFY is the notifier's: from its side, in its dialog, of its package, in order.
    fn may_notify(&mut self, env: &mut Env<'_>, id: u64, asked: &Asked) -> Result<(), u16> {
        let subscription = self.live.get_mut(&id).ok_or(481_u16)?;
        let Notifier::Remote { target, call_id, tag, device, end } = &mut subscription.notifier else { return Err(481) };
        let of_dialog = end.as_ref().is_some_and(|party| party.dialog.hop.same_peer(&asked.hop));
        if !of_dialog && !is_from(env, target, asked) {
            return Err(481);
        }
        let of_package = own_event(asked.message.header(HeaderName::Event).unwrap_or_default());
        if of_package.is_none_or(|event| package(&event) != package(&subscription.event)) {
            return Err(489);
        }
        let remote_tag = asked.message.from().map_err(|_| 400_u16)?.tag().unwrap_or_default().to_string();
        if end.is_none() {
            let id = DialogId { call_id: call_id.clone(), local_tag: tag.clone(), remote_tag: remote_tag.clone() };
            *end = Some(Box::new(Party { dialog: founded(id, asked)?, device: device.clone(), placed: env.cx.now.mono }));
        }
        let dialog = &mut end.as_mut().ok_or(481_u16)?.dialog;
        if dialog.id.remote_tag != remote_tag {
            return Err(481);
        }
        dialog.accept_request(&asked.message).map_err(|error| error.status())?;
        let _ = dialog.refresh_target(&asked.message);
        Ok(())
    }
}

/// Whether the notifier sends from there.
fn is_from(env: &Env<'_>, target: &Target, asked: &Asked) -> bool {
    match target {
        Target::Device { user, .. } => env.bindings.is_registered_from(user, &asked.hop),
        _ => identity::peer_at(env, &asked.hop) == Some(Source::Cloud),
    }
}

/// The dialog that a NOTIFY founds.
fn founded(id: DialogId, asked: &Asked) -> Result<Dialog, u16> {
    let target = match asked.message.contacts() {
        Ok(Contacts::List(list)) => list.first().map(|contact| contact.uri.to_string()),
        _ => None,
    };
    let field = |name| asked.message.header(name).map(str::to_string).ok_or(400_u16);
    Ok(Dialog {
        id,
        state: DialogState::Confirmed,
        local: field(HeaderName::To)?,
        remote: field(HeaderName::From)?,
        local_cseq: 1,
        remote_cseq: None,
        invite_cseq: None,
        remote_target: target.ok_or(400_u16)?,
        // RFC 6665 4.4.1: the route set follows from the NOTIFY's Record-Route as a server's does.
        route_set: asked.message.values(HeaderName::RecordRoute).map(str::to_string).collect(),
        secure: false,
        hop: asked.hop,
    })
}

impl State {
    /// Reads the field; what is not known of it is not passed (RFC 6665 8.2.3).
    fn read(notify: &Message) -> Option<State> {
        let value = notify.header(HeaderName::SubscriptionState)?;
        let mut parts = value.split(';').map(str::trim);
        let state = parts.next()?.to_ascii_lowercase();
        let known = ["active", "pending", "terminated"].contains(&state.as_str());
        let params = parts.filter_map(|part| part.split_once('=')).map(|(name, value)| (name.trim(), value.trim()));
        let is_word = |text: &str| text.len() <= 32 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let passes = |(name, value): &(&str, &str)| ["expires", "reason", "retry-after"].contains(name) && is_word(value);
        let params: Vec<(&str, &str)> = params.filter(passes).take(8).collect();
        let expires_s = params.iter().find(|(name, _)| *name == "expires").and_then(|(_, value)| value.parse().ok());
        let last = state == "terminated";
        let text = params.iter().fold(state, |text, (name, value)| format!("{text};{name}={value}"));
        known.then_some(State { text, expires_s: expires_s.filter(|_| !last), last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<(String, Option<u32>, bool)> {
        let text = format!("NOTIFY sip:a@b SIP/2.0\r\nSubscription-State: {value}\r\n\r\n");
        State::read(&Message::parse(text.into()).ok()?).map(|state| (state.text, state.expires_s, state.last))
    }

    #[test]
    fn states() {
        assert_eq!(read("Active ; expires=60;x=pbx.inside"), Some(("active;expires=60".into(), Some(60), false)));
        let last = "terminated;reason=probation;retry-after=5";
        assert_eq!(read(last), Some((last.into(), None, true)));
        assert_eq!(read("terminated;reason=\"at pbx.inside\";expires=0"), Some(("terminated;expires=0".into(), None, true)));
        assert_eq!(read("pending;expires=x"), Some(("pending;expires=x".into(), None, false)));
        assert_eq!((read("gone"), read("")), (None, None));
    }
}
