//! Runs [`bauta_fuzz::goods`].

#![no_main]

libfuzzer_sys::fuzz_target!(init: bauta_fuzz::begin(bauta_fuzz::goods::TARGET), |data: &[u8]| {
    (bauta_fuzz::goods::TARGET.run)(data)
});
