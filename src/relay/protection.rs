//! SRTP of one direction of a port, or none.

use crate::flow::Media;
use ringfort_media::plan::SrtpKeys;
use ringfort_media::srtp::{SrtpError, SrtpReceiver, SrtpSender};

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

impl Protection<SrtpReceiver> {
    /// Unprotects `packet` in place and returns its new length.
    pub(crate) fn unprotect(&mut self, media: Media, packet: &mut [u8]) -> Result<usize, SrtpError> {
        match (self, media) {
            (Protection::Plain, _) => Ok(packet.len()),
            (Protection::Srtp(receiver), Media::Rtp) => receiver.unprotect_rtp(packet),
            (Protection::Srtp(receiver), Media::Rtcp) => receiver.unprotect_rtcp(packet),
            (Protection::Srtp(_), Media::Udptl) | (Protection::Unusable, _) => Err(SrtpError::KeyLength),
        }
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
