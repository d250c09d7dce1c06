//! The attribute `#[plugin]` of the crate `gtm-plugin`, which documents and re-exports it.

#![forbid(unsafe_code)]

mod arguments;

use arguments::Arguments;
use proc_macro::TokenStream;
use quote::quote;
use syn::{DeriveInput, parse_macro_input};

/// The contract that plugins are built against: the version of the package in `wit/`.
const CONTRACT: &str = "0.1.0";

/// Makes a type that implements `Plugin` the plugin of this component, and says what it subscribes to.
///
/// - `namespace = "shop.orders"`, or several: `namespace = ["shop.orders", "users.*"]`. A `*` stands
///   for any characters. Without it, every namespace.
/// - `operation = insert`, or several: `operation = [insert, update]`. One of `insert`, `update`,
///   `replace`, `delete`, `create`, `drop`, `rename`, `drop_database`, `create_indexes`,
///   `drop_indexes`, `modify`, `other`. Without it, every operation.
///
/// - `batch`: the host hands over several ops at once, to `Plugin::handle_batch`.
///
/// The version of the crate is written into the component, where the host finds it.
///
/// One component has one plugin: the attribute stands once in a crate, on a type without generics.
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
    let (bindings, export, batch) = if arguments.batch() {
        let handle_batch = quote! {
            fn handle_batch(
                ops: ::std::vec::Vec<::gtm_plugin::bindings::Op>,
            ) -> ::std::vec::Vec<::core::result::Result<(), ::gtm_plugin::bindings::Failure>> {
                ::gtm_plugin::export::handle_batch::<#name>(ops)
            }
        };
        (quote!(::gtm_plugin::bindings::batch), quote!(export_batch), handle_batch)
    } else {
        (quote!(::gtm_plugin::bindings), quote!(export), quote!())
    };
    let stamp = format!(
        "{{\"contract\":\"{CONTRACT}\",\"sdk\":\"gtm-plugin {}\",\"version\":\"",
        env!("CARGO_PKG_VERSION")
    );
    quote! {
        #item

        const _: () = {
            struct Exported;

            impl #bindings::Guest for Exported {
                fn filter(op: ::gtm_plugin::bindings::Op) -> bool {
                    ::gtm_plugin::export::filter::<#name>(op)
                }

                fn filter_batch(
                    ops: ::std::vec::Vec<::gtm_plugin::bindings::Op>,
                ) -> ::std::vec::Vec<bool> {
                    ::gtm_plugin::export::filter_batch::<#name>(ops)
                }

                fn handle(
                    op: ::gtm_plugin::bindings::Op,
                ) -> ::core::result::Result<(), ::gtm_plugin::bindings::Failure> {
                    ::gtm_plugin::export::handle::<#name>(op)
                }

                fn subscriptions() -> ::std::vec::Vec<::gtm_plugin::export::Subscription> {
                    ::gtm_plugin::export::subscriptions::<#name>(#subscriptions)
                }

                #batch
            }

            #[cfg(target_family = "wasm")]
            #[allow(unsafe_code)]
            const _: () = {
                const TEXT: &str = ::core::concat!(#stamp, ::core::env!("CARGO_PKG_VERSION"), "\"}");
                #[used]
                #[unsafe(link_section = "gtm:plugin")]
                static STAMP: [u8; TEXT.len()] = ::gtm_plugin::export::stamp(TEXT);
            };

            #bindings::#export!(Exported with_types_in #bindings);
        };
    }
    .into()
}
