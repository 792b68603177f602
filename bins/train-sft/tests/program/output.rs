//! The output directory: whose it is, what in it may go, and what a run that cannot write leaves there.

use std::fs;
use std::process::{Command, Stdio};

use crate::stage::{PROGRAM, STAGE};
use crate::support::{Place, QUICK, check, copy_dir, names, training};

/// A run of four steps with a checkpoint at each second one, in `out`.
const SHORT: &str = "--max-steps 4 --save-steps 2 --max-length 40 --report-to none";

#[test]
fn a_word_that_means_no_resume_is_no_permission_to_overwrite() {
    let place = Place::new();
    place.train("out", SHORT);
    for word in ["false", "no", ""] {
        let words = training("out", &format!("{SHORT} --resume-from-checkpoint={word}"));
        check(&place, &words, &["output_dir out: not empty"]);
        let from_inside = format!(
            "--model out/checkpoint-2 --dataset data.jsonl --output-dir out {SHORT} --resume-from-checkpoint={word}"
        );
        check(&place, &from_inside, &["output_dir out: not empty"]);
    }
    place.write("run.toml", "resume_from_checkpoint = \"false\"\n");
    check(&place, &training("out", &format!("{SHORT} --config run.toml")), &["output_dir out: not empty"]);
}

#[test]
fn last_is_a_word_whatever_lies_in_the_current_directory() {
    let place = Place::new();
    place.train("out", SHORT);
    fs::create_dir(place.path("last")).unwrap();
    let ended = place.succeeds(&training("out", &format!("{SHORT} --resume-from-checkpoint last")));
    assert!(ended.stderr.contains("resumed from out/checkpoint-4"), "{}", ended.stderr);
}

#[test]
fn overwriting_never_touches_what_no_run_of_this_directory_wrote() {
    let place = Place::new();
    place.succeeds("--model model --dataset data.jsonl --max-steps 1 --save-strategy no");
    let overwrite = |out: &str| training(out, &format!("{QUICK} --overwrite-output-dir"));
    for out in [".", "runs", "model"] {
        let before = place.tree();
        let ended = place.ended(&overwrite(out));
        assert_eq!((ended.code, place.tree()), (Some(2), before), "{out}: {}", ended.stderr);
        let refused = ended.stderr.contains("holds files and no notes of which of them a run wrote");
        assert!(refused, "{}", ended.stderr);
    }
    // A directory with a run of its own and the default place of others in it.
    place.train("project", SHORT);
    copy_dir(&place.path("runs"), &place.path("project/runs"));
    place.succeeds(&overwrite("project"));
    assert!(place.run(&format!("project/runs/{STAGE}-1")).has("model.safetensors"));
    assert!(!place.run("project").has("checkpoint-2"));
    fs::create_dir(place.path("project/checkpoint-7")).unwrap();
    place.write("project/checkpoint-7/notes.txt", "mine");
    check(&place, &overwrite("project"), &["project/checkpoint-7: is in the way of a checkpoint"]);
    fs::remove_dir_all(place.path("project/checkpoint-7")).unwrap();
    place.write("project/merges.txt", "mine");
    check(&place, &overwrite("project"), &["project/merges.txt: is in the way"]);
}

/// Until nothing can go wrong any more but the disk, the run before is as it was.
#[test]
fn what_is_in_the_way_is_found_before_the_run_before_is_gone() {
    let place = Place::new();
    place.train("out", SHORT);
    place.write("out/runs", "mine");
    let overwrite =
        training("out", "--max-steps 1 --save-strategy no --max-length 40 --overwrite-output-dir");
    check(&place, &overwrite, &["out/runs: is in the way"]);
    fs::remove_file(place.path("out/runs")).unwrap();
    fs::remove_file(place.path("out/metrics.jsonl")).unwrap();
    fs::create_dir(place.path("out/metrics.jsonl")).unwrap();
    check(&place, &overwrite, &["out/metrics.jsonl: is in the way"]);
}

/// `ulimit -f` stands for a disk that is full.
#[cfg(unix)]
#[test]
fn a_full_disk_ends_an_overwriting_run_before_anything_is_removed() {
    let place = Place::new();
    place.train("out", SHORT);
    let overwrite = training("out", &format!("{QUICK} --overwrite-output-dir"));
    let before = place.tree();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -f 0; exec {PROGRAM} {overwrite}")]);
    let output = shell.current_dir(place.path(".")).env("HF_HUB_OFFLINE", "1").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.lines().last().unwrap().contains("out/.align/written: "), "{stderr}");
    assert_eq!(place.tree(), before);
}

#[test]
fn overwriting_never_removes_what_the_run_reads() {
    let place = Place::new();
    place.train("out", SHORT);
    copy_dir(&place.path("model"), &place.path("out/base"));
    fs::copy(place.path("data.jsonl"), place.path("out/data.jsonl")).unwrap();
    place.write("out/run.toml", "seed = 3\n");
    let refused = |words: &str, fragments: &[&str]| {
        check(&place, &format!("--output-dir out --overwrite-output-dir {QUICK} {words}"), fragments);
    };
    refused("--model out/base --dataset data.jsonl", &["output_dir out: holds the model out/base"]);
    refused("--model model --dataset out/data.jsonl", &["out: holds dataset_name out/data.jsonl"]);
    refused(
        "--model model --dataset data.jsonl --eval-dataset out/data.jsonl",
        &["out: holds eval_dataset out/data.jsonl"],
    );
    refused(
        "--model model --dataset data.jsonl --config out/run.toml",
        &["holds the config file out/run.toml"],
    );
    copy_dir(&place.path("out/checkpoint-2"), &place.path("out/old/checkpoint-2"));
    refused(
        "--model model --dataset data.jsonl --resume-from-checkpoint out/old/checkpoint-2",
        &["out: holds the checkpoint to resume from"],
    );
}

#[cfg(unix)]
#[test]
fn overwriting_never_removes_what_a_link_in_the_model_or_the_data_leads_to() {
    use std::os::unix::fs::symlink;
    let place = Place::new();
    place.train("out", SHORT);
    fs::create_dir_all(place.path("links")).unwrap();
    for name in names(&place.run("model"), ".") {
        symlink(place.path("out").join(&name), place.path("links").join(&name)).unwrap();
    }
    fs::create_dir_all(place.path("rows/data")).unwrap();
    symlink(place.path("out/metrics.jsonl"), place.path("rows/data/train.jsonl")).unwrap();
    let refused = |words: &str, fragment: &str| {
        check(&place, &format!("--output-dir out --overwrite-output-dir {QUICK} {words}"), &[fragment]);
    };
    refused("--model links --dataset data.jsonl", "output_dir out: holds the model links (links/");
    refused(
        "--model model --dataset rows",
        "output_dir out: holds dataset_name rows (rows/data/train.jsonl), which",
    );
    // The directory may lie in a folder that is read.
    fs::rename(place.path("out"), place.path("model/out")).unwrap();
    place.train("model/out", &format!("{QUICK} --overwrite-output-dir"));
}

/// Another model's template in the directory would be taken for that of the model that was trained.
#[test]
fn an_overwritten_directory_keeps_nothing_of_the_model_before() {
    let place = Place::new();
    place.write("model/chat_template.jinja", "{{ messages[0].content }}");
    place.write("model/generation_config.json", "{}");
    place.train("out", SHORT);
    for name in ["chat_template.jinja", "generation_config.json"] {
        assert!(place.run("out").has(name) && place.run("out/checkpoint-4").has(name));
        fs::remove_file(place.path("model").join(name)).unwrap();
    }
    place.train("out", &format!("{QUICK} --overwrite-output-dir"));
    let left = names(&place.run("out"), ".");
    assert!(!left.contains("chat_template.jinja") && !left.contains("generation_config.json"), "{left:?}");
    assert_eq!(names(&place.run("out"), ".align"), ["written".to_owned()].into());
}

#[test]
fn a_limit_on_checkpoints_counts_good_ones_only() {
    let place = Place::new();
    let options = "--max-steps 8 --save-steps 2 --max-length 40 --report-to none";
    let whole = place.train("whole", options);
    copy_dir(&whole.dir, &place.path("out"));
    for step in [6, 8] {
        let file = place.path(&format!("out/checkpoint-{step}/optimizer.safetensors"));
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    }
    let again = format!("{options} --resume-from-checkpoint last --save-total-limit 1");
    let ended = place.succeeds(&training("out", &again));
    assert!(ended.stderr.contains("resumed from out/checkpoint-4"), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("checkpoint-6 is damaged; it is out/checkpoint-6.damaged"),
        "{}",
        ended.stderr
    );
    let kept: Vec<_> =
        names(&place.run("out"), ".").into_iter().filter(|name| name.starts_with("checkpoint")).collect();
    assert_eq!(kept, ["checkpoint-6.damaged", "checkpoint-8", "checkpoint-8.damaged"]);
    assert!(place.run("out").model() == whole.model());
}

#[test]
fn a_directory_is_one_runs_at_a_time() {
    let place = Place::new();
    let long = "--max-steps 100000 --save-steps 1 --max-length 40 --report-to none --save-total-limit 1";
    let mut first = place.command(&training("out", long));
    let mut first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !place.path("out/metrics.jsonl").exists() {
        assert!(first.try_wait().unwrap().is_none(), "the first run ended");
        std::thread::yield_now();
    }
    let in_use = format!("output_dir out: in use by process {} on ", first.id());
    for options in ["", "--overwrite-output-dir", "--resume-from-checkpoint last"] {
        let ended = place.ended(&training("out", &format!("{long} {options}")));
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(&in_use), "{}", ended.stderr);
    }
    first.kill().unwrap();
    first.wait().unwrap();
    // The lock died with its process.
    place.train("out", &format!("{QUICK} --overwrite-output-dir"));
}

/// `ulimit -f` stands for a disk that is full: a limit between the model's size and the optimizer's.
#[cfg(unix)]
#[test]
fn a_checkpoint_that_cannot_be_written_is_an_error_and_leaves_nothing() {
    let place = Place::new();
    let blocks = fs::metadata(place.path("model/model.safetensors")).unwrap().len() * 3 / 2 / 512;
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -f {blocks}; exec {PROGRAM} {}", training("out", SHORT))]);
    let output = shell.current_dir(place.path(".")).env("HF_HUB_OFFLINE", "1").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let last = stderr.lines().last().unwrap();
    assert!(last.starts_with("error: ") && last.contains("optimizer.safetensors: "), "{stderr}");
    assert_eq!(names(&place.run("out"), ".align"), ["written".to_owned()].into());
    assert!(!place.run("out").has("checkpoint-2"));
}
