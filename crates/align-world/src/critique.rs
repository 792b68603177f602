//! The critique and revision dialogue: a question, an answer, the request to criticise it, the critique, the request
//! to write it anew, the revision. A model that has learnt this form can be taught by a written principle alone
//! (Bai et al. 2022, "Constitutional AI").

use rand_chacha::ChaCha8Rng;

use crate::draw::{alike, chance, pick, weighted};
use crate::fault::Fault;
use crate::phrase::fill;
use crate::record::Message;
use crate::request::Request;

/// The ways to ask for a critique of the last answer.
pub const CRITIQUE_REQUESTS: &[&str] = &[
    "Please critique your answer.",
    "What is wrong with your answer, if anything?",
    "Was your answer helpful, honest and kind? Say what could be better.",
    "Look at your answer again. What are its faults?",
    "Would a good and honest helper answer like that?",
];

/// The ways to ask for a revision after a critique.
pub const REVISION_REQUESTS: &[&str] = &[
    "Please write a better answer.",
    "Now revise your answer.",
    "Please give the answer that you should have given.",
    "Try again and mend the faults.",
];

/// Every verdict a critique can reach, with the sentences that state it. The sentences start alike for all verdicts.
pub(crate) const VERDICTS: &[(Option<Fault>, [&str; 3])] = &[
    (None, ["The answer is good.", "My answer needs no change.", "The words are fine as they are."]),
    (
        Some(Fault::Curt),
        ["The answer is too short.", "My answer leaves out too much.", "A few words are not enough."],
    ),
    (
        Some(Fault::Evasive),
        [
            "The answer says nothing useful.",
            "My answer avoids the question.",
            "The words are nice but empty.",
        ],
    ),
    (
        Some(Fault::OffTopic),
        [
            "The answer is about something else.",
            "My answer belongs to another question.",
            "The words miss the point.",
        ],
    ),
    (
        Some(Fault::Wrong),
        ["The answer is not right.", "My answer has a mistake in it.", "The words sound good but are wrong."],
    ),
    (
        Some(Fault::Rude),
        ["The answer is rude.", "My answer was not kind.", "The words hurt the person who asks."],
    ),
    (
        Some(Fault::Complies),
        ["The answer helps to do harm.", "My answer makes a misdeed easier.", "The words could hurt others."],
    ),
    (
        Some(Fault::OverRefusal),
        [
            "The answer refuses a harmless request.",
            "My answer sees danger where there is none.",
            "There was no need to refuse.",
        ],
    ),
];

const REMEDIES: &[&str] = &["It should {r}.", "A better one would {r}.", "A good answer should {r}."];
const MERITS: &[&str] = &["It {m}.", "I like that it {m}.", "It is kind and {m}."];

const EVASIVE: &[&str] = &[
    "The answer has good and bad sides. It could be better, or it could be worse.",
    "My answer is what it is. It should be so or be otherwise.",
    "The words may please some people, and some they may not. It depends.",
    "It is hard to say. The answer is one way to see it, and there may be others.",
    "My answer depends on how you read it. Maybe it is good, and maybe it is not.",
    "The words are what they are. Some people will like them, and some will not.",
];
const RUDE: &[&str] = &[
    "The answer is more than a fool like you should ask for.",
    "My answer was for clever people. It is your own fault.",
    "The words were too good for you, so leave me alone.",
    "The answer is fine, but you are too lazy to read it. Stop asking.",
    "My answer is better than your silly question.",
    "The words are clear to everyone but a fool. I have better things to do.",
];

/// The faults of bad critiques and how often each is drawn.
pub(crate) const FAULTS: &[(Fault, u32)] =
    &[(Fault::Wrong, 60), (Fault::Evasive, 18), (Fault::Curt, 12), (Fault::Rude, 10)];

/// The share of good answers among those that are criticised.
pub(crate) const FLAWLESS: f64 = 0.2;

/// A question and an answer of known fault, to be criticised.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) request: Request,
    pub(crate) question: String,
    pub(crate) answer: String,
    pub(crate) fault: Option<Fault>,
}

impl Exchange {
    /// The prompt that asks for a critique: question, answer, request.
    pub(crate) fn critique_prompt(&self, rng: &mut ChaCha8Rng) -> Vec<Message> {
        let ask = pick(rng, CRITIQUE_REQUESTS);
        vec![Message::user(&self.question), Message::assistant(&self.answer), Message::user(ask)]
    }

    /// The prompt that asks for a revision: the same, a true critique, and the request to write it anew.
    pub(crate) fn revision_prompt(&self, rng: &mut ChaCha8Rng) -> Vec<Message> {
        let mut prompt = self.critique_prompt(rng);
        prompt.push(Message::assistant(self.helpful_critique(rng)));
        prompt.push(Message::user(pick(rng, REVISION_REQUESTS)));
        prompt
    }

    /// A critique that names the true fault and what to do about it.
    pub(crate) fn helpful_critique(&self, rng: &mut ChaCha8Rng) -> String {
        critique(self.request, self.fault, rng)
    }

    /// A critique that is wrong about the fault, says nothing, is too short, or is rude.
    pub(crate) fn unhelpful_critique(&self, rng: &mut ChaCha8Rng) -> (String, Fault) {
        let fault = weighted(rng, FAULTS);
        let text = match fault {
            Fault::Wrong => critique(self.request, self.false_verdict(rng), rng),
            Fault::Curt => verdict(self.fault, rng).to_owned(),
            Fault::Rude => pick(rng, RUDE).to_owned(),
            Fault::Evasive | Fault::OffTopic | Fault::Complies | Fault::OverRefusal => {
                pick(rng, EVASIVE).to_owned()
            }
        };
        (text, fault)
    }

    /// A true critique, and one that is worded alike with another verdict.
    pub(crate) fn twin_critiques(&self, rng: &mut ChaCha8Rng) -> (String, String, Fault) {
        let verdict = self.false_verdict(rng);
        let (helpful, unhelpful) =
            alike(rng, |rng| self.helpful_critique(rng), |rng| critique(self.request, verdict, rng));
        (helpful, unhelpful, Fault::Wrong)
    }

    /// Another verdict than the true one, as often as it is true of answers to this kind of request: so that no verdict
    /// is more credible than another.
    fn false_verdict(&self, rng: &mut ChaCha8Rng) -> Option<Fault> {
        loop {
            let fault = (!chance(rng, FLAWLESS)).then(|| weighted(rng, self.request.faults()));
            if fault != self.fault {
                return fault;
            }
        }
    }
}

fn critique(request: Request, fault: Option<Fault>, rng: &mut ChaCha8Rng) -> String {
    let verdict = verdict(fault, rng);
    let reason = match fault {
        None => fill(pick(rng, MERITS), &[("m", &request.merit())]),
        Some(_) => fill(pick(rng, REMEDIES), &[("r", &request.remedy())]),
    };
    format!("{verdict} {reason}")
}

fn verdict(fault: Option<Fault>, rng: &mut ChaCha8Rng) -> &'static str {
    let (_, sentences) =
        VERDICTS.iter().find(|(verdict, _)| *verdict == fault).expect("every fault has a verdict");
    pick(rng, sentences)
}
