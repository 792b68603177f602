//! Where the prompt ends when a row holds only two whole transcripts.
//!
//! The prompt is what both share, but not simply the longest common prefix: two answers that both begin
//! with "I'm sorry, but" would lose their first words to the prompt, which changes what is learned and the
//! lengths that length-averaged losses divide by. So the split is made at the last place where a reply
//! begins in both: after the last shared `\n\nAssistant:` (the hh-rlhf layout; a few of its rows diverge
//! before their last turn), in conversations before the last assistant turn with a shared past. Texts
//! without such a turn have no prompt that could be told from the answers (TRL would cut them between
//! words): most often their `prompt` column is missing or misspelled. Always `prompt + answer == original`.
//! Only a transcript that ends with the bare turn marker yields an empty answer, which the caller reports.

use crate::record::Message;

const ASSISTANT_TURN: &str = "\n\nAssistant:";

/// The byte at which the prompt of transcripts ends, the same in all; none if they share no turn.
pub(super) fn of_texts(transcripts: &[&str]) -> Option<usize> {
    let (first, others) = transcripts.split_first()?;
    let shared = others.iter().map(|other| shared_prefix(first, other)).min().unwrap_or(first.len());
    first[..shared].rfind(ASSISTANT_TURN).map(|at| at + ASSISTANT_TURN.len())
}

/// The number of messages that make the prompt of conversations, none of which is empty.
pub(super) fn of_messages(conversations: &[Vec<Message>]) -> usize {
    let Some((first, others)) = conversations.split_first() else { return 0 };
    let shared = |other: &Vec<Message>| first.iter().zip(other).take_while(|(a, b)| a == b).count();
    let shared = others.iter().map(shared).min().unwrap_or(first.len());
    let shortest = conversations.iter().map(Vec::len).min().unwrap_or(1);
    let longest = shared.min(shortest - 1);
    let reply = |at: &usize| conversations.iter().all(|turns| turns[*at].role == "assistant");
    (0..=longest).rev().find(reply).unwrap_or(longest)
}

/// Length in bytes of the longest common prefix that ends between characters.
fn shared_prefix(a: &str, b: &str) -> usize {
    let same = a.chars().zip(b.chars()).take_while(|(x, y)| x == y);
    same.map(|(c, _)| c.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split<'a>(chosen: &'a str, rejected: &'a str) -> (&'a str, &'a str, &'a str) {
        let at = of_texts(&[chosen, rejected]).unwrap();
        assert_eq!(chosen[..at], rejected[..at]);
        (&chosen[..at], &chosen[at..], &rejected[at..])
    }

    #[test]
    fn transcripts_split_at_the_last_shared_assistant_turn() {
        let (prompt, chosen, rejected) =
            split("\n\nHuman: hi\n\nAssistant: I'm glad", "\n\nHuman: hi\n\nAssistant: I'm not");
        assert_eq!((prompt, chosen, rejected), ("\n\nHuman: hi\n\nAssistant:", " I'm glad", " I'm not"));
    }

    #[test]
    fn transcripts_that_diverge_earlier_split_at_the_turn_they_still_share() {
        let shared = "\n\nHuman: a\n\nAssistant:";
        let (prompt, chosen, rejected) = split(
            "\n\nHuman: a\n\nAssistant: yes\n\nHuman: b\n\nAssistant: c",
            "\n\nHuman: a\n\nAssistant: no\n\nHuman: b\n\nAssistant: d",
        );
        assert_eq!(prompt, shared);
        assert_eq!(chosen, " yes\n\nHuman: b\n\nAssistant: c");
        assert_eq!(rejected, " no\n\nHuman: b\n\nAssistant: d");
    }

    #[test]
    fn texts_without_a_shared_turn_have_no_prompt() {
        assert_eq!(of_texts(&["The sky is blue", "The sky is black"]), None);
        assert_eq!(of_texts(&["\n\nHuman: a\n\nAssistant: b", "\n\nHuman: c\n\nAssistant: d"]), None);
    }

    #[test]
    fn conversations_split_before_the_last_reply_with_a_shared_past() {
        let turns = |texts: &[(&str, &str)]| -> Vec<Message> {
            texts.iter().map(|(role, text)| Message::new(*role, *text)).collect()
        };
        let chosen = turns(&[("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]);
        let rejected = turns(&[("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "e")]);
        assert_eq!(of_messages(&[chosen.clone(), rejected]), 3);
        assert_eq!(of_messages(&[chosen.clone(), chosen.clone()]), 3);
        let diverged = turns(&[("user", "a"), ("assistant", "b"), ("user", "other"), ("assistant", "e")]);
        assert_eq!(of_messages(&[chosen, diverged]), 1);
    }

    proptest! {
        #[test]
        fn a_split_is_shared_and_leaves_both_an_answer(
            past in "[a-c \n]{0,20}", a in "[a-cé \n]{1,9}", b in "[a-cé \n]{1,9}",
        ) {
            let shared = format!("{past}\n\nAssistant:");
            let (chosen, rejected) = (format!("{shared}{a}"), format!("{shared}{b}"));
            let (prompt, x, y) = split(&chosen, &rejected);
            prop_assert_eq!(format!("{prompt}{x}"), chosen.clone());
            prop_assert_eq!(format!("{prompt}{y}"), rejected.clone());
            prop_assert!(!x.is_empty() && !y.is_empty());
        }
    }
}
