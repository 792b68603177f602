//! The block on slices: every gradient between its ops goes where it is needed and no further.

use candle_core::{Result, Shape, Tensor, bail};

use super::AttentionBlock;
use crate::accumulate::Recorded;
use crate::attention::Attention;
use crate::cpu::{Floats, add_all, add_assign, slice, tensor};
use crate::linear::Layer;
use crate::rope::rotate;
use crate::{attention, linear, rms_norm, rope};

/// See [`attention_block`](crate::attention_block). All f32 on the CPU, `x` tracked.
pub(super) fn attention_block(
    x: &Tensor,
    block: &AttentionBlock<'_>,
    rows: Option<&Tensor>,
) -> Result<Tensor> {
    rms_norm::check(x, block.norm)?;
    let (tokens, hidden) = x.dims2()?;
    let rows = rows.map(|rows| inside(rows, tokens)).transpose()?;
    let rotation = block.rotation.clone();

    let (normalised, norm) = rms_norm::Backward::of(x, block.norm, block.norm_epsilon)?;
    let normalised = tensor(normalised, (tokens, hidden))?;
    let (q, query) = heads(&normalised, block.query, block.head_dim)?;
    let (k, key) = heads(&normalised, block.key, block.head_dim)?;
    let (v, value) = heads(&normalised, block.value, block.head_dim)?;
    let rotated = |x: Tensor| {
        rope::check(&x, &rotation)?;
        tensor(rotate(&x, &rotation, 1.0)?, x.shape())
    };
    let (q, k) = (rotated(q)?, rotated(k)?);
    attention::check(&q, &k, &v, block.segments, block.window)?;
    attention::check_apart(block.segments)?;
    let attention = Attention::new(block.segments, block.scale(), block.window);
    let mixed = tensor(attention.forward(&q, &k, &v)?, q.shape())?;
    let answers = gather(&mixed.flatten_from(1)?, rows.as_deref())?;
    let (weight, bias) = block.output;
    linear::check(&answers, weight, bias)?;
    if weight.tensor().dim(0)? != hidden {
        bail!("attention_block: expected an output of width {hidden}, got {:?}", weight.tensor().shape());
    }
    let (mut y, output) = linear::Backward::of(&answers, weight, bias)?;
    add_all(&mut y, &slice(&gather(&x.detach().contiguous()?, rows.as_deref())?)?);

    let shape = (answers.dim(0)?, hidden);
    let backward = move |grad: &Tensor| {
        let grad = grad.contiguous()?;
        let grad = slice(&grad)?;
        output.add_parameter_gradients(&grad)?;
        let dmixed = match &rows {
            Some(rows) => scatter(&output.input_gradient(&grad)?, rows, mixed.shape())?,
            None => output.input_gradient(&grad)?,
        };
        let [dq, dk, dv] = attention.backward([&q, &k, &v], &mixed, &dmixed)?;
        drop(dmixed);
        let dq = rotate(&tensor(dq, q.shape())?, &rotation, -1.0)?;
        let dk = rotate(&tensor(dk, k.shape())?, &rotation, -1.0)?;
        let [dq, dk, dv] = [(&query, dq), (&key, dk), (&value, dv)].map(|(layer, grad)| {
            layer.add_parameter_gradients(&grad)?;
            layer.input_gradient(&grad)
        });
        let mut dnormalised = dv?;
        add_all(&mut dnormalised, &dk?);
        add_all(&mut dnormalised, &dq?);
        norm.add_weight_gradient(&dnormalised)?;
        let mut dx = norm.input_gradient(&dnormalised)?;
        match &rows {
            Some(rows) => add_all(&mut dx, &scatter(&grad, rows, normalised.shape())?),
            None => add_all(&mut dx, &grad),
        }
        Ok([Some(tensor(dx, (tokens, hidden))?)])
    };
    x.apply_op1(Recorded { name: "attention-block", value: Floats::new(y, shape), backward })
}

/// A projection of the rows as `[tokens, heads, dim]`, and the way back.
fn heads(x: &Tensor, (weight, bias): Layer<'_>, dim: usize) -> Result<(Tensor, linear::Backward)> {
    linear::check(x, weight, bias)?;
    let (y, layer) = linear::Backward::of(x, weight, bias)?;
    let shape = (x.dim(0)?, weight.tensor().dim(0)?);
    Ok((tensor(y, shape)?.reshape((shape.0, shape.1 / dim, dim))?, layer))
}

/// Row numbers, all of which exist.
fn inside(rows: &Tensor, tokens: usize) -> Result<Vec<u32>> {
    let rows = rows.to_vec1::<u32>()?;
    match rows.iter().find(|row| **row as usize >= tokens) {
        Some(row) => bail!("attention_block: row {row} is outside the {tokens} rows"),
        None => Ok(rows),
    }
}

/// Those rows of `x`; without `rows` all of them.
fn gather(x: &Tensor, rows: Option<&[u32]>) -> Result<Tensor> {
    let Some(rows) = rows else { return Ok(x.clone()) };
    let (width, data) = (x.dim(1)?, slice(x)?);
    let chosen = rows.iter().flat_map(|row| &data[*row as usize * width..][..width]).copied().collect();
    tensor(chosen, (rows.len(), width))
}

/// The gradient of all rows of a tensor of that shape from that of those that were gathered.
fn scatter(grad: &[f32], rows: &[u32], shape: &Shape) -> Result<Vec<f32>> {
    let mut all = vec![0f32; shape.elem_count()];
    let width = (all.len() / shape.dim(0)?.max(1)).max(1);
    for (row, grad) in rows.iter().zip(grad.chunks_exact(width)) {
        add_assign(&mut all[*row as usize * width..][..width], grad);
    }
    Ok(all)
}
