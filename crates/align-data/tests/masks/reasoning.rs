//! What the assistant thinks before it answers.

use align_data::{LearnedPart, Message, tokenize_demonstrations};

use crate::{conversation, runs, unlimited, with_template};

/// As Qwen3's: reasoning of the turn that answers the last question is written, that of earlier turns is not.
const STRIPPING: &str = "{% set last = namespace(at=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set last.at = loop.index0 %}\
    {% endif %}{% endfor %}{% for m in messages %}[{{ m.role }}]{% if m.role == 'assistant' %}{% set thought = m.reasoning_content %}\
    {% set said = m.content %}{% if '</think>' in said %}{% set thought = said.split('</think>')[0].split('<think>')[-1] %}\
    {% set said = said.split('</think>')[-1] %}{% endif %}{% if loop.index0 > last.at %}<think>{{ thought }}</think>{% endif %}{{ said }}\
    {% else %}{{ m.content }}{% endif %}<|im_end|>{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";

fn turn(role: &str, content: &str, reasoning: &str) -> Message {
    let mut turn = Message::new(role, content);
    if !reasoning.is_empty() {
        turn.extra.insert("reasoning_content".to_owned(), reasoning.into());
    }
    turn
}

fn learned(
    template: &str,
    messages: Vec<Message>,
    reasoning: bool,
) -> Result<Vec<Vec<(String, bool)>>, String> {
    let (_dir, tokenizer) = with_template(template);
    let part = LearnedPart { train_on_reasoning: Some(reasoning), ..LearnedPart::default() };
    let rows = part.of_reasoning(vec![conversation(messages)]);
    let rows = tokenize_demonstrations(&rows, &tokenizer, &unlimited(), &part);
    let (rows, _) = rows.map_err(|error| error.to_string())?;
    Ok(rows.iter().map(|row| runs(&tokenizer, row)).collect())
}

fn two_turns() -> Vec<Message> {
    let within = turn("assistant", "<think>because</think>b", "");
    vec![turn("user", "a", ""), within, turn("user", "c", ""), turn("assistant", "d", "therefore")]
}

fn row(context: &str, learned: &str) -> Vec<(String, bool)> {
    vec![(context.to_owned(), false), (learned.to_owned(), true)]
}

#[test]
fn each_turn_is_learned_with_its_reasoning_after_what_the_model_will_see_before_it() {
    let rows = learned(STRIPPING, two_turns(), true).unwrap();
    let first = row("[user]a<|im_end|>[assistant]", "<think>because</think>b<|im_end|>");
    let second = row(
        "[user]a<|im_end|>[assistant]b<|im_end|>[user]c<|im_end|>[assistant]",
        "<think>therefore</think>d<|im_end|>",
    );
    assert_eq!(rows, [first, second]);
    // Where no earlier turn has any, a conversation is one row.
    let one = learned(STRIPPING, two_turns().split_off(2), true).unwrap();
    assert_eq!(one, [row("[user]c<|im_end|>[assistant]", "<think>therefore</think>d<|im_end|>")]);
}

#[test]
fn reasoning_that_is_not_learned_is_not_there() {
    let plain = "{% for m in messages %}[{{ m.role }}]{{ m.content }}<|im_end|>{% endfor %}\
                 {% if add_generation_prompt %}[assistant]{% endif %}";
    let rows = learned(plain, two_turns(), false).unwrap();
    let expected = [
        row("[user]a<|im_end|>[assistant]", "b<|im_end|>"),
        row("[user]c<|im_end|>[assistant]", "d<|im_end|>"),
    ];
    assert_eq!(rows, [expected.concat()]);
    // A template that writes an empty thought says that there was none.
    let last = learned(STRIPPING, two_turns().split_off(2), false).unwrap();
    assert_eq!(last, [row("[user]c<|im_end|>[assistant]", "<think></think>d<|im_end|>")]);
}

#[test]
fn a_template_that_does_not_know_reasoning_is_refused_where_it_is_to_be_learned() {
    let plain = "{% for m in messages %}[{{ m.role }}]{{ m.content }}<|im_end|>{% endfor %}\
                 {% if add_generation_prompt %}[assistant]{% endif %}";
    let error = learned(plain, two_turns(), true).unwrap_err();
    assert!(error.contains("does not write the reasoning of the last turn"), "{error}");
}
