//! What is kept of rows while they pass by: hashes of texts and counts, never a text. A row is looked at by itself, on any
//! thread; what was seen of training rows is then compared with held-out ones.

use super::{DatasetChecks, EvaluationChecks, Hash, KnownAnswers, PairChecks, UnpairedChecks, hash};
use crate::record::Text;

/// What the checks keep of one row.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(super) prompt: Option<Hash>,
    pub(super) row: Hash,
    pub(super) is_blank: bool,
    /// Its answers of which it is said that they are good (true) or bad.
    pub(super) answers: Vec<(Hash, bool)>,
    /// Characters of the chosen and the rejected answer of a pair, and whether the two are the same.
    pub(super) lengths: Option<(usize, usize, bool)>,
}

impl Look {
    /// A row of these texts.
    pub(super) fn new(prompt: Option<&Text>, answers: &[&Text]) -> Self {
        let row = hash(&(prompt, answers));
        Self { prompt: prompt.map(hash), row, is_blank: false, answers: Vec::new(), lengths: None }
    }
}

/// What was seen of all training rows.
#[derive(Default)]
pub(crate) struct Seen {
    /// The rows; those of undesirable answers apart.
    rows: Vec<Hash>,
    disliked: Vec<Hash>,
    prompts: Vec<Hash>,
    /// Answers that are good, and answers that are bad, as often as they occur.
    good: Vec<Hash>,
    bad: Vec<Hash>,
    blank: usize,
    kind: Kind,
}

/// What more is checked.
#[derive(Default)]
enum Kind {
    #[default]
    Plain,
    /// Pairs: how many chosen answers are longer (ties counting half), the characters of either answer, identical ones.
    Pairs {
        longer: f64,
        lengths: [f64; 2],
        identical: usize,
    },
    Labelled,
}

impl Seen {
    /// Nothing yet, of pairs.
    pub(crate) fn of_pairs() -> Self {
        Self { kind: Kind::Pairs { longer: 0.0, lengths: [0.0; 2], identical: 0 }, ..Self::default() }
    }

    /// Nothing yet, of labelled answers.
    pub(crate) fn of_labelled() -> Self {
        Self { kind: Kind::Labelled, ..Self::default() }
    }

    /// Adds a training row.
    pub(crate) fn add(&mut self, look: Look) {
        let is_disliked = matches!(self.kind, Kind::Labelled) && look.answers.iter().any(|(_, good)| !good);
        (if is_disliked { &mut self.disliked } else { &mut self.rows }).push(look.row);
        self.prompts.extend(look.prompt);
        for (answer, is_good) in look.answers {
            (if is_good { &mut self.good } else { &mut self.bad }).push(answer);
        }
        self.blank += usize::from(look.is_blank);
        if let (Kind::Pairs { longer, lengths, identical }, Some((chosen, rejected, is_same))) =
            (&mut self.kind, look.lengths)
        {
            *longer += if chosen > rejected { 1.0 } else { f64::from(chosen == rejected) / 2.0 };
            lengths[0] += chosen as f64;
            lengths[1] += rejected as f64;
            *identical += usize::from(is_same);
        }
    }

    /// The checks, against evaluation rows if there are any.
    pub(crate) fn compared(mut self, evaluation: Option<&[Look]>) -> DatasetChecks {
        let count = self.rows.len() + self.disliked.len();
        let [liked, disliked] = [&self.rows, &self.disliked].map(Vec::len);
        for hashes in [&mut self.rows, &mut self.disliked, &mut self.prompts] {
            hashes.sort_unstable();
            hashes.dedup();
        }
        self.good.sort_unstable();
        self.bad.sort_unstable();
        let has = |hashes: &[Hash], hash: &Hash| hashes.binary_search(hash).is_ok();
        let is_compared = !matches!(self.kind, Kind::Plain);
        let evaluation = evaluation.map(|looks| EvaluationChecks {
            rows: looks.len(),
            prompts_in_training: looks
                .iter()
                .filter(|look| look.prompt.is_some_and(|prompt| has(&self.prompts, &prompt)))
                .count(),
            rows_in_training: looks
                .iter()
                .filter(|look| has(&self.rows, &look.row) || has(&self.disliked, &look.row))
                .count(),
            known_answers: is_compared.then(|| KnownAnswers::of(&self, looks)),
        });
        let mean = |sum: f64| if count == 0 { 0.0 } else { sum / count as f64 };
        let (pairs, unpaired) = match self.kind {
            Kind::Plain => (None, None),
            Kind::Pairs { longer, lengths: [chosen, rejected], identical } => {
                let (mean_chosen_length, mean_rejected_length) = (mean(chosen), mean(rejected));
                let chosen_longer = mean(longer);
                let identical_answers = identical;
                (
                    Some(PairChecks {
                        identical_answers,
                        chosen_longer,
                        mean_chosen_length,
                        mean_rejected_length,
                    }),
                    None,
                )
            }
            Kind::Labelled => {
                let labelled_both_ways = self.rows.iter().filter(|row| has(&self.disliked, row)).count();
                (None, Some(UnpairedChecks { desirable: liked, undesirable: disliked, labelled_both_ways }))
            }
        };
        let duplicate_rows = count - self.rows.len() - self.disliked.len();
        DatasetChecks { rows: count, duplicate_rows, blank_answers: self.blank, pairs, unpaired, evaluation }
    }

    /// How often training has an answer as a good one, and as a bad one; once the rows are compared.
    pub(super) fn sides(&self, answer: Hash) -> [usize; 2] {
        [&self.good, &self.bad].map(|hashes| {
            let begin = hashes.partition_point(|hash| *hash < answer);
            hashes[begin..].partition_point(|hash| *hash == answer)
        })
    }
}
