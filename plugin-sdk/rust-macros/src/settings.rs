//! Derives the trait `Settings` of the crate `gtm-plugin`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{Attribute, Data, DeriveInput, Expr, Field, Fields, Lit, LitStr, Meta, Token};

pub(crate) fn derive(input: &DeriveInput) -> syn::Result<TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(syn::Error::new_spanned(&input.ident, "settings are a struct"));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(syn::Error::new_spanned(&input.ident, "settings are a struct with named fields"));
    };
    let (mut declared, mut parsed) = (Vec::new(), Vec::new());
    for field in &fields.named {
        let (declare, parse) = setting(field)?;
        declared.push(declare);
        parsed.push(parse);
    }
    let name = &input.ident;
    let (generics, types, bounds) = input.generics.split_for_impl();
    Ok(quote! {
        impl #generics ::gtm_plugin::settings::Settings for #name #types #bounds {
            fn declare() -> ::std::vec::Vec<::gtm_plugin::settings::Setting> {
                let mut settings = ::std::vec::Vec::new();
                #(#declared)*
                settings
            }

            fn parse(
                config: &::gtm_plugin::Config,
            ) -> ::core::result::Result<Self, ::gtm_plugin::ConfigError> {
                ::core::result::Result::Ok(Self { #(#parsed),* })
            }
        }
    })
}

/// The parts of the attribute `#[setting(…)]`.
#[derive(Default)]
struct SettingAttribute {
    name: Option<LitStr>,
    default: Option<LitStr>,
    choices: Vec<LitStr>,
    former: Vec<LitStr>,
    secret: bool,
    required: bool,
    flatten: bool,
}

/// Returns the statement that declares a field, and the initializer that parses it.
fn setting(field: &Field) -> syn::Result<(TokenStream, TokenStream)> {
    let (Some(ident), ty) = (&field.ident, &field.ty) else {
        return Err(syn::Error::new_spanned(field, "a setting has a name"));
    };
    let attribute = SettingAttribute::parse(&field.attrs)?;
    if attribute.flatten {
        return Ok((
            quote!(settings.extend(<#ty as ::gtm_plugin::settings::Settings>::declare());),
            quote!(#ident: <#ty as ::gtm_plugin::settings::Settings>::parse(config)?),
        ));
    }
    let doc = documentation(&field.attrs);
    if doc.is_empty() {
        return Err(syn::Error::new_spanned(
            ident,
            "a setting has a documentation comment, which users of the plugin read",
        ));
    }
    let SettingAttribute { name, default, choices, former, secret, required, .. } = attribute;
    if let Some(default) = default.as_ref().filter(|_| required) {
        return Err(syn::Error::new_spanned(default, "a required setting has no default"));
    }
    let name = name.map_or_else(|| ident.to_string(), |name| name.value());
    let default = match default {
        Some(default) => quote!(::core::option::Option::Some(::std::string::String::from(#default))),
        None => quote!(::core::option::Option::None),
    };
    let setting_type = match choices.as_slice() {
        [] => quote!(<#ty as ::gtm_plugin::settings::SettingValue>::setting_type()),
        choices => quote!(::gtm_plugin::settings::SettingType::Choice(
            ::std::vec![#(::std::string::String::from(#choices)),*]
        )),
    };
    let declare = quote! {
        {
            let default: ::core::option::Option<::std::string::String> = #default;
            settings.push(::gtm_plugin::settings::Setting {
                name: ::std::string::String::from(#name),
                setting_type: #setting_type,
                doc: ::std::string::String::from(#doc),
                required: #required
                    || <#ty as ::gtm_plugin::settings::SettingValue>::IS_REQUIRED && default.is_none(),
                secret: #secret,
                former_names: ::std::vec![#(::std::string::String::from(#former)),*],
                default,
            });
        }
    };
    let value = if secret { quote!(secret_value) } else { quote!(value) };
    Ok((declare, quote!(#ident: config.#value(#name)?)))
}

impl SettingAttribute {
    fn parse(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut parsed = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("setting")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("default") {
                    parsed.default = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("name") {
                    parsed.name = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("secret") {
                    parsed.secret = true;
                } else if meta.path.is_ident("required") {
                    parsed.required = true;
                } else if meta.path.is_ident("flatten") {
                    parsed.flatten = true;
                } else if meta.path.is_ident("choices") || meta.path.is_ident("former") {
                    let texts;
                    syn::parenthesized!(texts in meta.input);
                    let texts = Punctuated::<LitStr, Token![,]>::parse_terminated(&texts)?;
                    let list = if meta.path.is_ident("former") { &mut parsed.former } else { &mut parsed.choices };
                    list.extend(texts);
                } else {
                    return Err(meta.error(
                        "expected `default = \"…\"`, `choices(\"…\")`, `former(\"…\")`, `name = \"…\"`, `required`, `secret` or `flatten`",
                    ));
                }
                Ok(())
            })?;
        }
        Ok(parsed)
    }
}

/// Returns the documentation comment of a field as one line.
fn documentation(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(text: &str) -> Result<String, String> {
        let input = syn::parse_str(text).map_err(|error| error.to_string())?;
        derive(&input).map(|tokens| tokens.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn mistakes_are_named() {
        assert!(derived("struct S { /// A. \n a: String }").is_ok());
        assert!(derived("struct S { a: String }").unwrap_err().contains("documentation comment"));
        assert!(
            derived("struct S { /// A. \n #[setting(defalt = \"x\")] a: String }")
                .unwrap_err()
                .contains("expected `default")
        );
        assert!(
            derived("struct S { /// A. \n #[setting(required, default = \"x\")] a: Vec<String> }")
                .unwrap_err()
                .contains("has no default")
        );
        assert!(derived("enum S { A }").unwrap_err().contains("are a struct"));
    }
}
