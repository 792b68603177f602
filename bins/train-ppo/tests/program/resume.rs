//! However a run is stopped, going on from its last checkpoint ends as if it never had been: the same model byte for byte,
//! the same log but for how long things took.

use std::fs;
use std::process::{Command, Stdio};

use crate::refusals::reward_model;
use crate::stage::{QUICK, TIMINGS};
use crate::support::{Place, Run, check, copy_dir, training, wait_until};

/// Everything that a checkpoint must hold matters: shuffled prompts over two epochs, a KL coefficient that is steered, a
/// critic of its own optimizer state, shuffled mini-batches, a schedule.
const OPTIONS: &str = "--num-train-epochs 2 --adap-kl-ctrl --horizon 40 --target-kl 0.05 --lr-scheduler-type cosine \
    --warmup-steps 3 --seed 9 --save-steps 8 --eval-dataset data.jsonl --num-eval-prompts 4";

fn assert_same_end(run: &Run, expected: &Run, how: &str) {
    let timeless = |run: &Run| {
        let mut log = run.log();
        log.iter_mut().for_each(|entry| entry.retain(|name, _| !TIMINGS.contains(&name.as_str())));
        log
    };
    assert_eq!(timeless(run), timeless(expected), "{how}: another log");
    assert!(run.model() == expected.model(), "{how}: another model");
    let after = |run: &Run| {
        let report = run.json("report.json");
        ["score_after", "kl", "samples", "win_rate"].map(|name| report[name].clone())
    };
    assert_eq!(after(run), after(expected), "{how}: another report");
}

#[test]
fn a_run_goes_on_from_each_of_its_checkpoints() {
    let place = Place::new();
    for (at, method) in
        ["", "--value-model head --whiten-rewards --score-position after_last_token"].into_iter().enumerate()
    {
        let options = format!("{QUICK} {OPTIONS} {method}");
        let whole = place.train(&format!("whole-{at}"), &options);
        assert_eq!(whole.json("trainer_state.json")["global_step"], 24);
        assert!(whole.metric("objective/kl_coef").windows(2).any(|two| two[0] != two[1]), "it is steered");
        for step in [8, 16, 24] {
            let from = format!("--resume-from-checkpoint whole-{at}/checkpoint-{step}");
            let resumed = place.train(&format!("from-{at}-{step}"), &format!("{options} {from}"));
            assert_same_end(&resumed, &whole, &format!("{method} from step {step}"));
            let samples = |run: &Run| fs::read_to_string(run.dir.join("samples.jsonl")).unwrap();
            assert_eq!(samples(&resumed), samples(&whole), "{method} from step {step}: other samples");
        }
        // The word `last`, in the directory of a run that was stopped after step 16.
        let stopped = format!("stopped-{at}");
        copy_dir(&whole.dir, &place.path(&stopped));
        fs::remove_dir_all(place.path(&format!("{stopped}/checkpoint-24"))).unwrap();
        place.succeeds(&training(&stopped, &format!("{options} --resume-from-checkpoint last")));
        assert_same_end(&place.run(&stopped), &whole, "from the last");
        let samples = |dir: &str| fs::read_to_string(place.path(dir).join("samples.jsonl")).unwrap();
        assert_eq!(samples(&stopped), samples(&format!("whole-{at}")));
    }
}

/// It is not in a checkpoint: it is loaded again, and would quietly be another.
#[test]
fn a_reward_model_whose_weights_changed_is_refused() {
    let place = Place::new();
    reward_model(&place, "reward");
    let options = QUICK.replace("--reward-funcs length:1..30", "--reward-model-path reward");
    let options = format!("{options} --max-steps 4 --save-steps 4");
    place.train("out", &options);
    let resumed = training("out", &format!("{options} --resume-from-checkpoint last"));
    place.succeeds(&resumed);
    let weights = place.path("reward/model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let low = bytes.len() - 4;
    bytes[low] ^= 1;
    fs::write(&weights, bytes).unwrap();
    check(&place, &resumed, &["out/checkpoint-4: was made with another reward model: its weights are not"]);
}

#[cfg(unix)]
#[test]
fn a_signal_saves_a_checkpoint_to_go_on_from() {
    let place = Place::new();
    let options = format!("{QUICK} --max-steps 400 --save-strategy no --lr-scheduler-type constant");
    let mut command = place.command(&training("out", &options));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let log = place.path("out/metrics.jsonl");
    wait_until(&mut child, || fs::read_to_string(&log).is_ok_and(|log| log.len() > 200));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    let (_, advice) = stderr.trim_end().rsplit_once("error: interrupted; go on with ").unwrap();
    let step = place.run("out").json("trainer_state.json")["global_step"].as_u64().unwrap();
    assert!((4..400).contains(&step), "interrupted at step {step}");

    // Some steps more, from the signal's checkpoint and without a signal.
    let some = |out: &str, rest: &str| {
        let options = options.replace("--max-steps 400", &format!("--max-steps {}", step + 8));
        place.train(out, &format!("{options} {rest}"))
    };
    assert_same_end(&some("resumed", advice), &some("whole", ""), "after the signal");
}
