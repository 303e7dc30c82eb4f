//! SRTP of one direction of a port, or none.

use crate::flow::Media;
use ringfort_base::Time;
use ringfort_base::limits::MEDIA_DATAGRAM_MAX;
use ringfort_media::plan::SrtpKeys;
use ringfort_media::srtp::{KeyMark, SrtpError, SrtpPositions, SrtpReceiver, SrtpSender};
use std::time::Duration;

/// How long packets under the keys before are taken, after others were agreed on: they were on their way, or their sender does not know
/// yet.
pub(crate) const FORMER_KEYS_MAX: Duration = Duration::from_secs(2);

/// SRTP of one direction.
pub(crate) enum Protection<T> {
    /// No SRTP.
    Plain,
    /// SRTP with these contexts.
    Srtp(Box<T>),
    /// The plan's keys are of the wrong length. Nothing passes: sending in the clear instead would be worse than silence.
    Unusable,
}

impl<T> Protection<T> {
    /// Derives the contexts.
    pub(crate) fn new(keys: Option<&SrtpKeys>, make: fn(&SrtpKeys) -> Result<T, SrtpError>) -> Protection<T> {
        match keys.map(make) {
            None => Protection::Plain,
            Some(Ok(context)) => Protection::Srtp(Box::new(context)),
            Some(Err(error)) => {
                tracing::error!(%error, "SRTP keys of a plan cannot be used");
                Protection::Unusable
            }
        }
    }
}

/// A packet that was unprotected: its new length, and by which keys. `None`: by none.
pub(crate) type Opened = (usize, Option<KeyMark>);

impl Protection<SrtpReceiver> {
    /// Unprotects `packet` in place and returns its new length. `known`: it comes from the source that is locked.
    fn unprotect(&mut self, media: Media, packet: &mut [u8], known: bool) -> Result<usize, SrtpError> {
        match (self, media) {
            (Protection::Plain, _) => Ok(packet.len()),
            (Protection::Srtp(receiver), Media::Rtp) if known => receiver.unprotect_rtp_of_known(packet),
            (Protection::Srtp(receiver), Media::Rtp) => receiver.unprotect_rtp(packet),
            (Protection::Srtp(receiver), Media::Rtcp) => receiver.unprotect_rtcp(packet),
            (Protection::Srtp(_), Media::Udptl) | (Protection::Unusable, _) => Err(SrtpError::KeyLength),
        }
    }
}

/// What protects the peer's direction: the keys that were agreed on, and for a moment those before.
pub(crate) struct Receiving {
    keys: Protection<SrtpReceiver>,
    /// Until when the keys before are good.
    former: Option<(Box<SrtpReceiver>, Time)>,
}

impl Receiving {
    pub(crate) fn new(keys: Option<&SrtpKeys>) -> Receiving {
        Receiving { keys: Protection::new(keys, SrtpReceiver::new), former: None }
    }

    /// Other keys, or none, from now on. Only the last ones before are remembered.
    pub(crate) fn replace(&mut self, now: Time, keys: Option<&SrtpKeys>) {
        let before = std::mem::replace(&mut self.keys, Protection::new(keys, SrtpReceiver::new));
        if let Protection::Srtp(before) = before {
            self.former = Some((before, now + FORMER_KEYS_MAX));
        }
    }

    /// Unprotects `packet` in place. The keys before count where `known` says that the packet comes from the source that is locked:
    /// nobody locks by them.
    pub(crate) fn unprotect(&mut self, now: Time, media: Media, packet: &mut [u8], known: bool) -> Result<Opened, SrtpError> {
        self.former.take_if(|(_, until)| *until <= now);
        if let Some(mark) = self.former.as_ref().filter(|_| known).map(|(former, _)| former.mark()) {
            let (len, formerly) = self.unprotect_by_both(media, packet)?;
            return Ok((len, if formerly { Some(mark) } else { self.mark() }));
        }
        let len = self.keys.unprotect(media, packet, known)?;
        Ok((len, self.mark()))
    }

    /// Of a known source, by the keys that were agreed on or by those before. True: by those.
    fn unprotect_by_both(&mut self, media: Media, packet: &mut [u8]) -> Result<(usize, bool), SrtpError> {
        let Some((former, _)) = &mut self.former else { return Err(SrtpError::KeyLength) };
        // Who refuses a packet leaves it in pieces.
        let mut copy = [0; MEDIA_DATAGRAM_MAX];
        let Some(copy) = copy.get_mut(..packet.len()) else { return Err(SrtpError::TooShort) };
        copy.copy_from_slice(packet);
        // Without keys anything would do, so those before are asked first.
        let plain = matches!(self.keys, Protection::Plain);
        let result = if plain { Err(SrtpError::AuthFailed) } else { self.keys.unprotect(media, packet, true) };
        let Err(error @ (SrtpError::AuthFailed | SrtpError::TooShort)) = result else { return result.map(|len| (len, false)) };
        let formerly = match media {
            Media::Rtp => former.unprotect_rtp(copy),
            Media::Rtcp => former.unprotect_rtcp(copy),
            Media::Udptl => Err(error),
        };
        match formerly {
            Ok(len) => {
                packet.copy_from_slice(copy);
                Ok((len, true))
            }
            Err(again @ (SrtpError::Replayed | SrtpError::TooOld)) => Err(again),
            Err(_) if plain => self.keys.unprotect(media, packet, true).map(|len| (len, false)),
            Err(_) => Err(error),
        }
    }

    /// What unprotects by the keys that were agreed on.
    pub(crate) fn current(&self) -> Option<&SrtpReceiver> {
        if let Protection::Srtp(receiver) = &self.keys { Some(receiver) } else { None }
    }

    /// The context of the keys that were agreed on.
    pub(crate) fn context(&mut self) -> Option<&mut SrtpReceiver> {
        if let Protection::Srtp(receiver) = &mut self.keys { Some(receiver) } else { None }
    }

    /// Where that stands.
    pub(crate) fn positions(&self) -> Option<SrtpPositions> {
        self.current().map(SrtpReceiver::positions)
    }

    /// Which keys were agreed on.
    pub(crate) fn mark(&self) -> Option<KeyMark> {
        self.current().map(SrtpReceiver::mark)
    }

    /// The index at which a stream stands under the keys that were agreed on. `None`: it is not known, or those before count too.
    pub(crate) fn stands(&self, ssrc: u32) -> Option<u64> {
        self.current()?.highest(ssrc).filter(|_| self.former.is_none())
    }

    /// Nothing is protected.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.keys, Protection::Plain)
    }
}

impl Protection<SrtpSender> {
    /// Protects `buffer[..len]` in place and returns its new length.
    pub(crate) fn protect(&mut self, media: Media, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        match (self, media) {
            (Protection::Plain, _) => Ok(len),
            (Protection::Srtp(sender), Media::Rtp) => sender.protect_rtp(buffer, len),
            (Protection::Srtp(sender), Media::Rtcp) => sender.protect_rtcp(buffer, len),
            (Protection::Srtp(_), Media::Udptl) | (Protection::Unusable, _) => Err(SrtpError::KeyLength),
        }
    }
}
