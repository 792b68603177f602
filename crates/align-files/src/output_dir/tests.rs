use std::collections::BTreeSet;

use tempfile::TempDir;

use super::*;

/// A directory with a run in it that wrote these files.
fn run(dir: &Path, names: &[&str]) {
    let output = OutputDir::take(dir, false, &Resume::No).unwrap();
    output.claim(names.iter().copied()).unwrap();
    output.begin().unwrap();
    for name in names {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "of the run").unwrap();
    }
}

fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    (dir, path)
}

fn names(dir: &Path) -> BTreeSet<String> {
    let name = |item: std::io::Result<fs::DirEntry>| item.unwrap().file_name().into_string().unwrap();
    fs::read_dir(dir).unwrap().map(name).filter(|name| name != HOME).collect()
}

fn refused(dir: &Path, overwrite: bool, resume: &Resume) -> String {
    let checked = OutputDir::check(dir, overwrite, resume).unwrap_err().to_string();
    let taken = OutputDir::take(dir, overwrite, resume).unwrap_err().to_string();
    assert_eq!(checked, taken);
    taken
}

#[test]
fn a_new_run_needs_an_empty_directory() {
    let (_keep, dir) = place();
    run(&dir, &["model"]);
    let occupied = refused(&dir, false, &Resume::No);
    assert!(occupied.contains("out: not empty, it holds a run without checkpoints"), "{occupied}");
    // A word that means no resume is no permission.
    for word in ["false", "no", ""] {
        assert_eq!(refused(&dir, false, &Resume::parse(Some(word))), occupied);
    }
    assert_eq!(refused(&dir, false, &Resume::From(dir.join("../checkpoint-1"))), occupied);
    assert_eq!(fs::read_to_string(dir.join("model")).unwrap(), "of the run");
    for resume in [Resume::Last, Resume::From(dir.join("model"))] {
        assert_eq!(OutputDir::take(&dir, false, &resume).unwrap().kind(), Use::Continues);
    }
}

#[test]
fn overwriting_removes_what_a_run_noted_and_nothing_else() {
    let (_keep, dir) = place();
    run(&dir, &["model", "runs/events", "checkpoint-2/weights"]);
    for (path, text) in
        [("notes.txt", "mine"), ("checkpoint-2/notes.txt", "mine"), ("runs/sft-1/model", "mine")]
    {
        fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
        fs::write(dir.join(path), text).unwrap();
    }
    let output = OutputDir::take(&dir, true, &Resume::No).unwrap();
    assert_eq!(output.kind(), Use::Replaces);
    assert!(dir.join("model").exists(), "taking touches nothing");
    output.claim(["model"]).unwrap();
    output.begin().unwrap();
    assert_eq!(names(&dir), BTreeSet::from(["checkpoint-2", "notes.txt", "runs"].map(str::to_owned)));
    for kept in ["notes.txt", "checkpoint-2/notes.txt", "runs/sft-1/model"] {
        assert_eq!(fs::read_to_string(dir.join(kept)).unwrap(), "mine");
    }
    assert!(!dir.join("runs/events").exists() && !dir.join("checkpoint-2/weights").exists());
}

#[test]
fn a_directory_without_notes_is_not_overwritten() {
    let (_keep, dir) = place();
    fs::create_dir_all(dir.join("runs/sft-1")).unwrap();
    let error = refused(&dir, true, &Resume::No);
    assert!(error.contains("out: holds files and no notes"), "{error}");
    // But it can be gone on in: a version before made it.
    fs::write(dir.join("metrics"), "of the run").unwrap();
    let output = OutputDir::take(&dir, false, &Resume::Last).unwrap();
    output.claim(["metrics"]).unwrap();
    output.begin().unwrap();
    assert!(output.owns("metrics") && !output.owns("runs/sft-1"));
}

#[test]
fn a_file_of_somebody_else_is_not_written_over() {
    let (_keep, dir) = place();
    run(&dir, &["model"]);
    fs::write(dir.join("metrics"), "mine").unwrap();
    for (overwrite, resume) in [(true, Resume::No), (false, Resume::Last)] {
        let output = OutputDir::take(&dir, overwrite, &resume).unwrap();
        let error = output.claim(["metrics"]).unwrap_err().to_string();
        assert!(error.contains("metrics: is in the way"), "{error}");
        output.claim(["model", "new"]).unwrap();
    }
    assert!(dir.join("model").exists(), "a run that never began has removed nothing");
}

/// The old run is there until nothing can go wrong any more.
#[test]
fn what_stands_in_the_way_is_found_before_anything_is_removed() {
    let (_keep, dir) = place();
    run(&dir, &["model", "metrics", "runs/events"]);
    for obstacle in ["metrics", "runs"] {
        let _ = fs::remove_file(dir.join(obstacle)).or_else(|_| fs::remove_dir_all(dir.join(obstacle)));
    }
    fs::create_dir(dir.join("metrics")).unwrap();
    fs::write(dir.join("runs"), "mine").unwrap();
    for (overwrite, resume) in [(true, Resume::No), (false, Resume::Last)] {
        let output = OutputDir::take(&dir, overwrite, &resume).unwrap();
        for (name, obstacle) in [("metrics", "metrics"), ("runs/events", "runs"), ("runs/new", "runs")] {
            let error = output.claim([name]).unwrap_err().to_string();
            assert!(error.contains(&format!("out/{obstacle}: is in the way")), "{error}");
        }
    }
    assert!(dir.join("model").exists());
    // Where the run does not write there, it stays.
    OutputDir::take(&dir, true, &Resume::No).unwrap().begin().unwrap();
    assert_eq!(names(&dir), BTreeSet::from(["metrics", "runs"].map(str::to_owned)));
}

/// A folder in the place of the notes stands for a disk that is full.
#[test]
fn a_run_that_cannot_be_noted_removes_nothing() {
    let (_keep, dir) = place();
    run(&dir, &["model"]);
    let output = OutputDir::take(&dir, true, &Resume::No).unwrap();
    fs::remove_file(dir.join(HOME).join("written")).unwrap();
    fs::create_dir_all(dir.join(HOME).join("written/x")).unwrap();
    output.begin().unwrap_err();
    assert_eq!(names(&dir), BTreeSet::from(["model".to_owned()]));
}

#[test]
fn one_process_has_it_at_a_time() {
    let (_keep, dir) = place();
    let first = OutputDir::take(&dir, false, &Resume::No).unwrap();
    let copy = first.clone();
    for resume in [Resume::No, Resume::Last] {
        let error = refused(&dir, true, &resume);
        assert!(error.contains(&format!("out: in use by process {}", std::process::id())), "{error}");
    }
    drop(first);
    refused(&dir, true, &Resume::No);
    drop(copy);
    assert!(!dir.exists(), "a run that never began leaves nothing");
}

#[test]
fn what_a_killed_process_left_of_its_notes_does_not_occupy_a_directory() {
    let (_keep, dir) = place();
    fs::create_dir_all(tmp(&dir).join("checkpoint-1.x")).unwrap();
    fs::write(dir.join(HOME).join(rules::LOCK), "process 1 on elsewhere").unwrap();
    let output = OutputDir::take(&dir, false, &Resume::No).unwrap();
    output.begin().unwrap();
    assert_eq!(output.leftovers().unwrap(), []);
}

#[test]
fn a_tree_is_placed_replaced_and_removed_whole() {
    let (_keep, dir) = place();
    run(&dir, &["model"]);
    let output = OutputDir::take(&dir, false, &Resume::Last).unwrap();
    output.begin().unwrap();
    for text in ["one", "two"] {
        let scratch = output.scratch("checkpoint-1").unwrap();
        fs::write(scratch.path().join("weights"), text).unwrap();
        output.place(scratch, "checkpoint-1", &["weights".to_owned()]).unwrap();
        assert_eq!(fs::read_to_string(dir.join("checkpoint-1/weights")).unwrap(), text);
    }
    assert_eq!(output.leftovers().unwrap(), []);
    fs::write(dir.join("checkpoint-1/notes.txt"), "mine").unwrap();
    assert!(output.remove_tree("checkpoint-1").unwrap_err().to_string().contains("is in the way"));
    fs::remove_file(dir.join("checkpoint-1/notes.txt")).unwrap();
    output.remove_tree("checkpoint-1").unwrap();
    assert!(!dir.join("checkpoint-1").exists() && !output.owns("checkpoint-1/weights"));
    drop(output.scratch("checkpoint-2").unwrap());
    assert_eq!(output.leftovers().unwrap(), []);
}

#[test]
fn a_file_as_output_directory_is_refused() {
    let (keep, _) = place();
    let file = keep.path().join("data.jsonl");
    fs::write(&file, "").unwrap();
    for dir in [file.clone(), file.join("below")] {
        assert!(refused(&dir, false, &Resume::No).contains("cannot write there: "));
    }
}

#[test]
fn a_report_beside_a_run_is_not_the_runs() {
    let (_keep, dir) = place();
    run(&dir, &["model"]);
    let output = OutputDir::beside(&dir, &["replies"]).unwrap();
    assert!(OutputDir::beside(&dir, &[]).unwrap_err().to_string().contains("in use by process"));
    fs::write(dir.join("replies"), "paid for").unwrap();
    drop(output);
    OutputDir::take(&dir, true, &Resume::No).unwrap().begin().unwrap();
    assert_eq!(names(&dir), BTreeSet::from(["replies".to_owned()]));
    drop(OutputDir::beside(dir.join("new"), &["model"]).unwrap());
    assert!(!dir.join("new").exists());
}

#[test]
fn a_report_is_not_put_in_the_place_of_a_runs_own() {
    let (_keep, dir) = place();
    run(&dir, &["model", "report.json"]);
    fs::remove_file(dir.join("report.json")).unwrap();
    let names = ["report.md", "report.json"];
    let error = OutputDir::beside(&dir, &names).unwrap_err().to_string();
    assert!(
        error.ends_with("out: holds a run, whose report.json this would replace; name another directory"),
        "{error}"
    );
    OutputDir::check_beside(&dir, &names).unwrap_err();
}

#[cfg(unix)]
#[test]
fn a_link_in_place_of_the_scratch_folder_leads_nowhere() {
    let (_keep, dir) = place();
    run(&dir, &["model"]);
    let elsewhere = dir.with_file_name("elsewhere");
    fs::create_dir_all(elsewhere.join("thesis")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, tmp(&dir)).unwrap();
    let output = OutputDir::take(&dir, false, &Resume::Last).unwrap();
    output.begin().unwrap();
    let error = output.leftovers().unwrap_err().to_string();
    assert!(error.contains("is no directory"), "{error}");
    assert!(elsewhere.join("thesis").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_no_text_is_somebody_elses() {
    use std::os::unix::ffi::OsStrExt as _;
    let (_keep, dir) = place();
    run(&dir, &["checkpoint-1/weights"]);
    let notes = std::ffi::OsStr::from_bytes(b"notes-\xff.txt");
    fs::write(dir.join("checkpoint-1").join(notes), "mine").unwrap();
    let output = OutputDir::take(&dir, false, &Resume::Last).unwrap();
    output.begin().unwrap();
    assert!(output.foreign_in("checkpoint-1").unwrap().is_some());
    assert!(output.remove_tree("checkpoint-1").is_err());
    assert_eq!(fs::read_to_string(dir.join("checkpoint-1").join(notes)).unwrap(), "mine");
}

#[cfg(unix)]
#[test]
fn a_run_whose_directory_was_moved_away_writes_into_no_other() {
    let (_keep, dir) = place();
    let moved = OutputDir::take(&dir, false, &Resume::No).unwrap();
    moved.begin().unwrap();
    fs::rename(&dir, dir.with_file_name("moved")).unwrap();
    let other = OutputDir::take(&dir, false, &Resume::No).unwrap();
    other.begin().unwrap();
    let error = moved.scratch("checkpoint-1").unwrap_err().to_string();
    assert!(error.contains("was moved, replaced or removed while a run was writing to it"), "{error}");
    assert!(moved.check_held().is_err());
    drop(moved);
    other.check_held().unwrap();
}
