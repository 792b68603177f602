//! Work that no operator or loop shows: what a call or a constant costs by the length of texts.

use std::collections::BTreeMap;

use align_data::{ChatTemplate, Message, TemplateArguments};

use crate::{WORK, refused, render};

/// Each character of the text is looked for among all of those to strip.
#[test]
fn stripping_pays_for_the_text_and_the_characters_together() {
    let texts = "{% set text = 'a' * 1000000 %}{% set set = 'b' * 1000000 ~ 'a' %}";
    for call in [
        "text.strip(set)",
        "text.lstrip(set)",
        "text.rstrip(set)",
        "text|trim(set)",
        "text|trim(range(90000)|list)",
    ] {
        refused(&format!("{texts}{{{{ {call}|length }}}}"), WORK);
    }
    assert_eq!(
        render("{{ ' xax '.strip(' x') }} {{ 'xax'|trim('x') }} {{ 1|trim }} {{ ' a '|trim(none) }}")
            .unwrap(),
        "a a 1 a"
    );
    // What a long document is stripped of in practice.
    let document = [Message::new("user", " \n".repeat(2_000_000))];
    let template =
        ChatTemplate::new("{{ messages[0].content.strip(' \n\t\r')|length }}", BTreeMap::new()).unwrap();
    assert_eq!(template.render(&document, true, &TemplateArguments::default()).unwrap(), "0");
}

/// A megabyte of it in a loop is a megabyte of work with each turn, whatever is done with it.
#[test]
fn constants_and_names_that_are_repeated_are_paid_for() {
    let long = "a".repeat(900_000);
    let text = format!("'{long}'");
    for body in [
        format!("{{% if x in {text} %}}{{% endif %}}"),
        format!("{{% if {text} in x %}}{{% endif %}}"),
        format!("{{% if {text} == y %}}{{% endif %}}"),
        format!("{{% if y != {text} %}}{{% endif %}}"),
        format!("{{% if {text} < y %}}{{% endif %}}"),
        format!("{{% set z = {{{text}: i}} %}}"),
        format!("{{% set z = messages[0][{text}] %}}"),
        format!("{{% set z = {text}[1] %}}"),
        format!("{{% set z = messages[0].{long} %}}"),
        format!("{{% set z = {long} %}}"),
        format!("{{% set {long} = i %}}"),
        format!("{{% set z = namespace({long}=i) %}}"),
        format!("{{{{ {text} }}}}"),
    ] {
        refused(
            &format!(
                "{{% set x = 'b' * 900000 %}}{{% set y = 'a' * 900000 %}}{{% for i in range(100000) %}}{body}{{% endfor %}}"
            ),
            WORK,
        );
    }
    // A template that is longer than any real one, most of it text that a loop may write for each message.
    let instructions = "{{ 'You may call a function with these words. ' }}".repeat(1000);
    let source = format!(
        "{{% for m in messages %}}{{% if m.role == 'system' %}}{instructions}{{% endif %}}{{{{ m.content }}}}{{% endfor %}}"
    );
    let template = ChatTemplate::new(&source, BTreeMap::new()).unwrap();
    let messages: Vec<Message> = (0..2000).map(|_| Message::new("user", "word")).collect();
    assert_eq!(template.render(&messages, true, &TemplateArguments::default()).unwrap().len(), 8000);
}
