//! `docs/architecture.md` against what there is: the table of crates and what each depends on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::{FOR_TESTS, FOUNDATIONS, LAYERS, ROOT, libraries};

/// The rows of the table of crates: name → (layer, dependencies).
fn rows() -> BTreeMap<String, (String, String)> {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/architecture.md")).unwrap();
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let rows = page
        .lines()
        .map(cells)
        .filter(|row| row.len() == 6 && row[2].starts_with("**") && row[2].contains("align"));
    rows.map(|row| (row[2].trim_matches('*').to_owned(), (row[1].clone(), row[4].clone()))).collect()
}

/// `data, train` as names of crates; a remark in brackets says nothing of the workspace, and `none` is none.
fn named(cell: &str) -> BTreeSet<String> {
    let cell = cell.split('(').next().unwrap().trim();
    let names = cell.split(',').map(str::trim).filter(|name| !name.is_empty() && *name != "none");
    names.map(|name| format!("align-{name}")).collect()
}

#[test]
fn every_crate_has_its_row_with_its_layer_and_its_dependencies() {
    let rows = rows();
    let libraries = libraries();
    let names: BTreeSet<&str> = libraries.iter().map(|package| package.name.as_str()).collect();
    assert!(rows.keys().map(String::as_str).eq(names.iter().copied()), "{:?}\n{names:?}", rows.keys());
    let layers = BTreeMap::from(LAYERS);
    for package in &libraries {
        let name = package.name.as_str();
        let (layer, dependencies) = &rows[name];
        let parts: BTreeSet<String> = package.parts().map(str::to_owned).collect();
        assert_eq!(named(dependencies), parts, "docs/architecture.md, {name}");
        let expected = match layers.get(name) {
            Some(layer) => layer.to_string(),
            None if FOUNDATIONS.contains(&name) => "below".to_owned(),
            None if FOR_TESTS.contains(&name) => "dev".to_owned(),
            None => "–".to_owned(),
        };
        assert_eq!(*layer, expected, "docs/architecture.md, {name}");
    }
}
