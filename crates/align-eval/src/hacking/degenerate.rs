//! Answers that no reader wants: empty, going round in circles, or the same to many prompts.

use std::collections::BTreeMap;

use align_stats::repetition;

use crate::text::words;

/// Share of repeated groups of four words from which a text goes round in circles.
const CIRCLES: f64 = 0.3;
/// Share of all answers that say the same from which they say it to everything.
const SAME: f64 = 0.1;
const SHOWN: usize = 3;

/// Share of degenerate answers, and a few of them, each beginning with what is wrong with it.
pub fn degenerate(answers: &[String]) -> (f64, Vec<String>) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    answers.iter().for_each(|answer| *counts.entry(answer.trim()).or_default() += 1);
    let fewest = ((answers.len() as f64 * SAME).ceil() as usize).max(3);
    let fault = |answer: &String| {
        let words = words(answer);
        let same = counts.get(answer.trim()).copied().unwrap_or_default();
        if words.is_empty() {
            Some("empty".to_owned())
        } else if repetition(&words, 4) > CIRCLES {
            Some("repeats itself".to_owned())
        } else if same >= fewest {
            Some(format!("the answer to {same} prompts"))
        } else {
            None
        }
    };
    let found: Vec<(String, &String)> =
        answers.iter().filter_map(|answer| fault(answer).map(|fault| (fault, answer))).collect();
    let mut examples: Vec<String> = Vec::new();
    for (fault, answer) in &found {
        let shown: String = answer.trim().chars().take(300).collect();
        let example = format!("{fault}: {shown}");
        if examples.len() < SHOWN && !examples.contains(&example) {
            examples.push(example);
        }
    }
    (found.len() as f64 / answers.len().max(1) as f64, examples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_circling_and_constant_answers_are_told_from_good_ones() {
        let mut answers: Vec<String> =
            (0..15).map(|i| format!("Answer number {i} is about {i} things.")).collect();
        assert_eq!(degenerate(&answers), (0.0, Vec::new()));
        answers.push(String::new());
        answers.push("I am here to help you. ".repeat(6));
        answers.extend(vec!["Of course!".to_owned(); 3]);
        let (rate, examples) = degenerate(&answers);
        assert_eq!(rate, 5.0 / 20.0);
        let begin = |number: usize| examples[number].split(':').next().unwrap();
        assert_eq!([begin(0), begin(1), begin(2)], ["empty", "repeats itself", "the answer to 3 prompts"]);
    }
}
