//! Timers by name: at most one of each name runs; setting it again moves it.

use ringfort_base::Time;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;

/// A set of named timers.
#[derive(Debug)]
pub struct Timers<N> {
    running: HashMap<N, (Time, u64)>,
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    names: HashMap<u64, N>,
    next: u64,
}

impl<N> Default for Timers<N> {
    fn default() -> Self {
        Timers { running: HashMap::new(), queue: BinaryHeap::new(), names: HashMap::new(), next: 0 }
    }
}

impl<N: Copy + Eq + Hash> Timers<N> {
    /// Starts the timer, or moves it. [`Time::NEVER`] stops it.
    pub fn set(&mut self, name: N, at: Time) {
        self.stop(name);
        if at == Time::NEVER {
            return;
        }
        self.next += 1;
        self.running.insert(name, (at, self.next));
        self.names.insert(self.next, name);
        self.queue.push(Reverse((at, self.next)));
    }

    /// Stops the timer.
    pub fn stop(&mut self, name: N) {
        if let Some((_, serial)) = self.running.remove(&name) {
            self.names.remove(&serial);
        }
        self.sweep();
    }

    /// When the next one fires; [`Time::NEVER`] when none runs.
    pub fn next(&self) -> Time {
        self.queue.peek().map_or(Time::NEVER, |Reverse((at, _))| *at)
    }

    /// Takes one timer that is due.
    pub fn fire(&mut self, now: Time) -> Option<N> {
        let Reverse((at, serial)) = *self.queue.peek()?;
        if at > now {
            return None;
        }
        self.queue.pop();
        let name = self.names.remove(&serial);
        if let Some(name) = name {
            self.running.remove(&name);
        }
        self.sweep();
        name
    }

    /// How many run.
    pub fn len(&self) -> usize {
        self.running.len()
    }

    /// Whether none runs.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Drops stopped timers from the front, so that [`Timers::next`] is true, and from everywhere when they outnumber the
    /// running ones, so that memory follows what runs.
    fn sweep(&mut self) {
        while self.queue.peek().is_some_and(|Reverse((_, serial))| !self.names.contains_key(serial)) {
            self.queue.pop();
        }
        if self.queue.len() > 64 + 2 * self.running.len() {
            self.queue = self.running.values().map(|entry| Reverse(*entry)).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    #[test]
    fn fires_in_order_and_once() {
        let mut timers = Timers::default();
        timers.set("b", at(20));
        timers.set("a", at(10));
        timers.set("c", at(30));
        timers.set("b", at(5));
        timers.stop("c");
        assert_eq!(timers.next(), at(5));
        assert_eq!(timers.fire(at(4)), None);
        assert_eq!(timers.fire(at(50)), Some("b"));
        assert_eq!(timers.fire(at(50)), Some("a"));
        assert_eq!(timers.fire(at(50)), None);
        assert_eq!((timers.next(), timers.len()), (Time::NEVER, 0));
    }

    #[test]
    fn moving_a_timer_for_ever_takes_no_memory() {
        let mut timers = Timers::default();
        for ms in 0..100_000 {
            timers.set(1, at(1_000_000 - ms));
            timers.set(2, at(ms));
        }
        assert!(timers.queue.len() <= 70, "{}", timers.queue.len());
    }
}
