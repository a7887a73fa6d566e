//! Runs [`bauta_fuzz::messages`].

#![no_main]

libfuzzer_sys::fuzz_target!(init: bauta_fuzz::begin(bauta_fuzz::messages::TARGET), |data: &[u8]| {
    (bauta_fuzz::messages::TARGET.run)(data)
});
