//! Chat templates: the Jinja program a tokenizer ships that turns messages into the text a model was trained on.
//!
//! The template is executed as transformers executes it (`trim_blocks`, `lstrip_blocks`, loop controls, the
//! functions of [`functions`], Python's string and dict methods), because retyping templates by hand is how
//! training text comes to differ from what the model sees later. It is found, in transformers' order, in
//! `chat_template.jinja` or under `chat_template` in `tokenizer_config.json`, where it may be a list of named
//! ones. `{% generation %}` marks say which parts are the assistant's ([`marks`]); they change nothing of the text.
//!
//! A template is a program that somebody else wrote, so it runs within bounds: `program` compiles it with a meter in it
//! (`metered`), its filters and methods pay for what they do (`bounded`), and `meter` holds what may be spent.

mod bounded;
mod functions;
mod marks;
mod meter;
mod metered;
mod program;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use minijinja::Value;
use serde_json::Map;

use crate::error::{DataError, Result};
use crate::guard::{guarded, shortened};
use crate::record::{Message, TemplateArguments};
use crate::tokenizer::{Files, TEMPLATE};
use program::Program;

/// The text of a conversation with what its template marks as the assistant's.
pub(crate) struct Marked {
    pub(crate) text: String,
    /// The marked parts, in bytes, none of them empty.
    pub(crate) parts: Vec<Range<usize>>,
}

/// A compiled chat template with the tokenizer's special tokens bound.
#[derive(Debug)]
pub struct ChatTemplate {
    named: BTreeMap<String, Program>,
    special_tokens: BTreeMap<String, String>,
}

impl ChatTemplate {
    /// The template of a model directory, if it has one.
    ///
    /// `config` is the parsed `tokenizer_config.json`, `special_tokens` maps `bos_token`, `eos_token`, … to
    /// their texts.
    ///
    /// # Errors
    /// An unreadable file, a `chat_template` of the wrong type, a template that does not compile.
    pub(crate) fn load(
        files: &Files,
        config: &Map<String, serde_json::Value>,
        special_tokens: BTreeMap<String, String>,
    ) -> Result<Option<Self>> {
        let (path, mut named) = if let Some(source) = files.get(TEMPLATE) {
            let path = files.path(TEMPLATE);
            let source = String::from_utf8(source.to_vec()).map_err(|_| DataError::Template {
                path: path.clone(),
                reason: "is no UTF-8 text".to_owned(),
            })?;
            (path, BTreeMap::from([("default".to_owned(), source)]))
        } else {
            let path = files.path("tokenizer_config.json");
            let named = named_in(&path, config.get("chat_template"))?;
            (path, named)
        };
        if !files.has_own_template {
            named.extend(additional(&files.of().join("additional_chat_templates"))?);
        }
        if !named.contains_key("default") {
            return Ok(None);
        }
        Self::compile(named, special_tokens).map(Some).map_err(|reason| DataError::Template { path, reason })
    }

    /// The source of the template that a path names: a template itself, or that of a model's directory.
    ///
    /// # Errors
    /// A file that cannot be read, or is no text; a directory without a template, or with several of which none is the
    /// default.
    pub fn source(path: &Path) -> Result<String> {
        let wrong =
            |reason: &str| DataError::Template { path: path.to_path_buf(), reason: reason.to_owned() };
        if path.is_file() && !align_gguf::GgufFile::is_at(path) {
            return read(path);
        }
        let files = Files::read(path)?;
        if let Some(source) = files.get(TEMPLATE) {
            return String::from_utf8(source.to_vec()).map_err(|_| wrong("is no UTF-8 text"));
        }
        let (config_path, config) = files.json_object("tokenizer_config.json")?;
        let mut named = named_in(&config_path, config.get("chat_template"))?;
        named.remove("default").ok_or_else(|| {
            wrong("is a directory that has neither chat_template.jinja nor `chat_template` in tokenizer_config.json")
        })
    }

    /// A template from its source.
    ///
    /// # Errors
    /// A source that does not compile.
    pub fn new(source: &str, special_tokens: BTreeMap<String, String>) -> Result<Self> {
        let named = BTreeMap::from([("default".to_owned(), source.to_owned())]);
        Self::compile(named, special_tokens)
            .map_err(|reason| DataError::Template { path: PathBuf::from("<source>"), reason })
    }

    /// The sources of all its templates, by name.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (&str, &str)> {
        self.named.iter().map(|(name, program)| (name.as_str(), program.source()))
    }

    /// The text of a conversation, with the header of the assistant's next turn if `add_generation_prompt`.
    ///
    /// # Errors
    /// What the template raises itself (`raise_exception`) or trips over, as a sentence without a location:
    /// the caller knows the row.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        arguments: &TemplateArguments,
    ) -> std::result::Result<String, String> {
        self.run(self.program(arguments)?, messages, add_generation_prompt, arguments, [])
    }

    /// The text of a conversation with the parts of it that the template marks as the assistant's
    /// (`{% generation %}`), in bytes; none if it marks none, or marks others' turns too.
    ///
    /// # Errors
    /// As [`render`](Self::render); and marks that do not survive what the template does with the text between them.
    pub(crate) fn render_marked(
        &self,
        messages: &[Message],
        arguments: &TemplateArguments,
    ) -> std::result::Result<Option<Marked>, String> {
        let program = self.program(arguments)?;
        let marked = |messages: &[Message], arguments: &TemplateArguments| {
            self.run(program, messages, false, arguments, marks::VARIABLES)
        };
        let is_of_assistants = || {
            let user = marked(&[Message::new("user", "a")], &TemplateArguments::default());
            user.map_or(true, |text| !marks::are_in(&text))
        };
        if !program.marks_turns(is_of_assistants) {
            return Ok(None);
        }
        let text = self.run(program, messages, false, arguments, [])?;
        let parts = marks::parts(&text, &marked(messages, arguments)?)?;
        Ok(Some(Marked { text, parts }))
    }

    /// The template for a conversation with these tools, or without any.
    fn program(&self, arguments: &TemplateArguments) -> std::result::Result<&Program, String> {
        let default = self.named.get("default").ok_or("there is no template named `default`")?;
        let tool_use = self.named.get("tool_use").filter(|_| !arguments.tools.is_empty());
        Ok(tool_use.unwrap_or(default))
    }

    fn run(
        &self,
        program: &Program,
        messages: &[Message],
        add_generation_prompt: bool,
        arguments: &TemplateArguments,
        marks: impl IntoIterator<Item = (&'static str, &'static str)>,
    ) -> std::result::Result<String, String> {
        let tools = (!arguments.tools.is_empty()).then_some(&arguments.tools);
        let mut variables: BTreeMap<&str, Value> = BTreeMap::new();
        for (name, token) in &self.special_tokens {
            variables.insert(name, Value::from(token.as_str()));
        }
        for (name, value) in &arguments.chat_template_kwargs {
            variables.insert(name, from_serde(value));
        }
        variables.insert("messages", messages.iter().map(plain_message).collect());
        variables.insert("tools", from_serde(tools));
        variables.insert("documents", Value::from(()));
        variables.insert("add_generation_prompt", Value::from(add_generation_prompt));
        variables.extend(marks.into_iter().map(|(name, mark)| (name, Value::from(mark))));
        let run = || program.run(Value::from_pairs(variables)).map_err(|error| complaint(&error));
        let budget = units_of(messages, arguments);
        guarded(|| meter::within(budget, run)).unwrap_or_else(|panic| Err(format!("fails with `{panic}`")))
    }

    fn compile(
        named: BTreeMap<String, String>,
        special_tokens: BTreeMap<String, String>,
    ) -> std::result::Result<Self, String> {
        let mut programs = BTreeMap::new();
        for (name, source) in named {
            if source.contains("strftime_now") {
                tracing::warn!(
                    "the chat template may write today's date into every prompt (strftime_now): \
                     token ids can differ from one day to the next"
                );
            }
            // Jinja2 reads every line ending as "\n".
            let source = source.replace("\r\n", "\n").replace('\r', "\n");
            programs.insert(name, Program::compile(marks::as_conditions(&source))?);
        }
        Ok(Self { named: programs, special_tokens })
    }
}

/// What a conversation weighs, for the budget of its rendering.
fn units_of(messages: &[Message], arguments: &TemplateArguments) -> u64 {
    let message = |message: &Message| {
        let content = message.content.as_deref().map_or(0, meter::units_of);
        let extra = message.extra.iter().map(|(_, value)| 1 + meter::units_of_json(value));
        3 + meter::units_of(&message.role) + content + extra.sum::<u64>()
    };
    let given = arguments.tools.iter().chain(arguments.chat_template_kwargs.values());
    messages.iter().map(message).sum::<u64>() + given.map(meter::units_of_json).sum::<u64>()
}

fn read(path: &Path) -> Result<String> {
    Ok(align_files::read_to_string(path, program::LONGEST_SOURCE as u64)?)
}

/// The templates under `chat_template`: one, or a list of `{name, template}`.
fn named_in(path: &Path, value: Option<&serde_json::Value>) -> Result<BTreeMap<String, String>> {
    let wrong = || DataError::Template {
        path: path.to_path_buf(),
        reason: "`chat_template` must be a string or a list of objects with `name` and `template`".to_owned(),
    };
    match value {
        None | Some(serde_json::Value::Null) => Ok(BTreeMap::new()),
        Some(serde_json::Value::String(source)) => {
            Ok(BTreeMap::from([("default".to_owned(), source.clone())]))
        }
        Some(serde_json::Value::Array(entries)) => entries
            .iter()
            .map(|entry| {
                let text = |key: &str| entry.get(key).and_then(|v| v.as_str()).map(str::to_owned);
                text("name").zip(text("template")).ok_or_else(wrong)
            })
            .collect(),
        Some(_) => Err(wrong()),
    }
}

/// Named templates that newer versions of transformers keep as `additional_chat_templates/NAME.jinja`.
fn additional(dir: &Path) -> Result<BTreeMap<String, String>> {
    let mut named = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir(dir) else { return Ok(named) };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if let (Some(name), Some("jinja")) =
            (path.file_stem().and_then(|s| s.to_str()), path.extension().and_then(|e| e.to_str()))
        {
            named.insert(name.to_owned(), read(&path)?);
        }
    }
    Ok(named)
}

/// A message as the template sees it: without keys that are null, which transformers drops too.
fn plain_message(message: &Message) -> Value {
    let text = |text: &String| Value::from(text.as_str());
    let content = message.content.as_ref().map(|content| ("content", text(content)));
    let extra = message.extra.iter().filter(|(_, value)| !value.is_null());
    let pairs = [("role", text(&message.role))].into_iter().chain(content);
    Value::from_pairs(pairs.chain(extra.map(|(key, value)| (key.as_str(), from_serde(value)))))
}

fn from_serde(value: impl serde::Serialize) -> Value {
    Value::from(minijinja::value::Serde(value))
}

/// The innermost reason, which is what the template's author wrote into `raise_exception`.
fn complaint(error: &minijinja::Error) -> String {
    let line = error.line().map(|line| format!(" (line {line} of the template)")).unwrap_or_default();
    format!("{}{line}", error.detail().map_or_else(|| error.kind().to_string(), shortened))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str, messages: &[Message]) -> std::result::Result<String, String> {
        let tokens = BTreeMap::from([("eos_token".to_owned(), "</s>".to_owned())]);
        ChatTemplate::new(source, tokens).unwrap().render(messages, false, &TemplateArguments::default())
    }

    #[test]
    fn generation_marks_change_nothing() {
        let body = "{{ m.content }}{{ eos_token }}";
        let plain =
            format!("{{% for m in messages %}}\n{{%- if true %}}\n{body}\n{{%- endif -%}}\n{{% endfor %}}");
        let marked = plain.replace("if true", "generation").replace("endif", "endgeneration");
        let messages = [Message::new("assistant", "a"), Message::new("assistant", "b")];
        assert_eq!(render(&marked, &messages), render(&plain, &messages));
        assert_eq!(render(&marked, &messages).unwrap(), "a</s>b</s>");
    }

    #[test]
    fn exceptions_raised_by_the_template_reach_the_user() {
        let source = "{% if messages[0].role != 'user' %}{{ raise_exception('user must begin') }}{% endif %}";
        let error = render(source, &[Message::new("assistant", "a")]).unwrap_err();
        assert_eq!(error, "user must begin (line 1 of the template)");
    }

    #[test]
    fn a_template_that_does_not_compile_is_an_error() {
        let error = ChatTemplate::new("{% if %}", BTreeMap::new()).unwrap_err();
        assert!(
            error.to_string().starts_with("chat template of <source>: unexpected end of block"),
            "{error}"
        );
    }
}
