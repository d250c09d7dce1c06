//! The attribute `#[plugin]` and the derive macro `Settings` of the crate `gtm-plugin`, which documents and re-exports them.

#![forbid(unsafe_code)]

mod arguments;
mod settings;

use arguments::Arguments;
use proc_macro::TokenStream;
use quote::quote;
use syn::{DeriveInput, parse_macro_input};

/// The contract that plugins are built against: the version of the package in `wit/0.2`.
const CONTRACT: &str = "0.2.0";

/// Makes a type that implements `Plugin` the plugin of this component.
///
/// - `namespace = "shop.orders"`, or several: `namespace = ["shop.orders", "users.*"]`: subscribes to these namespaces. A `*` stands
///   for any characters. By default, every namespace.
/// - `operation = insert`, or several: `operation = [insert, update]`: subscribes to these operations: `insert`, `update`,
///   `replace`, `delete`, `create`, `drop`, `rename`, `drop_database`, `create_indexes`,
///   `drop_indexes`, `modify`, `other`. By default, every operation.
/// - `settings = Type`: declares the settings of this type, which derives `Settings`. Without it, the plugin accepts any setting.
/// - `batch`: the type implements `BatchPlugin` instead, which handles several ops per call.
/// - `filter`: the type implements `FilterPlugin` instead, which only filters ops, for other plugins.
///
/// The version of the crate is written into the component, where the host finds it.
///
/// One component has one plugin: the attribute occurs once in a crate, on a type without generics.
///
/// ```ignore
/// #[plugin(namespace = "users.users", operation = insert)]
/// struct SendWelcomeEmail;
/// ```
#[proc_macro_attribute]
pub fn plugin(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let arguments = parse_macro_input!(arguments as Arguments);
    let item = parse_macro_input!(item as DeriveInput);
    if !item.generics.params.is_empty() {
        return syn::Error::new_spanned(&item.generics, "a plugin is a type without generics")
            .into_compile_error()
            .into();
    }

    let name = &item.ident;
    let subscriptions = arguments.subscriptions();
    let settings = match arguments.settings() {
        Some(settings) => quote! {
            ::core::option::Option::Some(<#settings as ::gtm_plugin::settings::Settings>::declare())
        },
        None => quote!(::core::option::Option::None),
    };
    let (export, init) = match (arguments.batch(), arguments.filter()) {
        (true, _) => (quote!(__export_batch_plugin), quote!(init_batch)),
        (false, true) => (quote!(__export_filter), quote!(init_filter)),
        (false, false) => (quote!(__export_plugin), quote!(init)),
    };
    let stamp = format!(
        "{{\"contract\":\"{CONTRACT}\",\"sdk\":\"gtm-plugin {}\",\"version\":\"",
        env!("CARGO_PKG_VERSION")
    );
    quote! {
        #item

        impl ::gtm_plugin::export::Registered for #name {
            fn settings() -> ::core::option::Option<::std::vec::Vec<::gtm_plugin::settings::Setting>> {
                #settings
            }

            fn subscriptions() -> ::std::vec::Vec<::gtm_plugin::Subscription> {
                #subscriptions
            }
        }

        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code)]
        const _: () = {
            const TEXT: &str = ::core::concat!(#stamp, ::core::env!("CARGO_PKG_VERSION"), "\"}");
            #[used]
            #[unsafe(link_section = "gtm:plugin")]
            static STAMP: [u8; TEXT.len()] = ::gtm_plugin::export::stamp(TEXT);
        };

        #[cfg(target_family = "wasm")]
        ::gtm_plugin::#export!(#name);
        // Another target has no exports, and the plugin is not unused there.
        #[cfg(not(target_family = "wasm"))]
        const _: fn() = || drop(::gtm_plugin::export::#init::<#name>);
    }
    .into()
}

/// Derives the trait `Settings`.
#[proc_macro_derive(Settings, attributes(setting))]
pub fn settings(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    settings::derive(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
