//! The bus between whoever publishes and whoever observes.

use ringfort_base::limits::OBSERVER_QUEUE_MAX;
use ringfort_base::{Event, Wall};
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Somebody who wants to know. Runs on a thread of its own and may block.
pub trait Subscriber: Send {
    /// Stable name, for the counters of what it missed.
    fn name(&self) -> &'static str;
    /// Which events it wants. Asked when an event is published, so that noise does not push out what matters.
    fn wants(&self) -> fn(&Event) -> bool {
        |_| true
    }
    /// An event, in the order of publishing.
    fn on(&mut self, wall: Wall, event: &Event);
    /// Everything published so far was passed to [`Subscriber::on`]; also called about once a second when nothing
    /// happens. The place to make a batch durable or to try again what failed.
    fn settled(&mut self) {}
}

/// The publishing end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Observers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queues: Vec<Arc<Queue>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Queue {
    name: &'static str,
    wants: fn(&Event) -> bool,
    max: usize,
    inner: Mutex<Inner>,
    filled: Condvar,
    dropped: AtomicU64,
    panics: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    events: VecDeque<(Wall, Arc<Event>)>,
    closed: bool,
    /// The subscriber sleeps until so many events wait; 0 while it is awake. Waking a thread costs more than most events are worth.
    wake_at: usize,
}

/// How long a subscriber without events sleeps before it is asked to settle.
const IDLE: Duration = Duration::from_secs(1);
/// How long a subscriber that was woken lets events gather before it takes them: under load it wakes by this clock and not for each
/// event. No log line and no counter is later than this.
const GATHER: Duration = Duration::from_millis(50);
/// [`Observers::close`] waits this long for the subscribers: `CLOSE_STEPS` times `CLOSE_STEP`.
const CLOSE_STEP: Duration = Duration::from_millis(10);
const CLOSE_STEPS: u32 = 300;

impl Observers {
    /// Starts a thread for each subscriber. Fails when the system gives no thread.
    pub fn start(subscribers: Vec<Box<dyn Subscriber>>) -> io::Result<Observers> {
        Observers::start_with(subscribers, OBSERVER_QUEUE_MAX)
    }

    fn start_with(subscribers: Vec<Box<dyn Subscriber>>, max: usize) -> io::Result<Observers> {
        let mut shared = Shared { queues: Vec::new(), threads: Mutex::default() };
        for subscriber in subscribers {
            let queue = Arc::new(Queue::new(subscriber.as_ref(), max));
            shared.queues.push(queue.clone());
            let name = format!("observe-{}", queue.name);
            let thread = std::thread::Builder::new().name(name).spawn(move || queue.run(subscriber))?;
            lock(&shared.threads).push(thread);
        }
        Ok(Observers { shared: Arc::new(shared) })
    }

    /// Tells everybody. Never waits for a subscriber: the lock taken here is only ever held to move a pointer.
    pub fn publish(&self, wall: Wall, event: Event) {
        let event = Arc::new(event);
        for queue in self.shared.queues.iter().filter(|queue| (queue.wants)(&event)) {
            queue.push(wall, event.clone());
        }
    }

    /// Events that each subscriber missed because its queue was full.
    pub fn dropped(&self) -> Vec<(&'static str, u64)> {
        self.shared.queues.iter().map(|q| (q.name, q.dropped.load(Ordering::Relaxed))).collect()
    }
    /// Events at which each subscriber panicked. It goes on with the next one.
    pub fn panics(&self) -> Vec<(&'static str, u64)> {
        self.shared.queues.iter().map(|q| (q.name, q.panics.load(Ordering::Relaxed))).collect()
    }

    /// Takes no more events, lets the subscribers work off what is queued, and waits up to three seconds for them.
    /// Returns whether all finished; one that hangs on a dead disk does not.
    pub fn close(&self) -> bool {
        self.shared.close();
        let mut threads = std::mem::take(&mut *lock(&self.shared.threads));
        for _ in 0..CLOSE_STEPS {
            threads.retain(|thread| !thread.is_finished());
            if threads.is_empty() {
                return true;
            }
            std::thread::sleep(CLOSE_STEP);
        }
        false
    }
}

impl Shared {
    fn close(&self) {
        for queue in &self.queues {
            lock(&queue.inner).closed = true;
            queue.filled.notify_one();
        }
    }
}

impl Drop for Shared {
    /// Without a publisher the threads have nothing to wait for.
    fn drop(&mut self) {
        self.close();
    }
}

impl Queue {
    fn new(subscriber: &dyn Subscriber, max: usize) -> Queue {
        Queue {
            name: subscriber.name(),
            wants: subscriber.wants(),
            max,
            inner: Mutex::default(),
            filled: Condvar::new(),
            dropped: AtomicU64::new(0),
            panics: AtomicU64::new(0),
        }
    }

    fn push(&self, wall: Wall, event: Arc<Event>) {
        let mut inner = lock(&self.inner);
        if inner.closed {
            return;
        }
        if inner.events.len() >= self.max {
            inner.events.pop_front();
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        inner.events.push_back((wall, event));
        let wakes = inner.wake_at > 0 && inner.events.len() >= inner.wake_at;
        if wakes {
            inner.wake_at = 0;
        }
        drop(inner);
        if wakes {
            self.filled.notify_one();
        }
    }

    fn run(&self, mut subscriber: Box<dyn Subscriber>) {
        loop {
            let (events, closed) = self.take();
            for (wall, event) in events {
                self.guarded(|| subscriber.on(wall, &event));
            }
            self.guarded(|| subscriber.settled());
            if closed {
                return;
            }
        }
    }

    /// Waits for events, lets them gather, and takes them all. After closing nothing more is pushed, so what is taken with `closed`
    /// set is the rest.
    fn take(&self) -> (VecDeque<(Wall, Arc<Event>)>, bool) {
        let inner = self.sleep_until(lock(&self.inner), 1, IDLE);
        // A queue that fills fast is emptied long before it overflows.
        let mut inner = if inner.events.is_empty() { inner } else { self.sleep_until(inner, (self.max / 4).max(1), GATHER) };
        (std::mem::take(&mut inner.events), inner.closed)
    }

    /// Sleeps until `count` events wait, the time is over, or the bus closes.
    fn sleep_until<'a>(&self, mut inner: MutexGuard<'a, Inner>, count: usize, at_most: Duration) -> MutexGuard<'a, Inner> {
        inner.wake_at = count;
        let waits = |inner: &mut Inner| inner.events.len() < count && !inner.closed;
        let slept = self.filled.wait_timeout_while(inner, at_most, waits);
        let mut inner = slept.unwrap_or_else(PoisonError::into_inner).0;
        inner.wake_at = 0;
        inner
    }

    /// A subscriber that panics loses that event, not its thread. Its state may be off by that event, which is why
    /// it is counted.
    fn guarded(&self, work: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            self.panics.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// No code that holds one of these locks can panic halfway through a change, so poison says nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_base::CallId;
    use std::sync::mpsc;

    struct Probe {
        seen: mpsc::Sender<u64>,
        gate: Option<mpsc::Receiver<()>>,
    }

    impl Subscriber for Probe {
        fn name(&self) -> &'static str {
            "probe"
        }
        fn wants(&self) -> fn(&Event) -> bool {
            |event| !matches!(event, Event::Reloaded { .. })
        }
        fn on(&mut self, wall: Wall, _: &Event) {
            if let Some(gate) = &self.gate {
                let _ = gate.recv();
            }
            if wall.0 == 13 {
                panic!("unlucky");
            }
            let _ = self.seen.send(wall.0);
        }
    }

    fn event() -> Event {
        Event::CallAnswered { call: CallId(1), target: "echo".into() }
    }

    #[test]
    fn events_arrive_in_order_and_closing_works_off_the_rest() {
        let (seen, receiver) = mpsc::channel();
        let observers = Observers::start(vec![Box::new(Probe { seen, gate: None })]).unwrap();
        for at in 0..1_000 {
            observers.publish(Wall(at), event());
            observers.publish(Wall(5_000), Event::Reloaded { refused: None });
        }
        assert!(observers.close());
        observers.publish(Wall(9_999), event());
        let expected: Vec<u64> = (0..1_000).filter(|at| *at != 13).collect();
        assert_eq!(receiver.iter().collect::<Vec<_>>(), expected);
        assert_eq!(observers.panics(), [("probe", 1)]);
        assert_eq!(observers.dropped(), [("probe", 0)]);
    }

    #[test]
    fn a_subscriber_that_hangs_costs_the_oldest_events_only() {
        let (seen, receiver) = mpsc::channel();
        let (open, gate) = mpsc::channel();
        let observers = Observers::start_with(vec![Box::new(Probe { seen, gate: Some(gate) })], 10).unwrap();
        observers.publish(Wall(100), event());
        // Let the first event reach the gate, so that the queue is empty.
        while !lock(&observers.shared.queues[0].inner).events.is_empty() {
            std::thread::yield_now();
        }
        for at in 0..12 {
            observers.publish(Wall(at), event());
        }
        assert_eq!(observers.dropped(), [("probe", 2)]);
        drop(open);
        assert!(observers.close());
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [100, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    }
}
