//! What happened in each call, in order: for the page, the API and the command line. In memory only: a process that begins anew knows
//! nothing of what was before it.

use crate::bus::Subscriber;
use ringfort_base::limits::{TIMELINE_CALL_STEPS_MAX, TIMELINE_SAMPLES_MAX, TIMELINE_STEPS_MAX};
use ringfort_base::{CallId, Event, Party, Step, Wall};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An event of a call and when it was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// When.
    pub wall: Wall,
    /// What.
    pub event: Event,
}

/// One call's timeline.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// Oldest first.
    pub seen: Vec<Seen>,
    /// The call is over.
    pub ended: bool,
    /// Steps that found no room.
    pub left_out: u64,
}

/// The timelines of the calls that live and of those that ended last. Clones share them: one is given to the bus, the others are read.
#[derive(Clone, Debug, Default)]
pub struct Timelines {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    calls: HashMap<CallId, Call>,
    /// Those that are over, the one that ended first before the others.
    ended: VecDeque<CallId>,
    /// Entries of all calls.
    entries: usize,
    /// Entries kept at most; a test has fewer.
    max: Option<usize>,
}

#[derive(Debug, Default)]
struct Call {
    entries: Vec<Entry>,
    samples: usize,
    ended: bool,
    left_out: u64,
}

#[derive(Debug)]
struct Entry {
    wall: Wall,
    what: What,
}

/// Most entries are steps; other events are larger, and few.
#[derive(Debug)]
enum What {
    Step(Party, Step),
    Other(Box<Event>),
}

impl What {
    fn of(event: &Event) -> What {
        match event {
            Event::CallStep { leg, step, .. } => What::Step(*leg, step.clone()),
            other => What::Other(Box::new(other.clone())),
        }
    }

    fn event(&self, call: CallId) -> Event {
        match self {
            What::Step(leg, step) => Event::CallStep { call, leg: *leg, step: step.clone() },
            What::Other(event) => (**event).clone(),
        }
    }

    fn is_sample(&self) -> bool {
        matches!(self, What::Step(_, Step::Quality(_)))
    }
}

impl Timelines {
    /// Nothing yet.
    pub fn new() -> Timelines {
        Timelines::default()
    }

    /// The timeline of a call. `None`: it is not known, or was over too long ago.
    pub fn of_call(&self, call: CallId) -> Option<Line> {
        let kept = self.lock();
        let Call { entries, samples: _, ended, left_out } = kept.calls.get(&call)?;
        let seen = entries.iter().map(|entry| Seen { wall: entry.wall, event: entry.what.event(call) }).collect();
        Some(Line { seen, ended: *ended, left_out: *left_out })
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn take(&mut self, wall: Wall, id: CallId, event: &Event) {
        let max = self.max.unwrap_or(TIMELINE_STEPS_MAX);
        while self.entries >= max && self.forget_one() {}
        let room = self.entries < max;
        let over = matches!(event, Event::CallEnded(_));
        if !room && !over && !self.calls.contains_key(&id) {
            // Its first step that finds room begins it.
            return;
        }
        let call = self.calls.entry(id).or_default();
        if call.ended {
            return;
        }
        let before = call.entries.len();
        // The end is always told: without it nobody knows the cause.
        match room || over {
            true => call.add(Entry { wall, what: What::of(event) }, over),
            false => call.left_out += 1,
        }
        self.entries = self.entries + call.entries.len() - before;
        if over {
            call.ended = true;
            self.ended.push_back(id);
        }
    }

    /// The call that ended first makes room. False: none is over.
    fn forget_one(&mut self) -> bool {
        let Some(id) = self.ended.pop_front() else { return false };
        let gone = self.calls.remove(&id).map_or(0, |call| call.entries.len());
        self.entries -= gone;
        true
    }
}

impl Call {
    fn add(&mut self, entry: Entry, over: bool) {
        if entry.what.is_sample() {
            if self.samples >= TIMELINE_SAMPLES_MAX {
                self.thin();
            }
            self.samples += 1;
        } else if !over && self.entries.len() - self.samples >= TIMELINE_CALL_STEPS_MAX {
            self.left_out += 1;
            return;
        }
        self.entries.push(entry);
    }

    /// Of the older half of the samples every other one of each party goes. They count from the beginning of the call, so that nothing
    /// is lost but when it happened.
    fn thin(&mut self) {
        let (mut nth, mut gone) = (0, 0);
        let old = self.samples / 2;
        self.entries.retain(|entry| {
            if !entry.what.is_sample() {
                return true;
            }
            nth += 1;
            // In pairs: the parties take turns.
            let stays = nth > old || (nth - 1) % 4 < 2;
            gone += usize::from(!stays);
            stays
        });
        self.samples -= gone;
    }
}

impl Subscriber for Timelines {
    fn name(&self) -> &'static str {
        "timelines"
    }

    fn wants(&self) -> fn(&Event) -> bool {
        |event| event.call().is_some()
    }

    fn on(&mut self, wall: Wall, event: &Event) {
        if let Some(call) = event.call() {
            self.lock().take(wall, call, event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Fields;
    use crate::samples::{PERSONAL, every_event, every_step, record};
    use ringfort_base::event::CallRecord;
    use ringfort_base::step::Sample;

    fn step(call: u64, step: Step) -> Event {
        Event::CallStep { call: CallId(call), leg: Party::Caller, step }
    }

    fn ended(call: u64) -> Event {
        Event::CallEnded(CallRecord { call: CallId(call), ..record() })
    }

    fn names(line: &Line) -> Vec<&str> {
        line.seen.iter().map(|seen| seen.event.name()).collect()
    }

    #[test]
    fn a_call_has_its_events_in_order_and_others_have_none_of_them() {
        let lines = Timelines::new();
        let mut writer = lines.clone();
        every_event().iter().for_each(|event| writer.on(Wall(7), event));
        let line = lines.of_call(CallId(31)).unwrap();
        assert_eq!(names(&line)[every_step().len()], "call-started");
        assert_eq!(names(&line).last(), Some(&"call-ended"));
        assert!(line.ended && line.left_out == 0);
        assert_eq!(line.seen.len(), 8 + every_step().len(), "what comes after the end is not of the call any more");
        assert_eq!(lines.of_call(CallId(32)), None);
        assert!(!(writer.wants())(&Event::Reloaded { refused: None }));
    }

    #[test]
    fn every_step_is_kept_and_masked_unless_it_is_revealed() {
        let lines = Timelines::new();
        let mut writer = lines.clone();
        every_step().into_iter().for_each(|each| writer.on(Wall(7), &step(1, each)));
        let seen = lines.of_call(CallId(1)).unwrap().seen;
        for (seen, expected) in seen.iter().zip(every_step()) {
            assert_eq!(Fields::of(&seen.event, true).find("step"), Some(expected.name()));
            let masked = format!("{:?}", Fields::of(&seen.event, false));
            assert!(PERSONAL.iter().all(|personal| !masked.contains(personal)), "{masked}");
        }
        assert_eq!(seen.len(), every_step().len());
    }

    #[test]
    fn a_call_that_does_not_rest_is_bounded_and_its_end_is_told() {
        let lines = Timelines::new();
        let mut writer = lines.clone();
        for ssrc in 0..3 * TIMELINE_CALL_STEPS_MAX as u32 {
            writer.on(Wall(1), &step(1, Step::SsrcChanged { ssrc }));
        }
        writer.on(Wall(2), &ended(1));
        let line = lines.of_call(CallId(1)).unwrap();
        assert_eq!((line.seen.len(), line.left_out), (TIMELINE_CALL_STEPS_MAX + 1, 2 * TIMELINE_CALL_STEPS_MAX as u64));
        assert_eq!(names(&line).last(), Some(&"call-ended"));
    }

    /// Twelve hours of samples each ten seconds: the last minutes stay as they are, and both parties have as many.
    #[test]
    fn samples_of_a_long_call_are_thinned_from_the_old_end() {
        let lines = Timelines::new();
        let mut writer = lines.clone();
        for n in 0..4_320 {
            for leg in [Party::Caller, Party::Callee] {
                let step = Step::Quality(Sample { packets: n * 500, ..Sample::default() });
                writer.on(Wall(n * 10_000), &Event::CallStep { call: CallId(1), leg, step });
            }
        }
        let line = lines.of_call(CallId(1)).unwrap();
        assert!(line.seen.len() <= TIMELINE_SAMPLES_MAX && line.seen.len() > TIMELINE_SAMPLES_MAX / 2, "{}", line.seen.len());
        let of = |wanted: Party| {
            let its = |seen: &&Seen| matches!(&seen.event, Event::CallStep { leg, .. } if *leg == wanted);
            line.seen.iter().filter(its).map(|seen| seen.wall.0).collect::<Vec<_>>()
        };
        assert_eq!(of(Party::Caller), of(Party::Callee));
        let last: Vec<u64> = of(Party::Caller).into_iter().rev().take(30).collect();
        assert!(last.windows(2).all(|two| two[0] - two[1] == 10_000), "{last:?}");
        assert!(of(Party::Caller).is_sorted());
    }

    #[test]
    fn calls_that_ended_first_make_room_and_live_ones_stay() {
        let lines = Timelines::new();
        lines.lock().max = Some(10);
        let mut writer = lines.clone();
        writer.on(Wall(0), &step(0, Step::Held));
        for call in 1..=20 {
            writer.on(Wall(call), &step(call, Step::Held));
            writer.on(Wall(call), &ended(call));
        }
        assert!(lines.of_call(CallId(0)).is_some() && lines.of_call(CallId(1)).is_none());
        assert!(lines.of_call(CallId(20)).is_some_and(|line| line.ended));
        assert!(lines.lock().entries <= 10);
        // Where none is over, steps are counted only, and calls that begin have none; ends are told.
        let lines = Timelines::new();
        lines.lock().max = Some(5);
        let mut writer = lines.clone();
        (0..9).for_each(|_| writer.on(Wall(1), &step(1, Step::Held)));
        writer.on(Wall(2), &step(2, Step::Held));
        assert_eq!(lines.of_call(CallId(1)).map(|line| (line.seen.len(), line.left_out)), Some((5, 4)));
        assert_eq!(lines.of_call(CallId(2)), None);
        writer.on(Wall(3), &ended(1));
        assert_eq!(names(&lines.of_call(CallId(1)).unwrap()).last(), Some(&"call-ended"));
        writer.on(Wall(4), &step(3, Step::Held));
        assert_eq!((lines.of_call(CallId(1)), lines.lock().entries), (None, 1));
    }
}
