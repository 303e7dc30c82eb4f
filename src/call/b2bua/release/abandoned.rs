//! INVITEs that their call gave up: cancelled, but the peer may answer before it sees the CANCEL. Such a 2xx is acknowledged and,
//! unless it lies within a dialog that stands, released at once (RFC 3261 9.1, 13.2.2.4), long after the call itself may be gone.

use crate::b2bua::proof::{Bye, Partings, Proving};
use crate::b2bua::write;
use crate::context::Context;
use crate::side::Side;
use bytes::Bytes;
use ringfort_base::{CallId, Hop};
use ringfort_sip::dialog::Dialog;
use ringfort_sip::message::{HeaderName, Message, Method};
use ringfort_sip::transaction::TransactionId;
use std::collections::HashMap;

/// INVITEs given up, until the transaction layer forgets them.
#[derive(Default)]
pub(in crate::b2bua) struct Abandoned {
    invites: HashMap<TransactionId, Late>,
    /// The BYEs that end what such INVITEs, and calls, have begun.
    pub byes: Partings,
}

/// An INVITE that nobody wants an answer of.
#[derive(Clone)]
pub(in crate::b2bua) struct Unwanted {
    pub hop: Hop,
    /// As it was sent.
    pub invite: Bytes,
    pub proving: Proving,
}

/// What a late 2xx meets.
#[derive(Clone)]
enum Late {
    /// It founds a dialog that nobody wants: ACK and BYE.
    Release(Unwanted),
    /// The call that it began is over. With this tag it is a repeat: the ACK again. With another one it is of a fork: ACK and BYE.
    Others(Unwanted, String, Option<(Hop, Bytes)>),
    /// It answers a re-INVITE: ACK, as made in its dialog. The peer has changed what nobody else has.
    Acknowledge(Hop, Bytes, (CallId, Side)),
}

/// What a response to an INVITE that was given up means.
pub(in crate::b2bua) enum Answered {
    /// It is not one of those.
    Unknown,
    /// Nothing more is to do.
    Settled,
    /// This leg's peer accepted a change that was taken back.
    Diverged(CallId, Side),
}

impl Abandoned {
    /// Cancels an INVITE and remembers it. `reason`: value of Reason (RFC 3326).
    pub fn give_up(&mut self, cx: &mut Context, id: TransactionId, invite: Unwanted, reason: Option<&str>) {
        self.cancel(cx, id, Late::Release(invite), reason);
    }

    /// Cancels a re-INVITE and remembers its ACK.
    pub fn give_up_within(&mut self, cx: &mut Context, id: TransactionId, hop: Hop, ack: Bytes, leg: (CallId, Side)) {
        self.cancel(cx, id, Late::Acknowledge(hop, ack, leg), None);
    }

    /// The leg that an INVITE founded, with this tag, is over; repeats of its 2xx, and those of other branches of a fork, may still come.
    pub fn outlive(&mut self, cx: &mut Context, id: TransactionId, invite: Unwanted, tag: &str, ack: Option<(Hop, Bytes)>) {
        // None: the transaction layer forgot it already.
        if cx.owners.remove(&id).is_some() {
            self.invites.insert(id, Late::Others(invite, tag.to_string(), ack));
        }
    }

    fn cancel(&mut self, cx: &mut Context, id: TransactionId, late: Late, reason: Option<&str>) {
        cx.owners.remove(&id);
        let reason = reason.map(|reason| (HeaderName::Reason, reason));
        // Fails only when the transaction is over already; then nothing is left to cancel.
        if cx.transactions.cancel(cx.now.mono, id, reason.as_slice()).is_ok() {
            self.invites.insert(id, late);
        }
    }

    /// A response came.
    pub fn answered(&mut self, cx: &mut Context, id: TransactionId, response: &Message) -> Answered {
        if self.byes.answered(cx, id, response) {
            return Answered::Settled;
        }
        let Some(late) = self.invites.get(&id).cloned() else { return Answered::Unknown };
        if !response.status().is_some_and(|s| (200..300).contains(&s)) {
            return Answered::Settled;
        }
        match late {
            Late::Release(invite) => self.acknowledge_and_release(cx, invite, response),
            Late::Others(_, tag, ack) if response.to().is_ok_and(|to| to.tag() == Some(tag.as_str())) => {
                ack.into_iter().for_each(|(hop, ack)| cx.send(hop, ack));
            }
            Late::Others(invite, ..) => self.acknowledge_and_release(cx, invite, response),
            Late::Acknowledge(hop, ack, (call, side)) => {
                cx.send(hop, ack);
                return Answered::Diverged(call, side);
            }
        }
        Answered::Settled
    }

    /// The transaction layer forgot the INVITE.
    pub fn over(&mut self, id: TransactionId) {
        self.invites.remove(&id);
        self.byes.over(id);
    }

    /// ACK and BYE for a 2xx that nobody wants: late after CANCEL, or of another branch of a fork.
    pub fn acknowledge_and_release(&mut self, cx: &mut Context, invite: Unwanted, response: &Message) {
        let Unwanted { hop, invite, mut proving } = invite;
        let Ok(invite) = Message::parse(invite) else { return };
        let Ok(mut dialog) = Dialog::uac(&invite, response, hop) else { return };
        if let Some(ack) = write::ack(cx, &dialog) {
            cx.send(hop, proving.acknowledging(ack).build());
        }
        let bye = write::inside(cx, &mut dialog, &Method::Bye);
        let fields = proving.fields(cx, &Method::Bye, &dialog.remote_target);
        let bye = fields.iter().fold(bye, |bye, (name, value)| bye.header(*name, value)).build();
        self.byes.say(cx, Bye { hop, octets: bye, proving });
    }
}
