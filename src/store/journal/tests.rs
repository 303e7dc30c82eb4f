use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;

type Survivors = Vec<(Key, Vec<u8>)>;

/// Opens the journal. A test that starts a process shares all locks with it for the moment between fork and exec.
fn open(path: &Path) -> (Journal, Survivors) {
    let retried = (0..100).find_map(|_| match Journal::open(path) {
        Err(JournalError::Locked(_)) => {
            std::thread::sleep(std::time::Duration::from_millis(10));
            None
        }
        opened => Some(opened.unwrap()),
    });
    let (journal, values) = retried.expect("the lock is given up");
    (journal, values.into_iter().map(|(key, value)| (key, value.to_vec())).collect())
}

fn entry(key: &str, value: &str) -> (Key, Vec<u8>) {
    (key.to_owned(), value.as_bytes().to_vec())
}

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run/state.journal");
    (dir, path)
}

#[test]
fn values_survive_in_the_order_of_their_last_write() {
    let (_dir, path) = scratch();
    {
        let (mut journal, survivors) = open(&path);
        assert!(survivors.is_empty());
        journal.put("a", b"1").unwrap();
        journal.put("b", b"2").unwrap();
        journal.put("c", b"").unwrap();
        journal.put("a", b"3").unwrap();
        journal.remove("b").unwrap();
        journal.remove("never there").unwrap();
        assert_eq!(journal.len(), 2);
    }
    let (journal, survivors) = open(&path);
    assert_eq!(survivors, [entry("c", ""), entry("a", "3")]);
    assert_eq!(journal.recovery(), Recovery { values: 2, damaged_octets: 0, torn_octets: 0 });
}

#[test]
fn the_file_is_private_even_when_it_was_not() {
    let (_dir, path) = scratch();
    drop(open(&path));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    drop(open(&path));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_link_is_not_followed() {
    let (dir, path) = scratch();
    fs::create_dir(path.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).unwrap();
    assert!(matches!(Journal::open(&path), Err(JournalError::File(_))));
}

#[test]
fn two_processes_cannot_share_it() {
    let (_dir, path) = scratch();
    let (held, _) = open(&path);
    assert!(matches!(Journal::open(&path), Err(JournalError::Locked(_))));
    drop(held);
    open(&path);
}

/// A process killed while it writes leaves a prefix of what it would have written.
#[test]
fn every_prefix_of_the_file_restores_what_was_whole_in_it() {
    let (_dir, path) = scratch();
    // The file's length after each step, and what is live then.
    let mut steps: Vec<(u64, Survivors)> = vec![(0, vec![])];
    {
        let (mut journal, _) = open(&path);
        journal.put("call/c1", b"one").unwrap();
        steps.push((journal.octets(), vec![entry("call/c1", "one")]));
        journal.put("call/c2", b"two").unwrap();
        steps.push((journal.octets(), vec![entry("call/c1", "one"), entry("call/c2", "two")]));
        journal.put("call/c1", b"one more").unwrap();
        steps.push((journal.octets(), vec![entry("call/c2", "two"), entry("call/c1", "one more")]));
        journal.remove("call/c2").unwrap();
        steps.push((journal.octets(), vec![entry("call/c1", "one more")]));
    }
    let whole = fs::read(&path).unwrap();
    for cut in 0..=whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let (end, expected) = steps.iter().rev().find(|(end, _)| *end <= cut as u64).unwrap();
        {
            let (mut journal, survivors) = open(&path);
            assert_eq!(&survivors, expected, "cut at {cut}");
            assert_eq!(journal.recovery().torn_octets, cut as u64 - end, "cut at {cut}");
            assert_eq!(journal.recovery().damaged_octets, 0);
            journal.put("after", b"the crash").unwrap();
        }
        let (_, survivors) = open(&path);
        assert_eq!(survivors.last(), Some(&entry("after", "the crash")), "cut at {cut}");
        assert_eq!(survivors.len(), expected.len() + 1);
    }
}

/// Not a test of its own: the process that the next test kills. It runs this test binary again.
#[test]
fn writer_to_be_killed() {
    let Ok(path) = std::env::var(KILLED_WRITER) else { return };
    let (mut journal, _) = open(Path::new(&path));
    for n in 0_u64.. {
        let value = n.to_string().repeat(500);
        journal.put(&format!("k{}", n % 50), value.as_bytes()).unwrap();
        println!("{n}");
    }
}

const KILLED_WRITER: &str = "RINGFORT_TEST_KILLED_WRITER";

/// Whatever `put` returned from before the kill is there after it.
#[test]
fn kill_9_loses_nothing_that_was_put() {
    use std::io::BufRead;
    let (_dir, path) = scratch();
    for round in 1..=5 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "journal::tests::writer_to_be_killed", "--nocapture"])
            .env(KILLED_WRITER, &path)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = None;
        while told.is_none_or(|n| n < round * 700) {
            told = lines.next().unwrap().unwrap().parse::<u64>().ok().or(told);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let told = lines.map_while(Result::ok).filter_map(|l| l.parse().ok()).last().or(told).unwrap();
        let (_, survivors) = open(&path);
        assert_eq!(survivors.len(), 50);
        let newest = survivors.last().unwrap();
        let wrote = |n: u64| newest.1 == n.to_string().repeat(500).into_bytes();
        // The line follows the write, so one more may have been written than told.
        assert!(wrote(told) || wrote(told + 1), "round {round}: told {told}, newest is {}", newest.0);
        for (key, value) in survivors {
            let text = String::from_utf8(value).unwrap();
            assert_eq!(text, text[..text.len() / 500].repeat(500), "{key} is torn");
        }
    }
}

#[test]
fn a_damaged_octet_costs_one_record_at_most() {
    let (_dir, path) = scratch();
    let keys = ["a", "b", "c", "d"];
    {
        let (mut journal, _) = open(&path);
        for key in keys {
            journal.put(key, key.repeat(20).as_bytes()).unwrap();
        }
    }
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut octets = whole.clone();
        octets[at] ^= 0x01;
        fs::write(&path, &octets).unwrap();
        let lost = at / (whole.len() / keys.len());
        let expected: Vec<_> = keys.iter().enumerate().filter(|(i, _)| *i != lost).map(|(_, k)| *k).collect();
        {
            let (journal, survivors) = open(&path);
            let found: Vec<_> = survivors.iter().map(|(k, _)| k.as_str()).collect();
            assert_eq!(found, expected, "octet {at}");
            let Recovery { damaged_octets, torn_octets, .. } = journal.recovery();
            assert_eq!(damaged_octets + torn_octets, (whole.len() / keys.len()) as u64, "octet {at}");
        }
        // The damage was rewritten away.
        let (journal, survivors) = open(&path);
        assert_eq!(survivors.len(), 3);
        assert_eq!(journal.recovery(), Recovery { values: 3, ..Recovery::default() });
    }
}

#[test]
fn garbage_and_foreign_files_restore_nothing_and_harm_nothing() {
    let (_dir, path) = scratch();
    fs::create_dir(path.parent().unwrap()).unwrap();
    for garbage in [vec![0; 5_000], vec![0xf5; 5_000], b"\xf5RJ1".repeat(1_000), b"{\"json\":true}".to_vec()] {
        fs::write(&path, &garbage).unwrap();
        let (mut journal, survivors) = open(&path);
        assert!(survivors.is_empty());
        assert_eq!(journal.recovery().torn_octets, garbage.len() as u64);
        journal.put("k", b"v").unwrap();
        drop(journal);
        assert_eq!(open(&path).1, [entry("k", "v")]);
    }
}

#[test]
fn a_value_that_looks_like_a_record_is_a_value() {
    let (_dir, path) = scratch();
    let mut inner = Zeroizing::default();
    encode(&mut inner, 999, "call/forged", Some(b"forged"));
    {
        let (mut journal, _) = open(&path);
        journal.put("call/c1", &inner).unwrap();
    }
    // Damage the body that holds it: the head is sound, so nothing inside is searched.
    let mut octets = fs::read(&path).unwrap();
    let last = octets.len() - 1;
    octets[last] ^= 1;
    fs::write(&path, &octets).unwrap();
    assert!(open(&path).1.is_empty());
    // Torn: the same.
    fs::write(&path, &octets[..last]).unwrap();
    assert!(open(&path).1.is_empty());
}

#[test]
fn bounds_are_kept() {
    let (_dir, path) = scratch();
    let (mut journal, _) = open(&path);
    journal.put(&"k".repeat(KEY_MAX), &vec![7; VALUE_MAX]).unwrap();
    assert!(matches!(journal.put(&"k".repeat(KEY_MAX + 1), b""), Err(JournalError::KeyTooLong(_))));
    assert!(matches!(journal.put("k", &vec![0; VALUE_MAX + 1]), Err(JournalError::ValueTooLarge(_))));
    drop(journal);
    assert_eq!(open(&path).1[0].1.len(), VALUE_MAX);
}

#[test]
fn a_failed_write_leaves_the_value_before_it() {
    let (_dir, path) = scratch();
    let (mut journal, _) = open(&path);
    journal.put("k", b"before").unwrap();
    let sound = std::mem::replace(&mut journal.file, File::options().write(true).open("/dev/full").unwrap());
    assert!(matches!(journal.put("k", b"after"), Err(JournalError::Write(_))));
    journal.file = sound;
    journal.put("other", b"works").unwrap();
    drop(journal);
    assert_eq!(open(&path).1, [entry("k", "before"), entry("other", "works")]);
}

#[test]
fn compaction_keeps_the_file_small_and_the_values_whole() {
    let (_dir, path) = scratch();
    let keys = 300;
    let value = |round: usize, key: usize| format!("{round}:{key}:{}", "x".repeat(1_000)).into_bytes();
    {
        let (mut journal, _) = open(&path);
        for round in 0..40 {
            for key in 0..keys {
                journal.put(&format!("k{key}"), &value(round, key)).unwrap();
                if key % 7 == 0 {
                    journal.remove(&format!("k{}", (key + 50) % keys)).unwrap();
                }
            }
            let bound = 2 * GARBAGE_MIN + 2 * (keys as u64) * 1_100;
            assert!(journal.octets() < bound, "{} octets after round {round}", journal.octets());
        }
    }
    let (_, survivors) = open(&path);
    assert!(!survivors.is_empty());
    for (key, found) in &survivors {
        let number: usize = key[1..].parse().unwrap();
        assert!(*found == value(39, number) || *found == value(38, number), "{key}");
    }
    assert!(!compaction::path_of(&path).exists());
}

/// Every moment of a compaction is a moment at which the process may be killed. A copy of the directory at that
/// moment is what the next process would find.
#[test]
fn a_kill_in_the_middle_of_a_compaction_loses_nothing() {
    let (_dir, path) = scratch();
    let (mut journal, _) = open(&path);
    let mut expected = BTreeMap::new();
    let mut seen_compacting = 0;
    for write in 0..3_000 {
        let (key, value) = (format!("k{}", write % 400), format!("{write}{}", "y".repeat(1_000)));
        journal.put(&key, value.as_bytes()).unwrap();
        expected.insert(key, value);
        if journal.compaction.is_none() && write % 500 != 0 {
            continue;
        }
        seen_compacting += usize::from(journal.compaction.is_some());
        let copy = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(path.parent().unwrap()).unwrap().flatten() {
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        let (_, survivors) = open(&copy.path().join("state.journal"));
        let found: BTreeMap<_, _> = survivors.into_iter().map(|(k, v)| (k, String::from_utf8(v).unwrap())).collect();
        assert!(found == expected, "after write {write}");
    }
    assert!(seen_compacting > 5, "{seen_compacting}");
}

#[test]
fn a_compaction_that_cannot_be_written_is_put_off() {
    let (_dir, path) = scratch();
    let (mut journal, _) = open(&path);
    // A folder in the way of the new file.
    fs::create_dir(compaction::path_of(&path)).unwrap();
    let value = vec![1; 10_000];
    for _ in 0..400 {
        journal.put("k", &value).unwrap();
    }
    assert!(journal.octets() > 2 * GARBAGE_MIN);
    fs::remove_dir(compaction::path_of(&path)).unwrap();
    for _ in 0..200 {
        journal.put("k", &value).unwrap();
    }
    assert!(journal.octets() < 2 * GARBAGE_MIN);
    drop(journal);
    assert_eq!(open(&path).1.len(), 1);
}
