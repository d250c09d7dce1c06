//! The versions of the plugin contract that the host supports, a module for each: its types in Rust, and the conversions to and from
//! them. Capabilities generate the types of their own interfaces.

pub(crate) mod v0_1;

/// Generates a module with wasmtime's macro, exempt from the lints of this crate.
macro_rules! generate {
    ($name:ident, $options:tt) => {
        #[allow(
            dead_code,
            missing_docs,
            unreachable_pub,
            unsafe_code,
            clippy::all,
            clippy::restriction,
            reason = "the macro of wasmtime writes it, with the unsafe code that reads and writes the memory of a component"
        )]
        mod $name {
            wasmtime::component::bindgen!($options);
        }
    };
}
pub(crate) use generate;
