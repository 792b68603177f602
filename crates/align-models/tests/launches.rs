//! What one layer of composed ops asks of a device: the tensors that candle makes, forward and backward, counted here and
//! launched as kernels on a GPU (views among them are free).
//!
//! candle numbers tensors as it makes them, for the whole process: only one test here may make any.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::fs;
use std::path::Path;

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

/// A layer's share of a pass: what is read from the host (token ids, rows, rotations, masks) is read once per pass, and
/// nothing is read back.
#[test]
fn a_layer_copies_nothing_between_host_and_device() {
    let kernels = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../align-kernels/src"));
    let mut sources = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/layer.rs")];
    for ops in fs::read_dir(kernels).unwrap() {
        let ops = ops.unwrap().path();
        sources.push(ops.join("composed.rs"));
        if ops.ends_with("tape") {
            sources.extend(fs::read_dir(&ops).unwrap().map(|file| file.unwrap().path()));
        }
    }
    let mut read = 0;
    for path in sources.iter().filter(|path| path.is_file()) {
        let source = fs::read_to_string(path).unwrap();
        let source = source.split("#[cfg(test)]").next().unwrap();
        for copy in [
            "Tensor::new",
            "from_vec",
            "from_slice",
            "from_iter",
            "to_vec0",
            "to_vec1",
            "to_vec2",
            "to_scalar",
        ] {
            assert!(!source.contains(copy), "{}: `{copy}`", path.display());
        }
        read += 1;
    }
    assert!(read >= 12, "only {read} sources of composed ops were found");
}
