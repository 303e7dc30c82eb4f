//! The timers of RFC 3261 table 4 and RFC 6026 by name, their lengths as a table, and the queue they wait in.

use super::TransactionId;
use ringfort_base::Time;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::time::Duration;

/// The three base values from which all timers follow (RFC 3261 17.1.1.1, 17.1.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Estimate of the round-trip time; 500 ms.
    pub t1: Duration,
    /// Longest pause between two repeats of a non-INVITE request or an INVITE response; 4 s.
    pub t2: Duration,
    /// Longest life of a message in the network; 5 s.
    pub t4: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Timers { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

impl Timers {
    /// Values that cannot make a timer spin: T1 at least 1 ms, T2 and T4 not below T1.
    pub(super) fn sane(self) -> Timers {
        let t1 = self.t1.max(Duration::from_millis(1));
        Timers { t1, t2: self.t2.max(t1), t4: self.t4.max(t1) }
    }
}

/// Every reason for which a transaction wants to wake. Timer C belongs to proxies (RFC 3261 16.6) and does not exist
/// here: how long a callee may ring is the call's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// Repeat the INVITE.
    A,
    /// Give up an INVITE that nobody answers.
    B,
    /// Absorb repeats of a refusal of the INVITE.
    D,
    /// Repeat a non-INVITE request.
    E,
    /// Give up a non-INVITE request.
    F,
    /// Repeat a refusal of the INVITE.
    G,
    /// Give up waiting for the ACK of a refusal.
    H,
    /// Absorb repeats of that ACK.
    I,
    /// Absorb repeats of a non-INVITE request.
    J,
    /// Absorb repeats of the response to a non-INVITE request.
    K,
    /// Absorb repeats of an INVITE that was accepted.
    L,
    /// Take further 2xx from other branches, and repeats of the first.
    M,
    /// Repeat the 2xx, as the UAS core.
    Repeat2xx,
    /// Give up waiting for the ACK of a 2xx, as the UAS core.
    AckWait,
    /// Give up waiting for the final response of an INVITE that was cancelled.
    CancelWait,
}

/// How long a timer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// It does not run.
    Off,
    /// It fires in the step that starts it.
    AtOnce,
    /// T1, then twice the time before, without end.
    Doubling,
    /// T1, then twice the time before, at most T2.
    DoublingToT2,
    /// T4.
    T4,
    /// 64 times T1.
    T1x64,
    /// 64 times T1, but at least 32 s.
    T1x64Min32s,
}

/// One row of the timer table.
#[derive(Clone, Copy, Debug)]
pub struct Formula {
    /// The timer.
    pub timer: Timer,
    /// Its length over UDP.
    pub unreliable: Length,
    /// Its length over transports that repeat what is lost.
    pub reliable: Length,
    /// Where it is defined.
    pub rule: &'static str,
    /// What it is for, in words.
    pub purpose: &'static str,
}

const fn formula(timer: Timer, unreliable: Length, reliable: Length, rule: &'static str, purpose: &'static str) -> Formula {
    Formula { timer, unreliable, reliable, rule, purpose }
}

/// All timers. The order is that of [`Timer`], so that a timer is its own index.
pub static FORMULAS: [Formula; 15] = {
    use Length::*;
    [
        formula(Timer::A, Doubling, Off, "RFC 3261 17.1.1.2", "repeat the INVITE"),
        formula(Timer::B, T1x64, T1x64, "RFC 3261 17.1.1.2", "give up an INVITE that nobody answers"),
        formula(Timer::D, T1x64Min32s, AtOnce, "RFC 3261 17.1.1.2", "absorb repeats of a refusal, ACK each"),
        formula(Timer::E, DoublingToT2, Off, "RFC 3261 17.1.2.2", "repeat a non-INVITE request"),
        formula(Timer::F, T1x64, T1x64, "RFC 3261 17.1.2.2", "give up a non-INVITE request"),
        formula(Timer::G, DoublingToT2, Off, "RFC 3261 17.2.1", "repeat a refusal of the INVITE"),
        formula(Timer::H, T1x64, T1x64, "RFC 3261 17.2.1", "give up waiting for the ACK of a refusal"),
        formula(Timer::I, T4, AtOnce, "RFC 3261 17.2.1", "absorb repeats of that ACK"),
        formula(Timer::J, T1x64, AtOnce, "RFC 3261 17.2.2", "absorb repeats of a non-INVITE request"),
        formula(Timer::K, T4, AtOnce, "RFC 3261 17.1.2.2", "absorb repeats of a final response"),
        formula(Timer::L, T1x64, T1x64, "RFC 6026 7.1", "absorb repeats of an accepted INVITE"),
        formula(Timer::M, T1x64, T1x64, "RFC 6026 7.2", "take 2xx from other branches, and repeats"),
        formula(Timer::Repeat2xx, DoublingToT2, DoublingToT2, "RFC 3261 13.3.1.4", "repeat the 2xx for the UAS core"),
        formula(Timer::AckWait, T1x64, T1x64, "RFC 3261 13.3.1.4", "give up waiting for the ACK of a 2xx"),
        formula(Timer::CancelWait, T1x64, T1x64, "RFC 3261 9.1", "give up a cancelled INVITE"),
    ]
};

impl Timer {
    /// Its row in the table.
    pub fn formula(self) -> &'static Formula {
        &FORMULAS[self as usize]
    }

    /// How long it runs when it fired `fired` times before in the same state. `None`: it does not run;
    /// zero: it fires at once.
    pub(super) fn runs(self, timers: &Timers, reliable: bool, fired: u8) -> Option<Duration> {
        let formula = self.formula();
        let doubled = |most: Duration| timers.t1.saturating_mul(1 << fired.min(16)).min(most);
        Some(match if reliable { formula.reliable } else { formula.unreliable } {
            Length::Off => return None,
            Length::AtOnce => Duration::ZERO,
            Length::Doubling => doubled(Duration::MAX),
            Length::DoublingToT2 => doubled(timers.t2),
            Length::T4 => timers.t4,
            Length::T1x64 => timers.t1 * 64,
            Length::T1x64Min32s => (timers.t1 * 64).max(Duration::from_secs(32)),
        })
    }

    /// Whether it fires again and again, each time later.
    pub(super) fn repeats(self) -> bool {
        matches!(self.formula().unreliable, Length::Doubling | Length::DoublingToT2)
    }
}

impl fmt::Display for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Length::Off => "off",
            Length::AtOnce => "0 (at once)",
            Length::Doubling => "T1, doubling",
            Length::DoublingToT2 => "T1, doubling up to T2",
            Length::T4 => "T4",
            Length::T1x64 => "64·T1",
            Length::T1x64Min32s => "64·T1, at least 32 s",
        })
    }
}

/// One timer that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// When it fires.
    pub at: Time,
    /// Order of starting: timers due at the same time fire in the order in which they were started.
    pub sequence: u64,
    /// Whose it is.
    pub id: TransactionId,
    /// Index of the timer in [`FORMULAS`].
    timer: u8,
}

impl Entry {
    /// Which timer it is.
    pub fn timer(&self) -> Timer {
        FORMULAS[usize::from(self.timer)].timer
    }
}

/// Timers of all transactions by time. Stopping one only makes its entry dead; dead entries are dropped when they come to
/// the top, and all of them when they outnumber the living, so the queue stays within twice the timers that run.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    sequence: u64,
    dead: usize,
}

/// Dead entries that are not worth a sweep.
const DEAD_MIN: usize = 1_024;

impl Queue {
    /// Starts a timer; the owner keeps the sequence number to know it again.
    pub fn push(&mut self, at: Time, id: TransactionId, timer: Timer) -> u64 {
        self.sequence += 1;
        self.heap.push(Reverse(Entry { at, sequence: self.sequence, id, timer: timer as u8 }));
        self.sequence
    }

    /// `count` entries lost their owner.
    pub fn forget(&mut self, count: usize) {
        self.dead += count;
    }

    /// Takes the earliest entry that is due and alive.
    pub fn pop_due(&mut self, now: Time, alive: impl Fn(&Entry) -> bool) -> Option<Entry> {
        while let Some(Reverse(entry)) = self.heap.peek().copied() {
            if entry.at > now {
                return None;
            }
            self.heap.pop();
            if alive(&entry) {
                return Some(entry);
            }
            self.dead = self.dead.saturating_sub(1);
        }
        None
    }

    /// Drops dead entries so that the top is alive and the queue bounded.
    pub fn settle(&mut self, alive: impl Fn(&Entry) -> bool) {
        while self.heap.peek().is_some_and(|Reverse(entry)| !alive(entry)) {
            self.heap.pop();
            self.dead = self.dead.saturating_sub(1);
        }
        if self.dead > DEAD_MIN && self.dead * 2 > self.heap.len() {
            self.heap.retain(|Reverse(entry)| alive(entry));
            self.dead = 0;
        }
    }

    /// The earliest entry; alive after [`Queue::settle`].
    pub fn first(&self) -> Option<&Entry> {
        self.heap.peek().map(|Reverse(entry)| entry)
    }

    /// Entries, dead ones included.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.heap.len()
    }
}

/// The timers that one transaction runs; at most three at once (an accepted INVITE: repeat, ACK wait, L).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Armed([Option<(Timer, u64)>; 3]);

impl Armed {
    /// Notes that `timer` was started; returns how many entries that makes dead.
    pub fn start(&mut self, timer: Timer, sequence: u64) -> usize {
        let replaced = self.stop(timer);
        let free = self.0.iter_mut().find(|slot| slot.is_none());
        debug_assert!(free.is_some(), "a machine's table starts more than three timers at once");
        match free {
            Some(slot) => *slot = Some((timer, sequence)),
            None => return replaced + 1,
        }
        replaced
    }

    /// Notes that `timer` was stopped or fired; returns how many entries that makes dead.
    pub fn stop(&mut self, timer: Timer) -> usize {
        match self.0.iter_mut().find(|slot| matches!(slot, Some((t, _)) if *t == timer)) {
            Some(slot) => {
                *slot = None;
                1
            }
            None => 0,
        }
    }

    /// Whether the entry with this number still counts.
    pub fn holds(&self, sequence: u64) -> bool {
        self.0.iter().flatten().any(|(_, s)| *s == sequence)
    }

    /// Whether a timer runs.
    #[cfg(test)]
    pub fn runs(&self, timer: Timer) -> bool {
        self.0.iter().flatten().any(|(t, _)| *t == timer)
    }

    /// How many run.
    pub fn count(&self) -> usize {
        self.0.iter().flatten().count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_its_own_index() {
        for (index, formula) in FORMULAS.iter().enumerate() {
            assert_eq!(formula.timer as usize, index);
            assert_eq!(formula.timer.formula().timer, formula.timer);
        }
    }

    fn series(timer: Timer, reliable: bool) -> Vec<u128> {
        (0..6).filter_map(|fired| timer.runs(&Timers::default(), reliable, fired)).map(|d| d.as_millis()).collect()
    }

    #[test]
    fn lengths_of_rfc_3261_table_4() {
        assert_eq!(series(Timer::A, false), [500, 1000, 2000, 4000, 8000, 16000]);
        assert_eq!(series(Timer::A, true), []);
        assert_eq!(series(Timer::E, false), [500, 1000, 2000, 4000, 4000, 4000]);
        assert_eq!(series(Timer::G, true), []);
        assert_eq!(series(Timer::Repeat2xx, true), [500, 1000, 2000, 4000, 4000, 4000]);
        assert_eq!(series(Timer::B, false)[0], 32_000);
        assert_eq!(series(Timer::I, false)[0], 5_000);
        for absorbing in [Timer::D, Timer::I, Timer::J, Timer::K] {
            assert_eq!(series(absorbing, true)[0], 0, "{absorbing}");
        }
    }

    #[test]
    fn timer_d_is_never_below_32_s() {
        let quick = Timers { t1: Duration::from_millis(10), ..Timers::default() };
        assert_eq!(Timer::D.runs(&quick, false, 0), Some(Duration::from_secs(32)));
        assert_eq!(Timer::B.runs(&quick, false, 0), Some(Duration::from_millis(640)));
    }

    #[test]
    fn zero_base_values_cannot_spin() {
        let zero = Timers { t1: Duration::ZERO, t2: Duration::ZERO, t4: Duration::ZERO }.sane();
        assert_eq!(Timer::A.runs(&zero, false, 0), Some(Duration::from_millis(1)));
        assert_eq!(Timer::A.runs(&zero, false, 255), Some(Duration::from_millis(1 << 16)));
    }

    #[test]
    fn dead_entries_do_not_pile_up() {
        let mut queue = Queue::default();
        for n in 0..100_000 {
            queue.push(Time::from_millis(32_000 + n), TransactionId(n), Timer::B);
            queue.forget(1);
            queue.settle(|_| false);
            assert!(queue.len() <= 2 * DEAD_MIN);
        }
        assert!(queue.first().is_none());
    }

    #[test]
    fn dead_entries_behind_a_living_one_do_not_pile_up() {
        let mut queue = Queue::default();
        let kept = queue.push(Time::from_millis(1), TransactionId(0), Timer::B);
        for n in 1..100_000 {
            queue.push(Time::from_millis(32_000 + n), TransactionId(n), Timer::B);
            queue.forget(1);
            queue.settle(|entry| entry.sequence == kept);
            assert!(queue.len() <= 2 * DEAD_MIN);
        }
        assert_eq!(queue.pop_due(Time::from_millis(2), |_| true).map(|e| e.sequence), Some(kept));
    }
}
