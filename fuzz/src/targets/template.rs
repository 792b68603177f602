//! Chat templates.

use std::collections::BTreeMap;

use align_data::{ChatTemplate, Message, TemplateArguments};
use serde_json::json;

use crate::{Scratch, bounded};

/// A template's source, rendered for a short conversation with tools.
pub(crate) fn template(bytes: &[u8], _: &Scratch) {
    let source = String::from_utf8_lossy(bytes);
    let tokens = BTreeMap::from([("eos_token".to_owned(), "</s>".to_owned())]);
    let template = match ChatTemplate::new(&source, tokens) {
        Ok(template) => template,
        Err(error) => return bounded(error),
    };
    let mut call = Message::new("assistant", "I'll look.");
    call.extra
        .insert("tool_calls".to_owned(), json!([{"function": {"name": "f", "arguments": {"a": [1, 2.5]}}}]));
    let messages = [Message::new("system", "Be brief."), Message::new("user", "What is it?\n"), call];
    let arguments = TemplateArguments {
        tools: vec![json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}})],
        ..TemplateArguments::default()
    };
    if let Err(error) = template.render(&messages, true, &arguments) {
        bounded(error);
    }
}
