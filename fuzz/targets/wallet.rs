//! Runs [`bauta_fuzz::wallet`].

#![no_main]

libfuzzer_sys::fuzz_target!(init: bauta_fuzz::begin(bauta_fuzz::wallet::TARGET), |data: &[u8]| {
    (bauta_fuzz::wallet::TARGET.run)(data)
});
