//! Runs [`bauta_fuzz::bank`].

#![no_main]

libfuzzer_sys::fuzz_target!(init: bauta_fuzz::begin(bauta_fuzz::bank::TARGET), |data: &[u8]| {
    (bauta_fuzz::bank::TARGET.run)(data)
});
