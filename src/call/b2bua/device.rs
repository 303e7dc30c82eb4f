//! A leg's device, through every change of its connection: a phone on TCP, TLS or WebSocket is reached on the connection that it
//! registered by and, when that is gone, on its new one; one behind NAT on the address where it was last proved to be.

use super::call::{Call, Leg, Side};
use super::within::Asked;
use super::{Calls, Env};
use crate::auth::Refusal;
use crate::registrar::{BindingTable, Device, Meant, is_gruu};
use crate::route::{Decision, NoRoute, Source, Stage, Target};
use ringfort_base::{CallId, FlowId, Hop};
use ringfort_sip::dialog::Dialog;
use ringfort_sip::message::{Contacts, HeaderName, Message};
use ringfort_sip::uri::Uri;

/// The device that calls: as it is registered, or as it says of itself.
pub(crate) fn of_caller(env: &Env<'_>, source: &Source, hop: &Hop, invite: &Message, dialog: &Dialog) -> Option<Device> {
    let Source::Account(user) = source else { return None };
    if let Some(binding) = env.bindings.device_at(user, hop) {
        return Some(binding.device());
    }
    let contacts = invite.contacts().unwrap_or(Contacts::None);
    let instance = contacts.first().and_then(|contact| contact.instance()).map(str::to_string);
    Some(Device { user: user.clone(), instance, contact: dialog.remote_target.clone() })
}

/// Where a call goes that names one device by its GRUU (RFC 5627 5.4). `None`: it names none.
pub(crate) fn dialled(env: &Env<'_>, invite: &Message) -> Option<(String, Decision)> {
    let uri = invite.request_uri().and_then(|uri| Uri::parse(uri).ok())?;
    let (user, targets) = match env.bindings.meant_by(&uri)? {
        Meant::Device(binding) => {
            let target = Target::Device { user: binding.user.clone(), token: binding.token.clone() };
            (binding.user.clone(), Ok(vec![Stage { targets: vec![target], ..Stage::default() }]))
        }
        Meant::Away(user) => (user, Err(NoRoute::NotRegistered)),
        Meant::Nothing => (uri.dialled().unwrap_or_default().into_owned(), Err(NoRoute::UnknownNumber)),
    };
    Some((user, Decision { rule: "gruu".into(), targets, emergency: false }))
}

impl Leg {
    /// Takes over where the device is by now.
    fn follow(&mut self, bindings: &BindingTable) {
        let Some(device) = &mut self.device else { return };
        let Some(binding) = bindings.find(device) else { return };
        if binding.moved >= self.placed && binding.hop != self.hop {
            (self.hop, self.placed) = (binding.hop, binding.moved);
            if let Some((_, hop, _)) = &mut self.ack {
                *hop = binding.hop;
            }
        }
        let Some(dialog) = &mut self.dialog else { return };
        dialog.hop = self.hop;
        // A GRUU is the node's to route (RFC 5627 5.4), and a contact that was replaced leads nowhere.
        let gruu = dialog.remote_target.contains(";gr") && Uri::parse(&dialog.remote_target).is_ok_and(|uri| is_gruu(&uri));
        if gruu || (dialog.remote_target == device.contact && device.contact != binding.contact) {
            dialog.remote_target = binding.contact.clone();
        }
        if device.contact != binding.contact {
            device.contact = binding.contact.clone();
        }
    }

    /// Whether it is a device on a connection that did not survive the process: it may come back by another one.
    fn awaits_device(&self) -> bool {
        self.device.is_some() && self.hop.transport.is_reliable()
    }
}

impl Call {
    /// All legs take over where their devices are by now; before anything is sent.
    pub(super) fn follow_devices(&mut self, bindings: &BindingTable) {
        let branches = self.asking.branches.iter_mut().map(|branch| &mut branch.leg);
        for leg in [Some(&mut self.caller), self.callee.as_mut()].into_iter().flatten().chain(branches) {
            leg.follow(bindings);
        }
    }

    /// A request of a device's dialog that comes another way than the one before: whoever knows the tags could otherwise take the call
    /// over. The device is believed where it is registered from, or by its password. False: it has been answered.
    pub(super) fn admit(&mut self, env: &mut Env<'_>, side: Side, asked: &Asked) -> bool {
        let Some(leg) = self.leg(side).filter(|leg| !leg.by_target) else { return true };
        if leg.hop.same_peer(&asked.hop) && leg.hop.flow == asked.hop.flow {
            return true;
        }
        if let Some(device) = &leg.device
            && !env.bindings.is_registered_from(&device.user, &asked.hop)
            && let Err(refused) = prove(env, &device.user, &leg.hop, asked)
        {
            asked.reply(env, refused.0, &refused.1);
            return false;
        }
        if let Some(before) = leg.hop.flow.filter(|flow| asked.hop.transport.is_reliable() && !env.bindings.uses(*flow)) {
            env.cx.transactions.moved(env.cx.now.mono, before, asked.hop);
        }
        (leg.hop, leg.placed) = (asked.hop, env.cx.now.mono);
        if let Some(dialog) = &mut leg.dialog {
            dialog.hop = asked.hop;
        }
        true
    }

    /// After a restart: the connection of a device is gone, and what is sent to it waits until it comes back.
    pub(super) fn await_devices(&mut self, env: &mut Env<'_>) {
        let CallId(call) = self.id;
        for side in [Side::Caller, Side::Callee] {
            let Some(leg) = self.leg(side).filter(|leg| leg.awaits_device()) else { continue };
            // A name that no connection of this process has.
            let flow = FlowId(1 << 63 | call << 1 | u64::from(side == Side::Callee));
            leg.hop.flow = Some(flow);
            env.cx.transactions.hold(env.cx.now.mono, flow);
        }
    }
}

/// A refusal: status and header fields.
type Refused = (u16, Vec<(HeaderName, String)>);

/// The device proves that it is the one of the dialog. One that only the cloud knows cannot be asked for its password; it stays on
/// its host, or registers anew first.
fn prove(env: &mut Env<'_>, user: &str, before: &Hop, asked: &Asked) -> Result<(), Refused> {
    if !env.cx.snapshot.accounts.contains_key(user) {
        let same_host = before.remote.ip() == asked.hop.remote.ip();
        return if same_host { Ok(()) } else { Err((403, Vec::new())) };
    }
    match env.auth.check(env.cx, &asked.request, HeaderName::ProxyAuthorization, &asked.hop) {
        Ok(account) if account.user == user => Ok(()),
        Ok(_) => Err((403, Vec::new())),
        Err(refusal) => {
            let challenges = env.auth.challenges(env.cx, matches!(refusal, Refusal::Stale(_)), &asked.hop, &asked.request);
            Err((407, challenges.into_iter().map(|value| (HeaderName::ProxyAuthenticate, value)).collect()))
        }
    }
}

impl Calls {
    /// Devices of calls that were taken over, whose connections are awaited.
    pub fn awaited(&self) -> Vec<(FlowId, Device)> {
        let legs = self.live.values().flat_map(|call| [Some(&call.caller), call.callee.as_ref()]).flatten();
        legs.filter(|leg| leg.awaits_device()).filter_map(|leg| Some((leg.hop.flow?, leg.device.clone()?))).collect()
    }
}
