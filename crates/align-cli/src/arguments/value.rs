//! A value of a config file, and the words that would follow the option's flag.
//!
//! What a word without quotes means in YAML, the option says: `no` is a switch that is off, a strategy or a language, and `1e-5`
//! a number. So no version of YAML has a say in it.

use clap::Arg;
use serde_json::{Number, Value as Json};

use super::schema::{self, Kind};

/// A key of a file with its value.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its line, from 1.
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) value: Value,
}

/// What a key is set to.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Nothing (`null`).
    Nothing,
    Truth(bool),
    /// A whole number in decimal digits.
    Integer(String),
    Number(String),
    /// A text in quotes.
    Text(String),
    /// Words without quotes, in YAML.
    Word(String),
    /// A date or a time.
    Date(String),
    List(Vec<Self>),
    Table(Vec<(String, Self)>),
}

impl Value {
    /// The words that would follow the flag of `arg`. The error continues "`key` …".
    pub(super) fn words(&self, arg: &Arg) -> Result<Vec<String>, String> {
        match self {
            Self::List(_) | Self::Table(_) if schema::takes_json(arg) => Ok(vec![self.json().to_string()]),
            Self::Table(entries) if schema::takes_pairs(arg) => {
                let pair = |(key, value): &(String, Self)| match value {
                    Self::List(_) | Self::Table(_) | Self::Nothing => {
                        Err(format!("has `{key}`, which is {}; expected a value", value.described()))
                    }
                    value => Ok(format!("{key}={}", value.shown())),
                };
                without_commas(arg, entries.iter().map(pair).collect::<Result<Vec<_>, _>>()?)
            }
            Self::Table(_) => Err("is a table; keys are flat, write its keys at the top level".into()),
            Self::List(_) if !schema::is_list(arg) => Err("takes one value, found a list".into()),
            Self::List(values) if values.is_empty() => {
                Err("is an empty list; remove the key to get the default".into())
            }
            Self::List(values) => without_commas(
                arg,
                values.iter().map(|value| value.word(arg)).collect::<Result<Vec<_>, _>>()?,
            ),
            one => Ok(vec![one.word(arg)?]),
        }
    }

    /// A single value as the word that it is on a command line.
    fn word(&self, arg: &Arg) -> Result<String, String> {
        let kind = schema::kind(arg);
        let expected = match kind {
            Kind::Switch => "true or false",
            Kind::Integer => "a whole number",
            Kind::Number => "a number",
            Kind::Text => "a text in quotes",
            Kind::Parsed => "a single value",
        };
        let word = match (self, kind) {
            (Self::Truth(flag), Kind::Switch | Kind::Parsed) => Some(flag.to_string()),
            (Self::Text(text), Kind::Text | Kind::Parsed) => Some(text.clone()),
            (Self::Integer(number), Kind::Integer | Kind::Number | Kind::Parsed)
            | (Self::Number(number), Kind::Number | Kind::Parsed) => Some(number.clone()),
            (Self::Word(word), Kind::Switch) => yaml_truth(word).map(|flag| flag.to_string()),
            (Self::Word(word), Kind::Integer) => whole(word),
            (Self::Word(word), Kind::Number) => number(word),
            (Self::Word(word), Kind::Text) => Some(word.clone()),
            (Self::Word(word), Kind::Parsed) => {
                // As Python writes them.
                let is_truth = matches!(word.as_str(), "True" | "False" | "TRUE" | "FALSE");
                Some(if is_truth { word.to_ascii_lowercase() } else { word.clone() })
            }
            _ => None,
        };
        word.ok_or_else(|| format!("expects {expected}, found {}", self.described()))
    }

    /// What an option is given that takes JSON.
    fn json(&self) -> Json {
        match self {
            Self::Nothing => Json::Null,
            Self::Truth(flag) => Json::Bool(*flag),
            Self::Integer(text) | Self::Number(text) => {
                json_number(text).unwrap_or_else(|| text.clone().into())
            }
            Self::Text(text) | Self::Date(text) => Json::String(text.clone()),
            // As the core schema of YAML 1.2 has it: here no option says what is expected.
            Self::Word(word) => match word.as_str() {
                "true" | "True" | "TRUE" => Json::Bool(true),
                "false" | "False" | "FALSE" => Json::Bool(false),
                word => number(word).and_then(|text| json_number(&text)).unwrap_or_else(|| word.into()),
            },
            Self::List(values) => values.iter().map(Self::json).collect(),
            Self::Table(entries) => entries.iter().map(|(key, value)| (key.clone(), value.json())).collect(),
        }
    }

    /// The value as a message quotes it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Nothing => "null".to_owned(),
            Self::Truth(flag) => flag.to_string(),
            Self::Integer(text)
            | Self::Number(text)
            | Self::Text(text)
            | Self::Word(text)
            | Self::Date(text) => text.clone(),
            Self::List(_) | Self::Table(_) => self.json().to_string(),
        }
    }

    fn described(&self) -> String {
        match self {
            Self::Nothing => "nothing".to_owned(),
            Self::Text(text) => format!("the text \"{text}\""),
            Self::Word(word) => format!("`{word}`"),
            Self::Integer(number) | Self::Number(number) => format!("the number {number}"),
            Self::Truth(flag) => flag.to_string(),
            Self::Date(date) => format!("the date {date}"),
            Self::List(_) => "a list".to_owned(),
            Self::Table(_) => "a table".to_owned(),
        }
    }
}

/// Items of a list, of which none would be two on a command line.
fn without_commas(arg: &Arg, words: Vec<String>) -> Result<Vec<String>, String> {
    match (arg.get_value_delimiter(), words.iter().find(|word| word.contains(','))) {
        (Some(','), Some(word)) => Err(format!("has an item with a comma, `{word}`, which separates items")),
        _ => Ok(words),
    }
}

/// What a word without quotes says of a switch, in YAML 1.1 and 1.2.
fn yaml_truth(word: &str) -> Option<bool> {
    super::names::truth(word).filter(|_| !matches!(word, "0" | "1"))
}

/// A whole number in decimal digits. One that begins with 0 would be eight's to YAML 1.1, and ten's to YAML 1.2.
fn whole(word: &str) -> Option<String> {
    let digits = word.trim_start_matches(['-', '+']);
    let is_whole = digits.chars().all(|digit| digit.is_ascii_digit() || digit == '_');
    number(word).filter(|_| is_whole)
}

/// A decimal number as Rust reads it: `1e-5`, `.5`, `1_000`, `.inf`.
fn number(word: &str) -> Option<String> {
    let unsigned = word.strip_prefix(['-', '+']).unwrap_or(word);
    let sign = if word.starts_with('-') { "-" } else { "" };
    match unsigned {
        ".inf" | ".Inf" | ".INF" => return Some(format!("{sign}inf")),
        ".nan" | ".NaN" | ".NAN" => return Some("nan".to_owned()),
        _ => {}
    }
    let begins = unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    let is_octal =
        unsigned.len() > 1 && unsigned.starts_with('0') && !unsigned[1..].starts_with(['.', 'e', 'E']);
    let plain = format!("{sign}{}", unsigned.replace('_', ""));
    (begins && !is_octal && plain.parse::<f64>().is_ok()).then_some(plain)
}

/// The number in JSON; none for one that is not finite.
fn json_number(text: &str) -> Option<Json> {
    let whole = text.parse::<i64>().ok().map(Number::from);
    whole.or_else(|| Number::from_f64(text.parse().ok()?)).map(Json::Number)
}
