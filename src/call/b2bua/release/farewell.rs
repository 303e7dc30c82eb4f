//! BYEs that wait. Who answered a call must not hang up before the ACK of its 2xx came or was given up (RFC 3261 15): a BYE that
//! overtakes the 2xx meets a caller that knows of no call, and leaves it alone with one afterwards.

use crate::b2bua::proof::{Bye, Partings};
use crate::context::Context;
use bytes::Bytes;
use ringfort_base::Hop;
use ringfort_sip::transaction::TransactionId;
use std::collections::HashMap;

/// A BYE as it is written down.
pub(crate) type Farewell = (Hop, Vec<u8>);

/// BYEs by the INVITE whose ACK they wait for. The transaction layer bounds their number and their time.
#[derive(Default)]
pub(in crate::b2bua) struct Farewells {
    waiting: HashMap<TransactionId, Bye>,
    /// By Call-ID and the node's own tag, as the ACK names it.
    of_dialog: HashMap<(String, String), TransactionId>,
}

impl Farewells {
    /// Sends `bye` when the 2xx to `invite` was acknowledged, or will not be any more.
    /// A process that begins meanwhile sends it at once: nobody will tell it of the ACK.
    pub fn wait(&mut self, cx: &mut Context, invite: TransactionId, dialog: (String, String), bye: Bye) {
        cx.persist(key(invite), crate::kept::write(&(bye.hop, bye.octets.as_ref())));
        self.waiting.insert(invite, bye);
        self.of_dialog.insert(dialog, invite);
    }

    /// An ACK came.
    pub fn acknowledged(&mut self, cx: &mut Context, byes: &mut Partings, dialog: &(String, String)) {
        if let Some(invite) = self.of_dialog.get(dialog).copied() {
            cx.transactions.ack_received(cx.now.mono, invite);
            self.send(cx, byes, invite);
        }
    }

    /// No ACK will come, or the transaction is over.
    pub fn send(&mut self, cx: &mut Context, byes: &mut Partings, invite: TransactionId) {
        if let Some(bye) = self.waiting.remove(&invite) {
            self.of_dialog.retain(|_, waiting| *waiting != invite);
            cx.persist(key(invite), None);
            byes.say(cx, bye);
        }
    }
}

/// Journal key of a BYE that waits.
fn key(invite: TransactionId) -> String {
    format!("bye/{invite}")
}

/// Sends the BYEs that waited when an earlier process died. A connection of that process is gone.
pub(in crate::b2bua) fn resume(cx: &mut Context, waiting: Vec<(String, Farewell)>) {
    for (key, (hop, bye)) in waiting {
        cx.persist(key, None);
        cx.request(Hop { flow: hop.flow.filter(|_| !hop.transport.is_reliable()), ..hop }, Bytes::from(bye), None);
    }
}
