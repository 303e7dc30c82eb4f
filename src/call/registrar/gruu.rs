//! GRUUs (RFC 5627): addresses that mean one device of a user and no other. The public one names user and instance; the temporary
//! one tells nothing to whoever reads it. Neither takes memory: the temporary one bears its binding, sealed.

use super::binding::Binding;
use super::table::BindingTable;
use hmac::{Hmac, Mac};
use ringfort_base::{Entropy, Hop};
use ringfort_sip::message::{HeaderName, Message};
use ringfort_sip::uri::{self, Uri};
use sha2::Sha256;
use std::fmt;

/// Begins the user part of a temporary GRUU.
const TEMPORARY: &str = "tgruu.";
/// Octets that make each temporary GRUU another one.
const NONCE: usize = 8;
/// Octets that show that the node made it.
const PROOF: usize = 16;

/// The key of temporary GRUUs. It outlives the process, as those who were given one do.
#[derive(Clone, Default)]
pub struct Seal([u8; 32]);

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// With this key.
    pub fn new(key: [u8; 32]) -> Seal {
        Seal(key)
    }

    /// A keyed hash; `purpose` keeps its uses apart.
    fn hash(&self, purpose: u8, data: &[u8]) -> [u8; 32] {
        let Ok(mut mac) = <Hmac<Sha256> as Mac>::new_from_slice(&self.0) else { return [0; 32] };
        mac.update(&[purpose]);
        mac.update(data);
        mac.finalize().into_bytes().into()
    }

    /// Encrypts by a synthetic initial value: the proof is over the text, and the key stream over the proof (as RFC 5297 does).
    fn close(&self, token: &str, nonce: [u8; NONCE]) -> String {
        let mut text = [&nonce, token.as_bytes()].concat();
        let proof = self.hash(1, &text);
        let stream = self.hash(2, &proof[..PROOF]);
        text.iter_mut().zip(stream).for_each(|(octet, key)| *octet ^= key);
        proof[..PROOF].iter().chain(&text).map(|octet| format!("{octet:02x}")).collect()
    }

    fn open(&self, sealed: &str) -> Option<String> {
        let octets = from_hex(sealed)?;
        let (proof, hidden) = octets.split_at_checked(PROOF)?;
        let stream = self.hash(2, proof);
        let text: Vec<u8> = hidden.iter().zip(stream).map(|(octet, key)| octet ^ key).collect();
        let genuine = text.len() == hidden.len() && text.len() > NONCE && self.hash(1, &text)[..PROOF] == *proof;
        genuine.then(|| String::from_utf8(text.get(NONCE..)?.to_vec()).ok()).flatten()
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    (text.len().is_multiple_of(2) && text.iter().all(u8::is_ascii_hexdigit)).then(|| text.chunks(2).map(pair).collect()).flatten()
}

/// What a GRUU that was dialled means.
pub enum Meant<'a> {
    /// This device.
    Device(&'a Binding),
    /// A device of this user that is not registered now (RFC 5627 5.4: 480).
    Away(String),
    /// It was never given out, or is void (404).
    Nothing,
}

/// The public GRUU. `None`: the device has no instance, or one that cannot stand in a URI.
pub(super) fn public(binding: &Binding, domain: &str) -> Option<String> {
    let urn = urn(binding.instance.as_deref()?);
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'():/&+$".contains(&b);
    (!urn.is_empty() && urn.bytes().all(fits)).then(|| format!("sip:{}@{domain};gr={urn}", uri::escape_user(&binding.user)))
}

/// A temporary GRUU, another one each time.
pub(super) fn temporary(seal: &Seal, entropy: &mut dyn Entropy, binding: &Binding, domain: &str) -> String {
    let mut nonce = [0; NONCE];
    entropy.fill(&mut nonce);
    format!("sip:{TEMPORARY}{}@{domain};gr", seal.close(&binding.token, nonce))
}

/// The instance without its brackets.
fn urn(instance: &str) -> &str {
    instance.trim_start_matches('<').trim_end_matches('>')
}

/// Whether a URI says that it is a GRUU (RFC 5627 3.1).
pub fn is_gruu(uri: &Uri) -> bool {
    uri.is_sip() && uri.param("gr").is_some()
}

impl BindingTable {
    /// A message that came over `hop` and whose Contact is the GRUU of the device there, with the device's registered contact in its
    /// place: what goes out in the dialog is addressed to that (RFC 5627 5.4). `None`: it stays as it is.
    pub fn located(&self, hop: &Hop, message: &Message) -> Option<Message> {
        message.header(HeaderName::Contact).filter(|value| value.contains(";gr"))?;
        let uri = Uri::parse(message.contacts().ok()?.first()?.uri).ok()?;
        match self.meant_by(&uri)? {
            Meant::Device(device) if device.hop.same_peer(hop) && device.hop.flow == hop.flow => {
                message.relocated(&device.contact)
            }
            _ => None,
        }
    }

    /// What a GRUU of this node's means. `None`: the URI is no GRUU.
    pub fn meant_by(&self, uri: &Uri) -> Option<Meant<'_>> {
        let wanted = uri.param("gr").filter(|_| is_gruu(uri))?;
        let user = uri.user_unescaped().unwrap_or_default();
        if wanted.is_empty() {
            let token = user.strip_prefix(TEMPORARY).and_then(|sealed| self.seal.open(sealed));
            return Some(token.and_then(|token| self.by_token(&token)).map_or(Meant::Nothing, Meant::Device));
        }
        let wanted = uri::unescape(wanted);
        let is_it =
            |b: &&Binding| b.instance.as_deref().is_some_and(|i| urn(i).eq_ignore_ascii_case(&wanted)) && b.is_reachable();
        Some(self.of(&user).iter().rev().find(is_it).map_or(Meant::Away(user.into_owned()), Meant::Device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_its_key_only() {
        let seal = Seal::new([7; 32]);
        let (one, two) = (seal.close("abcdefghijklmnop", [1; NONCE]), seal.close("abcdefghijklmnop", [2; NONCE]));
        assert_ne!(one, two);
        assert!(!one.contains("abcdef"));
        assert_eq!(seal.open(&one).as_deref(), Some("abcdefghijklmnop"));
        assert_eq!(Seal::new([8; 32]).open(&one), None);
        let mut forged = one.clone();
        forged.replace_range(40..41, if &one[40..41] == "0" { "1" } else { "0" });
        for bad in [forged.as_str(), "", "00", "zz", "é0", &"00".repeat(200), &one[..32], &one[..48]] {
            assert_eq!(seal.open(bad), None, "{bad}");
        }
    }
}
