//! A recorder that asks who the node is (RFC 3261 22): its requests go out again with the credentials of `[[recorder]] auth`.

use super::Live;
use super::answered::Sent;
use crate::b2bua::Env;
use crate::b2bua::abandoned::Unwanted;
use crate::b2bua::again::{self, Anew};
use crate::b2bua::call::Call;
use crate::context::{Context, Owner};
use bytes::Bytes;
use ringfort_base::Hop;
use ringfort_sip::message::{Message, Method};
use ringfort_sip::transaction::TransactionId;

impl Call {
    /// A challenge to a request of the recording session. True: the request goes out again.
    pub(super) fn prove_to_recorder(&mut self, env: &mut Env<'_>, id: TransactionId, sent: &Sent, response: &Message) -> bool {
        let owner = Owner::Call(self.id);
        let Some(recorded) = &mut self.recorded else { return false };
        let Some(live) = &mut recorded.live else { return false };
        match (sent, &mut recorded.dialog) {
            (Sent::Invite, None) => {
                let Some((octets, hop)) = live.invite_again(env.cx, response).map(|octets| (octets, live.hop)) else {
                    return false;
                };
                let Some(next) = env.cx.request(hop, octets.clone(), Some(owner)) else { return false };
                live.invite = (next, octets);
            }
            (Sent::Change | Sent::Alive, Some(dialog)) => {
                let Some(next) = live.proving.again(env.cx, dialog, (id, owner, response)) else { return false };
                live.asked.iter_mut().for_each(|(asked, _)| *asked = next);
            }
            _ => return false,
        }
        true
    }

    /// A request of the session has its final response.
    pub(super) fn recorder_granted(&mut self, id: TransactionId, granted: bool) {
        let Some(live) = self.recorded.as_mut().and_then(|recorded| recorded.live.as_mut()) else { return };
        live.proving.forget(id);
        if granted {
            live.proving.granted();
        }
    }
}

impl Live {
    /// The INVITE with the credentials that this response asks for. `None`: there are none, or they were in vain.
    fn invite_again(&mut self, cx: &mut Context, response: &Message) -> Option<Bytes> {
        let before = Message::parse(self.invite.1.clone()).ok()?;
        if !self.proving.take(cx, response) {
            return None;
        }
        let cseq = before.cseq().map_or(1, |(number, _)| number).saturating_add(1);
        let (fields, via) = (self.proving.fields(cx, &Method::Invite, before.request_uri()?), cx.branch());
        Some(again::reworded(cx, &before, &Anew { hop: &self.hop, via: &via, cseq, fields: &fields }))
    }

    /// Its INVITE, to be given up.
    pub(super) fn unwanted(&self, hop: Hop) -> Unwanted {
        Unwanted { hop, invite: self.invite.1.clone(), proving: self.proving.clone() }
    }
}
