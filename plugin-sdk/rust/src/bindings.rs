//! The contract as `wit-bindgen` turns it into Rust. No plugin author needs to look here.

wit_bindgen::generate!({
    path: "../../wit",
    world: "batch-filter",
    pub_export_macro: true,
    export_macro_name: "export",
    default_bindings_module: "gtm_plugin::bindings",
    generate_all,
});

/// Of a plugin that handles several ops at once.
pub mod batch {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "batch-filter-and-handler",
        pub_export_macro: true,
        export_macro_name: "export_batch",
        default_bindings_module: "gtm_plugin::bindings::batch",
        with: {
            "gtm:plugin/types@0.1.0": crate::bindings::gtm::plugin::types,
            "gtm:plugin/subscriptions@0.1.0": crate::bindings::gtm::plugin::subscriptions,
            "gtm:plugin/log@0.1.0": crate::bindings::gtm::plugin::log,
            "gtm:plugin/extended-json@0.1.0": crate::bindings::gtm::plugin::extended_json,
            "gtm:plugin/metrics@0.1.0": crate::bindings::gtm::plugin::metrics,
            "gtm:plugin/mail@0.1.0": crate::bindings::gtm::plugin::mail,
            "gtm:plugin/mongodb@0.1.0": crate::bindings::gtm::plugin::mongodb,
            "gtm:plugin/state@0.1.0": crate::bindings::gtm::plugin::state,
            "wasi:config/store@0.2.0-rc.1": crate::bindings::wasi::config::store,
        },
    });
}
