//! YAML as a tree in which each value knows its line.
//!
//! Strangers write it, so it has bounds: depth, values, and no aliases, with which a line can stand for any number of values.
//! What a word without quotes means (`1e-5`, `no`, `true`) is for those to say who know what they wait for; YAML 1.1 and 1.2
//! answer differently.

use saphyr_parser::{Event, Parser, ScalarStyle};

/// A value, and the line (from 1) that it begins on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its line.
    pub line: usize,
    /// What it is.
    pub value: Value,
}

/// What a [`Node`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing: an empty value, `~` or `null`.
    Null,
    /// A word or words without quotes.
    Plain(String),
    /// A text in quotes, or a block of text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys with their lines and values, in the file's order.
    Table(Vec<(usize, String, Node)>),
}

/// What is no YAML, or YAML that is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Error {
    /// The line of the text, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

const DEEPEST: usize = 32;
const MOST_VALUES: usize = 200_000;

/// The one document of a text; none if it is empty.
///
/// # Errors
/// What is no YAML, has aliases, tags, a key twice or a second document, or is deeper or longer than any that people write.
pub fn parse(text: &str) -> Result<Option<Node>, Error> {
    let mut open: Vec<Open> = Vec::new();
    let mut document = None;
    let mut values = 0;
    for event in Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        let wrong = |line, reason: &str| Err(Error { line, reason: reason.to_owned() });
        let (event, place) = match event {
            Ok(event) => event,
            Err(error) => return wrong(error.marker().line(), error.info()),
        };
        let line = place.start.line();
        let (line, value) = match event {
            Event::Scalar(.., Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                return wrong(line, "a tag (`!name`), which is not read: write the value without it");
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() == DEEPEST => {
                return wrong(line, "nested too deeply");
            }
            Event::Scalar(text, style, ..) => (line, scalar(text.into_owned(), style)),
            Event::SequenceStart(..) => {
                open.push(Open::List(line, Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Table { line, entries: Vec::new(), key: None });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(line, values)) => (line, Value::List(values)),
                Some(Open::Table { line, entries, .. }) => {
                    if let Some((line, key)) = repeated(&entries) {
                        return wrong(line, &format!("a key that stands twice: `{key}`"));
                    }
                    (line, Value::Table(entries))
                }
                None => return wrong(line, "an end without a beginning"),
            },
            Event::Alias(_) => {
                return wrong(line, "an alias (`*name`), which is not read: write out what it stands for");
            }
            Event::DocumentStart(_) if document.is_some() => return wrong(line, "a second document"),
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => continue,
            Event::DocumentEnd | Event::StreamEnd => continue,
        };
        values += 1;
        if values > MOST_VALUES {
            return wrong(line, "too many values");
        }
        let whole = Node { line, value };
        match open.last_mut() {
            None => document = Some(whole),
            Some(Open::List(_, values)) => values.push(whole),
            Some(Open::Table { key: key @ None, .. }) => match whole.value {
                Value::Plain(text) | Value::Text(text) => *key = Some((line, text)),
                Value::Null => *key = Some((line, String::new())),
                _ => return wrong(line, "a key that is a list or a table"),
            },
            Some(Open::Table { entries, key, .. }) => {
                let (line, key) = key.take().unwrap_or_default();
                entries.push((line, key, whole));
            }
        }
    }
    Ok(document.filter(|node: &Node| node.value != Value::Null))
}

/// What has begun and not ended.
enum Open {
    List(usize, Vec<Node>),
    Table {
        line: usize,
        entries: Vec<(usize, String, Node)>,
        /// The key whose value comes next.
        key: Option<(usize, String)>,
    },
}

fn scalar(text: String, style: ScalarStyle) -> Value {
    match (style, text.as_str()) {
        (ScalarStyle::Plain, "" | "~" | "null" | "Null" | "NULL") => Value::Null,
        (ScalarStyle::Plain, _) => Value::Plain(text),
        _ => Value::Text(text),
    }
}

/// The first key that stands twice, with the line of its second time.
fn repeated(entries: &[(usize, String, Node)]) -> Option<(usize, &str)> {
    let mut keys: Vec<(&str, usize)> = entries.iter().map(|(line, key, _)| (key.as_str(), *line)).collect();
    keys.sort_unstable();
    let twice = keys.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    twice.map(|pair| (pair[1].1, pair[1].0)).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(line: usize, value: Value) -> Node {
        Node { line, value }
    }

    #[test]
    fn what_people_write_is_read_with_its_lines() {
        let text = "\u{feff}# a recipe\nrate: 1e-5\nname:\n  two words\nlist:\n- a\n- 'b'\nnone:\n";
        let plain = |text: &str| Value::Plain(text.to_owned());
        let expected = Value::Table(vec![
            (2, "rate".to_owned(), node(2, plain("1e-5"))),
            (3, "name".to_owned(), node(4, plain("two words"))),
            (
                5,
                "list".to_owned(),
                node(6, Value::List(vec![node(6, plain("a")), node(7, Value::Text("b".to_owned()))])),
            ),
            (8, "none".to_owned(), node(8, Value::Null)),
        ]);
        let found = parse(text).unwrap().unwrap();
        assert_eq!(found.value, expected);
        assert_eq!(parse("").unwrap(), None);
        assert_eq!(parse("# nothing\n").unwrap(), None);
    }

    #[test]
    fn what_is_not_read_is_refused_with_its_line() {
        let check = |text: &str, expected: &str| {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        };
        check("a: 1\nb: [1", "line ");
        check("a: &x 1\nb: *x\n", "line 2: an alias");
        check("a: 1\n<<: *x\n", "line 2: ");
        check("a: !!python/name:os.system x\n", "line 1: a tag");
        check("a: 1\nb: 2\na: 3\n", "line 3: a key that stands twice: `a`");
        check("? [a]\n: 1\n", "line 1: a key that is a list");
        check("a: 1\n---\nb: 1\n", "line 2: a second document");
        check(&"[".repeat(40), "line 1: nested too deeply");
        check(&"[".repeat(100_000), "line 1: ");
        check(&"- a\n".repeat(200_001), "line 200001: too many values");
    }
}
