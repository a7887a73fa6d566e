//! `Debug` that tells the type and nothing of the value.

/// Implements `Debug` for a type so that it prints its name and `(..)`: keys and signatures identify people.
macro_rules! opaque_debug {
    ($($name:ident),+ $(,)?) => {$(
        impl core::fmt::Debug for $name {
            fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                formatter.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )+};
}

pub(crate) use opaque_debug;
