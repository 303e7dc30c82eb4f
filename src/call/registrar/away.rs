//! Devices whose connection broke a moment ago. A phone that loses its network says nothing and is back soon, by another
//! connection: what is meant for it within a dialog waits for that, for a bounded time.

use super::binding::{Binding, Device};
use super::{Registrar, forgotten};
use crate::context::Context;
use crate::wake::Wake;
use ringfort_base::{FlowId, Time, limits};
use std::collections::{HashMap, VecDeque};

/// Devices that are expected back.
#[derive(Default)]
pub(super) struct Away {
    by_user: HashMap<String, Vec<(FlowId, Device)>>,
    /// In the order in which they are given up: all wait for the same time.
    order: VecDeque<(Time, String, FlowId)>,
}

impl Away {
    /// Remembers a device. False: too many are away.
    fn note(&mut self, until: Time, flow: FlowId, device: Device) -> bool {
        if self.order.len() >= limits::DEVICES_AWAY_MAX {
            return false;
        }
        self.order.push_back((until, device.user.clone(), flow));
        self.by_user.entry(device.user.clone()).or_default().push((flow, device));
        true
    }

    /// The connections that this binding's device had.
    fn take(&mut self, binding: &Binding) -> Vec<FlowId> {
        let Some(list) = self.by_user.get_mut(&binding.user) else { return Vec::new() };
        let back = list.extract_if(.., |(_, device)| device.has(binding)).map(|(flow, _)| flow).collect();
        if list.is_empty() {
            self.by_user.remove(&binding.user);
        }
        back
    }

    /// A connection whose device has been away for too long.
    fn take_due(&mut self, now: Time) -> Option<FlowId> {
        self.order.front().filter(|(until, ..)| *until <= now)?;
        let (_, user, flow) = self.order.pop_front()?;
        if let Some(list) = self.by_user.get_mut(&user) {
            list.retain(|(of, _)| *of != flow);
            if list.is_empty() {
                self.by_user.remove(&user);
            }
        }
        Some(flow)
    }
}

impl Registrar {
    /// A connection ended: what was reached by it cannot be reached any more. What is under way within a dialog goes to another
    /// connection of the same device (RFC 5626 5.3), or waits for a new one. A connection that several users share is a
    /// gateway's or proxy's, whose users may come back by different ones: nothing waits for those.
    pub fn flow_closed(&mut self, cx: &mut Context, flow: FlowId) {
        let gone = self.table.remove_flow(flow);
        gone.iter().for_each(|binding| forgotten(cx, binding, "flow-closed"));
        let now = cx.now.mono;
        let device =
            gone.first().map(Binding::device).filter(|device| gone.iter().all(|b| device.has(b) && b.user == device.user));
        let Some(device) = device else { return cx.transactions.flow_closed(now, flow) };
        if let Some(other) = self.table.find(&device) {
            return cx.transactions.moved(now, flow, other.hop);
        }
        self.expect_back(cx, flow, device);
    }

    /// What is meant for this connection waits for the device.
    pub fn expect_back(&mut self, cx: &mut Context, flow: FlowId, device: Device) {
        let now = cx.now.mono;
        match self.away.note(now + limits::DEVICE_RETURN, flow, device) {
            true => cx.transactions.hold(now, flow),
            false => cx.transactions.flow_closed(now, flow),
        }
        self.arm_away(cx);
    }

    /// Devices that stayed away for too long: what waited for them fails.
    pub fn give_up_away(&mut self, cx: &mut Context) {
        while let Some(flow) = self.away.take_due(cx.now.mono) {
            cx.transactions.flow_closed(cx.now.mono, flow);
        }
        self.arm_away(cx);
    }

    fn arm_away(&self, cx: &mut Context) {
        let at = self.away.order.front().map_or(Time::NEVER, |(until, ..)| *until);
        cx.timers.set(Wake::DevicesAway, at);
    }

    /// A device registered. What waits for it, or was on its way by a connection that it replaced, follows it.
    pub(super) fn returned(&mut self, cx: &mut Context, binding: &Binding, before: Option<FlowId>) {
        let replaced = before.filter(|flow| binding.hop.flow != Some(*flow) && !self.table.uses(*flow));
        if binding.hop.transport.is_reliable() {
            for flow in self.away.take(binding).into_iter().chain(replaced) {
                cx.transactions.moved(cx.now.mono, flow, binding.hop);
            }
        }
    }
}
