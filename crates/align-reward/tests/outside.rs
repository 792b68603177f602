//! Rewards from outside: programs of one line of shell that answer, die, hang, shout or talk nonsense, and a server of this
//! test's own.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use align_data::{Candidates, Origin, TemplateArguments};
use align_http::Retry;
use align_reward::{CommandReward, OutsideOptions, Questions, Reward as _, RewardError, Task, UrlReward};

/// Long enough for a shell on a machine with much else to do.
const PATIENT: Duration = Duration::from_secs(60);
/// For what never comes.
const BRIEF: Duration = Duration::from_millis(500);

/// So many prompts with two answers each.
fn tasks(count: usize) -> Vec<Task> {
    let task = |row| Candidates {
        prompt: "Question?".into(),
        completions: vec!["yes".into(), "no".into()],
        template: TemplateArguments::default(),
        origin: Origin::in_code(row),
    };
    (0..count).map(task).map(Task::from).collect()
}

fn questions(batch_size: usize) -> Questions {
    Questions::new("answer", batch_size).unwrap()
}

/// The program of this shell script.
fn script(script: &str, timeout: Duration) -> CommandReward {
    CommandReward::start(&shlex::try_join(["sh", "-c", script]).unwrap(), timeout, questions(2)).unwrap()
}

fn complaint(script_: &str, timeout: Duration) -> String {
    script(script_, timeout).rewards(&tasks(1)).unwrap_err().to_string()
}

/// Whether the processes of these numbers, a line each, end: all were told to, and whoever inherits them collects them.
fn are_gone(pids: &str) -> bool {
    let stat = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let is_gone = |pid: &str| stat(pid).is_empty() || stat(pid).contains(") Z ");
    let end = Instant::now() + Duration::from_secs(10);
    while !pids.lines().all(is_gone) {
        if Instant::now() > end {
            return false;
        }
        thread::yield_now();
    }
    true
}

#[test]
fn a_program_is_started_once_and_asked_line_by_line() {
    let reward = script("n=0; while read -r line; do n=$((n+1)); echo \"[$n, ${#line}]\"; done", PATIENT);
    let found = reward.rewards(&tasks(3)).unwrap();
    assert_eq!(found.iter().map(|rewards| rewards[0]).collect::<Vec<_>>(), [1.0, 2.0, 3.0]);
    assert_eq!(reward.rewards(&tasks(1)).unwrap()[0][0], 4.0);
    assert!(found[0][1] > 50.0, "a question has a length: {found:?}");
}

#[test]
fn words_are_split_and_no_shell_reads_them() {
    let reward = CommandReward::start("echo '[1,' $HOME \"2]\"", PATIENT, questions(2)).unwrap();
    let error = reward.rewards(&tasks(1)).unwrap_err().to_string();
    assert!(error.contains("[1, $HOME 2]"), "{error}");
    for (command, expected) in [
        ("", "expected a program"),
        ("  # ", "expected a program"),
        ("echo 'x", "with quotes in pairs"),
        ("./no-such-program --fast", "`./no-such-program` cannot be started"),
        ("\u{1b}[2J", "cannot be started"),
    ] {
        let error = CommandReward::start(command, PATIENT, questions(2)).err().unwrap().to_string();
        assert!(error.starts_with("reward_command `") && error.contains(expected), "{error}");
        assert!(!error.contains('\u{1b}'), "{error}");
    }
}

#[test]
fn a_program_that_dies_is_started_once_more() {
    let place = tempfile::tempdir().unwrap();
    let mark = place.path().join("mark");
    let mark = mark.display();
    // The first one dies of its first question, the second answers.
    let once = format!(
        "read -r line; if [ -e {mark} ]; then echo '[1, 2]'; read -r line; else : > {mark}; exit 3; fi"
    );
    assert_eq!(script(&once, PATIENT).rewards(&tasks(1)).unwrap(), [[1.0, 2.0]]);

    let error = complaint("read -r line; echo loading >&2; echo 'no such\tmodel' >&2; exit 3", PATIENT);
    assert!(
        error.contains("ended (exit status: 3), started again too; its last errors: loading / no such model"),
        "{error}"
    );
    let error = complaint("exec 0<&-; exit 0", PATIENT);
    assert!(error.contains("ended (exit status: 0)"), "{error}");
}

#[test]
fn a_program_that_hangs_is_ended_with_all_that_it_started() {
    let place = tempfile::tempdir().unwrap();
    let pids = place.path().join("pids");
    let hangs = format!("echo $$ >> {0}; sleep 600 & echo $! >> {0}; echo stuck >&2; wait", pids.display());
    let start = Instant::now();
    let error = complaint(&hangs, BRIEF);
    assert!(error.contains("gave no reply within 0.5 s (`reward_timeout`), started again too"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    let pids = std::fs::read_to_string(pids).unwrap_or_default();
    assert!(are_gone(&pids), "{pids}");
}

#[test]
fn a_program_ends_with_the_reward() {
    let place = tempfile::tempdir().unwrap();
    let (pid, over) = (place.path().join("pid"), place.path().join("over"));
    // It ends by itself when nobody asks it any more.
    let polite = format!(
        "echo $$ > {}; while read -r line; do echo '[1, 2]'; done; : > {}",
        pid.display(),
        over.display()
    );
    let reward = script(&polite, PATIENT);
    reward.rewards(&tasks(1)).unwrap();
    drop(reward);
    assert!(over.exists() && are_gone(&read(&pid)));
    // It does not, and is ended.
    let stubborn = format!("echo $$ > {}; read -r line; echo '[1, 2]'; sleep 600", pid.display());
    let reward = script(&stubborn, PATIENT);
    reward.rewards(&tasks(1)).unwrap();
    drop(reward);
    assert!(are_gone(&read(&pid)));
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// More than a pipe holds, three times: a question, errors, a reply with room in it.
#[test]
fn full_pipes_stop_nobody() {
    let shouts = "head -c 300000 /dev/zero | tr '\\0' 'x' >&2; printf '%300000s' ''; read -r line; echo '[1, 2]'; read -r line";
    let mut task = tasks(1);
    task[0].candidates.completions[0] = "x".repeat(300_000).into();
    assert_eq!(script(shouts, PATIENT).rewards(&task).unwrap(), [[1.0, 2.0]]);
}

#[test]
fn what_is_no_reply_is_an_error_at_once() {
    let error = complaint("read -r line; echo '[1, 2, 3]'; read -r line", PATIENT);
    assert!(error.contains("a reward for each of 2 answers, found 3"), "{error}");
    let error = complaint("read -r line; echo '[1, NaN]'; read -r line", PATIENT);
    assert!(error.contains("no JSON"), "{error}");
    let error = complaint("tr '\\0' 'x' < /dev/zero", PATIENT);
    assert!(error.contains("a line of more than 4194304 bytes"), "{error}");
    // Lines to a question at once: the second would be taken for the reply to the next one.
    let chatty = script("while read -r line; do printf '[1, 2]\\n[3, 4]\\n[5, 6]\\n'; done", PATIENT);
    let error = chatty.rewards(&tasks(50)).unwrap_err().to_string();
    assert!(error.contains("says more than one line to a question"), "{error}");
}

/// A server that answers with these statuses and texts in turn, and what it was sent.
fn served(replies: &'static [(u16, &'static str)]) -> (String, thread::JoinHandle<Vec<String>>) {
    let server = tiny_http::Server::http("127.0.0.1:0").unwrap();
    let url = format!("http://{}/rewards", server.server_addr());
    let serve = move || {
        let mut sent = Vec::new();
        for (status, text) in replies {
            let mut request = server.recv().unwrap();
            let mut body = String::new();
            request.as_reader().read_to_string(&mut body).unwrap();
            sent.push(body);
            let _ = request.respond(tiny_http::Response::from_string(*text).with_status_code(*status));
        }
        sent
    };
    (url, thread::spawn(serve))
}

fn asked(
    replies: &'static [(u16, &'static str)],
) -> (Result<Vec<Vec<f64>>, RewardError>, Vec<String>, String) {
    let (url, served) = served(replies);
    let retry = Retry { attempts: 3, first_wait: Duration::from_millis(1) };
    let reward = UrlReward::new(&url, PATIENT, questions(2)).unwrap().with_retry(retry);
    let rewards = reward.rewards(&tasks(2));
    (rewards, served.join().unwrap(), url)
}

#[test]
fn a_server_is_asked_until_it_answers() {
    let (rewards, sent, _) =
        asked(&[(503, "not yet"), (429, ""), (200, "{\"rewards\": [1, 2]}"), (200, "[3, 4]\n")]);
    assert_eq!(rewards.unwrap(), [[1.0, 2.0], [3.0, 4.0]]);
    assert!(sent[0].starts_with("{\"prompts\":[\"Question?\",") && sent[0] == sent[2], "{sent:?}");
}

#[test]
fn a_server_that_gives_no_rewards_is_named() {
    let (rewards, _, url) = asked(&[(422, "what is\nthat?")]);
    assert_eq!(rewards.unwrap_err().to_string(), format!("reward_url {url}: HTTP 422: what is that?"));
    let (rewards, _, _) = asked(&[(500, ""), (500, ""), (500, "out of memory")]);
    let error = rewards.unwrap_err().to_string();
    assert!(error.ends_with("no answer after 3 attempts; the last: HTTP 500: out of memory"), "{error}");
    let (rewards, _, _) = asked(&[(200, "[1]")]);
    assert!(rewards.unwrap_err().to_string().contains("a reward for each of 2 answers, found 1"));
}

#[test]
fn the_options_name_both() {
    let (url, served) = served(&[(200, "[3, 4]")]);
    let options = OutsideOptions {
        reward_command: Some("sh -c \"read -r line; echo '[1, 2]'\"".to_owned()),
        reward_url: Some(url),
        ..OutsideOptions::default()
    };
    let rewards = options.open("answer").unwrap();
    let found = rewards.iter().map(|it| (it.name().to_owned(), it.rewards(&tasks(1)).unwrap().remove(0)));
    assert_eq!(
        found.collect::<Vec<_>>(),
        [("command".to_owned(), vec![1.0, 2.0]), ("url".to_owned(), vec![3.0, 4.0])]
    );
    assert_eq!((options.count(), OutsideOptions::default().count()), (2, 0));
    served.join().unwrap();
    for bad in ["nowhere", "ftp://host/", "http://me:secret@host/"] {
        let options = OutsideOptions { reward_url: Some(bad.to_owned()), ..OutsideOptions::default() };
        let error = options.open("answer").err().unwrap().to_string();
        assert!(error.starts_with("reward_url: `") && !error.contains("secret"), "{error}");
    }
}
