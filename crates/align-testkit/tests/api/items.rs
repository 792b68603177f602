//! The public items of a crate's files, each as one line: signatures without bodies, public fields, variants, methods.

use std::fs;
use std::path::Path;

use quote::ToTokens;
use syn::{Fields, ImplItem, Item, TraitItem, Visibility};

/// A public item.
pub(crate) struct Found {
    /// The top module that it is in; empty in the root.
    pub(crate) module: String,
    /// Its name; a method has its type's.
    pub(crate) name: String,
    /// The line.
    pub(crate) text: String,
}

/// All public items of the files below `src`.
pub(crate) fn of_crate(src: &Path) -> Vec<Found> {
    let mut found = Vec::new();
    walk(src, "", &mut found);
    found
}

fn walk(dir: &Path, module: &str, found: &mut Vec<Found>) {
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let module = match module {
            "" if stem == "lib" => String::new(),
            "" => stem,
            module => module.to_owned(),
        };
        if path.is_dir() {
            walk(&path, &module, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let file = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
            file.items.into_iter().for_each(|item| of_item(item, &module, found));
        }
    }
}

fn of_item(item: Item, module: &str, found: &mut Vec<Found>) {
    let mut add = |name: String, text: String| found.push(Found { module: module.to_owned(), name, text });
    match item {
        Item::Fn(item) if is_public(&item.vis) => add(item.sig.ident.to_string(), line(&item.sig)),
        Item::Const(item) if is_public(&item.vis) => {
            add(item.ident.to_string(), format!("const {}: {}", item.ident, line(&item.ty)));
        }
        Item::Type(mut item) if is_public(&item.vis) => {
            item.attrs.clear();
            add(item.ident.to_string(), line(&item));
        }
        Item::Struct(item) if is_public(&item.vis) => {
            let fields = item.fields.iter().filter(|field| is_public(&field.vis));
            let fields: Vec<_> = fields.map(|field| named(field.ident.as_ref(), &field.ty)).collect();
            let head = format!("struct {}{}", item.ident, line(&item.generics));
            let rest = if fields.len() < item.fields.len() { ", .." } else { "" };
            add(item.ident.to_string(), format!("{head} {{ {}{rest} }}", fields.join(", ")));
        }
        Item::Enum(item) if is_public(&item.vis) => {
            let variants: Vec<_> =
                item.variants.iter().map(|variant| of_variant(&variant.ident, &variant.fields)).collect();
            add(item.ident.to_string(), format!("enum {} {{ {} }}", item.ident, variants.join(", ")));
        }
        Item::Trait(item) if is_public(&item.vis) => {
            add(item.ident.to_string(), format!("trait {}", item.ident));
            for inner in &item.items {
                if let TraitItem::Fn(inner) = inner {
                    add(item.ident.to_string(), format!("{}::{}", item.ident, line(&inner.sig)));
                }
            }
        }
        Item::Impl(item) if item.trait_.is_none() => {
            let of = line(&item.self_ty);
            let name = of.split(['<', ' ']).next().unwrap_or_default().to_owned();
            for inner in &item.items {
                match inner {
                    ImplItem::Fn(inner) if is_public(&inner.vis) => {
                        add(name.clone(), format!("{of}::{}", line(&inner.sig)))
                    }
                    ImplItem::Const(inner) if is_public(&inner.vis) => {
                        add(name.clone(), format!("{of}::const {}: {}", inner.ident, line(&inner.ty)));
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn of_variant(name: &syn::Ident, fields: &Fields) -> String {
    let inner: Vec<_> = fields.iter().map(|field| named(field.ident.as_ref(), &field.ty)).collect();
    match fields {
        Fields::Unit => name.to_string(),
        Fields::Named(_) => format!("{name} {{ {} }}", inner.join(", ")),
        Fields::Unnamed(_) => format!("{name}({})", inner.join(", ")),
    }
}

fn named(name: Option<&syn::Ident>, of: &syn::Type) -> String {
    name.map_or_else(|| line(of), |name| format!("{name}: {}", line(of)))
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Tokens as one line, with the spaces that a reader expects.
fn line(tokens: &impl ToTokens) -> String {
    let mut text = tokens.to_token_stream().to_string();
    for (from, to) in [
        (" :: ", "::"),
        (":: ", "::"),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        (" ,", ","),
        ("& ", "&"),
        (" (", "("),
        ("( ", "("),
        (" )", ")"),
        (" : ", ": "),
        ("- >", "->"),
        (")->", ") ->"),
        (" ;", ";"),
        ("[ ", "["),
        (" ]", "]"),
        ("' ", "'"),
        (" . .", ".."),
        ("->&", "-> &"),
    ] {
        text = text.replace(from, to);
    }
    text
}
