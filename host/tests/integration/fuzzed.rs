//! What `cargo xtask fuzz` tries for hours, tried for some seconds: with its seeds, and these with some bytes changed.

use std::time::{Duration, Instant};

use crate::support::random;

#[path = "../../fuzz/properties/mod.rs"]
mod properties;

/// For each of them.
const TIME: Duration = Duration::from_secs(2);
const LEAST: usize = 50;

/// Tries what is true of any bytes with the seeds in a file, one on a line, and with what becomes of them.
fn tried(name: &str, property: fn(&[u8])) {
    let path = gtm_test_support::root().join("host/fuzz/seeds").join(name).with_extension("txt");
    let seeds = gtm_test_support::seeds(&std::fs::read(path).unwrap());
    seeds.iter().for_each(|seed| property(seed));
    let (mut state, started) = (1, Instant::now());
    for n in 0.. {
        let mut bytes = seeds[n % seeds.len()].clone();
        for _ in 0..1 + random(&mut state) % 4 {
            let at = random(&mut state) % (bytes.len() + 1);
            let byte = u8::try_from(random(&mut state) % 256).unwrap();
            match random(&mut state) % 4 {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, byte),
                2 => bytes.splice(0..0, seeds[usize::from(byte) % seeds.len()].clone()).for_each(drop),
                _ => bytes.iter_mut().skip(at).take(1).for_each(|old| *old = byte),
            }
        }
        property(&bytes);
        if n >= LEAST && started.elapsed() > TIME {
            return;
        }
    }
}

#[test]
fn the_admin_api_lets_nobody_in_without_a_token() {
    tried("admin", properties::admin::run);
}

#[test]
fn extended_json_is_read_as_it_is_written() {
    tried("extended_json", properties::extended_json::run);
}

#[test]
fn a_grant_covers_what_it_names() {
    tried("grants", properties::grants::run);
}

#[test]
fn a_pipeline_reads_the_same_for_every_reader() {
    tried("pipeline", properties::pipeline::run);
}

#[test]
fn a_request_is_one_request() {
    tried("request", properties::request::run);
}

/// What these read has its own cases in other tests, whose bytes are their seeds.
#[test]
fn entries_files_and_updates_are_read_to_an_end() {
    for property in [properties::entry::run, properties::delta::run, properties::files::run] {
        tried("extended_json", property);
    }
}
