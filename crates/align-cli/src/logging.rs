//! Messages for people, on stderr: one plain line each.
//!
//! `ALIGN_LOG`, else `RUST_LOG`, chooses what is shown (`ALIGN_LOG=debug`, `ALIGN_LOG=align_data=trace`);
//! without them it is `info`, and only warnings of the libraries below. Results go to stdout, by
//! [`crate::print`], never through here.

use std::fmt;

use align_train::Ranks;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::audience::Audience;

const DEFAULT: &str = "info,ureq=warn,ureq_proto=warn,rustls=warn,tokenizers=warn";

/// Of which a script wants to know.
const TROUBLE: &str = "warn";

/// Starts logging, for whoever reads. A second call in a process changes nothing. Of several ranks the first one logs for all,
/// the others only where it is asked for.
pub(crate) fn start(audience: Audience, ranks: &Ranks) {
    let usual = match audience {
        Audience::Script => TROUBLE,
        Audience::Nobody => "off",
        Audience::People | Audience::Program => DEFAULT,
    };
    let wanted = ["ALIGN_LOG", "RUST_LOG"].iter().find_map(|name| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
        Some((name, value))
    });
    let (filter, complaint) = match wanted {
        None => (EnvFilter::new(usual), None),
        Some((name, value)) => match EnvFilter::try_new(&value) {
            Ok(filter) => (filter, None),
            Err(error) => (EnvFilter::new(usual), Some(format!("{name}={value}: {error}; using {usual}"))),
        },
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .event_format(PlainLines { rank: (!ranks.leads()).then(|| ranks.rank()) })
        .finish();
    if tracing::subscriber::set_global_default(subscriber).is_ok()
        && let Some(complaint) = complaint
    {
        tracing::warn!("{complaint}");
    }
}

/// `info` as the bare message; other levels begin with their name, fine ones also with their origin.
struct PlainLines {
    /// Which rank says it, if it is not the first.
    rank: Option<usize>,
}

impl<S, N> FormatEvent<S, N> for PlainLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if let Some(rank) = self.rank {
            write!(out, "rank {rank}: ")?;
        }
        match *event.metadata().level() {
            Level::ERROR => out.write_str("error: ")?,
            Level::WARN => out.write_str("warning: ")?,
            Level::INFO => {}
            level => write!(out, "{} {}: ", level.as_str().to_lowercase(), event.metadata().target())?,
        }
        let mut text = String::new();
        ctx.format_fields(Writer::new(&mut text), event)?;
        // Much of it is of strangers: names, paths, what a server says.
        writeln!(out, "{}", align_text::printable(&text))
    }
}
