//! The hosted PBX: a registrar with digest, a stateless proxy to what is registered (RFC 3261 16.11), a voice mailbox, and a
//! peer that answers OPTIONS. It can be killed and revived.

use crate::actor::Actor;
use crate::wire::{Secret, Wire, digest_param, digest_params, param, uri_of, user_of};
use ringfort_base::Time;
use std::collections::{BTreeMap, BTreeSet};

/// Realm of its challenges.
pub const REALM: &str = "cloud.test";

/// The cloud.
pub struct Cloud {
    /// Its own calls: mailbox, and what it calls itself.
    pub actor: Actor,
    /// Says and hears nothing.
    pub dead: bool,
    /// Node's contacts by user, with the time when each runs out.
    pub registered: BTreeMap<String, BTreeMap<String, Time>>,
    secrets: BTreeMap<String, String>,
    proxied: BTreeSet<String>,
    nonces: u64,
}

impl Cloud {
    /// A cloud that knows these users and passwords.
    pub fn new(actor: Actor, secrets: BTreeMap<String, String>) -> Cloud {
        Cloud { actor, dead: false, registered: BTreeMap::new(), secrets, proxied: BTreeSet::new(), nonces: 0 }
    }

    /// The process dies: its calls are gone, its registrations are kept in a database.
    pub fn kill(&mut self) {
        self.dead = true;
        self.actor.ua.die();
        self.proxied.clear();
    }

    /// It runs again.
    pub fn revive(&mut self) {
        self.dead = false;
    }

    /// A datagram came.
    pub fn receive(&mut self, now: Time, wire: Wire) {
        if self.dead {
            return;
        }
        match wire.status() {
            Some(_) if wire.all("Via").len() > 1 => self.back(&wire),
            Some(_) => self.actor.ua.receive(now, wire),
            None => self.request(now, wire),
        }
        self.act(now);
    }

    /// Its timers.
    pub fn fire(&mut self, now: Time) {
        self.actor.ua.fire(now);
        self.act(now);
    }

    fn act(&mut self, now: Time) {
        for wire in self.actor.act(now) {
            let reply = match wire.method() {
                "REGISTER" => self.registrar(now, &wire),
                "SUBSCRIBE" => self.presence(now, &wire),
                "PUBLISH" => wire.reply(200, "cloud").with("SIP-ETag", "etag").with("Expires", wire.get("Expires")),
                _ => wire.reply(405, "cloud").with("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER"),
            };
            self.actor.ua.answer_request(now, &wire, reply);
        }
    }

    fn request(&mut self, now: Time, wire: Wire) {
        let routed = wire.get("Route").contains(&self.actor.ua.address.to_string());
        let known = self.proxied.contains(wire.branch());
        if routed || known {
            let target = if known { self.target(now, wire.dialled()) } else { Some(wire.uri().to_string()) };
            return self.forward(&wire, target);
        }
        let target = self
            .target(now, wire.dialled())
            .filter(|_| matches!(wire.method(), "INVITE" | "MESSAGE") && wire.to_tag().is_empty());
        match target {
            Some(target) => {
                self.proxied.insert(wire.branch().to_string());
                self.forward(&wire, Some(target));
            }
            None => self.actor.ua.receive(now, wire),
        }
    }

    /// The contact of a user, if it is registered.
    pub fn target(&self, now: Time, user: &str) -> Option<String> {
        self.registered.get(user)?.iter().find(|(_, until)| **until > now).map(|(contact, _)| contact.clone())
    }

    /// RFC 3261 16.6 and 16.11: the branch is a function of the request's.
    fn forward(&mut self, wire: &Wire, target: Option<String>) {
        let hops: u32 = wire.get("Max-Forwards").parse().unwrap_or(70);
        let Some(target) = target.filter(|_| hops > 0) else { return };
        let address = self.actor.ua.address;
        let mut start = wire.start.splitn(3, ' ');
        let method = start.next().unwrap_or_default();
        let mut out = Wire::request(method, &target).with("Via", format!("SIP/2.0/UDP {address};branch={}px", wire.branch()));
        if method == "INVITE" {
            out = out.with("Record-Route", format!("<sip:{address};lr>"));
        }
        let mut own_route = true;
        for (name, value) in &wire.headers {
            match name.as_str() {
                "Content-Length" => {}
                "Max-Forwards" => out = out.with(name, hops - 1),
                "Route" if std::mem::take(&mut own_route) => {}
                _ => out = out.with(name, value),
            }
        }
        out.body.clone_from(&wire.body);
        self.actor.ua.outbox.push_back(out.octets());
    }

    fn back(&mut self, wire: &Wire) {
        let mut out = wire.clone();
        if let Some(own) = out.headers.iter().position(|(name, _)| name == "Via") {
            out.headers.remove(own);
        }
        out.headers.retain(|(name, _)| name != "Content-Length");
        self.actor.ua.outbox.push_back(out.octets());
    }

    /// Grants a subscription; its NOTIFY may overtake the answer.
    fn presence(&mut self, now: Time, wire: &Wire) -> Wire {
        if self.actor.ua.dice.chance(100) {
            return wire.reply(403, "cloud");
        }
        if self.actor.ua.dice.chance(900) {
            self.actor.ua.notify(now, wire, "cloud");
        }
        let contact = format!("<sip:presence@{}>", self.actor.ua.address);
        wire.reply(200, "cloud").with("Contact", contact).with("Expires", wire.get("Expires"))
    }

    fn registrar(&mut self, now: Time, wire: &Wire) -> Wire {
        let user = user_of(uri_of(wire.get("To"))).to_string();
        if !self.proves(&user, wire) {
            self.nonces += 1;
            let challenge = |algorithm| {
                format!("Digest realm=\"{REALM}\", nonce=\"cloud{}\", algorithm={algorithm}, qop=\"auth\"", self.nonces)
            };
            let reply = wire.reply(401, "cloud");
            return reply.with("WWW-Authenticate", challenge("SHA-256")).with("WWW-Authenticate", challenge("MD5"));
        }
        let contacts = self.registered.entry(user).or_default();
        contacts.retain(|_, until| *until > now);
        for value in wire.all("Contact") {
            let expires: u64 = param(value, "expires").and_then(|v| v.parse().ok()).unwrap_or(3600);
            let uri = uri_of(value).to_string();
            match expires {
                0 => drop(contacts.remove(&uri)),
                _ => drop(contacts.insert(uri, now + std::time::Duration::from_secs(expires))),
            }
        }
        let list = |(uri, until): (&String, &Time)| format!("<{uri}>;expires={}", until.since(now).as_secs());
        contacts.iter().map(list).fold(wire.reply(200, "cloud"), |reply, contact| reply.with("Contact", contact))
    }

    fn proves(&self, user: &str, wire: &Wire) -> bool {
        let Some(password) = self.secrets.get(user) else { return false };
        wire.all("Authorization").iter().any(|value| {
            let params = digest_params(value);
            let of = |name: &str| digest_param(&params, name);
            let algorithm = if of("algorithm") == "SHA-256" { "SHA-256" } else { "MD5" };
            let secret = Secret { user: of("username").into(), password: password.clone(), algorithm };
            let nc = u32::from_str_radix(of("nc"), 16).unwrap_or(0);
            let expected = secret.response(REALM, "REGISTER", of("uri"), of("nonce"), nc, of("cnonce"));
            of("username") == user && of("realm") == REALM && of("uri") == wire.uri() && of("response") == expected
        })
    }
}
