//! SRTP that goes on as it came: one side's peer was told the other's keys (docs/decisions/0030). A packet is proved and read like any
//! other; then it leaves with the octets that came.

use crate::flow::{Flow, Media};
use crate::path::{Flows, Slot};
use crate::protection::{FORMER_KEYS_MAX, Protection};
use ringfort_base::Time;
use ringfort_base::limits::MEDIA_DATAGRAM_MAX;
use ringfort_media::plan::{Destination, Transmit};
use ringfort_media::srtp::{KeyMark, SrtpError, SrtpSender};

/// The packet at hand as it came.
pub(crate) struct Untouched {
    octets: Box<[u8; MEDIA_DATAGRAM_MAX]>,
    len: usize,
}

impl Default for Untouched {
    fn default() -> Untouched {
        Untouched { octets: Box::new([0; MEDIA_DATAGRAM_MAX]), len: 0 }
    }
}

impl Untouched {
    /// What is kept; empty where nothing is.
    pub(crate) fn octets(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }

    fn keep(&mut self, packet: &[u8]) {
        self.len = 0;
        if let Some(place) = self.octets.get_mut(..packet.len()) {
            place.copy_from_slice(packet);
            self.len = packet.len();
        }
    }
}

/// Whose a packet is that leaves.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// The node's own.
    Node,
    /// Another port's peer's.
    Peer {
        /// By which keys it was proved; `None`: it came in plain.
        under: Option<KeyMark>,
        /// As it came, where that was kept.
        as_it_came: &'a [u8],
    },
}

impl Origin<'_> {
    /// Another port's peer's, of which the node has made something else.
    pub(crate) const READ: Origin<'static> = Origin::Peer { under: None, as_it_came: &[] };
}

/// The keys by which what passes a port untouched is protected: those of its plan, and for a moment those before.
#[derive(Default)]
pub(crate) struct LentKeys {
    now: Option<KeyMark>,
    former: Option<(KeyMark, Time)>,
}

impl LentKeys {
    pub(crate) fn new(transmit: &Transmit, sender: &Protection<SrtpSender>) -> LentKeys {
        LentKeys { now: mark(transmit, sender), former: None }
    }

    pub(crate) fn replace(&mut self, now: Time, transmit: &Transmit, sender: &Protection<SrtpSender>) {
        let mark = mark(transmit, sender);
        if mark != self.now {
            *self = LentKeys { now: mark, former: self.now.map(|before| (before, now + FORMER_KEYS_MAX)) };
        }
    }

    /// The keys of the plan, if they are lent.
    pub(crate) fn now(&self) -> Option<KeyMark> {
        self.now
    }

    /// Whether what was proved by these keys can be read by the port's peer.
    fn fit(&self, now: Time, under: KeyMark) -> bool {
        let formerly = |(before, until): (KeyMark, Time)| before == under && now < until;
        self.now == Some(under) || self.former.is_some_and(formerly)
    }

    /// Puts the octets that came into the buffer and returns their length, where the peer can read them. Nothing else leaves under lent
    /// keys: it would be other plaintext under an index that their owner uses (RFC 3711 9.1).
    pub(crate) fn pass(
        &self,
        now: Time,
        media: Media,
        origin: Origin<'_>,
        sender: &mut Protection<SrtpSender>,
        buffer: &mut [u8],
    ) -> Result<usize, SrtpError> {
        let (Origin::Peer { under: Some(under), as_it_came }, Protection::Srtp(sender)) = (origin, sender) else {
            return Err(SrtpError::ForeignSource);
        };
        if !self.fit(now, under) || as_it_came.is_empty() {
            return Err(SrtpError::ForeignSource);
        }
        match media {
            Media::Rtp => sender.pass_rtp(as_it_came)?,
            Media::Rtcp => sender.pass_rtcp(as_it_came)?,
            Media::Udptl => return Err(SrtpError::ForeignSource),
        }
        buffer.get_mut(..as_it_came.len()).ok_or(SrtpError::NoRoom)?.copy_from_slice(as_it_came);
        Ok(as_it_came.len())
    }
}

fn mark(transmit: &Transmit, sender: &Protection<SrtpSender>) -> Option<KeyMark> {
    match sender {
        Protection::Srtp(sender) if transmit.lent => Some(sender.mark()),
        _ => None,
    }
}

impl Flows {
    /// Keeps a datagram that may have to leave as it came. For a port without SRTP nothing is done. False: it is none of the peer's, for the
    /// node has said it itself to the other side.
    pub(crate) fn keep(&mut self, slot: Slot, media: Media, packet: &[u8]) -> bool {
        self.untouched.len = 0;
        let Some(exit) = self.lent_across(slot) else { return true };
        if self.flow(exit).is_some_and(|exit| exit.has_said(media, packet)) {
            self.flow(slot).into_iter().for_each(Flow::refuse_own);
            return false;
        }
        self.untouched.keep(packet);
        true
    }

    /// The port by which this one's packets leave, if it has lent keys.
    fn lent_across(&mut self, slot: Slot) -> Option<Slot> {
        let (destination, known) = self.flow(slot).filter(|flow| flow.is_secure())?.destination()?;
        let Destination::Port(port) = destination else { return None };
        let exit = self.find(slot, port, known)?;
        self.flow(exit)?.has_lent_keys().then_some(exit)
    }
}
