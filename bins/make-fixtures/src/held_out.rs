//! What the answers of the held-out pairs give away by themselves: how many are known from training, and what looking them
//! up or a bag of words reaches without a look at the question. A model's accuracy is to be read beside these.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;

use align_stats::{BagOfWords, Contrast, spread};
use align_world::{Preference, World};

/// The figures of one file of pairs against all pairs that are trained on.
pub(crate) struct Giveaways {
    file: &'static str,
    pairs: usize,
    known: f64,
    looked_up: f64,
    words: f64,
}

/// Of the files that something is chosen by and reported on.
pub(crate) fn giveaways(world: &World) -> Vec<Giveaways> {
    let training: Vec<&Preference> =
        world.preference_train.iter().chain(&world.preference_large_train).collect();
    let contrasts = spread(training.len()).map(|place| Ok(contrast(training[place])));
    let Ok(bag) = BagOfWords::fit::<Infallible>(contrasts);
    // How much more often an answer was chosen than rejected, and whether it was either.
    let mut seen: BTreeMap<&str, (i64, [bool; 2])> = BTreeMap::new();
    for row in training {
        let (chosen, rejected) = answers(row);
        for (answer, side) in [(chosen, 1), (rejected, -1)] {
            let (balance, labels) = seen.entry(answer).or_default();
            *balance += side;
            labels[usize::from(side < 0)] = true;
        }
    }
    let of = |(file, rows): (&'static str, &[Preference])| {
        let label = |answer: &str, side: usize| seen.get(answer).is_some_and(|(_, labels)| labels[side]);
        let balance = |answer: &str| seen.get(answer).map_or(0, |(balance, _)| balance.signum());
        let known = |row: &Preference| {
            let (chosen, rejected) = answers(row);
            f64::from(u8::from(label(chosen, 0) || label(rejected, 1)))
        };
        let looked_up = |row: &Preference| {
            let (chosen, rejected) = answers(row);
            0.5 + 0.5 * (balance(chosen) - balance(rejected)).signum() as f64
        };
        let Ok(words) = bag.accuracy::<Infallible>(rows.iter().map(|row| Ok(contrast(row))));
        Giveaways {
            file,
            pairs: rows.len(),
            known: mean(rows.iter().map(known)),
            looked_up: mean(rows.iter().map(looked_up)),
            words: words.unwrap_or(0.5),
        }
    };
    let files = [
        (align_world::split::PREFERENCE_VALIDATION, world.preference_validation.as_slice()),
        (align_world::split::PREFERENCE_TEST, world.preference_test.as_slice()),
    ];
    files.map(of).into()
}

impl fmt::Display for Giveaways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, pairs, known, looked_up, words } = self;
        write!(
            f,
            "{file}: {pairs} pairs; with an answer known from training under its label {:.1} %; without the question, \
             looking answers up decides {looked_up:.3} rightly, a bag of words and word pairs {words:.3}",
            100.0 * known
        )
    }
}

fn answers(row: &Preference) -> (&str, &str) {
    (&row.chosen[0].content, &row.rejected[0].content)
}

fn contrast(row: &Preference) -> Contrast {
    let (chosen, rejected) = answers(row);
    Contrast::of_pair(chosen, rejected)
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use align_world::split::SEED;

    use super::*;

    #[test]
    fn held_out_answers_are_new_and_say_little_without_their_question() {
        for figures in giveaways(&World::new(SEED)) {
            assert!(figures.known <= 0.1 && figures.looked_up <= 0.56, "{figures}");
            assert!(figures.words <= 0.65, "{figures}");
        }
    }

    #[test]
    fn an_answer_that_was_trained_on_is_found() {
        let mut world = World::new(SEED);
        world.preference_test = world.preference_train[..50].to_vec();
        let figures = giveaways(&world).pop().unwrap();
        assert_eq!(figures.known, 1.0);
        assert!(figures.looked_up > 0.8 && figures.words > 0.65, "{figures}");
    }
}
