//! Answers of several turns in pairs and by themselves.

use align_data::{
    DataError, Message, Origin, PreferencePair, TemplateArguments, TokenizeOptions, TokenizeReport,
    TokenizedPair, Tokenizer, UnpairedPreference, tokenize_pairs, tokenize_unpaired,
};
use serde_json::json;

use crate::{CHAT, marked, turns, unlimited, unmarked, with_template};

/// A call, its result, and the reply.
fn called(reply: &str) -> Vec<Message> {
    turns(&[("assistant", "call"), ("tool", "result"), ("assistant", reply)])
}

fn pair(chosen: Vec<Message>, rejected: Vec<Message>) -> PreferencePair {
    PreferencePair {
        prompt: turns(&CHAT[..2]).into(),
        chosen: chosen.into(),
        rejected: rejected.into(),
        reference: None,
        template: TemplateArguments::default(),
        origin: Origin::in_code(0),
    }
}

fn of_pair(
    tokenizer: &Tokenizer,
    pair: PreferencePair,
    options: &TokenizeOptions,
) -> Result<(TokenizedPair, TokenizeReport), DataError> {
    let (mut rows, report) = tokenize_pairs(&[pair], tokenizer, options)?;
    Ok((rows.remove(0), report))
}

/// The texts of runs of tokens that are learned alike.
fn runs(tokenizer: &Tokenizer, ids: &[u32], mask: &[bool]) -> Vec<(String, bool)> {
    let mut begin = 0;
    let run = |run: &[bool]| {
        let ids = &ids[begin..begin + run.len()];
        begin += run.len();
        (tokenizer.decode(ids, false).unwrap(), run[0])
    };
    mask.chunk_by(|a, b| a == b).map(run).collect()
}

#[test]
fn what_a_tool_says_in_an_answer_is_not_learned() {
    for (template, end) in [(marked(), ""), (unmarked(), "\n")] {
        let (_dir, tokenizer) = with_template(&template);
        let one = turns(&[("assistant", "no")]);
        let (row, report) = of_pair(&tokenizer, pair(called("yes"), one.clone()), &unlimited()).unwrap();
        let masks: Vec<_> = row.learned().collect();
        let chosen = runs(&tokenizer, &row.chosen, &masks[0]);
        let learned: Vec<_> = chosen.iter().filter(|(_, learned)| *learned).map(|(text, _)| text).collect();
        assert_eq!(learned, [&format!("call<|im_end|>{end}"), &format!("yes<|im_end|>{end}")]);
        let whole: String = chosen.iter().map(|(text, _)| text.as_str()).collect();
        assert!(whole.contains("<result>result</result>"), "{whole}");
        // An answer of one turn is learned whole, as it always was, after the same prompt.
        let (alone, _) = of_pair(&tokenizer, pair(one.clone(), one), &unlimited()).unwrap();
        assert_eq!((&alone.prompt, &alone.chosen), (&row.prompt, &row.rejected));
        assert!(alone.unlearned.is_empty() && masks[1].iter().all(|&learned| learned));
        assert_eq!(report.supervised_tokens, masks.concat().iter().filter(|&&learned| learned).count());
        assert_eq!(report.turns_by_marks + report.turns_by_rendering, 1);
    }
}

#[test]
fn a_cut_answer_is_learned_as_far_as_it_goes() {
    let (_dir, tokenizer) = with_template(&unmarked());
    let (whole, _) = of_pair(&tokenizer, pair(called("yes"), called("no")), &unlimited()).unwrap();
    let masks: Vec<_> = whole.learned().collect();
    for max in whole.prompt.len() + 1..whole.prompt.len() + whole.chosen.len() {
        let options = TokenizeOptions { max_length: Some(max), ..TokenizeOptions::default() };
        let (row, _) = of_pair(&tokenizer, pair(called("yes"), called("no")), &options).unwrap();
        for (mask, whole) in row.learned().zip(&masks) {
            assert_eq!(mask, whole[..mask.len()]);
        }
    }
}

#[test]
fn a_single_answer_is_learned_alike_and_so_is_what_was_cut_off_it() {
    let (_dir, tokenizer) = with_template(&unmarked());
    let record = || UnpairedPreference {
        prompt: turns(&CHAT[..2]).into(),
        completion: called("yes").into(),
        label: true,
        template: TemplateArguments::default(),
        origin: Origin::in_code(0),
    };
    let row =
        |options: &TokenizeOptions| tokenize_unpaired(&[record()], &tokenizer, options).unwrap().0.remove(0);
    let (pair, _) = of_pair(&tokenizer, pair(called("yes"), called("no")), &unlimited()).unwrap();
    let whole = row(&unlimited());
    let of_chosen = pair.unlearned.iter().copied().filter(|&at| (at as usize) < pair.chosen.len());
    assert_eq!((&whole.completion, &whole.unlearned), (&pair.chosen, &of_chosen.collect()));
    let options = TokenizeOptions { max_length: Some(whole.prompt.len() + 3), ..TokenizeOptions::default() };
    let cut = row(&options);
    assert_eq!([cut.completion, cut.cut_off].concat(), whole.completion);
    assert_eq!(cut.unlearned, whole.unlearned);
}

#[test]
fn weights_of_turns_hold_in_pairs_too() {
    let (_dir, tokenizer) = with_template(&unmarked());
    let weighed = |weight: serde_json::Value| {
        let mut answer = called("yes");
        answer[0].extra.insert("weight".to_owned(), weight);
        of_pair(&tokenizer, pair(answer, called("no")), &unlimited()).map_err(|error| error.to_string())
    };
    let count = |weight| weighed(weight).unwrap().0.unlearned.len();
    assert!(count(json!(0)) > count(json!(1)));
    assert!(weighed(json!(0.5)).unwrap_err().contains("`weight`: expected 0 or 1, found 0.5"));
    // An answer of which nothing is to be learned teaches nothing.
    let mut answer = turns(&[("assistant", "a")]);
    answer[0].extra.insert("weight".to_owned(), json!(0));
    let error = of_pair(&tokenizer, pair(answer, called("no")), &unlimited()).unwrap_err().to_string();
    assert!(error.contains("no token to learn"), "{error}");
}

#[test]
fn a_template_that_does_not_tell_the_turns_apart_is_refused_by_the_turn() {
    let template = "{% for m in messages %}[{{ m.role }}]{% if m.role == 'assistant' and not loop.last %}-{% else %}\
                    {{ m.content }}{% endif %}</s>{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";
    let (_dir, tokenizer) = with_template(template);
    let error = of_pair(&tokenizer, pair(called("yes"), called("no")), &unlimited()).unwrap_err();
    assert!(error.to_string().starts_with("row 1: turn 3: the chat template writes the turns"), "{error}");
    let one = |text| turns(&[("assistant", text)]);
    assert!(of_pair(&tokenizer, pair(one("yes"), one("no")), &unlimited()).is_ok());
}
