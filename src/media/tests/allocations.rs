//! Proves that a transcoded packet allocates nothing. Alone in its binary: another test would count too.

#![allow(unsafe_code)]

use ringfort_base::Time;
use ringfort_base::entropy::Seeded;
use ringfort_media::audio::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

/// The system's allocator, counted.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to `System` unchanged, which keeps the contract of `GlobalAlloc`; counting touches no memory it
// hands out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
        // SAFETY: the caller keeps the contract of `alloc`, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`; `memory` came from `System` by `alloc` or `realloc` here.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
        // SAFETY: as for `dealloc`.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const WARM_UP: usize = 200;
const MEASURED: usize = 1_000;

fn payload(codec: Codec) -> u8 {
    codec.static_payload().unwrap_or(111)
}

fn mouth(codec: Codec, source_hz: u32) -> Mouth {
    let speaking = Speaking {
        payload: payload(codec),
        codec,
        source_hz,
        ptime_ms: 20,
        events: Some((101, 8_000)),
        comfort_noise: Some(13),
        opus: OpusWishes { fec: true, ..OpusWishes::default() },
        ssrc: 1,
    };
    Mouth::new(&speaking, &mut Seeded::new(1)).unwrap()
}

/// Packets of noise and silence by turns, with a digit now and then; every twentieth is lost.
fn packets(codec: Codec) -> Vec<Vec<u8>> {
    let (mut mouth, mut random) = (mouth(codec, codec.rate_hz()), Seeded::new(5));
    let packet = |n: usize| {
        let loud = if (n / 60).is_multiple_of(2) { 4_000 } else { 1 };
        let pcm: Vec<i16> = (0..mouth.rate_hz() / 50).map(|_| random.below(loud) as i16).collect();
        if n % 100 == 10 {
            mouth.digit(Digit::whole('5', 100).unwrap());
        }
        let mut out = vec![0; 1_500];
        let len = mouth.speak(Time::from_millis(20 * n as u64), &pcm, &mut out);
        out.truncate(len.filter(|_| n % 20 != 19).unwrap_or(0));
        out
    };
    (0..WARM_UP + MEASURED).map(packet).collect()
}

/// What the measured packets cost on their way from one codec to another.
fn allocations(from: Codec, to: Codec) -> u64 {
    let packets = packets(from);
    let payloads =
        vec![(payload(from), Heard::Speech(from)), (101, Heard::Events { clock_hz: 8_000 }), (13, Heard::ComfortNoise)];
    let mut ear = Ear::new(&Hearing { payloads, in_band: false });
    let mut mouth = mouth(to, from.rate_hz());
    let (mut pcm, mut out) = (vec![0; mouth.rate_hz() as usize / 50], [0; 1_500]);
    let mut before = 0;
    for (n, packet) in packets.iter().enumerate() {
        if n == WARM_UP {
            before = ALLOCATIONS.load(Ordering::SeqCst);
        }
        let now = Time::from_millis(20 * n as u64);
        ear.receive(now, packet);
        ear.play(now, mouth.rate_hz(), &mut pcm);
        while let Some(digit) = ear.poll_digit() {
            mouth.digit(digit);
        }
        mouth.speak(now, &pcm, &mut out);
    }
    ALLOCATIONS.load(Ordering::SeqCst) - before
}

#[test]
fn a_transcoded_packet_allocates_nothing() {
    for from in Codec::ALL {
        for to in Codec::ALL {
            assert_eq!(allocations(from, to), 0, "{from:?} to {to:?}, {MEASURED} packets");
        }
    }
}
