//! What the bell has in memory: the signs by which one who commands and a worker that waits agree without a lock that work is in the queue and
//! somebody will look at it. Kept apart from the bell's descriptors so that a test runs it in all orders of its steps.

use std::sync::atomic::{AtomicUsize, Ordering, fence};

/// A number that two threads share, and the order that both see.
pub(crate) trait Atom: Send + Sync {
    fn new() -> Self;
    fn load(&self) -> usize;
    fn store(&self, value: usize);
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

/// The signs.
pub(crate) struct Signs<A = AtomicUsize> {
    /// Not 0: the worker is woken.
    rung: A,
    /// Not 0: the clock is set that wakes it.
    due: A,
    /// Not 0: work is in the queue that can wait for the next packet.
    left: A,
    /// Flows whose packets wake nobody: the kernel carries them.
    down: A,
}

impl<A: Atom> Signs<A> {
    pub(crate) fn new() -> Self {
        Signs { rung: A::new(), due: A::new(), left: A::new(), down: A::new() }
    }

    /// Work is in the queue. True: the caller is to wake the worker, whom nobody has woken since it looked last.
    pub(crate) fn ring(&self) -> bool {
        self.rung.swap(1) == 0
    }

    /// Work is in the queue that others may join. True: the caller is to set the clock.
    pub(crate) fn ring_soon(&self) -> bool {
        self.due.swap(1) == 0
    }

    /// Work is in the queue that concerns packets only. True: packets may not come here, so the caller is to wake the worker.
    pub(crate) fn leave(&self) -> bool {
        self.left.store(1);
        // Either this sees the flows that `set_down` told of, or whoever told looks afterwards and sees what was left.
        A::fence();
        self.down.load() > 0 && self.ring()
    }

    /// So many flows are carried by the kernel. The worker looks at the queue after it said so.
    pub(crate) fn set_down(&self, flows: usize) {
        self.down.store(flows);
        A::fence();
    }

    /// Whether work is in the queue that the worker has not looked at.
    pub(crate) fn is_rung(&self) -> bool {
        [&self.rung, &self.due, &self.left].iter().any(|sign| sign.load() != 0)
    }

    /// The worker looks: before it empties the queue, so that what comes later rings again.
    pub(crate) fn answer(&self) {
        self.left.store(0);
        self.due.store(0);
        // A swap, so that whoever rings next is seen to have rung after this, and its work in the queue with it.
        self.rung.swap(0);
        A::fence();
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
}
