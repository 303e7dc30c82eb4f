//! What is no call: MESSAGE, PUBLISH, subscriptions and their NOTIFYs.

use super::{Purpose, Ua};
use crate::wire::Wire;
use ringfort_base::Time;

impl Ua {
    /// A request that is no call, outside any dialog. What it says of its sender is for nobody beyond the node.
    pub fn speak(&mut self, now: Time, method: &str, uri: &str, event: &str) {
        let (tag, call_id, address) = (self.unique("tag"), self.unique("talk"), self.address);
        let mut wire = Wire::request(method, uri)
            .with("Via", self.via())
            .with("Max-Forwards", 70)
            .with("From", format!("\"Speaker {}\" <sip:{}@{}>;tag={tag}", self.user, self.user, self.domain))
            .with("To", format!("<{uri}>"))
            .with("Call-ID", format!("{call_id}@{}", address.ip()))
            .with("CSeq", format!("1 {method}"))
            .with("Contact", self.contact())
            .with("User-Agent", format!("{}-phone", self.word));
        match method {
            "MESSAGE" => {
                wire.body = "hello".into();
                wire = wire.with("Content-Type", "text/plain");
            }
            _ => {
                wire = wire
                    .with("Event", event)
                    .with("Expires", self.habits.watch_s / 2 + self.dice.below(self.habits.watch_s * 3 / 2))
            }
        }
        if method == "PUBLISH" {
            wire.body = format!("<presence><contact>sip:{}@{address}</contact></presence>", self.user);
            wire = wire.with("Content-Type", "application/pidf+xml");
        }
        if method == "SUBSCRIBE" {
            self.watching.push(wire.get("Call-ID").to_string());
        }
        self.send(now, wire, Purpose::Other);
    }

    /// A NOTIFY: known, unless the device forgot what it subscribed to.
    pub(super) fn told(&mut self, wire: &Wire) -> Option<u16> {
        let known = self.watching.iter().any(|id| id == wire.get("Call-ID"));
        (wire.method() == "NOTIFY" && known).then(|| if self.dice.chance(50) { 481 } else { 200 })
    }

    /// Notifies whoever sent this SUBSCRIBE, which was accepted with `tag`.
    pub fn notify(&mut self, now: Time, subscribe: &Wire, tag: &str) {
        let last = subscribe.get("Expires") == "0" || self.dice.chance(200);
        let state =
            if last { "terminated;reason=timeout".to_string() } else { format!("active;expires={}", subscribe.get("Expires")) };
        let mut notify = Wire::request("NOTIFY", subscribe.contact())
            .with("Via", self.via())
            .with("Max-Forwards", 70)
            .with("From", format!("{};tag={tag}", subscribe.get("To")))
            .with("To", subscribe.get("From"))
            .with("Call-ID", subscribe.get("Call-ID"))
            .with("CSeq", "1 NOTIFY")
            .with("Contact", self.contact())
            .with("Event", subscribe.get("Event"))
            .with("Subscription-State", state)
            .with("Content-Type", "application/simple-message-summary");
        notify.body = format!("Messages-Waiting: yes\r\nMessage-Account: sip:{}@{}\r\n", self.user, self.address);
        self.send(now, notify, Purpose::Other);
    }
}
