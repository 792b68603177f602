//! Models and data sets by name: a path on disk, or an id on the Hugging Face hub.
//!
//! The cache has the layout of Python's `huggingface_hub`, and both can use one cache at the same time. What a server or a
//! repository says is not trusted: names are checked before they become paths, sizes and hashes before a file gets its
//! name, the token goes to the hub itself only, and every wait ends. Files are never written anywhere but into the cache.

use std::path::{Path, PathBuf};
use std::time::Duration;

use align_data::{Dataset, TokenCache};

use crate::HubError;
use crate::name::is_commit;

/// Waits in seconds, as Python's library has them, and what can be set.
const TIMEOUT: u64 = 10;
const TIMEOUTS: std::ops::RangeInclusive<u64> = 1..=3600;
/// The longest file of a token that is read, in bytes.
const LONGEST_TOKEN: u64 = 10_000;

/// The hub: models and data sets by name. [`Hub::from_env`] in programs; tests and embedders fill the fields.
#[derive(Clone)]
pub struct Hub {
    /// Cache directory, which holds `models--org--name` and the like.
    pub cache: PathBuf,
    /// Address of the hub, without a slash at the end.
    pub endpoint: String,
    /// Access token for private and gated repositories.
    pub token: Option<String>,
    /// PEM file with the authorities whose certificates are trusted, in the place of Mozilla's: a company's proxy may
    /// have one of its own.
    pub certificates: Option<PathBuf>,
    /// Longest wait for the next byte; for a connection at most half of it.
    pub timeout: Duration,
    /// Use the cache only.
    pub offline: bool,
    /// Show a progress bar for each download.
    pub progress: bool,
}

impl Hub {
    /// A hub as the environment has it, by the rules of Python's `huggingface_hub`: `HF_HUB_CACHE`, else
    /// `HF_HOME/hub`, else `$XDG_CACHE_HOME/huggingface/hub`, else `~/.cache/huggingface/hub`; `HF_TOKEN`, else the
    /// file `HF_TOKEN_PATH` or `HF_HOME/token`; `HF_ENDPOINT`; `HF_HUB_OFFLINE=1` (or `TRANSFORMERS_OFFLINE=1`);
    /// `REQUESTS_CA_BUNDLE`, else `CURL_CA_BUNDLE`, else `SSL_CERT_FILE`; `HF_HUB_DOWNLOAD_TIMEOUT`, in seconds
    /// from 1 to 3600.
    pub fn from_env() -> Self {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// A hub as [`Self::from_env`], with the environment as a function.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let user_home = || variable("HOME").or_else(|| variable("USERPROFILE")).unwrap_or_default();
        let home = home(variable, user_home);
        let cache = variable("HF_HUB_CACHE").or_else(|| variable("HUGGINGFACE_HUB_CACHE"));
        let token_file = variable("HF_TOKEN_PATH")
            .map_or_else(|| home.join("token"), |path| expanded(&path, &user_home()));
        let saved = || align_files::read_to_string(&token_file, LONGEST_TOKEN).ok();
        let token = variable("HF_TOKEN").or_else(saved).map(|token| token.trim().to_owned());
        let is_on = |name| {
            variable(name).is_some_and(|value| {
                ["1", "true", "yes", "on"].contains(&value.trim().to_ascii_lowercase().as_str())
            })
        };
        let certificates =
            ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"].into_iter().find_map(variable);
        let timeout = variable("HF_HUB_DOWNLOAD_TIMEOUT").and_then(|seconds| seconds.trim().parse().ok());
        Self {
            cache: cache.map_or_else(|| home.join("hub"), |cache| expanded(&cache, &user_home())),
            endpoint: variable("HF_ENDPOINT").map_or("https://huggingface.co".into(), |endpoint| {
                endpoint.trim_end_matches('/').to_owned()
            }),
            token: token.filter(|token| !token.is_empty()),
            certificates: certificates.map(PathBuf::from),
            timeout: Duration::from_secs(timeout.filter(|it| TIMEOUTS.contains(it)).unwrap_or(TIMEOUT)),
            offline: is_on("HF_HUB_OFFLINE") || is_on("TRANSFORMERS_OFFLINE"),
            progress: true,
        }
    }

    /// A model as a directory with `config.json`, safetensors and tokenizer files.
    ///
    /// `name` is a directory, or a hub id (`org/name`), of which `revision` (a branch, tag or commit;
    /// usually `main`) is fetched unless it is in the cache. `org/name@revision` names it in one word and
    /// wins. `revision` concerns the hub only.
    ///
    /// # Errors
    /// See [`HubError`].
    pub fn model(&self, name: &str, revision: &str) -> Result<PathBuf, HubError> {
        crate::model::resolve(self, name, revision)
    }

    /// A data set as a path: a file, a directory, a pattern or `-` as it is, or all splits of a hub data set.
    ///
    /// A hub name is `org/name`, `org/name/folder` or `org/name/folder/file.jsonl`, optionally with `@revision` at its end.
    /// Of a repository the default config's files are fetched, as [`Layout`](align_data::Layout) finds them, of a folder
    /// those in it. A single file is returned as the file, several as the directory, in which the splits are found again.
    /// Where the repository has no files that are read, those that the hub made of them (`refs/convert/parquet`) are.
    ///
    /// # Errors
    /// See [`HubError`].
    pub fn dataset(&self, name: &str) -> Result<PathBuf, HubError> {
        crate::dataset::resolve(self, name)
    }

    /// A split of a data set in one of its configs (none is the default): only its files are fetched, and those of the split
    /// `optional` if there is such. Either may be a part of a split, as in `train[:10%]`.
    ///
    /// # Errors
    /// See [`HubError`]; configs and splits that do not exist, with the names of those that do.
    pub fn dataset_split(
        &self,
        name: &str,
        config: Option<&str>,
        split: &str,
        optional: Option<&str>,
    ) -> Result<Dataset, HubError> {
        crate::dataset::resolve_split(self, name, config, split, optional)
    }

    /// The commit of a path that [`Self::model`] or [`Self::dataset`] gave, as 40 hexadecimal digits; none for a path that
    /// is not of the hub.
    ///
    /// A branch moves. What a run depends on is noted by this, not by the name of the branch.
    pub fn commit(&self, path: &Path) -> Option<String> {
        let mut parts = path.strip_prefix(&self.cache).ok()?.iter().map(|part| part.to_str());
        let (_repository, snapshots, commit) = (parts.next()?, parts.next()??, parts.next()??);
        (snapshots == "snapshots" && is_commit(commit)).then(|| commit.to_owned())
    }
}

/// The cache of token ids, by the rules of Python's `datasets`: in `HF_DATASETS_CACHE`, else `HF_HOME/datasets`, else
/// `$XDG_CACHE_HOME/huggingface/datasets`, else `~/.cache/huggingface/datasets`, the folder `candle-align`. Up to
/// `HF_DATASETS_IN_MEMORY_MAX_SIZE` bytes stay in memory.
///
/// # Errors
/// A size that is no number.
pub fn token_cache_from_env() -> Result<TokenCache, HubError> {
    token_cache(|name| std::env::var(name).ok())
}

fn token_cache(variable: impl Fn(&str) -> Option<String>) -> Result<TokenCache, HubError> {
    let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
    let user_home = || variable("HOME").or_else(|| variable("USERPROFILE")).unwrap_or_default();
    let named = variable("HF_DATASETS_CACHE").map(|dir| expanded(&dir, &user_home()));
    let dir = named.unwrap_or_else(|| home(variable, user_home).join("datasets")).join("candle-align");
    let size = "HF_DATASETS_IN_MEMORY_MAX_SIZE";
    let in_memory = match variable(size) {
        None => TokenCache::default().in_memory,
        Some(value) => value.trim().parse().map_err(|_| HubError::Setting {
            variable: size,
            problem: "expected a number of bytes".to_owned(),
        })?,
    };
    Ok(TokenCache { dir: Some(dir), in_memory })
}

/// The directory that all caches are in.
fn home(variable: impl Fn(&str) -> Option<String>, user_home: impl Fn() -> String) -> PathBuf {
    let caches = variable("XDG_CACHE_HOME").map(PathBuf::from);
    variable("HF_HOME").map(|home| expanded(&home, &user_home())).unwrap_or_else(|| {
        caches.unwrap_or_else(|| Path::new(&user_home()).join(".cache")).join("huggingface")
    })
}

impl std::fmt::Debug for Hub {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cache, endpoint, token, certificates, timeout, offline, progress } = self;
        f.debug_struct("Hub")
            .field("cache", cache)
            .field("endpoint", endpoint)
            .field("token", &token.as_ref().map(|_| "…"))
            .field("certificates", certificates)
            .field("timeout", timeout)
            .field("offline", offline)
            .field("progress", progress)
            .finish()
    }
}

fn expanded(path: &str, home: &str) -> PathBuf {
    match path.strip_prefix("~/") {
        Some(rest) => Path::new(home).join(rest),
        None => PathBuf::from(path),
    }
}
