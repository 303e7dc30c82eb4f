//! `make fuzz TARGET=sdp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ringfort_fuzz::sdp(octets));
