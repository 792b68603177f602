//! Prompts that are piped in.

use std::io::{self, IsTerminal as _, Read as _};

use anyhow::{Context as _, ensure};

/// Most bytes of prompts that are piped in: they are all read before the first is answered.
const MOST_TYPED: u64 = 64 << 20;

/// The lines of standard input; none at a terminal.
pub(crate) fn lines() -> anyhow::Result<Vec<String>> {
    let stdin = io::stdin().lock();
    if stdin.is_terminal() {
        return Ok(Vec::new());
    }
    tracing::info!("reading prompts from standard input, one a line");
    let mut text = String::new();
    stdin.take(MOST_TYPED + 1).read_to_string(&mut text).context("standard input")?;
    ensure!(
        text.len() as u64 <= MOST_TYPED,
        "standard input: more than {} MB of prompts; pass a file of them with `--prompts`",
        MOST_TYPED >> 20
    );
    Ok(text.lines().map(str::to_owned).collect())
}
