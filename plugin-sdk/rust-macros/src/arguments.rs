//! The arguments of `#[plugin(…)]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Ident, LitStr, Token, Type, bracketed, token};

const OPERATIONS: [&str; 12] = [
    "insert",
    "update",
    "replace",
    "delete",
    "create",
    "drop",
    "rename",
    "drop_database",
    "create_indexes",
    "drop_indexes",
    "modify",
    "other",
];

#[derive(Default)]
pub(crate) struct Arguments {
    namespaces: Vec<LitStr>,
    operations: Vec<Ident>,
    batch: bool,
    filter: bool,
    settings: Option<Type>,
}

impl Arguments {
    /// Returns the type whose fields are the settings.
    pub(crate) fn settings(&self) -> Option<&Type> {
        self.settings.as_ref()
    }

    /// Returns whether the plugin handles several ops per call.
    pub(crate) fn batch(&self) -> bool {
        self.batch
    }

    /// Returns whether it only filters ops, for other plugins.
    pub(crate) fn filter(&self) -> bool {
        self.filter
    }

    /// An expression of type `Vec<Subscription>`.
    pub(crate) fn subscriptions(&self) -> TokenStream {
        if self.namespaces.is_empty() && self.operations.is_empty() {
            return quote!(::std::vec::Vec::new());
        }
        let variants = self.operations.iter().map(variant);
        let operations = quote!(::std::vec![#(::gtm_plugin::OperationType::#variants),*]);
        let mut namespaces: Vec<_> = self.namespaces.iter().map(LitStr::value).collect();
        if namespaces.is_empty() {
            namespaces.push("*".to_owned());
        }
        let subscriptions = namespaces.iter().map(|namespace| {
            quote! {
                ::gtm_plugin::Subscription::new(#namespace).operations(#operations)
            }
        });
        quote!(::std::vec![#(#subscriptions),*])
    }
}

impl Parse for Arguments {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let mut arguments = Self::default();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            let flag = if key == "batch" { &mut arguments.batch } else { &mut arguments.filter };
            if (key == "batch" || key == "filter") && !*flag {
                *flag = true;
                if arguments.batch && arguments.filter {
                    let message = "a filter handles no ops: `batch` and `filter` exclude each other";
                    return Err(syn::Error::new(key.span(), message));
                }
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
                continue;
            }
            input.parse::<Token![=]>()?;
            if key == "namespace" && arguments.namespaces.is_empty() {
                arguments.namespaces = one_or_more(input)?;
                arguments.namespaces.iter().try_for_each(check_namespace)?;
            } else if key == "operation" && arguments.operations.is_empty() {
                arguments.operations = one_or_more(input)?;
                arguments.operations.iter().try_for_each(check_operation)?;
            } else if key == "settings" && arguments.settings.is_none() {
                arguments.settings = Some(input.parse()?);
            } else {
                let message = "expected `namespace = …`, `operation = …`, `settings = …`, `batch` or `filter`, each at most once";
                return Err(syn::Error::new(key.span(), message));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }
}

fn one_or_more<T: Parse>(input: ParseStream) -> syn::Result<Vec<T>> {
    if !input.peek(token::Bracket) {
        return Ok(vec![input.parse()?]);
    }
    let list;
    bracketed!(list in input);
    let items = Punctuated::<T, Token![,]>::parse_terminated(&list)?;
    if items.is_empty() {
        return Err(list.error("an empty list would subscribe to nothing; leave it out for everything"));
    }
    Ok(items.into_iter().collect())
}

fn check_namespace(namespace: &LitStr) -> syn::Result<()> {
    let value = namespace.value();
    // A regular expression is for the host to understand.
    let regex = value.len() > 2 && value.starts_with('/') && value.ends_with('/');
    if regex
        || value == "*"
        || value.split_once('.').is_some_and(|(database, rest)| !database.is_empty() && !rest.is_empty())
    {
        return Ok(());
    }
    Err(syn::Error::new(
        namespace.span(),
        "a namespace is `database.collection`, in which `*` stands for any characters, or a regular expression between \
         slashes",
    ))
}

fn check_operation(operation: &Ident) -> syn::Result<()> {
    if OPERATIONS.iter().any(|known| operation == known) {
        return Ok(());
    }
    let message = format!("unknown operation; known are {}", OPERATIONS.join(", "));
    Err(syn::Error::new(operation.span(), message))
}

/// `drop_database` is `DropDatabase` among the contract's operation types.
fn variant(operation: &Ident) -> Ident {
    let mut name = String::new();
    for word in operation.to_string().split('_') {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.extend(letters);
    }
    format_ident!("{name}", span = operation.span())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &str) -> Result<String, String> {
        let parsed = syn::parse_str::<Arguments>(arguments).map_err(|error| error.to_string())?;
        Ok(parsed.subscriptions().to_string())
    }

    #[test]
    fn each_namespace_becomes_a_subscription_with_all_the_operations() {
        let parsed = parse(r#"namespace = ["a.b", "c.*"], operation = [insert, drop_database]"#).unwrap();
        assert_eq!(parsed.matches("Subscription").count(), 2);
        assert_eq!(parsed.matches("DropDatabase").count(), 2);
        assert!(parsed.contains(r#""c.*""#));
    }

    #[test]
    fn nothing_named_subscribes_to_everything() {
        assert!(!parse("").unwrap().contains("Subscription"));
        assert!(parse("operation = insert").unwrap().contains(r#""*""#));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(parse("operation = insrt").unwrap_err().contains("known are insert"));
        assert!(parse(r#"namespace = "/users$/""#).is_ok());
        assert!(parse(r#"namespace = "users""#).unwrap_err().contains("database.collection"));
        assert!(parse(r#"collection = "a.b""#).unwrap_err().contains("expected `namespace"));
        assert!(parse("batch, filter").unwrap_err().contains("exclude each other"));
        assert!(parse("filter, filter").is_err());
        assert!(parse("operation = []").unwrap_err().contains("empty list"));
    }
}
