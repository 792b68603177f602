//! Every kind of layer through an update, as small as its golden model, and what was written read again.

use std::fs;
use std::path::Path;

use crate::stage;
use crate::support::{Place, Weights, read_weights, training};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden/models");

/// One of each kind of layer: biases, windows, norms per head and per row, behind the branches and around zero, soft
/// caps, fused weights and a rotated share, layers without rotation, multipliers.
const FAMILIES: [&str; 10] =
    ["qwen2-window", "qwen3", "mistral", "gemma", "gemma2", "gemma3", "phi3", "olmo2", "granite", "smollm3"];

/// The golden model with the tokenizer that the place has.
pub(crate) fn start_from(place: &Place, family: &str) -> Weights {
    for name in ["config.json", "model.safetensors"] {
        place.write(&format!("model/{name}"), fs::read(Path::new(GOLDEN).join(family).join(name)).unwrap());
    }
    read_weights(&place.path("model/model.safetensors"))
}

#[test]
fn every_kind_of_layer_trains() {
    for family in FAMILIES {
        let place = Place::new();
        let before = start_from(&place, family);
        let options = format!("{} --max-steps 2", stage::FAMILY);
        let run = place.train("out", &format!("--resize-token-embeddings {options}"));
        let after = run.weights();
        for (name, before) in &before {
            let Some(after) = after.get(name) else {
                assert_eq!(
                    (name.as_str(), stage::WITHOUT_HEAD),
                    ("lm_head.weight", true),
                    "{family}: {name} is gone"
                );
                continue;
            };
            assert_ne!(&after[..before.len()], before, "{family}: {name} was not trained");
            assert!(after.iter().all(|value| value.is_finite()), "{family}: {name}");
        }
        let (config, own) = (run.json("config.json"), place.path("model/config.json"));
        let own: serde_json::Value = serde_json::from_slice(&fs::read(own).unwrap()).unwrap();
        assert_eq!(config["model_type"], own["model_type"]);
        place.succeeds(&training("again", &options).replace("--model model", "--model out"));
    }
}
