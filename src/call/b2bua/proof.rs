//! A carrier's or recorder's challenges and the credentials that answer them (RFC 3261 22.2, 22.3). What was asked once is answered in
//! each request of the leg from then on; who asks again has the request again, unless it shows that the password is wrong.

use super::abandoned::Unwanted;
use super::again::{self, Anew};
use super::call::{Call, Leg};
use crate::config::Snapshot;
use crate::context::{Context, Owner};
use crate::route::Source;
use crate::side::Side;
use bytes::Bytes;
use ringfort_base::{Hop, limits};
use ringfort_sip::dialog::Dialog;
use ringfort_sip::digest::{Challenge, Ha1};
use ringfort_sip::message::{Builder, HeaderName, Message, Method};
use ringfort_sip::transaction::TransactionId;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// What a leg to a carrier, or a session with a recorder, knows of its challenges. Those do not outlive the process: the next one is challenged anew.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Proving {
    /// The trunk whose credentials are used; `None`: the peer is no trunk.
    trunk: Option<String>,
    /// The recorder whose credentials are used; `None`: the peer is no recorder.
    #[serde(skip)]
    recorder: Option<String>,
    #[serde(skip)]
    proofs: Vec<Proof>,
    /// Challenges since a request was granted last.
    #[serde(skip)]
    challenged: u32,
    /// Requests within the dialog that have no final response: what was sent, without credentials.
    #[serde(skip)]
    open: Vec<(TransactionId, Hop, Bytes)>,
    /// The other side's own answers to the peer's challenges, for the next request.
    #[serde(skip)]
    borrowed: Vec<(HeaderName, String)>,
}

/// One challenge.
#[derive(Clone, Debug)]
struct Proof {
    /// The field that answers it.
    name: HeaderName,
    challenge: Challenge,
    /// How often it was answered.
    count: u32,
    /// As the last INVITE had it: its ACK has the same (RFC 3261 13.2.2.4).
    of_invite: String,
}

impl Proving {
    /// For a leg of whoever this is.
    pub fn of(party: &Source) -> Proving {
        let trunk = if let Source::Trunk(name) = party { Some(name.clone()) } else { None };
        Proving { trunk, ..Proving::default() }
    }

    /// For a session with this recorder.
    pub fn of_recorder(name: &str) -> Proving {
        Proving { recorder: Some(name.to_string()), ..Proving::default() }
    }

    /// Name and password that answer challenges.
    fn credentials<'a>(&self, snapshot: &'a Snapshot) -> Option<(&'a str, &'a str)> {
        let of_trunk = || snapshot.trunk(self.trunk.as_ref()?)?.credentials();
        let of_recorder = || snapshot.recorder(self.recorder.as_ref()?)?.credentials();
        of_trunk().or_else(of_recorder)
    }

    /// Whether it would answer a challenge.
    fn is_able(&self, cx: &Context) -> bool {
        self.credentials(&cx.snapshot).is_some()
    }

    /// Remembers a request, to send it again with credentials.
    fn remember(&mut self, cx: &Context, id: TransactionId, hop: Hop, octets: Bytes) {
        if self.is_able(cx) && self.open.len() < limits::PROVABLE_MAX {
            self.open.push((id, hop, octets));
        }
    }

    /// A request has its final response, or will have none.
    pub fn forget(&mut self, id: TransactionId) -> Option<(Hop, Bytes)> {
        let place = self.open.iter().position(|(open, ..)| *open == id)?;
        let (_, hop, octets) = self.open.swap_remove(place);
        Some((hop, octets))
    }

    /// Sends a request within a dialog; a challenge to it can be answered.
    pub fn send(&mut self, cx: &mut Context, hop: Hop, octets: Bytes, owner: Owner) -> Option<TransactionId> {
        let id = cx.request(hop, octets.clone(), Some(owner))?;
        self.remember(cx, id, hop, octets);
        Some(id)
    }

    /// The challenged request within this dialog again, with credentials.
    pub fn again(
        &mut self,
        cx: &mut Context,
        dialog: &mut Dialog,
        asked: (TransactionId, Owner, &Message),
    ) -> Option<TransactionId> {
        let (id, owner, response) = asked;
        let (hop, octets) = self.forget(id)?;
        let before = Message::parse(octets).ok()?;
        if !self.take(cx, response) {
            return None;
        }
        dialog.local_cseq = dialog.local_cseq.saturating_add(1);
        let (cseq, via) = (dialog.local_cseq, cx.branch());
        if before.method() == Method::Invite {
            // Its ACK has the same number (RFC 3261 13.2.2.4).
            dialog.invite_cseq = Some(cseq);
        }
        let fields = self.fields(cx, &before.method(), before.request_uri()?);
        let octets = again::reworded(cx, &before, &Anew { hop: &hop, via: &via, cseq, fields: &fields });
        self.send(cx, hop, octets, owner)
    }

    /// A request was granted.
    pub fn granted(&mut self) {
        self.challenged = 0;
    }

    /// Remembers what the carrier asks for. A second challenge to the same is a refusal, unless only the nonce was too old (RFC 7616
    /// 3.3); a nonce that was good before is too old even where that is not written.
    pub fn take(&mut self, cx: &Context, response: &Message) -> bool {
        let (asked, name) = match response.status() {
            Some(401) => (HeaderName::WwwAuthenticate, HeaderName::Authorization),
            Some(407) => (HeaderName::ProxyAuthenticate, HeaderName::ProxyAuthorization),
            _ => return false,
        };
        let Some(challenge) = Challenge::choose(response.headers(asked)).filter(|_| self.is_able(cx)) else { return false };
        let same = |proof: &Proof| proof.name == name && proof.challenge.realm == challenge.realm;
        let known = self.proofs.iter().position(same);
        let is_fresh = |proof: &Proof| proof.challenge.nonce != challenge.nonce && (challenge.stale || proof.count > 1);
        self.challenged += 1;
        let fresh = known.and_then(|place| self.proofs.get(place)).is_none_or(is_fresh);
        if self.challenged > limits::CHALLENGES_ANSWERED_MAX || !fresh {
            return false;
        }
        if let Some(place) = known.or((self.proofs.len() >= limits::CHALLENGES_ANSWERED_MAX as usize).then_some(0)) {
            self.proofs.remove(place);
        }
        self.proofs.push(Proof { name, challenge, count: 0, of_invite: String::new() });
        true
    }

    /// The next request has these answers, which are not the node's.
    pub fn borrow(&mut self, fields: Vec<(HeaderName, String)>) {
        self.borrowed = fields;
    }

    /// The header fields that answer the peer's challenges in the next request.
    pub fn fields(&mut self, cx: &mut Context, method: &Method, uri: &str) -> Vec<(HeaderName, String)> {
        let snapshot = cx.snapshot.clone();
        let mut fields = std::mem::take(&mut self.borrowed);
        let Some((user, password)) = self.credentials(&snapshot) else { return fields };
        for proof in &mut self.proofs {
            proof.count += 1;
            let ha1 = Ha1::new(user, &proof.challenge.realm, password);
            let (cnonce, method) = (cx.entropy.token(16), method.to_string());
            let answer = proof.challenge.answer(user, &ha1, &method, uri, &cnonce, proof.count).to_string();
            if method == "INVITE" {
                proof.of_invite.clone_from(&answer);
            }
            fields.push((proof.name, answer));
        }
        fields
    }

    /// An ACK has the credentials of its INVITE.
    pub fn acknowledging(&self, ack: Builder) -> Builder {
        let proofs = self.proofs.iter().filter(|proof| !proof.of_invite.is_empty());
        proofs.fold(ack, |ack, proof| ack.header(proof.name, &proof.of_invite))
    }
}

impl Leg {
    /// Its INVITE without final response, to be given up.
    pub(super) fn unwanted(&self) -> Option<(TransactionId, Unwanted)> {
        let (id, invite) = self.invite.clone()?;
        Some((id, Unwanted { hop: self.hop, invite, proving: self.proving.clone() }))
    }

    /// Sends a request within this leg's dialog; its call hears the answer.
    pub(super) fn send_inside(&mut self, cx: &mut Context, hop: Hop, octets: Bytes, owner: Owner) -> Option<TransactionId> {
        self.proving.send(cx, hop, octets, owner)
    }
}

impl Call {
    /// A challenge to a request within a dialog that goes out again with credentials, for the same purpose. False: it does not.
    pub(super) fn prove_inside(&mut self, cx: &mut Context, id: TransactionId, response: &Message) -> bool {
        let owner = Owner::Call(self.id);
        let tag = response.to().ok().and_then(|to| to.tag().map(str::to_string)).unwrap_or_default();
        for branch in &mut self.asking.branches {
            let fork = branch.forks.iter_mut().find(|fork| fork.dialog.id.remote_tag == tag);
            let asked = (id, owner.clone(), response);
            if fork.is_some_and(|fork| branch.leg.proving.again(cx, &mut fork.dialog, asked).is_some()) {
                return true;
            }
        }
        for side in [Side::Caller, Side::Callee] {
            let Some(Leg { dialog: Some(dialog), proving, .. }) = self.leg(side) else { continue };
            if let Some(sent) = proving.again(cx, dialog, (id, owner.clone(), response)) {
                self.goes_on_as(side, id, sent);
                return true;
            }
        }
        false
    }

    /// A request within a dialog has its final response, or will have none.
    pub(super) fn inside_over(&mut self, id: TransactionId, granted: bool) {
        let legs = [Some(&mut self.caller), self.callee.as_mut()].into_iter().flatten();
        for leg in legs.chain(self.asking.branches.iter_mut().map(|branch| &mut branch.leg)) {
            if leg.proving.forget(id).is_some() && granted {
                leg.proving.granted();
            }
        }
    }

    /// Another transaction stands for this one.
    fn goes_on_as(&mut self, side: Side, old: TransactionId, new: TransactionId) {
        let follow = |id: &mut TransactionId| *id = if *id == old { new } else { *id };
        self.relayed.iter_mut().for_each(|relayed| follow(relayed.sent_by()));
        self.passed.iter_mut().for_each(|passed| follow(passed.sent_by()));
        self.transfer.iter_mut().flat_map(|transfer| transfer.notified_by()).for_each(follow);
        let Some(leg) = self.leg(side) else { return };
        leg.session
            .refresh
            .iter_mut()
            .chain(&mut leg.asked)
            .chain(leg.pictures.sent_by())
            .chain(leg.dialling.sent_by())
            .for_each(follow);
    }
}

/// BYEs to carriers, which may ask for credentials when their calls are gone already.
#[derive(Default)]
pub(super) struct Partings {
    open: HashMap<TransactionId, Bye>,
}

/// A BYE, and what answers a challenge to it.
pub(super) struct Bye {
    pub hop: Hop,
    pub octets: Bytes,
    pub proving: Proving,
}

impl Partings {
    /// Sends a BYE. The transaction layer bounds the number and the time of those that are remembered.
    pub fn say(&mut self, cx: &mut Context, bye: Bye) {
        let able = bye.proving.is_able(cx);
        if let Some(id) = cx.request(bye.hop, bye.octets.clone(), None).filter(|_| able) {
            self.open.insert(id, bye);
        }
    }

    /// A response came. False: to none of these.
    pub fn answered(&mut self, cx: &mut Context, id: TransactionId, response: &Message) -> bool {
        if response.status().is_none_or(|status| status < 200) {
            return self.open.contains_key(&id);
        }
        let Some(Bye { hop, octets, mut proving }) = self.open.remove(&id) else { return false };
        let Ok(before) = Message::parse(octets) else { return true };
        if proving.take(cx, response) {
            let cseq = before.cseq().map_or(1, |(number, _)| number).saturating_add(1);
            let fields = proving.fields(cx, &Method::Bye, before.request_uri().unwrap_or_default());
            let via = cx.branch();
            let octets = again::reworded(cx, &before, &Anew { hop: &hop, via: &via, cseq, fields: &fields });
            self.say(cx, Bye { hop, octets, proving });
        }
        true
    }

    /// The transaction layer forgot the BYE.
    pub fn over(&mut self, id: TransactionId) {
        self.open.remove(&id);
    }
}
