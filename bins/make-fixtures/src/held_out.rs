//! What the answers of the held-out pairs give away by themselves: how many are known from training, and what looking them
//! up or a bag of words reaches without a look at the question. A model's accuracy is to be read beside these.

use std::convert::Infallible;
use std::fmt;

use align_data::{KnownAnswers, PreferencePair};
use align_stats::{BagOfWords, Contrast, spread};
use align_world::split::{PREFERENCE_TEST, PREFERENCE_VALIDATION};
use align_world::{Preference, World};

/// The figures of one file of pairs against all pairs that are trained on.
pub(crate) struct Giveaways {
    file: &'static str,
    known: KnownAnswers,
    words: f64,
}

/// Of the files that something is chosen by and reported on.
pub(crate) fn giveaways(world: &World) -> Vec<Giveaways> {
    let training = pairs(world.preference_train.iter().chain(&world.preference_large_train));
    let Ok(bag) = BagOfWords::fit(spread(training.len()).map(|place| contrast(&training[place])));
    let files =
        [(PREFERENCE_VALIDATION, &world.preference_validation), (PREFERENCE_TEST, &world.preference_test)];
    let of = |(file, rows): (&'static str, &Vec<Preference>)| {
        let rows = pairs(rows);
        let Ok(words) = bag.accuracy(rows.iter().map(contrast));
        Giveaways { file, known: KnownAnswers::of_pairs(&training, &rows), words: words.unwrap_or(0.5) }
    };
    files.map(of).into()
}

impl fmt::Display for Giveaways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, known, words } = self;
        write!(
            f,
            "{file}: {} pairs; with an answer known from training under its label {:.1} %; without the question, looking \
             answers up decides {:.3} rightly, a bag of words and word pairs {words:.3}",
            known.rows,
            100.0 * known.share(),
            known.lookup_accuracy
        )
    }
}

/// The pairs as the data checks know them. What answers give away without the question is asked, so there is none.
fn pairs<'a>(rows: impl IntoIterator<Item = &'a Preference>) -> Vec<PreferencePair> {
    let answers = |row: &'a Preference| (row.chosen[0].content.as_str(), row.rejected[0].content.as_str());
    let (chosen, rejected): (Vec<_>, Vec<_>) = rows.into_iter().map(answers).unzip();
    PreferencePair::from_lists(vec![""; chosen.len()], chosen, rejected)
        .expect("the lists are of the same rows")
}

fn contrast(pair: &PreferencePair) -> Result<Contrast, Infallible> {
    Ok(Contrast::of_pair(&pair.chosen.readable(), &pair.rejected.readable()))
}

#[cfg(test)]
mod tests {
    use align_world::split::SEED;

    use super::*;

    #[test]
    fn held_out_answers_are_new_and_say_little_without_their_question() {
        for figures in giveaways(&World::new(SEED)) {
            assert!(figures.known.share() <= 0.1 && figures.known.lookup_accuracy <= 0.56, "{figures}");
            assert!(figures.words <= 0.65, "{figures}");
        }
    }

    #[test]
    fn an_answer_that_was_trained_on_is_found() {
        let mut world = World::new(SEED);
        world.preference_test = world.preference_train[..50].to_vec();
        let figures = giveaways(&world).pop().unwrap();
        assert_eq!(figures.known.share(), 1.0);
        assert!(figures.known.lookup_accuracy > 0.8 && figures.words > 0.65, "{figures}");
    }
}
