//! `docs/losses.md` against what there is: a function, golden case, loss type or option that the page lacks, or names
//! without there being one, fails here.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;

use align_testkit::GoldenFile;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// Where options are fields of the same name.
const OPTIONS: [&str; 4] = [
    "crates/align-data/src/options.rs",
    "crates/align-dpo/src/options.rs",
    "crates/align-sft/src/options.rs",
    "crates/align-train/src/options/config.rs",
];

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

fn page() -> String {
    read("docs/losses.md")
}

/// What stands in backticks, word by word.
fn code(text: &str) -> BTreeSet<String> {
    let quoted = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    quoted.flat_map(|code| code.split([' ', ','])).map(str::to_owned).collect()
}

/// The cells of one column in all tables that have it, without those that say "none".
fn column(page: &str, name: &str) -> Vec<String> {
    let (mut cells, mut place) = (Vec::new(), None);
    for line in page.lines() {
        // Formulas have `\|`.
        let line = line.replace("\\|", "/");
        let row: Vec<&str> = line.split('|').map(str::trim).collect();
        match place {
            _ if !line.starts_with('|') => place = None,
            None => place = Some(row.iter().position(|cell| *cell == name)),
            Some(Some(place)) => cells.push(row[place].to_owned()),
            Some(None) => {}
        }
    }
    cells.retain(|cell| cell.contains('`'));
    cells
}

/// What `lib.rs` exports: functions in lower case, types in upper.
fn exports() -> BTreeSet<String> {
    let statements = include_str!("../src/lib.rs").split(';');
    let paths = statements.filter_map(|statement| statement.trim().strip_prefix("pub use "));
    let lists = paths.map(|path| path.rsplit("::").next().unwrap().trim_matches(['{', '}']));
    let names = lists.flat_map(|list| list.split(',')).map(|name| name.trim().to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

/// The variants of an `enum LossType`, as an option spells them.
fn loss_types(path: &str) -> BTreeSet<String> {
    let source = read(path);
    let body = source.split("pub enum LossType {").nth(1).unwrap().split("\n}").next().unwrap();
    let variants = body.lines().filter_map(|line| line.trim().strip_suffix(','));
    variants.map(snake_case).collect()
}

fn snake_case(variant: &str) -> String {
    let mut name = String::new();
    for letter in variant.chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

fn assert_none(what: &str, names: impl Iterator<Item = String>) {
    let names: Vec<_> = names.collect();
    assert!(names.is_empty(), "docs/losses.md {what}: {names:?}");
}

#[test]
fn every_function_has_a_row_and_every_row_a_function() {
    let (exports, rows) = (exports(), column(&page(), "Function"));
    let named: BTreeSet<String> = rows
        .iter()
        .flat_map(|cell| code(cell))
        .map(|name| name.split("::").next().unwrap().to_owned())
        .collect();
    let functions = exports.iter().filter(|name| name.starts_with(char::is_lowercase)).cloned();
    assert!(functions.clone().count() > 90, "lib.rs was not understood");
    assert_none("lacks", functions.filter(|name| !named.contains(name)));
    assert_none(
        "names what lib.rs does not export",
        named.into_iter().filter(|name| !exports.contains(name)),
    );
}

#[test]
fn every_golden_loss_is_named_and_every_name_is_one() {
    let file = GoldenFile::read(format!("{ROOT}/fixtures/golden/losses.json")).unwrap();
    let losses: BTreeSet<String> = file.cases.iter().map(|case| case.loss.clone()).collect();
    let named: BTreeSet<String> = column(&page(), "Golden").iter().flat_map(|cell| code(cell)).collect();
    assert_none("lacks", losses.iter().filter(|loss| !named.contains(*loss)).cloned());
    assert_none("names cases that do not exist", named.into_iter().filter(|name| !losses.contains(name)));
}

#[test]
fn every_loss_type_is_named_and_every_name_is_one() {
    let supervised = loss_types("crates/align-sft/src/options.rs");
    let types: BTreeSet<String> = &loss_types("crates/align-dpo/src/loss_type.rs") | &supervised;
    let cells = column(&page(), "Config");
    let named: BTreeSet<String> = cells.iter().flat_map(|cell| code(cell)).collect();
    assert_none("lacks", types.iter().filter(|name| !named.contains(*name)).cloned());
    let words =
        named.into_iter().filter(|name| !name.starts_with("--") && name != "train-sft" && name != "…");
    assert_none("names loss types that do not exist", words.filter(|name| !types.contains(name)));
}

#[test]
fn every_option_exists() {
    let fields: String = OPTIONS.iter().map(|path| read(path)).collect();
    let options = code(&page()).into_iter().filter(|word| word.starts_with("--"));
    let field = |option: &String| format!("pub {}:", option.trim_start_matches('-').replace('-', "_"));
    assert_none("names options that do not exist", options.filter(|option| !fields.contains(&field(option))));
}
