//! Data sets: what of them is fetched.

use align_hub::Hub;

use super::server::{Repo, Server};
use super::{hub, names};

#[test]
fn a_data_set_is_a_directory_of_its_files_or_one_file() {
    let repo = Repo::new("datasets", "org/pairs")
        .file("train.jsonl", "{}")
        .file("data/test.jsonl.gz", "z")
        .file("dataset_infos.json", "{}")
        .file("image.png", "p")
        .file("other/notes.json", "n")
        .file("other/more/notes.json", "n");
    let (server, cache) = (Server::start(vec![repo]), tempfile::tempdir().unwrap());
    let hub = hub(&server, cache.path());
    let snapshot = hub.dataset("org/pairs").unwrap();
    assert_eq!(names(&snapshot), ["data", "train.jsonl"]);
    assert_eq!(names(&snapshot.join("data")), ["test.jsonl.gz"]);
    assert_eq!(hub.dataset("org/pairs/other").unwrap(), snapshot.join("other"));
    assert_eq!(names(&snapshot.join("other")), ["more", "notes.json"]);
    let one = hub.dataset("org/pairs/other/more").unwrap();
    assert_eq!(one, snapshot.join("other/more/notes.json"));
    assert_eq!(
        hub.dataset("org/pairs/data/test.jsonl.gz@main").unwrap(),
        snapshot.join("data/test.jsonl.gz")
    );
}

const CARD: &str = "---\nconfigs:\n- config_name: main\n  data_files:\n  - split: train_prefs\n    path: data/train_prefs-*\n  \
                    - split: test\n    path: data/test-*\n- config_name: other\n  data_dir: other\n---\n# Data\n";

fn configs() -> Repo {
    Repo::new("datasets", "org/configs")
        .file("README.md", CARD)
        .file("data/train_prefs-00000-of-00001.parquet", "p")
        .file("data/test-00000-of-00001.parquet", "t")
        .file("other/train.jsonl", "{}")
        .file("other/eval.jsonl", "{}")
}

#[test]
fn of_a_config_only_the_files_of_the_split_are_fetched() {
    let (server, cache) = (Server::start(vec![configs()]), tempfile::tempdir().unwrap());
    let hub = hub(&server, cache.path());
    let split = |config, split, optional| hub.dataset_split("org/configs", config, split, optional);
    let dataset = split(Some("main"), "train_prefs[:10%]", Some("validation")).unwrap();
    assert_eq!(names(&dataset.path), ["README.md", "data"]);
    assert_eq!(names(&dataset.path.join("data")), ["train_prefs-00000-of-00001.parquet"]);
    assert_eq!(dataset.config.as_deref(), Some("main"));
    let other = split(Some("other"), "train", Some("test")).unwrap();
    assert_eq!(names(&other.path.join("other")), ["eval.jsonl", "train.jsonl"]);
    assert!(align_data::has_split(&other, "train") && align_data::has_split(&other, "test"));
    let error = |config, name| split(config, name, None).unwrap_err().to_string();
    assert!(error(None, "train").ends_with("named with --dataset-config; it has `main`, `other`"));
    assert!(error(Some("x"), "train").ends_with("no config `x`; it has `main`, `other`"));
    assert!(error(Some("main"), "train").ends_with("no split `train`; it has `train_prefs`, `test`"));
    let file = hub.dataset_split("org/configs/other/eval.jsonl", None, "train", None).unwrap();
    assert_eq!(file.path, other.path.join("other/eval.jsonl"));
}

#[test]
fn what_the_hub_converted_takes_the_place_of_what_cannot_be_read() {
    let main = Repo::new("datasets", "org/script").file("script.py", "print()").file("README.md", "# Data");
    let converted = Repo::new("datasets", "org/script")
        .revision("refs/convert/parquet")
        .file("en/train/0000.parquet", "p")
        .file("en/partial-test/0000.parquet", "p")
        .file("de/train/0000.parquet", "p");
    let (server, cache) = (Server::start(vec![main, converted]), tempfile::tempdir().unwrap());
    let hub = hub(&server, cache.path());
    let dataset = hub.dataset_split("org/script", Some("en"), "train", Some("test")).unwrap();
    assert_eq!(names(&dataset.path), ["partial-test", "train"]);
    assert!(dataset.path.ends_with("en") && dataset.config.is_none());
    assert!(align_data::has_split(&dataset, "test"));
    let error = hub.dataset_split("org/script", None, "train", None).unwrap_err().to_string();
    assert!(error.ends_with("it has `de`, `en`"), "{error}");
}

#[test]
fn offline_a_data_set_fetched_in_part_is_not_taken_for_the_whole() {
    let repo = Repo::new("datasets", "org/pairs").file("train.jsonl", "{}").file("test.jsonl", "{}");
    let (server, cache) = (Server::start(vec![repo]), tempfile::tempdir().unwrap());
    let online = hub(&server, cache.path());
    online.dataset("org/pairs/train.jsonl").unwrap();
    let offline = Hub { offline: true, ..online };
    assert!(offline.dataset("org/pairs/train.jsonl").is_ok());
    let error = offline.dataset("org/pairs").unwrap_err().to_string();
    assert!(error.contains("`test.jsonl` is not in the cache"), "{error}");
}

#[test]
fn a_data_set_without_files_that_are_read_says_so() {
    let folders = Repo::new("datasets", "org/hh").file("a/train.jsonl.gz", "z").file("b/train.jsonl.gz", "z");
    let images = Repo::new("datasets", "org/images").file("data/train.png", "p");
    let (server, cache) = (Server::start(vec![folders, images]), tempfile::tempdir().unwrap());
    let hub = hub(&server, cache.path());
    // As `load_dataset` does: all folders together, where none is named.
    assert_eq!(names(&hub.dataset("org/hh").unwrap()), ["a", "b"]);
    let error = hub.dataset("org/images").unwrap_err().to_string();
    assert!(error.contains("no split `train`; it has no data files (read are .parquet"), "{error}");
}
