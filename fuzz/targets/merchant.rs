//! Runs [`bauta_fuzz::merchant`].

#![no_main]

libfuzzer_sys::fuzz_target!(init: bauta_fuzz::begin(bauta_fuzz::merchant::TARGET), |data: &[u8]| {
    (bauta_fuzz::merchant::TARGET.run)(data)
});
