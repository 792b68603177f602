//! Adapters that start from a weight's largest singular values.

use std::path::Path;

use align_kernels::Params;
use align_models::{CausalLm, LoraConfig, LoraStart, ModelDir};
use candle_core::Tensor;
use serde_json::Value;

use crate::{CPU, SHIPPED, goldens, logits, worst};

fn started(base: &str, config: &LoraConfig) -> ModelDir {
    let path = Path::new(SHIPPED).join("models").join(base).canonicalize().unwrap();
    let base = ModelDir::open(&path).unwrap();
    base.with_new_adapter(config, &path.display().to_string(), None).unwrap()
}

fn config() -> LoraConfig {
    LoraConfig {
        r: 3,
        lora_alpha: 5.0,
        use_rslora: true,
        rank_pattern: vec![("o_proj".to_owned(), 2)],
        alpha_pattern: vec![("down_proj".to_owned(), -1.5)],
        init_lora_weights: LoraStart::Pissa,
        ..LoraConfig::default()
    }
}

/// As training would have left them.
fn moved(params: &Params) {
    for (number, (_, param)) in params.iter().filter(|(_, param)| param.is_tracked()).enumerate() {
        let noise = Tensor::arange(0f32, param.tensor().elem_count() as f32, &CPU).unwrap();
        let noise = ((noise * (1.0 + number as f64)).unwrap().sin().unwrap() * 0.05).unwrap();
        param
            .set(&(param.tensor().detach() + noise.reshape(param.tensor().shape()).unwrap()).unwrap())
            .unwrap();
    }
}

#[test]
fn it_starts_as_its_base_and_is_saved_as_an_ordinary_adapter_of_it() {
    let packed = goldens()[0].packed();
    for base in ["llama", "phi3", "qwen2"] {
        let dir = started(base, &config());
        let (params, start) = dir.trainable(7, &CPU).unwrap();
        let model = CausalLm::new(dir.decoder_config(), &params).unwrap();
        let of_base = logits(&start.causal_lm().unwrap(), &packed);
        assert_eq!(logits(&model, &packed), of_base, "{base}: to the bit");
        // What is trained begins as the most that its rank can hold, and only that is trained.
        let largest = params.iter().filter(|(name, _)| name.contains("lora_B.weight"));
        largest.for_each(|(name, b)| {
            assert!(
                b.is_tracked()
                    && b.tensor().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap() > 0.01,
                "{name}"
            );
        });
        let offsets = params.iter().filter(|(name, _)| name.ends_with(".offset")).count();
        assert!(
            offsets > 0
                && params
                    .iter()
                    .all(|(name, it)| it.is_tracked() != name.ends_with(".offset") || !name.contains("lora"))
        );
        moved(&params);
        let trained = logits(&model, &packed);
        assert!(worst(&trained, &of_base) > 0.01);

        let saved = tempfile::tempdir().unwrap();
        dir.save(&params, saved.path()).unwrap();
        let again = ModelDir::open(saved.path()).unwrap();
        let (read, _) = again.trainable(0, &CPU).unwrap();
        assert_eq!(logits(&again.model(&CPU).unwrap().causal_lm().unwrap(), &packed), trained, "{base}");
        assert_eq!(read.trained().iter().count(), params.trained().iter().count());
        let twice = tempfile::tempdir().unwrap();
        again.save(&read, twice.path()).unwrap();
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            let bytes = |dir: &Path| std::fs::read(dir.join(file)).unwrap();
            assert!(bytes(saved.path()) == bytes(twice.path()), "{base}: {file}");
        }
        // For whoever does not know where it began.
        let file = saved.path().join("adapter_config.json");
        let mut json: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        json.as_object_mut().unwrap().remove("pissa").unwrap();
        assert_eq!((&json["r"], &json["init_lora_weights"]), (&Value::from(6), &Value::from(true)));
        assert_eq!(json["rank_pattern"]["o_proj"], 4);
        std::fs::write(&file, json.to_string()).unwrap();
        let ordinary = ModelDir::open(saved.path()).unwrap();
        assert!(
            worst(&logits(&ordinary.model(&CPU).unwrap().causal_lm().unwrap(), &packed), &trained) < 2e-5
        );
        let (_, merged) = again.merged(&CPU).unwrap();
        assert!(worst(&logits(&merged.causal_lm().unwrap(), &packed), &trained) < 2e-5);
    }
}

#[test]
fn the_same_seed_gives_the_same_start_and_dora_has_no_place_beside_it() {
    let bits = |seed| {
        let (params, _) = started("llama", &config()).trainable(seed, &CPU).unwrap();
        let own = params.iter().filter(|(name, _)| name.contains("lora"));
        own.flat_map(|(_, it)| it.tensor().flatten_all().unwrap().to_vec1::<f32>().unwrap())
            .map(f32::to_bits)
            .collect::<Vec<_>>()
    };
    assert_eq!(bits(1), bits(1));
    assert_ne!(bits(1), bits(2));
    let path = Path::new(SHIPPED).join("models/llama");
    let dora = LoraConfig { use_dora: true, ..config() };
    let problem = ModelDir::open(&path).unwrap().with_new_adapter(&dora, "base", None).unwrap_err();
    assert!(problem.to_string().contains("pissa"), "{problem}");
}
