//! Requests that are no calls: subscriptions (RFC 6665), PUBLISH (RFC 3903), MESSAGE (RFC 3428) and NOTIFYs that nobody asked for.
//!
//! A subscription is a pair of dialogs, one with the subscriber and one with whoever notifies; nothing of one is seen on the other.
//! A device subscribes at the cloud, the cloud may subscribe at a device. Without the cloud the node itself notifies of `dialog`, from
//! its own calls. What founds no dialog is one request, routed as a call would be.
//!
//! Read on in this order: [`subscription`] (what is kept), [`subscribe`] (a subscription begins, is refreshed, ends), [`notify`], [`own`]
//! and [`dialogs`] (the node as the notifier), [`table`] (time, restart, the cloud's loss and return), [`single`].

mod dialogs;
pub(crate) mod document;
mod notify;
mod own;
pub(crate) mod single;
mod subscribe;
mod subscription;
mod table;
mod write;

pub use dialogs::Row;
pub use subscription::Subscription;

use crate::b2bua::Env;
use crate::b2bua::identity::{self, Stranger};
use crate::b2bua::write::own_value;
use crate::context::{Context, Owner};
use crate::route::Source;
use bytes::Bytes;
use ringfort_base::{Hop, Time};
use ringfort_sip::message::{Builder, HeaderName, Message, Method};
use ringfort_sip::transaction::TransactionId;
use single::Single;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use subscription::End;

/// Event packages that are relayed.
const PACKAGES: [&str; 3] = ["message-summary", "dialog", "presence"];
/// The same as a header value.
pub(crate) const ALLOW_EVENTS: &str = "message-summary, dialog, presence";
/// The one package that the node knows itself.
const OWN_PACKAGE: &str = "dialog";
/// Seconds after which whoever met the cloud's absence may ask again.
const AGAIN_S: &str = "60";

/// A request as it came.
pub(crate) struct Asked {
    /// Its transaction.
    pub id: TransactionId,
    /// Whence.
    pub hop: Hop,
    /// The request.
    pub message: Message,
}

/// What waits for another party's answer.
enum Pending {
    /// A SUBSCRIBE that was sent on.
    Subscribe { subscription: u64, asked: Asked, sent: Bytes, first: bool },
    /// A NOTIFY that was sent on.
    Notify { subscription: u64, asked: Asked, last: bool },
    /// A NOTIFY of the node's own.
    Own { subscription: u64 },
    /// A request outside any dialog, with its branches.
    Single(Box<Single>),
}

/// All of them.
#[derive(Default)]
pub(crate) struct Events {
    live: BTreeMap<u64, Subscription>,
    /// By Call-ID and the node's tag.
    dialogs: HashMap<(String, String), (u64, End)>,
    /// When each has to be looked at.
    due: BTreeSet<(Time, u64)>,
    /// How many each subscriber has.
    shares: HashMap<String, usize>,
    pending: BTreeMap<u64, Pending>,
    /// Requests among them that found no dialog.
    singles: usize,
    /// Subscriptions that the node notifies itself.
    own: usize,
    /// When their subscribers are told next.
    look: Option<Time>,
    /// When they were told last.
    looked: Time,
    next: u64,
}

impl Events {
    /// None; numbers begin behind `first_id`.
    pub fn new(first_id: u64) -> Events {
        Events { next: first_id, ..Events::default() }
    }

    /// A request outside any dialog that is one of these.
    pub fn requested(&mut self, env: &mut Env<'_>, asked: Asked) {
        match asked.message.method() {
            Method::Subscribe => self.subscribed(env, asked),
            Method::Publish => self.published(env, asked),
            Method::Message => self.messaged(env, asked),
            Method::Notify => self.told(env, asked),
            // RFC 6086 4.2.2 and the like: they mean nothing without a dialog.
            _ => reply(env.cx, &asked, 481, &[]),
        }
    }

    /// A request inside a dialog. `None`: it was one of these; else it is handed back.
    pub fn within(&mut self, env: &mut Env<'_>, asked: Asked) -> Option<Asked> {
        let Some((subscription, end)) = self.dialog_of(&asked.message) else { return Some(asked) };
        match (end, asked.message.method()) {
            (End::Subscriber, Method::Subscribe) => self.refreshed(env, subscription, asked),
            (End::Notifier, Method::Notify) => self.notified(env, subscription, asked),
            _ => reply(env.cx, &asked, 405, &[(HeaderName::Allow, crate::ALLOW.into())]),
        }
        None
    }

    /// Subscriptions, and what waits for an answer.
    pub fn residue(&self) -> [usize; 2] {
        [self.live.len(), self.pending.len()]
    }

    /// Whether a request names one of these dialogs.
    pub fn knows(&self, request: &Message) -> bool {
        self.dialog_of(request).is_some()
    }

    fn dialog_of(&self, request: &Message) -> Option<(u64, End)> {
        let name = (request.call_id().ok()?.to_string(), request.to().ok()?.tag()?.to_string());
        self.dialogs.get(&name).copied()
    }

    /// A response to a request that was sent on.
    pub fn answered(&mut self, env: &mut Env<'_>, key: u64, id: TransactionId, hop: Hop, response: &Message) {
        let status = response.status().unwrap_or(500);
        if status >= 200 {
            self.finished(env, key, id, status, Some((hop, response)));
        }
    }

    /// It will have none.
    pub fn failed(&mut self, env: &mut Env<'_>, key: u64, id: TransactionId) {
        self.finished(env, key, id, 408, None);
    }

    fn finished(&mut self, env: &mut Env<'_>, key: u64, id: TransactionId, status: u16, response: Option<(Hop, &Message)>) {
        match self.pending.remove(&key) {
            Some(Pending::Subscribe { subscription, asked, sent, first }) => {
                let answer = subscribe::Answer { asked, sent, first, status, response };
                self.subscribe_answered(env, subscription, answer);
            }
            Some(Pending::Notify { subscription, asked, last }) => self.notify_answered(env, subscription, &asked, last, status),
            // RFC 6665 4.2.2: whoever does not know the subscription, or is not there, is not told again.
            Some(Pending::Own { subscription }) if ends_subscription(status) => self.remove(env.cx, subscription),
            Some(Pending::Single(single)) => {
                self.single_answered(env, key, single, id, status, response.map(|(_, message)| message))
            }
            Some(Pending::Own { .. }) | None => {}
        }
    }

    /// Sends a request whose answer concerns `pending`. False: there is no room for it, and who waits for its answer has been told.
    fn send(&mut self, cx: &mut Context, hop: Hop, octets: Bytes, pending: Pending) -> bool {
        self.next += 1;
        let sent = cx.request(hop, octets, Some(Owner::Event(self.next))).is_some();
        match pending {
            pending if sent => drop(self.pending.insert(self.next, pending)),
            Pending::Subscribe { asked, .. } | Pending::Notify { asked, .. } => busy(cx, &asked),
            Pending::Own { .. } | Pending::Single(_) => {}
        }
        sent
    }
}

/// Who sends it. `None`: nobody who may, and he has been answered.
fn admitted(env: &mut Env<'_>, asked: &Asked) -> Option<Source> {
    match identity::source_of(env, &asked.hop, &asked.message) {
        Ok(source) => return Some(source),
        Err(Stranger::Forbidden) => reply(env.cx, asked, 403, &[]),
        Err(Stranger::Challenge(values)) => {
            let headers: Vec<_> = values.into_iter().map(|value| (HeaderName::ProxyAuthenticate, value)).collect();
            reply(env.cx, asked, 407, &headers);
        }
    }
    None
}

/// Answers that end a subscription, whoever gives them (RFC 6665 4.1.2.2, 4.2.2), and silence.
fn ends_subscription(status: u16) -> bool {
    matches!(status, 404 | 405 | 408 | 410 | 416 | 480..=485 | 489 | 501 | 604)
}

fn reply(cx: &mut Context, asked: &Asked, status: u16, headers: &[(HeaderName, String)]) {
    let tag = cx.tag();
    reply_tagged(cx, asked, status, &tag, headers);
}

fn reply_tagged(cx: &mut Context, asked: &Asked, status: u16, tag: &str, headers: &[(HeaderName, String)]) {
    let reply = Builder::reply(&asked.message, status, None, Some(tag));
    cx.respond(asked.id, headers.iter().fold(reply, |reply, (name, value)| reply.header(*name, value)).build());
}

/// There is no room for it now.
fn busy(cx: &mut Context, asked: &Asked) {
    reply(cx, asked, 503, &[(HeaderName::RetryAfter, "5".into())]);
}

/// These header fields of a response, as the other party may read them.
fn passed(response: &Message, names: &[HeaderName]) -> Vec<(HeaderName, String)> {
    let own = |name: HeaderName, value: &str| match name {
        HeaderName::RetryAfter => own_value(value),
        _ => Some(value.to_string()),
    };
    names.iter().flat_map(|name| response.headers(*name).filter_map(move |value| Some((*name, own(*name, value)?)))).collect()
}
