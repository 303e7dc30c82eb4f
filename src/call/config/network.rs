//! Networks as operators write them: `192.0.2.0/24`, `2001:db8::/32`, or one address.

use serde::Deserialize;
use serde::de::{self, Deserializer};
use std::net::IpAddr;

/// A range of addresses with a common beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether the address lies within. An IPv4 address written as IPv6 is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (u32::from(own) ^ u32::from(other)).leading_zeros() >= self.bits.into(),
            (IpAddr::V6(own), IpAddr::V6(other)) => (u128::from(own) ^ u128::from(other)).leading_zeros() >= self.bits.into(),
            _ => false,
        }
    }

    fn parse(text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        // All addresses there are would be no source but a hole.
        (1..=most).contains(&bits).then_some(Network { address, bits })
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Network::parse(&text).ok_or_else(|| de::Error::custom(format!("`{text}` is no network such as 192.0.2.0/24")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_within_and_what_is_no_network() {
        let within = |network: &str, address: &str| {
            Network::parse(network).expect("a network").contains(address.parse().expect("an address"))
        };
        assert!(within("192.0.2.0/24", "192.0.2.255") && !within("192.0.2.0/24", "192.0.3.0"));
        assert!(within("192.0.2.7", "192.0.2.7") && !within("192.0.2.7", "192.0.2.6"));
        assert!(within("192.0.2.0/24", "::ffff:192.0.2.9") && within("2001:db8::/32", "2001:db8:9::1"));
        assert!(!within("2001:db8::/32", "192.0.2.1") && !within("2001:db8::/32", "2001:db9::1"));
        for text in ["", "192.0.2.0/33", "192.0.2.0/0", "::/0", "carrier.example.com", "192.0.2.0/", "192.0.2.0/-1"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
