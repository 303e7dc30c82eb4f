//! Why the brain wants to be woken: each timer above the transaction layer has a name.

use crate::side::Side;
use ringfort_base::CallId;

/// A timer's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wake {
    /// Send the next OPTIONS to this peer.
    ProbePeer(usize),
    /// The OPTIONS to this peer is overdue.
    ProbeOverdue(usize),
    /// Register with this trunk, or give its REGISTER up.
    RegisterTrunk(usize),
    /// A relayed REGISTER is overdue.
    RegisterOverdue(u64),
    /// Look at subscriptions whose time is over.
    Subscriptions,
    /// Tell those who watch calls what became of them.
    TellOfCalls,
    /// Look for bindings that ran out.
    ExpireBindings,
    /// Give up devices whose connection broke and that did not come back.
    DevicesAway,
    /// A target of this call is silent: not even 100, or nothing behind it.
    TargetSilent(CallId),
    /// It has rung long enough.
    RingEnd(CallId),
    /// Send a reliable provisional response of this call again.
    Reliable(CallId),
    /// The other leg does not finish a re-INVITE of this call.
    ExchangeOverdue(CallId),
    /// A change of this call that met 491 is tried again.
    ExchangeAgain(CallId),
    /// A peer of this call that refused other SRTP keys is asked again.
    KeysAgain(CallId),
    /// A leg's session is to be refreshed, or runs out.
    Session(CallId, Side),
    /// Ask both ends of this call whether they still know of it.
    AskAlive(CallId),
    /// A leg's ICE, DTLS or deadline.
    Media(CallId, Side),
    /// A browser that was asked to begin ICE anew has had its time.
    IceRestart(CallId, Side),
    /// The counters of an ended call have not come.
    RecordOverdue(CallId),
    /// Look after this call's recorder, or try another one.
    Recording(CallId),
    /// The sound that tells this call's parties of the recording does not end.
    RecordingSound(CallId),
    /// Lift bans that are over, forget who was not seen for days.
    ShieldTurn,
    /// Ask the relay for counters.
    ReportMedia,
}
