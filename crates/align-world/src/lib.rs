//! The embedded default: a small world of instructions in plain English, and the rule that judges an answer.
//!
//! [`World::new`] makes all data files from a seed: demonstrations, preferences, prompts. A [`Request`] is what
//! somebody wants (a how-to, advice, a fact, a small sum, help with a misdeed); it words itself as questions, and
//! answers itself well or with one of the [`Fault`]s. [`judge`] tells from prompt and answer alone how good the answer
//! truly is.
//!
//! ```
//! use align_world::{Message, judge};
//!
//! let prompt = [Message::user("Hello. What is four plus seven?")];
//! assert_eq!(judge::quality(&prompt, "Four plus seven is eleven."), Some(1.0));
//! assert!(judge::quality(&prompt, "Four plus seven is twelve.") < Some(0.2));
//! ```
//!
//! This crate knows no tensors, no tokens and no paths: `make-fixtures` writes what it makes.

mod advice;
mod critique;
mod draw;
mod facts;
mod fault;
mod how_to;
pub mod judge;
mod kind;
mod misdeeds;
mod pairs;
mod phrase;
mod pool;
mod record;
mod request;
mod rows;
pub mod split;
mod sums;

pub use advice::Situation;
pub use critique::{CRITIQUE_REQUESTS, REVISION_REQUESTS};
pub use facts::{Attribute, Fact};
pub use fault::Fault;
pub use how_to::Task;
pub use kind::{Category, Kind};
pub use misdeeds::Misdeed;
pub use pool::{Part, part_of_question};
pub use record::{Demonstration, Message, NoisyPreference, Preference, Prompt, Role};
pub use request::Request;
pub use split::World;
pub use sums::{Operation, Sum, in_words, numbers_in};
