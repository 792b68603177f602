//! Endpoints that are slow, fail half of the time, talk nonsense or die midway, as servers of this test's own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use align_data::{Origin, PromptOnly, PromptTask, TemplateArguments};
use align_eval::{ChatClient, ChatOptions, Criteria, EndpointJudge, Judge as _, Opinions, ReplyStore, Slate};
use serde_json::{Value, json};

/// What a server does with request number `n` and the text that it was sent.
type Behaviour = dyn Fn(usize, &str) -> Reply + Send + Sync;

enum Reply {
    Says(String),
    Status(u16, &'static str),
    Raw(&'static str),
    /// Refuses, and repeats the whole request, key and all.
    Repeats,
    Refuses(&'static str),
    HangsUp,
}

struct Server {
    url: String,
    requests: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
}

impl Server {
    fn start(behaviour: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (requests, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, over, behaviour) =
            (Arc::clone(&requests), Arc::clone(&is_over), Arc::<Box<Behaviour>>::new(Box::new(behaviour)));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                let (counted, behaviour) = (Arc::clone(&counted), Arc::clone(&behaviour));
                thread::spawn(move || serve(stream.unwrap(), &counted, behaviour.as_ref()));
            }
        });
        Self { url, requests, is_over }
    }

    fn count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.url.trim_start_matches("http://").trim_end_matches("/v1"));
    }
}

/// One request per connection.
fn serve(mut stream: TcpStream, counted: &AtomicUsize, behaviour: &Behaviour) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut line, mut length, mut head) = (String::new(), 0, String::new());
    while reader.read_line(&mut line).unwrap_or(0) > 2 {
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head += &line;
        line.clear();
    }
    let mut body = vec![0; length];
    if head.is_empty() || reader.read_exact(&mut body).is_err() {
        return;
    }
    let number = counted.fetch_add(1, Ordering::SeqCst);
    let text = head + &String::from_utf8(body).unwrap();
    let (status, extra, content) = match behaviour(number, &text) {
        Reply::HangsUp => return,
        Reply::Status(status, header) => (status, header, "{\"error\": \"not now\"}".to_owned()),
        Reply::Repeats => (401, "", text.clone()),
        Reply::Refuses(content) => (401, "", content.to_owned()),
        Reply::Raw(content) => (200, "", content.to_owned()),
        Reply::Says(said) => (
            200,
            "",
            json!({ "choices": [{ "message": { "role": "assistant", "content": said } }] }).to_string(),
        ),
    };
    let _ = write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{extra}Content-Length: {}\r\nConnection: close\r\n\r\n{content}",
        content.len()
    );
}

/// Prefers the answer with the word "good", whatever its place.
fn fair(text: &str) -> Reply {
    let request: Value = serde_json::from_str(&text[text.find('{').unwrap()..]).unwrap();
    let shown = request["messages"][1]["content"].as_str().unwrap().to_owned();
    let (first, second) = shown.split_once("[Answer B]").unwrap();
    let verdict = match (first.contains("good"), second.contains("good")) {
        (true, false) => "[[A]]",
        (false, true) => "[[B]]",
        _ => "[[C]]",
    };
    Reply::Says(format!("It says so.\n{verdict}"))
}

fn judge(url: &str, store: &Path) -> EndpointJudge {
    let options = ChatOptions {
        base_url: url.to_owned(),
        model: "judge".to_owned(),
        api_key: Some("secret-key".to_owned()),
        timeout: Duration::from_millis(500),
        attempts: 6,
        first_wait: Duration::from_millis(1),
        concurrency: 3,
        max_tokens: 64,
    };
    assert!(!format!("{options:?}").contains("secret"), "the key is shown");
    EndpointJudge::new(
        ChatClient::new(options, ReplyStore::open(store).unwrap()).unwrap(),
        Criteria::default(),
    )
}

/// The model's answer is good on every other prompt, the baseline's never.
fn slates(count: usize) -> Vec<Slate> {
    let slate = |row: usize| {
        let prompt = PromptOnly {
            prompt: format!("Question {row}?").into(),
            template: TemplateArguments::default(),
            origin: Origin::in_code(row),
        };
        let quality = if row.is_multiple_of(2) { "good" } else { "poor" };
        let answers = vec![format!("A plain answer {row}."), format!("A {quality} answer {row}.")];
        Slate { task: PromptTask { prompt, reference: None }, answers }
    };
    (0..count).map(slate).collect()
}

fn preferences(found: &[Opinions]) -> Vec<Option<f64>> {
    found.iter().map(|opinions| opinions.opinions[0].as_ref().map(|opinion| opinion.preference)).collect()
}

fn expected(count: usize) -> Vec<Option<f64>> {
    (0..count).map(|row| Some(if row.is_multiple_of(2) { 1.0 } else { 0.5 })).collect()
}

#[test]
fn a_rerun_costs_nothing_and_the_key_is_sent_and_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("replies.jsonl");
    let server = Server::start(|_, text| {
        assert!(text.to_lowercase().contains("authorization: bearer secret-key"), "{text}");
        fair(text)
    });
    let found = judge(&server.url, &store).judge(&slates(8)).unwrap();
    assert_eq!((preferences(&found), server.count()), (expected(8), 16), "both orders of each pair");
    assert_eq!(found[0].opinions[0].as_ref().unwrap().is_consistent, Some(true));
    assert_eq!(found[0].opinions[0].as_ref().unwrap().reason.as_deref(), Some("It says so."));
    let again = judge(&server.url, &store).judge(&slates(8)).unwrap();
    assert_eq!((again, server.count()), (found, 16), "nothing was asked twice");
    assert!(!std::fs::read_to_string(&store).unwrap().contains("secret"));
}

#[test]
fn a_judge_that_takes_the_first_answer_gives_ties_and_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Reply::Says("[[A]]".to_owned()));
    let found = judge(&server.url, &dir.path().join("r.jsonl")).judge(&slates(4)).unwrap();
    assert_eq!(preferences(&found), vec![Some(0.5); 4]);
    assert!(found.iter().all(|it| it.opinions[0].as_ref().unwrap().is_consistent == Some(false)));
}

#[test]
fn an_endpoint_that_fails_half_of_the_time_is_asked_until_it_answers() {
    let dir = tempfile::tempdir().unwrap();
    // Every question fails the first time, in one way or another.
    let seen = Mutex::new(BTreeSet::new());
    let server = Server::start(move |number, text| {
        let body = text[text.find('{').unwrap()..].to_owned();
        match (seen.lock().unwrap().insert(body), number % 3) {
            (false, _) => fair(text),
            (true, 0) => Reply::Status(500, ""),
            (true, 1) => Reply::Status(429, "Retry-After: 0.01\r\n"),
            (true, _) => Reply::HangsUp,
        }
    });
    let judge = judge(&server.url, &dir.path().join("r.jsonl"));
    let found = judge.judge(&slates(20)).unwrap();
    assert_eq!((preferences(&found), judge.notes()), (expected(20), Vec::<String>::new()));
    assert_eq!(server.count(), 80);
}

#[test]
fn a_wait_that_the_server_asks_for_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|number, text| match number {
        0 => Reply::Status(429, "Retry-After: 0.3\r\n"),
        _ => fair(text),
    });
    let mut options = judge(&server.url, &dir.path().join("unused.jsonl")).client().options().clone();
    options.concurrency = 1;
    let store = ReplyStore::open(&dir.path().join("r.jsonl")).unwrap();
    let judge = EndpointJudge::new(ChatClient::new(options, store).unwrap(), Criteria::default());
    let start = Instant::now();
    assert_eq!(preferences(&judge.judge(&slates(1)).unwrap()), expected(1));
    assert!(start.elapsed() >= Duration::from_millis(300), "{:?}", start.elapsed());
}

#[test]
fn a_slow_endpoint_is_given_up_on_and_the_rest_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    // It does not answer about prompt 3 before the test is over.
    let (over, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let server = Server::start(move |_, text| {
        if text.contains("Question 3?") {
            let _ = wait.lock().unwrap().recv();
        }
        fair(text)
    });
    let mut options = judge(&server.url, &dir.path().join("unused.jsonl")).client().options().clone();
    options.attempts = 2;
    let store = ReplyStore::open(&dir.path().join("r.jsonl")).unwrap();
    let judge = EndpointJudge::new(ChatClient::new(options, store).unwrap(), Criteria::default());
    let mut wanted = expected(8);
    wanted[3] = None;
    assert_eq!(preferences(&judge.judge(&slates(8)).unwrap()), wanted);
    let note = judge.notes().remove(0);
    assert!(note.starts_with("2 of 16 questions") && note.contains("after 2 attempts"), "{note}");
    drop(over);
}

#[test]
fn an_endpoint_that_talks_nonsense_ends_the_run_with_what_it_said() {
    let dir = tempfile::tempdir().unwrap();
    for (reply, complaint) in [
        ("I like both of them very much!", "a reply cannot be read: I like both of them very much!"),
        ("", "a reply cannot be read"),
    ] {
        let server = Server::start(move |_, _| Reply::Says(reply.to_owned()));
        let error =
            judge(&server.url, &dir.path().join("r.jsonl")).judge(&slates(40)).unwrap_err().to_string();
        assert!(
            error.contains(complaint) && error.contains("questions in a row without an answer"),
            "{error}"
        );
        assert!(server.count() <= 30, "{} requests to a judge that cannot be read", server.count());
    }
    let server = Server::start(|_, _| Reply::Raw("<html>welcome</html>"));
    let error = judge(&server.url, &dir.path().join("r.jsonl")).judge(&slates(40)).unwrap_err().to_string();
    assert!(error.contains("the reply is no chat completion") && error.contains("<html>welcome"), "{error}");
}

#[test]
fn a_key_that_is_refused_ends_the_run_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Reply::Status(401, ""));
    let error = judge(&server.url, &dir.path().join("r.jsonl")).judge(&slates(40)).unwrap_err().to_string();
    assert!(error.contains("HTTP 401") && error.contains("the key is wrong"), "{error}");
    assert!(server.count() <= 3, "{} requests", server.count());
}

#[test]
fn a_key_that_the_server_repeats_is_neither_shown_nor_kept() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Reply::Repeats);
    let error = judge(&server.url, &dir.path().join("r.jsonl")).judge(&slates(2)).unwrap_err().to_string();
    assert!(error.contains("HTTP 401") && !error.contains("secret-key"), "{error}");
    for said in ["secret-\nkey", "SECRET-KEY", "secret%2Dkey", r"\u0073ecret-key"] {
        let server = Server::start(move |_, _| Reply::Refuses(said));
        let judge = judge(&server.url, &dir.path().join("r.jsonl"));
        let error = judge.judge(&slates(2)).unwrap_err().to_string();
        assert!(error.contains("HTTP 401: …;"), "{error}");
    }
    let server = Server::start(|_, _| Reply::Says("Bearer secret-key says so.\n[[A]]".to_owned()));
    let store = dir.path().join("s.jsonl");
    let found = judge(&server.url, &store).judge(&slates(1)).unwrap();
    assert_eq!(found[0].opinions[0].as_ref().unwrap().reason.as_deref(), Some("Bearer … says so."));
    assert!(!std::fs::read_to_string(&store).unwrap().contains("secret-key"));
    const ESCAPED: &str = r#"{"choices": [{"message": {"content": "\u0073ecret-key.\n[[A]]"}}]}"#;
    let server = Server::start(|_, _| Reply::Raw(ESCAPED));
    let store = dir.path().join("t.jsonl");
    let found = judge(&server.url, &store).judge(&slates(1)).unwrap();
    assert_eq!(found[0].opinions[0].as_ref().unwrap().reason.as_deref(), Some("…."));
    assert!(!std::fs::read_to_string(&store).unwrap().contains("ecret-key"));
}

#[test]
fn an_endpoint_that_dies_midway_loses_nothing_and_is_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("r.jsonl");
    let is_dead = Arc::new(AtomicBool::new(false));
    let dead = Arc::clone(&is_dead);
    let server = Server::start(move |number, text| {
        if dead.load(Ordering::SeqCst) || (20..10_000).contains(&number) {
            dead.store(true, Ordering::SeqCst);
            return Reply::HangsUp;
        }
        fair(text)
    });
    let error = judge(&server.url, &store).judge(&slates(20)).unwrap_err().to_string();
    let kept = ReplyStore::open(&store).unwrap().len();
    assert!((19..=21).contains(&kept), "{kept} kept");
    let account = format!("{kept} of 40 answers are there and kept in {}", store.display());
    assert!(error.contains(&account) && error.contains("run the same command again"), "{error}");

    // It is back: only what is missing is asked.
    let before = server.count();
    server.requests.store(10_000, Ordering::SeqCst);
    is_dead.store(false, Ordering::SeqCst);
    let found = judge(&server.url, &store).judge(&slates(20)).unwrap();
    assert_eq!(preferences(&found), expected(20));
    assert_eq!(
        server.count() - 10_000,
        40 - kept,
        "asked again for what was missing, after {before} requests"
    );
}
