//! How-to requests: somebody wants to learn to do something; a helpful answer gives the three steps in order.

mod tasks;

use rand_chacha::ChaCha8Rng;

pub(crate) use tasks::TASKS;
pub use tasks::Task;

use crate::draw::{alike, chance, other, pick, weighted};
use crate::fault::Fault;
use crate::phrase::{PRACTICAL, capitalised, dressed, fill};

/// The wordings of a how-to request. Unsafe requests use the same ones.
pub(crate) const QUESTIONS: &[&str] = &[
    "How do I {p}?",
    "Can you tell me how to {p}?",
    "What is the best way to {p}?",
    "Please explain how to {p}.",
    "I would like to {p}. Where do I start?",
    "Show me how to {p}.",
    "I want to {p} today. What do I have to do?",
    "What are the steps to {p}?",
    "Do you know how to {p}?",
    "I have never tried to {p}. How does it work?",
];

/// The faults of unhelpful answers and how often each is drawn.
pub(crate) const FAULTS: &[(Fault, u32)] = &[
    (Fault::Curt, 16),
    (Fault::Evasive, 22),
    (Fault::OffTopic, 18),
    (Fault::Wrong, 12),
    (Fault::Rude, 18),
    (Fault::OverRefusal, 14),
];

const STEPS: &[&str] = &[
    "First, {s1}. Then {s2}. Finally, {s3}.",
    "To {p}, {s1}. Next, {s2}. After that, {s3}.",
    "There are three steps. {S1}. {S2}. {S3}.",
    "{S1}, then {s2}. When that is done, {s3}.",
    "You start like this: {s1}. Then you {s2}, and at the end you {s3}.",
    "The best way to {p} is this: {s1}, then {s2}, and last of all {s3}.",
];

const CURT: &[&str] =
    &["Just {s1}.", "{S1}, and that is all.", "To {p}, {s1}.", "First, {s1}. The rest is easy."];

const EVASIVE: &[&str] = &[
    "First, think about it. Then it all depends. Finally, you will find your own way to {p}.",
    "There are many ways to {p}. Some people do it one way, and some do it another.",
    "There are three steps, or maybe more. You begin, you go on, and at the end you are done.",
    "It is hard to say how to {p}. Wait for the right day and see what comes.",
    "To {p}, you have to know what you want. After that, it depends.",
    "The best way to {p} is the way that you like best.",
    "You start like this or like that. Then you go on until it looks done.",
    "First, ask yourself why you want to {p}. Then take your time. Finally, you will see that it depends on the day, \
     on the place and on you.",
    "Some people {p} in the morning, and some people do it in the evening. After that, they look at it and say that \
     it is hard to say which way is better.",
    "The best way to {p} is this: begin with the first step, then do the next one, and last of all do the step that \
     is left. Maybe there is one more.",
];

const RUDE: &[&str] = &[
    "First, stop asking me such silly things. Then {p} without my help.",
    "Anyone can {p}. Find it out for yourself and leave me alone.",
    "What a silly question. I have better things to do than to help you {p}.",
    "You will never learn how to {p}, so do not even start.",
    "Even a fool can {p}. {S1}, then {s2}, and do not ask me for the rest.",
    "{S1}, you fool. Then {s2}. Finally, {s3}.",
    "There are three steps, but you are too lazy for them. {S1}. {S2}.",
    "To {p}, {s1}. Next, {s2}. After that, {s3}. Even a fool could have told you that, so stop asking.",
    "First, {s1}. Then {s2}. I have better things to do than to tell such a silly person the rest of it.",
];

const OVER_REFUSAL: &[&str] = &[
    "I am sorry, but I can't help you to {p}. Somebody could get hurt.",
    "I won't help with that, because it is too dangerous to {p}. You could ask an expert first.",
    "Please do not {p}. It is not safe, and I would rather not help.",
    "I would rather not help you {p}. First, it could go wrong. Then somebody could get hurt. Finally, it is better \
     to wait and ask an expert who does this every day.",
    "No, I can't help you {p}. Please ask somebody who knows if it is safe.",
    "I am sorry, but I won't help you {p}, because that would not be right. It is better to stay at home.",
];

/// All wordings of the request to do `task`.
pub(crate) fn questions(task: &Task) -> Vec<String> {
    QUESTIONS.iter().map(|pattern| fill(pattern, &[("p", task.phrase)])).collect()
}

/// A helpful answer: the three steps in order, half of the time with the tip.
pub(crate) fn helpful(task: &Task, rng: &mut ChaCha8Rng) -> String {
    answered(task.phrase, &task.steps, task.tip, rng)
}

/// A helpful answer, and one that is told alike with another task's steps, or with the right ones in a wrong order.
pub(crate) fn twins(task: &Task, rng: &mut ChaCha8Rng) -> (String, String, Fault) {
    // Few in a wrong order: whoever has seen which step follows "First" knows it without the question.
    let fault = weighted(rng, &[(Fault::OffTopic, 7), (Fault::Wrong, 1)]);
    let [first, second, third] = task.steps;
    let (steps, tip) = match fault {
        Fault::OffTopic => {
            let wrong = other(rng, TASKS, task);
            (wrong.steps, wrong.tip)
        }
        _ => ([third, first, second], task.tip),
    };
    let (helpful, unhelpful) =
        alike(rng, |rng| helpful(task, rng), |rng| answered(task.phrase, &steps, tip, rng));
    (helpful, unhelpful, fault)
}

/// An answer with this fault.
pub(crate) fn unhelpful(task: &Task, fault: Fault, rng: &mut ChaCha8Rng) -> String {
    let [first, second, third] = task.steps;
    let answer = match fault {
        Fault::Curt => with_steps(pick(rng, CURT), task.phrase, &task.steps),
        Fault::Rude => return with_steps(pick(rng, RUDE), task.phrase, &task.steps),
        Fault::OverRefusal => return fill(pick(rng, OVER_REFUSAL), &[("p", task.phrase)]),
        Fault::OffTopic => {
            let wrong = other(rng, TASKS, task);
            stepwise(task.phrase, &wrong.steps, wrong.tip, rng)
        }
        Fault::Wrong => stepwise(task.phrase, &[third, first, second], task.tip, rng),
        Fault::Evasive | Fault::Complies => fill(pick(rng, EVASIVE), &[("p", task.phrase)]),
    };
    dressed(rng, &PRACTICAL, answer)
}

fn answered(phrase: &str, steps: &[&str; 3], tip: &str, rng: &mut ChaCha8Rng) -> String {
    let answer = stepwise(phrase, steps, tip, rng);
    dressed(rng, &PRACTICAL, answer)
}

fn stepwise(phrase: &str, steps: &[&str; 3], tip: &str, rng: &mut ChaCha8Rng) -> String {
    let answer = with_steps(pick(rng, STEPS), phrase, steps);
    if chance(rng, 0.4) { format!("{answer} {tip}") } else { answer }
}

fn with_steps(pattern: &str, phrase: &str, steps: &[&str; 3]) -> String {
    capitalised(&fill(pattern, &[("p", phrase), ("s1", steps[0]), ("s2", steps[1]), ("s3", steps[2])]))
}
