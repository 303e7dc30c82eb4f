//! The DTLS handshakes of one leg. A browser has one, over the pair that ICE found. Without ICE nothing vouches for a source before its
//! certificate is seen, so each source has its own until one of them proves to be the peer (RFC 5763 6.7.1).

use super::dtls::Association;
use super::keys::LegKeys;
use crate::error::MediaCause;
use crate::sdp::Fingerprint;
use ringfort_base::{Time, limits};
use std::net::{IpAddr, SocketAddr};

/// An association and who is at its other end.
#[derive(Debug)]
struct Talk {
    source: SocketAddr,
    association: Association,
}

/// Feed it with [`Talks::handle`] and [`Talks::handle_timeout`], then drain [`Talks::poll_send`] and [`Talks::take_keys`].
#[derive(Debug)]
pub(super) struct Talks {
    list: Vec<Talk>,
    /// One association, wherever its datagrams come from: ICE vouches for the sources.
    shared: bool,
    /// The address in the peer's description.
    expected: Option<IpAddr>,
    /// Why the last stranger was given up.
    refused: Option<MediaCause>,
}

impl Talks {
    /// `shared`: ICE vouches for the sources. `expected`: where the peer says that it is.
    pub fn new(shared: bool, expected: Option<SocketAddr>) -> Talks {
        Talks { list: Vec::new(), shared, expected: expected.map(|address| address.ip()), refused: None }
    }

    /// Goes on with the associations of another one.
    pub fn adopt(&mut self, other: Talks) {
        self.list = other.list;
    }

    /// None is open.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// A datagram from there would meet an association.
    pub fn knows(&self, source: SocketAddr) -> bool {
        self.list.iter().any(|talk| self.shared || talk.source == source)
    }

    /// Whether one more may be opened with this source. Where the peer says that it is, there is always room.
    pub fn has_room(&mut self, source: SocketAddr) -> bool {
        if self.list.len() >= limits::DTLS_SOURCES_MAX && self.is_expected(source) {
            let stranger = self.list.iter().position(|talk| !self.is_expected(talk.source));
            stranger.into_iter().for_each(|index| drop(self.list.remove(index)));
        }
        self.list.len() < limits::DTLS_SOURCES_MAX
    }

    pub fn open(&mut self, source: SocketAddr, association: Association) {
        self.list.push(Talk { source, association });
    }

    /// # Errors
    /// The peer itself cannot be agreed with. A stranger who fails is only forgotten.
    pub fn handle(&mut self, now: Time, from: SocketAddr, datagram: &[u8]) -> Result<(), MediaCause> {
        let shared = self.shared;
        let Some(index) = self.list.iter().position(|talk| shared || talk.source == from) else { return Ok(()) };
        let Some(talk) = self.list.get_mut(index) else { return Ok(()) };
        talk.source = from;
        let result = talk.association.handle(now, datagram);
        self.judge(index, result)
    }

    /// # Errors
    /// As [`Talks::handle`].
    pub fn handle_timeout(&mut self, now: Time) -> Result<(), MediaCause> {
        for index in (0..self.list.len()).rev() {
            let due = self.list.get_mut(index).filter(|talk| talk.association.next_timeout() <= now);
            let result = due.map_or(Ok(()), |talk| talk.association.handle_timeout(now));
            self.judge(index, result)?;
        }
        Ok(())
    }

    pub fn next_timeout(&self) -> Time {
        self.list.iter().map(|talk| talk.association.next_timeout()).min().unwrap_or(Time::NEVER)
    }

    /// The next datagram, and who is to have it.
    pub fn poll_send(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.list.iter_mut().find_map(|talk| Some((talk.source, talk.association.poll_send()?)))
    }

    /// The keys, once, and with whom; every other association ends then.
    ///
    /// # Errors
    /// As [`Talks::handle`]: another certificate than one of `fingerprints`, or a profile that the relay does not carry.
    pub fn take_keys(&mut self, fingerprints: &[Fingerprint]) -> Result<Option<(SocketAddr, LegKeys)>, MediaCause> {
        for index in (0..self.list.len()).rev() {
            let Some(talk) = self.list.get_mut(index) else { continue };
            match keys_of(&mut talk.association, fingerprints) {
                Ok(None) => {}
                Ok(Some(keys)) => {
                    let talk = self.list.swap_remove(index);
                    let source = talk.source;
                    self.list = vec![talk];
                    return Ok(Some((source, keys)));
                }
                Err(cause) => self.judge(index, Err(cause))?,
            }
        }
        Ok(None)
    }

    /// Version of the association that is left once there are keys.
    pub fn version(&self) -> Option<&'static str> {
        self.list.first().and_then(|talk| talk.association.version())
    }

    /// Why nobody proved to be the peer, where somebody tried.
    pub fn refused(&self) -> Option<MediaCause> {
        self.refused.or_else(|| self.list.iter().find_map(|talk| talk.association.objection()))
    }

    fn is_expected(&self, source: SocketAddr) -> bool {
        self.shared || self.expected == Some(source.ip())
    }

    fn judge(&mut self, index: usize, result: Result<(), MediaCause>) -> Result<(), MediaCause> {
        let Err(cause) = result else { return Ok(()) };
        if self.list.get(index).is_some_and(|talk| self.is_expected(talk.source)) {
            return Err(cause);
        }
        self.refused = Some(cause);
        self.list.remove(index);
        Ok(())
    }
}

/// The keys of an association once they are there and its peer proved to be the right one.
fn keys_of(association: &mut Association, fingerprints: &[Fingerprint]) -> Result<Option<LegKeys>, MediaCause> {
    // The certificate comes before the keys and is judged even when no key follows.
    if association.peer().is_some_and(|proved| !fingerprints.contains(proved)) {
        return Err(MediaCause::FingerprintMismatch);
    }
    let Some((material, profile)) = association.take_keying() else { return Ok(None) };
    // A peer without certificate proved nothing (RFC 8842 5.1: both sides authenticate).
    association.peer().ok_or(MediaCause::FingerprintMismatch)?;
    LegKeys::split(profile, &material, association.is_client()).ok_or(MediaCause::SrtpProfile).map(Some)
}

/// Whether a datagram begins with a ClientHello: what alone opens an association with a stranger.
pub(super) fn is_hello(datagram: &[u8]) -> bool {
    // Record of type handshake, and behind its 13 octets a handshake message of type 1 (RFC 6347 4.1, 4.2.2).
    datagram.first() == Some(&22) && datagram.get(13) == Some(&1)
}
