//! The rows of one part of the world, drawn one by one: demonstrations, preferences, prompts.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha8Rng;

use crate::critique::Exchange;
use crate::draw::{chance, pick, weighted};
use crate::fault::Fault;
use crate::kind::Kind;
use crate::pairs::{Pair, balanced};
use crate::pool::{Part, Pool};
use crate::record::{Demonstration, Message, NoisyPreference, Preference, Prompt};
use crate::request::Request;

/// How often each kind is drawn, in percent, for demonstrations.
const DEMONSTRATED: &[(Kind, u32)] = &[
    (Kind::HowTo, 20),
    (Kind::Advice, 15),
    (Kind::Fact, 17),
    (Kind::Sum, 22),
    (Kind::Unsafe, 13),
    (Kind::Critique, 7),
    (Kind::Revision, 6),
];
/// The same for preferences.
const PREFERRED: &[(Kind, u32)] = &[
    (Kind::HowTo, 22),
    (Kind::Advice, 19),
    (Kind::Fact, 16),
    (Kind::Sum, 14),
    (Kind::Unsafe, 17),
    (Kind::Critique, 6),
    (Kind::Revision, 6),
];
/// The same for the first of the subtle preferences: what takes knowledge, and is short.
const KNOWN: &[(Kind, u32)] = &[(Kind::Fact, 1), (Kind::Sum, 1)];
/// The same for those after them.
const SUBTLE: &[(Kind, u32)] = &[
    (Kind::HowTo, 14),
    (Kind::Advice, 13),
    (Kind::Fact, 18),
    (Kind::Sum, 20),
    (Kind::Unsafe, 9),
    (Kind::Critique, 18),
    (Kind::Revision, 8),
];
/// The same for prompts, which have one turn.
const PROMPTED: &[(Kind, u32)] =
    &[(Kind::HowTo, 22), (Kind::Advice, 18), (Kind::Fact, 16), (Kind::Sum, 22), (Kind::Unsafe, 22)];
/// The same for prompts that are sums.
const SUMS: &[(Kind, u32)] = &[(Kind::Sum, 1)];
/// The kinds that critiques and revisions are about.
const CRITICISED: &[Kind] = &[Kind::HowTo, Kind::Advice, Kind::Fact, Kind::Sum, Kind::Unsafe];

/// The share of helpful answers among demonstrations: the supervised model shall be of two minds about everything
/// but the form of a critique and of a revision, which it has to master for later stages.
const HELPFUL: f64 = 0.5;
const HELPFUL_DIALOGUE: f64 = 0.75;
const HELPFUL_SUM: f64 = 0.42;

/// The share of twins among the subtle preferences of all kinds.
const TWINS: f64 = 0.4;
/// The same of the kinds in which a wrong answer reads like a right one.
const TWINS_OF_KNOWLEDGE: f64 = 0.7;

/// `count` different demonstrations from the training part.
pub(crate) fn demonstrations(count: usize, rng: &mut ChaCha8Rng) -> Vec<Demonstration> {
    let pool = Pool::new(Part::Train);
    distinct(
        count,
        |row: &Demonstration| (contents(&row.prompt), contents(&row.completion)),
        |_| {
            let kind = weighted(rng, DEMONSTRATED);
            let turn = Turn::draw(kind, &pool, rng);
            let helpful = match kind {
                Kind::Critique | Kind::Revision => HELPFUL_DIALOGUE,
                Kind::Sum => HELPFUL_SUM,
                Kind::HowTo | Kind::Advice | Kind::Fact | Kind::Unsafe => HELPFUL,
            };
            let (answer, fault) = if chance(rng, helpful) {
                (turn.helpful(rng), None)
            } else {
                let (answer, fault) = turn.unhelpful(rng);
                (answer, Some(fault))
            };
            let completion = vec![Message::assistant(answer)];
            let fault = fault.map_or("none", Fault::name).to_owned();
            Demonstration {
                prompt: turn.prompt,
                completion,
                kind,
                category: turn.exchange.request.category(),
                fault,
            }
        },
    )
}

/// `count` preferences with different prompts. In each kind the longer answer is chosen every other time.
pub(crate) fn preferences(part: Part, count: usize, rng: &mut ChaCha8Rng) -> Vec<Preference> {
    preferences_of(
        part,
        count,
        rng,
        |_| PREFERRED,
        |turn, _, chosen_longer, rng| turn.pair(chosen_longer, rng),
    )
}

/// Preferences many of which are twins: two answers in the same words but for what is wrong with one. Nothing but the
/// question says which one that is.
///
/// The first `known` are twins about facts and sums alone: what is true takes many examples to learn, and these are the
/// shortest. The `others` are of all kinds.
pub(crate) fn subtle_preferences(
    part: Part,
    [known, others]: [usize; 2],
    rng: &mut ChaCha8Rng,
) -> Vec<Preference> {
    let kinds = |place: usize| if place < known { KNOWN } else { SUBTLE };
    preferences_of(part, known + others, rng, kinds, |turn, place, chosen_longer, rng| {
        let twins = match turn.kind {
            _ if place < known => 1.0,
            Kind::Fact | Kind::Sum | Kind::Critique => TWINS_OF_KNOWLEDGE,
            Kind::HowTo | Kind::Advice | Kind::Unsafe | Kind::Revision => TWINS,
        };
        if chance(rng, twins) { turn.twins(rng) } else { turn.pair(chosen_longer, rng) }
    })
}

/// `kinds` and `pair` are told the row's place.
fn preferences_of(
    part: Part,
    count: usize,
    rng: &mut ChaCha8Rng,
    kinds: impl Fn(usize) -> &'static [(Kind, u32)],
    pair: impl Fn(&Turn, usize, bool, &mut ChaCha8Rng) -> Pair,
) -> Vec<Preference> {
    let pool = Pool::new(part);
    let mut drawn: BTreeMap<Kind, usize> = BTreeMap::new();
    distinct(
        count,
        |row: &Preference| contents(&row.prompt),
        |place| {
            let kind = weighted(rng, kinds(place));
            let turn = Turn::draw(kind, &pool, rng);
            let drawn = drawn.entry(kind).or_default();
            *drawn += 1;
            let pair = pair(&turn, place, drawn.is_multiple_of(2), rng);
            Preference {
                chosen: vec![Message::assistant(pair.chosen)],
                rejected: vec![Message::assistant(pair.rejected)],
                kind,
                category: turn.exchange.request.category(),
                fault: pair.fault.name().to_owned(),
                prompt: turn.prompt,
            }
        },
    )
}

/// The same preferences with `share` of the labels flipped, rounded to whole rows.
pub(crate) fn noisy(pairs: &[Preference], share: f64, rng: &mut ChaCha8Rng) -> Vec<NoisyPreference> {
    let indices: Vec<usize> = (0..pairs.len()).collect();
    let wanted = (pairs.len() as f64 * share).round() as usize;
    let mut flipped = BTreeSet::new();
    while flipped.len() < wanted {
        flipped.insert(pick(rng, &indices));
    }
    let rows = pairs.iter().cloned().enumerate();
    rows.map(|(index, mut pair)| {
        let flipped = flipped.contains(&index);
        if flipped {
            std::mem::swap(&mut pair.chosen, &mut pair.rejected);
        }
        NoisyPreference { pair, flipped }
    })
    .collect()
}

/// `count` different prompts of one turn.
pub(crate) fn prompts(part: Part, count: usize, rng: &mut ChaCha8Rng) -> Vec<Prompt> {
    prompts_of(part, count, rng, |_| PROMPTED)
}

/// Different prompts of one turn: `mixed` of all kinds, then `sums` that ask for a sum, which take the most practice to
/// learn from own answers.
pub(crate) fn practice_prompts(part: Part, [mixed, sums]: [usize; 2], rng: &mut ChaCha8Rng) -> Vec<Prompt> {
    prompts_of(part, mixed + sums, rng, |place| if place < mixed { PROMPTED } else { SUMS })
}

/// `count` different prompts that ask for a sum: a task whose answers a rule can check.
pub(crate) fn sums(part: Part, count: usize, rng: &mut ChaCha8Rng) -> Vec<Prompt> {
    prompts_of(part, count, rng, |_| SUMS)
}

/// `kinds` is told the row's place.
fn prompts_of(
    part: Part,
    count: usize,
    rng: &mut ChaCha8Rng,
    kinds: impl Fn(usize) -> &'static [(Kind, u32)],
) -> Vec<Prompt> {
    let pool = Pool::new(part);
    distinct(
        count,
        |row: &Prompt| contents(&row.prompt),
        |place| {
            let (request, question) = pool.draw(weighted(rng, kinds(place)), rng);
            Prompt {
                prompt: vec![Message::user(question)],
                kind: request.kind(),
                category: request.category(),
                topic: request.topic(),
                answer: request.answer(),
            }
        },
    )
}

/// One turn to be answered: a question alone, or a stage of the critique dialogue about it.
struct Turn {
    kind: Kind,
    exchange: Exchange,
    prompt: Vec<Message>,
}

impl Turn {
    fn draw(kind: Kind, pool: &Pool, rng: &mut ChaCha8Rng) -> Self {
        let dialogue = matches!(kind, Kind::Critique | Kind::Revision);
        let about = if dialogue { pick(rng, CRITICISED) } else { kind };
        let (request, question) = pool.draw(about, rng);
        let (answer, fault) = if dialogue { criticised(request, rng) } else { (String::new(), None) };
        let exchange = Exchange { request, question, answer, fault };
        let prompt = match kind {
            Kind::Critique => exchange.critique_prompt(rng),
            Kind::Revision => exchange.revision_prompt(rng),
            _ => vec![Message::user(&exchange.question)],
        };
        Self { kind, exchange, prompt }
    }

    /// Two answers, the better one the longer if `chosen_longer`.
    fn pair(&self, chosen_longer: bool, rng: &mut ChaCha8Rng) -> Pair {
        balanced(rng, chosen_longer, |rng| self.helpful(rng), |rng| self.unhelpful(rng))
    }

    fn twins(&self, rng: &mut ChaCha8Rng) -> Pair {
        let (chosen, rejected, fault) = match self.kind {
            Kind::Critique => self.exchange.twin_critiques(rng),
            _ => self.exchange.request.twins(rng),
        };
        Pair { chosen, rejected, fault }
    }

    fn helpful(&self, rng: &mut ChaCha8Rng) -> String {
        match self.kind {
            Kind::Critique => self.exchange.helpful_critique(rng),
            _ => self.exchange.request.helpful(rng),
        }
    }

    fn unhelpful(&self, rng: &mut ChaCha8Rng) -> (String, Fault) {
        match self.kind {
            Kind::Critique => self.exchange.unhelpful_critique(rng),
            _ => self.exchange.request.unhelpful(rng),
        }
    }
}

/// An answer to be criticised: one of five is good.
fn criticised(request: Request, rng: &mut ChaCha8Rng) -> (String, Option<Fault>) {
    if chance(rng, 0.2) {
        return (request.helpful(rng), None);
    }
    let (answer, fault) = request.unhelpful(rng);
    (answer, Some(fault))
}

/// Draws until `count` rows with different keys are found; `draw` is told the row's place.
fn distinct<T, K: Ord>(count: usize, key: impl Fn(&T) -> K, mut draw: impl FnMut(usize) -> T) -> Vec<T> {
    let mut seen = BTreeSet::new();
    let mut rows = Vec::with_capacity(count);
    while rows.len() < count {
        let row = draw(rows.len());
        if seen.insert(key(&row)) {
            rows.push(row);
        }
    }
    rows
}

fn contents(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| message.content.clone()).collect()
}
