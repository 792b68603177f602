//! The defaults that clap's attributes name.

use proc_macro2::{TokenStream, TokenTree};
use quote::quote;
use syn::parse::ParseStream;
use syn::{Attribute, Data, DeriveInput, Error, Fields, LitStr, Result, Token, Type};

/// `impl Default`, and the names of the options.
pub(crate) fn default(item: &DeriveInput) -> Result<TokenStream> {
    let Data::Struct(data) = &item.data else {
        return Err(Error::new_spanned(item, "options are a struct"));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(Error::new_spanned(item, "options have names"));
    };
    let names = fields.named.iter().filter_map(|field| Some(field.ident.as_ref()?.to_string()));
    let defaults = fields.named.iter().map(|field| {
        let (name, value) = (&field.ident, of_field(&field.attrs, &field.ty)?);
        Ok(quote!(#name: #value))
    });
    let (name, defaults) = (&item.ident, defaults.collect::<Result<Vec<_>>>()?);
    Ok(quote! {
        impl #name {
            /// The names of the options.
            pub const NAMES: &[&str] = &[#(#names),*];
        }

        impl ::core::default::Default for #name {
            /// What the command line has without arguments.
            fn default() -> Self {
                Self { #(#defaults),* }
            }
        }
    })
}

/// The default that a field's attributes name, else that of its type.
fn of_field(attributes: &[Attribute], ty: &Type) -> Result<TokenStream> {
    let mut found = quote!(::core::default::Default::default());
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("arg")) {
        attribute.parse_nested_meta(|meta| {
            let has_value = meta.input.peek(Token![=]);
            if has_value {
                meta.input.parse::<Token![=]>()?;
            }
            let value = until_comma(meta.input)?;
            if meta.path.is_ident("default_value_t") && has_value {
                found = value;
            } else if meta.path.is_ident("default_values_t") {
                found = quote!(::core::iter::Iterator::collect(#value.into_iter()));
            } else if meta.path.is_ident("default_value") {
                // As clap takes it: the text that a user would write.
                let text: LitStr = syn::parse2(value)?;
                found = match is_option(ty) {
                    false => quote!(::core::convert::From::from(#text)),
                    true => {
                        let value: TokenStream = text.value().parse()?;
                        quote!(::core::option::Option::Some(#value))
                    }
                };
            }
            Ok(())
        })?;
    }
    Ok(found)
}

fn is_option(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Option"))
}

/// What is left of an attribute's argument: an expression, or the arguments of its own.
fn until_comma(input: ParseStream<'_>) -> Result<TokenStream> {
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        tokens.extend([input.parse::<TokenTree>()?]);
    }
    Ok(tokens)
}
