//! How a directory is opened: a model, or an adapter with its base.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use align_gguf::GgufFile;
use align_text::shortened;

use super::{CONFIG, ModelDir, read_json};
use crate::adapter::{ADAPTER_CONFIG, AdapterDir};
use crate::carried::CarriedOver;
use crate::error::SHOWN;
use crate::gguf::{self, Opened};
use crate::{Error, LoraConfig, Result, architectures};

impl ModelDir {
    /// Reads and checks `config.json`, and reads what a model that is trained from this one inherits. Of an adapter
    /// (`adapter_config.json`) the base is looked for where its settings say, from here or from the adapter on.
    ///
    /// # Errors
    /// If `config.json` is missing, malformed, or of an architecture that is not supported; a file beside it that cannot be
    /// read, or is larger than any of its kind; an adapter that does not fit its base, or whose base is not there.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, |_, _| None)
    }

    /// [`ModelDir::open`] where `find` looks for bases that are not on disk, by their names and revisions.
    ///
    /// # Errors
    /// As [`ModelDir::open`].
    pub fn open_with(
        path: &Path,
        find: impl FnOnce(&str, Option<&str>) -> Option<std::result::Result<PathBuf, String>>,
    ) -> Result<Self> {
        if !AdapterDir::is_at(path) {
            return Self::open_base(path, path);
        }
        let adapter = AdapterDir::open(path)?;
        let no_base = |problem: String| {
            Error::invalid(path.join(ADAPTER_CONFIG), format!("`base_model_name_or_path`: {problem}"))
        };
        let here = [PathBuf::from(&adapter.base), path.join(&adapter.base)];
        // A directory of that name without a model, such as `..`, is the base only where there is no other.
        let holds_a_model = |base: &&PathBuf| {
            let file = GgufFile::is_at(base) && base.is_file();
            file || base.join(CONFIG).is_file() || AdapterDir::is_at(base)
        };
        let base = here.iter().find(holds_a_model).or_else(|| here.iter().find(|base| base.is_dir()));
        let base = match base {
            Some(base) => base.clone(),
            None => match find(&adapter.base, adapter.revision.as_deref()) {
                Some(found) => found.map_err(no_base)?,
                None => {
                    let name = shortened(&adapter.base, SHOWN);
                    return Err(no_base(format!(
                        "there is no directory or GGUF file `{name}`; the adapter needs the model it was trained over"
                    )));
                }
            },
        };
        if AdapterDir::is_at(&base) {
            return Err(no_base("is an adapter itself; merge it into its base first".to_owned()));
        }
        let settings = path.join(ADAPTER_CONFIG);
        Self::open_base(path, &base)?
            .adapted(adapter)
            .map_err(|error| Error::invalid(settings, error.to_string()))
    }

    fn open_base(path: &Path, base: &Path) -> Result<Self> {
        let (config, json, carried, gguf) = if GgufFile::is_at(base) {
            let Opened { gguf, config, carried } = gguf::open(base)?;
            (base.to_owned(), config, CarriedOver::made(carried), Some(Arc::new(gguf)))
        } else {
            let config = base.join(CONFIG);
            let json = read_json(&config)?;
            (config, json, CarriedOver::read(base)?, None)
        };
        let decoder = architectures::decoder_config(&config, &json)?;
        let carried = CarriedOver::read(path)?.or(carried);
        let (path, base) = (path.to_owned(), base.to_owned());
        Ok(Self {
            path,
            base,
            json,
            decoder,
            gguf,
            quantise: None,
            is_run_only: false,
            adapter: None,
            on_disk: None,
            carried,
            pad: None,
        })
    }

    /// The same model under a new adapter: what is trained and saved is the adapter then. `name` and `revision` are what the
    /// adapter's settings call the base.
    ///
    /// # Errors
    /// Settings that do not fit the model; a model that is an adapter already.
    pub fn with_new_adapter(self, config: &LoraConfig, name: &str, revision: Option<&str>) -> Result<Self> {
        if self.adapter.is_some() {
            let problem = "is an adapter, which is trained further as it is; leave out the options of a new one, or merge it first";
            return Err(Error::invalid(&self.path, problem));
        }
        self.adapted(AdapterDir::new(config, name, revision))
    }

    fn adapted(self, adapter: AdapterDir) -> Result<Self> {
        let plain = self.decoder.clone();
        let decoder = plain.with_adapter(&adapter.config)?;
        adapter.tensors(&decoder)?;
        let quantise = adapter.quantised.or(self.quantise);
        Ok(Self { decoder, quantise, adapter: Some((plain, adapter)), ..self })
    }
}
