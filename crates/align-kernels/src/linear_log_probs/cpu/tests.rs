//! What cannot be seen from outside: keeping the logits or computing them again gives the same bits.

use candle_core::{Device, Result, Tensor};

use super::super::Wide;
use super::within;
use crate::{Head, Param};

fn values(rows: usize, columns: usize, scale: f32) -> Result<Tensor> {
    let entry = |i: usize| scale * ((i * 7919 % 10_007) as f32 / 5003.5 - 1.0);
    Tensor::from_iter((0..rows * columns).map(entry), &Device::Cpu)?.reshape((rows, columns))
}

/// Log-probs, the gradient of the hidden states and the weight's.
fn step(rows: usize, width: usize, vocab: usize, kept_bytes: usize) -> Result<[Vec<f32>; 3]> {
    let hidden = Param::tracked(&values(rows, width, 1.0)?)?;
    let weight = Param::tracked(&values(vocab, width, 2.0)?)?;
    let labels = Tensor::from_iter((0..rows).map(|i| (i * 31 % vocab) as u32), &Device::Cpu)?;
    let log_probs = within(kept_bytes, hidden.tensor(), &Wide::of(&Head::new(&weight)), &labels)?;
    let grads = (&log_probs * &log_probs)?.sum_all()?.backward()?;
    let weight = weight.grad_buffer().unwrap().get().unwrap();
    let all = |t: &Tensor| t.flatten_all()?.to_vec1::<f32>();
    Ok([all(&log_probs)?, all(grads.get(hidden.tensor()).unwrap())?, all(&weight)?])
}

fn bits(results: &[Vec<f32>; 3]) -> Vec<u32> {
    results.iter().flatten().map(|x| x.to_bits()).collect()
}

#[test]
fn kept_logits_give_the_bits_of_computed_ones_whatever_the_threads() -> Result<()> {
    // The last two have several tiles both ways.
    for (rows, width, vocab) in [(1, 5, 7), (3, 1, 1), (513, 9, 5003), (1030, 33, 2500)] {
        let first = bits(&step(rows, width, vocab, 0)?);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for kept_bytes in [0, usize::MAX] {
                let again = bits(&pool.install(|| step(rows, width, vocab, kept_bytes))?);
                assert!(first == again, "{rows}x{width}x{vocab}, {threads} threads, {kept_bytes} bytes");
            }
        }
    }
    Ok(())
}

#[test]
fn a_second_backward_pass_is_an_error_that_says_why() -> Result<()> {
    let hidden = Param::tracked(&values(3, 4, 1.0)?)?;
    let weight = Param::tracked(&values(9, 4, 2.0)?)?;
    let labels = Tensor::new(&[0u32, 8, 5], &Device::Cpu)?;
    let loss = within(usize::MAX, hidden.tensor(), &Wide::of(&Head::new(&weight)), &labels)?.sum_all()?;
    loss.backward()?;
    let error = loss.backward().unwrap_err().to_string();
    assert!(error.contains("linear_log_probs: this graph has been gone back through"), "{error}");
    Ok(())
}
