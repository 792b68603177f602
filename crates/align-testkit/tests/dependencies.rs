//! Where dependencies come from and under which licence, by the rules of `deny.toml`: what `just deny` checks too, here with
//! neither cargo-deny nor a network, so that a dependency that breaks a rule fails the tests of whoever adds it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use spdx::{Expression, ParseMode};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

#[derive(Deserialize)]
struct Rules {
    licenses: Licences,
    sources: Sources,
}

#[derive(Deserialize)]
struct Licences {
    allow: BTreeSet<String>,
    exceptions: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    allow: BTreeSet<String>,
    #[serde(rename = "crate")]
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

/// A package of `Cargo.lock`; one of the workspace has no source.
#[derive(Deserialize)]
struct Locked {
    name: String,
    source: Option<String>,
    checksum: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
}

fn toml<T: DeserializeOwned>(file: &str) -> T {
    toml::from_str(&std::fs::read_to_string(format!("{ROOT}/{file}")).unwrap()).unwrap()
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(ROOT).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The packages that this machine builds: for others some need not have been fetched.
fn metadata() -> Metadata {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = output(&rustc, &["--version", "--verbose"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let arguments = ["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", host];
    serde_json::from_str(&output(env!("CARGO"), &arguments)).unwrap()
}

#[test]
fn every_licence_is_one_that_is_allowed() {
    let rules = toml::<Rules>("deny.toml").licenses;
    let exceptions: BTreeMap<_, _> =
        rules.exceptions.iter().map(|exception| (exception.name.as_str(), &exception.allow)).collect();
    let packages = metadata().packages;
    assert!(packages.len() > 200, "cargo metadata was not understood: {} packages", packages.len());
    let mut refused = Vec::new();
    for Package { name, version, license, .. } in &packages {
        let own = exceptions.get(name.as_str());
        let allowed =
            |licence: &str| rules.allow.contains(licence) || own.is_some_and(|own| own.contains(licence));
        let expression = license.as_deref().map(|text| Expression::parse_mode(text, ParseMode::LAX));
        let fits = match &expression {
            Some(Ok(expression)) => expression.evaluate(|licence| allowed(&licence.to_string())),
            Some(Err(_)) | None => false,
        };
        if !fits {
            refused.push(format!("{name} {version}: {}", license.as_deref().unwrap_or("no licence")));
        }
    }
    assert_eq!(refused, [""; 0], "see deny.toml");
}

#[test]
fn every_dependency_is_of_crates_io_and_has_a_checksum() {
    let allowed: BTreeSet<_> = toml::<Rules>("deny.toml")
        .sources
        .allow_registry
        .iter()
        .map(|url| format!("registry+{url}"))
        .collect();
    assert_eq!(allowed.len(), 1, "{allowed:?}");
    let Metadata { packages, workspace_members } = metadata();
    let own: BTreeSet<_> =
        packages.iter().filter(|package| workspace_members.contains(&package.id)).map(|p| &p.name).collect();
    let (mut theirs, mut wrong) = (0, Vec::new());
    for Locked { name, source, checksum } in &toml::<Lock>("Cargo.lock").package {
        match (source, checksum) {
            (None, None) if own.contains(name) => {}
            (Some(source), Some(_)) if allowed.contains(source) => theirs += 1,
            other => wrong.push(format!("{name}: {other:?}")),
        }
    }
    assert_eq!(wrong, [""; 0]);
    assert!(theirs > 200, "Cargo.lock was not understood: {theirs} dependencies");
}
