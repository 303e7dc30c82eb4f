//! What carriers do besides calls: they want to know who calls, and they register whoever proves it.

use crate::actor::Actor;
use crate::settings::NODE_AT_CARRIER;
use crate::ua::CallNo;
use crate::wire::{Secret, Wire, digest_param, digest_params, param};
use ringfort_base::Time;

impl Actor {
    fn realm(&self) -> String {
        format!("{}.test", self.ua.word)
    }

    fn challenge(&mut self, wire: &Wire, status: u16) -> Wire {
        let name = if status == 407 { "Proxy-Authenticate" } else { "WWW-Authenticate" };
        let nonce = self.ua.dice.below(1 << 40);
        let value = format!("Digest realm=\"{}\", nonce=\"{nonce:x}\", algorithm=MD5, qop=\"auth\"", self.realm());
        wire.reply(status, "challenge").with(name, value)
    }

    /// Whether the credentials of a request are the node's; `None`: it has none for us.
    fn proves(&self, wire: &Wire, name: &str) -> Option<bool> {
        let realm = self.realm();
        let fits = |value: &&str| digest_param(&digest_params(value), "realm") == realm;
        let params = digest_params(wire.all(name).into_iter().find(fits)?);
        let of = |name: &str| digest_param(&params, name);
        let (user, password) = NODE_AT_CARRIER;
        let secret = Secret { user: user.into(), password: password.into(), algorithm: "MD5" };
        let nc = u32::from_str_radix(of("nc"), 16).unwrap_or(0);
        let expected = secret.response(&realm, wire.method(), of("uri"), of("nonce"), nc, of("cnonce"));
        Some(of("username") == user && of("response") == expected)
    }

    /// Challenges an INVITE that proves nothing. Whether it did.
    pub fn challenges(&mut self, now: Time, no: CallNo) -> bool {
        let invite = self.ua.calls[no].invite.clone();
        match self.proves(&invite, "Proxy-Authorization") {
            None => {
                let reply = self.challenge(&invite, 407);
                self.ua.refuse(now, no, reply);
                true
            }
            Some(right) => {
                if !right {
                    self.ua.complaints.push("credentials that are not the node's".into());
                }
                false
            }
        }
    }

    /// The answer to a REGISTER of the node.
    pub fn registrar(&mut self, wire: &Wire) -> Wire {
        match self.proves(wire, "Authorization") {
            Some(true) => {
                let contact = wire.get("Contact").to_string();
                let expires = param(&contact, "expires").unwrap_or(wire.get("Expires")).to_string();
                let value = contact.split(";expires=").next().unwrap_or_default();
                let reply = wire.reply(200, "registrar");
                if expires == "0" { reply } else { reply.with("Contact", format!("{value};expires={expires}")) }
            }
            _ => self.challenge(wire, 401),
        }
    }
}
