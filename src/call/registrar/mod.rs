//! Registrations. In normal mode a REGISTER is relayed to the cloud and what the cloud granted is kept; otherwise the node
//! authenticates and grants itself. Either way the binding stands here, so that the node can take over at any moment.

mod away;
mod binding;
mod gruu;
mod local;
mod relayed;
mod request;
mod table;

pub use binding::{Binding, Device};
pub use gruu::{Meant, Seal, is_gruu};
pub use table::BindingTable;

use crate::auth::Authenticator;
use crate::context::Context;
use crate::peers::Peers;
use crate::status::RegistrationStatus;
use crate::wake::Wake;
use away::Away;
use relayed::Pending;
use request::RegisterRequest;
use ringfort_base::event::Mode;
use ringfort_base::{Event, Hop};
use ringfort_sip::message::{Builder, HeaderName, Message};
use ringfort_sip::transaction::TransactionId;
use std::collections::HashMap;

/// Journal key of the seal of temporary GRUUs.
pub(crate) const SEAL_KEY: &str = "gruu-seal";

/// The registrar's state.
#[derive(Default)]
pub struct Registrar {
    /// Bindings of all addresses of record.
    pub table: BindingTable,
    away: Away,
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
        for binding in self.table.remove_due(cx.now.mono) {
            forgotten(cx, &binding, "expired");
        }
        self.arm(cx);
    }

    fn arm(&self, cx: &mut Context) {
        cx.timers.set(Wake::ExpireBindings, self.table.next_expiry().unwrap_or(ringfort_base::Time::NEVER));
    }

    /// Takes bindings over that an earlier process wrote down. A connection did not survive it: such a device is known, but
    /// reached only when it connects again.
    pub fn restore(&mut self, cx: &mut Context, bindings: Vec<Binding>) -> usize {
        for mut binding in bindings {
            binding.hop.flow = None;
            binding.until = cx.now.mono + binding.expires.left(cx.now.wall);
            if binding.expires > cx.now.wall && !binding.hop.transport.is_reliable() {
                cx.border.follow_device(&binding.hop, &binding.user_agent);
                self.table.put(binding);
            } else {
                cx.persist(binding.key(), None);
            }
        }
        self.arm(cx);
        self.table.len()
    }

    /// The key of temporary GRUUs: that of the process before, or a new one, which is written down.
    pub fn take_seal(&mut self, cx: &mut Context, kept: Option<[u8; 32]>) {
        let key = kept.unwrap_or_else(|| {
            let mut key = [0; 32];
            cx.entropy.fill(&mut key);
            cx.persist(SEAL_KEY.into(), crate::kept::write(&key));
            key
        });
        self.table.seal = Seal::new(key);
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
