//! INVITEs that their call gave up: cancelled, but the peer may answer before it sees the CANCEL. Such a 2xx is acknowledged and,
//! unless it lies within a dialog that stands, released at once (RFC 3261 9.1, 13.2.2.4), long after the call itself may be gone.

use super::write;
use crate::context::Context;
use bytes::Bytes;
use ringfort_base::Hop;
use ringfort_sip::dialog::Dialog;
use ringfort_sip::message::{Message, Method};
use ringfort_sip::transaction::TransactionId;
use std::collections::HashMap;

/// INVITEs given up, until the transaction layer forgets them.
#[derive(Default)]
pub(super) struct Abandoned {
    invites: HashMap<TransactionId, Late>,
}

/// What a late 2xx meets.
#[derive(Clone)]
enum Late {
    /// It founds a dialog that nobody wants: ACK and BYE. The INVITE as it was sent.
    Release(Hop, Bytes),
    /// It answers a re-INVITE: ACK, as made in its dialog.
    Acknowledge(Hop, Bytes),
}

impl Abandoned {
    /// Cancels an INVITE and remembers it.
    pub fn give_up(&mut self, cx: &mut Context, id: TransactionId, hop: Hop, invite: Bytes) {
        self.cancel(cx, id, Late::Release(hop, invite));
    }

    /// Cancels a re-INVITE and remembers its ACK.
    pub fn give_up_within(&mut self, cx: &mut Context, id: TransactionId, hop: Hop, ack: Bytes) {
        self.cancel(cx, id, Late::Acknowledge(hop, ack));
    }

    fn cancel(&mut self, cx: &mut Context, id: TransactionId, late: Late) {
        cx.owners.remove(&id);
        // Fails only when the transaction is over already; then nothing is left to cancel.
        if cx.transactions.cancel(cx.now.mono, id, &[]).is_ok() {
            self.invites.insert(id, late);
        }
    }

    /// A response came. False: not to one of these.
    pub fn answered(&mut self, cx: &mut Context, id: TransactionId, response: &Message) -> bool {
        let Some(late) = self.invites.get(&id).cloned() else { return false };
        if response.status().is_some_and(|s| (200..300).contains(&s)) {
            match late {
                Late::Release(hop, invite) => acknowledge_and_release(cx, hop, invite, response),
                Late::Acknowledge(hop, ack) => cx.send(hop, ack),
            }
        }
        true
    }

    /// The transaction layer forgot the INVITE.
    pub fn over(&mut self, id: TransactionId) {
        self.invites.remove(&id);
    }
}

/// ACK and BYE for a 2xx that nobody wants: late after CANCEL, or of another branch of a fork.
pub(super) fn acknowledge_and_release(cx: &mut Context, hop: Hop, invite: Bytes, response: &Message) {
    let Ok(invite) = Message::parse(invite) else { return };
    let Ok(mut dialog) = Dialog::uac(&invite, response, hop) else { return };
    if let Some(ack) = write::ack(cx, &dialog) {
        cx.send(hop, ack);
    }
    let bye = write::inside(cx, &mut dialog, &Method::Bye).build();
    cx.request(hop, bye, None);
}
