//! Prints the tables: `docs/transactions.md` is this text.

use super::table::{Event, Machine, Row, State};
use super::timers::{FORMULAS, Timer};
use std::fmt::Write;

const STATES: [State; 8] = [
    State::New,
    State::Calling,
    State::Trying,
    State::Proceeding,
    State::Completed,
    State::Confirmed,
    State::Accepted,
    State::Terminated,
];

/// The four machines and the timers as a Markdown document.
pub fn document() -> String {
    let mut out = String::from(INTRODUCTION);
    // Writing to a String cannot fail, here and below.
    let _ = timers(&mut out);
    for machine in Machine::ALL {
        let _ = print(&mut out, machine);
    }
    out
}

const INTRODUCTION: &str = "\
# Transactions

The transaction layer (`src/sip/transaction/`) is RFC 3261 17 with the corrections of RFC 6026. Its four machines are the
tables below. This page is printed from the code: a test fails when the two differ, and
`UPDATE_DOCS=1 cargo test -p ringfort-sip` writes the page anew.

A pair of state and event that has no row is ignored. Within a row what is sent stands before the timers that guard it.
*TU* is the transaction user: the call, the registrar, whatever asks and answers. When a transaction terminates it is
forgotten in the same step, its timers stop, and the TU is told by `Ended`.

What the tables do not show:

- **Matching.** Requests: branch and sent-by of the top Via, and method (RFC 3261 17.2.3); an ACK matches its INVITE. Without
  the magic cookie, or with nothing behind it: Request-URI, tags, Call-ID, CSeq number and top Via. Responses: branch, sent-by
  and the CSeq method (17.1.3). Branches are compared octet for octet, hosts without case, an absent port is the transport's
  own.
- **Responses** go back by the connection or, over UDP, to the source address and port when the client asked with `rport`,
  else to the source address and the port of sent-by (18.2.2, RFC 3581). `maddr` is not honoured: it would let a sender aim
  responses at somebody else. The request that the TU sees bears `received` and `rport` already.
- **100 Trying** follows the INVITE on its way to the TU at once; a TU that answers before anything else is polled saves it.
- **CANCEL** received is answered by the layer: 481 when it matches no INVITE, else 200, and the TU hears of it while the
  INVITE has no final response. CANCEL sent is a non-INVITE client transaction of which the TU hears nothing.
- **2xx to INVITE** are repeated by the layer on behalf of the UAS core, on every transport, until the TU says that the ACK
  arrived (13.3.1.4).
- **Limits.** Beyond `TRANSACTIONS_MAX` transactions, or `OCTETS_MAX` octets that they remember, a request is answered 503 with
  Retry-After, without a transaction. ACKs and responses pass, and so does the CANCEL of an INVITE that is alive.
";

fn timers(out: &mut String) -> std::fmt::Result {
    out.push_str("\n## Timers\n\nT1 is 500 ms, T2 4 s, T4 5 s unless configured. \
        Over reliable transports (TCP, TLS, WS, WSS) requests are not repeated\nand nothing is absorbed: a timer of 0 fires in the step \
        that starts it. Timer C belongs to proxies: how long a callee may\nring is the call's decision.\n\n");
    out.push_str("| timer | over UDP | over reliable transports | purpose | source |\n|---|---|---|---|---|\n");
    for formula in &FORMULAS {
        let (timer, rule) = (formula.timer, formula.rule);
        writeln!(out, "| {timer} | {} | {} | {} | {rule} |", formula.unreliable, formula.reliable, formula.purpose)?;
    }
    Ok(())
}

fn print(out: &mut String, machine: Machine) -> std::fmt::Result {
    writeln!(out, "\n## {machine}\n")?;
    matrix(out, machine)?;
    out.push_str("\n| state | event | next state | actions, in order | source |\n|---|---|---|---|---|\n");
    for row in machine.rows() {
        let Row { state, event, next, rule, .. } = row;
        writeln!(out, "| {state} | {event} | {next} | {} | {rule} |", actions(row))?;
    }
    Ok(())
}

fn actions(row: &Row) -> String {
    let names: Vec<String> = row.actions.iter().map(ToString::to_string).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Next states at a glance: a line an event, a column a state; a dot where the event is ignored.
fn matrix(out: &mut String, machine: Machine) -> std::fmt::Result {
    let states: Vec<State> = STATES.into_iter().filter(|state| machine.rows().iter().any(|row| row.state == *state)).collect();
    out.push_str("| |");
    for state in &states {
        write!(out, " {state} |")?;
    }
    writeln!(out, "\n|---|{}", "---|".repeat(states.len()))?;
    for event in events(machine) {
        write!(out, "| {event} |")?;
        for state in &states {
            match machine.row(*state, event) {
                Some(row) => write!(out, " {} |", row.next)?,
                None => out.push_str(" · |"),
            }
        }
        out.push('\n');
    }
    Ok(())
}

/// The events that a machine knows at all, timers last.
pub(super) fn events(machine: Machine) -> Vec<Event> {
    let plain = [
        Event::Begin,
        Event::Provisional,
        Event::Success,
        Event::Failure,
        Event::Repeat,
        Event::Ack,
        Event::RespondProvisional,
        Event::RespondSuccess,
        Event::RespondFailure,
        Event::Cancel,
        Event::AckSeen,
        Event::FlowLost,
    ];
    let timers = FORMULAS.iter().map(|formula| Event::Fired(formula.timer as Timer));
    let known = |event: &Event| machine.rows().iter().any(|row| row.event == *event);
    plain.into_iter().chain(timers).filter(known).collect()
}
