//! The DTLS handshakes of one leg. A browser has one, over the pair that ICE found. Without ICE nothing vouches for a source before its
//! certificate is seen, so each source has its own until one of them proves to be the peer (RFC 5763 6.7.1).

use super::dtls::Association;
use super::keys::LegKeys;
use crate::error::MediaCause;
use crate::sdp::Fingerprint;
use ringfort_base::{Time, limits};
use std::net::SocketAddr;

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
    expected: Option<SocketAddr>,
    /// Why the last one was given up, and whether it came from the announced host.
    refused: Option<(bool, MediaCause)>,
    /// One has proved to be the peer: there are keys, and nothing that becomes of the association ends them.
    proved: bool,
}

impl Talks {
    /// `shared`: ICE vouches for the sources. `expected`: where the peer says that it is.
    pub fn new(shared: bool, expected: Option<SocketAddr>) -> Talks {
        Talks { list: Vec::new(), shared, expected, refused: None, proved: false }
    }

    /// Goes on with the associations of another one.
    pub fn adopt(&mut self, other: Talks) {
        (self.list, self.proved) = (other.list, other.proved);
    }

    /// None is open.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// A datagram from there would meet an association.
    pub fn knows(&self, source: SocketAddr) -> bool {
        self.list.iter().any(|talk| self.shared || talk.source == source)
    }

    /// Whether one more may be opened with this source. Where the peer says that it is, there is always room: who is less likely the peer
    /// makes way.
    pub fn has_room(&mut self, source: SocketAddr) -> bool {
        if self.list.len() >= limits::DTLS_SOURCES_MAX {
            let (likely, talks) = (self.likelihood(source), self.list.iter().enumerate());
            let least = talks.map(|(index, talk)| (self.likelihood(talk.source), index)).min();
            least.filter(|(least, _)| *least < likely).into_iter().for_each(|(_, index)| drop(self.list.remove(index)));
        }
        self.list.len() < limits::DTLS_SOURCES_MAX
    }

    pub fn open(&mut self, source: SocketAddr, association: Association) {
        self.list.push(Talk { source, association });
    }

    /// # Errors
    /// With ICE: the peer cannot be agreed with. Without, who fails is only forgotten: another host behind the same address, or somebody who
    /// forges it, is not told from the peer before one has proved to be it.
    pub fn handle(&mut self, now: Time, from: SocketAddr, datagram: &[u8]) -> Result<(), MediaCause> {
        let shared = self.shared;
        if !shared && has_plain_alert(datagram) {
            // Anybody can write one. Who means it says no more, and the time is up sooner or later.
            let talk = self.list.iter_mut().find(|talk| talk.source == from);
            let objection = talk.and_then(|talk| talk.association.refused(datagram));
            match objection {
                Some(cause) => self.note(from, cause),
                None if self.refused.is_none() => self.note(from, MediaCause::DtlsFailed),
                // What was found out before says more.
                None => {}
            }
            return Ok(());
        }
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
                    (self.list, self.proved) = (vec![talk], true);
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
        let objection = || self.list.iter().find_map(|talk| talk.association.objection());
        self.refused.map(|(_, cause)| cause).or_else(objection)
    }

    /// From elsewhere, from the announced host, from the announced address.
    fn likelihood(&self, source: SocketAddr) -> u8 {
        match self.expected {
            Some(expected) if expected == source => 2,
            Some(expected) if expected.ip() == source.ip() => 1,
            _ => 0,
        }
    }

    /// Remembers why somebody was given up; what comes from the announced host says more.
    fn note(&mut self, source: SocketAddr, cause: MediaCause) {
        let expected = self.likelihood(source) > 0;
        if expected || self.refused.is_none_or(|(before, _)| !before) {
            self.refused = Some((expected, cause));
        }
    }

    fn judge(&mut self, index: usize, result: Result<(), MediaCause>) -> Result<(), MediaCause> {
        let Err(cause) = result else { return Ok(()) };
        if self.shared && !self.proved {
            return Err(cause);
        }
        if let Some(source) = self.list.get(index).map(|talk| talk.source) {
            self.note(source, cause);
            self.list.remove(index);
        }
        Ok(())
    }
}

/// The keys of an association once they are there and its peer proved to be the right one.
fn keys_of(association: &mut Association, fingerprints: &[Fingerprint]) -> Result<Option<LegKeys>, MediaCause> {
    // The certificate comes before the keys and is judged even when no key follows.
    if association.peer().is_some_and(|proved| !fingerprints.contains(proved)) {
        return Err(MediaCause::FingerprintMismatch);
    }
    let Some((material, profile)) = association.take_keying() else {
        return if association.is_without_keys() { Err(MediaCause::SrtpProfile) } else { Ok(None) };
    };
    // A peer without certificate proved nothing (RFC 8842 5.1: both sides authenticate).
    association.peer().ok_or(MediaCause::FingerprintMismatch)?;
    LegKeys::split(profile, &material, association.is_client()).ok_or(MediaCause::SrtpProfile).map(Some)
}

/// Whether a datagram begins with a ClientHello: what alone opens an association with a stranger.
pub(super) fn is_hello(datagram: &[u8]) -> bool {
    // Record of type handshake, and behind its 13 octets a handshake message of type 1 (RFC 6347 4.1, 4.2.2).
    datagram.first() == Some(&22) && datagram.get(13) == Some(&1)
}

/// Whether there is an alert among the records of a datagram that is not encrypted, of epoch 0 (RFC 6347 4.1).
fn has_plain_alert(datagram: &[u8]) -> bool {
    let mut rest = datagram;
    while let Some(&[kind, _, _, epoch_high, epoch_low, _, _, _, _, _, _, len_high, len_low]) = rest.first_chunk::<13>() {
        if kind == 21 && [epoch_high, epoch_low] == [0, 0] {
            return true;
        }
        rest = rest.get(13 + usize::from(u16::from_be_bytes([len_high, len_low]))..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer that wants to renegotiate, which the engine takes for an attack, has its keys already.
    #[test]
    fn with_keys_nothing_ends_the_leg() {
        let identity = crate::DtlsIdentity::generate().expect("a certificate");
        for (shared, proved) in [(false, false), (false, true), (true, false), (true, true)] {
            let source = "192.0.2.1:4000".parse().expect("an address");
            let mut talks = Talks { proved, ..Talks::new(shared, Some(source)) };
            let association = Association::new(&identity, Time::ZERO, false, shared).expect("an association");
            talks.open(source, association);
            let result = talks.judge(0, Err(MediaCause::DtlsFailed));
            assert_eq!(result.is_err(), shared && !proved, "with ICE it is the browser that failed");
            assert_eq!(talks.is_empty(), result.is_ok(), "and the association is not woken again");
        }
    }

    #[test]
    fn an_alert_is_found_behind_other_records() {
        let record = |kind: u8, epoch: u8, body: &[u8]| {
            [&[kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 0, 0, body.len() as u8], body].concat()
        };
        let (alert, hello) = (record(21, 0, &[2, 40]), record(22, 0, &[1; 30]));
        assert!(has_plain_alert(&alert) && has_plain_alert(&[&hello[..], &alert].concat()));
        assert!(!has_plain_alert(&hello) && !has_plain_alert(&record(21, 1, &[7; 26])));
        for cut in 0..alert.len() {
            has_plain_alert(&[&hello[..], &alert[..cut]].concat());
        }
        assert!(!has_plain_alert(&[]) && !has_plain_alert(&alert[..12]));
    }
}
