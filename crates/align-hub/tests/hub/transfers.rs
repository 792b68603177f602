//! What is transferred: whole, what was listed, and once.

use std::fs;
use std::path::{Path, PathBuf};

use super::home::{Home, MODEL, WEIGHTS, contains, found, model};
use super::server::{Repo, Server};

#[test]
fn content_is_what_was_listed_or_nothing() {
    let home = Home::new();
    let other = "weighty weights weights";
    assert_eq!(other.len(), WEIGHTS.len());
    let check = |repo: Repo, problem: &str| {
        contains(&home.refused(repo), problem);
        assert_eq!(found(&home.repository(), "model.safetensors"), Vec::<PathBuf>::new());
        let blobs = fs::read_dir(home.repository().join("blobs")).unwrap();
        assert_eq!(blobs.count(), 1, "only config.json");
    };
    check(model().sends("model.safetensors", other), "its content has another hash than listed; try again");
    let longer = "weights weights weights and more";
    check(model().sends("model.safetensors", longer), "expected 23 bytes, the server sends 32; try again");
    check(model().sends("model.safetensors", "weights"), "expected 23 bytes, the server sends 7; try again");
    let unlisted = || model().without_hashes();
    check(unlisted().sends("model.safetensors", other), "its content is not what its etag says; try again");
    check(unlisted().sends("model.safetensors", "w"), "expected 23 bytes, the server sends 1; try again");
}

#[test]
fn a_mirror_without_hashes_serves_files_by_their_etags() {
    let (home, repo) = (
        Home::new(),
        model().without_hashes().etag("config.json", "5f2a-61c").etag("model.safetensors", "x"),
    );
    let server = Server::start(vec![repo]);
    let directory = home.hub(&server.endpoint).model(MODEL, "main").unwrap();
    assert_eq!(fs::read_to_string(directory.join("model.safetensors")).unwrap(), WEIGHTS);
    assert_eq!(fs::read_link(directory.join("config.json")).unwrap(), Path::new("../../blobs/5f2a-61c"));
}

#[test]
fn a_broken_transfer_goes_on_where_it_was() {
    let (home, server) = (Home::new(), Server::start(vec![model()]));
    let directory = home.hub(&server.endpoint).model(MODEL, "main").unwrap();
    let blob = fs::canonicalize(directory.join("model.safetensors")).unwrap();
    let incomplete = blob.with_added_extension("incomplete");
    let again = |left: &str| {
        fs::remove_file(&blob).unwrap();
        fs::write(&incomplete, left).unwrap();
        server.forget_requests();
        home.hub(&server.endpoint).model(MODEL, "main").unwrap();
        assert_eq!(fs::read_to_string(&blob).unwrap(), WEIGHTS, "after {left:?}");
        assert!(!incomplete.exists());
        server.ranges()
    };
    assert_eq!(again(&WEIGHTS[..8]), ["bytes=8-", "bytes=8-"], "asked of the hub and of its store");
    assert_eq!(again("of another"), ["bytes=10-", "bytes=10-"], "found out by the hash, and begun anew");
    assert_eq!(again("longer than all of the weights"), Vec::<String>::new());
    // What lies there may be a link to somewhere else.
    fs::remove_file(&blob).unwrap();
    std::os::unix::fs::symlink(home.dir.path().join("bashrc"), &incomplete).unwrap();
    home.hub(&server.endpoint).model(MODEL, "main").unwrap();
    assert_eq!(fs::read_to_string(&blob).unwrap(), WEIGHTS);
    home.check();
}

#[test]
fn what_was_cut_in_the_cache_is_fetched_again() {
    let (home, server) = (Home::new(), Server::start(vec![model()]));
    let directory = home.hub(&server.endpoint).model(MODEL, "main").unwrap();
    fs::write(directory.join("model.safetensors"), "weig").unwrap();
    home.hub(&server.endpoint).model(MODEL, "main").unwrap();
    assert_eq!(fs::read_to_string(directory.join("model.safetensors")).unwrap(), WEIGHTS);
}

#[test]
fn many_at_once_get_the_same_whole_files() {
    let (home, server) = (Home::new(), Server::start(vec![model()]));
    std::thread::scope(|scope| {
        let fetch = || home.hub(&server.endpoint).model(MODEL, "main").unwrap();
        let all: Vec<_> = (0..4).map(|_| scope.spawn(fetch)).collect();
        for one in all {
            let weights = one.join().unwrap().join("model.safetensors");
            assert_eq!(fs::read_to_string(weights).unwrap(), WEIGHTS);
        }
    });
    let stores = server.requests().iter().filter(|path| path.starts_with("/store")).count();
    assert_eq!(stores, 1, "one fetches, the others wait");
    let names = found(&home.repository(), "incomplete");
    assert_eq!(names, Vec::<PathBuf>::new());
}
