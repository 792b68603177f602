//! What a chat endpoint answers, and the file of what it has answered.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use align_eval::{ChatClient, ChatOptions, ReplyStore, Turn};

use crate::{Scratch, bounded};

/// The answer of the server, to whatever it is asked.
static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// A server on this machine that answers with [`ANSWER`].
fn server() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                // One read has all of a short question.
                let _ = stream.read(&mut [0; 8192]);
                let answer = ANSWER.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let _ = stream.write_all(&answer);
            }
        });
        address
    })
}

/// A whole HTTP answer, or else the body of one.
pub(crate) fn replies(bytes: &[u8], scratch: &Scratch) {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        bytes.len()
    );
    let answer = if bytes.starts_with(b"HTTP/") { bytes.to_vec() } else { [head.as_bytes(), bytes].concat() };
    *ANSWER.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    let options = ChatOptions {
        base_url: format!("http://{}/v1", server()),
        model: "judge".to_owned(),
        api_key: Some("key".to_owned()),
        timeout: Duration::from_secs(2),
        attempts: 1,
        first_wait: Duration::from_millis(1),
        concurrency: 1,
        max_tokens: 16,
    };
    let path = scratch.path().join("replies.jsonl");
    let _ = std::fs::remove_file(&path);
    let store = ReplyStore::open(&path).expect("a new file can be opened");
    let client = ChatClient::new(options, store).expect("the options are right");
    if let Err(error) = client.ask(&[Turn::user("which?")], |text| text.contains('A').then_some(())) {
        bounded(error);
    }
}

/// The file of replies.
pub(crate) fn stored(bytes: &[u8], scratch: &Scratch) {
    let path = scratch.file("stored.jsonl", bytes);
    match ReplyStore::open(&path) {
        Ok(store) => assert!(store.len() <= bytes.len()),
        Err(error) => bounded(error),
    }
}
