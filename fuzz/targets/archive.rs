//! Runs [`bauta_fuzz::archive`].

#![no_main]

libfuzzer_sys::fuzz_target!(init: bauta_fuzz::begin(bauta_fuzz::archive::TARGET), |data: &[u8]| {
    (bauta_fuzz::archive::TARGET.run)(data)
});
