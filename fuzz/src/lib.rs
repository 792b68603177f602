//! Inputs that nobody wrote, for everything that reads: rows, templates, tokenizers, configs, weights, options, logs,
//! replies.
//!
//! A target is a function of bytes. It may find them wrong, in words of bounded length; it may not panic, hang, or take
//! memory out of proportion. `corpus/TARGET` holds a few small inputs that are right or nearly so, and the runner
//! (`runner`) changes them (`mutate`), always the same way for the same seed.
//!
//! Coverage does not guide it, so that stable Rust is all it needs. An engine that is guided has to call
//! [`Target::run`] and nothing else.

pub mod mutate;
mod runner;
mod scratch;
mod targets;

pub use runner::{Amount, fuzz};
pub use scratch::Scratch;

/// Something that reads.
#[derive(Clone, Copy)]
pub struct Target {
    /// The name of its folder in `corpus`.
    pub name: &'static str,
    /// More folders with inputs, from the root of the repository.
    pub seeds: &'static [&'static str],
    read: fn(&[u8], &Scratch),
}

impl Target {
    /// Reads these bytes.
    ///
    /// # Panics
    /// Where there is a bug.
    pub fn run(&self, bytes: &[u8], scratch: &Scratch) {
        (self.read)(bytes, scratch);
    }
}

/// All of them.
pub const TARGETS: [Target; 20] = {
    use targets::{config, data, endpoint, options, report, rewards, template, tokenizer};
    const TEMPLATES: &[&str] = &["crates/align-data/tests/fixtures/templates"];
    const fn target(name: &'static str, read: fn(&[u8], &Scratch)) -> Target {
        Target { name, seeds: &[], read }
    }
    [
        target("rows", data::rows),
        target("conversations", data::conversations),
        target("transcripts", data::transcripts),
        target("packed", data::packed),
        target("parquet", data::parquet),
        target("table", data::table),
        target("card", data::card),
        Target { seeds: TEMPLATES, ..target("template", template::template) },
        target("tokenizer", tokenizer::tokenizer),
        target("tokenizer_files", tokenizer::files),
        target("config", config::config),
        target("safetensors", config::safetensors),
        target("toml", options::toml),
        target("yaml", options::yaml),
        target("metrics", report::metrics),
        target("report", report::report),
        target("replies", endpoint::replies),
        target("stored_replies", endpoint::stored),
        target("rewards", rewards::replies),
        target("encoder", rewards::encoder),
    ]
};

/// An error's words are for a line of a terminal, whatever was read.
///
/// # Panics
/// If they are longer.
pub(crate) fn bounded(message: impl std::fmt::Display) {
    let message = message.to_string();
    assert!(message.len() <= 4000, "an error of {} bytes: {:.300}", message.len(), message);
}
