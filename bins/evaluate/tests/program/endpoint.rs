//! A judge behind an address that dies midway, is not there at all, or refuses the key.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use assert_cmd::cargo::cargo_bin_cmd;

use crate::{place, prompts, report, run};

/// A server that prefers the longer answer, and hangs up once it has answered so often.
struct Server {
    url: String,
    asked: Arc<AtomicUsize>,
    lives: Arc<AtomicUsize>,
}

impl Server {
    fn start(lives: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (asked, lives) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(lives)));
        let (counted, left) = (Arc::clone(&asked), Arc::clone(&lives));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |it| it.checked_sub(1)).is_ok() {
                    answer(stream);
                }
            }
        });
        Self { url, asked, lives }
    }

    fn options(&self) -> String {
        format!(
            "--model base=MODEL --model twin=MODEL --prompts rows.jsonl --max-new-tokens 8 --judge-url {} --judge-model judge \
             --judge-attempts 2 --judge-wait 0.01 --judge-concurrency 2",
            self.url
        )
    }
}

/// One request per connection.
fn answer(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line).unwrap_or(0) > 2 {
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    let part = |name: &str| {
        let start = body.find(&format!("[Answer {name}]")).unwrap();
        body[start..].find(&format!("[End of answer {name}]")).unwrap()
    };
    let verdict = if part("A") > part("B") { "[[A]]" } else { "[[B]]" };
    let reply =
        serde_json::json!({ "choices": [{ "message": { "content": format!("Longer.\n{verdict}") } }] });
    let reply = reply.to_string();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", reply.len());
    let _ = stream.write_all((head + &reply).as_bytes());
}

#[test]
fn a_judge_that_dies_midway_is_asked_for_the_rest_by_the_same_command() {
    let dir = place(&prompts());
    let server = Server::start(5);
    let (code, stdout, stderr) = run(dir.path(), &format!("{} --output-dir out", server.options()));
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    let account = "answers are there and kept in out/judge-replies.jsonl; run the same command again to ask for the others";
    assert!(stderr.contains(account), "{stderr}");
    let kept = std::fs::read_to_string(dir.path().join("out/judge-replies.jsonl")).unwrap().lines().count();
    assert_eq!(kept, 5, "every reply that came");

    let asked_before = server.asked.load(Ordering::SeqCst);
    server.lives.store(1000, Ordering::SeqCst);
    let found = report(dir.path(), &server.options());
    let missing = server.asked.load(Ordering::SeqCst) - asked_before;
    let judge = &found["comparison"]["judge"];
    assert!(judge["kind"] == "endpoint" && judge["name"].as_str().unwrap().starts_with("judge at http://"));
    assert_eq!(found["comparison"]["models"][1]["win_rate"]["ties"], 4, "the same answers need no judge");
    let all = std::fs::read_to_string(dir.path().join("out/judge-replies.jsonl")).unwrap().lines().count();
    assert_eq!(all, 5 + missing, "only what was missing was asked for");

    assert_eq!(report(dir.path(), &server.options())["comparison"], found["comparison"]);
    assert_eq!(server.asked.load(Ordering::SeqCst), asked_before + missing, "a rerun costs nothing");
}

#[test]
fn a_judge_that_is_not_there_is_named() {
    let dir = place(&prompts());
    let server = Server::start(0);
    let (code, _, stderr) = run(dir.path(), &server.options());
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains(&format!("endpoint {}/chat/completions: stopped after", server.url)), "{stderr}");
}

#[test]
fn an_address_a_key_or_a_wait_that_makes_no_sense_is_found_before_anything_is_made() {
    let dir = place(&prompts());
    let check = |url: &str, key: &str, more: &str, complaint: &str| {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/runs/model");
        let mut command = cargo_bin_cmd!("evaluate");
        command
            .current_dir(dir.path())
            .env("JUDGE_KEY", key)
            .args(["--prompts", "rows.jsonl", "--model"])
            .arg(model);
        command.args(["--judge-url", url, "--judge-model", "judge", "--judge-api-key-env", "JUDGE_KEY"]);
        let output = command.args(more.split_whitespace()).args(["--output-dir", "out"]).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{url} {key:?} {more}: {stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(complaint), "{stderr}");
        assert!(!stderr.contains("secret"), "{stderr}");
        assert!(!dir.path().join("out").exists(), "{url} {key:?} {more}");
    };
    let good = "http://127.0.0.1:1/v1";
    check("nonsense", "k", "", "endpoint `nonsense`: no address");
    check("http://h:99999/v1", "k", "", "a port that is none");
    check("http://user:secret@h/v1", "k", "", "endpoint `http://…@h/v1`: a user name or password");
    check(good, "secret\n", "", "the endpoint's key cannot be sent");
    check(good, "secretü", "", "the endpoint's key cannot be sent");
    for value in ["1e20", "1e300", "1e19", "inf", "NaN", "0", "-1", "x"] {
        check(good, "k", &format!("--judge-timeout={value}"), "`--judge-timeout` cannot be");
        check(good, "k", &format!("--judge-wait={value}"), "`--judge-wait` cannot be");
    }
    // What is wrong with other inputs is found before the replies' file is made, too.
    check(good, "k", "--preferences absent.jsonl", "absent.jsonl");
    check(good, "k", "--judge-replies rows.jsonl/replies.jsonl", "rows.jsonl");
    for notes in ["{ notes of somebody's", "{\"key\": 1", "notes"] {
        std::fs::write(dir.path().join("notes"), notes).unwrap();
        check(good, "k", "--judge-replies notes", "notes:1: expected replies of an endpoint");
        assert_eq!(std::fs::read_to_string(dir.path().join("notes")).unwrap(), notes);
    }
}
