//! Contract 0.2: the interfaces that a plugin exports, and those that every plugin may import.

mod convert;
mod exports;

pub(crate) use exports::{ExportIndices, Exports};
pub(crate) use generated::gtm::plugin::{config, extended_json, log, metrics};
use semver::Version;
use wasmtime::component::{HasSelf, Linker};

use super::generate;
use crate::state::InstanceState;

/// The version of the package in `wit/0.2`.
pub(crate) const VERSION: Version = Version::new(0, 2, 0);

/// The types that interfaces share. The macro re-exports the module where a capability uses it.
#[allow(unreachable_pub, reason = "the macro re-exports it as public, and the crate does not")]
pub mod types {
    pub use super::generated::gtm::plugin::types::*;

    /// A document. The macro leaves out the alias where only borrowed documents are passed.
    pub type Bson = Vec<u8>;
}

generate!(generated, {
    path: "../../wit/0.2",
    inline: "
        package gtm:host;

        world hosted {
            import gtm:plugin/config@0.2.0;
            import gtm:plugin/log@0.2.0;
            import gtm:plugin/extended-json@0.2.0;
            import gtm:plugin/metrics@0.2.0;
            export gtm:plugin/lifecycle@0.2.0;
            export gtm:plugin/filter@0.2.0;
            export gtm:plugin/batch-filter@0.2.0;
            export gtm:plugin/handler@0.2.0;
            export gtm:plugin/batch-handler@0.2.0;
            export gtm:plugin/schedule@0.2.0;
        }
    ",
    exports: { default: async },
    ownership: Borrowing { duplicate_if_necessary: true },
});

impl types::Host for InstanceState {}

/// Links the interface that has only types.
pub(crate) fn link(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    types::add_to_linker::<InstanceState, HasSelf<InstanceState>>(linker, |state| state)
}
