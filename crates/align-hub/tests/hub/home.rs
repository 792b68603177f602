//! A home that nothing but the cache in it may change, and the model that hubs of the tests have.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::server::{Repo, Server};
use align_hub::Hub;

pub(super) const MODEL: &str = "org/tiny";
pub(super) const WEIGHTS: &str = "weights weights weights";

/// A home with a cache in it, and a file that is nobody's business.
pub(super) struct Home {
    pub(super) dir: tempfile::TempDir,
}

impl Home {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("cache")).unwrap();
        fs::write(dir.path().join("bashrc"), "mine").unwrap();
        Self { dir }
    }

    pub(super) fn hub(&self, endpoint: &str) -> Hub {
        Hub {
            cache: self.dir.path().join("cache"),
            endpoint: endpoint.to_owned(),
            token: Some("hf_secret".into()),
            certificates: None,
            timeout: Duration::from_secs(10),
            offline: false,
            progress: false,
        }
    }

    pub(super) fn repository(&self) -> PathBuf {
        self.dir.path().join("cache/models--org--tiny")
    }

    /// Beside the cache nothing has changed.
    pub(super) fn check(&self) {
        let mut names: Vec<_> =
            fs::read_dir(self.dir.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["bashrc", "cache"]);
        assert_eq!(fs::read_to_string(self.dir.path().join("bashrc")).unwrap(), "mine");
    }

    /// What is said of the model that the server has, of which nothing is there afterwards.
    pub(super) fn refused(&self, repo: Repo) -> String {
        let server = Server::start(vec![repo]);
        let error = self.hub(&server.endpoint).model(MODEL, "main").unwrap_err().to_string();
        assert!(!error.contains("hf_secret"), "{error}");
        self.check();
        error
    }
}

pub(super) fn model() -> Repo {
    Repo::new("models", MODEL).file("config.json", "{}").redirected("model.safetensors", WEIGHTS)
}

pub(super) fn indexed(index: &'static str) -> Repo {
    Repo::new("models", MODEL).file("config.json", "{}").file("model.safetensors.index.json", index)
}

pub(super) fn contains(error: &str, part: &str) {
    assert!(error.contains(part), "`{part}` is missing in: {error}");
}

/// The files of these names below a folder.
pub(super) fn found(folder: &Path, part: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            let is_it = path.file_name().unwrap().to_str().unwrap().contains(part);
            let below = if path.is_dir() { found(&path, part) } else { Vec::new() };
            below.into_iter().chain(is_it.then_some(path)).collect::<Vec<_>>()
        })
        .collect()
}
