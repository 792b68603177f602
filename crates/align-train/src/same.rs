//! What must be the same on all ranks, by its hash: ranks that train from other data, or other weights, would make a model
//! that nobody asked for, without a word.

use std::collections::BTreeMap;

use align_files::hex;
use align_kernels::Params;
use candle_core::DType;
use sha2::{Digest, Sha256};

use crate::{Error, Ranks, Result};

/// A hash of the parameters' names and values.
///
/// # Errors
/// If a value cannot be read.
pub fn weights_hash(params: &Params) -> Result<String> {
    let mut hash = Sha256::new();
    for (name, param) in params.iter() {
        hash.update(name.as_bytes());
        let values = param.tensor().detach().to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        // In pieces: a model's bytes once more would be as much memory again.
        for values in values.chunks(1 << 16) {
            hash.update(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>());
        }
    }
    Ok(hex(&hash.finalize()))
}

/// Fails unless all ranks have the same of everything that has a name.
///
/// # Errors
/// With the first rank that differs from rank 0, and in what.
pub fn check_same(ranks: &Ranks, own: BTreeMap<String, String>) -> Result<()> {
    let all = ranks.each((ranks.name(), own))?;
    let Some(((_, first), others)) = all.split_first() else { return Ok(()) };
    for (rank, (name, of_rank)) in others.iter().enumerate() {
        let differs = |what: &&String| first.get(*what) != of_rank.get(*what);
        let what: Vec<&str> =
            first.keys().chain(of_rank.keys()).filter(differs).map(String::as_str).collect();
        if let Some(what) = what.first() {
            let of = |it: &BTreeMap<String, String>| it.get(*what).map_or("nothing", |it| it).to_owned();
            return Err(Error::Rank {
                rank: rank + 1,
                name: name.clone(),
                problem: format!(
                    "its {what} is another than that of rank 0 ({} there, {} here): all ranks must start from the same; \
                     give them the same files, on a file system that all see",
                    of(first),
                    of(of_rank)
                ),
            });
        }
    }
    Ok(())
}

/// Fails unless the weights of all ranks are still the same.
pub(crate) fn check_weights(ranks: &Ranks, params: &Params) -> Result<()> {
    if ranks.is_alone() {
        return Ok(());
    }
    let all = ranks.each((ranks.name(), weights_hash(params)?))?;
    let Some((rank, (name, _))) = all.iter().enumerate().find(|(_, (_, hash))| *hash != all[0].1) else {
        return Ok(());
    };
    let problem = "its weights are no longer those of rank 0: the two compute otherwise (another processor, faulty \
                   memory); go on from the last checkpoint without it";
    Err(Error::Rank { rank, name: name.clone(), problem: problem.to_owned() })
}
