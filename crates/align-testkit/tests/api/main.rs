//! The public interface of every library crate, as a text that changes when it does: whoever changes it sees it in the diff.
//!
//! `ALIGN_UPDATE_API=1 cargo test -p align-testkit --test api` writes the texts again.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod exports;
mod items;

use std::fs;
use std::path::{Path, PathBuf};

const CRATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// What is for programs and tests has no users outside.
const INSIDE: [&str; 6] =
    ["align-cli", "align-programs", "align-testkit", "align-hostile", "align-world", "align-world-judge"];

/// The interface: what a crate's root exports, item by item, without bodies and docs.
fn interface(src: &Path) -> String {
    let items = items::of_crate(src);
    let mut lines: Vec<String> = Vec::new();
    for export in exports::of_root(&src.join("lib.rs")) {
        let found = items.iter().filter(|item| export.brings(item)).map(|item| item.text.clone());
        let found: Vec<_> = found.collect();
        if found.is_empty() {
            lines.push(format!("use {}", export.path()));
        }
        lines.extend(found);
    }
    lines.sort();
    lines.dedup();
    lines.join("\n") + "\n"
}

#[test]
fn a_change_of_an_interface_is_seen() {
    let snapshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/snapshots");
    let updates = std::env::var_os("ALIGN_UPDATE_API").is_some();
    let crates = fs::read_dir(CRATES).unwrap().map(|entry| entry.unwrap().path());
    let mut crates: Vec<PathBuf> = crates.filter(|path| path.join("src/lib.rs").is_file()).collect();
    crates.sort();
    let mut changed = Vec::new();
    for path in crates {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let (found, snapshot) = (interface(&path.join("src")), snapshots.join(format!("{name}.txt")));
        if INSIDE.contains(&name.as_str()) {
            continue;
        }
        assert!(found.lines().count() > 0, "{name} exports nothing");
        if updates {
            fs::create_dir_all(&snapshots).unwrap();
            fs::write(&snapshot, &found).unwrap();
        }
        let expected = fs::read_to_string(&snapshot).unwrap_or_default();
        let news = |a: &str, b: &str, sign: char| -> Vec<String> {
            a.lines()
                .filter(|line| !b.lines().any(|other| other == *line))
                .map(|line| format!("{sign} {line}"))
                .collect()
        };
        let difference = [news(&expected, &found, '-'), news(&found, &expected, '+')].concat();
        changed.extend(difference.into_iter().map(|line| format!("{name}: {line}")));
    }
    assert!(
        changed.is_empty(),
        "the public interface has changed; if it is meant to, say it in CHANGELOG.md and run this test with \
         ALIGN_UPDATE_API=1\n{}",
        changed.join("\n")
    );
}

/// The stages, which the façade has as modules.
const STAGES: [&str; 5] = ["align-sft", "align-dpo", "align-reward", "align-ppo", "align-generate"];

#[test]
fn no_stage_has_a_type_of_a_name_at_the_facades_root() {
    let types = |name: &str| -> Vec<String> {
        let exports = exports::of_root(&Path::new(CRATES).join(name).join("src/lib.rs"));
        let names =
            exports.iter().filter_map(|export| Some(export.path().rsplit([':', ' ']).next()?.to_owned()));
        names.filter(|name| name.starts_with(char::is_uppercase)).collect()
    };
    let root = types("align");
    for stage in STAGES {
        let same: Vec<String> = types(stage).into_iter().filter(|name| root.contains(name)).collect();
        assert!(same.is_empty(), "{stage} has {same:?}, and so has the façade's root: rename one of them");
    }
}
