//! `make fuzz TARGET=websocket`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ringfort_fuzz::websocket(octets));
