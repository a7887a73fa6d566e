//! Runs [`bauta_fuzz::witness`].

#![no_main]

libfuzzer_sys::fuzz_target!(init: bauta_fuzz::begin(bauta_fuzz::witness::TARGET), |data: &[u8]| {
    (bauta_fuzz::witness::TARGET.run)(data)
});
