//! A judge behind an address that dies midway, is not there at all, or refuses the key.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

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
