//! Both forms of a step, states that are saved, threads, and what is refused; [`reference`] has what the numbers should be.

mod reference;

use std::ops::Range;

use candle_core::{Device, Tensor};

use super::buffer::Values;
use super::*;

const SHAPES: [(&str, &[usize]); 4] = [
    ("model.embed_tokens.weight", &[10, 6]),
    ("model.layers.0.down_proj.weight", &[16, 6]),
    ("model.layers.0.up_proj.weight", &[24, 181]),
    ("model.norm.weight", &[6]),
];
const ADAM: Adam = Adam { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 };

fn config(method: OptimizerMethod) -> OptimizerConfig {
    OptimizerConfig { method, weight_decay: 0.1, loraplus_lr_ratio: 1.0 }
}

/// A buffer of the CPU's as one of another device.
fn on_device(buffer: &Buffer) -> Tensor {
    let shape = &*buffer.spec.shape;
    match &buffer.values {
        Values::F32(values) => Tensor::from_slice(values, shape, &Device::Cpu).unwrap(),
        Values::U8(values) => Tensor::from_slice(values, shape, &Device::Cpu).unwrap(),
        Values::Device(tensor) => tensor.clone(),
    }
}

fn learning_rate(step: usize) -> f64 {
    0.02 / (1 + step % 4) as f64
}

fn params() -> Params {
    let weight = |shape: &[usize]| {
        let values = (0..shape.iter().product()).map(|i: usize| ((i * 37 % 211) as f32 - 105.0) / 128.0);
        Tensor::from_iter(values, &Device::Cpu).unwrap().reshape(shape).unwrap()
    };
    let tensors = SHAPES.map(|(name, shape)| (name.to_owned(), weight(shape)));
    Params::tracked(tensors.iter().map(|(name, tensor)| (name, tensor))).unwrap()
}

fn set_gradients(params: &Params, step: usize) {
    params.clear_grads();
    for (_, param) in params.iter() {
        let gradient = |i: usize| match i {
            512..768 => 0.0,
            i => {
                let whole = ((i + 1) * (step + 2) * 7 % 101) as f32 - 50.0;
                whole / 64.0 * 0.5f32.powi((i % 13) as i32)
            }
        };
        let values = (0..param.tensor().elem_count()).map(gradient);
        let grad = Tensor::from_iter(values, &Device::Cpu).unwrap().reshape(param.tensor().shape()).unwrap();
        param.grad_buffer().unwrap().accumulate(&grad).unwrap();
    }
}

fn train(optimizer: &mut Optimizer, params: &Params, steps: Range<usize>) {
    for step in steps {
        set_gradients(params, step);
        optimizer.step(params, learning_rate(step), 1.0).unwrap();
    }
}

fn values(params: &Params, name: &str) -> Vec<f32> {
    params.require(name).unwrap().tensor().flatten_all().unwrap().to_vec1().unwrap()
}

fn methods() -> [OptimizerMethod; 7] {
    let momentum = Momentum { momentum: 0.9, dampening: 0.1, nesterov: false };
    [
        OptimizerMethod::AdamW(ADAM),
        OptimizerMethod::AdamW8bit(ADAM),
        OptimizerMethod::Adafactor,
        OptimizerMethod::Lion { beta1: 0.9, beta2: 0.99 },
        OptimizerMethod::Sgd(Momentum::default()),
        OptimizerMethod::Sgd(momentum),
        OptimizerMethod::Muon(Muon::default(), ADAM),
    ]
}

#[test]
fn both_forms_of_a_step_are_the_same() {
    for method in methods().into_iter().filter(|method| !matches!(method, OptimizerMethod::AdamW8bit(_))) {
        let (in_place, composed) = (params(), params());
        let mut fast = Optimizer::new(&in_place, config(method)).unwrap();
        let mut slow = Optimizer::new(&composed, config(method)).unwrap();
        for buffer in slow.states.values_mut().flat_map(|state| &mut state.buffers) {
            buffer.values = Values::Device(on_device(buffer));
        }
        for step in 0..7 {
            set_gradients(&in_place, step);
            set_gradients(&composed, step);
            fast.step(&in_place, learning_rate(step), 0.3).unwrap();
            slow.step += 1;
            for (name, param) in composed.iter() {
                let weight_decay = if Optimizer::decays(name, param) { 0.1 } else { 0.0 };
                let step = Step {
                    number: slow.step,
                    learning_rate: learning_rate(step),
                    weight_decay,
                    grad_scale: 0.3,
                };
                let (state, grad) = (slow.states.get_mut(name).unwrap(), param.grad_buffer().unwrap());
                state.rule.step_composed(param, &grad.get().unwrap(), &mut state.buffers, step).unwrap();
            }
        }
        let is_adamw = matches!(method, OptimizerMethod::AdamW(_));
        for (name, _) in SHAPES {
            for (fast, slow) in values(&in_place, name).into_iter().zip(values(&composed, name)) {
                let tolerance = if is_adamw { 0.0 } else { 3e-6 * fast.abs().max(0.1) };
                assert!((fast - slow).abs() <= tolerance, "{method:?}, {name}: {fast} and {slow}");
            }
        }
    }
}

#[test]
fn a_saved_optimizer_goes_on_to_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("optimizer.safetensors");
    for method in methods() {
        let (straight, stopped) = (params(), params());
        let mut optimizer = Optimizer::new(&straight, config(method)).unwrap();
        train(&mut optimizer, &straight, 0..6);

        let mut before = Optimizer::new(&stopped, config(method)).unwrap();
        train(&mut before, &stopped, 0..3);
        before.save(&file).unwrap();
        let mut after = Optimizer::new(&stopped, config(method)).unwrap();
        after.load(&stopped, &file).unwrap();
        train(&mut after, &stopped, 3..6);
        for (name, _) in SHAPES {
            assert_eq!(values(&straight, name), values(&stopped, name), "{method:?}: {name}");
        }
    }
}

#[test]
fn the_state_of_another_optimizer_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("optimizer.safetensors");
    let params = params();
    for method in methods() {
        Optimizer::new(&params, config(method)).unwrap().save(&file).unwrap();
        for other in methods() {
            let mut optimizer = Optimizer::new(&params, config(other)).unwrap();
            let loaded = optimizer.load(&params, &file).map_err(|error| error.to_string());
            let (saved, wanted) = (method.optim().name(), other.optim().name());
            if saved == wanted {
                // Momentum that was not saved is no state of another optimizer, but it is not there either.
                let has_buffers =
                    |method: OptimizerMethod| method != OptimizerMethod::Sgd(Momentum::default());
                assert_eq!(loaded.is_ok(), has_buffers(method) || !has_buffers(other), "{loaded:?}");
            } else {
                let message = loaded.unwrap_err();
                let expected = format!("holds the state of `optim` {saved}, expected that of {wanted}");
                assert!(message.contains(&expected) && !message.contains('\n'), "{message}");
            }
        }
    }
}

#[test]
fn states_are_as_large_as_they_are_said_to_be() {
    let elements = |range: Range<usize>| -> usize {
        SHAPES[range].iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    };
    let bytes = |method: OptimizerMethod| {
        let held = Optimizer::new(&params(), config(method)).unwrap().bytes();
        let known: u64 = SHAPES.iter().map(|(name, shape)| method.state_bytes(name, shape)).sum();
        assert_eq!(known, held as u64, "what is known before there are parameters");
        held
    };
    let all = elements(0..4);
    let small = all - elements(2..3);
    let [adamw, adamw_8bit, adafactor, lion, sgd, momentum, muon] = methods().map(bytes);
    assert_eq!(adamw, 8 * all);
    assert_eq!(adamw_8bit, 8 * small + 2 * (elements(2..3) + 4 * elements(2..3).div_ceil(256)));
    assert_eq!(adafactor, 4 * (10 + 6 + 16 + 6 + 24 + 181 + 6));
    assert_eq!((lion, sgd, momentum), (4 * all, 0, 4 * all));
    assert_eq!(muon, 4 * elements(1..3) + 8 * (elements(0..1) + elements(3..4)));
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    // Three blocks of the parallel loop, the last of which is partial.
    let shape = (300, 250);
    let tensor = |seed: usize| {
        let values = (0..shape.0 * shape.1).map(|i| ((i * 7919 + seed) % 10_007) as f32 / 5003.0 - 1.0);
        Tensor::from_iter(values, &Device::Cpu).unwrap().reshape(shape).unwrap()
    };
    for method in methods() {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let params = Params::tracked([(&"w".to_owned(), &tensor(0))]).unwrap();
                let mut optimizer = Optimizer::new(&params, config(method)).unwrap();
                for step in 1..4 {
                    params.clear_grads();
                    params.require("w").unwrap().grad_buffer().unwrap().accumulate(&tensor(step)).unwrap();
                    optimizer.step(&params, 0.01, 0.5).unwrap();
                }
                values(&params, "w")
            })
        };
        assert_eq!(run(1), run(3), "{method:?}");
    }
}

#[test]
fn an_optimizer_that_would_do_nothing_is_refused() {
    let small = Tensor::zeros((4, 4), DType::F32, &Device::Cpu).unwrap();
    let refused = |name: &str, method| {
        let params = Params::tracked([(&name.to_owned(), &small)]).unwrap();
        Optimizer::new(&params, config(method)).err().unwrap().to_string()
    };
    let message = refused("proj.weight", OptimizerMethod::AdamW8bit(ADAM));
    assert!(message.contains("`optim` = adamw_8bit") && message.contains("4096"), "{message}");
    let message = refused("score.weight", OptimizerMethod::Muon(Muon::default(), ADAM));
    assert!(message.contains("`optim` = muon") && message.contains("no matrix of the layers"), "{message}");
}

#[test]
fn loraplus_makes_b_and_vectors_faster_whatever_the_optimizer() {
    let weight = Tensor::ones((2, 3), DType::F32, &Device::Cpu).unwrap();
    let names = ["q.lora_A.weight".to_owned(), "q.lora_B.weight".to_owned()];
    for method in methods().into_iter().filter(|method| !matches!(method, OptimizerMethod::AdamW8bit(_))) {
        let params = Params::tracked(names.iter().map(|name| (name, &weight))).unwrap();
        let plus = OptimizerConfig { method, weight_decay: 0.0, loraplus_lr_ratio: 4.0 };
        let mut optimizer = Optimizer::new(&params, plus).unwrap();
        for (_, param) in params.iter() {
            param.grad_buffer().unwrap().accumulate(&(&weight * 0.5).unwrap()).unwrap();
        }
        optimizer.step(&params, 1e-2, 1.0).unwrap();
        let moved = |name| 1.0 - values(&params, name)[0];
        let ratio = moved("q.lora_B.weight") / moved("q.lora_A.weight");
        assert!((ratio - 4.0).abs() < 1e-3, "{method:?}: {ratio}");
    }
}

#[test]
fn norms_and_biases_do_not_decay() {
    let vector = Param::tracked(&Tensor::zeros(4, DType::F32, &Device::Cpu).unwrap()).unwrap();
    let matrix = Param::tracked(&Tensor::zeros((4, 4), DType::F32, &Device::Cpu).unwrap()).unwrap();
    assert!(Optimizer::decays("model.layers.0.self_attn.q_proj.weight", &matrix));
    assert!(!Optimizer::decays("model.layers.0.self_attn.q_proj.bias", &vector));
    assert!(!Optimizer::decays("model.layers.0.input_layernorm.weight", &vector));
    assert!(!Optimizer::decays("model.norm.weight", &matrix));
}

#[test]
fn parameters_that_are_not_f32_are_refused() {
    let half = Tensor::zeros((2, 2), DType::BF16, &Device::Cpu).unwrap();
    let params = Params::tracked([(&"w".to_owned(), &half)]).unwrap();
    let message = Optimizer::new(&params, OptimizerConfig::default()).err().unwrap().to_string();
    assert!(message.contains("`w` is BF16"), "{message}");
}
