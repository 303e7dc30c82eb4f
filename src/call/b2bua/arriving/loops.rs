//! INVITEs that come back: the same one by another way (RFC 3261 8.2.2.2), or one that the node itself sent (RFC 5393 4.2). The node
//! recognises its own by the Via branch, which proxies leave in place; it is a loop when the same question comes from the same source, for
//! a cloud that sends a call back to a device asks another one.

use crate::route::Source;
use ringfort_base::{CallId, limits};
use ringfort_sip::message::{HeaderName, Message, Via};
use std::collections::HashMap;

/// INVITEs of calls that are not answered yet, received and sent.
#[derive(Default)]
pub(in crate::b2bua) struct Loops {
    /// Call-ID, From tag and CSeq number of those received.
    received: HashMap<(String, String, u32), CallId>,
    /// By Via branch.
    sent: HashMap<String, CallId>,
    calls: HashMap<CallId, Known>,
}

/// What is known of a call.
struct Known {
    received: (String, String, u32),
    sent: Vec<String>,
    source: Source,
    number: String,
    /// The call of the node whose INVITE came back as this one.
    parent: Option<CallId>,
}

impl Loops {
    /// What is wrong with an INVITE, for the reason phrase of 482.
    pub fn judge(&self, invite: &Message, source: &Source, number: &str) -> Option<&'static str> {
        if name(invite).is_some_and(|name| self.received.contains_key(&name)) {
            return Some("Merged Request");
        }
        let mut next = self.parent(invite);
        for _ in 0..limits::SIP_LIST_VALUES_MAX {
            let known = self.calls.get(&next?)?;
            if known.source == *source && known.number == number {
                return Some("Loop Detected");
            }
            next = known.parent;
        }
        None
    }

    /// The call whose INVITE this is.
    fn parent(&self, invite: &Message) -> Option<CallId> {
        let vias = invite.values(HeaderName::Via).skip(1).take(limits::SIP_LIST_VALUES_MAX);
        vias.filter_map(|via| Via::parse(via).ok()?.branch).find_map(|branch| self.sent.get(branch).copied())
    }

    /// A call begins.
    pub fn begun(&mut self, call: CallId, invite: &Message, source: &Source, number: &str) {
        let Some(received) = name(invite) else { return };
        let known = Known {
            received: received.clone(),
            sent: Vec::new(),
            source: source.clone(),
            number: number.to_string(),
            parent: self.parent(invite),
        };
        self.received.insert(received, call);
        self.calls.insert(call, known);
    }

    /// It sends an INVITE.
    pub fn sent(&mut self, call: CallId, branch: &str) {
        if let Some(known) = self.calls.get_mut(&call) {
            known.sent.push(branch.to_string());
            self.sent.insert(branch.to_string(), call);
        }
    }

    /// It is answered or over.
    pub fn over(&mut self, call: CallId) {
        let Some(known) = self.calls.remove(&call) else { return };
        self.received.remove(&known.received);
        for branch in known.sent {
            self.sent.remove(&branch);
        }
    }
}

fn name(invite: &Message) -> Option<(String, String, u32)> {
    let tag = invite.from().ok()?.tag().unwrap_or_default().to_string();
    Some((invite.call_id().ok()?.to_string(), tag, invite.cseq().ok()?.0))
}

/// How many branches the sender allows to be alive at once (RFC 5393 5.3.1).
pub(in crate::b2bua) fn breadth(invite: &Message) -> Option<u32> {
    invite.header_named("Max-Breadth")?.trim().parse().ok()
}
