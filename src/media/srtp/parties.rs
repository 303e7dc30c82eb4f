//! Who uses which SSRC under keys that are not the node's alone. Two senders under one key must never share an SSRC, or keystream is used
//! twice (RFC 3711 9.1; with AES-GCM the authentication key is lost, RFC 7714 10.1).

use super::SrtpError;
use ringfort_base::limits::SRTP_STREAMS_MAX;

/// The node's SSRCs under lent keys, none of which is ever forgotten, and the last ones of the peer that made them.
#[derive(Debug, Default)]
pub(super) struct Parties {
    ours: [Option<u32>; SRTP_STREAMS_MAX],
    theirs: [Option<u32>; SRTP_STREAMS_MAX],
    /// Where the next one of the peer goes.
    next: usize,
}

impl Parties {
    /// Whether the node has protected something under this SSRC.
    pub(super) fn owns(&self, ssrc: u32) -> bool {
        self.ours.contains(&Some(ssrc))
    }

    /// The node is about to protect something under this SSRC.
    pub(super) fn claim(&mut self, ssrc: u32) -> Result<(), SrtpError> {
        if self.theirs.contains(&Some(ssrc)) {
            return Err(SrtpError::ForeignSource);
        }
        if self.ours.contains(&Some(ssrc)) {
            return Ok(());
        }
        *self.ours.iter_mut().find(|place| place.is_none()).ok_or(SrtpError::TooManyStreams)? = Some(ssrc);
        Ok(())
    }

    /// Something that the peer protected under this SSRC is about to go on.
    pub(super) fn pass(&mut self, ssrc: u32) -> Result<(), SrtpError> {
        if self.ours.contains(&Some(ssrc)) {
            return Err(SrtpError::ForeignSource);
        }
        if !self.theirs.contains(&Some(ssrc)) {
            self.theirs[self.next] = Some(ssrc);
            self.next = (self.next + 1) % SRTP_STREAMS_MAX;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ssrc_belongs_to_who_used_it_first() {
        let mut parties = Parties::default();
        assert_eq!([parties.pass(1), parties.pass(1), parties.claim(2), parties.claim(2)], [Ok(()); 4]);
        assert_eq!([parties.claim(1), parties.pass(2)], [Err(SrtpError::ForeignSource); 2]);
    }

    /// Whatever the peer does, it cannot make the node forget what is the node's own.
    #[test]
    fn bounds() {
        let mut parties = Parties::default();
        let many = SRTP_STREAMS_MAX as u32;
        assert!((0..many).all(|ssrc| parties.claim(ssrc).is_ok()));
        assert_eq!(parties.claim(many), Err(SrtpError::TooManyStreams));
        assert!((many..10 * many).all(|ssrc| parties.pass(ssrc).is_ok()));
        assert!((0..many).all(|ssrc| parties.pass(ssrc).is_err()));
        assert!((9 * many..10 * many).all(|ssrc| parties.claim(ssrc) == Err(SrtpError::ForeignSource)));
    }
}
