//! Runs [`bauta_fuzz::log_files`].

#![no_main]

libfuzzer_sys::fuzz_target!(init: bauta_fuzz::begin(bauta_fuzz::log_files::TARGET), |data: &[u8]| {
    (bauta_fuzz::log_files::TARGET.run)(data)
});
