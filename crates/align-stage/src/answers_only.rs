//! What the answers of a run's data give away without their prompts: the accuracy that a model's is to be read beside.

use align_data::{
    DataError, RowSource, StoredRow, TokenizedCompletion, TokenizedPair, TokenizedRanking, Tokenizer,
};
use align_stats::{BagOfWords, Contrast, spread};
use serde::Serialize;

/// A bag of words over the answers alone, fitted on training rows and measured on held-out ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AnswersOnly {
    /// Share of held-out pairs, or of held-out labels, that it gets right; a tie counts half.
    pub accuracy: f64,
    /// Training pairs or labels that it is fitted on: all, unless they have more than four million words.
    pub examples: usize,
}

/// A row with answers that are better or worse.
pub trait Answers {
    /// The evidence for either side, of each pair of answers or of the only answer.
    ///
    /// # Errors
    /// If token ids cannot be decoded.
    fn contrasts(&self, tokenizer: &Tokenizer) -> Result<Vec<Contrast>, DataError>;
}

impl Answers for TokenizedPair {
    fn contrasts(&self, tokenizer: &Tokenizer) -> Result<Vec<Contrast>, DataError> {
        of_ranked(&[&self.chosen, &self.rejected], tokenizer)
    }
}

impl Answers for TokenizedRanking {
    fn contrasts(&self, tokenizer: &Tokenizer) -> Result<Vec<Contrast>, DataError> {
        of_ranked(&self.answers.completions.iter().collect::<Vec<_>>(), tokenizer)
    }
}

impl Answers for TokenizedCompletion {
    fn contrasts(&self, tokenizer: &Tokenizer) -> Result<Vec<Contrast>, DataError> {
        Ok(vec![Contrast::of_label(&tokenizer.decode(&self.completion, true)?, self.desirable)])
    }
}

/// All pairs, the best answer first.
fn of_ranked(answers: &[&Vec<u32>], tokenizer: &Tokenizer) -> Result<Vec<Contrast>, DataError> {
    let texts = answers.iter().map(|answer| tokenizer.decode(answer, true));
    let texts: Vec<String> = texts.collect::<Result<_, _>>()?;
    let pairs = texts
        .iter()
        .enumerate()
        .flat_map(|(at, better)| texts[at + 1..].iter().map(move |worse| (better, worse)));
    Ok(pairs.map(|(better, worse)| Contrast::of_pair(better, worse)).collect())
}

impl AnswersOnly {
    /// The accuracy of a bag of words fitted on `train` and measured on `held_out`; none where either has no rows.
    ///
    /// # Errors
    /// If token ids cannot be decoded.
    pub fn of<'a, T: Answers + StoredRow + 'a>(
        train: impl Into<RowSource<'a, T>>,
        held_out: impl ExactSizeIterator<Item = &'a T>,
        tokenizer: &Tokenizer,
    ) -> Result<Option<Self>, DataError> {
        let train: RowSource<'a, T> = train.into();
        if train.is_empty() || held_out.len() == 0 {
            return Ok(None);
        }
        let contrasts = |row: &T| match row.contrasts(tokenizer) {
            Ok(contrasts) => contrasts.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        let of_training = |place| match train.get(place) {
            Ok(row) => contrasts(&row),
            Err(error) => vec![Err(error)],
        };
        let bag = BagOfWords::fit(spread(train.len()).flat_map(of_training))?;
        let accuracy = bag.accuracy(held_out.flat_map(contrasts))?;
        Ok(accuracy.map(|accuracy| Self { accuracy, examples: bag.examples() }))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use align_data::Origin;

    use super::*;

    #[test]
    fn prompts_are_not_read_and_templates_do_not_count() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tokenizer");
        let tokenizer = Tokenizer::load(fixtures).unwrap();
        let eos = tokenizer.eos_id().unwrap();
        let ids = |text: &str| [tokenizer.encode(text).unwrap(), vec![eos]].concat();
        let pair = |prompt: &str, chosen: &str, rejected: &str| TokenizedPair {
            prompt: ids(prompt),
            prompt_is_cut: false,
            chosen: ids(chosen),
            rejected: ids(rejected),
            reference: None,
            unlearned: Vec::new(),
            row: 0,
            origin: Origin::in_code(0),
        };
        let train = [pair("a", "the kind answer", "the rude answer"), pair("b", "be kind", "be rude")];
        let held_out =
            [pair("b", "so kind", "so rude"), pair("a", "so rude", "so kind"), pair("a", "that", "this")];
        let found = AnswersOnly::of(train.as_slice(), held_out.iter(), &tokenizer).unwrap();
        assert_eq!(found, Some(AnswersOnly { accuracy: 0.5, examples: 2 }));
        assert_eq!(AnswersOnly::of(train.as_slice(), [].iter(), &tokenizer).unwrap(), None);
    }
}
