//! The contract as `wit-bindgen` turns it into Rust. No plugin author needs to look here.

wit_bindgen::generate!({
    path: "../wit",
    world: "sdk",
    pub_export_macro: true,
    export_macro_name: "export",
    default_bindings_module: "gtm_plugin::bindings",
    generate_all,
});
