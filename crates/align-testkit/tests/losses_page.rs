//! `docs/losses.md` against what there is: a function, golden case, loss type or option that the page lacks, or names
//! without there being one, fails here. It stands here and not beside the losses, whose tests need nothing of the
//! workspace.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;

use align_testkit::GoldenFile;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// Where options are fields of the same name.
const OPTIONS: [&str; 9] = [
    "crates/align-data/src/options.rs",
    "crates/align-dpo/src/options.rs",
    "crates/align-sft/src/options.rs",
    "crates/align-train/src/options/config.rs",
    "crates/align-reward/src/options.rs",
    "crates/align-ppo/src/ppo/options.rs",
    "crates/align-ppo/src/group/options.rs",
    "crates/align-ppo/src/job/options.rs",
    "crates/align-ppo/src/job/reward.rs",
];
/// Where what Config calls a loss is the variant of an enum: its file, its name, and whether the page must name all.
const CHOICES: [(&str, &str, bool); 4] = [
    ("crates/align-dpo/src/loss_type.rs", "LossType", true),
    ("crates/align-sft/src/options.rs", "LossType", true),
    ("crates/align-ppo/src/group/algorithm.rs", "GroupLossType", true),
    // Online DPO has the loss of `sigmoid`.
    ("crates/align-ppo/src/job/method.rs", "MethodName", false),
];

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

fn page() -> String {
    read("docs/losses.md")
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The same word by word.
fn code(text: &str) -> BTreeSet<String> {
    quoted(text).flat_map(|code| code.split([' ', ','])).map(str::to_owned).collect()
}

/// What a cell of Config calls a loss: neither a program, nor an option, nor the value of one but `--loss-type`.
fn choices(cell: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for code in quoted(cell) {
        let mut before = "";
        for word in code.split([' ', ',']) {
            let is_value = before.starts_with("--") && before != "--loss-type";
            if !is_value && !word.starts_with("--") && !word.starts_with("train-") && word != "…" {
                names.insert(word.to_owned());
            }
            before = word;
        }
    }
    names
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
    let library = read("crates/align-losses/src/lib.rs");
    let statements = library.split(';');
    let paths = statements.filter_map(|statement| statement.trim().strip_prefix("pub use "));
    let lists = paths.map(|path| path.rsplit("::").next().unwrap().trim_matches(['{', '}']));
    let names = lists.flat_map(|list| list.split(',')).map(|name| name.trim().to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

/// The variants of an enum, as an option spells them.
fn variants(path: &str, name: &str) -> BTreeSet<String> {
    let source = read(path);
    let body = source.split(&format!("enum {name} {{")).nth(1).unwrap().split("\n}").next().unwrap();
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
fn every_loss_type_and_method_is_named_and_every_name_is_one() {
    let named: BTreeSet<String> = column(&page(), "Config").iter().flat_map(|cell| choices(cell)).collect();
    let mut known = BTreeSet::new();
    for (path, name, all) in CHOICES {
        let variants = variants(path, name);
        assert!(variants.len() > 1, "{path} was not understood");
        assert_none(path, variants.iter().filter(|name| all && !named.contains(*name)).cloned());
        known.extend(variants);
    }
    assert_none("names what no program has", named.into_iter().filter(|name| !known.contains(name)));
}

#[test]
fn every_option_exists() {
    let fields: String = OPTIONS.iter().map(|path| read(path)).collect();
    let options = code(&page()).into_iter().filter(|word| word.starts_with("--"));
    let field = |option: &String| format!(" {}:", option.trim_start_matches('-').replace('-', "_"));
    assert_none("names options that do not exist", options.filter(|option| !fields.contains(&field(option))));
}
