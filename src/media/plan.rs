//! What the relay executes: one [`FlowPlan`] for each media port, compiled by the slow path whenever something changes.
//!
//! A packet that arrives on port A is judged by A's [`Receive`], goes where A's [`Destination`] says, and leaves from the
//! destination port B as B's [`Transmit`] says. So each leg's session compiles its own plan and knows nothing of the other's
//! keys or addresses. Plans are plain data: they are written to the journal and read back after a restart.

use crate::audio::{Digit, Hearing, Signal, Speaking};
use crate::srtp::SrtpPositions;
use crate::tier::Tier;
use ringfort_base::{CallId, PortId};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// SRTP protection profiles (RFC 5764 4.1.2, RFC 7714 14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SrtpProfile {
    /// AES-CM 128 with an 80-bit HMAC-SHA1 tag, for SRTP and SRTCP.
    Aes128CmSha1_80,
    /// AES-CM 128 with a 32-bit HMAC-SHA1 tag for SRTP, and one of 80 bits for SRTCP (RFC 4568 6.2.2).
    Aes128CmSha1_32,
    /// AEAD AES-128-GCM, 128-bit tag.
    AeadAes128Gcm,
    /// AEAD AES-256-GCM, 128-bit tag. Chrome and Firefox offer it, and the DTLS engine prefers it.
    AeadAes256Gcm,
    /// AES-CM 192 (RFC 6188) with the tags of [`SrtpProfile::Aes128CmSha1_80`]. By keys in the description only, as those that follow.
    Aes192CmSha1_80,
    /// AES-CM 192 with the tags of [`SrtpProfile::Aes128CmSha1_32`].
    Aes192CmSha1_32,
    /// AES-CM 256 (RFC 6188) with the tags of [`SrtpProfile::Aes128CmSha1_80`].
    Aes256CmSha1_80,
    /// AES-CM 256 with the tags of [`SrtpProfile::Aes128CmSha1_32`].
    Aes256CmSha1_32,
}

impl SrtpProfile {
    /// Octets of master key and master salt (RFC 4568 6.2.1, RFC 6188 4, RFC 7714 12).
    pub const fn lengths(self) -> (usize, usize) {
        match self {
            SrtpProfile::Aes128CmSha1_80 | SrtpProfile::Aes128CmSha1_32 => (16, 14),
            SrtpProfile::Aes192CmSha1_80 | SrtpProfile::Aes192CmSha1_32 => (24, 14),
            SrtpProfile::Aes256CmSha1_80 | SrtpProfile::Aes256CmSha1_32 => (32, 14),
            SrtpProfile::AeadAes128Gcm => (16, 12),
            SrtpProfile::AeadAes256Gcm => (32, 12),
        }
    }
}

/// Master key and salt of one direction. Zeroised when dropped; `Debug` shows the profile only.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
pub struct SrtpKeys {
    /// Protection profile.
    #[zeroize(skip)]
    pub profile: SrtpProfile,
    /// Master key, as long as [`SrtpProfile::lengths`] says.
    pub key: Vec<u8>,
    /// Master salt: 14 octets for AES-CM, 12 for GCM.
    pub salt: Vec<u8>,
}

impl std::fmt::Debug for SrtpKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SrtpKeys({:?})", self.profile)
    }
}

/// Which source addresses a port takes media from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Latch {
    /// Only this address: the ICE pair in use, or an address learned before a restart.
    Exact(SocketAddr),
    /// Symmetric RTP (RFC 4961) with a lock: the first source that sends valid media is kept and all others are refused.
    /// The relay then also sends there instead of to the address in the SDP. `expected` is the address in the peer's SDP: while the
    /// port has not latched, a packet from its IP address is preferred for the first `grace_ms` after the plan.
    Symmetric {
        /// Address from the peer's SDP.
        expected: Option<SocketAddr>,
        /// How long only `expected`'s IP address may latch, milliseconds.
        grace_ms: u32,
    },
}

/// How packets that arrive on this port are judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receive {
    /// Accepted sources.
    pub latch: Latch,
    /// Keys of the peer's direction; `None`: plain RTP.
    pub srtp: Option<SrtpKeys>,
    /// Payload types that carry speech, each with its RTP clock in Hz: what jitter is measured by.
    #[serde(default)]
    pub speech: Vec<(u8, u32)>,
    /// Payload types that were agreed on and carry no speech: telephone events, comfort noise.
    #[serde(default)]
    pub signals: Vec<u8>,
    /// Payload types of video that comes on the same transport: it passes, and is not measured as speech.
    #[serde(default)]
    pub video: Vec<u8>,
    /// The datagrams are those of a fax (ITU-T T.38 over UDPTL): they pass as they are to a port that takes such too. No RTCP.
    #[serde(default)]
    pub udptl: bool,
    /// The node's ICE user name fragment towards this peer, by which a shared port knows its checks (RFC 8445 7.2.2); `None`: without ICE.
    #[serde(default)]
    pub fragment: Option<String>,
    /// STUN and DTLS go up to the core; else they are dropped.
    #[serde(default)]
    pub control: bool,
    /// How often the peer described itself anew. With each time the lock of a plain peer that has fallen silent opens for a moment: it may
    /// have moved behind its NAT without knowing where it is now.
    #[serde(default)]
    pub opened: u32,
    /// All RTP that comes here is video: it is marked as such where it leaves.
    #[serde(default)]
    pub is_video: bool,
    /// Others than the peer were told these keys, or may be: who uses them is not proved to be the peer.
    #[serde(default)]
    pub told: bool,
}

impl Receive {
    /// Plain packets from such a source, of which nothing was agreed on.
    pub fn of(latch: Latch) -> Receive {
        let (speech, signals, video) = (Vec::new(), Vec::new(), Vec::new());
        let (udptl, control, is_video, told) = (false, false, false, false);
        Receive { latch, srtp: None, speech, signals, video, udptl, fragment: None, control, opened: 0, is_video, told }
    }
}

/// How packets leave this port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transmit {
    /// Where RTP goes until the port has latched. `None`: nothing can be sent before.
    pub rtp: Option<SocketAddr>,
    /// Where RTCP goes; `None` with `rtcp_mux` or when the peer takes none.
    pub rtcp: Option<SocketAddr>,
    /// RTP and RTCP share the port (RFC 5761).
    pub rtcp_mux: bool,
    /// Keys of the node's direction; `None`: plain RTP.
    pub srtp: Option<SrtpKeys>,
    /// The keys are those by which the peer at the other side protects what it sends: that goes on as it came, octet for octet. Nothing is
    /// protected here by them but what the node says itself, under SSRCs that only it uses (RFC 3711 9.1).
    #[serde(default)]
    pub lent: bool,
    /// Nothing may be sent to this peer now (it is on hold, or keys are missing).
    pub muted: bool,
}

/// Where packets go that this port accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// Out by another port of the same call.
    Port(PortId),
    /// Back out of this port: the echo service. RTP only, with this SSRC, so that the sender does not meet its own.
    Echo {
        /// SSRC of what is sent back.
        ssrc: u32,
    },
    /// Nowhere; counted under the reason.
    Discard(DiscardReason),
}

/// Why a flow goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiscardReason {
    /// The other leg is not connected yet.
    NotConnected,
    /// The direction is on hold.
    OnHold,
    /// ICE or DTLS has not finished.
    NotReady,
    /// The node brings this side's codec to the other's, and the payload type is none of that codec.
    Unheard,
}

/// What the node hears and says on a port itself, where packets do not only pass.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AudioPlan {
    /// What is decoded of the peer's packets. Other payload types go where the destination says.
    pub hear: Hearing,
    /// What the peer is told.
    pub speak: Option<Speech>,
}

impl AudioPlan {
    /// Whether the node codes something for this peer that is not the other party's audio: a mix, a sound, a tone.
    pub fn has_own_words(&self) -> bool {
        self.speak.as_ref().is_some_and(|speech| !matches!(speech.what, Source::Silence | Source::Port(_)))
    }
}

/// What the node says on a port, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speech {
    /// Codec, payload types and SSRC. While the SSRC stays, the stream goes on through other plans.
    pub how: Speaking,
    /// What is said.
    pub what: Source,
    /// Digits that are heard at the source are told as well: as events, or as tones where the peer has none.
    pub digits: bool,
    /// Nothing is sent while nothing is heard, because other packets pass beside this.
    pub pauses: bool,
}

/// Where the audio comes from that is said on a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// Nothing of the node's own; digits that the core asks for are still sent.
    Silence,
    /// What is heard on another port of the same call.
    Port(PortId),
    /// What is heard on all other ports of the same worker that say this mix.
    Mix(u64),
    /// A sound that the relay was given, by its name.
    Sound {
        /// Name.
        name: String,
        /// Again from the beginning, until the plan changes.
        repeat: bool,
    },
    /// A tone, over and over.
    Tone {
        /// Whose, by ISO 3166-1's two letters; empty: as ITU-T E.180 recommends.
        country: String,
        /// Which.
        signal: Signal,
    },
}

/// Where the SRTP contexts of a port stand; written down so that a restarted process goes on with them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortPositions {
    /// The peer's direction.
    pub receive: SrtpPositions,
    /// The node's direction.
    pub transmit: SrtpPositions,
}

/// Everything that one port's worker needs to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowPlan {
    /// In.
    pub receive: Receive,
    /// Across.
    pub destination: Destination,
    /// Out.
    pub transmit: Transmit,
    /// What the node hears and says itself. `None`: packets only pass.
    #[serde(default)]
    pub audio: Option<Box<AudioPlan>>,
    /// A recorder gets a copy of what the peer sends.
    #[serde(default)]
    pub copy: Option<Box<CopyPlan>>,
    /// Video of the same transport leaves the node by another way than the audio. `None`: by the same.
    #[serde(default)]
    pub apart: Option<Box<ApartPlan>>,
}

impl FlowPlan {
    /// Whether the node says something itself.
    pub fn speaks(&self) -> bool {
        self.audio.as_ref().is_some_and(|audio| audio.speak.is_some())
    }
}

/// What is special of the video in a bundle whose other side has a port for each line (RFC 9143 9.2). Which packets are video say
/// their payload types; whose RTCP is which say the SSRCs of those packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApartPlan {
    /// Where it goes. What comes from that port is video too.
    pub to: Destination,
    /// Payload types that have another number there: in the bundle, and there.
    #[serde(default)]
    pub there: Vec<(u8, u8)>,
    /// The same on the way back: there, and in the bundle.
    #[serde(default)]
    pub back: Vec<(u8, u8)>,
    /// Nobody there takes feedback by RTCP: none goes there, and that the peer asks for a picture is told by
    /// [`RelayEvent::PictureWanted`].
    #[serde(default)]
    pub silent: bool,
}

/// Where a copy of a peer's RTP goes, beside where its packets go anyway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyPlan {
    /// The port of the same call by which the copy leaves, as that port's plan says.
    pub port: PortId,
    /// Payload types that are copied: the peer's number, and the one that the copy has.
    pub payloads: Vec<(u8, u8)>,
}

/// RTP or RTCP socket of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Component {
    /// RTP, and RTCP where multiplexed.
    Rtp,
    /// RTCP on its own port.
    Rtcp,
}

/// What the core asks of the relay. Ordered: a command takes effect after those before it.
#[derive(Clone, Debug, PartialEq)]
pub enum RelayCommand {
    /// Bind sockets. Ports of one call live on one worker, so that a packet never crosses threads.
    Open {
        /// The port.
        port: PortId,
        /// Its call.
        call: CallId,
        /// Address of the RTP socket.
        rtp: SocketAddr,
        /// Address of the RTCP socket, unless RTCP is multiplexed for sure.
        rtcp: Option<SocketAddr>,
        /// The RTP socket is one for all ports that are opened there with this word. What comes to it is known by ICE: a check by the user
        /// name fragment of a plan, anything else by its source, which the node has answered before.
        shared: bool,
    },
    /// The port joins those of another call, as it stands: sockets, latch, SRTP contexts and counters go on. Its plan is one of the
    /// old call's until another one comes.
    Move {
        /// The port.
        port: PortId,
        /// The call from now on.
        call: CallId,
    },
    /// Install or replace what happens to this port's packets. SRTP state (roll-over counters, replay windows) of a direction
    /// whose keys did not change goes on; the latch of an unchanged `Latch` goes on.
    Plan {
        /// The port.
        port: PortId,
        /// The plan.
        plan: Box<FlowPlan>,
    },
    /// Let the SRTP contexts of this port's plan go on from there, after a restart.
    Restore {
        /// The port.
        port: PortId,
        /// What the earlier process told by [`RelayEvent::Positions`].
        positions: Box<PortPositions>,
    },
    /// Send one datagram of the slow path (STUN, DTLS).
    Send {
        /// The port.
        port: PortId,
        /// To whom.
        to: SocketAddr,
        /// The datagram.
        datagram: Vec<u8>,
    },
    /// Close the sockets and report final counters.
    Close {
        /// The port.
        port: PortId,
    },
    /// Tell the peer of this port a digit, by whatever way its plan has.
    Digit {
        /// The port.
        port: PortId,
        /// The digit.
        digit: Digit,
    },
    /// Ask the peer of this port for a whole picture of the video in its bundle (RFC 4585 6.3.1).
    AskForPicture {
        /// The port.
        port: PortId,
    },
    /// Report the counters of every open port by [`RelayEvent::Counters`].
    Report,
}

/// What the relay tells the core.
#[derive(Clone, Debug, PartialEq)]
pub enum RelayEvent {
    /// Sockets could not be bound; the port does not exist.
    OpenFailed {
        /// The port.
        port: PortId,
        /// The system's words.
        error: String,
    },
    /// A STUN or DTLS datagram (RFC 7983) for the slow path.
    Control {
        /// The port.
        port: PortId,
        /// Source.
        from: SocketAddr,
        /// The datagram.
        datagram: Vec<u8>,
    },
    /// The port locked on a source. Written to the journal, so that a restart takes up where it was.
    Latched {
        /// The port.
        port: PortId,
        /// RTP or RTCP.
        component: Component,
        /// The source.
        source: SocketAddr,
    },
    /// RTP came from another synchronisation source than before, or for the first time; video is not meant. Told so often for a port and no
    /// more, and not while the core is behind.
    Stream {
        /// The port.
        port: PortId,
        /// The source.
        ssrc: u32,
    },
    /// A digit was heard on a port.
    Digit {
        /// The port.
        port: PortId,
        /// It began, or ended.
        digit: Digit,
    },
    /// The peer of this port asks for a whole picture, by RTCP that goes no further. Told now and then only, while it goes on asking.
    PictureWanted {
        /// The port.
        port: PortId,
    },
    /// A sound that is not repeated was said to its end.
    Said {
        /// The port.
        port: PortId,
    },
    /// The SRTP contexts of this port have gone on so far that a restarted process needs to know. Written to the journal.
    Positions {
        /// The port.
        port: PortId,
        /// Where they stand.
        positions: Box<PortPositions>,
    },
    /// Counters, on [`RelayCommand::Report`] and for the last time on [`RelayCommand::Close`].
    Counters {
        /// The port.
        port: PortId,
        /// Since it was opened.
        counters: Box<PortCounters>,
        /// The port is closed; nothing follows.
        last: bool,
    },
}

impl RelayEvent {
    /// The port that it is about.
    pub fn port(&self) -> PortId {
        match self {
            RelayEvent::OpenFailed { port, .. }
            | RelayEvent::Control { port, .. }
            | RelayEvent::Latched { port, .. }
            | RelayEvent::Stream { port, .. }
            | RelayEvent::Digit { port, .. }
            | RelayEvent::PictureWanted { port }
            | RelayEvent::Said { port }
            | RelayEvent::Positions { port, .. }
            | RelayEvent::Counters { port, .. } => *port,
        }
    }
}

/// Counters of one port, since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortCounters {
    /// RTP packets taken from the peer.
    pub rtp_in: u64,
    /// Their octets on the wire without UDP and IP.
    pub rtp_in_octets: u64,
    /// Of those taken: forwarded by the kernel as frames, before it made more of them (XDP).
    pub rtp_as_frames: u64,
    /// Of those taken: telephone events, comfort noise, video, and datagrams of a fax.
    pub signals_in: u64,
    /// Of those taken: of a payload type that was not agreed on.
    pub unknown_payload: u64,
    /// The last such payload type.
    pub unknown_payload_last: Option<u8>,
    /// RTP packets sent to the peer.
    pub rtp_out: u64,
    /// RTCP packets taken from the peer.
    pub rtcp_in: u64,
    /// RTCP packets sent to the peer.
    pub rtcp_out: u64,
    /// Datagrams passed up to the core.
    pub control_in: u64,
    /// Refused: the source is not the latched one.
    pub stray_source: u64,
    /// The last such source.
    pub stray_last: Option<SocketAddr>,
    /// Refused: SRTP authentication failed.
    pub auth_failed: u64,
    /// Refused: SRTP packet seen before or too old.
    pub replayed: u64,
    /// Refused: neither RTP, RTCP, STUN nor DTLS, or too short.
    pub malformed: u64,
    /// Not sent: discarded by plan (hold, not connected, not ready).
    pub discarded: u64,
    /// Of those discarded: the peer sent them while its direction is on hold.
    pub discarded_on_hold: u64,
    /// Of those discarded: ICE or DTLS of this port's leg is not done, or there is no other leg yet.
    pub discarded_not_ready: u64,
    /// Not sent: no address to send to, or the system refused.
    pub send_failed: u64,
    /// Not sent: SRTP would repeat an index under its keys, or they are used up.
    pub srtp_unsent: u64,
    /// Not passed up: more control datagrams a second than allowed.
    pub control_dropped: u64,
    /// RTP packets that did not come from the peer.
    pub rtp_lost: u64,
    /// Interarrival jitter of the peer's audio now, µs.
    pub jitter_us: u32,
    /// The highest so far, µs.
    pub jitter_max_us: u32,
    /// Way to the peer and back by its last report that tells, µs.
    pub round_trip_us: Option<u32>,
    /// RTP packets that the peer says it missed.
    pub peer_lost: u32,
    /// Ten times the mean opinion score of what the peer hears, as it says itself (RFC 3611 4.7.5).
    #[serde(default)]
    pub peer_mos_tenths: Option<u8>,
    /// What carries the RTP that the peer sends.
    #[serde(default)]
    pub tier: Tier,
}

impl PortCounters {
    /// RTP packets of agreed speech that were taken from the peer.
    pub fn speech_in(&self) -> u64 {
        self.rtp_in.saturating_sub(self.signals_in).saturating_sub(self.unknown_payload)
    }
}
