//! Where a run writes, when, and when it refuses.

use std::fs;
use std::path::Path;

use align_files::Resume;

use super::*;
use crate::Look;

const SETTINGS: &str = "seed = 42\n";

fn model(name: &Path) -> ModelOptions {
    let model_name_or_path = name.to_str().unwrap().to_owned();
    ModelOptions { model_name_or_path, device: "cpu".parse().unwrap(), ..ModelOptions::default() }
}

fn output(directory: &Path) -> OutputOptions {
    OutputOptions { output_dir: Some(directory.to_owned()), ..OutputOptions::default() }
}

fn open<'a>(host: &'a Host<'a>, output: &OutputOptions, resume: &Resume) -> Result<Place<'a>, PlaceError> {
    Place::open(host, "demo", &model(Path::new("m")), output, resume, &[])
}

/// Starts training; where it writes.
fn starts(place: &Place<'_>) -> PathBuf {
    place.training_starts(SETTINGS).unwrap();
    place.output_dir().unwrap().to_owned()
}

fn names(directory: &Path) -> Vec<String> {
    let name = |item: std::io::Result<fs::DirEntry>| item.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(name).collect();
    names.sort();
    names
}

/// A run in `directory` that wrote its options.
fn earlier_run(directory: &Path) {
    starts(&open(&Host::default(), &output(directory), &Resume::No).unwrap());
}

/// The error of opening, as text.
fn refusal(output: &OutputOptions, name: &Path, resume: &Resume) -> String {
    refusal_of(output, name, resume, &[])
}

/// The same where options name something.
fn refusal_of(output: &OutputOptions, name: &Path, resume: &Resume, read: &[Named]) -> String {
    let host = Host::default();
    let refused = Place::open(&host, "demo", &model(name), output, resume, read).err();
    refused.unwrap().to_string()
}

#[test]
fn opening_looks_and_starting_writes() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("a/b");
    let host = Host::default();
    let place = open(&host, &output(&out), &Resume::No).unwrap();
    assert!(!dir.path().join("a").exists(), "opening must not create anything");
    assert_eq!((place.stage(), place.seed, place.output_dir()), ("demo", 42, None));
    assert_eq!(starts(&place), out);
    assert_eq!(starts(&place), out, "a second start is the same run");
    assert_eq!(place.output_dir(), Some(out.as_path()));
    assert_eq!(fs::read_to_string(out.join(SETTINGS_FILE)).unwrap(), SETTINGS);
    assert_eq!(names(&out), [".align", SETTINGS_FILE]);
    drop(place);
    assert_eq!(names(&out.join(".align")), ["written"]);
}

#[test]
fn a_place_that_ends_before_training_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::default();
    let place = open(&host, &output(&dir.path().join("a/b")), &Resume::No).unwrap();
    assert!(place.create_output_dir().unwrap().path().is_dir());
    drop(place);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

    let old = dir.path().join("checkpoint-5");
    fs::create_dir(&old).unwrap();
    let settings = dir.path().join(SETTINGS_FILE);
    fs::write(&settings, "old").unwrap();
    let place = open(&host, &output(dir.path()), &Resume::From(old.clone())).unwrap();
    place.create_output_dir().unwrap();
    drop(place);
    assert_eq!(fs::read_to_string(&settings).unwrap(), "old", "the run that was not resumed is as it was");
    assert!(old.is_dir());
}

#[test]
fn a_dry_run_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host { look: Look::DryRun, ..Host::default() };
    let place = open(&host, &output(&dir.path().join("out")), &Resume::No).unwrap();
    assert!(place.training_starts("").is_err());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_directory_of_another_run_is_refused_unless_told_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let (model, old) = (Path::new("m"), dir.path().join(SETTINGS_FILE));
    earlier_run(dir.path());
    let message = refusal(&output(dir.path()), model, &Resume::No);
    assert!(message.starts_with(&format!("output_dir {}: not empty", dir.path().display())), "{message}");
    assert!(!message.contains("`--resume-from-checkpoint`") && message.contains("`--overwrite-output-dir`"));
    fs::create_dir(dir.path().join("checkpoint-2")).unwrap();
    let message = refusal(&output(dir.path()), model, &Resume::No);
    assert!(message.contains("`--resume-from-checkpoint`") && message.contains("`--overwrite-output-dir`"));
    assert!(old.exists());

    let overwrite = OutputOptions { overwrite_output_dir: true, ..output(dir.path()) };
    let host = Host::default();
    let place = open(&host, &overwrite, &Resume::No).unwrap();
    assert!(old.exists(), "until training starts the old run is untouched");
    assert_eq!(starts(&place), dir.path());
}

#[test]
fn a_directory_taken_in_the_meantime_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::default();
    let place = open(&host, &output(dir.path()), &Resume::No).unwrap();
    fs::write(dir.path().join("metrics.jsonl"), "another run").unwrap();
    assert!(place.create_output_dir().unwrap_err().to_string().contains("not empty"));
}

#[test]
fn an_empty_directory_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::default();
    let place = open(&host, &output(dir.path()), &Resume::No).unwrap();
    assert_eq!(starts(&place), dir.path());
}

#[test]
fn resuming_goes_on_in_the_run_of_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = dir.path().join("checkpoint-5");
    fs::create_dir(&checkpoint).unwrap();
    let host = Host::default();
    for output in [OutputOptions::default(), output(dir.path())] {
        let place = open(&host, &output, &Resume::From(checkpoint.clone())).unwrap();
        assert_eq!(starts(&place), dir.path());
        assert!(checkpoint.exists());
    }
    let place = open(&host, &output(dir.path()), &Resume::Last).unwrap();
    assert_eq!(starts(&place), dir.path());
    let absent = dir.path().join("checkpoint-9");
    let message = refusal(&OutputOptions::default(), Path::new("m"), &Resume::From(absent));
    assert!(message.contains("checkpoint-9 is not a directory"), "{message}");
}

#[test]
fn resuming_into_the_directory_of_a_third_run_is_refused() {
    let (dir, third) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let checkpoint = dir.path().join("checkpoint-5");
    fs::create_dir(&checkpoint).unwrap();
    fs::write(third.path().join("metrics.jsonl"), "third").unwrap();
    let message = refusal(&output(third.path()), Path::new("m"), &Resume::From(checkpoint.clone()));
    assert!(message.contains("not empty"), "{message}");
}

#[test]
fn overwriting_never_removes_the_model_to_be_trained() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("checkpoint-5");
    earlier_run(dir.path());
    fs::create_dir(&model).unwrap();
    let overwrite = OutputOptions { overwrite_output_dir: true, ..output(dir.path()) };
    let message = refusal(&overwrite, &model, &Resume::No);
    assert!(message.contains("holds the model") && message.ends_with("name another directory"), "{message}");
}

#[test]
fn overwriting_never_removes_what_an_option_names() {
    let dir = tempfile::tempdir().unwrap();
    earlier_run(dir.path());
    let file = dir.path().join("run.toml");
    fs::write(&file, "seed = 3\n").unwrap();
    let overwrite = OutputOptions { overwrite_output_dir: true, ..output(dir.path()) };
    let name = file.display().to_string();
    let host = Host { also_read: vec![("the config file", name.clone())], ..Host::default() };
    let error = open(&host, &overwrite, &Resume::No).err().unwrap().to_string();
    assert!(error.contains("holds the config file"), "{error}");
    let message = refusal_of(&overwrite, Path::new("m"), &Resume::No, &[("ref_model".to_owned(), name)]);
    assert!(message.contains("holds ref_model"), "{message}");
    let checkpoint = Resume::From(dir.path().join("runs/checkpoint-2"));
    fs::create_dir_all(dir.path().join("runs/checkpoint-2")).unwrap();
    let message = refusal(&overwrite, Path::new("m"), &checkpoint);
    assert!(message.contains("holds the checkpoint to resume from"), "{message}");
}

#[test]
fn an_output_that_cannot_be_written_is_found_before_any_work() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for out in [file.join("out"), file.clone()] {
        let message = refusal(&output(&out), Path::new("m"), &Resume::No);
        assert!(message.contains("cannot write there") && message.contains("file is a file"), "{message}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_system_that_takes_no_files_is_found_before_any_work() {
    let message = refusal(&output(Path::new("/proc/out")), Path::new("m"), &Resume::No);
    assert!(message.starts_with("output_dir /proc/out: cannot write there: "), "{message}");
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_device_that_was_not_built_in_says_how_to_get_it() {
    let (host, dir) = (Host::default(), tempfile::tempdir().unwrap());
    let model = ModelOptions { device: "cuda:1".parse().unwrap(), ..model(Path::new("m")) };
    let error = Place::open(&host, "demo", &model, &output(dir.path()), &Resume::No, &[]).err().unwrap();
    assert_eq!(
        error.to_string(),
        "--device cuda:1: this binary was built without it; build with `--features cuda`"
    );
}
