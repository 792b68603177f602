//! What one layer of composed ops asks of a device: the tensors that candle makes, forward and backward, counted here and
//! launched as kernels on a GPU (views among them are free).
//!
//! candle numbers tensors as it makes them, for the whole process: this test has one of its own.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use align_kernels::{Params, composed};
use align_models::{CausalLm, DecoderConfig, Packed, random_weights};
use candle_core::{Device, Tensor};

const CPU: Device = Device::Cpu;

/// The number of the next tensor.
fn next_number() -> usize {
    let id = format!("{:?}", Tensor::zeros(1, candle_core::DType::F32, &CPU).unwrap().id());
    id.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

/// Tensors made by a forward and a backward pass of a decoder of that many layers.
fn tensors_made(layers: usize) -> [usize; 2] {
    let config = DecoderConfig::from_json(&serde_json::json!({
        "model_type": "llama",
        "vocab_size": 50,
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "tie_word_embeddings": true,
    }));
    let config = config.unwrap();
    let params = Params::tracked(&random_weights(&config, 5, &CPU).unwrap()).unwrap();
    let model = CausalLm::new(&config, &params).unwrap();
    let mut packed = Packed::default();
    packed.push_sequence(&[5, 9, 20, 31, 7], &[true; 5]);
    composed(|| {
        let start = next_number();
        let hidden = model.decoder().hidden(&packed.stream, &[0, 1, 2, 3, 4]).unwrap();
        let middle = next_number();
        drop(hidden.sqr().unwrap().sum_all().unwrap().backward().unwrap());
        [middle - start, next_number() - middle]
    })
}

#[test]
fn a_layer_makes_few_tensors() {
    let (one, two) = (tensors_made(1), tensors_made(2));
    let [forward, backward] = [two[0] - one[0], two[1] - one[1]];
    println!("a composed layer of one segment makes {forward} tensors forward and {backward} backward");
    assert!(forward <= FORWARD && backward <= BACKWARD, "{forward} forward, {backward} backward");
}

/// As counted when the layer became one op, and a little.
const FORWARD: usize = 110;
const BACKWARD: usize = 145;
