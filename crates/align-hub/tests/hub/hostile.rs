//! Hubs, mirrors and repositories that mean harm or are broken: nothing is written outside the cache, the token stays at
//! home, and every wait ends.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use super::home::{Home, MODEL, WEIGHTS, contains, found, indexed, model};
use super::server::{Repo, Server};
use align_hub::Hub;

#[test]
fn an_etag_leads_nowhere() {
    let home = Home::new();
    for etag in ["../../../bashrc", "..", "/pwned-etag", "a/b", "C:x"] {
        let error = home.refused(model().without_hashes().etag("config.json", etag));
        contains(&error, "`config.json` from http://127.0.0.1");
        contains(&error, &format!("its etag `{etag}` is no plain name"));
        assert!(!Path::new("/pwned-etag").exists());
    }
}

#[test]
fn a_commit_leads_nowhere() {
    let home = Home::new();
    for commit in ["../../../pwned-sha", "main", "", "..", "/pwned-sha"] {
        let error = home.refused(model().called(commit));
        contains(&error, &format!("the commit `{commit}`, expected 40 hexadecimal digits"));
    }
    assert!(!home.repository().exists());
}

#[test]
fn a_revision_leads_nowhere() {
    let (home, server) = (Home::new(), Server::start(vec![model()]));
    for revision in ["../../x", "..", "/etc", "a/../../../x", "", "main?", "a#b", "a\\b"] {
        let error = home.hub(&server.endpoint).model(MODEL, revision).unwrap_err().to_string();
        contains(&error, &format!("revision `{revision}` is neither a branch, a tag nor a commit"));
        let offline = Hub { offline: true, ..home.hub(&server.endpoint) };
        contains(&offline.model(MODEL, revision).unwrap_err().to_string(), "is neither a branch");
    }
    assert_eq!(server.requests(), Vec::<String>::new());
    home.check();
}

#[test]
fn an_index_names_files_of_its_repository_only() {
    let home = Home::new();
    let check = |index, shard: &str| {
        let error = home.refused(indexed(index));
        contains(&error, &format!("names `{shard}`, which is no file of the repository"));
        assert!(found(home.dir.path(), "pwned").is_empty());
    };
    check(r#"{"weight_map": {"1": "/pwned"}}"#, "/pwned");
    check(r#"{"weight_map": {"1": "../../../../pwned"}}"#, "../../../../pwned");
    // A server that ignores what stands behind the `?` would deliver config.json for it.
    check(
        r#"{"weight_map": {"1": "config.json?/../../../../../pwned"}}"#,
        "config.json?/../../../../../pwned",
    );
}

#[test]
fn a_listing_leads_nowhere_either() {
    let home = Home::new();
    for path in
        ["../../../pwned.jsonl", "/pwned.jsonl", "train.jsonl?/../../../../../pwned.jsonl", "a\\pwned.jsonl"]
    {
        let server = Server::start(vec![Repo::new("datasets", "org/pairs").file(path, "{}")]);
        let place = path.rsplit_once('/').map_or(String::new(), |(above, _)| format!("/{above}"));
        for name in [format!("org/pairs{place}"), format!("org/pairs/{path}")] {
            let error = home.hub(&server.endpoint).dataset(&name).unwrap_err().to_string();
            assert!(error.contains("is no file of the repository") || error.contains("no .jsonl"), "{error}");
        }
        assert!(found(home.dir.path(), "pwned").is_empty() && !Path::new("/pwned.jsonl").exists());
        home.check();
    }
    // Beside such a file, others can be had.
    let server = Server::start(vec![model().file("what is this?.md", "?").file("../x", "x")]);
    home.hub(&server.endpoint).model(MODEL, "main").unwrap();
    home.check();
}

#[test]
fn links_in_the_cache_lead_nowhere() {
    let home = Home::new();
    let (outside, repository) = (home.dir.path().join("cache/elsewhere"), home.repository());
    fs::create_dir_all(&outside).unwrap();
    fs::create_dir_all(&repository).unwrap();
    std::os::unix::fs::symlink(&outside, repository.join("blobs")).unwrap();
    contains(&home.refused(model()), "blobs: is a link or a file, expected a directory of the cache");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    // A link in a file's place is replaced.
    fs::remove_file(repository.join("blobs")).unwrap();
    let snapshot = repository.join("snapshots").join(model().commit());
    fs::create_dir_all(&snapshot).unwrap();
    std::os::unix::fs::symlink(home.dir.path().join("bashrc"), snapshot.join("config.json")).unwrap();
    let server = Server::start(vec![model()]);
    let directory = home.hub(&server.endpoint).model(MODEL, "main").unwrap();
    assert_eq!(fs::read_to_string(directory.join("config.json")).unwrap(), "{}");
    home.check();
}

#[test]
fn the_token_goes_to_the_hub_only() {
    let home = Home::new();
    let store = Server::start(vec![model()]);
    let address = format!("{}/store/org/tiny/{}/model.safetensors", store.endpoint, model().commit());
    let server = Server::start(vec![model().redirected_to("model.safetensors", &address)]);
    let directory = home.hub(&server.endpoint).model(MODEL, "main").unwrap();
    assert_eq!(fs::read_to_string(directory.join("model.safetensors")).unwrap(), WEIGHTS);
    assert_eq!(store.tokens(), [None], "another port is another server");
    assert!(server.tokens().iter().all(|token| token.as_deref() == Some("Bearer hf_secret")));
    // Within the hub it is sent along.
    let (home, server) = (Home::new(), Server::start(vec![model()]));
    home.hub(&server.endpoint).model(MODEL, "main").unwrap();
    assert_eq!(server.tokens().len(), 4);
    assert!(server.tokens().iter().all(|token| token.as_deref() == Some("Bearer hf_secret")));
}

#[test]
fn redirects_end() {
    let home = Home::new();
    let itself = format!("/org/tiny/resolve/{}/model.safetensors", model().commit());
    for location in [itself.as_str(), "model.safetensors"] {
        let error = home.refused(model().redirected_to("model.safetensors", location));
        contains(&error, "`model.safetensors` from http://127.0.0.1");
        contains(&error, "more than 5 redirects");
    }
    let error = home.refused(model().redirected_to("model.safetensors", ""));
    contains(&error, "redirects (302) without an address");
    for location in
        ["ftp://127.0.0.1/x", "http://user:hf_secret@127.0.0.1/x", "http://", "file:///etc/passwd"]
    {
        let error = home.refused(model().redirected_to("model.safetensors", location));
        contains(&error, "redirects (302) to ");
    }
}

#[test]
fn what_is_neither_an_answer_nor_a_redirect_is_an_error() {
    let home = Home::new();
    for status in [300, 304, 204, 305, 410, 429, 500] {
        contains(
            &home.refused(model().file_status(status)),
            &format!("the hub answers with status {status}"),
        );
        contains(
            &home.refused(model().listing_status(status)),
            &format!("the hub answers with status {status}"),
        );
    }
}

#[test]
fn a_hub_that_says_nothing_is_not_waited_for() {
    let (home, silent) = (Home::new(), TcpListener::bind("127.0.0.1:0").unwrap());
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let hub = Hub { timeout: Duration::from_millis(100), ..home.hub(&endpoint) };
    let start = std::time::Instant::now();
    let error = hub.model(MODEL, "main").unwrap_err().to_string();
    contains(&error, "no list of files from http://127.0.0.1");
    contains(&error, "timeout");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn settings_that_make_no_sense_are_named_and_secrets_in_them_are_not() {
    let home = Home::new();
    let check = |hub: Hub, parts: [&str; 2]| {
        let error = hub.model(MODEL, "main").unwrap_err().to_string();
        parts.iter().for_each(|part| contains(&error, part));
        assert!(!error.contains("hf_secret") && !format!("{hub:?}").contains("hf_token"), "{error}");
    };
    let hub = |endpoint: &str| home.hub(endpoint);
    check(hub("hub.co"), ["HF_ENDPOINT", "no address such as https://huggingface.co"]);
    check(hub("ftp://hub.co"), ["HF_ENDPOINT", "https://"]);
    check(hub("http://user:hf_secret@127.0.0.1:1"), ["HF_ENDPOINT", "a user name or a password"]);
    check(hub("http://127.0.0.1:1/?x"), ["HF_ENDPOINT", "`?`"]);
    for token in ["hf_secret\nX-Evil: 1", "hf_secretü"] {
        let token = Some(token.to_owned());
        check(Hub { token, ..hub("http://127.0.0.1:1") }, ["HF_TOKEN", "such as a line break"]);
    }
    let file = home.dir.path().join("cache/ca.pem");
    fs::write(&file, "no certificates").unwrap();
    let with = || Hub { certificates: Some(file.clone()), ..hub("https://127.0.0.1:1") };
    check(with(), ["ca.pem", "no certificate in it, expected PEM"]);
    fs::write(&file, "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n").unwrap();
    check(with(), ["ca.pem", ""]);
    fs::remove_file(&file).unwrap();
    check(with(), ["ca.pem: No such file", ""]);
}
