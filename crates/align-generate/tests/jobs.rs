//! Generation as other programs call it.

use std::cell::Cell;
use std::path::Path;

use align_generate::{Elsewhere, Job, PromptFormat, generate};
use align_stage::{Error, Event, Host, Result};

fn job(prompts: &[&str]) -> Job {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models/tiny-chat");
    let mut job = Job::new(model.display().to_string());
    job.prompts.prompt = prompts.iter().map(|&prompt| prompt.to_owned()).collect();
    job.generation.max_new_tokens = 3;
    job
}

/// The rows as texts, or why there are none; whether work had started.
fn rows(job: &Job, elsewhere: Option<Elsewhere<'_>>) -> (Result<Vec<String>>, bool) {
    let (mut rows, started) = (Vec::new(), Cell::new(false));
    let listener = |event: Event<'_>| {
        started.set(started.get() || matches!(event, Event::Checked));
        Ok(())
    };
    let host = Host { listener: Some(&listener), ..Host::default() };
    let report = generate(job, &host, elsewhere, &mut |row| {
        rows.push(row.to_string());
        Ok(())
    });
    (report.map(|report| assert_eq!(report.completions, rows.len())).map(|()| rows), started.get())
}

#[test]
fn prompts_from_elsewhere_are_asked_for_only_where_the_job_names_none() {
    let asked = Cell::new(0);
    let texts = || {
        asked.set(asked.get() + 1);
        Ok(vec!["Why?".to_owned()])
    };
    let elsewhere = Some(Elsewhere { name: "a letter", texts: &texts });
    assert!(rows(&job(&["Who?"]), elsewhere).0.unwrap()[0].contains("user: Who?"));
    assert_eq!(asked.get(), 0);
    assert!(rows(&job(&[]), elsewhere).0.unwrap()[0].contains("user: Why?"));
    assert_eq!(asked.get(), 1);

    let (error, started) = rows(&job(&[]), None);
    assert!(error.unwrap_err().to_string().starts_with("no prompts: ") && !started);
    let empty = Some(Elsewhere { name: "a letter", texts: &|| Ok(vec!["Who?".to_owned(), " ".to_owned()]) });
    assert_eq!(rows(&job(&[]), empty).0.unwrap_err().to_string(), "a letter:2: the prompt is empty");
}

#[test]
fn what_makes_no_sense_is_refused_before_work_starts() {
    let refused = |change: fn(&mut Job)| {
        let mut job = job(&["Who?"]);
        change(&mut job);
        let (error, started) = rows(&job, None);
        assert!(!started);
        error.unwrap_err().to_string()
    };
    let error = refused(|job| {
        job.generation.temperature = 0.0;
        job.sequences.num_return_sequences = 2;
    });
    assert!(error.starts_with("`num_return_sequences` must be 1 at `temperature` 0"), "{error}");
    let error = refused(|job| "v2".clone_into(&mut job.model.model_revision));
    assert!(error.starts_with("`model_revision`: has no effect, the model is on disk"), "{error}");
    let error = refused(|job| {
        job.prompts.prompt_format = Some(PromptFormat::Raw);
        job.prompts.system = Some("Be brief.".to_owned());
    });
    assert!(error.starts_with("--prompt:1: `--system` needs a conversation"), "{error}");
    let error = refused(|job| job.generation.max_new_tokens = 100_000);
    assert!(error.contains("max_position_embeddings"), "{error}");
}

#[test]
fn several_completions_of_a_prompt_come_one_after_the_other_and_a_row_may_be_refused() {
    let mut job = job(&["Who?", "Why?"]);
    job.sequences.num_return_sequences = 2;
    let found = rows(&job, None).0.unwrap();
    let asks = |row: &String, prompt: &str| row.contains(prompt);
    assert!(
        asks(&found[0], "Who?") && asks(&found[1], "Who?") && asks(&found[2], "Why?") && found.len() == 4
    );

    let refused = generate(&job, &Host::default(), None, &mut |_| Err("enough".into()));
    let error = refused.unwrap_err();
    assert!(matches!(error, Error::Listener(_)) && error.to_string() == "enough");
}
