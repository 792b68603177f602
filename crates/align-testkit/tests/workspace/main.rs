//! The workspace's own rules, over `cargo metadata` and the files: which crate may know which, how long a file
//! may be, where `unsafe` may stand. The reasons are in `docs/architecture.md`; a new edge or crate is a change
//! there first, and then a line in the tables here.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod code;
mod page;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Below the layers: files and locks, limits, how an option is written. The mathematics does no input or output and may not know them.
/// Each may know those before it.
const FOUNDATIONS: [&str; 5] = ["align-files", "align-limits", "align-options", "align-text", "align-gguf"];
const WITHOUT_FOUNDATIONS: [&str; 2] = ["align-losses", "align-kernels"];
/// Data flows upwards; a crate may know those of a lower layer only.
const LAYERS: [(&str, u8); 21] = [
    ("align-losses", 0),
    ("align-kernels", 0),
    ("align-stats", 0),
    ("align-report", 0),
    ("align-data", 0),
    ("align-world", 0),
    ("align-http", 0),
    ("align-train", 1),
    ("align-models", 1),
    ("align-hub", 1),
    ("align-encoders", 1),
    ("align-stage", 2),
    ("align-sft", 3),
    ("align-generate", 3),
    ("align-export", 3),
    ("align-reward", 3),
    ("align-dpo", 3),
    ("align-ppo", 4),
    ("align-world-judge", 4),
    ("align-eval", 4),
    (DOOR, 5),
];
/// Above them all: the one crate that a library user adds.
const DOOR: &str = "candle-align";
/// Beside the layers: what all binaries share, the programs themselves, and what tests share.
const CLI: &str = "align-cli";
const PROGRAMS: &str = "align-programs";
const FOR_TESTS: [&str; 2] = ["align-testkit", "align-hostile"];
/// A method each. align-reward is one too, and the only one that others (PPO, evaluation) build on.
const STAGES: [&str; 4] = ["align-sft", "align-reward", "align-dpo", "align-ppo"];
const SHARED_STAGE: &str = "align-reward";

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
    optional: bool,
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

/// Inputs that nobody wrote: it may know everything that reads.
const FUZZ: &str = "align-fuzz";

fn libraries() -> Vec<Package> {
    packages().into_iter().filter(|package| !package.is_binary() && package.name != FUZZ).collect()
}

fn package(name: &str) -> Package {
    packages().into_iter().find(|package| package.name == name).unwrap_or_else(|| panic!("no crate {name}"))
}

#[test]
fn losses_stand_on_candle_core_alone() {
    let losses = package("align-losses");
    let shipped: Vec<_> = losses.shipped().map(|dependency| dependency.name.as_str()).collect();
    assert_eq!(shipped, ["candle-core"]);
}

#[test]
fn kernels_know_no_crate_of_the_workspace() {
    assert_eq!(package("align-kernels").parts().collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn foundations_stand_below_all_but_the_mathematics() {
    for (number, foundation) in FOUNDATIONS.into_iter().enumerate() {
        let parts: Vec<String> = package(foundation).parts().map(str::to_owned).collect();
        assert!(
            parts.iter().all(|part| FOUNDATIONS[..number].contains(&part.as_str())),
            "{foundation} → {parts:?}"
        );
        for name in WITHOUT_FOUNDATIONS {
            assert!(package(name).parts().all(|part| part != foundation), "{name} → {foundation}");
        }
    }
}

#[test]
fn layers_only_point_down() {
    let layers = BTreeMap::from(LAYERS);
    let mut wrong = Vec::new();
    for package in libraries() {
        let from = package.name.as_str();
        let mut parts = package.parts().filter(|part| !FOUNDATIONS.contains(part));
        if FOUNDATIONS.contains(&from) || FOR_TESTS.contains(&from) {
            wrong.extend(parts.map(|to| format!("{from} → {to}: it stands apart from the layers")));
            continue;
        }
        if from == PROGRAMS {
            continue;
        }
        if from == CLI {
            let methods = parts.filter(|part| STAGES.contains(part));
            wrong.extend(methods.map(|to| format!("{from} → {to}: it is the same for all methods")));
            continue;
        }
        let Some(own) = layers.get(from) else {
            wrong.push(format!("{from} has no layer: add it to docs/architecture.md and to this test"));
            continue;
        };
        let upwards = parts.by_ref().filter(|to| layers.get(to).is_none_or(|layer| layer >= own));
        wrong.extend(upwards.map(|to| format!("{from} → {to}")));
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn training_knows_no_model_and_no_data() {
    let train = package("align-train");
    let parts: BTreeSet<_> = train.parts().filter(|part| !FOUNDATIONS.contains(part)).collect();
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
fn a_command_line_is_for_programs() {
    for package in libraries().iter().filter(|package| ![CLI, PROGRAMS].contains(&package.name.as_str())) {
        let carried = |dependency: &&Dependency| {
            (dependency.name == "clap" && !dependency.optional) || dependency.name == "anyhow"
        };
        if !FOR_TESTS.contains(&package.name.as_str()) {
            let carried: Vec<_> = package.shipped().filter(carried).map(|it| &it.name).collect();
            assert!(carried.is_empty(), "{} carries {carried:?}", package.name);
        }
    }
}

#[test]
fn the_door_brings_no_command_line() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "-p", DOOR, "-e", "normal,no-proc-macro", "--prefix", "none", "--offline"])
        .current_dir(ROOT)
        .output()
        .unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && tree.starts_with(DOOR), "{}", String::from_utf8_lossy(&output.stderr));
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    let carried: BTreeSet<_> =
        names.filter(|name| name.starts_with("clap") || ["anyhow", CLI].contains(name)).collect();
    assert_eq!(carried, BTreeSet::new());
}

/// Programs that build one after the other share what they are made of only if they ask for the same features of it.
#[test]
fn programs_share_what_they_are_built_from() {
    let features = |program: &str| {
        let output = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--offline",
                "--locked",
                "-e",
                "normal,build",
                "--prefix",
                "none",
                "-f",
                "{p} [{f}]",
            ])
            .args(["-p", program])
            .current_dir(ROOT)
            .output()
            .expect("cargo runs");
        let tree = String::from_utf8(output.stdout).expect("text");
        let ours = |line: &str| line.contains(" (/") || line.contains(":\\");
        let lines = tree.lines().map(|line| line.trim_end_matches(" (*)").trim_end_matches(" (proc-macro)"));
        let of =
            |line: &str| Some(line.split_once(" [")?).map(|(name, all)| (name.to_owned(), all.to_owned()));
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, all) in lines.filter(|line| !ours(line)).filter_map(of) {
            found.entry(name).or_default().insert(all);
        }
        assert!(found.len() > 100, "{program}: {}", String::from_utf8_lossy(&output.stderr));
        found
    };
    let programs = packages().into_iter().filter(Package::is_binary).map(|package| package.name);
    let programs: Vec<String> = programs.filter(|name| name != "make-fixtures").collect();
    let first = features("train-dpo");
    for program in programs {
        for (name, found) in features(&program) {
            if let Some(expected) = first.get(&name) {
                assert_eq!(&found, expected, "{program} has other features of {name} than train-dpo");
            }
        }
    }
}

#[test]
fn models_of_candle_are_one_crates_and_optional() {
    const ENCODERS: &str = "align-encoders";
    for package in packages().iter().filter(|package| ![ENCODERS, FUZZ].contains(&package.name.as_str())) {
        for dependency in package.shipped() {
            let name = dependency.name.as_str();
            assert!(!["candle-transformers", "candle-nn"].contains(&name), "{} → {name}", package.name);
            assert!(
                name != ENCODERS || dependency.optional,
                "{} → {name} is not behind a feature",
                package.name
            );
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
fn what_is_for_tests_is_not_shipped() {
    for package in packages() {
        for part in package.parts() {
            assert!(!FOR_TESTS.contains(&part), "{} ships {part}", package.name);
        }
    }
}

#[test]
fn crates_are_named_for_what_they_do() {
    for package in libraries().iter().filter(|package| package.name != DOOR) {
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
