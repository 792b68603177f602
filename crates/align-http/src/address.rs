//! What can be an address, found before anything is sent there.

use std::fmt;

use ureq::http::uri::Scheme;
use ureq::http::{HeaderValue, Uri};

/// An address that cannot be one, as it may be shown: `` `ftp://h`: neither http nor https ``.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadAddress {
    /// The address, without a user's name and password.
    pub found: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl fmt::Display for BadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.found, self.problem)
    }
}

/// Refuses an address that nothing can be sent to, or that holds a password, which would be written into reports.
///
/// # Errors
/// Says what is wrong, without the password.
pub fn check_address(url: &str) -> Result<(), BadAddress> {
    let refuse = |problem| Err(BadAddress { found: url.to_owned(), problem });
    if let Some((before, after)) = url.rsplit_once('@') {
        let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
        let problem = "a user name or password in it would be written into reports; give it as the key";
        return Err(BadAddress { found: format!("{scheme}://…@{after}"), problem });
    }
    let Ok(uri) = url.parse::<Uri>() else { return refuse("no address") };
    let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
        return refuse("no address");
    };
    let after_host = &authority.as_str()[authority.host().len()..];
    if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS {
        return refuse("neither http nor https");
    }
    if authority.host().is_empty() || (!after_host.is_empty() && authority.port_u16().is_none()) {
        return refuse("no host, or a port that is none");
    }
    Ok(())
}

/// Whether a key can stand in a header: one line of ASCII.
pub fn is_sendable(key: &str) -> bool {
    key.is_ascii() && HeaderValue::from_str(key).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_before_anything_is_asked() {
        for good in ["http://localhost:8000/v1", "https://host/score?kind=2", "http://[::1]:8000", "HTTP://h"]
        {
            check_address(good).unwrap();
        }
        for bad in ["", "judge", "localhost:8000", "ftp://h/v1", "http://", "http:///v1", "http://h:99999/v1"]
        {
            assert!(check_address(bad).expect_err(bad).to_string().starts_with(&format!("`{bad}`: ")));
        }
        let shown = check_address("https://user:pass@w0rd@host/v1").unwrap_err().to_string();
        assert!(shown.starts_with("`https://…@host/v1`: a user name or password"), "{shown}");
    }
}
