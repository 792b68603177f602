//! What names of the hub may look like. They become paths of the cache and parts of addresses, and a server or a repository
//! may have written them, so nothing else is taken for one.

/// Whether `name` can be a hub id: one or two parts of letters, digits, `-`, `_` and `.`.
pub(super) fn is_hub_id(name: &str) -> bool {
    let is_part = |part: &str| {
        part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && !part.is_empty()
            && !part.starts_with(['.', '-'])
    };
    let parts: Vec<&str> = name.split('/').collect();
    parts.len() <= 2 && parts.iter().all(|part| is_part(part))
}

/// Whether `name` is a commit: 40 hexadecimal digits.
pub(super) fn is_commit(name: &str) -> bool {
    name.len() == 40 && is_hexadecimal(name)
}

/// Whether `path` leads to a file below the folder that it is joined to, and to the same one on every system and in an
/// address. Branches and tags are such paths too.
pub(super) fn is_plain_path(path: &str) -> bool {
    path.split('/').all(is_plain)
}

/// Whether `name` is the name of a file and not a way to it.
pub(super) fn is_plain_name(name: &str) -> bool {
    !name.contains('/') && is_plain(name)
}

pub(super) fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_plain(part: &str) -> bool {
    let is_special = |c: char| c.is_control() || "?#\\:".contains(c);
    !matches!(part, "" | "." | "..") && !part.contains(is_special)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_stays_below_its_folder_and_is_nothing_else_in_an_address() {
        for good in
            ["main", "v1/rc", "refs/pr/3", "data/ein paar.jsonl", "a..b", ".gitattributes", "100%.json"]
        {
            assert!(is_plain_path(good), "{good}");
        }
        let bad = ["", "/etc/passwd", "..", "../x", "a/../../x", "a//b", "a/", "./a", "C:\\x", "C:x", "a\\b"];
        for bad in bad.into_iter().chain(["config.json?/../../x", "a#b", "a\nb", "a\u{9b}b", "a\0"]) {
            assert!(!is_plain_path(bad), "{bad:?}");
        }
        assert!(is_plain_name("d41d8cd98f-7") && !is_plain_name("a/b") && !is_plain_name(".."));
    }

    #[test]
    fn a_commit_is_40_digits() {
        assert!(is_commit("0123456789abcdef0123456789abcdef01234567"));
        for bad in ["main", "0123", "0123456789ABCDEF0123456789abcdef01234567", "../../../pwned-sha"] {
            assert!(!is_commit(bad), "{bad}");
        }
    }
}
