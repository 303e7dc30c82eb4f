//! SRTP against libsrtp as a second opinion: what one side protects the other one reads, in every suite and over roll-overs. The small
//! driver beside this is compiled by the test. Where compiler or library are absent, the test says so and shows nothing; `make
//! setup-test` installs both.

use ringfort_base::entropy::Seeded;
use ringfort_media::plan::{SrtpKeys, SrtpProfile};
use ringfort_media::srtp::{SrtpError, SrtpReceiver, SrtpSender};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

/// Without AES-192: libsrtp before 2.8 derives its keys as if they had 256 bits (its issue 763). The RFC's own numbers and rtpengine vouch for that.
const SUITES: [(&str, SrtpProfile); 6] = [
    ("cm80", SrtpProfile::Aes128CmSha1_80),
    ("cm32", SrtpProfile::Aes128CmSha1_32),
    ("cm256-80", SrtpProfile::Aes256CmSha1_80),
    ("cm256-32", SrtpProfile::Aes256CmSha1_32),
    ("gcm128", SrtpProfile::AeadAes128Gcm),
    ("gcm256", SrtpProfile::AeadAes256Gcm),
];

/// The driver, compiled once. `None`: it cannot be.
fn driver() -> Option<&'static PathBuf> {
    static DRIVER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let compile = || {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/libsrtp/driver.c");
        let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("libsrtp-driver");
        let compiled = Command::new("cc").args(["-O1", "-o"]).arg(&program).args([source, "-lsrtp2"]).output();
        let sound = compiled.as_ref().is_ok_and(|output| output.status.success());
        if !sound {
            println!("skipped: no second opinion on SRTP, for libsrtp2-dev or a C compiler is absent: {compiled:?}");
        }
        sound.then_some(program)
    };
    DRIVER.get_or_init(compile).as_ref()
}

/// libsrtp with one set of keys, in both directions.
struct Second {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Second {
    fn start(suite: &str, keys: &SrtpKeys) -> Option<Second> {
        let piped = || Stdio::piped();
        let mut child = Command::new(driver()?).stdin(piped()).stdout(piped()).spawn().unwrap();
        let (mut to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        writeln!(to, "{suite} {}", hex(&[&keys.key[..], &keys.salt[..]].concat())).unwrap();
        Some(Second { child, to, from })
    }

    /// What it makes of a packet. `None`: it refuses it.
    fn ask(&mut self, what: char, packet: &[u8]) -> Option<Vec<u8>> {
        writeln!(self.to, "{what}{}", hex(packet)).unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        let line = line.trim();
        let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        assert!(!line.is_empty(), "the driver has ended");
        (!line.starts_with("error")).then(|| line.as_bytes().chunks(2).map(octet).collect())
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn keys(profile: SrtpProfile, dice: &mut Seeded) -> SrtpKeys {
    let (key, salt) = profile.lengths();
    let mut octets = |len| (0..len).map(|_| dice.next() as u8).collect::<Vec<u8>>();
    SrtpKeys { profile, key: octets(key), salt: octets(salt) }
}

fn rtp(ssrc: u32, sequence: u16, dice: &mut Seeded) -> Vec<u8> {
    let mut packet = vec![0x80, 8];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend((0..dice.below(200)).map(|n| n as u8));
    packet
}

fn rtcp(ssrc: u32, dice: &mut Seeded) -> Vec<u8> {
    let mut packet = vec![0x81, 201, 0, 7];
    packet.extend(ssrc.to_be_bytes());
    packet.extend((0..24).map(|_| dice.next() as u8));
    packet
}

/// Room for a trailer behind it.
fn protect(sender: &mut SrtpSender, is_rtcp: bool, packet: &[u8]) -> Vec<u8> {
    let mut buffer = [packet, &[0; 32]].concat();
    let len = packet.len();
    let len = if is_rtcp { sender.protect_rtcp(&mut buffer, len) } else { sender.protect_rtp(&mut buffer, len) };
    buffer.truncate(len.unwrap());
    buffer
}

fn unprotect(receiver: &mut SrtpReceiver, is_rtcp: bool, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = packet.to_vec();
    let len = if is_rtcp { receiver.unprotect_rtcp(&mut buffer) } else { receiver.unprotect_rtp(&mut buffer) }?;
    buffer.truncate(len);
    Ok(buffer)
}

/// Sequence numbers over two roll-overs, with gaps, and some that come late.
fn numbers(dice: &mut Seeded) -> Vec<u16> {
    let mut numbers = Vec::new();
    let mut next = 65_000_u32;
    while next < 65_000 + 2 * 65_536 {
        next += if dice.chance(3) { 1 + dice.below(20_000) as u32 } else { 1 + dice.below(40) as u32 };
        numbers.push(next as u16);
    }
    for n in 0..numbers.len() - 1 {
        if dice.chance(100) && numbers[n + 1].wrapping_sub(numbers[n]) < 50 {
            numbers.swap(n, n + 1);
        }
    }
    numbers
}

#[test]
fn both_read_what_the_other_protects() {
    for (suite, profile) in SUITES {
        let mut dice = Seeded::new(46);
        let keys = keys(profile, &mut dice);
        let Some(mut second) = Second::start(suite, &keys) else { return };
        let (mut sender, mut receiver) = (SrtpSender::new(&keys).unwrap(), SrtpReceiver::new(&keys).unwrap());
        let mut count = 0;
        for ssrc in [0xcafe_babe, 7] {
            for sequence in numbers(&mut dice) {
                let plain = rtp(ssrc, sequence, &mut dice);
                let ours = protect(&mut sender, false, &plain);
                assert_eq!(second.ask('U', &ours).as_ref(), Some(&plain), "{suite}: libsrtp reads {sequence}");
                let theirs = second.ask('P', &plain).expect("libsrtp protects");
                assert_eq!(theirs, ours, "{suite}: the same octets");
                assert_eq!(unprotect(&mut receiver, false, &theirs), Ok(plain), "{suite}: read {sequence}");
                count += 1;
                if dice.chance(50) {
                    let plain = rtcp(ssrc, &mut dice);
                    let ours = protect(&mut sender, true, &plain);
                    assert_eq!(second.ask('u', &ours).as_ref(), Some(&plain), "{suite}: libsrtp reads RTCP");
                    let theirs = second.ask('p', &plain).expect("libsrtp protects RTCP");
                    assert_eq!(unprotect(&mut receiver, true, &theirs), Ok(plain), "{suite}: RTCP is read");
                }
            }
        }
        println!("{suite}: {count} packets each way");
        assert!(count > 2_000, "{count}");
    }
}

#[test]
fn both_refuse_what_is_forged_or_comes_twice() {
    for (suite, profile) in SUITES {
        let mut dice = Seeded::new(99);
        let keys = keys(profile, &mut dice);
        let Some(mut second) = Second::start(suite, &keys) else { return };
        let (mut sender, mut receiver) = (SrtpSender::new(&keys).unwrap(), SrtpReceiver::new(&keys).unwrap());
        for sequence in 1..200 {
            let plain = rtp(7, sequence, &mut dice);
            let secret = protect(&mut sender, false, &plain);
            let mut forged = secret.clone();
            let at = dice.below(forged.len() as u64) as usize;
            forged[at] ^= 1 << dice.below(8);
            // Of the header, the first two bits are the version, which libsrtp does not look at before it authenticates.
            assert_eq!((second.ask('U', &forged), unprotect(&mut receiver, false, &forged).ok()), (None, None), "{suite} {at}");
            assert_eq!(second.ask('U', &secret).as_ref(), Some(&plain));
            assert_eq!(unprotect(&mut receiver, false, &secret), Ok(plain));
            assert_eq!((second.ask('U', &secret), unprotect(&mut receiver, false, &secret).ok()), (None, None), "{suite}: twice");
        }
    }
}
