#![doc = include_str!("../README.md")]

mod choice;
mod options;

use proc_macro::TokenStream;

/// `Default` of a struct of options: each field's `default_value_t` or `default_value`, and the default of its type where
/// there is none. Accepts clap's attributes whether clap is there or not.
#[proc_macro_derive(Options, attributes(arg, command))]
pub fn options(item: TokenStream) -> TokenStream {
    let item = syn::parse_macro_input!(item as syn::DeriveInput);
    options::default(&item).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// `ALL` and `name()` of the values of an option: the names that a user writes, as `rename_all = "snake_case"` makes them
/// or `name` says.
/// Accepts clap's attributes whether clap is there or not.
#[proc_macro_derive(Choice, attributes(value))]
pub fn choice(item: TokenStream) -> TokenStream {
    let item = syn::parse_macro_input!(item as syn::DeriveInput);
    choice::names(&item).unwrap_or_else(syn::Error::into_compile_error).into()
}
