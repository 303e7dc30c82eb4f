//! `make fuzz TARGET=audio`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ringfort_fuzz::audio(octets));
