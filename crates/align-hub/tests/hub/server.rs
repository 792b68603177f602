//! A hub on a random port of this machine: listings with hashes, files with ranges, redirects to a store, refusals; and
//! everything that a hub does not do.

use std::io::Cursor;
use std::sync::{Arc, Mutex};

use sha1::Digest as _;
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
    commit: Option<&'static str>,
    has_hashes: bool,
}

#[derive(Clone)]
struct File {
    path: &'static str,
    content: &'static str,
    /// What is sent in the place of the content that was announced.
    sent: Option<&'static str>,
    etag: Option<&'static str>,
    /// A large file: answered with a redirect to `/store` at this server, or to any other address.
    redirect: Option<Option<String>>,
}

impl Repo {
    /// An empty `models` or `datasets` repository at revision `main`.
    pub(crate) fn new(kind: &'static str, id: &'static str) -> Self {
        let (listing_status, file_status, commit, has_hashes) = (200, 200, None, true);
        Self {
            kind,
            id,
            revision: "main",
            files: Vec::new(),
            listing_status,
            file_status,
            commit,
            has_hashes,
        }
    }

    pub(crate) fn file(mut self, path: &'static str, content: &'static str) -> Self {
        self.files.push(File { path, content, sent: None, etag: None, redirect: None });
        self
    }

    pub(crate) fn redirected(self, path: &'static str, content: &'static str) -> Self {
        self.file(path, content).changed(path, |file| file.redirect = Some(None))
    }

    pub(crate) fn redirected_to(self, path: &str, address: &str) -> Self {
        self.changed(path, |file| file.redirect = Some(Some(address.to_owned())))
    }

    /// Sends something else than it announces.
    pub(crate) fn sends(self, path: &str, content: &'static str) -> Self {
        self.changed(path, |file| file.sent = Some(content))
    }

    pub(crate) fn etag(self, path: &str, etag: &'static str) -> Self {
        self.changed(path, |file| file.etag = Some(etag))
    }

    /// The listing says names and sizes only, as some mirrors' do.
    pub(crate) fn without_hashes(mut self) -> Self {
        self.has_hashes = false;
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

    pub(crate) fn called(mut self, commit: &'static str) -> Self {
        self.commit = Some(commit);
        self
    }

    fn changed(mut self, path: &str, change: impl FnOnce(&mut File)) -> Self {
        change(self.files.iter_mut().find(|file| file.path == path).expect("a file of the repository"));
        self
    }

    /// Stands for a commit's hash; differs between revisions.
    pub(crate) fn commit(&self) -> String {
        self.commit.map_or_else(|| format!("{:040x}", 0xc0ffee00 + self.revision.len()), str::to_owned)
    }

    fn listing(&self) -> String {
        let sibling = |file: &File| {
            let size = file.content.len();
            match (self.has_hashes, &file.redirect) {
                (false, _) => serde_json::json!({ "rfilename": file.path, "size": size }),
                (true, None) => {
                    serde_json::json!({ "rfilename": file.path, "size": size, "blobId": hash(file) })
                }
                (true, Some(_)) => serde_json::json!({
                    "rfilename": file.path, "size": size, "blobId": "of a note in its place",
                    "lfs": { "sha256": hash(file), "size": size, "pointerSize": 134 },
                }),
            }
        };
        let siblings: Vec<_> = self.files.iter().map(sibling).collect();
        serde_json::json!({ "sha": self.commit(), "siblings": siblings }).to_string()
    }
}

/// What the hub names the content by: git's hash of a small file, SHA-256 of a large one.
fn hash(file: &File) -> String {
    let digits = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match file.redirect {
        Some(_) => digits(&sha2::Sha256::digest(file.content)),
        None => digits(&sha1::Sha1::digest(format!("blob {}\0{}", file.content.len(), file.content))),
    }
}

/// The server; it ends with the test's process.
pub(crate) struct Server {
    pub(crate) endpoint: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request.
#[derive(Clone)]
struct Seen {
    path: String,
    token: Option<String>,
    range: Option<String>,
}

impl Server {
    pub(crate) fn start(repos: Vec<Repo>) -> Self {
        let server = tiny_http::Server::http("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}", server.server_addr());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, base) = (Arc::clone(&seen), endpoint.clone());
        std::thread::spawn(move || {
            for request in server.incoming_requests() {
                let (token, range) = (header(&request, "Authorization"), header(&request, "Range"));
                let entry = Seen { path: request.url().to_owned(), token, range };
                log.lock().expect("no panic holds it").push(entry);
                let response = answer(&repos, &base, &request);
                // A client that has gone away is its own affair.
                let _ = request.respond(response);
            }
        });
        Self { endpoint, seen }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic holds it").clone()
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.path).collect()
    }

    pub(crate) fn tokens(&self) -> Vec<Option<String>> {
        self.seen().into_iter().map(|seen| seen.token).collect()
    }

    pub(crate) fn ranges(&self) -> Vec<String> {
        self.seen().into_iter().filter_map(|seen| seen.range).collect()
    }

    pub(crate) fn forget_requests(&self) {
        self.seen.lock().expect("no panic holds it").clear();
    }
}

type Answer = Response<Cursor<Vec<u8>>>;

fn answer(repos: &[Repo], base: &str, request: &Request) -> Answer {
    let (url, whole) = (request.url().split('?').next().unwrap_or_default(), request.url());
    for repo in repos {
        let (kind, id, revision) = (repo.kind, repo.id, repo.revision.replace('/', "%2F"));
        if whole == format!("/api/{kind}/{id}/revision/{revision}?blobs=true") {
            return Response::from_string(repo.listing()).with_status_code(repo.listing_status);
        }
        let folder = if kind == "datasets" { "/datasets/" } else { "/" };
        // Like most servers, it does not care for what stands behind a `?`.
        if let Some(file) = file(repo, url, &format!("{folder}{id}/resolve")) {
            return match (&file.redirect, repo.file_status) {
                (Some(to), 200) => redirect(base, repo, file, to.as_deref()),
                (None, 200) => content(repo, file, request),
                (_, status) => Response::from_string("refused").with_status_code(status),
            };
        }
        if let Some(file) = file(repo, url, &format!("/store/{id}")) {
            return content(repo, file, request);
        }
    }
    Response::from_string("nothing here").with_status_code(404)
}

fn file<'a>(repo: &'a Repo, url: &str, place: &str) -> Option<&'a File> {
    let path = url.strip_prefix(&format!("{place}/{}/", repo.commit()))?;
    repo.files.iter().find(|file| file.path == path)
}

/// To the store, on another address as far as the client can tell.
fn redirect(base: &str, repo: &Repo, file: &File, to: Option<&str>) -> Answer {
    let store = format!("{base}/store/{}/{}/{}", repo.id, repo.commit(), file.path);
    let answer = Response::from_string("")
        .with_status_code(302)
        .with_header(field("X-Linked-Etag", &etag(file)))
        .with_header(field("X-Repo-Commit", &repo.commit()));
    match to {
        Some("") => answer,
        to => answer.with_header(field("Location", to.unwrap_or(&store))),
    }
}

fn content(repo: &Repo, file: &File, request: &Request) -> Answer {
    let content = file.sent.unwrap_or(file.content).as_bytes();
    let from = header(request, "Range").map(|range| {
        let from = range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-'));
        from.and_then(|from| from.parse::<usize>().ok()).expect("a range from a place to the end")
    });
    let answer = Response::from_data(&content[from.unwrap_or(0)..])
        .with_header(field("ETag", &etag(file)))
        .with_header(field("X-Repo-Commit", &repo.commit()));
    match from {
        None => answer,
        Some(from) => {
            let range = format!("bytes {from}-{}/{}", content.len() - 1, content.len());
            answer.with_status_code(206).with_header(field("Content-Range", &range))
        }
    }
}

fn etag(file: &File) -> String {
    format!("\"{}\"", file.etag.map_or_else(|| hash(file), str::to_owned))
}

fn field(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("plain ASCII")
}

fn header(request: &Request, name: &'static str) -> Option<String> {
    request.headers().iter().find(|header| header.field.equiv(name)).map(|header| header.value.to_string())
}
