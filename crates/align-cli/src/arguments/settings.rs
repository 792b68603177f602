//! All options of a run as the TOML file that gives them again.
//!
//! Written from the words that clap parsed, defaults included, so that it is right by construction for
//! every type an option may have and so that a later change of a default does not change the repeat.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::{Arg, ArgMatches};

use super::Program;
use super::schema::{self, Kind, Schema};

/// Options about one call of the program, not about what it computes. Kept out of the file, so that a
/// repeat neither overwrites the first run nor stops at its directory.
const ABOUT_THIS_CALL: &[&str] = &[
    "config",
    "output-dir",
    "overwrite-output-dir",
    "resume-from-checkpoint",
    "dry-run",
    "ranks",
    "bandwidth",
    "inspect",
    "quiet",
    "json",
];

/// One `key = value` line per option that has a value, in the order of `--help`.
pub(super) fn to_toml(schema: &Schema, program: &Program, matches: &ArgMatches) -> String {
    let mut toml = format!(
        "# Every option of this run of {name} {version}; `{name} --config` on this file repeats it.\n",
        name = program.name,
        version = env!("CARGO_PKG_VERSION"),
    );
    for arg in schema.options() {
        let long = arg.get_long().expect("options have long names");
        if ABOUT_THIS_CALL.contains(&long) {
            continue;
        }
        if let Some(value) = value(arg, matches) {
            let _ = writeln!(toml, "{} = {value}", long.replace('-', "_"));
        }
    }
    toml
}

/// Groups of options that say on what something is done, and not how.
const ON_WHAT: &[&str] = &["Model and device", "Data", "Output"];

/// Whether an option of a layer below may be moot because of those `given` above it: not because of such as are about one call
/// only. A recipe was written for another model and other data; who writes a config file and names these on the command
/// line made a mistake if two options of the file exclude each other.
pub(super) fn may_be_moot(schema: &Schema, id: &str, given: &BTreeSet<String>, is_recipe: bool) -> bool {
    let is_about_this_call = |arg: &&Arg| arg.get_long().is_some_and(|long| ABOUT_THIS_CALL.contains(&long));
    let of = |id: &str| schema.options().find(|arg| arg.get_id().as_str() == id);
    let group = of(id).and_then(Arg::get_help_heading);
    let given = given.iter().filter_map(|id| of(id)).filter(|arg| !is_about_this_call(arg));
    let mut groups = given.map(Arg::get_help_heading);
    groups.any(|above| is_recipe || above == group || above.is_none_or(|above| !ON_WHAT.contains(&above)))
}

/// The names of those options among `ids` that have another value than their default.
pub(super) fn not_default(schema: &Schema, matches: &ArgMatches, ids: &BTreeSet<String>) -> BTreeSet<String> {
    let is_changed = |arg: &&Arg| {
        let id = arg.get_id().as_str();
        let is_default = |mut words: clap::parser::RawValues<'_>| {
            words.by_ref().eq(arg.get_default_values().iter().map(|default| default.as_os_str()))
        };
        ids.contains(id) && !matches.get_raw(id).is_some_and(is_default)
    };
    schema.options().filter(is_changed).filter_map(Arg::get_long).map(|long| long.replace('-', "_")).collect()
}

fn value(arg: &Arg, matches: &ArgMatches) -> Option<String> {
    let id = arg.get_id().as_str();
    if schema::kind(arg) == Kind::Switch && !schema::is_list(arg) {
        return matches.get_one::<bool>(id).map(ToString::to_string);
    }
    // A path that is not Unicode cannot stand in TOML; its nearest spelling is the best record.
    let mut words = matches.get_raw(id)?.map(|word| literal(schema::kind(arg), &word.to_string_lossy()));
    if schema::is_list(arg) {
        return Some(format!("[{}]", words.collect::<Vec<_>>().join(", ")));
    }
    words.next_back()
}

/// A word as TOML: numbers as they were written if TOML can read them, everything else quoted.
fn literal(kind: Kind, word: &str) -> String {
    let is_number = |word: &str| {
        let table = format!("x = {word}").parse::<toml::Table>();
        table.is_ok_and(|table| table["x"].is_integer() || table["x"].is_float())
    };
    match (kind, word.parse::<f64>()) {
        (Kind::Integer | Kind::Number, _) if is_number(word) => word.to_owned(),
        // `.5` and `1.` are numbers to Rust and not to TOML.
        (Kind::Number, Ok(number)) => toml::Value::Float(number).to_string(),
        _ => toml::Value::String(word.to_owned()).to_string(),
    }
}
