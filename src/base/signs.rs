//! What bells have in memory: the signs by which one who commands and a thread that waits agree without a lock that work is in the queue and
//! somebody will look at it. Kept apart from the bells' descriptors so that a test runs them in all orders of their steps.

use std::sync::atomic::{AtomicUsize, Ordering, fence};

/// A number that two threads share, and the order that both see.
pub trait Atom: Send + Sync {
    /// 0.
    fn new() -> Self;
    /// What is stored before by whoever stored it is seen (`Acquire`).
    fn load(&self) -> usize;
    /// What this thread did before is seen by whoever loads it (`Release`).
    fn store(&self, value: usize);
    /// Both at once (`AcqRel`); what was there.
    fn swap(&self, value: usize) -> usize;
    /// What stands before it in this thread, and what stands behind it, is seen in that order by all (`std::sync::atomic::fence`, SeqCst).
    fn fence();
}

/// The same of the standard library and of the one that runs all orders.
macro_rules! atom {
    ($($atomic:ident)::+, $fence:path) => {
        impl Atom for $($atomic)::+ {
            fn new() -> Self {
                $($atomic)::+::new(0)
            }

            fn load(&self) -> usize {
                self.load(Ordering::Acquire)
            }

            fn store(&self, value: usize) {
                self.store(value, Ordering::Release);
            }

            fn swap(&self, value: usize) -> usize {
                self.swap(value, Ordering::AcqRel)
            }

            fn fence() {
                $fence(Ordering::SeqCst);
            }
        }
    };
}

atom!(AtomicUsize, fence);

/// The signs of a relay worker.
pub struct Signs<A = AtomicUsize> {
    /// Not 0: the worker is woken.
    rung: A,
    /// Not 0: the clock is set that wakes it.
    due: A,
    /// Not 0: work is in the queue that can wait for the next packet.
    left: A,
    /// Flows whose packets wake nobody: the kernel carries them.
    down: A,
}

impl<A: Atom> Default for Signs<A> {
    fn default() -> Self {
        Signs::new()
    }
}

impl<A: Atom> Signs<A> {
    /// Nothing is in the queue.
    pub fn new() -> Self {
        Signs { rung: A::new(), due: A::new(), left: A::new(), down: A::new() }
    }

    /// Work is in the queue. True: the caller is to wake the worker, whom nobody has woken since it looked last.
    pub fn ring(&self) -> bool {
        self.rung.swap(1) == 0
    }

    /// Work is in the queue that others may join. True: the caller is to set the clock.
    pub fn ring_soon(&self) -> bool {
        self.due.swap(1) == 0
    }

    /// Work is in the queue that concerns packets only. True: packets may not come here, so the caller is to wake the worker.
    pub fn leave(&self) -> bool {
        self.left.store(1);
        // Either this sees the flows that `set_down` told of, or whoever told looks afterwards and sees what was left.
        A::fence();
        self.down.load() > 0 && self.ring()
    }

    /// So many flows are carried by the kernel. The worker looks at the queue after it said so.
    pub fn set_down(&self, flows: usize) {
        self.down.store(flows);
        A::fence();
    }

    /// Whether work is in the queue that the worker has not looked at.
    pub fn is_rung(&self) -> bool {
        [&self.rung, &self.due, &self.left].iter().any(|sign| sign.load() != 0)
    }

    /// The worker looks: before it empties the queue, so that what comes later rings again.
    pub fn answer(&self) {
        self.left.store(0);
        self.due.store(0);
        // A swap, so that whoever rings next is seen to have rung after this, and its work in the queue with it.
        self.rung.swap(0);
        A::fence();
    }
}

/// Whether a thread sleeps, for those who hand work to it: only who finds it asleep has to wake it.
pub struct Asleep<A = AtomicUsize>(A);

impl<A: Atom> Default for Asleep<A> {
    fn default() -> Self {
        Asleep(A::new())
    }
}

impl<A: Atom> Asleep<A> {
    /// The thread is about to sleep. It looks at its queue after it said so, and sleeps only if nothing is there.
    pub fn lie_down(&self) {
        self.0.store(1);
        // Either its look sees what was put there, or whoever put it there sees that it sleeps: whatever queue it is.
        A::fence();
    }

    /// The thread is awake, and looks at its queue before it sleeps again.
    pub fn get_up(&self) {
        self.0.store(0);
    }

    /// Work was put in the queue. True: the caller is to wake the thread; nobody else will.
    pub fn found(&self) -> bool {
        A::fence();
        self.is_so() && self.0.swap(0) != 0
    }

    /// Whether it sleeps, or is about to.
    pub fn is_so(&self) -> bool {
        self.0.load() != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loom::sync::Arc;
    use loom::sync::atomic as tried;
    use loom::thread;

    atom!(tried::AtomicUsize, tried::fence);

    /// A worker and those who command it. The queue and the descriptor that wakes have locks of their own, as the real ones have.
    struct Tried {
        signs: Signs<tried::AtomicUsize>,
        queue: loom::sync::Mutex<usize>,
        wakes: loom::sync::Mutex<usize>,
    }

    impl Tried {
        fn new() -> Arc<Tried> {
            Arc::new(Tried { signs: Signs::new(), queue: loom::sync::Mutex::new(0), wakes: loom::sync::Mutex::new(0) })
        }

        fn command(&self, sign: fn(&Signs<tried::AtomicUsize>) -> bool) {
            *self.queue.lock().unwrap() += 1;
            if sign(&self.signs) {
                *self.wakes.lock().unwrap() += 1;
            }
        }

        /// A turn of a worker that was woken, if it was.
        fn turn(&self) {
            if std::mem::take(&mut *self.wakes.lock().unwrap()) > 0 {
                self.look();
            }
        }

        fn look(&self) {
            self.signs.answer();
            *self.queue.lock().unwrap() = 0;
        }

        /// Nobody does anything any more: what is in the queue has a wake to come.
        fn nothing_is_forgotten(&self) {
            assert!(
                *self.queue.lock().unwrap() == 0 || *self.wakes.lock().unwrap() > 0,
                "work is in the queue, and nobody looks"
            );
        }
    }

    #[test]
    fn whoever_rings_is_heard() {
        loom::model(|| {
            let tried = Tried::new();
            let other = tried.clone();
            let commands = thread::spawn(move || {
                other.command(Signs::ring);
                other.command(Signs::ring);
            });
            tried.turn();
            tried.turn();
            commands.join().unwrap();
            tried.nothing_is_forgotten();
        });
    }

    /// One hands flows to the kernel while the other leaves work for the next packet, which will not come any more.
    #[test]
    fn what_was_left_is_not_forgotten_when_packets_stay_away() {
        loom::model(|| {
            let tried = Tried::new();
            let other = tried.clone();
            let commands = thread::spawn(move || other.command(Signs::leave));
            tried.signs.set_down(1);
            if tried.signs.is_rung() {
                tried.look();
            }
            tried.turn();
            commands.join().unwrap();
            tried.nothing_is_forgotten();
        });
    }

    /// The clock wakes as a ring does, only later.
    #[test]
    fn whoever_rings_soon_is_heard() {
        loom::model(|| {
            let tried = Tried::new();
            let other = tried.clone();
            let commands = thread::spawn(move || {
                other.command(Signs::ring_soon);
                other.command(Signs::ring);
            });
            tried.turn();
            commands.join().unwrap();
            tried.nothing_is_forgotten();
        });
    }

    /// A thread that sleeps, and a queue that promises no more than that who sees an item sees what was done before: a lock would be an order of
    /// its own.
    #[derive(Default)]
    struct Sleeper {
        asleep: Asleep<tried::AtomicUsize>,
        queue: tried::AtomicUsize,
        wakes: tried::AtomicUsize,
    }

    impl Sleeper {
        fn command(&self) {
            self.queue.fetch_add(1, Ordering::Release);
            if self.asleep.found() {
                self.wakes.fetch_add(1, Ordering::AcqRel);
            }
        }

        /// Goes to sleep. False: it stays awake, as something is there.
        fn sleeps(&self) -> bool {
            self.asleep.lie_down();
            self.queue.load(Ordering::Acquire) == 0
        }
    }

    #[test]
    fn who_lies_down_has_seen_what_was_there_or_is_woken() {
        loom::model(|| {
            let sleeper = Arc::new(Sleeper::default());
            let other = sleeper.clone();
            let commands = thread::spawn(move || other.command());
            let sleeps = sleeper.sleeps();
            commands.join().unwrap();
            assert!(!sleeps || sleeper.wakes.load(Ordering::Acquire) == 1, "it sleeps over work, and nobody wakes it");
        });
    }

    /// Two who find it asleep wake it once, and what comes after it got up is found when it lies down again.
    #[test]
    fn a_sleeper_is_woken_once() {
        loom::model(|| {
            let sleeper = Arc::new(Sleeper::default());
            let others = [sleeper.clone(), sleeper.clone()].map(|other| thread::spawn(move || other.command()));
            let sleeps = sleeper.sleeps();
            others.into_iter().for_each(|other| other.join().unwrap());
            let wakes = sleeper.wakes.load(Ordering::Acquire);
            assert!(wakes <= 1 && (!sleeps || wakes == 1), "{wakes} wakes");
            sleeper.asleep.get_up();
            assert!(!sleeper.sleeps(), "two items are in the queue");
        });
    }
}
