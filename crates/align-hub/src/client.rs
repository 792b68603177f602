//! Requests to the hub: where the token goes, how long an answer may take, and which redirects are followed.

use std::io;
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use ureq::http::{HeaderValue, Response, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::HubError;
use super::address::Address;

/// Until a whole list of files is there.
const LISTING: Duration = Duration::from_secs(120);
const REDIRECTS: usize = 5;
/// The longest list of files that is read, in bytes: some 300,000 files.
pub(super) const LONGEST_LISTING: u64 = 64 << 20;
/// The largest file of certificates that is read, in bytes.
const CERTIFICATES: u64 = 16 << 20;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another status than the one of success.
    Status(u16),
    /// In words.
    Broken(String),
}

impl From<ureq::Error> for Failure {
    fn from(error: ureq::Error) -> Self {
        let mut reason = error.to_string();
        if reason.contains("peer certificate") {
            reason += " (REQUESTS_CA_BUNDLE may name a file with the certificates to trust)";
        }
        Self::Broken(reason)
    }
}

/// A file that begins to come.
pub(super) struct Answer {
    pub(super) body: Body,
    /// How many bytes in front were left out, as was asked for.
    pub(super) from: u64,
    /// How many bytes the file has, if the server says so.
    pub(super) size: Option<u64>,
    /// What the hub itself calls this content.
    pub(super) etag: Option<String>,
}

/// Talks to one hub.
pub(super) struct Client {
    agent: Agent,
    endpoint: Address,
    token: Option<HeaderValue>,
}

impl Client {
    pub(super) fn new(hub: &super::Hub) -> Result<Self, HubError> {
        let wrong = |variable, problem: &str| HubError::Setting { variable, problem: problem.to_owned() };
        let endpoint = Address::parse(&hub.endpoint)
            .map_err(|problem| wrong("HF_ENDPOINT", &format!("it is {problem}")))?;
        if hub.endpoint.contains(['?', '#']) {
            return Err(wrong(
                "HF_ENDPOINT",
                "it has a `?` or `#`, expected an address that paths are added to",
            ));
        }
        if hub.token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(wrong("HF_TOKEN", "it has characters that no token has, such as a line break"));
        }
        let token =
            hub.token.as_ref().and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
        if token.is_some() && !endpoint.is_private() {
            static WARNED: Once = Once::new();
            WARNED
                .call_once(|| tracing::warn!("HF_ENDPOINT is http: HF_TOKEN goes to {endpoint} unencrypted"));
        }
        let connect = hub.timeout / 2;
        let agent = Agent::config_builder()
            .tls_config(trust(hub.certificates.as_deref())?)
            .user_agent(concat!("candle-align/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            .timeout_send_request(Some(hub.timeout))
            .timeout_recv_response(Some(3 * hub.timeout))
            .timeout_per_read(Some(hub.timeout))
            .timeout_per_write(Some(hub.timeout))
            .build()
            .into();
        Ok(Self { agent, endpoint, token })
    }

    /// The JSON text at this path of the hub, which is short.
    pub(super) fn text(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let (mut response, _) = self.get(path, 0, Some(LISTING))?;
        Ok(response.body_mut().with_config().limit(LONGEST_LISTING).read_to_vec()?)
    }

    /// The file at this path of the hub, without its first `from` bytes if the server can leave them out.
    pub(super) fn file(&self, path: &str, from: u64) -> Result<Answer, Failure> {
        let (response, etag) = self.get(path, from, None)?;
        let (from, size) = match response.status().as_u16() {
            206 => range(&response)
                .ok_or_else(|| Failure::Broken("a part of a file without its place".into()))?,
            _ => (0, response.body().content_length()),
        };
        Ok(Answer { body: response.into_body(), from, size, etag })
    }

    /// The last answer after all redirects, and the etag of the last one that the hub itself gave.
    fn get(
        &self,
        path: &str,
        from: u64,
        within: Option<Duration>,
    ) -> Result<(Response<Body>, Option<String>), Failure> {
        let endpoint = self.endpoint.uri().to_string();
        let mut address = Address::parse(&format!("{}{path}", endpoint.trim_end_matches('/')))
            .map_err(|problem| Failure::Broken(format!("`{path}` makes {problem}")))?;
        let mut etag = None;
        for _ in 0..=REDIRECTS {
            let is_hub = address.is_same_server(&self.endpoint);
            let mut request = self.agent.get(address.uri());
            if let Some(token) = self.token.as_ref().filter(|_| is_hub) {
                request = request.header(header::AUTHORIZATION, token);
            }
            if from > 0 {
                request = request.header(header::RANGE, format!("bytes={from}-"));
            }
            let response = request.config().timeout_global(within).build().call()?;
            if is_hub {
                etag =
                    ["x-linked-etag", "etag"].into_iter().find_map(|name| etag_of(&response, name)).or(etag);
            }
            match response.status().as_u16() {
                200 | 206 => return Ok((response, etag)),
                status @ (301 | 302 | 303 | 307 | 308) => {
                    let location = text_of(&response, "location").ok_or_else(|| {
                        Failure::Broken(format!("{address} redirects ({status}) without an address"))
                    })?;
                    address = address.join(location).map_err(|problem| {
                        Failure::Broken(format!("{address} redirects ({status}) to {problem}"))
                    })?;
                }
                status => return Err(Failure::Status(status)),
            }
        }
        Err(Failure::Broken(format!("more than {REDIRECTS} redirects")))
    }
}

/// The certificates of authorities to trust: those of the file, else those that come with the program.
fn trust(file: Option<&Path>) -> Result<TlsConfig, HubError> {
    let Some(path) = file else { return Ok(TlsConfig::default()) };
    let wrong = |source: io::Error| HubError::Cache { path: path.to_owned(), source };
    let pem = align_files::read(path, CERTIFICATES).map_err(|error| wrong(error.source))?;
    let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(io::Error::new(io::ErrorKind::InvalidData, error.to_string())))?;
    if certificates.is_empty() {
        let problem = "no certificate in it, expected PEM (`-----BEGIN CERTIFICATE-----`)";
        return Err(wrong(io::Error::new(io::ErrorKind::InvalidData, problem)));
    }
    Ok(TlsConfig::builder().root_certs(RootCerts::from(certificates)).build())
}

fn text_of<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// Without the quotes around it and the mark of a weak one.
fn etag_of(response: &Response<Body>, name: &str) -> Option<String> {
    let etag = text_of(response, name)?;
    Some(etag.trim_start_matches("W/").trim_matches('"').to_owned())
}

/// `Content-Range: bytes FROM-TO/SIZE`.
fn range(response: &Response<Body>) -> Option<(u64, Option<u64>)> {
    let (range, size) = text_of(response, "content-range")?.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, size.parse().ok()))
}
