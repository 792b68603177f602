//! Every question and every answer of the world, divided once and for all into three parts: to train on, to choose by
//! and to report on.
//!
//! What is held out is the core of a question: a topic in one wording. Greetings are put around the core afterwards, so
//! that no test question is a training question in other clothes. Every topic appears in all parts, but for some sums
//! that are held out in all wordings: they tell a model that can add from one that has learnt the results by heart.
//! Answers are divided by their whole text, so that none that is tested can have been learnt by heart.

use std::fmt::Write as _;
use std::sync::LazyLock;

use rand_chacha::ChaCha8Rng;

use crate::advice::{self, SITUATIONS};
use crate::draw::{chance, pick};
use crate::facts;
use crate::how_to::{self, TASKS};
use crate::kind::Kind;
use crate::misdeeds::{self, MISDEEDS};
use crate::request::Request;
use crate::sums::{self, Sum};

const GREETINGS: &[&str] =
    &["Hello.", "Good morning.", "Hi there.", "I have a question.", "I need some help.", "Excuse me."];
const ENDINGS: &[&str] = &["Thank you.", "Thanks for your help.", "I am curious.", "I hope you can help me."];

/// Of this many cores, and of this many answers, one is held out for the test files and one for the validation files.
const HELD_OUT_OF: u64 = 8;
/// The same of sums in all wordings.
const SUM_HELD_OUT_OF: u64 = 16;

/// Which part of the questions and answers a row is drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// For every file that is trained on.
    Train,
    /// For the files called `validation`: whatever is chosen is chosen by them.
    Validation,
    /// For the files called `test`: what is reported is measured on them.
    Test,
}

/// The questions of one part.
#[derive(Debug)]
pub(crate) struct Pool {
    worded: Vec<(Request, String)>,
    /// Each sum with each of its wordings.
    sums: Vec<(Sum, usize)>,
}

impl Pool {
    /// All questions of `part`.
    pub(crate) fn new(part: Part) -> Self {
        let of_part = |(_, core): &&(Request, String)| part_of(core, HELD_OUT_OF) == part;
        let worded = WORDED.iter().filter(of_part).cloned().collect();
        let wordings = |sum| (0..sums::WORDINGS).map(move |wording| (sum, wording));
        let mut sums: Vec<(Sum, usize)> = sums::sums().into_iter().flat_map(wordings).collect();
        sums.retain(|(sum, wording)| part_of_sum(*sum, *wording) == part);
        Self { worded, sums }
    }

    /// A question of this kind, sometimes with a greeting before it or a thank-you behind it. Critiques and
    /// revisions are not questions of one turn; they are built on one.
    pub(crate) fn draw(&self, kind: Kind, rng: &mut ChaCha8Rng) -> (Request, String) {
        let (request, core) = if kind == Kind::Sum {
            let (sum, wording) = pick(rng, &self.sums);
            let (sum, core) = sums::question(sum, wording, rng);
            (Request::Sum(sum), core)
        } else {
            let of_kind: Vec<_> = self.worded.iter().filter(|(request, _)| request.kind() == kind).collect();
            pick(rng, &of_kind).clone()
        };
        let mut question = core;
        if chance(rng, 0.4) {
            question = format!("{} {question}", pick(rng, GREETINGS));
        }
        if chance(rng, 0.2) {
            let _ = write!(question, " {}", pick(rng, ENDINGS));
        }
        (request, question)
    }
}

/// The part a question belongs to, by the core it is built on; `None` if it is no question of this world.
pub fn part_of_question(question: &str) -> Option<Part> {
    let request = Request::parse(question)?;
    if let Request::Sum(sum) = request {
        return Some(part_of_sum(sum, sums::wording(sum, question)));
    }
    let mut cores = WORDED.iter().filter(|(it, core)| *it == request && question.contains(core.as_str()));
    cores.next().map(|(_, core)| part_of(core, HELD_OUT_OF))
}

/// Every request but sums in each of its wordings.
static WORDED: LazyLock<Vec<(Request, String)>> = LazyLock::new(all_worded);

fn all_worded() -> Vec<(Request, String)> {
    let how_to = TASKS.iter().map(|it| (Request::HowTo(it), how_to::questions(it)));
    let advice = SITUATIONS.iter().map(|it| (Request::Advice(it), advice::questions(it)));
    let facts = facts::facts().into_iter().map(|it| (Request::Fact(it), facts::questions(it)));
    let misdeeds = MISDEEDS.iter().map(|it| (Request::Unsafe(it), misdeeds::questions(it)));
    let all = how_to.chain(advice).chain(facts).chain(misdeeds);
    all.flat_map(|(request, cores)| cores.into_iter().map(move |core| (request, core))).collect()
}

/// The part an answer belongs to, by its whole text.
pub fn part_of_answer(answer: &str) -> Part {
    part_of(&format!("answer: {answer}"), HELD_OUT_OF)
}

fn part_of_sum(sum: Sum, wording: usize) -> Part {
    match part_of(&sum.in_words(), SUM_HELD_OUT_OF) {
        Part::Train => part_of(&format!("{} {wording}", sum.in_words()), HELD_OUT_OF),
        held_out => held_out,
    }
}

/// FNV-1a over the text, its bits mixed once more because the last letters hardly reach the high ones: a rule that
/// never changes with the seed, the order or the number of texts.
fn part_of(text: &str, held_out_of: u64) -> Part {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    match mixed % held_out_of {
        0 => Part::Test,
        1 => Part::Validation,
        _ => Part::Train,
    }
}
