//! Why a description was refused ([`MediaError`]) and why a leg's media path failed ([`MediaCause`]).

use crate::sdp::SdpError;
use ringfort_base::event::Blame;
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// An offer or answer cannot be used or made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MediaError {
    /// The body breaks a rule of its syntax.
    #[error(transparent)]
    Sdp(#[from] SdpError),
    /// There is no audio line with a port.
    #[error("no audio line that could be carried")]
    NoAudio,
    /// The audio lines use transports that this leg does not carry.
    #[error("transport {proto} is not carried on this leg")]
    UnsupportedTransport {
        /// `RTP/SAVP`, `TCP/RTP/AVP`, ...
        proto: String,
    },
    /// The address is of another network type than `IN IP4` and `IN IP6` (RFC 8866 5.7).
    #[error("address type is not IN IP4 or IN IP6")]
    UnsupportedAddress,
    /// The address is a multicast group.
    #[error("multicast address in c=")]
    Multicast,
    /// A browser's description lacks something that RFC 8827 demands of it.
    #[error("a={attribute} is missing")]
    Missing {
        /// Attribute's name.
        attribute: &'static str,
    },
    /// There is a fingerprint, but none with SHA-256 (RFC 8122 5).
    #[error("no a=fingerprint with sha-256")]
    NoSha256,
    /// The answer's `a=setup` does not fit the offer's (RFC 8842 5.3).
    #[error("a=setup:{role} does not fit the offer")]
    SetupRole {
        /// Role as written.
        role: &'static str,
    },
    /// None of the formats is common to both sides (RFC 3264 6).
    #[error("no common audio format")]
    NoCommonFormat,
    /// The answer has another number of media lines than the offer (RFC 3264 6).
    #[error("answer has {answered} media lines, offer had {offered}")]
    LineCount {
        /// In the offer.
        offered: usize,
        /// In the answer.
        answered: usize,
    },
    /// The answer's media line is of another kind than the offer's at its place (RFC 3264 6).
    #[error("media line {index} of the answer is not of the offer's kind")]
    LineOrder {
        /// Place of the media line, from 0.
        index: usize,
    },
    /// The peer refused the audio line.
    #[error("the audio line was refused")]
    Refused,
    /// A fax over UDPTL has no keys, and this leg must not be without, or is a browser's.
    #[error("a fax is not carried on a leg with keys")]
    FaxUnprotected,
    /// Both sides made an offer at once (RFC 3261 14.2).
    #[error("an offer of this node is unanswered")]
    Glare,
    /// The call layer asked for an answer without offer, or the like.
    #[error("{wanted} without {needed}")]
    OutOfOrder {
        /// What was asked for.
        wanted: &'static str,
        /// What has to come before.
        needed: &'static str,
    },
}

impl MediaError {
    /// The status that the peer is owed for it: 400 when it broke a rule, 488 when the two sides do not fit, 491 when offers
    /// crossed (RFC 3261 21.4), 500 when this node went wrong.
    pub fn status(&self) -> u16 {
        match self {
            MediaError::Sdp(error) if !error.rule.is_limit() => 400,
            MediaError::Glare => 491,
            MediaError::OutOfOrder { .. } => 500,
            _ => 488,
        }
    }

    /// Code and text of a `Warning` header (RFC 3261 20.43). The text holds nothing that the peer did not write itself.
    pub fn warning(&self) -> (u16, String) {
        let code = match self {
            MediaError::UnsupportedAddress => 301,
            MediaError::UnsupportedTransport { .. } => 302,
            MediaError::NoAudio | MediaError::Refused | MediaError::FaxUnprotected => 304,
            MediaError::NoCommonFormat => 305,
            MediaError::Missing { .. } | MediaError::NoSha256 | MediaError::SetupRole { .. } => 306,
            MediaError::Multicast => 330,
            _ => 399,
        };
        (code, self.to_string())
    }

    /// Who has to mend it.
    pub fn blame(&self) -> Blame {
        match self {
            MediaError::Sdp(error) if error.rule.is_limit() => Blame::LocalLimit,
            MediaError::Sdp(_) | MediaError::SetupRole { .. } => Blame::PeerMisbehaved,
            MediaError::LineCount { .. } | MediaError::LineOrder { .. } => Blame::PeerMisbehaved,
            MediaError::OutOfOrder { .. } => Blame::Misused,
            _ => Blame::PeerIncompatible,
        }
    }
}

/// Why the media path of a leg cannot be used. The names are stable across releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MediaCause {
    /// No connectivity check of the peer arrived: a firewall, or the advertised address is wrong.
    IceTimeout,
    /// Checks arrived, but none was nominated.
    IceIncomplete,
    /// ICE stands, but the DTLS handshake was not completed.
    DtlsTimeout,
    /// The peer's certificate is not the one in its description (RFC 8827 6.5).
    FingerprintMismatch,
    /// The DTLS handshake failed.
    DtlsFailed,
    /// The peer has no certificate that the node can check: it must be of an elliptic curve, not RSA.
    DtlsCertificate,
    /// DTLS chose no SRTP profile that the relay carries (RFC 5764 4.1.2).
    SrtpProfile,
    /// The peer's checks ceased (RFC 7675 5.1).
    ConsentExpired,
}

impl MediaCause {
    /// The name used in events, records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            MediaCause::IceTimeout => "ice-timeout",
            MediaCause::IceIncomplete => "ice-incomplete",
            MediaCause::DtlsTimeout => "dtls-timeout",
            MediaCause::FingerprintMismatch => "fingerprint-mismatch",
            MediaCause::DtlsFailed => "dtls-failed",
            MediaCause::DtlsCertificate => "dtls-certificate",
            MediaCause::SrtpProfile => "srtp-profile",
            MediaCause::ConsentExpired => "consent-expired",
        }
    }
}

impl fmt::Display for MediaCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
