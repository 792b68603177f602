//! A run before it begins: everything that could be refused has been looked at, and nothing has been touched.

use std::path::{Path, PathBuf};
use std::time::Instant;

use align_files::{OutputDir, Use};
use serde::Serialize;
use serde_json::Value;

use super::{PROGRESS, Run, RunControl, SETTINGS, SaveModel, TRAINER_STATE};
use crate::progress::Progress;
use crate::report::Reports;
use crate::{Checkpoint, Noted, Result, TrainConfig, TrainerState, checkpoints, settings};

/// A run that nothing is left to refuse. Dropped before [`AcceptedRun::begin`], its directory is as it was.
pub struct AcceptedRun<'a> {
    output: OutputDir,
    config: TrainConfig,
    settings: Value,
    save_model: SaveModel<'a>,
    start: Start,
    events: Option<PathBuf>,
}

/// Where a run starts.
#[derive(Default)]
struct Start {
    resume: Option<Checkpoint>,
    best: Option<Checkpoint>,
    state: TrainerState,
    progress: Progress,
}

impl<'a> Run<'a> {
    /// Looks whether a run can be in its output directory, a new one or the one to resume, and says which files it will
    /// write there.
    ///
    /// `settings` are all options of the program; they are stored in every checkpoint, and a resumed run
    /// must have the same but for those that do not enter into the updates. `save_model` writes the model
    /// into a directory as it is at that moment: safetensors with the parameters under their names, and
    /// what belongs to them.
    ///
    /// # Errors
    /// If there is nothing to resume, or it was another run; if the best checkpoint is gone that the run may end with; if
    /// somebody else's files are where the run would write.
    pub fn accept(
        output: OutputDir,
        config: &TrainConfig,
        settings: &impl Serialize,
        save_model: impl Fn(&Path) -> Result<()> + 'a,
    ) -> Result<AcceptedRun<'a>> {
        let settings = settings::of(settings, config)?;
        checkpoints::recover(&output)?;
        let start = Start::find(output.path(), output.kind(), config, &settings)?;
        output.claim([TRAINER_STATE])?;
        let events = Reports::claim(&output, config.tensorboard)?;
        checkpoints::refuse_foreign(&output, start.step())?;
        let (config, save_model) = (config.clone(), Box::new(save_model));
        Ok(AcceptedRun { output, config, settings, save_model, start, events })
    }

    /// The run as a rank has it that does not write: from where the first rank, whose run is in `directory`, started.
    ///
    /// # Errors
    /// A checkpoint that cannot be read here.
    pub fn follow(
        directory: PathBuf,
        resumed_from: Option<&Path>,
        config: &TrainConfig,
        control: RunControl<'a>,
    ) -> Result<Self> {
        let resume = resumed_from.map(Checkpoint::open).transpose()?;
        let (state, progress) = match &resume {
            Some(checkpoint) => (checkpoint.read_json(TRAINER_STATE)?, checkpoint.read_json(PROGRESS)?),
            None => Default::default(),
        };
        Ok(Run {
            directory,
            output: None,
            config: config.clone(),
            settings: Value::Null,
            save_model: Box::new(|_| Ok(())),
            resume,
            best: None,
            kept: None,
            state,
            progress,
            batches_per_epoch: 1,
            reports: None,
            control,
            started: Instant::now(),
        })
    }

    /// Looks whether a run could go on from the checkpoint that it is to be resumed from, in a `directory` that would be
    /// taken for this `kind` of use: for a dry run, which takes none. Returns the updates that the checkpoint has behind it.
    ///
    /// # Errors
    /// As those of [`Run::accept`] that are about the checkpoint.
    pub fn check_resume(
        directory: &Path,
        kind: Use,
        config: &TrainConfig,
        settings: &impl Serialize,
    ) -> Result<usize> {
        let settings = settings::of(settings, config)?;
        Start::find(directory, kind, config, &settings).map(|start| start.step())
    }

    /// The settings of the checkpoint that a run into that directory would go on from, if it goes on from one.
    ///
    /// # Errors
    /// A checkpoint that is not there, or damaged.
    pub fn settings_to_resume(directory: &Path, kind: Use, config: &TrainConfig) -> Result<Option<Value>> {
        let checkpoint = checkpoints::start(directory, kind, &config.resume)?;
        checkpoint.map(|checkpoint| checkpoint.read_json(SETTINGS)).transpose()
    }
}

impl Start {
    fn find(directory: &Path, kind: Use, config: &TrainConfig, settings: &Value) -> Result<Self> {
        let Some(checkpoint) = checkpoints::start(directory, kind, &config.resume)? else {
            return Ok(Self::default());
        };
        settings::compare(&checkpoint, &checkpoint.read_json(SETTINGS)?, settings)?;
        let mut state: TrainerState = checkpoint.read_json(TRAINER_STATE)?;
        let progress: Progress = checkpoint.read_json(PROGRESS)?;
        let ends_with_best = config.selection.as_ref().is_some_and(|it| it.load_best_model_at_end);
        let best =
            if ends_with_best { best((directory, kind), &checkpoint, &state, &progress)? } else { None };
        if let Some(best) = &best {
            state.best_model_checkpoint = Some(best.path().display().to_string());
        }
        Ok(Self { resume: Some(checkpoint), best, state, progress })
    }

    fn step(&self) -> usize {
        self.resume.as_ref().map_or(0, Checkpoint::step)
    }
}

impl<'a> AcceptedRun<'a> {
    /// Begins the run: what another run left in the directory is removed or set aside, and the logs are opened.
    ///
    /// # Errors
    /// What cannot be removed or written.
    pub fn begin(self, control: RunControl<'a>) -> Result<Run<'a>> {
        let Self { output, config, settings, save_model, start, events } = self;
        output.begin()?;
        checkpoints::set_aside_damaged(&output, start.step())?;
        let Start { resume, best, state, progress } = start;
        let reports = Reports::open(&output, events, &state.log_history, state.global_step)?;
        Ok(Run {
            directory: output.path().to_owned(),
            output: Some(output),
            config,
            settings,
            save_model,
            resume,
            best,
            kept: None,
            state,
            progress,
            batches_per_epoch: 1,
            reports: Some(reports),
            control,
            started: Instant::now(),
        })
    }
}

/// The checkpoint of the best evaluation before `resumed`, if one was saved.
fn best(
    output: (&Path, Use),
    resumed: &Checkpoint,
    state: &TrainerState,
    progress: &Progress,
) -> Result<Option<Checkpoint>> {
    let Some(step) = state.best_global_step else { return Ok(None) };
    if resumed.step() == step {
        return Ok(Some(resumed.clone()));
    }
    let was = state.best_model_checkpoint.as_ref().map_or(Path::new(""), Path::new);
    let noted = progress.best.clone().filter(|noted| noted.step == step);
    let by_path = || Noted::by_path(was).filter(|noted| noted.step == step);
    let Some(noted) = noted.or_else(by_path) else { return Ok(None) };
    let what = "the best so far, which `load_best_model_at_end` needs";
    noted.find(output, resumed, was, what).map(Some)
}
