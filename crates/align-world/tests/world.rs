//! What the generated world promises: the same bytes for the same seed, parts that share nothing, pairs in which
//! neither length nor any single word gives the better answer away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use align_world::judge::sum_is_right;
use align_world::split::{NOISE, SEED};
use align_world::{
    Category, Kind, Message, Part, Preference, Prompt, Request, World, part_of_answer, part_of_question,
};

static WORLD: LazyLock<World> = LazyLock::new(|| World::new(SEED));

#[test]
fn the_same_seed_makes_the_same_bytes_and_another_seed_does_not() {
    let (first, again, other) = (WORLD.files(), World::new(SEED).files(), World::new(SEED + 1).files());
    assert_eq!(first, again);
    for ((path, one), (_, two)) in first.iter().zip(&other) {
        assert_ne!(one, two, "{path}");
    }
}

#[test]
fn no_part_has_a_question_of_another_in_any_wording_of_its_greeting() {
    let world = &*WORLD;
    let prompts = |rows: &[Preference]| rows.iter().map(|row| row.prompt.clone()).collect::<Vec<_>>();
    let questions = |rows: &[Prompt]| rows.iter().map(|row| row.prompt.clone()).collect::<Vec<_>>();
    let trained = [
        world.sft.iter().map(|row| row.prompt.clone()).collect(),
        prompts(&world.preference_train),
        prompts(&world.preference_large_train),
        questions(&world.prompts_train),
        questions(&world.prompts_large_train),
        questions(&world.sums_train),
    ];
    let validated = [
        prompts(&world.preference_validation),
        questions(&world.prompts_validation),
        questions(&world.sums_validation),
    ];
    let tested =
        [prompts(&world.preference_test), questions(&world.prompts_test), questions(&world.sums_test)];
    let parts: [(Part, &[Vec<Vec<Message>>]); 3] =
        [(Part::Train, &trained), (Part::Validation, &validated), (Part::Test, &tested)];
    for (part, files) in parts {
        let questions: BTreeSet<&str> =
            files.iter().flatten().map(|prompt| prompt[0].content.as_str()).collect();
        let strangers = questions.iter().filter(|question| part_of_question(question) != Some(part));
        assert_eq!(strangers.collect::<Vec<_>>(), [&""; 0], "{part:?}");
    }
}

#[test]
fn no_part_has_an_answer_of_another() {
    let pairs = |rows: &[Preference]| {
        rows.iter().flat_map(|row| [row.chosen[0].content.clone(), row.rejected[0].content.clone()]).collect()
    };
    let demonstrated = WORLD.sft.iter().map(|row| row.completion[0].content.clone()).collect();
    let files: [(Part, Vec<String>); 5] = [
        (Part::Train, demonstrated),
        (Part::Train, pairs(&WORLD.preference_train)),
        (Part::Train, pairs(&WORLD.preference_large_train)),
        (Part::Validation, pairs(&WORLD.preference_validation)),
        (Part::Test, pairs(&WORLD.preference_test)),
    ];
    for (part, answers) in files {
        assert!(answers.iter().all(|answer| part_of_answer(answer) == part), "{part:?}");
    }
}

#[test]
fn every_topic_that_is_tested_is_trained_on() {
    let topic =
        |prompt: &[Message]| Request::parse(&prompt[0].content).map(|request| request.topic()).unwrap();
    let trained: BTreeSet<String> = WORLD.sft.iter().map(|row| topic(&row.prompt)).collect();
    let tested = WORLD.prompts_test.iter().filter(|row| row.kind != Kind::Sum);
    let unknown: Vec<&str> =
        tested.map(|row| row.topic.as_str()).filter(|it| !trained.contains(*it)).collect();
    assert_eq!(unknown, [""; 0]);
}

#[test]
fn every_sum_has_the_answer_that_the_judge_finds_right() {
    for row in WORLD.sums_train.iter().chain(&WORLD.sums_validation).chain(&WORLD.sums_test) {
        assert_eq!(row.kind, Kind::Sum);
        assert_eq!(sum_is_right(&row.prompt, &row.answer), Some(true), "{row:?}");
    }
}

#[test]
fn length_does_not_tell_which_answer_is_better() {
    let held_out = [&WORLD.preference_validation, &WORLD.preference_test];
    for rows in [&WORLD.preference_train, &WORLD.preference_large_train].into_iter().chain(held_out) {
        check_longer_wins(rows, 0.45..=0.55);
    }
    for rows in [&WORLD.preference_train, &WORLD.preference_large_train] {
        for kind in Kind::ALL {
            let rows: Vec<Preference> = rows.iter().filter(|row| row.kind == kind).cloned().collect();
            check_longer_wins(&rows, 0.43..=0.57);
        }
    }
}

#[test]
fn no_single_word_tells_which_answer_is_better() {
    for rows in [&WORLD.preference_train, &WORLD.preference_large_train] {
        let (word, accuracy) = best_word(&rows.iter().collect::<Vec<_>>());
        assert!(accuracy < 0.62, "{word:?} decides {accuracy}");
        for kind in Kind::ALL {
            let (word, accuracy) = best_word(&rows.iter().filter(|row| row.kind == kind).collect::<Vec<_>>());
            assert!(accuracy < 0.75, "{kind:?}: {word:?} decides {accuracy}");
        }
    }
}

#[test]
fn two_of_three_preferences_take_the_question_to_decide() {
    for rows in [&WORLD.preference_train, &WORLD.preference_validation, &WORLD.preference_test] {
        let subtle = rows.iter().filter(|row| row.fault == "off-topic" || row.fault == "wrong").count();
        let share = subtle as f64 / rows.len() as f64;
        assert!((0.66..0.9).contains(&share), "{share}");
    }
}

#[test]
fn what_is_true_is_the_first_lesson_of_the_larger_preferences() {
    let rows = &WORLD.preference_large_train;
    let is_known = |row: &Preference| matches!(row.kind, Kind::Fact | Kind::Sum);
    let first = rows.iter().take_while(|row| is_known(row)).count();
    assert!(first * 3 > rows.len() && first * 2 < rows.len(), "{first} of {}", rows.len());
    let twins = rows[..first].iter().filter(|row| row.fault == "wrong" || row.fault == "off-topic").count();
    assert!(twins > first - 10, "{twins} of {first}");
    assert!(Kind::ALL.iter().all(|&kind| rows[first..].iter().filter(|row| row.kind == kind).count() > 500));
}

#[test]
fn the_larger_prompts_are_the_prompts_and_then_sums() {
    let (first, rest) = WORLD.prompts_large_train.split_at(WORLD.prompts_train.len());
    assert_eq!(first, WORLD.prompts_train);
    assert!(rest.len() == first.len() && rest.iter().all(|row| row.kind == Kind::Sum));
    let questions: BTreeSet<&str> =
        WORLD.prompts_large_train.iter().map(|row| row.prompt[0].content.as_str()).collect();
    assert_eq!(questions.len(), WORLD.prompts_large_train.len());
}

#[test]
fn every_kind_and_category_is_there_in_numbers() {
    let count = |kinds: &mut dyn Iterator<Item = Kind>| {
        kinds.fold(BTreeMap::new(), |mut counts: BTreeMap<Kind, usize>, kind| {
            *counts.entry(kind).or_default() += 1;
            counts
        })
    };
    let sft = count(&mut WORLD.sft.iter().map(|row| row.kind));
    let train = count(&mut WORLD.preference_train.iter().map(|row| row.kind));
    let test = count(&mut WORLD.preference_test.iter().map(|row| row.kind));
    assert!(Kind::ALL.iter().all(|kind| sft[kind] >= 350 && train[kind] >= 70 && test[kind] >= 10));
    let safety = WORLD.prompts_test.iter().filter(|row| row.category == Category::Safety).count();
    assert!((30..=60).contains(&safety), "{safety}");
}

#[test]
fn demonstrations_are_of_both_kinds_and_none_is_there_twice() {
    let distinct: BTreeSet<String> =
        WORLD.sft.iter().map(|row| format!("{:?} {:?}", row.prompt, row.completion)).collect();
    assert_eq!(distinct.len(), WORLD.sft.len());
    let helpful = WORLD.sft.iter().filter(|row| row.fault == "none").count() as f64 / WORLD.sft.len() as f64;
    assert!((0.45..=0.58).contains(&helpful), "{helpful}");
}

#[test]
fn noise_flips_the_stated_share_of_labels_and_changes_nothing_else() {
    let flipped = WORLD.preference_noisy_train.iter().filter(|row| row.flipped).count();
    assert_eq!(flipped as f64, NOISE * WORLD.preference_train.len() as f64);
    for (noisy, clean) in WORLD.preference_noisy_train.iter().zip(&WORLD.preference_train) {
        let (first, second) =
            if noisy.flipped { (&clean.rejected, &clean.chosen) } else { (&clean.chosen, &clean.rejected) };
        assert_eq!(
            (&noisy.pair.prompt, &noisy.pair.chosen, &noisy.pair.rejected),
            (&clean.prompt, first, second)
        );
    }
}

fn check_longer_wins(rows: &[Preference], expected: std::ops::RangeInclusive<f64>) {
    let length = |messages: &[Message]| messages[0].content.len();
    let longer = rows.iter().filter(|row| length(&row.chosen) > length(&row.rejected)).count() as f64;
    let equal = rows.iter().filter(|row| length(&row.chosen) == length(&row.rejected)).count() as f64;
    let share = (longer + equal / 2.0) / rows.len() as f64;
    assert!(expected.contains(&share), "longer wins {share} of {} pairs of {:?}", rows.len(), rows[0].kind);
}

/// The word whose presence (or absence) alone decides most pairs, and the share it decides rightly; pairs that it
/// does not decide count half.
fn best_word(rows: &[&Preference]) -> (String, f64) {
    let mut balance: BTreeMap<String, i64> = BTreeMap::new();
    for row in rows {
        let (chosen, rejected) = (bag(&row.chosen), bag(&row.rejected));
        for word in chosen.difference(&rejected) {
            *balance.entry(word.clone()).or_default() += 1;
        }
        for word in rejected.difference(&chosen) {
            *balance.entry(word.clone()).or_default() -= 1;
        }
    }
    let (word, balance) =
        balance.into_iter().max_by_key(|(_, balance)| balance.abs()).expect("there are words");
    (word, 0.5 + balance.unsigned_abs() as f64 / (2 * rows.len()) as f64)
}

fn bag(messages: &[Message]) -> BTreeSet<String> {
    let lower = messages[0].content.to_lowercase();
    lower
        .split(|c: char| !c.is_alphanumeric() && c != '\'')
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect()
}
