//! A Modelfile: how Ollama runs a GGUF file.
//!
//! Ollama has templates of its own kind. Where the model's chat template is text before and after each turn, as most are, that
//! text is found by rendering turns that are known; where it is not, Ollama is left to what it finds in the file itself.

use align_data::{Message, TemplateArguments, Tokenizer};

/// Turns that no template contains.
const SYSTEM: &str = "qSystemq";
const PROMPT: &str = "qPromptq";
const ANSWER: &str = "qAnswerq";

/// The Modelfile of a model, or of an adapter over `from`, with the template and the end of `tokenizer`.
pub(crate) fn modelfile(from: &str, adapter: Option<&str>, tokenizer: &Tokenizer) -> String {
    let mut lines = vec![format!("FROM {from}")];
    lines.extend(adapter.map(|adapter| format!("ADAPTER {adapter}")));
    if let Some(template) = template(tokenizer) {
        lines.push(format!("TEMPLATE \"\"\"{template}\"\"\""));
    }
    if let Some(eos) = tokenizer.eos().filter(|eos| !eos.text.contains('"')) {
        lines.push(format!("PARAMETER stop \"{}\"", eos.text));
    }
    lines.join("\n") + "\n"
}

/// The chat template in Ollama's words, if it can be said so.
fn template(tokenizer: &Tokenizer) -> Option<String> {
    let turn = |role: &str, text: &str| Message::new(role, text);
    let render = |turns: &[Message], next: bool| {
        let text = tokenizer.chat_template()?.render(turns, next, &TemplateArguments::default()).ok()?;
        // What the tokenizer puts in front of a text anyway, the server does too.
        let bos = tokenizer.bos().filter(|_| !tokenizer.prefix().is_empty());
        Some(bos.and_then(|bos| text.strip_prefix(&bos.text)).map_or(text.clone(), str::to_owned))
    };
    let (user, answer) = (turn("user", PROMPT), turn("assistant", ANSWER));
    let whole = render(&[turn("system", SYSTEM), user.clone(), answer.clone()], false)?;
    let (before_system, rest) = whole.split_once(SYSTEM)?;
    let (after_system, rest) = rest.split_once(PROMPT)?;
    let (before_answer, after_answer) = rest.split_once(ANSWER)?;
    // Without a system message: what comes instead, and what the two ways have in common.
    let plain = render(&[user.clone(), answer], false)?;
    let (instead, _) = plain.split_once(PROMPT)?;
    let common = common_end(after_system, instead);
    let (after_system, before_prompt) = after_system.split_at(after_system.len() - common);
    let instead = &instead[..instead.len() - common];
    // The text that is answered must be what training saw.
    let is_right = render(&[user], true)? == format!("{instead}{before_prompt}{PROMPT}{before_answer}");
    let texts = [before_system, after_system, instead, before_prompt, before_answer, after_answer];
    if !is_right || texts.iter().any(|text| text.contains("{{") || text.contains("\"\"\"")) {
        return None;
    }
    let otherwise = if instead.is_empty() { String::new() } else { format!("{{{{ else }}}}{instead}") };
    Some(format!(
        "{{{{ if .System }}}}{before_system}{{{{ .System }}}}{after_system}{otherwise}{{{{ end }}}}\
         {{{{ if .Prompt }}}}{before_prompt}{{{{ .Prompt }}}}{{{{ end }}}}{before_answer}{{{{ .Response }}}}{after_answer}"
    ))
}

/// Bytes that both end with, from where a mark or a line begins.
fn common_end(a: &str, b: &str) -> usize {
    let pairs = a.chars().rev().zip(b.chars().rev());
    let same: usize = pairs.take_while(|(a, b)| a == b).map(|(letter, _)| letter.len_utf8()).sum();
    let common = &a[a.len() - same..];
    common.find(['<', '[', '\n']).map_or(same, |at| same - at)
}
