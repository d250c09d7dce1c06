//! The contract as `wit-bindgen` turns it into Rust. Authors of plugins do not need it.
//!
//! A plugin exports some of these interfaces: the macros of [`export`](crate::export) choose them, and link the world that says so.

wit_bindgen::generate!({
    path: "../../wit/0.2",
    inline: "
        package gtm:rust;

        world all {
            include gtm:plugin/capabilities@0.2.0;
            export gtm:plugin/lifecycle@0.2.0;
            export gtm:plugin/filter@0.2.0;
            export gtm:plugin/batch-filter@0.2.0;
            export gtm:plugin/handler@0.2.0;
            export gtm:plugin/batch-handler@0.2.0;
            export gtm:plugin/schedule@0.2.0;
        }
    ",
    pub_export_macro: true,
    default_bindings_module: "gtm_plugin::bindings",
    generate_all,
});
