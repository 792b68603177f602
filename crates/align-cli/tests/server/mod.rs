//! A hub on a random port of this machine: listings, files with ranges, redirects to a store, refusals.

use std::io::Cursor;
use std::sync::{Arc, Mutex};

use tiny_http::{Header, Request, Response};

/// One revision of a repository that the server knows.
#[derive(Clone)]
pub(crate) struct Repo {
    kind: &'static str,
    id: &'static str,
    revision: &'static str,
    files: Vec<File>,
    listing_status: u16,
    file_status: u16,
}

#[derive(Clone)]
struct File {
    path: &'static str,
    content: &'static str,
    /// Answered with a redirect, as large files are.
    redirected: bool,
    /// Sent without its last byte.
    cut_short: bool,
}

impl Repo {
    /// An empty `models` or `datasets` repository at revision `main`.
    pub(crate) fn new(kind: &'static str, id: &'static str) -> Self {
        Self { kind, id, revision: "main", files: Vec::new(), listing_status: 200, file_status: 200 }
    }

    pub(crate) fn file(mut self, path: &'static str, content: &'static str) -> Self {
        self.files.push(File { path, content, redirected: false, cut_short: false });
        self
    }

    pub(crate) fn redirected(mut self, path: &'static str, content: &'static str) -> Self {
        self.files.push(File { path, content, redirected: true, cut_short: false });
        self
    }

    pub(crate) fn cut_short(mut self, path: &str) -> Self {
        let file = self.files.iter_mut().find(|file| file.path == path);
        file.expect("a file of the repository").cut_short = true;
        self
    }

    pub(crate) fn revision(mut self, revision: &'static str) -> Self {
        self.revision = revision;
        self
    }

    pub(crate) fn listing_status(mut self, status: u16) -> Self {
        self.listing_status = status;
        self
    }

    pub(crate) fn file_status(mut self, status: u16) -> Self {
        self.file_status = status;
        self
    }

    /// Stands for a commit's hash; differs between revisions.
    fn commit(&self) -> String {
        format!("{:040x}", 0xc0ffee00 + self.revision.len())
    }

    fn listing(&self) -> String {
        let siblings: Vec<_> = self
            .files
            .iter()
            .map(|file| serde_json::json!({ "rfilename": file.path, "size": file.content.len() }))
            .collect();
        serde_json::json!({ "sha": self.commit(), "siblings": siblings }).to_string()
    }
}

/// The server; it ends with the test's process.
pub(crate) struct Server {
    pub(crate) endpoint: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// Path and token of a request.
type Seen = (String, Option<String>);

impl Server {
    pub(crate) fn start(repos: Vec<Repo>) -> Self {
        let server = tiny_http::Server::http("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}", server.server_addr());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, base) = (Arc::clone(&seen), endpoint.clone());
        std::thread::spawn(move || {
            for request in server.incoming_requests() {
                let entry = (request.url().to_owned(), header(&request, "Authorization"));
                log.lock().expect("no panic holds it").push(entry);
                let response = answer(&repos, &base, &request);
                // A client that has gone away is its own affair.
                let _ = request.respond(response);
            }
        });
        Self { endpoint, seen }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.lock().expect("no panic holds it").iter().map(|(url, _)| url.clone()).collect()
    }

    pub(crate) fn tokens(&self) -> Vec<Option<String>> {
        self.seen.lock().expect("no panic holds it").iter().map(|(_, token)| token.clone()).collect()
    }

    pub(crate) fn forget_requests(&self) {
        self.seen.lock().expect("no panic holds it").clear();
    }
}

type Answer = Response<Cursor<Vec<u8>>>;

fn answer(repos: &[Repo], base: &str, request: &Request) -> Answer {
    let url = request.url();
    for repo in repos {
        let (kind, id, revision) = (repo.kind, repo.id, repo.revision.replace('/', "%2F"));
        if url.starts_with(&format!("/api/{kind}/{id}/revision/{revision}?")) {
            return Response::from_string(repo.listing()).with_status_code(repo.listing_status);
        }
        let folder = if kind == "datasets" { "/datasets/" } else { "/" };
        if let Some(path) = url.strip_prefix(&format!("{folder}{id}/resolve/{revision}/"))
            && let Some(file) = repo.files.iter().find(|file| file.path == path)
        {
            return match repo.file_status {
                200 if file.redirected => redirect(base, repo, file),
                200 => content(repo, file, request),
                status => Response::from_string("refused").with_status_code(status),
            };
        }
        if let Some(path) = url.strip_prefix(&format!("/store/{id}/{}/", repo.commit()))
            && let Some(file) = repo.files.iter().find(|file| file.path == path)
        {
            return content(repo, file, request);
        }
    }
    Response::from_string("nothing here").with_status_code(404)
}

/// To the store, on another address as far as the client can tell.
fn redirect(base: &str, repo: &Repo, file: &File) -> Answer {
    let location = format!("{base}/store/{}/{}/{}", repo.id, repo.commit(), file.path);
    Response::from_string("")
        .with_status_code(302)
        .with_header(field("Location", &location))
        .with_header(field("X-Linked-Etag", &etag(file)))
        .with_header(field("X-Repo-Commit", &repo.commit()))
}

fn content(repo: &Repo, file: &File, request: &Request) -> Answer {
    let whole = file.content.len();
    let range = header(request, "Range").expect("the client asks for ranges");
    let (from, to) = range.trim_start_matches("bytes=").split_once('-').expect("a range");
    let from: usize = from.parse().expect("a number");
    let to = to.parse().map_or(whole, |to: usize| to + 1);
    let end = if file.cut_short && to == whole { to - 1 } else { to };
    Response::from_data(&file.content.as_bytes()[from..end])
        .with_status_code(206)
        .with_header(field("Content-Range", &format!("bytes {from}-{}/{whole}", to - 1)))
        .with_header(field("ETag", &etag(file)))
        .with_header(field("X-Repo-Commit", &repo.commit()))
}

/// Depends on the content, as a hash does.
fn etag(file: &File) -> String {
    let sum: usize = file.content.bytes().map(usize::from).sum();
    format!("\"{}-{sum}\"", file.content.len())
}

fn field(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("plain ASCII")
}

fn header(request: &Request, name: &'static str) -> Option<String> {
    request.headers().iter().find(|header| header.field.equiv(name)).map(|header| header.value.to_string())
}
