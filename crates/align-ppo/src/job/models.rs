//! The models of a run and the parameters that they share.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use align_kernels::{Blocks, Param, Params};
use align_models::{CausalLm, DecoderConfig, Model, ModelDir};
use align_stage::{Error, Opening, Result, open_reference};
use align_train::Error as TrainError;

use super::Job;
use super::reward::Rewards;
use crate::{ActorCritic, CriticStart, ValueModel};

/// What the critic's weights are called in checkpoints, beside the policy's `model.safetensors`.
const CRITIC: &str = "value_model.safetensors";

/// The policy, its critic and the reference.
pub(super) struct Models {
    config: DecoderConfig,
    gradient_checkpointing: bool,
    policy: Params,
    critic: Option<(CriticStart, Params)>,
    all: Params,
    reference: CausalLm,
    reference_hash: String,
}

impl Models {
    /// Loads the policy once: the reference, unless another is named, is made of the same tensors, and the policy trains a
    /// copy, or an adapter over them.
    pub(super) fn open(
        opening: &Opening<'_>,
        job: &Job,
        rewards: &mut Rewards,
        has_critic: bool,
    ) -> Result<Self> {
        let (config, device) = (opening.model.decoder_config().clone(), &opening.place.device);
        let (policy, start) = opening.model.trainable(opening.place.seed, device)?;
        // Answers are sampled without dropout, and learned by the ratio to what they were sampled with.
        let policy = policy.silent();
        if let Some(model) = rewards.model_mut() {
            model.own.params = sharing(&model.own.params, &start.params)?;
        }
        let held_to = match &job.rollout.ref_model {
            None => start,
            Some(name) => {
                let Model { config, params } = open_reference(opening, name)?.model(device)?;
                Model { config, params: sharing(&params, &start.params)? }
            }
        };
        let (reference, reference_hash) = (held_to.causal_lm()?, held_to.hash()?);
        let critic = match has_critic {
            false => None,
            true => {
                let start = critic_start(opening, job, rewards)?;
                let own = start.params(&config, device)?;
                Some((start, own))
            }
        };
        let all = critic.as_ref().map_or_else(|| policy.clone(), |(_, own)| policy.overlaid(own));
        let gradient_checkpointing = opening.config.gradient_checkpointing;
        Ok(Self { config, gradient_checkpointing, policy, critic, all, reference, reference_hash })
    }

    /// Everything that is trained.
    pub(super) fn params(&self) -> &Params {
        &self.all
    }

    /// The policy to sample from: sees every update and records nothing.
    pub(super) fn view(&self) -> Result<CausalLm> {
        Ok(CausalLm::new(&self.config, &self.policy.view())?)
    }

    /// The policy to train.
    pub(super) fn policy(&self) -> Result<CausalLm> {
        let policy = CausalLm::new(&self.config, &self.policy)?;
        Ok(policy.with_gradient_checkpointing(self.gradient_checkpointing))
    }

    /// The model that the policy is held to.
    pub(super) fn reference(&self) -> CausalLm {
        self.reference.clone()
    }

    /// Which model that is.
    pub(super) fn reference_hash(&self) -> (&'static str, String) {
        ("reference", self.reference_hash.clone())
    }

    /// The policy with its critic, to train or as a view.
    pub(super) fn actor_critic(&self, tracked: bool) -> Result<ActorCritic> {
        let held = |params: &Params| if tracked { params.clone() } else { params.view() };
        let policy = CausalLm::new(&self.config, &held(&self.policy))?;
        let checkpointing = tracked && self.gradient_checkpointing;
        let (start, own) = self.critic.as_ref().expect("the method has a critic");
        let critic = start.critic(&held(own))?.with_gradient_checkpointing(checkpointing);
        Ok(ActorCritic { policy: policy.with_gradient_checkpointing(checkpointing), critic })
    }

    /// The policy's parameters.
    pub(super) fn policy_params(&self) -> &Params {
        &self.policy
    }

    /// Writes the policy as a model, and the critic beside it.
    pub(super) fn save(&self, model: &ModelDir, dir: &Path) -> align_train::Result<()> {
        model.save(&self.policy, dir).map_err(TrainError::stage)?;
        let Some((_, own)) = &self.critic else { return Ok(()) };
        let trained = own.iter().filter(|(_, param)| param.is_tracked());
        let tensors = trained.map(|(name, param)| (name.to_owned(), param.tensor().detach()));
        let path = dir.join(CRITIC);
        let unwritable =
            |error| TrainError::stage(format!("{}: could not be written: {error}", path.display()));
        candle_core::safetensors::save(&tensors.collect(), &path).map_err(unwritable)
    }
}

/// The parameters, those of the same name and content in `with` in their place, so that models which have a frozen backbone in
/// common hold it once.
fn sharing(own: &Params, with: &Params) -> Result<Params> {
    let values = |param: &Param| param.tensor().flatten_all()?.to_vec1::<f32>();
    let mut shared = 0;
    let mut either = |(name, param): (&str, &Param)| {
        let other = with.get(name).filter(|other| other.tensor().shape() == param.tensor().shape());
        let held = match other {
            Some(other) if values(other)? == values(param)? => {
                shared += 1;
                other
            }
            _ => param,
        };
        Ok((name.to_owned(), held.clone()))
    };
    let all = own.iter().map(&mut either).collect::<candle_core::Result<Params>>()?;
    let others: BTreeMap<_, _> = with.blocks().collect();
    let blocks = own.blocks().map(|(name, held)| {
        let other = others.get(name).filter(|other| same_blocks(other, held));
        shared += usize::from(other.is_some());
        (name.to_owned(), Arc::clone(other.unwrap_or(&held)))
    });
    let all = all.with_blocks(blocks.collect::<Vec<_>>());
    if shared > 0 {
        let count = all.len() + all.blocks().len();
        tracing::info!("{shared} of {count} tensors are the model's own and are held once");
    }
    Ok(all)
}

/// Whether two weights in blocks of few bits are the same.
fn same_blocks(one: &Arc<dyn Blocks>, other: &Arc<dyn Blocks>) -> bool {
    let content = |blocks: &Arc<dyn Blocks>| {
        let mut content = Vec::with_capacity(blocks.bytes());
        blocks.content(&mut |bytes| content.extend_from_slice(bytes));
        content
    };
    let is_like = |blocks: &Arc<dyn Blocks>| (blocks.format(), blocks.shape(), blocks.bytes());
    Arc::ptr_eq(one, other) || (is_like(one) == is_like(other) && content(one) == content(other))
}

/// Where the critic comes from: the reward model if there is one that can read the policy's tokens.
fn critic_start(opening: &Opening<'_>, job: &Job, rewards: &Rewards) -> Result<CriticStart> {
    let readable = rewards.model().filter(|model| model.shares_tokenizer);
    let seed = opening.place.seed;
    match (job.ppo.value_model, readable) {
        (Some(ValueModel::Head), _) | (None, None) => Ok(CriticStart::Head { seed }),
        (None | Some(ValueModel::RewardModel), Some(model)) => {
            let (scale, shift) = model.score_units(&job.reward);
            let (config, params) = (model.own.config.clone(), model.own.params.clone());
            let own = opening.model.trainable_like(Model { config, params }, seed, &opening.place.device)?;
            let (config, head) = (Box::new(own.config), model.own.head);
            Ok(CriticStart::Model { config, head, params: own.params, scale, shift })
        }
        (Some(ValueModel::RewardModel), None) => Err(Error::Inputs(
            "`value_model` = reward_model: there is no reward model that reads the policy's tokens; give `head`".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use align_kernels::Int8;
    use candle_core::{Device, Tensor};

    use super::*;

    /// A number, and a weight in blocks.
    fn params(number: f32, weight: f32) -> candle_core::Result<Params> {
        let (name, number) = ("norm".to_owned(), Tensor::new(&[number], &Device::Cpu)?);
        let held: Arc<dyn Blocks> = Arc::new(Int8::quantise(&[weight, 1.0, -1.0, 0.5], (2, 2))?);
        Ok(Params::frozen([(&name, &number)]).with_blocks([("linear".to_owned(), held)]))
    }

    #[test]
    fn what_two_models_have_in_common_is_held_once_and_nothing_is_lost() -> candle_core::Result<()> {
        let with = params(1.0, 0.25)?;
        for (number, weight, is_shared) in [(1.0, 0.25, true), (2.0, 0.75, false)] {
            let own = params(number, weight)?;
            let all = sharing(&own, &with).map_err(candle_core::Error::wrap)?;
            let is_that_of = |params: &Params| {
                let mut pairs = all.blocks().zip(params.blocks());
                pairs.all(|((_, held), (_, other))| Arc::ptr_eq(held, other))
            };
            assert_eq!((all.len(), all.blocks().len()), (1, 1));
            assert_eq!((is_that_of(&with), is_that_of(&own)), (is_shared, !is_shared));
        }
        Ok(())
    }
}
