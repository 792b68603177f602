//! The hub by a small server on this machine that answers its endpoints as the real one does.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod datasets;
mod home;
mod hostile;
mod server;
mod transfers;

use std::path::{Path, PathBuf};
use std::time::Duration;

use align_hub::Hub;
use server::{Repo, Server};

const MODEL: &str = "org/tiny";

fn hub(server: &Server, cache: &Path) -> Hub {
    Hub {
        cache: cache.to_owned(),
        endpoint: server.endpoint.clone(),
        token: None,
        certificates: None,
        timeout: Duration::from_secs(10),
        offline: false,
        progress: false,
    }
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn single() -> Repo {
    Repo::new("models", MODEL)
        .file("config.json", "{}")
        .file("tokenizer.json", "{\"t\": 1}")
        .file("README.md", "not needed")
        .file("pytorch_model.bin", "not needed")
        .redirected("model.safetensors", "weights weights weights")
}

fn sharded() -> Repo {
    let index = r#"{"weight_map": {"a": "model-00001-of-00002.safetensors",
                    "b": "model-00002-of-00002.safetensors", "c": "model-00001-of-00002.safetensors"}}"#;
    Repo::new("models", MODEL)
        .file("config.json", "{}")
        .file("model.safetensors.index.json", index)
        .file("model-00001-of-00002.safetensors", "one")
        .file("model-00002-of-00002.safetensors", "two")
        .file("consolidated.safetensors", "not needed")
}

#[test]
fn a_model_is_a_directory_with_what_is_needed() {
    let (server, cache) = (Server::start(vec![single()]), tempfile::tempdir().unwrap());
    let hub = hub(&server, cache.path());
    let directory = hub.model(MODEL, "main").unwrap();
    assert_eq!(names(&directory), ["config.json", "model.safetensors", "tokenizer.json"]);
    let weights = std::fs::read_to_string(directory.join("model.safetensors")).unwrap();
    assert_eq!(weights, "weights weights weights");
    assert!(directory.starts_with(cache.path().join("models--org--tiny/snapshots")), "{directory:?}");

    server.forget_requests();
    assert_eq!(hub.model(MODEL, "main").unwrap(), directory);
    assert_eq!(server.requests(), ["/api/models/org/tiny/revision/main?blobs=true"], "fetched again");
}

#[test]
fn a_gguf_file_is_named_with_its_repository() {
    let repo = Repo::new("models", MODEL)
        .file("README.md", "not needed")
        .file("tiny-Q4_K_M.gguf", "four bits")
        .file("big/tiny-00001-of-00002.gguf", "one")
        .file("big/tiny-00002-of-00002.gguf", "two")
        .file("big/tiny-0000x-of-00002.gguf", "not needed");
    let (server, cache) = (Server::start(vec![repo]), tempfile::tempdir().unwrap());
    let hub = hub(&server, cache.path());
    let file = hub.model("org/tiny/tiny-Q4_K_M.gguf", "main").unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "four bits");
    assert_eq!(names(file.parent().unwrap()), ["tiny-Q4_K_M.gguf"]);
    let first = hub.model("org/tiny/big/tiny-00001-of-00002.gguf@main", "other").unwrap();
    assert_eq!(names(first.parent().unwrap()), ["tiny-00001-of-00002.gguf", "tiny-00002-of-00002.gguf"]);
    for wrong in ["org/tiny/no.gguf", "org/tiny"] {
        let error = hub.model(wrong, "main").unwrap_err().to_string();
        assert!(
            error.contains("4 GGUF files: name one, such as org/tiny/big/tiny-00001-of-00002.gguf"),
            "{error}"
        );
    }
    assert!(hub.model("org/tiny/../x.gguf", "main").unwrap_err().to_string().contains("not a hub id"));
}

#[test]
fn a_gguf_file_on_disk_is_a_model() {
    let (server, dir) = (Server::start(vec![]), tempfile::tempdir().unwrap());
    let hub = hub(&server, &dir.path().join("cache"));
    let model = |path: &Path| hub.model(path.to_str().unwrap(), "main");
    let file = dir.path().join("a.gguf");
    std::fs::write(&file, "").unwrap();
    assert_eq!((model(&file).unwrap(), model(dir.path()).unwrap()), (file.clone(), file));
    std::fs::write(dir.path().join("b.GGUF"), "").unwrap();
    assert!(model(dir.path()).unwrap_err().to_string().contains("2 GGUF files in this directory; name one"));
}

#[test]
fn the_commit_of_what_was_fetched_is_known_and_a_branch_is_not_taken_for_one() {
    let data = Repo::new("datasets", "org/pairs").file("a/train.jsonl", "{}");
    let (server, cache) = (Server::start(vec![single(), data]), tempfile::tempdir().unwrap());
    let online = hub(&server, cache.path());
    let model = online.model(MODEL, "main").unwrap();
    let commit = online.commit(&model).unwrap();
    assert_eq!(commit, model.file_name().unwrap().to_str().unwrap());
    assert_eq!(online.commit(&online.dataset("org/pairs/a").unwrap()).as_deref(), Some(commit.as_str()));
    let offline = Hub { offline: true, ..online };
    assert_eq!(offline.commit(&offline.model(MODEL, "main").unwrap()), Some(commit));
    for other in ["models--org--tiny/snapshots/main", "models--org--tiny", "", "a/b/c"] {
        assert_eq!(offline.commit(&cache.path().join(other)), None, "{other}");
    }
    assert_eq!(offline.commit(Path::new("my-model")), None);
}

#[test]
fn shards_are_those_of_the_index() {
    let (server, cache) = (Server::start(vec![sharded()]), tempfile::tempdir().unwrap());
    let directory = hub(&server, cache.path()).model(MODEL, "main").unwrap();
    let expected = [
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ];
    assert_eq!(names(&directory), expected);
}

#[test]
fn a_revision_is_asked_for_by_name() {
    let server = Server::start(vec![single().revision("v1/rc"), single().file("merges.txt", "m")]);
    let cache = tempfile::tempdir().unwrap();
    let hub = hub(&server, cache.path());
    let (old, new) = (hub.model(MODEL, "v1/rc").unwrap(), hub.model(MODEL, "main").unwrap());
    assert_ne!(old, new);
    assert_eq!(hub.model("org/tiny@v1/rc", "main").unwrap(), old);
    assert!(!old.join("merges.txt").exists() && new.join("merges.txt").exists());
}

#[test]
fn the_token_is_sent_and_only_if_there_is_one() {
    let (server, cache) = (Server::start(vec![single()]), tempfile::tempdir().unwrap());
    let with = Hub { token: Some("secret".into()), ..hub(&server, &cache.path().join("a")) };
    with.model(MODEL, "main").unwrap();
    assert!(server.tokens().iter().all(|token| token.as_deref() == Some("Bearer secret")));
    server.forget_requests();
    hub(&server, &cache.path().join("b")).model(MODEL, "main").unwrap();
    assert!(server.tokens().iter().all(Option::is_none));
}

#[test]
fn what_cannot_be_had_says_why_and_what_to_do() {
    let cache = tempfile::tempdir().unwrap();
    let check = |repo: Repo, token: Option<&str>, parts: &[&str]| {
        let server = Server::start(vec![repo]);
        let hub = Hub { token: token.map(Into::into), ..hub(&server, cache.path()) };
        let error = hub.model(MODEL, "main").unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "`{part}` is missing in: {error}");
        }
    };
    let other = || Repo::new("models", "org/other");
    check(other(), Some("t"), &["model `org/tiny`: no such path on disk", "no model of this name", "`main`"]);
    check(single().listing_status(401), None, &["no such path on disk", "HF_TOKEN"]);
    check(single().listing_status(401), Some("t"), &["refuses access (401)", "HF_TOKEN"]);
    check(single().file_status(403), Some("t"), &["refuses access (403)", "/org/tiny if it is gated"]);
    check(single().listing_status(500), None, &["no list of files from http://127.0.0.1", "status 500"]);
    let pickled = Repo::new("models", MODEL).file("config.json", "{}").file("pytorch_model.bin", "x");
    check(pickled, None, &["neither model.safetensors nor", "safetensors"]);
    let empty = Repo::new("models", MODEL).file("README.md", "x");
    check(empty, None, &["no config.json"]);
}

#[test]
fn a_file_that_came_short_is_an_error_and_not_kept() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(vec![single().sends("tokenizer.json", "{\"t\": 1")]);
    let error = hub(&server, cache.path()).model(MODEL, "main").unwrap_err().to_string();
    assert!(error.contains("`tokenizer.json` from http://127.0.0.1"), "{error}");
    assert!(error.contains("expected 8 bytes, the server sends 7; try again"), "{error}");
    let server = Server::start(vec![single()]);
    let directory = hub(&server, cache.path()).model(MODEL, "main").unwrap();
    assert_eq!(std::fs::read_to_string(directory.join("tokenizer.json")).unwrap(), "{\"t\": 1}");
}

#[test]
fn offline_the_cache_is_all_there_is() {
    let (server, cache) = (Server::start(vec![sharded()]), tempfile::tempdir().unwrap());
    let online = hub(&server, cache.path());
    let offline = Hub { offline: true, ..online.clone() };
    let error = offline.model(MODEL, "main").unwrap_err().to_string();
    assert!(error.contains("HF_HUB_OFFLINE is set and revision `main` is not in the cache"), "{error}");
    let directory = online.model(MODEL, "main").unwrap();
    server.forget_requests();
    assert_eq!(offline.model(MODEL, "main").unwrap(), directory);
    // The commit is a revision too.
    let commit = directory.file_name().unwrap().to_str().unwrap();
    assert_eq!(offline.model(MODEL, commit).unwrap(), directory);
    std::fs::remove_file(directory.join("model-00002-of-00002.safetensors")).unwrap();
    let error = offline.model(MODEL, "main").unwrap_err().to_string();
    assert!(error.contains("`model-00002-of-00002.safetensors` is not in the cache"), "{error}");
    assert_eq!(server.requests(), Vec::<String>::new(), "offline means no requests");
}

#[test]
fn offline_a_cache_of_another_program_is_used() {
    let cache = tempfile::tempdir().unwrap();
    let repo = cache.path().join("models--org--tiny");
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let snapshot = repo.join("snapshots").join(commit);
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::create_dir_all(repo.join("refs")).unwrap();
    std::fs::write(repo.join("refs/main"), commit).unwrap();
    std::fs::write(snapshot.join("config.json"), "{}").unwrap();
    let hub = Hub {
        cache: cache.path().to_owned(),
        endpoint: "http://127.0.0.1:1".into(),
        token: None,
        certificates: None,
        timeout: Duration::from_secs(10),
        offline: true,
        progress: false,
    };
    let error = hub.model(MODEL, "main").unwrap_err().to_string();
    assert!(error.contains("model.safetensors is not in the cache"), "{error}");
    std::fs::write(snapshot.join("model.safetensors"), "w").unwrap();
    assert_eq!(hub.model(MODEL, "main").unwrap(), snapshot);
}

#[test]
fn without_a_connection_the_error_names_the_endpoint() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(vec![]);
    let unreachable = Hub { endpoint: "http://127.0.0.1:1".into(), ..hub(&server, cache.path()) };
    let error = unreachable.model(MODEL, "main").unwrap_err().to_string();
    assert!(
        error.contains("no such path on disk, and no list of files from http://127.0.0.1:1: "),
        "{error}"
    );
}

#[test]
fn what_is_on_disk_wins_and_asks_nobody() {
    let (server, dir) = (Server::start(vec![single()]), tempfile::tempdir().unwrap());
    let hub = hub(&server, &dir.path().join("cache"));
    let model = |path: &Path| hub.model(path.to_str().unwrap(), "main");
    let error = model(dir.path()).unwrap_err().to_string();
    assert!(error.ends_with("no config.json in this directory; expected a Hugging Face model directory"));
    std::fs::write(dir.path().join("config.json"), "{}").unwrap();
    assert_eq!(model(dir.path()).unwrap(), dir.path());
    assert!(
        model(&dir.path().join("config.json"))
            .unwrap_err()
            .to_string()
            .contains("a file; name the directory")
    );
    let error = model(&dir.path().join("absent")).unwrap_err().to_string();
    assert!(error.contains("no such file or directory, and not a hub id"), "{error}");
    assert!(hub.dataset("data/absent.jsonl").unwrap_err().to_string().contains("no such file or directory"));
    assert_eq!(hub.dataset(dir.path().to_str().unwrap()).unwrap(), dir.path());
    assert_eq!(server.requests(), Vec::<String>::new());
}

#[test]
fn the_environment_is_read_as_python_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), "saved\n").unwrap();
    let home = dir.path().to_str().unwrap();
    let check = |variables: &[(&str, &str)], expected: (&str, Option<&str>, bool)| {
        let hub = Hub::from_variables(|name| {
            variables.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned())
        });
        assert_eq!((hub.cache, hub.token.as_deref(), hub.offline), {
            let (cache, token, offline) = expected;
            (PathBuf::from(cache), token, offline)
        });
        hub.endpoint
    };
    let endpoint = check(&[("HOME", "/h")], ("/h/.cache/huggingface/hub", None, false));
    assert_eq!(endpoint, "https://huggingface.co");
    check(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")], ("/x/huggingface/hub", None, false));
    check(&[("HF_HOME", home)], (&format!("{home}/hub"), Some("saved"), false));
    check(&[("HF_HOME", home), ("HF_TOKEN", " t ")], (&format!("{home}/hub"), Some("t"), false));
    check(&[("HOME", "/h"), ("HF_HOME", "~/hf"), ("HF_HUB_CACHE", "/c")], ("/c", None, false));
    check(&[("HOME", "/h"), ("HF_HUB_OFFLINE", "1")], ("/h/.cache/huggingface/hub", None, true));
    check(&[("HOME", "/h"), ("HF_HUB_OFFLINE", "0")], ("/h/.cache/huggingface/hub", None, false));
    let endpoint =
        check(&[("HOME", "/h"), ("HF_ENDPOINT", "http://m/")], ("/h/.cache/huggingface/hub", None, false));
    assert_eq!(endpoint, "http://m");
    let of = |variables: &'static [(&str, &str)]| {
        Hub::from_variables(|name| {
            variables.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned())
        })
    };
    let hub = of(&[
        ("SSL_CERT_FILE", "/a.pem"),
        ("REQUESTS_CA_BUNDLE", "/b.pem"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "30"),
    ]);
    assert_eq!((hub.certificates, hub.timeout), (Some("/b.pem".into()), Duration::from_secs(30)));
    let hub = of(&[("SSL_CERT_FILE", "/a.pem"), ("HF_HUB_DOWNLOAD_TIMEOUT", "1e99")]);
    assert_eq!((hub.certificates, hub.timeout), (Some("/a.pem".into()), Duration::from_secs(10)));
}
