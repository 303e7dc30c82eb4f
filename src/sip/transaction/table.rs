//! The four transaction machines as tables: (state, event) to (next state, actions).
//!
//! RFC 3261 17 with the corrections of RFC 6026. A pair without a row is ignored. `docs/transactions.md` is printed from
//! these tables, and a test compares the two. Within a row, what is sent stands before the timers that guard it.

use super::timers::Timer;
use std::fmt;

/// Which of the four machines a transaction runs (RFC 3261 17.1.1, 17.1.2, 17.2.1, 17.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Machine {
    /// We sent an INVITE.
    InviteClient,
    /// We sent another request.
    Client,
    /// We received an INVITE.
    InviteServer,
    /// We received another request.
    Server,
}

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It is about to begin.
    New,
    /// The INVITE was sent, nothing was heard.
    Calling,
    /// The request was sent and nothing was heard; or it was received and nothing was answered.
    Trying,
    /// A provisional response passed, or may pass at any time.
    Proceeding,
    /// A final response passed that is not 2xx to an INVITE.
    Completed,
    /// The ACK of that response arrived.
    Confirmed,
    /// A 2xx to an INVITE passed (RFC 6026).
    Accepted,
    /// It ended and is forgotten in the same step.
    Terminated,
}

/// What can happen to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// It begins: our request, or the peer's.
    Begin,
    /// A 1xx arrived.
    Provisional,
    /// A 2xx arrived.
    Success,
    /// A 3xx to 6xx arrived.
    Failure,
    /// The request arrived again.
    Repeat,
    /// An ACK with the INVITE's branch arrived.
    Ack,
    /// The TU gives a 1xx.
    RespondProvisional,
    /// The TU gives a 2xx.
    RespondSuccess,
    /// The TU gives a 3xx to 6xx.
    RespondFailure,
    /// The TU wants the INVITE cancelled.
    Cancel,
    /// The TU says that the ACK of its 2xx arrived.
    AckSeen,
    /// The request could not be sent, or the connection that it went by is closed.
    FlowLost,
    /// A timer fired.
    Fired(Timer),
}

/// What is done when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Send our request, first or again.
    SendRequest,
    /// Send the ACK of a refusal; the first response builds it (RFC 3261 17.1.1.3).
    SendAck,
    /// Send the CANCEL as a transaction of its own (RFC 3261 9.1).
    SendCancel,
    /// Keep the CANCEL until a provisional response arrives (RFC 3261 9.1).
    HoldCancel,
    /// Send the CANCEL if one is kept.
    ReleaseCancel,
    /// Send the TU's response and remember it.
    SendResponse,
    /// Send the remembered response, if there is one.
    Resend,
    /// Send 100 behind the request's way to the TU, unless the TU answers before.
    SendTrying,
    /// Start a timer; a repeating one each time later.
    Start(Timer),
    /// Start a repeating timer at its longest pause.
    StartSlow(Timer),
    /// Stop a timer.
    Stop(Timer),
    /// Hand the request to the TU.
    TellRequest,
    /// Hand the ACK to the TU.
    TellAck,
    /// Hand the response to the TU.
    TellResponse,
    /// Tell the TU that nobody answered.
    FailTimeout,
    /// Tell the TU that the cancelled INVITE was never answered.
    FailCancelled,
    /// Tell the TU that the request could not be sent.
    FailTransport,
    /// Tell the TU that the ACK never came.
    TellNoAck,
}

/// One row: in `state`, on `event`, go to `next` and do `actions` in order.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Before.
    pub state: State,
    /// What happened.
    pub event: Event,
    /// After.
    pub next: State,
    /// What is done, in this order.
    pub actions: &'static [Action],
    /// Where it is written.
    pub rule: &'static str,
}

/// Writes a table the way it is read: `state, event => next: actions; "rule"`.
macro_rules! table {
    ($($state:ident, $event:expr => $next:ident: [$($action:expr),*]; $rule:literal)*) => {
        &[$(Row { state: State::$state, event: $event, next: State::$next, actions: &[$($action),*], rule: $rule }),*]
    };
}

use Action::*;
use Event::*;
use Timer::*;

static INVITE_CLIENT: &[Row] = table! {
    New, Begin => Calling: [SendRequest, Start(A), Start(B)]; "RFC 3261 17.1.1.2"

    Calling, Fired(A) => Calling: [SendRequest, Start(A)]; "RFC 3261 17.1.1.2"
    Calling, Fired(B) => Terminated: [FailTimeout]; "RFC 3261 17.1.1.2"
    Calling, Provisional => Proceeding: [Stop(A), Stop(B), TellResponse, ReleaseCancel]; "RFC 3261 17.1.1.2, 9.1"
    Calling, Success => Accepted: [Stop(A), Stop(B), TellResponse, Start(M)]; "RFC 6026 7.2"
    Calling, Failure => Completed: [SendAck, Stop(A), Stop(B), TellResponse, Start(D)]; "RFC 3261 17.1.1.2"
    Calling, Cancel => Calling: [HoldCancel]; "RFC 3261 9.1"
    Calling, FlowLost => Terminated: [FailTransport]; "RFC 3261 17.1.4"

    Proceeding, Provisional => Proceeding: [TellResponse]; "RFC 3261 17.1.1.2"
    Proceeding, Success => Accepted: [Stop(CancelWait), TellResponse, Start(M)]; "RFC 6026 7.2"
    Proceeding, Failure => Completed: [SendAck, Stop(CancelWait), TellResponse, Start(D)]; "RFC 3261 17.1.1.2"
    Proceeding, Cancel => Proceeding: [SendCancel, Start(CancelWait)]; "RFC 3261 9.1"
    Proceeding, Fired(CancelWait) => Terminated: [FailCancelled]; "RFC 3261 9.1"
    Proceeding, FlowLost => Terminated: [FailTransport]; "RFC 3261 17.1.4"

    Completed, Failure => Completed: [SendAck]; "RFC 3261 17.1.1.2"
    Completed, Fired(D) => Terminated: []; "RFC 3261 17.1.1.2"
    Completed, FlowLost => Terminated: []; "RFC 3261 17.1.1.2: the TU has its final response"

    Accepted, Success => Accepted: [TellResponse]; "RFC 6026 7.2"
    Accepted, Fired(M) => Terminated: []; "RFC 6026 7.2"
};

static CLIENT: &[Row] = table! {
    New, Begin => Trying: [SendRequest, Start(E), Start(F)]; "RFC 3261 17.1.2.2"

    Trying, Fired(E) => Trying: [SendRequest, Start(E)]; "RFC 3261 17.1.2.2"
    Trying, Fired(F) => Terminated: [FailTimeout]; "RFC 3261 17.1.2.2"
    Trying, Provisional => Proceeding: [TellResponse]; "RFC 3261 17.1.2.2"
    Trying, Success => Completed: [Stop(E), Stop(F), TellResponse, Start(K)]; "RFC 3261 17.1.2.2"
    Trying, Failure => Completed: [Stop(E), Stop(F), TellResponse, Start(K)]; "RFC 3261 17.1.2.2"
    Trying, FlowLost => Terminated: [FailTransport]; "RFC 3261 17.1.4"

    Proceeding, Fired(E) => Proceeding: [SendRequest, StartSlow(E)]; "RFC 3261 17.1.2.2"
    Proceeding, Fired(F) => Terminated: [FailTimeout]; "RFC 3261 17.1.2.2"
    Proceeding, Provisional => Proceeding: [TellResponse]; "RFC 3261 17.1.2.2"
    Proceeding, Success => Completed: [Stop(E), Stop(F), TellResponse, Start(K)]; "RFC 3261 17.1.2.2"
    Proceeding, Failure => Completed: [Stop(E), Stop(F), TellResponse, Start(K)]; "RFC 3261 17.1.2.2"
    Proceeding, FlowLost => Terminated: [FailTransport]; "RFC 3261 17.1.4"

    Completed, Fired(K) => Terminated: []; "RFC 3261 17.1.2.2"
    Completed, FlowLost => Terminated: []; "RFC 3261 17.1.2.2: the TU has its final response"
};

static INVITE_SERVER: &[Row] = table! {
    New, Begin => Proceeding: [TellRequest, SendTrying]; "RFC 3261 17.2.1"

    Proceeding, Repeat => Proceeding: [Resend]; "RFC 3261 17.2.1"
    Proceeding, RespondProvisional => Proceeding: [SendResponse]; "RFC 3261 17.2.1"
    Proceeding, RespondSuccess => Accepted: [SendResponse, Start(Repeat2xx), Start(AckWait), Start(L)]; "RFC 6026 7.1, RFC 3261 13.3.1.4"
    Proceeding, RespondFailure => Completed: [SendResponse, Start(G), Start(H)]; "RFC 3261 17.2.1"

    Completed, Repeat => Completed: [Resend]; "RFC 3261 17.2.1"
    Completed, Fired(G) => Completed: [Resend, Start(G)]; "RFC 3261 17.2.1"
    Completed, Fired(H) => Terminated: [TellNoAck]; "RFC 3261 17.2.1"
    Completed, Ack => Confirmed: [Stop(G), Stop(H), Start(I)]; "RFC 3261 17.2.1"
    Completed, FlowLost => Completed: [Stop(G)]; "RFC 6026 7.1: state outlives the connection"

    Confirmed, Fired(I) => Terminated: []; "RFC 3261 17.2.1"

    Accepted, RespondSuccess => Accepted: [SendResponse]; "RFC 6026 7.1"
    Accepted, Ack => Accepted: [TellAck]; "RFC 6026 7.1"
    Accepted, AckSeen => Accepted: [Stop(Repeat2xx), Stop(AckWait)]; "RFC 3261 13.3.1.4"
    Accepted, Fired(Repeat2xx) => Accepted: [Resend, Start(Repeat2xx)]; "RFC 3261 13.3.1.4"
    Accepted, Fired(AckWait) => Accepted: [Stop(Repeat2xx), TellNoAck]; "RFC 3261 13.3.1.4"
    Accepted, Fired(L) => Terminated: []; "RFC 6026 7.1"
    Accepted, FlowLost => Accepted: [Stop(Repeat2xx)]; "RFC 6026 7.1: state outlives the connection"
};

static SERVER: &[Row] = table! {
    New, Begin => Trying: [TellRequest]; "RFC 3261 17.2.2"

    Trying, RespondProvisional => Proceeding: [SendResponse]; "RFC 3261 17.2.2"
    Trying, RespondSuccess => Completed: [SendResponse, Start(J)]; "RFC 3261 17.2.2"
    Trying, RespondFailure => Completed: [SendResponse, Start(J)]; "RFC 3261 17.2.2"

    Proceeding, Repeat => Proceeding: [Resend]; "RFC 3261 17.2.2"
    Proceeding, RespondProvisional => Proceeding: [SendResponse]; "RFC 3261 17.2.2"
    Proceeding, RespondSuccess => Completed: [SendResponse, Start(J)]; "RFC 3261 17.2.2"
    Proceeding, RespondFailure => Completed: [SendResponse, Start(J)]; "RFC 3261 17.2.2"

    Completed, Repeat => Completed: [Resend]; "RFC 3261 17.2.2"
    Completed, Fired(J) => Terminated: []; "RFC 3261 17.2.2"
};

impl Machine {
    /// All four.
    pub const ALL: [Machine; 4] = [Machine::InviteClient, Machine::Client, Machine::InviteServer, Machine::Server];

    /// The whole table.
    pub fn rows(self) -> &'static [Row] {
        match self {
            Machine::InviteClient => INVITE_CLIENT,
            Machine::Client => CLIENT,
            Machine::InviteServer => INVITE_SERVER,
            Machine::Server => SERVER,
        }
    }

    /// The row for `event` in `state`; `None` means that the event is ignored.
    pub fn row(self, state: State, event: Event) -> Option<&'static Row> {
        self.rows().iter().find(|row| row.state == state && row.event == event)
    }

    /// Whether it serves requests that we sent.
    pub fn is_client(self) -> bool {
        matches!(self, Machine::InviteClient | Machine::Client)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Machine::InviteClient => "INVITE client",
            Machine::Client => "non-INVITE client",
            Machine::InviteServer => "INVITE server",
            Machine::Server => "non-INVITE server",
        })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Event::Begin => "begin",
            Event::Provisional => "1xx received",
            Event::Success => "2xx received",
            Event::Failure => "3xx-6xx received",
            Event::Repeat => "request received again",
            Event::Ack => "ACK received",
            Event::RespondProvisional => "TU answers 1xx",
            Event::RespondSuccess => "TU answers 2xx",
            Event::RespondFailure => "TU answers 3xx-6xx",
            Event::Cancel => "TU cancels",
            Event::AckSeen => "TU saw the ACK",
            Event::FlowLost => "flow lost",
            Event::Fired(timer) => return write!(f, "timer {timer}"),
        })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::SendRequest => "send request",
            Action::SendAck => "send ACK",
            Action::SendCancel => "send CANCEL",
            Action::HoldCancel => "hold CANCEL back",
            Action::ReleaseCancel => "release a held CANCEL",
            Action::SendResponse => "send response",
            Action::Resend => "send last response again",
            Action::SendTrying => "send 100 unless the TU answers",
            Action::TellRequest => "request to TU",
            Action::TellAck => "ACK to TU",
            Action::TellResponse => "response to TU",
            Action::FailTimeout => "fail: timeout",
            Action::FailCancelled => "fail: cancelled, unanswered",
            Action::FailTransport => "fail: transport",
            Action::TellNoAck => "no ACK, to TU",
            Action::Start(timer) => return write!(f, "start {timer}"),
            Action::StartSlow(timer) => return write!(f, "start {timer} at T2"),
            Action::Stop(timer) => return write!(f, "stop {timer}"),
        })
    }
}
