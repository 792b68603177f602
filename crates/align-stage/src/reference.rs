//! Another model that shares the policy's tokens: what the policy is held to.

use align_data::Tokenizer;
use align_models::ModelDir;

use crate::{Error, Opening, Result, open_model};

/// The reference model of that name, which must read the policy's token ids.
///
/// # Errors
/// A model that is not there, or that has another vocabulary or tokenizer.
pub fn open_reference(opening: &Opening<'_>, name: &str) -> Result<ModelDir> {
    let precision = opening.model.decoder_config().precision;
    let dir = open_model(&opening.hub, name, "main")?.in_precision(precision);
    let (found, expected) = (dir.decoder_config().vocab, opening.model.decoder_config().vocab);
    if found != expected {
        return Err(Error::Inputs(format!(
            "ref_model {name}: has a vocabulary of {found}, the model one of {expected}; both must share a tokenizer"
        )));
    }
    opening.tokenizer.check_same(&format!("ref_model {name}"), &Tokenizer::load(dir.tokenizer_path())?)?;
    Ok(dir)
}
