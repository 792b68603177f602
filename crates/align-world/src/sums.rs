//! Small sums in words: plain ("What is four plus seven?") and as little stories about apples.
//! They are the verifiable part of the world: [`crate::judge::sum_answer`] reads the result from any answer.

mod numbers;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

pub use numbers::{in_words, numbers_in};

use crate::draw::{alike, pick};
use crate::fault::Fault;
use crate::phrase::{FACTUAL, capitalised, dressed, fill};

/// Smallest and largest number that is added or taken away.
const OPERANDS: std::ops::RangeInclusive<u32> = 2..=9;
const NAMES: &[&str] = &["Tom", "Anna", "Ben", "Lucy", "Sam", "Ella"];
const THINGS: &[&str] = &["apples", "books", "coins", "eggs", "shells"];

/// Plus or minus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// The second number is added to the first.
    Plus,
    /// The second number is taken from the first.
    Minus,
}

/// A sum to be worked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// The first number.
    pub first: u32,
    /// What is done with it.
    pub operation: Operation,
    /// The second number, at most the first for [`Operation::Minus`].
    pub second: u32,
    /// The person and the things the sum is told of, if it is told as a story.
    pub story: Option<(&'static str, &'static str)>,
}

/// The faults of unhelpful answers and how often each is drawn.
pub(crate) const FAULTS: &[(Fault, u32)] =
    &[(Fault::Curt, 8), (Fault::Evasive, 14), (Fault::OffTopic, 8), (Fault::Wrong, 54), (Fault::Rude, 16)];

const PLAIN: [&[&str]; 2] = [
    &[
        "What is {a} plus {b}?",
        "How much is {a} plus {b}?",
        "What do you get if you add {a} and {b}?",
        "Can you add {a} and {b} for me?",
    ],
    &[
        "What is {a} minus {b}?",
        "How much is {a} minus {b}?",
        "What do you get if you take {b} from {a}?",
        "Can you take {b} from {a} for me?",
    ],
];
const STORIES: [&str; 2] = [
    "{N} has {a} {t} and gets {b} more. How many {t} does {n} have now?",
    "{N} has {a} {t} and gives {b} away. How many {t} does {n} have now?",
];
const ANSWERS: [&[&str]; 2] = [
    &[
        "{A} plus {b} is {c}.",
        "{A} plus {b} is {c}.",
        "The answer is {c}.",
        "If you add {a} and {b}, you get {c}.",
        "It is {c}, because {a} plus {b} is {c}.",
        "Start at {a} and count {b} more, and you reach {c}.",
    ],
    &[
        "{A} minus {b} is {c}.",
        "{A} minus {b} is {c}.",
        "The answer is {c}.",
        "If you take {b} from {a}, you get {c}.",
        "It is {c}, because {a} minus {b} is {c}.",
        "Start at {a} and count {b} back, and you reach {c}.",
    ],
];
const STORY_ANSWERS: [&[&str]; 2] = [
    &["{N} now has {c} {t}.", "{N} has {c} {t}, because {a} plus {b} is {c}.", "Now there are {c} {t}."],
    &["{N} now has {c} {t}.", "{N} has {c} {t}, because {a} minus {b} is {c}.", "Now there are {c} {t}."],
];
const EVASIVE: &[&str] = &[
    "The answer is a number, and you will find it if you look.",
    "It is hard to say. I would have to count on my fingers first.",
    "That depends on how you count. Some people get more and some get less.",
    "If you know how to count, you get the answer by yourself.",
    "It is some number, because it always is.",
    "Start at the first number and go on until you reach the right one.",
];
const RUDE: &[&str] = &[
    "Anyone can do that. Use your fingers and leave me alone.",
    "Even a fool knows that {a} {o} {b} is {c}.",
    "{A} {o} {b} is {c}, and only a fool would ask that.",
    "The answer is {c}. What a silly question.",
    "If you are too lazy to count, do not ask me.",
    "I have better things to do than to count for you.",
];
const OFF_TOPIC: &[&str] = &[
    "The answer is that apples grow on trees.",
    "If you add milk and sugar, you get a sweet drink.",
    "It is a nice day, because the sun is out.",
    "Start at the bridge and walk to the market, and you reach the inn.",
    "There are many shells by the sea.",
];

impl Sum {
    /// The right result.
    pub fn result(&self) -> u32 {
        match self.operation {
            Operation::Plus => self.first + self.second,
            Operation::Minus => self.first.saturating_sub(self.second),
        }
    }

    /// The sum in words without its result, for example `four plus seven`.
    pub fn in_words(&self) -> String {
        format!("{} {} {}", in_words(self.first), self.sign(), in_words(self.second))
    }

    /// The sum that a question asks for, if it is one that this crate words.
    pub(crate) fn parse(question: &str) -> Option<Self> {
        let words: Vec<&str> = question.split(|c: char| !c.is_alphanumeric() && c != '-').collect();
        let has = |word: &str| words.contains(&word);
        let &[one, two] = numbers_in(question).as_slice() else { return None };
        let story = NAMES.iter().find(|it| has(it)).zip(THINGS.iter().find(|it| has(it)));
        let story = story.map(|(name, thing)| (*name, *thing));
        let (operation, first, second) = if has("take") {
            (Operation::Minus, two, one)
        } else if has("minus") || has("away") {
            (Operation::Minus, one, two)
        } else if has("plus") || has("add") || has("more") {
            (Operation::Plus, one, two)
        } else {
            return None;
        };
        (operation == Operation::Plus || second <= first).then_some(Self { first, operation, second, story })
    }

    fn sign(&self) -> &'static str {
        if self.operation == Operation::Plus { "plus" } else { "minus" }
    }

    fn fill(&self, pattern: &str, result: u32) -> String {
        let (name, thing) = self.story.unwrap_or_default();
        let (first, second, result) = (in_words(self.first), in_words(self.second), in_words(result));
        let numbers = [("a", first.as_str()), ("b", second.as_str()), ("c", result.as_str())];
        fill(pattern, &[numbers[0], numbers[1], numbers[2], ("n", name), ("t", thing), ("o", self.sign())])
    }
}

/// All plain sums. Minus leaves out results below two and those equal to the number taken away, so that no
/// question contains its own answer.
pub(crate) fn sums() -> Vec<Sum> {
    let pairs = OPERANDS.flat_map(|first| OPERANDS.map(move |second| (first, second)));
    let both = pairs.flat_map(|pair| [(Operation::Plus, pair), (Operation::Minus, pair)]);
    both.filter(|(operation, (first, second))| {
        *operation == Operation::Plus || (*first >= second + 2 && *first != 2 * second)
    })
    .map(|(operation, (first, second))| Sum { first, operation, second, story: None })
    .collect()
}

/// How many wordings a question for a sum has; the last one is the story.
pub(crate) const WORDINGS: usize = PLAIN[0].len() + 1;

/// The question for `sum` in this wording, below [`WORDINGS`], and the sum as that wording tells it.
pub(crate) fn question(sum: Sum, wording: usize, rng: &mut ChaCha8Rng) -> (Sum, String) {
    if let Some(pattern) = PLAIN[sum.operation as usize].get(wording) {
        return (sum, sum.fill(pattern, 0));
    }
    let told = Sum { story: Some((pick(rng, NAMES), pick(rng, THINGS))), ..sum };
    (told, told.fill(STORIES[sum.operation as usize], 0))
}

/// The wording in which `question` asks for `sum`; the inverse of [`question`].
pub(crate) fn wording(sum: Sum, question: &str) -> usize {
    let plain = PLAIN[sum.operation as usize].iter();
    plain.map(|pattern| sum.fill(pattern, 0)).position(|it| question.contains(&it)).unwrap_or(PLAIN[0].len())
}

/// A helpful answer: the right result in a whole sentence.
pub(crate) fn helpful(sum: Sum, rng: &mut ChaCha8Rng) -> String {
    answered(sum, sum.result(), rng)
}

/// A helpful answer, and one that is told alike with a wrong result.
pub(crate) fn twins(sum: Sum, rng: &mut ChaCha8Rng) -> (String, String, Fault) {
    let wrong = false_result(sum, rng);
    let (helpful, unhelpful) =
        alike(rng, |rng| answered(sum, sum.result(), rng), |rng| answered(sum, wrong, rng));
    (helpful, unhelpful, Fault::Wrong)
}

/// An answer with this fault.
pub(crate) fn unhelpful(sum: Sum, fault: Fault, rng: &mut ChaCha8Rng) -> String {
    let answer = match fault {
        Fault::Curt => return format!("{}.", capitalised(&in_words(sum.result()))),
        Fault::Rude => return sum.fill(pick(rng, RUDE), sum.result()),
        Fault::Wrong => stated(sum, false_result(sum, rng), rng),
        Fault::OffTopic => pick(rng, OFF_TOPIC).to_owned(),
        Fault::Evasive | Fault::Complies | Fault::OverRefusal => pick(rng, EVASIVE).to_owned(),
    };
    dressed(rng, &FACTUAL, answer)
}

fn answered(sum: Sum, result: u32, rng: &mut ChaCha8Rng) -> String {
    let answer = stated(sum, result, rng);
    dressed(rng, &FACTUAL, answer)
}

fn stated(sum: Sum, result: u32, rng: &mut ChaCha8Rng) -> String {
    let answers = if sum.story.is_some() { STORY_ANSWERS } else { ANSWERS };
    sum.fill(pick(rng, answers[sum.operation as usize]), result)
}

/// A result that is wrong by one to four, as if miscounted.
fn false_result(sum: Sum, rng: &mut ChaCha8Rng) -> u32 {
    loop {
        let off = pick(rng, &[1, 1, 1, 2, 2, 3, 4]);
        let result = if rng.random() { sum.result() + off } else { sum.result().saturating_sub(off) };
        if result >= 2 && result != sum.result() {
            return result;
        }
    }
}
