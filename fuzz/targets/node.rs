//! `make fuzz TARGET=node`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ringfort_fuzz::node(octets));
