//! Questions to a server that somebody else runs: a judge behind a chat endpoint, a reward behind an address.
//!
//! [`Client::post`] sends one, within a time and a size; [`Retry::insist`] sends it again as long as that may help. An
//! address is checked before anything is sent ([`check_address`]). Nothing here knows what is asked, and nothing is
//! asynchronous. The hub's downloads have rules of their own (`align-hub`).

mod address;
mod client;
mod retry;

pub use address::{BadAddress, check_address, is_sendable};
pub use client::{Client, Failed, shown};
pub use retry::{Retry, Unanswered};
