//! Exports in blocks of few bits.

use align_export::{Job, export};
use align_models::{GgufType, ModelDir};
use align_stage::{Host, QuantOptions, QuantType};
use candle_core::Device;

const CHAT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/models/tiny-chat");

fn in_four_bits() -> QuantOptions {
    QuantOptions { load_in_4bit: true, ..QuantOptions::default() }
}

#[test]
fn a_model_in_four_bits_is_small_and_opens_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("nf4");
    let job = Job { quantise: in_four_bits(), ..Job::new(CHAT, &place) };
    assert_eq!(export(&job, &Host::default()).unwrap().dtype, "nf4");
    let opened = ModelDir::open(&place).unwrap().model(&Device::Cpu).unwrap();
    assert!(opened.params.blocks().len() > 0 && opened.params.blocks().all(|(_, it)| it.format() == "nf4"));
    let size = |path: &std::path::Path| std::fs::metadata(path.join("model.safetensors")).unwrap().len();
    assert!(size(&place) < size(CHAT.as_ref()), "{} of {}", size(&place), size(CHAT.as_ref()));
}

#[test]
fn options_without_effect_are_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("out");
    let refused = |job: Job, says: &str| {
        let error = export(&job, &Host::default()).unwrap_err().to_string();
        assert!(error.contains(says) && !place.exists(), "{error}");
    };
    let job = |quantise| Job { quantise, ..Job::new(CHAT, &place) };
    let both = QuantOptions { load_in_8bit: true, ..in_four_bits() };
    refused(job(both), "exclude each other");
    let kind = QuantOptions { bnb_4bit_quant_type: Some(QuantType::Fp4), ..QuantOptions::default() };
    refused(job(kind), "`bnb_4bit_quant_type`: has no effect, without `--load-in-4bit`");
    refused(Job { gguf: Some(GgufType::F32), ..job(in_four_bits()) }, "have no effect beside `gguf`");
}
