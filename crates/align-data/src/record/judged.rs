//! Two answers and what people, or another judge, thought of them.

use super::Candidates;

/// A judged pair: two answers to one prompt with the votes of one or more judges, as evaluation sets have them.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgedPair {
    /// The prompt and the two answers, in the order of the file.
    pub answers: Candidates,
    /// The judges' votes; at least one.
    pub votes: Vec<Vote>,
    /// The subset that the row belongs to, where the file says so.
    pub subset: Option<String>,
    /// The pair's place among those of a row that has lists of right and wrong answers.
    pub place: Option<ListPlace>,
}

/// A pair's place in a row of lists, as `RewardBench` 2 and RM-Bench have them: every right answer and every wrong one are in
/// some pair of the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPlace {
    /// The row's own name, or its place in the file.
    pub row: String,
    /// Which of the right answers is the first of the pair, and how many there are.
    pub chosen: (usize, usize),
    /// Which of the wrong ones is the second, and how many there are.
    pub rejected: (usize, usize),
}

/// A vote on which of two answers is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vote {
    /// The first.
    First,
    /// Neither.
    Tie,
    /// The second.
    Second,
}

impl JudgedPair {
    /// The majority of the votes: the answer with more of them; a tie where neither has.
    pub fn majority(&self) -> Vote {
        let count = |vote: Vote| self.votes.iter().filter(|&&other| other == vote).count();
        match count(Vote::First).cmp(&count(Vote::Second)) {
            std::cmp::Ordering::Greater => Vote::First,
            std::cmp::Ordering::Equal => Vote::Tie,
            std::cmp::Ordering::Less => Vote::Second,
        }
    }

    /// Share of pairs of judges who say the same; none with one judge.
    pub fn agreement(&self) -> Option<f64> {
        let judges = self.votes.len();
        let pairs = (0..judges).flat_map(|i| (i + 1..judges).map(move |j| (i, j)));
        let same = pairs.filter(|&(i, j)| self.votes[i] == self.votes[j]).count();
        (judges > 1).then(|| same as f64 / (judges * (judges - 1) / 2) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Origin, TemplateArguments};

    #[test]
    fn the_majority_decides_and_a_split_is_a_tie() {
        let pair = |votes: &[Vote]| JudgedPair {
            answers: Candidates {
                prompt: "p".into(),
                completions: vec!["a".into(), "b".into()],
                template: TemplateArguments::default(),
                origin: Origin::in_code(0),
            },
            votes: votes.to_vec(),
            subset: None,
            place: None,
        };
        let (first, tie, second) = (Vote::First, Vote::Tie, Vote::Second);
        assert_eq!(pair(&[second, tie, second]).majority(), second);
        assert_eq!(pair(&[first, tie, tie]).majority(), first, "a tie is no vote against");
        assert_eq!(pair(&[first, second, tie]).majority(), tie);
        assert_eq!(pair(&[first, first, second]).agreement(), Some(1.0 / 3.0));
        assert_eq!(pair(&[first]).agreement(), None);
    }
}
