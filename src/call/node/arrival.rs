//! What receives and admits a message, before it belongs to any transaction: the screen, the realm, the shield.

use super::Node;
use crate::context::Output;
use crate::overload::Stage;
use crate::shield::{Request, ShieldCommand, Standing};
use bytes::Bytes;
use ringfort_base::{Event, Hop, SourceNet};
use ringfort_sip::message::{Builder, Message, Method, ParseError};
use ringfort_sip::screen::uas::Uas;
use ringfort_sip::screen::{self, Verdict};

impl Node {
    /// Whether cloud or a trunk speaks over this hop: by its address, or by its certificate.
    pub(super) fn is_peer(&self, hop: &Hop) -> bool {
        self.is_certified(hop) || self.peers.by_source(&self.cx.own, hop).is_some()
    }

    fn is_certified(&self, hop: &Hop) -> bool {
        let proved = hop.flow.and_then(|flow| self.cx.proved.get(&flow));
        proved.is_some_and(|names| self.peers.by_certificate(names).is_some())
    }

    /// Octets that are no message.
    pub(super) fn unparsed(&mut self, hop: Hop, octets: Bytes, error: ParseError) {
        self.cx.totals.messages_in += 1;
        if !self.is_peer(&hop) && !self.shield.tolerates_malformed(&mut self.cx, &hop) {
            return;
        }
        let tag = self.cx.tag();
        let reply = |status, reason: &str| screen::reply_unparsed(&octets, status, reason, &tag);
        self.rejected(hop, screen::screen_unparsed(&octets, error), reply);
    }

    /// A message, on its way to its transaction.
    pub(super) fn received(&mut self, hop: Hop, message: Message) {
        self.cx.totals.messages_in += 1;
        // Rules may mend what the screen would refuse; the transaction layer matches the message as it came.
        let previewed = self.cx.previewed(&hop, &message);
        let read = previewed.as_ref().unwrap_or(&message);
        match screen::screen(read) {
            Verdict::Accept => {
                if self.is_certified(&hop) {
                    self.cx.reuse.offered(&hop, read);
                }
                if !message.is_request() || self.is_let_in(hop, read) {
                    self.cx.transactions.receive(self.cx.now.mono, hop, message);
                }
            }
            verdict => {
                let known = self.is_peer(&hop);
                if message.is_request() && !known && !self.shield.tolerates_malformed(&mut self.cx, &hop) {
                    return;
                }
                let tag = self.cx.tag();
                // The Via of a request tells where its sender wants the answer only after it says where it came from.
                let stamped = message.received_from(hop.remote);
                let reply = |status, reason: &str| Some(Builder::reply(&stamped, status, Some(reason), Some(&tag)).build());
                self.rejected(hop, verdict, reply);
            }
        }
    }

    /// Whether a sound request goes on to its transaction; if not, it is dropped or answered already. A peer, a known device and
    /// whoever speaks inside a dialog goes on, unless the node is too far behind.
    pub(super) fn is_let_in(&mut self, hop: Hop, message: &Message) -> bool {
        let request = Request { hop, message, mode: self.survival.mode };
        let known = self.is_peer(&hop);
        if !known && self.is_out_of_bounds(&hop, message) {
            if self.shield.tolerates_malformed(&mut self.cx, &hop) {
                let (tag, stamped) = (self.cx.tag(), message.received_from(hop.remote));
                let verdict = Verdict::Reply { rule: "realm-without-users", status: 403, reason: "Forbidden".into() };
                self.rejected(hop, verdict, |status, reason| Some(UAS.refuse(&stamped, status, reason, &tag).build()));
            }
            return false;
        }
        let standing = if known { Standing::Known } else { self.shield.standing(&self.cx, &request) };
        // Whoever repeats what is being worked on has its one answer, even if the node would answer a new request otherwise by now.
        let within = standing == Standing::Unknown && (self.calls.knows(message) || self.events.knows(message));
        if within {
            self.cx.outputs.push_back(Output::Shield(ShieldCommand::Expect { source: SourceNet::of(hop.remote.ip()) }));
        }
        let expected = within || (standing == Standing::Unknown && self.cx.transactions.holds(message));
        let standing = if expected { Standing::Known } else { standing };
        if standing == Standing::Unknown
            && let verdict @ Verdict::Reply { .. } = UAS.screen(message)
        {
            if self.shield.tolerates_malformed(&mut self.cx, &hop) {
                let (tag, stamped) = (self.cx.tag(), message.received_from(hop.remote));
                self.rejected(hop, verdict, |status, reason| Some(UAS.refuse(&stamped, status, reason, &tag).build()));
            }
            return false;
        }
        if known && self.cx.overload < Stage::Severe {
            return true;
        }
        self.shield.judge(&mut self.cx, &self.auth, standing, &request)
    }

    /// Whether a request outside any dialog came by a realm where only cloud and trunks are.
    fn is_out_of_bounds(&self, hop: &Hop, message: &Message) -> bool {
        let realm = self.cx.snapshot.realm(&self.cx.own.at(hop).realm);
        let outside = message.is_request() && message.method() != Method::Ack && message.to().is_ok_and(|to| to.tag().is_none());
        outside && realm.is_some_and(|realm| !realm.users)
    }

    /// A message that breaks a rule: answered where the peer is owed an answer, counted always.
    pub(super) fn rejected(&mut self, hop: Hop, verdict: Verdict, reply: impl FnOnce(u16, &str) -> Option<Bytes>) {
        let (rule, status) = match verdict {
            Verdict::Accept => return,
            Verdict::Drop { rule } => (rule, None),
            Verdict::Reply { rule, status, reason } => {
                if let Some(octets) = reply(status, &reason) {
                    self.cx.send(hop, octets);
                }
                (rule, Some(status))
            }
        };
        self.cx.totals.messages_rejected += 1;
        let (source, transport) = (hop.remote.into(), hop.transport);
        self.cx.event(Event::MessageRejected { source, transport, rule: rule.into(), status });
    }
}

/// What this node takes as a user agent server (RFC 3261 8.2).
pub(super) const UAS: Uas<'static> = Uas {
    methods: &[
        Method::Invite,
        Method::Ack,
        Method::Cancel,
        Method::Bye,
        Method::Options,
        Method::Register,
        Method::Prack,
        Method::Update,
        Method::Info,
        Method::Message,
        Method::Refer,
        Method::Subscribe,
        Method::Notify,
        Method::Publish,
    ],
    extensions: &["timer", "replaces", "100rel", "from-change", "tdialog", "norefersub"],
    content_types: &["application/sdp"],
    unread: &[Method::Info, Method::Message, Method::Refer, Method::Subscribe, Method::Notify, Method::Publish],
};

/// The same within the dialog with a recorder, which may ask for metadata (RFC 7866 9.2). Others need not know that there are any.
const OF_RECORDERS: Uas<'static> = Uas { content_types: &["application/sdp", "application/rs-metadata-request"], ..UAS };

impl Node {
    /// What a request is held to.
    pub(super) fn held_to(&self, request: &Message) -> &'static Uas<'static> {
        if self.calls.is_of_recorder(request) { &OF_RECORDERS } else { &UAS }
    }
}
