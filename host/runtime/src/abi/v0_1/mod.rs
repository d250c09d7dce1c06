//! Contract 0.1: the functions that a plugin exports, and the interfaces that every plugin may import.

mod convert;
mod exports;

pub(crate) use exports::{ExportIndices, Exports};
pub(crate) use generated::gtm::plugin::{extended_json, log, metrics, types};
use semver::Version;
use wasmtime::component::{HasSelf, Linker};

use super::generate;
use crate::state::InstanceState;

/// Converts the errors of 0.2 to those of an interface of 0.1 that knows only three kinds: errors that no retry helps are invalid there.
#[cfg(any(feature = "http", feature = "state"))]
macro_rules! lower_error {
    ($error:ty) => {
        impl From<$crate::abi::v0_2::types::Error> for $error {
            fn from(error: $crate::abi::v0_2::types::Error) -> Self {
                use $crate::abi::v0_2::types::Error;
                match error {
                    Error::NotGranted(reason) => Self::NotGranted(reason),
                    Error::Invalid(reason)
                    | Error::TooLarge(reason)
                    | Error::Rejected(reason)
                    | Error::Conflict(reason) => Self::Invalid(reason),
                    Error::Unavailable(reason) => Self::Unavailable(reason),
                }
            }
        }
    };
}
#[cfg(any(feature = "http", feature = "state"))]
pub(crate) use lower_error;

/// The version of the package in `wit/0.1`.
pub(crate) const VERSION: Version = Version::new(0, 1, 0);

generate!(generated, {
    path: "../../wit/0.1",
    inline: "
        package gtm:host;

        world hosted {
            include gtm:plugin/plugin@0.1.0;
        }
    ",
    exports: { default: async },
    ownership: Borrowing { duplicate_if_necessary: true },
});

// An optional export, in a world of its own: the macro requires every export of a world.
generate!(filter_batch, {
    path: "../../wit/0.1",
    inline: "
        package gtm:host;

        world batch-filter {
            use gtm:plugin/types@0.1.0.{op};

            export filter-batch: func(ops: list<op>) -> list<bool>;
        }
    ",
    with: { "gtm:plugin/types": super::generated::gtm::plugin::types },
    exports: { default: async },
    ownership: Borrowing { duplicate_if_necessary: true },
});

/// The contract's `subscription`. Written by hand, as the macro requires every export of a world, and `subscriptions` is optional.
#[derive(Debug, wasmtime::component::ComponentType, wasmtime::component::Lift)]
#[component(record)]
struct Subscription {
    namespace: String,
    #[component(name = "operation-types")]
    operation_types: Vec<types::OperationType>,
}

impl types::Host for InstanceState {}

/// Links the interfaces that have only types.
pub(crate) fn link(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    types::add_to_linker::<InstanceState, HasSelf<InstanceState>>(linker, |state| state)?;
    // It has only types, but is an import.
    linker.instance(&format!("gtm:plugin/subscriptions@{VERSION}")).map(drop)
}
