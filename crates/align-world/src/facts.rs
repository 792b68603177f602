//! Questions about facts: a helpful answer states the right fact in a whole sentence.

mod places;

use rand_chacha::ChaCha8Rng;

pub(crate) use places::facts;
pub use places::{Attribute, Fact};

use crate::draw::{alike, chance, pick};
use crate::fault::Fault;
use crate::phrase::{FACTUAL, capitalised, dressed, fill};

/// The faults of unhelpful answers and how often each is drawn.
pub(crate) const FAULTS: &[(Fault, u32)] =
    &[(Fault::Curt, 12), (Fault::Evasive, 18), (Fault::OffTopic, 18), (Fault::Wrong, 34), (Fault::Rude, 18)];

const STATEMENTS: &[&str] = &[
    "{S}.",
    "{S}.",
    "I can tell you that {s}.",
    "As everyone will tell you, {s}.",
    "Yes, I know that one: {s}.",
    "If I remember well, {s}.",
];

const EVASIVE: &[&str] = &[
    "I can tell you that many people ask about {x}. It is hard to say more.",
    "That depends on whom you ask. Somebody will surely know.",
    "Yes, I know that one, but I would have to look it up.",
    "If I remember well, I read something about {x} in a book.",
    "There is an answer to that, and you will find it if you look.",
    "As everyone will tell you, there is a lot to say about {x}.",
];

const RUDE: &[&str] = &[
    "Even a fool knows that {s}.",
    "{S}, and only a fool would ask that.",
    "Look it up yourself and leave me alone.",
    "I can tell you that nobody cares about {x}. What a silly question.",
    "Yes, I know that one, but you are too lazy to look it up.",
    "Stop asking me about {x}. I have better things to do.",
];

impl Attribute {
    fn questions(self) -> &'static [&'static str] {
        match self {
            Self::River => &[
                "Which river runs through {x}?",
                "What is the river in {x} called?",
                "Can you name the river in {x}?",
                "I am going to {x}. Which river will I see there?",
                "Do you know which river runs through {x}?",
                "Tell me the name of the river in {x}.",
            ],
            Self::Market => &[
                "On which day is the market in {x}?",
                "When is market day in {x}?",
                "I want to buy fruit in {x}. When is the market?",
                "Which day should I go to the market in {x}?",
                "Do you know when the market in {x} is?",
                "Tell me the day of the market in {x}.",
            ],
            Self::Mayor => &[
                "Who is the mayor of {x}?",
                "What is the mayor of {x} called?",
                "Can you name the mayor of {x}?",
                "I want to write to the mayor of {x}. Who is it?",
                "Do you know who the mayor of {x} is?",
                "Tell me the name of the mayor of {x}.",
            ],
            Self::Known => &[
                "What is {x} known for?",
                "I am going to {x}. What should I buy there?",
                "Why do people come to {x}?",
                "What is the best thing from {x}?",
                "Do you know what {x} is known for?",
                "Tell me what {x} is known for.",
            ],
            Self::Hill => &[
                "What stands on the hill above {x}?",
                "What can I see on the hill above {x}?",
                "There is a hill above {x}. What is on it?",
                "I am going to {x}. What will I see on the hill?",
                "Do you know what stands on the hill above {x}?",
                "Tell me what is on the hill above {x}.",
            ],
            Self::Home => &[
                "Where does {x} live?",
                "What is the home of {x} called?",
                "Do you know where {x} lives?",
                "What do you call the place where {x} lives?",
                "Tell me where {x} lives.",
            ],
            Self::Young => &[
                "What is a young {x} called?",
                "What do you call a young {x}?",
                "Do you know what a young {x} is called?",
                "What is the word for a young {x}?",
                "Tell me what people call a young {x}.",
            ],
        }
    }

    fn statements(self) -> &'static [&'static str] {
        match self {
            Self::River => &["the {v} runs through {x}", "the river in {x} is called the {v}"],
            Self::Market => &["the market in {x} is on {v}", "people in {x} go to the market on {v}"],
            Self::Mayor => &["the mayor of {x} is {v}", "the mayor of {x} is called {v}"],
            Self::Known => &["{x} is known for its {v}", "people come to {x} for the {v}"],
            Self::Hill => &["the hill above {x} has {v} on it", "there is {v} on the hill above {x}"],
            Self::Home => &["{x} lives in {v}", "the home of {x} is called {v}"],
            Self::Young => &["a young {x} is called {v}", "people call a young {x} {v}"],
        }
    }
}

/// All wordings of the question for `fact`.
pub(crate) fn questions(fact: Fact) -> Vec<String> {
    fact.attribute.questions().iter().map(|pattern| fill(pattern, &[("x", fact.subject)])).collect()
}

/// The fact as a clause, for example `the Teal runs through Amberly`.
pub(crate) fn statement(fact: Fact) -> String {
    fill(fact.attribute.statements()[0], &[("x", fact.subject), ("v", fact.value)])
}

/// A helpful answer: the fact, sometimes with another fact about the same town.
pub(crate) fn helpful(fact: Fact, rng: &mut ChaCha8Rng) -> String {
    let answer = with_aside(fact, stated(fact, rng), rng);
    dressed(rng, &FACTUAL, answer)
}

/// A helpful answer, and one that is told alike with a wrong value, or of another attribute.
pub(crate) fn twins(fact: Fact, rng: &mut ChaCha8Rng) -> (String, String, Fault) {
    let fault = pick(rng, &[Fault::Wrong, Fault::Wrong, Fault::OffTopic]);
    let told = match fault {
        Fault::OffTopic => unrelated(fact, rng),
        _ => Fact { value: false_value(fact, rng), ..fact },
    };
    loop {
        let (helpful, unhelpful) = alike(rng, |rng| helpful(fact, rng), |rng| helpful(told, rng));
        // What is told by the way may be what was asked for.
        if !unhelpful.contains(fact.value) {
            return (helpful, unhelpful, fault);
        }
    }
}

/// An answer with this fault.
pub(crate) fn unhelpful(fact: Fact, fault: Fault, rng: &mut ChaCha8Rng) -> String {
    let subject = if fact.attribute == Attribute::Young {
        format!("a young {}", fact.subject)
    } else {
        fact.subject.to_owned()
    };
    let clause = clause(fact, rng);
    let slots = [("x", subject.as_str()), ("s", clause.as_str())];
    let answer = match fault {
        Fault::Curt if fact.attribute == Attribute::River => return format!("The {}.", fact.value),
        Fault::Curt => return format!("{}.", capitalised(fact.value)),
        Fault::Rude => return fill(pick(rng, RUDE), &slots),
        Fault::Wrong => {
            let answer = stated(Fact { value: false_value(fact, rng), ..fact }, rng);
            with_aside(fact, answer, rng)
        }
        Fault::OffTopic => stated(unrelated(fact, rng), rng),
        Fault::Evasive | Fault::Complies | Fault::OverRefusal => fill(pick(rng, EVASIVE), &slots),
    };
    dressed(rng, &FACTUAL, answer)
}

fn clause(fact: Fact, rng: &mut ChaCha8Rng) -> String {
    fill(pick(rng, fact.attribute.statements()), &[("x", fact.subject), ("v", fact.value)])
}

fn stated(fact: Fact, rng: &mut ChaCha8Rng) -> String {
    fill(pick(rng, STATEMENTS), &[("s", &clause(fact, rng))])
}

/// The answer, sometimes with another true fact about the same subject.
fn with_aside(fact: Fact, answer: String, rng: &mut ChaCha8Rng) -> String {
    let others: Vec<Fact> = facts()
        .into_iter()
        .filter(|it| it.subject == fact.subject && it.attribute != fact.attribute)
        .collect();
    if others.is_empty() || chance(rng, 0.65) {
        return answer;
    }
    let aside = pick(rng, &others);
    format!("{answer} By the way, {}.", clause(aside, rng))
}

/// A value that another subject has.
fn false_value(fact: Fact, rng: &mut ChaCha8Rng) -> &'static str {
    let values: Vec<&str> = facts()
        .into_iter()
        .filter(|it| it.attribute == fact.attribute && it.value != fact.value)
        .map(|it| it.value)
        .collect();
    pick(rng, &values)
}

/// A true fact that answers another question, about the same town where there is one.
fn unrelated(fact: Fact, rng: &mut ChaCha8Rng) -> Fact {
    let all = facts();
    let near: Vec<Fact> = all
        .iter()
        .copied()
        .filter(|it| {
            it.attribute != fact.attribute
                && (it.subject == fact.subject || fact.attribute >= Attribute::Home)
        })
        .collect();
    pick(rng, &near)
}
