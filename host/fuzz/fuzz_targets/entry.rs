#![no_main]

#[path = "../properties/entry.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::run(bytes));
