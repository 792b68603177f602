//! The export as a whole: a model in, another form of it out.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use align_data::Tokenizer;
use align_files::Staged;
use align_hub::{DeviceChoice, Hub};
use align_models::{GgufType, Model, ModelDir, PadToken, Quantisation, SavedDtype, SavedFormat};
use align_stage::{Error, Event, Host, QuantOptions, Result, ensure, open_model};
use candle_core::Device;
use serde::Serialize;

use crate::ShardSize;
use crate::modelfile::modelfile;

/// The files of a model for llama.cpp.
const MODEL: &str = "model.gguf";
const ADAPTER: &str = "adapter.gguf";
const MODELFILE: &str = "Modelfile";
/// Bytes of a file where nothing is asked for, as transformers has it.
const LARGEST_SHARD: u64 = 50_000_000_000;

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
    #[arg(long, visible_alias = "save-dtype", value_enum, help_heading = "Output")]
    pub dtype: Option<SavedDtype>,

    /// Whether linear layers are written in blocks of few bits, in the layout of bitsandbytes, which transformers and vLLM load.
    #[command(flatten, next_help_heading = "Output")]
    #[serde(flatten)]
    pub quantise: QuantOptions,

    /// Bytes of a file at most; default: 50GB
    #[arg(long, value_name = "SIZE", help_heading = "Output")]
    pub max_shard_size: Option<ShardSize>,

    /// Write one GGUF file for llama.cpp, LM Studio and Ollama, its weights in this type, with a Modelfile
    #[arg(long, value_enum, value_name = "TYPE", help_heading = "Output")]
    pub gguf: Option<GgufType>,

    /// Write the adapter alone as a GGUF file, to be used over its base in GGUF
    #[arg(long, help_heading = "Output")]
    pub gguf_adapter: bool,
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
    /// What its weights are in.
    pub dtype: &'static str,
}

impl Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { output_dir, adapters, parameters, dtype } = self;
        match adapters {
            0 => {}
            1 => write!(f, "adapter merged, ")?,
            several => write!(f, "{several} adapters merged, ")?,
        }
        write!(f, "{parameters} parameters in {dtype} written to {}", output_dir.display())
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
    let quantise = job.quantise.quantisation()?;
    check_form(job, quantise, &dirs)?;
    host.tell(Event::Checked)?;

    let adapters = if plain.is_some() { 0 } else { dirs.len() };
    let tokenizer = dirs[0].tokenizer_path().to_owned();
    let weights = job.weights.iter().copied().chain(std::iter::repeat(1.0));
    if job.gguf_adapter {
        return gguf_adapter(job, &dirs[0], &device);
    }
    let (dir, model) = opened(dirs.into_iter().zip(weights).collect(), &device)?;
    let output_dir = job.output_dir.clone();
    let report = |dtype| Report { output_dir, adapters, parameters: model.params.elem_count(), dtype };
    if let Some(kind) = job.gguf {
        let tokenizer = Tokenizer::load(&tokenizer)?;
        gguf(job, modelfile(&format!("./{MODEL}"), None, &tokenizer), |staged| {
            Ok(dir.save_gguf(&model, &staged.join(MODEL), kind)?)
        })?;
        return Ok(report(kind.name()));
    }
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
    let max_shard_bytes = job.max_shard_size.map_or(LARGEST_SHARD, |size| size.0);
    dir.save_as(&model.params, &job.output_dir, &SavedFormat { dtype, quantise, max_shard_bytes })?;
    Ok(report(quantise.map_or(dtype.name(), |how| how.name())))
}

/// Refuses options of one form beside those of another.
fn check_form(job: &Job, quantise: Option<Quantisation>, dirs: &[ModelDir]) -> Result<()> {
    let form = if job.gguf_adapter { "`gguf_adapter`" } else { "`gguf`" };
    if job.gguf.is_some() || job.gguf_adapter {
        ensure!(
            quantise.is_none(),
            "`load_in_4bit`, `load_in_8bit`: have no effect beside {form}; leave them out"
        );
        ensure!(job.dtype.is_none(), "`dtype`: has no effect beside {form}; leave it out");
        ensure!(job.max_shard_size.is_none(), "`max_shard_size`: has no effect beside {form}; leave it out");
    }
    if job.gguf_adapter {
        ensure!(
            job.gguf.is_none(),
            "`gguf` and `gguf_adapter`: a file holds a model or an adapter; give one"
        );
        ensure!(
            dirs.len() == 1 && dirs[0].is_adapter() && job.weights.is_empty(),
            "`gguf_adapter`: expected one adapter without `weights`; write a sum as a model (`gguf`)"
        );
    }
    Ok(())
}

fn gguf_adapter(job: &Job, dir: &ModelDir, device: &Device) -> Result<Report> {
    let model = dir.model(device)?;
    let tokenizer = Tokenizer::load(dir.tokenizer_path())?;
    // Where the base is no GGUF file yet, the user has to say which one is made of it.
    let base = dir.base_path();
    let from = if base.is_file() { base.display().to_string() } else { "./base.gguf".to_owned() };
    gguf(job, modelfile(&from, Some(&format!("./{ADAPTER}")), &tokenizer), |staged| {
        Ok(dir.save_gguf_adapter(&model, &staged.join(ADAPTER))?)
    })?;
    let parameters = dir.adapter_elements(&model)?;
    Ok(Report { output_dir: job.output_dir.clone(), adapters: 0, parameters, dtype: "f32" })
}

/// A GGUF file that `write` puts into a directory, and its Modelfile.
fn gguf(job: &Job, modelfile: String, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    align_files::create_dir_all(&job.output_dir).map_err(Error::method)?;
    let staged = Staged::new(&job.output_dir).map_err(Error::method)?;
    write(staged.path())?;
    align_files::write(staged.path().join(MODELFILE), modelfile).map_err(Error::method)?;
    let key = if job.gguf_adapter { ADAPTER } else { MODEL };
    staged.commit(key, &[]).map_err(Error::method)
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
    // What is written are numbers, or blocks that are made of them.
    let params = params.decoded()?;
    let config = dir.decoder_config().clone();
    Ok((dir, Model { config, params }))
}

/// Refuses a directory that holds something.
fn check_free(dir: &Path) -> Result<()> {
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
