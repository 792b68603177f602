//! What a crate's root exports: the leaves of its `pub use`, and the public modules and items in it.

use std::fs;
use std::path::Path;

use syn::{Item, UseTree, Visibility};

use crate::items::Found;

/// Something exported: the modules on the way to it, its name there, and its name outside.
pub(crate) struct Export {
    modules: Vec<String>,
    name: String,
    renamed: Option<String>,
}

impl Export {
    /// Whether it is this item, or one of its methods.
    pub(crate) fn brings(&self, item: &Found) -> bool {
        let is_there = self.modules.first().is_none_or(|module| item.module == *module);
        is_there && (self.name == "*" || item.name == self.name)
    }

    /// As a path.
    pub(crate) fn path(&self) -> String {
        let path = [self.modules.as_slice(), std::slice::from_ref(&self.name)].concat().join("::");
        self.renamed.as_ref().map_or_else(|| path.clone(), |renamed| format!("{path} as {renamed}"))
    }
}

/// The exports of the crate whose root this is.
pub(crate) fn of_root(root: &Path) -> Vec<Export> {
    let file = syn::parse_file(&fs::read_to_string(root).unwrap()).unwrap();
    let mut exports = Vec::new();
    of_items(&file.items, &mut exports);
    exports
}

fn of_items(items: &[Item], exports: &mut Vec<Export>) {
    for item in items {
        match item {
            Item::Use(item) if is_public(&item.vis) => leaves(&item.tree, &mut Vec::new(), exports),
            Item::Mod(item) if is_public(&item.vis) => {
                let name = item.ident.to_string();
                match &item.content {
                    Some((_, items)) => of_items(items, exports),
                    None => exports.push(Export { modules: vec![name], name: "*".to_owned(), renamed: None }),
                }
            }
            _ => {}
        }
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn leaves(tree: &UseTree, modules: &mut Vec<String>, exports: &mut Vec<Export>) {
    let mut leaf = |name: String, renamed| exports.push(Export { modules: modules.clone(), name, renamed });
    match tree {
        UseTree::Name(name) => leaf(name.ident.to_string(), None),
        UseTree::Rename(name) => leaf(name.ident.to_string(), Some(name.rename.to_string())),
        UseTree::Glob(_) => leaf("*".to_owned(), None),
        UseTree::Path(path) => {
            modules.push(path.ident.to_string());
            leaves(&path.tree, modules, exports);
            modules.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, modules, exports)),
    }
}
