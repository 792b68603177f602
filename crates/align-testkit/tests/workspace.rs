//! The workspace's own rules, over `cargo metadata` and the files: which crate may know which, how long a file
//! may be, where `unsafe` may stand. The reasons are in `docs/architecture.md`; a new edge or crate is a change
//! there first, and then a line in the tables here.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Data flows upwards; a crate may know those of a lower layer only.
const LAYERS: [(&str, u8); 14] = [
    ("align-losses", 0),
    ("align-kernels", 0),
    ("align-stats", 0),
    ("align-report", 0),
    ("align-data", 0),
    ("align-world", 0),
    ("align-train", 1),
    ("align-models", 1),
    ("align-stage", 2),
    ("align-sft", 3),
    ("align-reward", 3),
    ("align-dpo", 3),
    ("align-ppo", 4),
    ("align-eval", 4),
];
/// Beside the layers: what all binaries share, the recipe that training binaries share on top of it, and what all
/// tests share.
const CLI: &str = "align-cli";
const RECIPE: &str = "align-recipe";
const TESTKIT: &str = "align-testkit";
/// Below all layers: files, of which it knows no content.
const FILES: &str = "align-files";
/// A method each. align-reward is one too, and the only one that others (PPO, evaluation) build on.
const STAGES: [&str; 4] = ["align-sft", "align-reward", "align-dpo", "align-ppo"];
const SHARED_STAGE: &str = "align-reward";

/// Where `unsafe` may be allowed, and in how many files: the kernels, the memory-mapped loader, the memory policy.
const UNSAFE: [(&str, usize); 3] =
    [("crates/align-kernels/src", usize::MAX), ("crates/align-models/src", 1), ("crates/align-cli/src", 1)];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `None` is a normal dependency, else "dev" or "build".
    kind: Option<String>,
    path: Option<PathBuf>,
}

impl Package {
    fn is_binary(&self) -> bool {
        self.manifest_path.parent().and_then(Path::parent).is_some_and(|folder| folder.ends_with("bins"))
    }

    /// Workspace crates it is built from (not its tests).
    fn parts(&self) -> impl Iterator<Item = &str> {
        self.shipped()
            .filter(|dependency| dependency.path.is_some())
            .map(|dependency| dependency.name.as_str())
    }

    fn shipped(&self) -> impl Iterator<Item = &Dependency> {
        self.dependencies.iter().filter(|dependency| dependency.kind.as_deref() != Some("dev"))
    }
}

fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(ROOT)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<Metadata>(&output.stdout).unwrap().packages
}

fn libraries() -> Vec<Package> {
    packages().into_iter().filter(|package| !package.is_binary()).collect()
}

fn package(name: &str) -> Package {
    packages().into_iter().find(|package| package.name == name).unwrap_or_else(|| panic!("no crate {name}"))
}

/// Every `.rs` file below `folder`/*/src, with its path from the root.
fn sources(folder: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for member in fs::read_dir(Path::new(ROOT).join(folder)).unwrap() {
        let source = member.unwrap().path().join("src");
        if source.is_dir() {
            collect(&source, &mut found);
        }
    }
    assert!(!found.is_empty(), "no sources below {folder}");
    found
}

fn collect(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(ROOT).unwrap().to_string_lossy().replace('\\', "/");
            found.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn losses_stand_on_candle_core_alone() {
    let losses = package("align-losses");
    let shipped: Vec<_> = losses.shipped().map(|dependency| dependency.name.as_str()).collect();
    assert_eq!(shipped, ["candle-core"]);
}

#[test]
fn kernels_know_no_crate_of_the_workspace_and_do_no_input_or_output() {
    assert_eq!(package("align-kernels").parts().collect::<Vec<_>>(), [""; 0]);
    for (file, text) in sources("crates") {
        if file.starts_with("crates/align-kernels/") {
            for forbidden in ["std::fs", "std::net", "std::process", "std::io"] {
                assert!(!text.contains(forbidden), "{file} uses {forbidden}");
            }
        }
    }
}

#[test]
fn layers_only_point_down() {
    let layers = BTreeMap::from(LAYERS);
    let mut wrong = Vec::new();
    for package in libraries() {
        let from = package.name.as_str();
        if from == FILES {
            wrong.extend(package.parts().map(|to| format!("{from} → {to}: it stands below all others")));
            continue;
        }
        if from == CLI || from == TESTKIT {
            let parts = package.parts().filter(|part| *part != FILES);
            wrong.extend(parts.map(|to| format!("{from} → {to}: it stands apart from the layers")));
            continue;
        }
        if from == RECIPE {
            let methods = package.parts().filter(|part| STAGES.contains(part));
            wrong.extend(methods.map(|to| format!("{from} → {to}: it is the same for all methods")));
            continue;
        }
        let Some(own) = layers.get(from) else {
            wrong.push(format!("{from} has no layer: add it to docs/architecture.md and to this test"));
            continue;
        };
        wrong.extend(
            package
                .parts()
                .filter(|to| *to != FILES && layers.get(to).is_none_or(|layer| layer >= own))
                .map(|to| format!("{from} → {to}")),
        );
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn training_knows_no_model_and_no_data() {
    let train = package("align-train");
    let parts: BTreeSet<_> = train.parts().collect();
    assert!(parts.is_subset(&BTreeSet::from(["align-kernels"])), "align-train depends on {parts:?}");
}

#[test]
fn a_stage_knows_no_other_stage() {
    for package in libraries().iter().filter(|package| STAGES.contains(&package.name.as_str())) {
        for part in package.parts() {
            let other = STAGES.contains(&part) && part != SHARED_STAGE;
            assert!(!other, "{} → {part}", package.name);
        }
    }
}

#[test]
fn nothing_depends_on_a_binary() {
    let packages = packages();
    let binaries: BTreeSet<_> =
        packages.iter().filter(|package| package.is_binary()).map(|p| &p.name).collect();
    assert!(!binaries.is_empty());
    for package in &packages {
        for dependency in &package.dependencies {
            assert!(!binaries.contains(&dependency.name), "{} → {}", package.name, dependency.name);
        }
    }
}

#[test]
fn the_testkit_is_for_tests() {
    for package in packages() {
        assert!(package.parts().all(|part| part != TESTKIT), "{} ships {TESTKIT}", package.name);
    }
}

#[test]
fn crates_are_named_for_what_they_do() {
    for package in libraries() {
        let role = package.name.strip_prefix("align-");
        assert!(role.is_some(), "{} is not called align-<role>", package.name);
        assert!(
            !["core", "common", "utils", "util", "helpers", "misc"].contains(&role.unwrap_or_default()),
            "{} says nothing about its role",
            package.name
        );
    }
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    for package in packages() {
        let manifest = fs::read_to_string(&package.manifest_path).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{} has lints of its own", package.name);
    }
}

#[test]
fn a_main_is_at_most_100_lines() {
    for (file, text) in sources("bins") {
        if file.ends_with("/src/main.rs") {
            assert!(text.lines().count() <= 100, "{file}: {} lines", text.lines().count());
        }
    }
}

#[test]
fn no_source_file_is_above_500_lines() {
    for (file, text) in sources("crates").into_iter().chain(sources("bins")) {
        assert!(text.lines().count() <= 500, "{file}: {} lines", text.lines().count());
    }
}

#[test]
fn unsafe_stands_only_where_it_may() {
    let allowing: Vec<String> = sources("crates")
        .into_iter()
        .chain(sources("bins"))
        .filter(|(_, text)| text.contains("(unsafe_code"))
        .map(|(file, _)| file)
        .collect();
    for file in &allowing {
        let place = UNSAFE.iter().find(|(folder, _)| file.starts_with(folder));
        let Some((folder, most)) = place else { panic!("{file} allows unsafe code") };
        let files = allowing.iter().filter(|other| other.starts_with(folder)).count();
        assert!(files <= *most, "{files} files of {folder} allow unsafe code, expected at most {most}");
    }
    // Without an exception rustc refuses it: the workspace denies unsafe code, and every crate takes its lints.
    let manifest = fs::read_to_string(Path::new(ROOT).join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"deny\""), "the workspace no longer denies unsafe code");
}
