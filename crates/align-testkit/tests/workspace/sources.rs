//! Rules for files: their length, and what may stand in which.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::ROOT;
use crate::code::{code, uses, words};

/// Where `unsafe` may stand: the kernels, and single files elsewhere.
const UNSAFE: [&str; 2] = ["crates/align-kernels/src/", "crates/align-hub/src/policy.rs"];

/// Every `.rs` file of a member of `folder`, in its `src` and `tests`, with its path from the root.
fn sources(folder: &str, parts: &[&str]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for member in fs::read_dir(Path::new(ROOT).join(folder)).unwrap() {
        let member = member.unwrap().path();
        for source in parts.iter().map(|part| member.join(part)).filter(|source| source.is_dir()) {
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

fn shipped() -> impl Iterator<Item = (String, String)> {
    sources("crates", &["src"]).into_iter().chain(sources("bins", &["src"]))
}

/// What of the standard library does input or output here, whichever way it is written.
fn does_io(text: &str) -> Option<String> {
    let code = code(text);
    let tight: String = code.split_whitespace().collect();
    ["std::fs", "std::net", "std::process", "std::io"].into_iter().map(str::to_owned).find(|module| {
        let is_module = |path: &String| path == module || path.starts_with(&format!("{module}::"));
        tight.contains(&format!("{module}::")) || uses(&code).iter().any(is_module)
    })
}

/// Unsafe code, or a lint that is told to allow it: in code, `unsafe` is a keyword and `unsafe_code` that lint.
fn is_unsafe(text: &str) -> bool {
    words(&code(text)).any(|word| word == "unsafe" || word == "unsafe_code")
}

#[test]
fn kernels_do_no_input_or_output() {
    let kernels =
        sources("crates", &["src"]).into_iter().filter(|(file, _)| file.starts_with("crates/align-kernels/"));
    for (file, text) in kernels {
        assert_eq!(does_io(&text), None, "{file}");
    }
    assert_eq!(does_io("use std::{fmt, fs};").as_deref(), Some("std::fs"));
    assert_eq!(does_io("fn a() { std::\n    io::stdin() }").as_deref(), Some("std::io"));
    assert_eq!(does_io("use std::fmt; // std::fs::read\nfn a() { \"std::io::stdin\" }"), None);
}

#[test]
fn a_main_is_at_most_100_lines() {
    for (file, text) in sources("bins", &["src"]) {
        if file.ends_with("/src/main.rs") {
            assert!(text.lines().count() <= 100, "{file}: {} lines", text.lines().count());
        }
    }
}

#[test]
fn no_source_file_is_above_350_lines() {
    let parts = ["src"];
    for (file, text) in sources("crates", &parts).into_iter().chain(sources("bins", &parts)) {
        assert!(text.lines().count() <= 350, "{file}: {} lines", text.lines().count());
    }
}

#[test]
fn unsafe_stands_only_where_it_may() {
    let found: Vec<String> = shipped().filter(|(_, text)| is_unsafe(text)).map(|(file, _)| file).collect();
    for file in &found {
        assert!(UNSAFE.iter().any(|place| file.starts_with(place)), "{file} has unsafe code");
    }
    for place in UNSAFE {
        assert!(
            found.iter().any(|file| file.starts_with(place)),
            "{place} has no unsafe code: take it off the list"
        );
    }
    // Without an exception rustc refuses it: the workspace denies unsafe code, and every crate takes its lints.
    let manifest = fs::read_to_string(Path::new(ROOT).join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"deny\""), "the workspace no longer denies unsafe code");
}

#[test]
fn unsafe_code_is_seen_however_it_is_written() {
    for text in [
        "#[expect(\n    unsafe_code,\n    reason = \"a\"\n)]\nfn a() {}",
        "#![allow(unsafe_code)]",
        "fn a() { unsafe { b() } }",
        "pub(crate) unsafe\nfn a() {}",
        "unsafe impl Send for A {}",
    ] {
        assert!(is_unsafe(text), "{text}");
    }
    assert!(!is_unsafe("// unsafe { }\nfn a() -> &'static str { \"unsafe { }\" }\nlet not_unsafe = 1;"));
}
