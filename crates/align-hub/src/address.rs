//! Addresses of the hub and of where it sends to.

use std::fmt;

use ureq::http::Uri;
use ureq::http::uri::Scheme;

/// An absolute `http` or `https` address, without user and password.
#[derive(Clone, Debug)]
pub(super) struct Address(Uri);

impl Address {
    /// Reads an address; what is wrong with it does not repeat it, for it may hold a secret.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let uri: Uri = text.parse().map_err(|_| "no address such as https://huggingface.co")?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err("no address such as https://huggingface.co");
        };
        if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS {
            return Err("an address that begins neither with https:// nor with http://");
        }
        if authority.as_str().contains('@') {
            return Err("an address with a user name or a password in it");
        }
        let after_host = &authority.as_str()[authority.host().len()..];
        if authority.host().is_empty() || (!after_host.is_empty() && authority.port_u16().is_none()) {
            return Err("an address without a host or with a port that is none");
        }
        Ok(Self(uri))
    }

    /// Where `location` leads, which a server at this address answered with.
    pub(super) fn join(&self, location: &str) -> Result<Self, &'static str> {
        let (scheme, host) = (if self.is_encrypted() { "https" } else { "http" }, self.authority());
        let target = if location.contains("://") {
            Self::parse(location)?
        } else if location.starts_with("//") {
            Self::parse(&format!("{scheme}:{location}"))?
        } else if location.starts_with('/') {
            Self::parse(&format!("{scheme}://{host}{location}"))?
        } else {
            let folder = self.0.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            Self::parse(&format!("{scheme}://{host}{folder}/{location}"))?
        };
        if self.is_encrypted() && !target.is_encrypted() {
            return Err("an address without encryption");
        }
        Ok(target)
    }

    /// Whether both are the same server: scheme, host and port.
    pub(super) fn is_same_server(&self, other: &Self) -> bool {
        let server = |it: &Self| (it.is_encrypted(), it.host().to_ascii_lowercase(), it.port());
        server(self) == server(other)
    }

    /// Whether what is sent there cannot be read on the way: encrypted, or on this machine.
    pub(super) fn is_private(&self) -> bool {
        let host = self.host().trim_start_matches('[').trim_end_matches(']');
        let is_here = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        self.is_encrypted() || is_here || host.eq_ignore_ascii_case("localhost")
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.0
    }

    fn is_encrypted(&self) -> bool {
        self.0.scheme() == Some(&Scheme::HTTPS)
    }

    fn authority(&self) -> &str {
        self.0.authority().map_or("", |authority| authority.as_str())
    }

    fn host(&self) -> &str {
        self.0.host().unwrap_or_default()
    }

    fn port(&self) -> u16 {
        self.0.port_u16().unwrap_or(if self.is_encrypted() { 443 } else { 80 })
    }
}

/// Only the server: what follows it may be a signature that opens the file to everybody.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.authority())
    }
}

/// `text` as a part of an address: everything but letters, digits, `-`, `.`, `_` and `~` in hexadecimal, and slashes as
/// they are.
pub(super) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let part = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn what_is_no_plain_address_is_refused_without_repeating_it() {
        for bad in [
            "",
            "hub",
            "/a",
            "ftp://h/x",
            "http://",
            "http:///x",
            "http://h:99999/",
            "http://h:/",
            "http://u:p@h/",
        ] {
            let problem = Address::parse(bad).expect_err(bad);
            assert!(problem.contains("address") && !problem.contains("u:p"), "{bad}: {problem}");
        }
    }

    #[test]
    fn a_location_is_joined_as_browsers_do_and_never_less_encrypted() {
        let base = address("https://hub.co/a/b?c");
        let joined = |location: &str| base.join(location).map(|it| it.uri().to_string());
        assert_eq!(joined("/x?y").unwrap(), "https://hub.co/x?y");
        assert_eq!(joined("x").unwrap(), "https://hub.co/a/x");
        assert_eq!(joined("//cdn.co/x").unwrap(), "https://cdn.co/x");
        assert_eq!(joined("https://cdn.co:8443/x").unwrap(), "https://cdn.co:8443/x");
        assert_eq!(joined("http://hub.co/x").unwrap_err(), "an address without encryption");
        assert!(address("http://hub.co/").join("https://hub.co/").is_ok());
    }

    #[test]
    fn a_server_is_its_scheme_host_and_port() {
        let hub = address("https://Hub.co/a");
        assert!(hub.is_same_server(&address("https://hub.co:443/b")));
        for other in [
            "http://hub.co/a",
            "https://hub.co:444/a",
            "https://hub.co.evil.com/a",
            "https://evil.com/hub.co",
        ] {
            assert!(!hub.is_same_server(&address(other)), "{other}");
        }
        let private = |text: &str| address(text).is_private();
        assert!(private("https://hub.co") && private("http://127.0.0.1:1") && private("http://[::1]:1"));
        assert!(private("http://localhost:8000") && !private("http://hub.co") && !private("http://10.0.0.1"));
    }

    #[test]
    fn parts_of_addresses_hold_no_command_of_theirs() {
        assert_eq!(encoded("data/ein paar?#%.jsonl"), "data/ein%20paar%3F%23%25.jsonl");
        assert_eq!(encoded("ü"), "%C3%BC");
    }
}
