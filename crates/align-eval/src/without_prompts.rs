//! Accuracies on pairs that need no model: of the words of answers, and of answers that training has.

use align_data::{KnownAnswers, Ranking};
use align_report::Baseline;
use align_stats::{BagOfWords, Contrast, spread};

use crate::preferences::{PairSet, baseline};

/// What answers give away without their prompts, to be read beside accuracies on `held_out`: a bag of words fitted on the
/// answers of `training`, and looking answers up there.
pub fn without_prompts(training: &PairSet, held_out: &PairSet) -> Vec<Baseline> {
    let contrast = |ranking: &Ranking| {
        let [better, worse] = [0, 1].map(|place| ranking.answers.completions[place].readable());
        Ok::<_, std::convert::Infallible>(Contrast::of_pair(&better, &worse))
    };
    let order = spread(training.rankings().len());
    let Ok(bag) = BagOfWords::fit(order.map(|place| contrast(&training.rankings()[place])));
    let Ok(words) = bag.accuracy(held_out.rankings().iter().map(contrast));
    let known = KnownAnswers::of_rankings(training.rankings(), held_out.rankings());
    let examples = bag.examples();
    let note = format!("a bag of words fitted on the answers of {examples} pairs of {}", training.name());
    let share = 100.0 * known.share();
    let looked_up =
        format!("answers of {}; {share:.1} % of the pairs have one with the same label", training.name());
    [("answers alone", words, note), ("answers looked up", Some(known.lookup_accuracy), looked_up)]
        .into_iter()
        .filter_map(|(name, value, note)| Some(baseline(name, value?, &note)))
        .collect()
}
