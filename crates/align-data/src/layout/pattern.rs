//! Patterns of paths, as `datasets` resolves them in a list of a data set's files.
//!
//! `*` and `?` are any characters of one name, `[ab-d]` one of these (`[!…]` none of them), `**` as a whole name is any
//! number of folders. Hidden files and folders, and folders with two underscores before their name, match only where
//! the pattern names such.

/// Whether a path is a pattern of paths: it has `*`, `?`, or `[` with a `]` behind it.
pub fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?']) || path.split_once('[').is_some_and(|(_, rest)| rest.contains(']'))
}

/// A pattern of paths.
pub(crate) struct Pattern<'a>(Vec<&'a str>);

impl<'a> Pattern<'a> {
    /// Reads a pattern; none is wrong, `[` without `]` stands for itself.
    pub(crate) fn new(pattern: &'a str) -> Self {
        let mut parts: Vec<&str> =
            pattern.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        parts.dedup_by(|next, part| *next == "**" && *part == "**");
        Self(parts)
    }

    /// Whether the path matches.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        self.asks_for(&names, |name| name.starts_with('.'))
            && self.folders().asks_for(&names[..names.len().saturating_sub(1)], |name| name.starts_with("__"))
            && self.matches_names(&names)
    }

    /// Whether the last part says this very name.
    pub(crate) fn ends_with(&self, name: &str) -> bool {
        self.0.last() == Some(&name)
    }

    /// Folders that a pattern begins with, and those that have to be looked through below them; none is any number.
    pub(crate) fn place(&self) -> (&[&'a str], Option<usize>) {
        let plain = self.0.iter().take_while(|part| !part.contains(['*', '?', '['])).count();
        let plain = plain.min(self.0.len().saturating_sub(1));
        let depth = (!self.0.contains(&"**")).then(|| self.0.len() - plain);
        (&self.0[..plain], depth)
    }

    fn folders(&self) -> Self {
        Self(self.0[..self.0.len().saturating_sub(1)].to_vec())
    }

    fn asks_for(&self, names: &[&str], is_special: impl Fn(&str) -> bool) -> bool {
        let special = |parts: &[&str]| parts.iter().filter(|part| is_special(part)).count();
        special(&self.0) == special(names)
    }

    /// For each number of names, whether the parts so far can match exactly these: no pattern takes longer than the
    /// product of both lengths.
    fn matches_names(&self, names: &[&str]) -> bool {
        let mut reached = vec![false; names.len() + 1];
        reached[0] = true;
        for (number, part) in self.0.iter().enumerate() {
            let is_last = number + 1 == self.0.len();
            let mut next = vec![false; names.len() + 1];
            for at in 0..=names.len() {
                let (here, before) = (reached[at], at.checked_sub(1));
                next[at] = match (*part, before) {
                    // At the end something has to come: a folder's name is no file in it.
                    ("**", Some(before)) => next[before] || if is_last { reached[before] } else { here },
                    ("**", None) => here && !is_last,
                    (part, Some(before)) => {
                        reached[before] && matches_name(part.as_bytes(), names[before].as_bytes())
                    }
                    (_, None) => false,
                };
            }
            reached = next;
        }
        reached[names.len()]
    }
}

/// One part against one name. Of several `*` only the last is ever tried anew, which is enough.
fn matches_name(part: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match one(&part[p..], name[n]) {
            One::Star => {
                star = Some((p, n));
                p += 1;
            }
            One::Yes(length) => {
                p += length;
                n += 1;
            }
            One::No => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, n) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    part[p..].iter().all(|byte| *byte == b'*')
}

enum One {
    Star,
    /// The byte matches what takes this much of the pattern.
    Yes(usize),
    No,
}

fn one(part: &[u8], byte: u8) -> One {
    match part {
        [b'*', ..] => One::Star,
        [b'?', ..] => One::Yes(1),
        [b'[', rest @ ..] => match set(rest) {
            Some((set, length)) if holds(set, byte) => One::Yes(length + 2),
            Some(_) => One::No,
            None if byte == b'[' => One::Yes(1),
            None => One::No,
        },
        [same, ..] if *same == byte => One::Yes(1),
        _ => One::No,
    }
}

/// What stands between the brackets, of which the first may be `]` itself, and its length.
fn set(rest: &[u8]) -> Option<(&[u8], usize)> {
    let skipped = if rest.first() == Some(&b'!') { 2 } else { 1 };
    let length = skipped + rest.get(skipped..)?.iter().position(|byte| *byte == b']')?;
    Some((&rest[..length], length))
}

fn holds(set: &[u8], byte: u8) -> bool {
    match set {
        [b'!', set @ ..] => !holds_one(set, byte),
        set => holds_one(set, byte),
    }
}

fn holds_one(set: &[u8], byte: u8) -> bool {
    match set {
        [from, b'-', to, rest @ ..] => (*from..=*to).contains(&byte) || holds_one(rest, byte),
        [same, rest @ ..] => *same == byte || holds_one(rest, byte),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_those_of_python() {
        let check = |pattern: &str, yes: &[&str], no: &[&str]| {
            for path in yes {
                assert!(Pattern::new(pattern).matches(path), "{pattern} {path}");
            }
            for path in no {
                assert!(!Pattern::new(pattern).matches(path), "{pattern} {path}");
            }
        };
        check("*.csv", &["a.csv"], &["b/a.csv", ".csv", "a.csvs"]);
        check("data/train-*", &["data/train-0.parquet"], &["data/a/train-0", "train-0"]);
        check(
            "data/**",
            &["data/a", "data/b/c"],
            &["a", "data/.hidden", "data/.git/a", "data/__pycache__/a"],
        );
        check("**/a*/**", &["x/ab/c", "a/b/c"], &["x/ab", "ab"]);
        check("**", &["a", "b/c"], &[".a", "__b/c"]);
        check("**/*.json", &["a.json", "b/c/a.json"], &["a.jsonl"]);
        check("__b/*", &["__b/c"], &["b/c"]);
        check("**/*[-._ 0-9]train[-._ 0-9]*", &["x/a_train.csv", "1train2"], &["train.csv", "xtrain.csv"]);
        check("[!a]?c", &["bbc"], &["abc", "bc"]);
        check("a[", &["a["], &["a"]);
        check("*a*a*a*a*a*a*b", &["aaaaaaab"], &[&"a".repeat(5000)]);
        check("./a//b", &["a/b"], &[]);
    }

    #[test]
    fn a_pattern_says_where_to_look() {
        assert_eq!(Pattern::new("data/x/*.parquet").place(), (&["data", "x"][..], Some(1)));
        assert_eq!(Pattern::new("*/train*").place(), (&[][..], Some(2)));
        assert_eq!(Pattern::new("a/**/b*").place(), (&["a"][..], None));
    }
}
