//! The export as a whole: a model in, another form of it out.

use std::fmt::Display;
use std::path::PathBuf;

use align_data::Tokenizer;
use align_hub::{DeviceChoice, Hub};
use align_models::{Model, ModelDir, PadToken, SavedDtype, SavedFormat};
use align_stage::{Error, Event, Host, Result, ensure, open_model};
use candle_core::Device;
use serde::Serialize;

use crate::ShardSize;

/// An export: all its options.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct Job {
    /// Model: a directory or a hub id; an adapter is merged into its base, several over one base are added up
    #[arg(
        long,
        visible_alias = "model",
        value_delimiter = ',',
        required = true,
        value_name = "DIR|ID,…",
        help_heading = "Model"
    )]
    pub model_name_or_path: Vec<String>,

    /// What each adapter's change of the base is multiplied by; default: 1 each
    #[arg(long, value_parser = align_limits::finite(), value_delimiter = ',', value_name = "W,W,…", allow_negative_numbers = true, help_heading = "Model")]
    pub weights: Vec<f64>,

    /// Where to compute: auto, cpu, cuda, cuda:N or metal
    #[arg(long, default_value_t = DeviceChoice::Auto, value_name = "DEVICE", help_heading = "Model")]
    pub device: DeviceChoice,

    /// Directory of the new model; must not be there yet, or be empty
    #[arg(long, value_name = "DIR", required = true, help_heading = "Output")]
    pub output_dir: PathBuf,

    /// Precision of the weights; default: that of the model's files
    #[arg(long, value_enum, help_heading = "Output")]
    pub dtype: Option<SavedDtype>,

    /// Bytes of a file at most
    #[arg(long, default_value = "50GB", value_name = "SIZE", help_heading = "Output")]
    pub max_shard_size: ShardSize,
}

/// What was written.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The directory of the new model.
    pub output_dir: PathBuf,
    /// Adapters that were merged.
    pub adapters: usize,
    /// Parameters of the new model.
    pub parameters: usize,
    /// The precision of its weights.
    pub dtype: SavedDtype,
}

impl Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { output_dir, adapters, parameters, dtype } = self;
        match adapters {
            0 => {}
            1 => write!(f, "adapter merged, ")?,
            several => write!(f, "{several} adapters merged, ")?,
        }
        write!(f, "{parameters} parameters in {} written to {}", dtype.name(), output_dir.display())
    }
}

impl Job {
    /// The job over a model by name, into a directory; everything else is as by default.
    pub fn new(model: impl Into<String>, output_dir: impl Into<PathBuf>) -> Self {
        Self { model_name_or_path: vec![model.into()], output_dir: output_dir.into(), ..Self::default() }
    }
}

/// Writes the model in another form.
///
/// # Errors
/// Options or models that are wrong, and a directory that is occupied, before anything is written; what the form cannot hold;
/// files that cannot be written.
pub fn export(job: &Job, host: &Host<'_>) -> Result<Report> {
    let device = job.device.open().map_err(align_stage::PlaceError::from)?;
    let hub = Hub::from_env();
    check_free(&job.output_dir)?;
    let names = &job.model_name_or_path;
    ensure!(!names.is_empty(), "`model_name_or_path`: expected a model, found none");
    let dirs = names.iter().map(|name| open_model(&hub, name, "main")).collect::<Result<Vec<_>>>()?;
    let plain = dirs.iter().position(|dir| !dir.is_adapter());
    if let Some(plain) = plain.filter(|_| dirs.len() > 1) {
        let problem =
            format!("`{}` is no adapter; several models are added up only if all are adapters", names[plain]);
        return Err(Error::option("model_name_or_path", problem));
    }
    ensure!(
        plain.is_none() || job.weights.is_empty(),
        "`weights`: has no effect on a model that is no adapter; remove it"
    );
    ensure!(
        job.weights.is_empty() || job.weights.len() == dirs.len(),
        "`weights`: expected {} of them, one for each adapter, found {}",
        dirs.len(),
        job.weights.len()
    );
    host.tell(Event::Checked)?;

    let adapters = if plain.is_some() { 0 } else { dirs.len() };
    let tokenizer = dirs[0].tokenizer_path().to_owned();
    let weights = job.weights.iter().copied().chain(std::iter::repeat(1.0));
    let (dir, model) = opened(dirs.into_iter().zip(weights).collect(), &device)?;
    let dtype = job.dtype.unwrap_or_else(|| dir.dtype());
    let dir = match dir.reward_head()? {
        Some(head) if adapters > 0 => {
            let tokenizer = Tokenizer::load(&tokenizer)?;
            let pad = tokenizer.pad_beside(&[vec![tokenizer.eos_id()?], dir.eos_token_ids()?].concat())?;
            dir.as_reward_model(head, PadToken { text: pad.text, id: pad.id })
        }
        _ => dir,
    };
    align_files::create_dir_all(&job.output_dir).map_err(Error::method)?;
    let format = SavedFormat { dtype, max_shard_bytes: job.max_shard_size.0 };
    dir.save_as(&model.params, &job.output_dir, &format)?;
    let output_dir = job.output_dir.clone();
    Ok(Report { output_dir, adapters, parameters: model.params.elem_count(), dtype })
}

fn opened(mut dirs: Vec<(ModelDir, f64)>, device: &Device) -> Result<(ModelDir, Model)> {
    if dirs.iter().all(|(dir, _)| dir.is_adapter()) {
        return Ok(ModelDir::merged_sum(&dirs, device)?);
    }
    let (dir, _) = dirs.remove(0);
    let params = match dir.reward_head()? {
        None => dir.load(device)?,
        Some(_) => dir.load_reward_model(None, 0, device)?.1,
    };
    let config = dir.decoder_config().clone();
    Ok((dir, Model { config, params }))
}

/// Refuses a directory that holds something.
fn check_free(dir: &std::path::Path) -> Result<()> {
    let occupied = match std::fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => dir.symlink_metadata().is_ok(),
    };
    let shown = dir.display();
    ensure!(!dir.as_os_str().is_empty(), "`output_dir`: must not be empty");
    ensure!(
        !occupied,
        "`output_dir`: {shown} is there already; name a new directory, nothing is replaced here"
    );
    Ok(())
}
