//! A program that runs a job: the job from the command line, and what is said of it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use align_stage::{Cluster, Error, Event, Heard, Host, Look};
use align_train::{Error as TrainError, Stop, StopReason};

use serde_json::json;

use crate::audience::{Audience, JsonOption, QuietOption};
use crate::entry::{Trains, Words, Works};
use crate::stdout::print_event;
use crate::{Invocation, Program, input_error, interrupted, print, print_coloured, print_place};

/// What a command line says beside the options of a job that trains.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Training<J: clap::Args> {
    #[command(flatten)]
    config: ConfigOption,
    #[command(flatten)]
    job: J,
    #[command(flatten)]
    look: LookOptions,
    #[command(flatten)]
    quiet: QuietOption,
    #[command(flatten)]
    json: JsonOption,
}

/// What a command line says beside the options of any other job.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Working<J: clap::Args> {
    #[command(flatten)]
    job: J,
    #[command(flatten)]
    quiet: QuietOption,
}

/// Where options come from.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Model and device")]
struct ConfigOption {
    /// TOML or YAML file with options; flags override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The ways of only looking.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Output")]
struct LookOptions {
    /// Load and check everything, then stop before the first step; nothing is written
    #[arg(long)]
    dry_run: bool,

    /// With --dry-run: what training on so many processes would bring, each on a machine like this
    #[arg(long, value_name = "N", requires = "dry_run", value_parser = align_limits::whole(2..=100_000))]
    ranks: Option<usize>,

    /// What each of them can send, such as 12.5GB/s or 100Gbit/s: with it times are predicted
    #[arg(long, value_name = "RATE", requires = "ranks", value_parser = align_limits::bandwidth())]
    bandwidth: Option<u64>,

    /// Print one batch as text with its mask and stop; nothing is written
    #[arg(long)]
    inspect: bool,
}

/// Runs a program that trains.
pub(crate) fn train<J: Trains>(program: &Program, words: Words) -> ExitCode {
    crate::main(program, words, |call: &Training<J>, invocation| {
        let look = match call.look {
            LookOptions { inspect: true, .. } => Look::AtABatch,
            LookOptions { dry_run: true, .. } => Look::DryRun,
            LookOptions { .. } => Look::No,
        };
        let listener = |event: Event<'_>| heard(&event, &look, invocation);
        let config = call.config.config.iter();
        let host = Host {
            listener: Some(&listener),
            stop: Stop::on_signals()?,
            progress_bar: !call.quiet.quiet && !call.json.json,
            look,
            cluster: call.look.ranks.map(|ranks| Cluster { ranks, bandwidth: call.look.bandwidth }),
            given: Some(invocation.given()),
            settings: Some(invocation.settings.clone()),
            also_read: config.map(|path| ("the config file", path.display().to_string())).collect(),
            ranks: invocation.ranks.clone(),
        };
        call.job.train(&host).map_err(ended)
    })
}

/// Runs a program whose job does not train.
pub(crate) fn work<J: Works>(program: &Program, words: Words) -> ExitCode {
    crate::main(program, words, |call: &Working<J>, invocation| {
        let listener = |event: Event<'_>| heard(&event, &Look::No, invocation);
        let host = Host {
            listener: Some(&listener),
            given: Some(invocation.given()),
            settings: Some(invocation.settings.clone()),
            ranks: invocation.ranks.clone(),
            ..Host::default()
        };
        host.refuse_ranks("this program runs on one")?;
        call.job.work(&host).map_err(|error| error.downcast().map_or_else(|error| error, ended))
    })
}

/// What a job that waits for it is answered. The error keeps its exit code on its way through the library.
///
/// # Errors
/// That of `done`.
pub fn answered<T>(done: anyhow::Result<T>) -> Result<T, Box<dyn std::error::Error + Send + Sync>> {
    done.map_err(anyhow::Error::reallocate_into_boxed_dyn_error_without_backtrace)
}

/// What is printed of a job.
fn heard(event: &Event<'_>, look: &Look, invocation: &Invocation) -> Heard {
    answered(match event {
        Event::Findings(findings) => {
            print_event("findings", &json!({ "findings": findings })).and_then(|()| print(findings))
        }
        Event::Advice(advice) => {
            print_event("advice", &json!({ "text": advice })).and_then(|()| print(advice))
        }
        // A run that trains says it in its log, in a line.
        Event::Memory(plan) => print_event("memory", &json!(plan))
            .and_then(|()| if *look == Look::DryRun { print(plan) } else { Ok(()) }),
        Event::Scaling(scaling) => print_event("scaling", &json!(scaling)).and_then(|()| print(scaling)),
        Event::Row(row) => match Audience::now() {
            Audience::Program => print_event("row", &json!({ "text": row.to_string() })),
            Audience::People | Audience::Script => print_coloured(row),
            Audience::Nobody => Ok(()),
        },
        Event::WouldTrain { steps, done } => {
            let after =
                if *done == 0 { String::new() } else { format!(" after the {done} of the checkpoint") };
            print_event("would_train", &json!({ "steps": steps, "done": done }))
                .and_then(|()| print(format_args!("{steps} steps would be made{after}; nothing was written")))
        }
        Event::Starts { output_dir } => {
            invocation.work_starts();
            crate::ranks::writes_to(output_dir);
            print_event("starts", &json!({ "output_dir": output_dir }))
        }
        Event::Checked => {
            invocation.work_starts();
            Ok(())
        }
        // People read it in the log.
        Event::Logged(entry) => print_event("log", &json!(entry)),
        Event::Report { report, output_dir } => reported(report, output_dir),
        _ => Ok(()),
    })
}

/// What is printed of a job's report.
fn reported(report: &dyn std::fmt::Display, output_dir: &Path) -> anyhow::Result<()> {
    print(format_args!("\n{report}\nmodel written to {}", output_dir.display()))?;
    print_place(output_dir)?;
    if Audience::now() != Audience::Program {
        return Ok(());
    }
    let file = std::fs::read_to_string(output_dir.join("report.json"))?;
    let report: serde_json::Value = serde_json::from_str(&file)?;
    print_event("report", &json!({ "output_dir": output_dir, "report": report }))
}

/// The error that a program ends with.
fn ended(error: Error) -> anyhow::Error {
    match error {
        Error::Interrupted { reason: StopReason::Signal(signal), checkpoint } => {
            interrupted(signal, format_args!("go on with --resume-from-checkpoint {}", checkpoint.display()))
        }
        // A checkpoint that cannot be gone on from is the input's fault, although training has started when it is read.
        error @ Error::Train(TrainError::Resume { .. }) => input_error(error),
        Error::LateInput(error) => input_error(*error),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::run::exit_code;
    use crate::{Parsed, internal_error};

    #[test]
    fn an_error_keeps_what_it_was_marked_as_on_its_way_through_a_job() {
        let program = Program::new("demo", "");
        let invocation = Invocation::new(program, &Parsed::<()>::default());
        let code = |error: Error| exit_code(&ended(error), &invocation);
        let marked = || answered::<()>(Err(internal_error(anyhow!("no space")))).map_err(Error::Listener);
        assert_eq!(code(marked().unwrap_err()), 1);
        assert_eq!(code(Error::Inputs("no rows".to_owned())), 2);
        invocation.work_starts();
        assert_eq!(code(Error::Inputs("no rows".to_owned())), 1);
        assert_eq!(code(Error::late_input(Error::Inputs("no rows".to_owned()))), 2);
    }
}
