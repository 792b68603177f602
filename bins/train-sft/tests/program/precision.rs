//! Training whose products are in bf16.

use std::fs;
use std::path::Path;

use safetensors::Dtype;
use serde_json::Value;

use crate::stage;
use crate::support::{Place, check, copy_dir, read_weights, training, worst_difference};

#[test]
fn products_in_bf16_train_nearly_the_same_model_and_resume_to_the_bit() {
    let place = Place::new();
    let options = format!("{} --max-steps 4 --save-strategy steps --save-steps 2", stage::FAMILY);
    let run = |out: &str, more: &str| place.train(out, &format!("{options} {more}"));
    let exact = run("exact", "");
    let rounded = run("rounded", "--dtype bfloat16");
    assert_eq!(run("named", "--bf16").model(), rounded.model());
    assert_eq!(run("off", "--bf16 false").model(), exact.model());
    assert_ne!(rounded.model(), exact.model());
    // Weights are f32 as ever, and moved as they would have; the tensors that hardly move aside.
    let (apart, name) = worst_difference(&rounded.weights(), &exact.weights());
    assert!(apart < 0.05, "{name}: {apart}");
    copy_dir(&rounded.dir, &place.path("stopped"));
    fs::remove_dir_all(place.path("stopped/checkpoint-4")).unwrap();
    let resumed = run("stopped", "--dtype bfloat16 --resume-from-checkpoint last");
    assert_eq!(resumed.model(), rounded.model());
}

#[test]
fn a_trained_model_is_saved_in_the_precision_it_came_in_or_that_is_asked_for() {
    let place = Place::new();
    let options = format!("{} --max-steps 4 --save-strategy steps --save-steps 2", stage::FAMILY);
    let run = |out: &str, more: &str| place.train(out, &format!("{options} {more}"));
    let read = |dir: &Path| {
        let config: Value = serde_json::from_slice(&fs::read(dir.join("config.json")).unwrap()).unwrap();
        let bytes = fs::read(dir.join("model.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let tensors = file.tensors().into_iter().map(|(name, it)| (name, it.dtype(), it.data().to_vec()));
        (config["dtype"].as_str().unwrap().to_owned(), tensors.collect::<Vec<_>>())
    };
    let exact = run("exact", "");
    // The nearest, the even one of two.
    let rounded = |x: &f32| ((x.to_bits() + 0x7fff + (x.to_bits() >> 16 & 1)) >> 16) as u16;
    for (name, dtype) in [("bfloat16", Dtype::BF16), ("float16", Dtype::F16)] {
        let half = run(name, &format!("--save-dtype {name}"));
        let (config, tensors) = read(&half.dir);
        assert_eq!(config, name);
        let weights = exact.weights();
        assert_eq!(tensors.len(), weights.len());
        for (name, found, bytes) in tensors {
            let values = &weights[&name];
            assert_eq!((found, bytes.len()), (dtype, 2 * values.len()), "{name}");
            let expected: Vec<u8> = values.iter().flat_map(|x| rounded(x).to_le_bytes()).collect();
            assert_eq!(bytes == expected, dtype == Dtype::BF16, "{name}");
        }
        // Checkpoints hold what is trained; and a run may end otherwise than it began.
        assert_eq!(read_weights(&half.dir.join("checkpoint-4/model.safetensors")), exact.weights());
        fs::remove_dir_all(half.dir.join("checkpoint-4")).unwrap();
        let resumed = run(name, "--save-dtype float32 --resume-from-checkpoint last");
        assert_eq!(resumed.model(), exact.model());
    }
    // A model that came in bf16 is given back in it.
    fs::rename(run("half", "--save-dtype bf16").dir.clone(), place.path("came")).unwrap();
    let again = format!("--model came --dataset data.jsonl --output-dir again {options}");
    place.succeeds(&again);
    assert_eq!(read(&place.path("again")).0, "bfloat16");
    let adapter = training("out", &format!("{options} --use-peft --save-dtype bf16"));
    check(&place, &adapter, &["`save_dtype`: has no effect, an adapter is saved in float32"]);
}

#[test]
fn bf16_goes_with_adapters_and_blocks() {
    let place = Place::new();
    let train = |out: &str, more: &str| {
        let options = format!("{} --max-steps 2 --save-strategy no --use-peft {more}", stage::FAMILY);
        place.train(out, &options).weights()
    };
    for (at, base) in ["", "--load-in-4bit", "--load-in-8bit"].into_iter().enumerate() {
        let exact = train(&format!("exact-{at}"), base);
        let rounded = train(&format!("rounded-{at}"), &format!("{base} --dtype bfloat16"));
        assert_ne!(exact, rounded, "{base}: nothing was rounded");
        assert!(exact.keys().eq(rounded.keys()));
    }
}

#[test]
fn kernels_can_be_held_back_and_a_resumed_run_says_so() {
    let place = Place::new();
    let options = format!("{} --max-steps 4 --save-strategy steps --save-steps 2", stage::FAMILY);
    let train = |isa: &str, more: &str| {
        let mut command = place.command(&training("out", &format!("{options} {more}")));
        let ended = command.env("ALIGN_MAX_ISA", isa).output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    let (code, said) = train("sse9", "");
    assert!(code == Some(2) && said.contains("ALIGN_MAX_ISA=sse9: expected one of baseline, avx2"), "{said}");
    let (code, said) = train("baseline", "");
    assert_eq!(code, Some(0), "{said}");
    fs::remove_dir_all(place.path("out/checkpoint-4")).unwrap();
    let (code, said) = train("", "--resume-from-checkpoint last");
    assert_eq!(code, Some(0), "{said}");
    let differs = "the run was on a CPU that computes with \"baseline\"";
    #[cfg(target_arch = "x86_64")]
    let has_more = std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    let has_more = false;
    assert_eq!(said.contains(differs), has_more, "{said}");
}
