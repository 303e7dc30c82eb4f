use super::*;
use ringfort_base::event::Mode;
use ringfort_base::{CallId, Pii};
use std::fs;

fn record(call: u64, started: u64) -> CallRecord {
    CallRecord {
        call: CallId(call),
        from: Pii::new("+4930123456".into()),
        to: Pii::new("101".into()),
        route: "inbound".into(),
        mode: Mode::Standalone,
        source: "account:101".into(),
        started: Wall(started),
        answered: Some(Wall(started + 1)),
        ended: Wall(started + 2),
        status: 200,
        cause: "normal".into(),
        reroutes: 0,
        packets: [1, 2],
        quality: Default::default(),
        missing: Default::default(),
        recordings: Vec::new(),
    }
}

/// Opens a database that this process has just closed: sled gives its lock up a moment after the last handle.
fn reopen(path: &Path) -> (Lookup, Opened) {
    for _ in 0..200 {
        match Lookup::open(path) {
            Err(LookupError::Database(sled::Error::Io(_))) => std::thread::sleep(std::time::Duration::from_millis(20)),
            other => return other.unwrap(),
        }
    }
    panic!("the lock is never given up");
}

fn calls(lookup: &mut Lookup, before: u64, count: usize) -> Vec<u64> {
    lookup.records_before(Wall(before), count).unwrap().iter().map(|r| r.call.0).collect()
}

#[test]
fn records_are_found_by_time_across_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lookup");
    {
        let (mut lookup, opened) = Lookup::open(&path).unwrap();
        assert_eq!(opened, Opened::Fresh);
        lookup.fill(&[record(1, 1_000), record(2, 2_000), record(3, 2_000), record(4, 3_000)]).unwrap();
        lookup.flush().unwrap();
    }
    let (mut lookup, opened) = reopen(&path);
    assert_eq!(opened, Opened::Sound);
    assert_eq!(calls(&mut lookup, u64::MAX, 10), [4, 3, 2, 1]);
    assert_eq!(calls(&mut lookup, 3_000, 2), [3, 2]);
    assert_eq!(calls(&mut lookup, 1_000, 2), [0u64; 0]);
}

#[test]
fn registrations_run_out() {
    let dir = tempfile::tempdir().unwrap();
    let (mut lookup, _) = Lookup::open(dir.path().join("lookup")).unwrap();
    lookup.put_registration("101@a|1", Wall(100), b"one").unwrap();
    lookup.put_registration("102@a|1", Wall(200), b"two").unwrap();
    lookup.put_registration("103@a|1", Wall(300), b"three").unwrap();
    lookup.remove_registration("103@a|1").unwrap();
    assert_eq!(lookup.registrations(Wall(99)).unwrap().len(), 2);
    assert_eq!(lookup.registrations(Wall(100)).unwrap(), [("102@a|1".to_owned(), b"two".to_vec())]);
}

#[test]
fn a_database_in_use_is_not_moved_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lookup");
    let (_held, _) = Lookup::open(&path).unwrap();
    assert!(matches!(Lookup::open(&path), Err(LookupError::Database(_))));
    assert!(!path.with_extension("bad").exists());
}

/// Damages the files of a database that was closed and opens it again: whatever sled says or does, the caller gets
/// a database that can be written to and read.
fn survives(damage: impl Fn(&Path)) -> Opened {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lookup");
    {
        let (mut lookup, _) = Lookup::open(&path).unwrap();
        for call in 0..500 {
            lookup.put_record(&record(call, call)).unwrap();
        }
        lookup.flush().unwrap();
    }
    damage(&path);
    let (mut lookup, opened) = reopen(&path);
    let held = lookup.records_before(Wall(u64::MAX), 1_000).unwrap().len();
    assert!(held > 0 || opened != Opened::Sound, "a database without records asks to be filled");
    lookup.put_record(&record(9_999, u64::MAX - 9)).unwrap();
    assert_eq!(calls(&mut lookup, u64::MAX, 1), [9_999]);
    opened
}

#[test]
fn garbage_is_moved_aside() {
    let opened = survives(|path| {
        fs::write(path.join("conf"), [0xa5; 100]).unwrap();
        fs::write(path.join("db"), [0xa5; 100_000]).unwrap();
    });
    assert!(matches!(opened, Opened::Rebuilt { .. }), "{opened:?}");
}

#[test]
fn a_damaged_configuration_leaves_a_usable_database() {
    survives(|path| fs::write(path.join("conf"), b"garbage").unwrap());
}

#[test]
fn a_truncated_database_is_usable() {
    survives(|path| {
        let file = fs::OpenOptions::new().write(true).open(path.join("db")).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    });
}

#[test]
fn flipped_octets_leave_a_usable_database() {
    for step in [97, 1_009] {
        survives(|path| {
            let mut octets = fs::read(path.join("db")).unwrap();
            octets.iter_mut().step_by(step).for_each(|b| *b ^= 0x55);
            fs::write(path.join("db"), octets).unwrap();
        });
    }
}

#[test]
fn a_file_in_place_of_the_folder_is_moved_aside_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lookup");
    fs::write(&path, b"not a folder").unwrap();
    // Either is fine; what matters is that nothing panics.
    let _ = Lookup::open(&path);
}

#[test]
fn a_database_that_broke_in_use_is_rebuilt_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lookup");
    {
        let (mut lookup, _) = Lookup::open(&path).unwrap();
        let broken = lookup.guarded::<()>(|_| panic!("as sled does on a damaged page"));
        assert!(matches!(broken, Err(LookupError::Broken)));
        assert!(!lookup.is_usable());
        assert!(matches!(lookup.put_record(&record(1, 1)), Err(LookupError::Broken)));
    }
    let (mut lookup, opened) = reopen(&path);
    assert!(matches!(opened, Opened::Rebuilt { .. }));
    lookup.put_record(&record(1, 1)).unwrap();
    drop(lookup);
    assert_eq!(reopen(&path).1, Opened::Sound);
}
