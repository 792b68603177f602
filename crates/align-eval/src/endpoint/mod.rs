//! A language model behind an OpenAI-compatible chat endpoint: vLLM, llama.cpp, a hosted one.
//!
//! [`ChatClient`] asks, and asks again; [`EndpointJudge`] asks it which of two answers is better, in both orders. Every
//! reply that could be used is kept in a [`ReplyStore`], so that what was paid for once is never asked again, and a run
//! that dies goes on where it was. Nothing here is asynchronous: a few threads wait for a few replies.

mod asking;
mod client;
mod judge;
mod options;
mod request;
mod secret;
mod store;
mod verdict;

pub(crate) use asking::ask_all;
pub use client::{ChatClient, EndpointError, Turn};
pub use judge::EndpointJudge;
pub use options::ChatOptions;
pub use store::ReplyStore;
pub use verdict::{Criteria, Preferred};
