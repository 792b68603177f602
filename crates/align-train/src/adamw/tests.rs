use super::*;

const CONFIG: AdamWConfig =
    AdamWConfig { beta1: 0.9, beta2: 0.95, epsilon: 1e-6, weight_decay: 0.1, loraplus_lr_ratio: 1.0 };

fn params() -> Params {
    let weight = Tensor::new(&[[0.5f32, -1.0, 2.0], [0.0, 1e-3, -3.0]], &Device::Cpu).unwrap();
    let bias = Tensor::new(&[0.25f32, -0.75], &Device::Cpu).unwrap();
    Params::tracked([(&"proj.weight".to_owned(), &weight), (&"proj.bias".to_owned(), &bias)]).unwrap()
}

/// `((element + 1) * (step + 2) * 7 % 11 - 5) / 4`
fn set_gradients(params: &Params, step: usize) {
    params.clear_grads();
    for (_, param) in params.iter() {
        let grad: Vec<f32> = (0..param.tensor().elem_count())
            .map(|i| (((i + 1) * (step + 2) * 7 % 11) as f32 - 5.0) / 4.0)
            .collect();
        let grad = Tensor::from_vec(grad, param.tensor().shape(), &Device::Cpu).unwrap();
        param.grad_buffer().unwrap().accumulate(&grad).unwrap();
    }
}

fn values(params: &Params, name: &str) -> Vec<f32> {
    params.require(name).unwrap().tensor().flatten_all().unwrap().to_vec1().unwrap()
}

fn train(optimizer: &mut AdamW, params: &Params, steps: std::ops::Range<usize>) {
    for step in steps {
        set_gradients(params, step);
        optimizer.step(params, 0.01, 1.0).unwrap();
    }
}

/// ```python
/// w = torch.nn.Parameter(torch.tensor([[0.5, -1.0, 2.0], [0.0, 1e-3, -3.0]]))
/// b = torch.nn.Parameter(torch.tensor([0.25, -0.75]))
/// groups = [{"params": [w], "weight_decay": 0.1}, {"params": [b], "weight_decay": 0.0}]
/// o = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.95), eps=1e-6)
/// for t in range(5):
///     for p in (w, b):
///         g = [((i + 1) * (t + 2) * 7 % 11 - 5) / 4 for i in range(p.numel())]
///         p.grad = torch.tensor(g).reshape(p.shape)
///     o.step()
/// print(w, b, o.state[w]["exp_avg"], o.state[w]["exp_avg_sq"])
/// ```
#[test]
fn five_steps_are_those_of_torch() {
    let params = params();
    let mut optimizer = AdamW::new(&params, CONFIG).unwrap();
    train(&mut optimizer, &params, 0..5);
    let close = |found: &[f32], expected: &[f64]| {
        for (&found, &expected) in found.iter().zip(expected) {
            let found = f64::from(found);
            assert!(
                (found - expected).abs() <= 2e-7 * expected.abs().max(0.1),
                "{found} instead of {expected}"
            );
        }
    };
    let weight =
        [0.494_846_165, -1.014_789_46, 1.944_323_18, 0.021_339_308_5, -0.004_946_212_75, -2.996_685_5];
    close(&values(&params, "proj.weight"), &weight);
    close(&values(&params, "proj.bias"), &[0.247_358_412, -0.769_845_605]);
    let Moments::Cpu { first, second } = &optimizer.moments["proj.weight"] else { unreachable!() };
    close(
        first,
        &[0.111_069_992, 0.035_802_505_9, 0.183_285_013, -0.072_410_002_4, 0.075_072_504_6, 0.027_304_999_5],
    );
    close(
        second,
        &[0.156_702_816, 0.106_007_829, 0.079_088_985_9, 0.116_044_067, 0.154_826_194, 0.147_087_574],
    );
}

#[test]
fn both_forms_of_the_step_are_the_same_to_the_bit() {
    let (in_place, composed) = (params(), params());
    let mut fast = AdamW::new(&in_place, CONFIG).unwrap();
    let mut slow = AdamW::new(&composed, CONFIG).unwrap();
    for (name, param) in composed.iter() {
        let (first, second) = slow.moments[name].tensors(param).unwrap();
        slow.moments.insert(name.to_owned(), Moments::Device { first, second });
    }
    for step in 0..7 {
        set_gradients(&in_place, step);
        set_gradients(&composed, step);
        fast.step(&in_place, 0.01, 0.3).unwrap();
        slow.step(&composed, 0.01, 0.3).unwrap();
    }
    for name in ["proj.weight", "proj.bias"] {
        assert_eq!(values(&in_place, name), values(&composed, name));
    }
}

#[test]
fn norms_and_biases_do_not_decay() {
    let vector = Param::tracked(&Tensor::zeros(4, DType::F32, &Device::Cpu).unwrap()).unwrap();
    let matrix = Param::tracked(&Tensor::zeros((4, 4), DType::F32, &Device::Cpu).unwrap()).unwrap();
    assert!(AdamW::decays("model.layers.0.self_attn.q_proj.weight", &matrix));
    assert!(!AdamW::decays("model.layers.0.self_attn.q_proj.bias", &vector));
    assert!(!AdamW::decays("model.layers.0.input_layernorm.weight", &vector));
    assert!(!AdamW::decays("model.norm.weight", &matrix));
}

#[test]
fn a_saved_optimizer_goes_on_to_the_same_weights() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("optimizer.safetensors");
    let (straight, stopped) = (params(), params());
    let mut optimizer = AdamW::new(&straight, CONFIG).unwrap();
    train(&mut optimizer, &straight, 0..6);

    let mut before = AdamW::new(&stopped, CONFIG).unwrap();
    train(&mut before, &stopped, 0..3);
    before.save(&stopped, &file).unwrap();
    let mut after = AdamW::new(&stopped, CONFIG).unwrap();
    after.load(&stopped, &file).unwrap();
    train(&mut after, &stopped, 3..6);
    assert_eq!(values(&straight, "proj.weight"), values(&stopped, "proj.weight"));
}

#[test]
fn parameters_that_are_not_f32_are_refused() {
    let half = Tensor::zeros((2, 2), DType::BF16, &Device::Cpu).unwrap();
    let params = Params::tracked([(&"w".to_owned(), &half)]).unwrap();
    let message = AdamW::new(&params, CONFIG).err().unwrap().to_string();
    assert!(message.contains("`w` is BF16"), "{message}");
}
