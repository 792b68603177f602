#![doc = include_str!("../README.md")]

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
mod shares;
pub mod split;
mod sums;

pub use advice::Situation;
pub use critique::{CRITIQUE_REQUESTS, REVISION_REQUESTS};
pub use facts::{Attribute, Fact};
pub use fault::Fault;
pub use how_to::Task;
pub use kind::{Category, Kind};
pub use misdeeds::Misdeed;
pub use pool::{Part, part_of_answer, part_of_question};
pub use record::{Demonstration, Message, NoisyPreference, Preference, Prompt, Role};
pub use request::Request;
pub use split::World;
pub use sums::{Operation, Sum, in_words, numbers_in};
