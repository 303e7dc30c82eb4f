//! Registrations. In normal mode a REGISTER is relayed to the cloud and what the cloud granted is kept; otherwise the node
//! authenticates and grants itself. Either way the binding stands here, so that the node can take over at any moment.

mod binding;
mod local;
mod relayed;
mod request;

pub use binding::{Binding, BindingTable};

use crate::auth::Authenticator;
use crate::context::Context;
use crate::peers::Peers;
use crate::status::RegistrationStatus;
use crate::wake::Wake;
use relayed::Pending;
use request::RegisterRequest;
use ringfort_base::event::Mode;
use ringfort_base::{Event, FlowId, Hop};
use ringfort_sip::message::{Builder, HeaderName, Message};
use ringfort_sip::transaction::TransactionId;
use std::collections::HashMap;

/// The registrar's state.
#[derive(Default)]
pub struct Registrar {
    /// Bindings of all addresses of record.
    pub table: BindingTable,
    pending: HashMap<u64, Pending>,
    next_pending: u64,
}

/// What a part of the registrar needs beside the context.
pub struct Surroundings<'a> {
    /// Digest.
    pub auth: &'a mut Authenticator,
    /// The cloud.
    pub peers: &'a mut Peers,
    /// Mode now.
    pub mode: Mode,
}

impl Registrar {
    /// A REGISTER came.
    pub fn handle(&mut self, cx: &mut Context, around: Surroundings<'_>, id: TransactionId, hop: Hop, message: &Message) {
        let request = match RegisterRequest::read(cx, message) {
            Ok(request) => request,
            Err(refusal) => return reply(cx, id, message, refusal.status, Some(refusal.reason), &[]),
        };
        match around.mode {
            Mode::Normal => self.relay(cx, around, Asked { id, hop, message: message.clone(), request }),
            Mode::Standalone | Mode::Survivable => {
                self.grant_locally(cx, around, Asked { id, hop, message: message.clone(), request })
            }
        }
    }

    /// A connection ended: what was reached by it cannot be reached any more.
    pub fn flow_closed(&mut self, cx: &mut Context, flow: FlowId) {
        for binding in self.table.remove_where(|b| b.hop.flow == Some(flow)) {
            forgotten(cx, &binding, "flow-closed");
        }
    }

    /// Another configuration is in force: who has no account any more is not registered here any more. What the cloud granted
    /// is the cloud's to end.
    pub fn reloaded(&mut self, cx: &mut Context) {
        let snapshot = cx.snapshot.clone();
        for binding in self.table.remove_where(|b| !b.by_cloud && !snapshot.accounts.contains_key(&b.user)) {
            forgotten(cx, &binding, "removed");
        }
    }

    /// Removes what ran out, and sets the timer for the next.
    pub fn expire(&mut self, cx: &mut Context) {
        let wall = cx.now.wall;
        for binding in self.table.remove_where(|b| b.expires <= wall) {
            forgotten(cx, &binding, "expired");
        }
        self.arm(cx);
    }

    fn arm(&self, cx: &mut Context) {
        let at = self.table.next_expiry().map(|wall| cx.now.mono + wall.left(cx.now.wall));
        cx.timers.set(Wake::ExpireBindings, at.unwrap_or(ringfort_base::Time::NEVER));
    }

    /// Takes bindings over that an earlier process wrote down. A connection did not survive it: such a device is known, but
    /// reached only when it connects again.
    pub fn restore(&mut self, cx: &mut Context, bindings: Vec<Binding>) -> usize {
        for mut binding in bindings {
            binding.hop.flow = None;
            if binding.expires > cx.now.wall && !binding.hop.transport.is_reliable() {
                self.table.put(binding);
            } else {
                cx.persist(binding.key(), None);
            }
        }
        self.arm(cx);
        self.table.len()
    }

    /// For the page, sorted by address of record.
    pub fn status(&self, domain: &str) -> Vec<RegistrationStatus> {
        self.table.iter().map(|b| b.status(domain)).collect()
    }
}

/// One REGISTER on its way through the registrar.
pub(crate) struct Asked {
    pub id: TransactionId,
    pub hop: Hop,
    pub message: Message,
    pub request: RegisterRequest,
}

/// Sends a reply with further headers.
fn reply(
    cx: &mut Context,
    id: TransactionId,
    message: &Message,
    status: u16,
    reason: Option<&str>,
    more: &[(HeaderName, String)],
) {
    let tag = cx.tag();
    let builder = Builder::reply(message, status, reason, Some(&tag));
    let octets = more.iter().fold(builder, |b, (name, value)| b.header(*name, value)).build();
    cx.respond(id, octets);
}

fn forgotten(cx: &mut Context, binding: &Binding, reason: &str) {
    cx.persist(binding.key(), None);
    cx.event(Event::Unregistered { aor: binding.user.clone().into(), reason: reason.into() });
}
