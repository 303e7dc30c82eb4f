//! Why a packet was not protected or unprotected.

/// Which rule a packet or key broke. The packet's octets are unspecified after an error: they may be partly transformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    /// Shorter than its header, or than header and tag together.
    #[error("packet too short for its header and tag (RFC 3711 3.1)")]
    TooShort,
    /// Version is not 2.
    #[error("version is not 2 (RFC 3550 5.1)")]
    Version,
    /// The tag is not that of these keys, this packet and the estimated index.
    #[error("authentication failed (RFC 3711 4.2)")]
    AuthFailed,
    /// The index was used before.
    #[error("index seen before (RFC 3711 3.3.2)")]
    Replayed,
    /// The index lies before the replay window.
    #[error("index older than the replay window (RFC 3711 3.3.2)")]
    TooOld,
    /// 2^48 SRTP or 2^31 SRTCP packets: the keys are used up.
    #[error("key lifetime reached (RFC 3711 9.2)")]
    KeyExhausted,
    /// This SSRC was given up for others under the same key; going on would repeat keystream (RFC 3711 9.1).
    #[error("SSRC was retired under this key (RFC 3711 9.1)")]
    Retired,
    /// More SSRCs under one key than are remembered: whether this one was used before is not known (RFC 3711 9.1).
    #[error("too many SSRCs under this key (RFC 3711 9.1)")]
    TooManyStreams,
    /// Under lent keys each SSRC is the node's or the peer's that made them; this one is the other's (RFC 3711 9.1).
    #[error("SSRC of another sender under this key (RFC 3711 9.1)")]
    ForeignSource,
    /// The buffer has no room for the trailer behind the packet. The caller's mistake.
    #[error("no room for the trailer behind the packet")]
    NoRoom,
    /// Key or salt has not the length of the profile. The caller's mistake.
    #[error("master key or salt of the wrong length (RFC 3711 8.2, RFC 7714 12)")]
    KeyLength,
}
