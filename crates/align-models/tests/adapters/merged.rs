//! Adapters merged into their base.

use std::path::Path;

use align_models::{Model, ModelDir, RewardModel};

use crate::{CPU, SHIPPED, goldens, worst};

#[test]
fn merged_it_is_the_same_function() {
    for golden in goldens() {
        if ["embedding-scaled", "head-tied"].contains(&golden.name.as_str()) {
            let problem = golden.dir.merged(&CPU).unwrap_err().to_string();
            assert!(problem.contains("merged, both would have it"), "{problem}");
            continue;
        }
        let (dir, model) = golden.dir.merged(&CPU).unwrap();
        assert!(!model.config.has_adapter() && !dir.is_adapter());
        let packed = golden.packed();
        let saved = tempfile::tempdir().unwrap();
        if golden.is_reward() {
            let (head, _) = golden.dir.load_reward_model(None, 0, &CPU).unwrap();
            let own = RewardModel::new(&model.config, head, &model.params).unwrap();
            let rewards = own.rewards(&packed).unwrap().to_vec1::<f32>().unwrap();
            assert!(worst(&rewards, &golden.tensors["rewards"].to_vec1::<f32>().unwrap()) < 1e-5);
            continue;
        }
        let apart = golden.apart(&model.causal_lm().unwrap());
        println!("{}: merged, logits are {apart:.1e} apart", golden.name);
        assert!(apart < 1e-4);
        dir.save(&model.params, saved.path()).unwrap();
        let again = ModelDir::open(saved.path()).unwrap().model(&CPU).unwrap();
        assert!(golden.apart(&again.causal_lm().unwrap()) < 1e-4);
    }
}

#[test]
fn adapters_add_up_by_their_weights() {
    let open = |name: &str| ModelDir::open(&Path::new(SHIPPED).join("adapters").join(name)).unwrap();
    let sum = |parts: &[(&str, f64)]| {
        let parts: Vec<_> = parts.iter().map(|(name, weight)| (open(name), *weight)).collect();
        ModelDir::merged_sum(&parts, &CPU).map(|(_, model)| model)
    };
    let weight = |model: &align_models::Model| {
        let weight = model.params.require("model.layers.0.self_attn.q_proj.weight").unwrap().tensor().clone();
        weight.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let base = weight(&Model {
        config: open("lora").decoder_config().clone(),
        params: open("lora").load(&CPU).unwrap(),
    });
    let (a, b) = (weight(&sum(&[("lora", 1.0)]).unwrap()), weight(&sum(&[("dora", 1.0)]).unwrap()));
    let both = weight(&sum(&[("lora", 0.5), ("dora", -2.0)]).unwrap());
    let expected: Vec<f32> =
        (0..base.len()).map(|i| base[i] + 0.5 * (a[i] - base[i]) - 2.0 * (b[i] - base[i])).collect();
    assert!(worst(&both, &expected) < 1e-5 && worst(&both, &base) > 0.1);
    assert_eq!(weight(&sum(&[("lora", 0.0)]).unwrap()), base);
    let problem = |parts: &[(&str, f64)]| sum(parts).unwrap_err().to_string();
    assert!(problem(&[("lora", 1.0), ("fused", 1.0)]).contains("expected one base"));
    assert!(problem(&[("reward", 0.5)]).contains("is a reward model"));
    assert!(problem(&[]).contains("found none"));
    let plain = ModelDir::open(&Path::new(SHIPPED).join("models/llama")).unwrap();
    assert!(plain.merged(&CPU).unwrap_err().to_string().contains("is no adapter"));
}
