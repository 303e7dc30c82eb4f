//! Keys that a port had before, by which something was protected. They may come back: a peer's keys are lent again when it returns from
//! hold. No index under them may be used a second time then (RFC 3711 9.1), so their contexts are kept as they stood.

use crate::protection::Protection;
use ringfort_base::limits::SRTP_CONTEXTS_KEPT_MAX;
use ringfort_media::plan::Transmit;
use ringfort_media::srtp::SrtpSender;
use std::collections::VecDeque;

/// Contexts of former keys, the oldest first.
#[derive(Default)]
pub(crate) struct Spent {
    contexts: VecDeque<Box<SrtpSender>>,
    /// One of lent keys had to make room: lent keys that seem new may be those.
    forgotten: bool,
}

impl Spent {
    /// Puts the keys of `transmit` into force. Where it can no longer be known whether they were in force before, the node says nothing
    /// of its own under them; what their owner protects passes.
    pub(crate) fn replace(&mut self, sender: &mut Protection<SrtpSender>, transmit: &Transmit) {
        if let Protection::Srtp(before) = std::mem::replace(sender, protect(transmit)) {
            self.contexts.push_back(before);
        }
        if let Protection::Srtp(sender) = sender {
            match self.contexts.iter_mut().position(|before| sender.go_on(before)) {
                Some(place) => drop(self.contexts.remove(place)),
                None if self.forgotten && transmit.lent => sender.fall_silent(),
                None => {}
            }
        }
        while self.contexts.len() > SRTP_CONTEXTS_KEPT_MAX {
            self.forgotten |= self.contexts.pop_front().is_some_and(|oldest| oldest.is_lent());
        }
    }
}

/// What protects towards the peer by these keys, where they are in force for the first time.
pub(crate) fn protect(transmit: &Transmit) -> Protection<SrtpSender> {
    let make = if transmit.lent { SrtpSender::lent } else { SrtpSender::new };
    Protection::new(transmit.srtp.as_ref(), make)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Media;
    use ringfort_media::plan::{SrtpKeys, SrtpProfile};
    use std::collections::HashSet;

    const OWN: u32 = 77;

    fn lent(seed: u8) -> Transmit {
        let keys = SrtpKeys { profile: SrtpProfile::AeadAes128Gcm, key: vec![seed; 16], salt: vec![seed; 12] };
        Transmit { rtp: None, rtcp: None, rtcp_mux: true, srtp: Some(keys), lent: true, muted: false }
    }

    fn speak(sender: &mut Protection<SrtpSender>, sequence: u16, what: u8) -> Option<Vec<u8>> {
        let packet = [&[0x80, 0][..], &sequence.to_be_bytes(), &[0; 4], &OWN.to_be_bytes(), &[what; 20]].concat();
        let mut buffer = [&packet[..], &[0; 32]].concat();
        let len = sender.protect(Media::Rtp, &mut buffer, packet.len()).ok()?;
        buffer.truncate(len);
        Some(buffer)
    }

    fn report(sender: &mut Protection<SrtpSender>) -> Option<Vec<u8>> {
        let packet = [&[0x80, 201, 0, 1][..], &OWN.to_be_bytes()].concat();
        let mut buffer = [&packet[..], &[0; 32]].concat();
        let len = sender.protect(Media::Rtcp, &mut buffer, packet.len()).ok()?;
        Some(buffer[len - 4..len].to_vec())
    }

    #[test]
    fn keys_that_come_back_use_no_index_twice() {
        let (mut sender, mut spent) = (protect(&lent(1)), Spent::default());
        let mut indices = HashSet::new();
        let mut packets = HashSet::new();
        for (stint, seed) in [1, 9, 1, 9, 1].into_iter().enumerate() {
            if stint > 0 {
                spent.replace(&mut sender, &lent(seed));
            }
            for n in 0..3 {
                assert!(indices.insert((seed, report(&mut sender).expect("a report"))), "SRTCP, stint {stint}");
                // Its numbers begin anew each time: they are moved or it is refused, and never is one used twice.
                packets.extend(
                    speak(&mut sender, n, stint as u8).map(|packet| (seed, packet[2..4].to_vec(), packet[12..].to_vec())),
                );
            }
        }
        let numbers: HashSet<_> = packets.iter().map(|(seed, number, _)| (*seed, number.clone())).collect();
        assert_eq!(packets.len(), numbers.len(), "one packet for each number");
        assert!(packets.len() >= 6);
    }

    /// The same key and salt make the same keystream in a suite with a shorter tag.
    #[test]
    fn another_tag_makes_no_other_keys() {
        let [short, long] = [SrtpProfile::Aes128CmSha1_32, SrtpProfile::Aes128CmSha1_80].map(|profile| {
            let keys = SrtpKeys { profile, key: vec![3; 16], salt: vec![3; 14] };
            Transmit { srtp: Some(keys), ..lent(3) }
        });
        let (mut sender, mut spent) = (protect(&short), Spent::default());
        let first = speak(&mut sender, 5, 0).expect("protected");
        spent.replace(&mut sender, &long);
        assert_eq!((speak(&mut sender, 5, 1), first.is_empty()), (None, false));
    }

    #[test]
    fn bounds() {
        let (mut sender, mut spent) = (protect(&lent(0)), Spent::default());
        let many = SRTP_CONTEXTS_KEPT_MAX as u8;
        for seed in 1..=many + 1 {
            spent.replace(&mut sender, &lent(seed));
            assert!(report(&mut sender).is_some());
        }
        spent.replace(&mut sender, &lent(0));
        assert_eq!(report(&mut sender), None, "these were in force, and nobody knows how far");
        spent.replace(&mut sender, &lent(many + 1));
        assert!(report(&mut sender).is_some(), "how far is known of these");
        assert!(spent.contexts.len() <= SRTP_CONTEXTS_KEPT_MAX);
    }
}
