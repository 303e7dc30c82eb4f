//! `[[realm]]`: a network that the node stands in, with listeners and addresses of its own.

use super::snapshot::Check;
use super::{ConfigError, ListenAddress};
use ringfort_base::limits;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use std::collections::HashSet;
use std::net::IpAddr;

/// One address, or one for each family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    v4: Option<IpAddr>,
    v6: Option<IpAddr>,
}

impl Addresses {
    /// That of a family.
    pub fn of(&self, v4: bool) -> Option<IpAddr> {
        if v4 { self.v4 } else { self.v6 }
    }

    /// Any of them, IPv4 first.
    pub fn any(&self) -> Option<IpAddr> {
        self.v4.or(self.v6)
    }
}

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            One(IpAddr),
            Several(Vec<IpAddr>),
        }
        let written = match Written::deserialize(d).map_err(|_| de::Error::custom("not an IP address, or a list of them"))? {
            Written::One(address) => vec![address],
            Written::Several(list) => list,
        };
        let mut addresses = Addresses::default();
        for address in written {
            let place = if address.is_ipv4() { &mut addresses.v4 } else { &mut addresses.v6 };
            if place.replace(address).is_some() {
                return Err(de::Error::custom("more than one address of a family"));
            }
        }
        Ok(addresses)
    }
}

/// `[[realm]]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RealmSection {
    /// Its name.
    pub name: String,
    /// `transport:address:port` each.
    pub listen: Vec<ListenAddress>,
    /// Addresses in Via and Contact; absent: those of the listeners.
    #[serde(default)]
    pub advertise: Addresses,
    /// Addresses that media sockets are bound to; absent: those in SDP.
    #[serde(default)]
    pub media_bind: Addresses,
    /// Addresses in SDP; absent: as `advertise`.
    #[serde(default)]
    pub media_advertise: Addresses,
    /// Whether devices register and call there; otherwise only cloud and trunks may.
    #[serde(default = "yes")]
    pub users: bool,
    /// Legs at once; 0: no limit.
    #[serde(default)]
    pub calls_max: u32,
    /// New legs a second; 0: no limit.
    #[serde(default)]
    pub calls_per_second: u32,
    /// Bandwidth of its legs, kbit/s; 0: no limit.
    #[serde(default)]
    pub kbit_max: u32,
}

fn yes() -> bool {
    true
}

impl RealmSection {
    /// Whether what only a start of the process follows is the same.
    pub fn is_where(&self, other: &RealmSection) -> bool {
        let addresses = |realm: &RealmSection| [realm.advertise, realm.media_bind, realm.media_advertise];
        self.name == other.name && self.listen == other.listen && addresses(self) == addresses(other)
    }
}

impl Check<'_> {
    pub(super) fn realms(&self) -> Result<(), ConfigError> {
        let realms = &self.config.realm;
        if realms.len() > limits::REALMS_MAX {
            return self.fail("realm", limits::REALMS_MAX, format!("more than {} realms", limits::REALMS_MAX));
        }
        let mut names = HashSet::new();
        let mut taken: HashSet<_> = self.config.sip.listen.iter().map(|own| (own.transport, own.address)).collect();
        for (index, realm) in realms.iter().enumerate() {
            if realm.name.is_empty() || !names.insert(&realm.name) {
                return self.fail("realm", index, format!("realm name `{}` is empty or stands twice", realm.name));
            }
            if realm.listen.is_empty() {
                return self.fail("realm", index, "`listen` names no listener".into());
            }
            let twice = |own: &&ListenAddress| own.address.port() != 0 && !taken.insert((own.transport, own.address));
            if let Some(own) = realm.listen.iter().find(twice) {
                return self.fail("realm", index, format!("{} {} is listened on twice", own.transport, own.address));
            }
        }
        let cloud = self.config.cloud.iter().map(|cloud| ("cloud", 0, &cloud.realm));
        let trunks = self.config.trunk.iter().enumerate().map(|(index, trunk)| ("trunk", index, &trunk.realm));
        let recorders = self.config.recorder.iter().enumerate().map(|(index, recorder)| ("recorder", index, &recorder.realm));
        for (section, index, realm) in cloud.chain(trunks).chain(recorders) {
            if let Some(name) = realm.as_ref().filter(|name| !names.contains(name)) {
                return self.fail(section, index, format!("no realm is named `{name}`"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Snapshot;

    fn refusal(text: &str) -> String {
        Snapshot::load("t", text, &mut |_| None).map(|_| ()).expect_err("must be refused").to_string()
    }

    #[test]
    fn what_is_no_realm_is_refused() {
        let realm = |name: &str, listen: &str| format!("[[realm]]\nname = \"{name}\"\nlisten = [{listen}]\n");
        let one = realm("a", "\"udp:192.0.2.1:5060\"");
        for (text, why) in [
            (realm("", "\"udp:192.0.2.1:5060\""), "empty"),
            (one.clone() + &realm("a", "\"udp:192.0.2.1:5062\""), "twice"),
            (one.clone() + &realm("b", "\"udp:192.0.2.1:5060\""), "listened on twice"),
            (realm("a", ""), "no listener"),
            (one.clone() + "advertise = [\"192.0.2.1\", \"192.0.2.2\"]\n", "more than one address of a family"),
            (one.clone() + "advertise = \"here\"\n", "not an IP address"),
            ("[[trunk]]\nname = \"t\"\naddress = \"192.0.2.9\"\nrealm = \"b\"\n".to_string() + &one, "no realm is named `b`"),
            ("[cloud]\naddress = \"192.0.2.9\"\nrealm = \"b\"\n".to_string() + &one, "no realm is named `b`"),
        ] {
            assert!(refusal(&text).contains(why), "{text}: {}", refusal(&text));
        }
    }
}
