//! The cloud's challenge to a request inside a call, of a phone whose account is the cloud's too: it goes to the phone, and the phone's
//! answer to the cloud, as with the INVITE. Nobody else's challenges are passed: a carrier's realm knows no phone.

use crate::b2bua::call::{Call, Side};
use crate::b2bua::write;
use crate::context::Context;
use crate::route::Source;
use ringfort_sip::message::{Builder, HeaderName, Message};

impl Call {
    /// Whether a phone speaks to the cloud when something goes to this side.
    fn is_to_cloud(&mut self, to: Side) -> bool {
        self.party(to) == Some(Source::Cloud) && matches!(self.party(to.other()), Some(Source::Account(_)))
    }

    /// Adds the phone's answer to an earlier challenge, in its request, to what goes on to this side.
    pub(in crate::b2bua) fn with_proof(&mut self, cx: &Context, to: Side, builder: Builder, asked: &Message) -> Builder {
        let proofs = if self.is_to_cloud(to) { write::credentials_in(&self.terms(cx), asked) } else { Vec::new() };
        proofs.iter().fold(builder, |builder, (name, value)| builder.header(*name, value))
    }

    /// The same for the BYE, which the node writes when the phone's is answered already.
    pub(in crate::b2bua) fn lend_proof(&mut self, cx: &Context, to: Side, asked: &Message) {
        if self.is_to_cloud(to) {
            let proofs = write::credentials_in(&self.terms(cx), asked);
            if let Some(leg) = self.leg(to) {
                leg.proving.borrow(proofs);
            }
        }
    }

    /// The challenge to what this side's peer wanted, for this peer. `None`: it could do nothing with it.
    pub(in crate::b2bua) fn challenge_for(&mut self, from: Side, response: &Message) -> Option<Vec<(HeaderName, String)>> {
        let name = match response.status()? {
            401 => HeaderName::WwwAuthenticate,
            407 => HeaderName::ProxyAuthenticate,
            _ => return None,
        };
        let values: Vec<_> = response.headers(name).map(|value| (name, value.to_string())).collect();
        (self.is_to_cloud(from.other()) && !values.is_empty()).then_some(values)
    }
}
