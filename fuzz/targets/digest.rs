//! `make fuzz TARGET=digest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ringfort_fuzz::digest(octets));
