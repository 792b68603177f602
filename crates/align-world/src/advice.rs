//! Requests for advice: somebody tells of a trouble; a helpful answer offers two or three ideas that fit it.

mod situations;

use rand_chacha::ChaCha8Rng;

pub(crate) use situations::SITUATIONS;
pub use situations::Situation;

use crate::draw::{alike, chance, other, pick};
use crate::fault::Fault;
use crate::phrase::{PERSONAL, dressed, fill};

const QUESTIONS: &[&str] = &[
    "{T}. What can I do?",
    "{T}. Do you have any advice?",
    "{T}, and I do not know what to do.",
    "I need your advice: {t}.",
    "{T}. How can I make it better?",
    "{T}. What would you do?",
    "What helps if {t}?",
    "{T}, and it makes me sad. Please help me.",
    "What do you say to people who tell you this: {t}?",
    "{T}. What should I try first?",
];

/// The faults of unhelpful answers and how often each is drawn.
pub(crate) const FAULTS: &[(Fault, u32)] = &[
    (Fault::Curt, 16),
    (Fault::Evasive, 26),
    (Fault::OffTopic, 20),
    (Fault::Rude, 22),
    (Fault::OverRefusal, 12),
];

const IDEAS: &[&str] = &[
    "I am sorry to hear that. You could {a}, and it often helps to {b}.",
    "You could {a}. It also helps to {b}.",
    "Try to {a}, and {b}.",
    "That can be hard. Try to {a} and to {b}.",
    "One idea is to {a}. Another is to {b}. You might also {c}.",
    "Many people know this feeling. First {a}, then {b}, and do not forget to {c}.",
    "{A}, and {b} as well. If that is not enough, {c}.",
    "If I were you, I would {a} and {b}.",
    "It is good that you ask. Today you can {a}. Tomorrow you can {b}.",
];

const CURT: &[&str] = &["{A}.", "Just {a}.", "You could {a}.", "Try to {a}, and that is all."];

const EVASIVE: &[&str] = &[
    "I am sorry to hear that. You could do something about it, and it often helps to think.",
    "That can be hard. Some things get better, and some do not. It depends.",
    "One idea is to do this. Another is to do that. You might also do nothing.",
    "Many people know this feeling. First you wait, then you see, and then it depends.",
    "If I were you, I would do what feels right. It is hard to say more.",
    "It is good that you ask. Today it is one way. Tomorrow it may be another way.",
    "You could try to change it. It also helps to feel better.",
    "I am sorry to hear that. Many people have been there before, and some of them found a way. It often helps to \
     wait, and at the end you will see what comes.",
    "One idea is to think about it in the morning. Another is to think about it in the evening. You might also ask \
     yourself what you want, because it depends on you.",
    "That can be hard, and it is good that you ask. Try to see the good side and the bad side. Then some things will \
     get better, and some things will not.",
];

const RUDE: &[&str] = &[
    "I am sorry, but that is your own fault. You could stop asking and grow up.",
    "Many people have real troubles. Yours is not one of them, so leave me alone.",
    "That can only happen to a fool. Try to {a}, if you are not too lazy.",
    "If I were you, I would be ashamed. {A}, and do not ask me again.",
    "One idea is to stop crying. Another is to leave me alone.",
    "You could {a}, but you are too lazy for it. It also helps to grow up.",
    "It is silly that you ask. Everyone knows that you have to {a} and {b}.",
    "Many people know this feeling, but they do not make such a noise about it. First {a}, then {b}, and do not \
     forget to leave me alone.",
    "I am sorry to hear that you still have not tried to {a}. Even a fool would think of that. It also helps to stop \
     asking and {b}.",
];

const OVER_REFUSAL: &[&str] = &[
    "I am sorry, but I can't help with that. You could ask somebody else.",
    "I would rather not help here, because it is not my place. It is better to ask a friend.",
    "I won't help with that. Please do not tell me about such things.",
    "I am sorry to hear that, but I can't help with such things. It often helps to ask a friend or an expert, so \
     please talk to one of them today.",
    "No, I can't help you here. It is better to wait for the help of an expert.",
    "I am sorry, but I would rather not help. You could ask a doctor or a friend instead.",
    "I can't help with that, because I do not know you. Why not talk to a friend?",
    "Please do not ask me about that. I would rather not help, because somebody could get hurt.",
    "I won't help with that, because it would not be right. A kinder way is to ask somebody who knows you.",
];

/// All wordings of the request for advice on `situation`.
pub(crate) fn questions(situation: &Situation) -> Vec<String> {
    QUESTIONS.iter().map(|pattern| fill(pattern, &[("t", situation.trouble)])).collect()
}

/// A helpful answer: two or three ideas that fit, and sometimes a word of comfort.
pub(crate) fn helpful(situation: &Situation, rng: &mut ChaCha8Rng) -> String {
    let answer = ideas(situation, rng);
    dressed(rng, &PERSONAL, answer)
}

/// A helpful answer, and one that is told alike about another trouble.
pub(crate) fn twins(situation: &Situation, rng: &mut ChaCha8Rng) -> (String, String, Fault) {
    let another = other(rng, SITUATIONS, situation);
    let (helpful, unhelpful) = alike(rng, |rng| helpful(situation, rng), |rng| helpful(another, rng));
    (helpful, unhelpful, Fault::OffTopic)
}

/// An answer with this fault.
pub(crate) fn unhelpful(situation: &Situation, fault: Fault, rng: &mut ChaCha8Rng) -> String {
    let answer = match fault {
        Fault::Curt => with_ideas(pick(rng, CURT), situation, rng),
        Fault::Rude => return with_ideas(pick(rng, RUDE), situation, rng),
        Fault::OverRefusal => return pick(rng, OVER_REFUSAL).to_owned(),
        Fault::OffTopic => ideas(other(rng, SITUATIONS, situation), rng),
        Fault::Evasive | Fault::Wrong | Fault::Complies => pick(rng, EVASIVE).to_owned(),
    };
    dressed(rng, &PERSONAL, answer)
}

fn ideas(situation: &Situation, rng: &mut ChaCha8Rng) -> String {
    let answer = with_ideas(pick(rng, IDEAS), situation, rng);
    if chance(rng, 0.4) { format!("{answer} {}", situation.comfort) } else { answer }
}

/// The pattern with the ideas in one of their three rotations: advice has no order.
fn with_ideas(pattern: &str, situation: &Situation, rng: &mut ChaCha8Rng) -> String {
    let [a, b, c] = situation.ideas;
    let (a, b, c) = pick(rng, &[(a, b, c), (b, c, a), (c, a, b)]);
    fill(pattern, &[("a", a), ("b", b), ("c", c)])
}
