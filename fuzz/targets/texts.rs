//! Runs [`bauta_fuzz::texts`].

#![no_main]

libfuzzer_sys::fuzz_target!(init: bauta_fuzz::begin(bauta_fuzz::texts::TARGET), |data: &[u8]| {
    (bauta_fuzz::texts::TARGET.run)(data)
});
