//! Exports as GGUF files: what is written is the model, and what cannot be is refused before anything is written.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::Path;

use align_export::{Job, Report, export};
use align_models::generation::{GenerationOptions, generate};
use align_models::{GgufType, LoraConfig, ModelDir, SavedDtype};
use align_stage::Host;
use candle_core::{Device, Tensor};

const CHAT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/models/tiny-chat");
const REWARD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/models/tiny-reward");

/// An adapter over the chat model that changes what it says.
fn adapter(dir: &Path, config: &LoraConfig) -> String {
    let place = dir.join("adapter");
    std::fs::create_dir(&place).unwrap();
    let adapted = ModelDir::open(CHAT.as_ref()).unwrap().with_new_adapter(config, CHAT, None).unwrap();
    let (params, _) = adapted.trainable(42, &Device::Cpu).unwrap();
    for (name, param) in params.iter().filter(|(name, _)| name.ends_with("lora_B.weight")) {
        let (rows, columns) = param.tensor().dims2().unwrap();
        let seed = name.len() as f32;
        let values = (0..rows * columns).map(|at| (at as f32 * 0.37 + seed).sin() * 0.05);
        param
            .set(&Tensor::from_iter(values, &Device::Cpu).unwrap().reshape((rows, columns)).unwrap())
            .unwrap();
    }
    adapted.save(&params, &place).unwrap();
    place.display().to_string()
}

fn exported(job: &Job) -> Report {
    export(job, &Host::default()).unwrap()
}

/// What a model goes on with.
fn says(dir: &Path) -> Vec<u32> {
    let model = ModelDir::open(dir).unwrap().model(&Device::Cpu).unwrap().causal_lm().unwrap();
    let prompt = vec![1, 4, 300, 17, 90, 5];
    generate(&model, &[prompt], &[2], &GenerationOptions::greedy(16), 0).unwrap().remove(0).tokens
}

#[test]
fn a_merged_adapter_says_the_same_in_a_gguf_file() {
    let dir = tempfile::tempdir().unwrap();
    let adapter = adapter(dir.path(), &LoraConfig::default());
    let place = dir.path().join("gguf");
    let report = exported(&Job { gguf: Some(GgufType::F32), ..Job::new(&adapter, &place) });
    assert_eq!((report.adapters, report.dtype), (1, "f32"));
    let said = says(&place.join("model.gguf"));
    assert_eq!(said, says(adapter.as_ref()));
    assert_ne!(said, says(CHAT.as_ref()), "the adapter changes nothing");
    let modelfile = std::fs::read_to_string(place.join("Modelfile")).unwrap();
    assert_eq!(
        modelfile,
        "FROM ./model.gguf\nTEMPLATE \"\"\"{{ if .System }}<s><|system|>{{ .System }}</s>{{ else }}<s>{{ end }}\
         {{ if .Prompt }}<|user|>{{ .Prompt }}{{ end }}</s><|assistant|>{{ .Response }}</s>\"\"\"\nPARAMETER stop \"</s>\"\n"
    );
    // And back: a Hugging Face model of the file.
    let back = dir.path().join("back");
    exported(&Job::new(place.join("model.gguf").display().to_string(), &back));
    assert_eq!(says(&back), said);
    let blocks = dir.path().join("blocks");
    let report = exported(&Job { gguf: Some(GgufType::Q8_0), ..Job::new(&adapter, &blocks) });
    let sizes = [&place, &blocks].map(|at| std::fs::metadata(at.join("model.gguf")).unwrap().len());
    assert!(report.dtype == "q8_0" && sizes[1] * 3 < sizes[0], "{sizes:?}");
    let adapted = ModelDir::open(&blocks.join("model.gguf")).unwrap().model(&Device::Cpu).unwrap();
    assert!(adapted.params.blocks().len() > 0 && adapted.params.tracked_copy().is_err());
}

#[test]
fn an_adapter_alone_is_written_with_its_scale_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let config = LoraConfig {
        r: 4,
        use_rslora: true,
        alpha_pattern: vec![("v_proj".to_owned(), 3.0)],
        ..LoraConfig::default()
    };
    let adapter = adapter(dir.path(), &config);
    let place = dir.path().join("gguf");
    let report = exported(&Job { gguf_adapter: true, ..Job::new(&adapter, &place) });
    let file = align_gguf::GgufFile::open(&place.join("adapter.gguf")).unwrap();
    assert_eq!(file.metadata().optional_text("adapter.type").unwrap(), Some("lora"));
    let alpha = file.metadata().optional_number("adapter.lora.alpha").unwrap().unwrap();
    let numbers = |name: &str| {
        let info = &file.tensors()[name];
        align_gguf::numbers(info.kind, &file.bytes(info).unwrap()).unwrap()
    };
    let elements = file.tensors().values().map(|it| it.shape.iter().product::<usize>());
    assert_eq!(report.parameters, elements.sum::<usize>());
    let model = ModelDir::open(adapter.as_ref()).unwrap().model(&Device::Cpu).unwrap();
    for (name, place, alpha_of) in
        [("v_proj", "blk.0.attn_v", 3.0), ("o_proj", "blk.0.attn_output", config.lora_alpha)]
    {
        let own = format!("model.layers.0.self_attn.{name}.lora_B.weight");
        let own = model.params.require(&own).unwrap().tensor().flatten_all().unwrap();
        for (written, own) in
            numbers(&format!("{place}.weight.lora_b")).iter().zip(own.to_vec1::<f32>().unwrap())
        {
            // What llama.cpp multiplies with, and what rsLoRA does.
            let (theirs, ours) = (f64::from(*written) * alpha / 4.0, f64::from(own) * alpha_of / 2.0);
            assert!((theirs - ours).abs() < 1e-6, "{name}: {theirs} for {ours}");
        }
    }
    let modelfile = std::fs::read_to_string(place.join("Modelfile")).unwrap();
    assert!(modelfile.starts_with("FROM ./base.gguf\nADAPTER ./adapter.gguf\n"), "{modelfile}");
}

#[test]
fn what_no_file_can_hold_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("out");
    let refused = |job: Job, words: &str| {
        let error = export(&job, &Host::default()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(!place.join("model.gguf").exists() && !place.join("adapter.gguf").exists());
        let _ = std::fs::remove_dir_all(&place);
    };
    let gguf = |model: &str| Job { gguf: Some(GgufType::F16), ..Job::new(model, &place) };
    refused(Job { dtype: Some(SavedDtype::Float16), ..gguf(CHAT) }, "`dtype`: has no effect beside `gguf`");
    refused(
        Job { max_shard_size: Some("1MB".into()), ..gguf(CHAT) },
        "`max_shard_size`: has no effect beside `gguf`",
    );
    refused(Job { gguf_adapter: true, ..gguf(CHAT) }, "give one");
    refused(Job { gguf_adapter: true, ..Job::new(CHAT, &place) }, "expected one adapter");
    refused(gguf(REWARD), "is a reward model with");
    let dora = adapter(dir.path(), &LoraConfig { use_dora: true, ..LoraConfig::default() });
    refused(Job { gguf_adapter: true, ..Job::new(&dora, &place) }, "merge it into its base");
}
