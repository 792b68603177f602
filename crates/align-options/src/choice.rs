//! The names of the values of an option.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, LitStr, Result, Variant};

/// `ALL` and `name()`.
pub(crate) fn names(item: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(data) = &item.data else {
        return Err(Error::new_spanned(item, "a choice is an enum"));
    };
    let name = &item.ident;
    let variants: Vec<_> = data.variants.iter().map(|variant| &variant.ident).collect();
    let names = data.variants.iter().map(written).collect::<Result<Vec<_>>>()?;
    Ok(quote! {
        impl #name {
            /// All values, in the order of the help.
            pub const ALL: &[Self] = &[#(Self::#variants),*];

            /// The name that a user writes.
            pub fn name(self) -> &'static str {
                match self {
                    #(Self::#variants => #names),*
                }
            }
        }
    })
}

/// What `value(name = "…")` says, else the variant's name.
fn written(variant: &Variant) -> Result<String> {
    let mut name = snake_case(&variant.ident.to_string());
    for attribute in variant.attrs.iter().filter(|attribute| attribute.path().is_ident("value")) {
        attribute.parse_nested_meta(|meta| {
            let text: LitStr = meta.value()?.parse()?;
            if meta.path.is_ident("name") {
                name = text.value();
            }
            Ok(())
        })?;
    }
    Ok(name)
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !snake.is_empty() && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}
