//! What two parties of a call may differ in.

use crate::cover::Row;
use ringfort_base::Transport;

/// How a leg carries its media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carriage {
    Rtp,
    Sdes,
    Dtls,
}

/// How a party tells digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digits {
    Events,
    Info,
    InBand,
}

/// `a=rtpmap` of a codec, and its payload type where it is offered.
pub type Codec = (u8, &'static str);

const PCMU: Codec = (0, "PCMU/8000");
const PCMA: Codec = (8, "PCMA/8000");
const G722: Codec = (9, "G722/8000");
const G729: Codec = (18, "G729/8000");
const OPUS: Codec = (111, "opus/48000/2");

/// What a target of transfers has.
const EVERY_CODEC: &[Codec] = &[PCMU, PCMA, G722, G729, OPUS];

const ACCESS: &[(&str, Transport, Carriage)] = &[
    ("UDP, RTP", Transport::Udp, Carriage::Rtp),
    ("UDP, SDES", Transport::Udp, Carriage::Sdes),
    ("TCP, RTP", Transport::Tcp, Carriage::Rtp),
    ("TCP, SDES", Transport::Tcp, Carriage::Sdes),
    ("TLS, RTP", Transport::Tls, Carriage::Rtp),
    ("TLS, SDES", Transport::Tls, Carriage::Sdes),
    ("WSS, DTLS", Transport::Wss, Carriage::Dtls),
];

type Codecs = (&'static str, &'static [Codec], &'static [Codec]);

const CODECS: &[Codecs] = &[
    ("PCMA", &[PCMA], &[PCMA]),
    ("PCMU, PCMA → PCMA", &[PCMU, PCMA], &[PCMA]),
    ("G722, PCMA", &[G722, PCMA], &[G722, PCMA]),
    ("opus, PCMA → PCMU, PCMA", &[OPUS, PCMA], &[PCMU, PCMA]),
    ("opus", &[OPUS], &[OPUS]),
    ("G729", &[G729], &[G729]),
];

/// Codecs that have nothing in common.
pub const DISJOINT: Codecs = ("opus → PCMA", &[OPUS], &[PCMA]);

const DIGITS: &[(&str, Digits)] = &[("RFC 4733", Digits::Events), ("INFO", Digits::Info), ("in-band", Digits::InBand)];
const PRACK: &[&str] = &["neither", "caller", "callee", "both"];
const HOLD: &[&str] = &["sendonly", "inactive", "c=0.0.0.0", "sendonly by UPDATE"];
const BY: &[&str] = &["caller", "callee"];
const REFER: &[&str] = &["none", "blind", "attended", "passed on"];
const IP: &[&str] = &["4 → 4", "6 → 6", "4 → 6", "6 → 4"];

/// Columns of the table.
pub const NAMES: [&str; 11] = [
    "caller",
    "callee",
    "codecs",
    "caller's digits",
    "callee's digits",
    "PRACK",
    "hold",
    "held by",
    "REFER",
    "referred by",
    "IP",
];

/// How many values each column has.
pub fn sizes() -> Vec<usize> {
    let (access, digits) = (ACCESS.len(), DIGITS.len());
    vec![access, access, CODECS.len(), digits, digits, PRACK.len(), HOLD.len(), BY.len(), REFER.len(), BY.len(), IP.len()]
}

/// The words of a cell.
pub fn value(column: usize, index: usize) -> &'static str {
    match column {
        0 | 1 => ACCESS[index].0,
        2 => CODECS.get(index).map_or(DISJOINT.0, |codecs| codecs.0),
        3 | 4 => DIGITS[index].0,
        5 => PRACK[index],
        6 => HOLD[index],
        7 | 9 => BY[index],
        8 => REFER[index],
        _ => IP[index],
    }
}

/// A browser writes 0.0.0.0 whenever it has not gathered candidates: it means nothing there.
pub fn is_sound(row: &Row) -> bool {
    let holder = if row[7] == 0 { row[0] } else { row[1] };
    HOLD[row[6]] != "c=0.0.0.0" || ACCESS[holder].2 != Carriage::Dtls
}

/// What a party is and can do.
#[derive(Clone, Copy, Debug)]
pub struct Kit {
    pub transport: Transport,
    pub carriage: Carriage,
    pub codecs: &'static [Codec],
    pub digits: Digits,
    /// It takes reliable provisional responses.
    pub reliable: bool,
    pub v6: bool,
    /// It follows REFER itself.
    pub follows: bool,
}

/// Who is called by a transfer: each access in its turn, against each of the others.
pub fn target(row: &Row) -> (&'static str, Kit) {
    let [caller, callee] = kits(row);
    let (name, transport, carriage) = ACCESS[(row[0] * 2 + row[1] * 3 + row[2] + row[10]) % ACCESS.len()];
    let (codecs, digits, v6) = (EVERY_CODEC, Digits::Events, caller.v6 && callee.v6);
    (name, Kit { transport, carriage, codecs, digits, reliable: false, v6, follows: false })
}

/// Both parties of a row.
pub fn kits(row: &Row) -> [Kit; 2] {
    let kit = |side: usize| {
        let (_, transport, carriage) = ACCESS[row[side]];
        let codecs = CODECS.get(row[2]).unwrap_or(&DISJOINT);
        Kit {
            transport,
            carriage,
            codecs: if side == 0 { codecs.1 } else { codecs.2 },
            digits: DIGITS[row[3 + side]].1,
            reliable: PRACK[row[5]] == "both" || PRACK[row[5]] == BY[side],
            v6: IP[row[10]].chars().nth(if side == 0 { 0 } else { 4 }) == Some('6'),
            follows: REFER[row[8]] == "passed on" && row[9] != side,
        }
    };
    [kit(0), kit(1)]
}

/// Rows whose parties have no codec in common: each access once on each side.
pub fn disjoint() -> Vec<Row> {
    let row = |n: usize| vec![n, (n + 3) % ACCESS.len(), CODECS.len(), 0, 0, n % 4, 0, 0, 0, 0, 0];
    (0..ACCESS.len()).map(row).collect()
}
