//! A directory to run the program in as its user would, and what a run leaves behind.
//!
//! The directory holds a copy of the tiny model and of its data, so that commands read as a user writes
//! them, with short relative names, and a test may damage what it likes. Children never see the network.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use serde_json::{Map, Value};
use tempfile::TempDir;
use wait_timeout::ChildExt as _;

use crate::stage;

/// TRL's runs that the project keeps, beside the model and the data they start from.
pub(crate) const RUNS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden/runs");

/// Enough for a machine with much else to do; a child that hangs fails its test.
const TIMEOUT: Duration = Duration::from_secs(240);

/// What differs between two runs of the same computation: how long things took.
const TIMINGS: [&str; 5] =
    ["step_time", "eval_runtime", "train_runtime", "train_samples_per_second", "train_steps_per_second"];

/// Three quick steps.
pub(crate) const QUICK: &str = "--max-steps 3 --learning-rate 1e-3 --max-length 60 --logging-steps 1 --report-to none \
    --save-strategy no";

/// A working directory with `model/` and `data.jsonl`.
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::from(Path::new(RUNS), stage::DATA)
    }

    /// With the model and one of the data files of a folder of runs.
    pub(crate) fn from(runs: &Path, data: &str) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        place.write("data.jsonl", fs::read(runs.join(data)).unwrap());
        copy_dir(&runs.join("model"), &place.path("model"));
        place
    }

    /// Puts another model in place of the model.
    pub(crate) fn start_from(&self, model: &Path) {
        fs::remove_dir_all(self.path("model")).unwrap();
        copy_dir(model, &self.path("model"));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    /// The program with these words, which are separated by spaces.
    pub(crate) fn command(&self, words: &str) -> Command {
        self.prepared(Command::new(stage::PROGRAM), words)
    }

    fn prepared(&self, mut command: Command, words: &str) -> Command {
        command.current_dir(self.dir.path()).args(words.split_whitespace());
        command.env("HF_HUB_OFFLINE", "1").env("HF_HOME", self.path("hub"));
        command.env_remove("ALIGN_LOG").env_remove("RUST_LOG").env_remove("RUST_BACKTRACE");
        command
    }

    /// Runs the program to its end.
    pub(crate) fn ended(&self, words: &str) -> Ended {
        Self::end(self.command(words))
    }

    /// The same on several ranks.
    #[cfg(feature = "mpi")]
    pub(crate) fn ended_on_ranks(&self, ranks: usize, words: &str) -> Ended {
        let mut launcher = Command::new("mpirun");
        launcher.args([
            "--oversubscribe",
            "--allow-run-as-root",
            "-q",
            "-n",
            &ranks.to_string(),
            stage::PROGRAM,
        ]);
        Self::end(self.prepared(launcher, words))
    }

    fn end(command: Command) -> Ended {
        let mut command = assert_cmd::Command::from_std(command);
        let output = command.timeout(TIMEOUT).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Runs the program to its successful end.
    pub(crate) fn succeeds(&self, words: &str) -> Ended {
        let ended = self.ended(words);
        assert_eq!(ended.code, Some(0), "{words}\n{}", ended.stderr);
        ended
    }

    /// Trains the model on the data into `out`.
    pub(crate) fn train(&self, out: &str, options: &str) -> Run {
        self.succeeds(&training(out, options));
        self.run(out)
    }

    /// What is in the output directory `out`.
    pub(crate) fn run(&self, out: &str) -> Run {
        Run { dir: self.path(out) }
    }

    /// Everything below the directory: names, and sizes of files.
    pub(crate) fn tree(&self) -> BTreeMap<PathBuf, u64> {
        let mut found = BTreeMap::new();
        list(self.dir.path(), &mut found);
        found
    }
}

/// The words that train `model` on `data.jsonl` into `out`.
pub(crate) fn training(out: &str, options: &str) -> String {
    format!("--model model --dataset data.jsonl --output-dir {out} {options}")
}

/// Options that evaluate on the training data, quickly.
pub(crate) fn evaluated(options: &str) -> String {
    format!("--eval-dataset data.jsonl {} {options}", stage::QUICK_EVALUATION)
}

/// How a child ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// An output directory.
pub(crate) struct Run {
    pub(crate) dir: PathBuf,
}

impl Run {
    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_str(&fs::read_to_string(self.dir.join(name)).unwrap()).unwrap()
    }

    /// `log_history` of `trainer_state.json`, without how long things took.
    pub(crate) fn log(&self) -> Vec<Map<String, Value>> {
        let entries = self.json("trainer_state.json")["log_history"].as_array().unwrap().clone();
        let timeless = |entry: Value| {
            let Value::Object(mut entry) = entry else { panic!("an entry is not an object: {entry}") };
            entry.retain(|name, _| !TIMINGS.contains(&name.as_str()));
            entry
        };
        entries.into_iter().map(timeless).collect()
    }

    /// One metric, from every entry that has it.
    pub(crate) fn metric(&self, name: &str) -> Vec<f64> {
        self.log().iter().filter_map(|entry| entry.get(name)?.as_f64()).collect()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.dir.join(name).exists()
    }

    /// The model file, byte for byte; of an adapter, that of its tensors.
    pub(crate) fn model(&self) -> Vec<u8> {
        fs::read(self.model_file()).unwrap()
    }

    pub(crate) fn weights(&self) -> Weights {
        read_weights(&self.model_file())
    }

    fn model_file(&self) -> PathBuf {
        let name =
            if self.has("adapter_config.json") { "adapter_model.safetensors" } else { "model.safetensors" };
        self.dir.join(name)
    }
}

/// Waits until something holds, as long as the program that brings it about runs.
pub(crate) fn wait_until(child: &mut Child, holds: impl Fn() -> bool) {
    while !holds() {
        let ended = child.wait_timeout(Duration::from_micros(200)).unwrap();
        assert!(ended.is_none() || holds(), "the run was over before what it is waited for: {ended:?}");
    }
}

/// The names of what is in a folder of the run.
pub(crate) fn names(run: &Run, folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(run.dir.join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Values by parameter.
pub(crate) type Weights = BTreeMap<String, Vec<f32>>;

/// All tensors of a safetensors file, which must be f32.
pub(crate) fn read_weights(path: &Path) -> Weights {
    let bytes = fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let values = |data: &[u8]| {
        data.chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().unwrap())).collect::<Vec<_>>()
    };
    let tensors = file.tensors().into_iter();
    tensors
        .map(|(name, tensor)| {
            assert_eq!(tensor.dtype(), safetensors::Dtype::F32, "{name}");
            (name, values(tensor.data()))
        })
        .collect()
}

/// The parameter whose values differ most, by the norm of the difference over the norm of what is expected.
pub(crate) fn worst_difference(found: &Weights, expected: &Weights) -> (f64, String) {
    assert!(found.keys().eq(expected.keys()), "other parameters: {:?}", found.keys());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let difference = |(name, expected): (&String, &Vec<f32>)| {
        let found = &found[name];
        assert_eq!(found.len(), expected.len(), "{name}");
        let apart = norm(&mut found.iter().zip(expected).map(|(a, b)| f64::from(*a) - f64::from(*b)));
        (apart / norm(&mut expected.iter().map(|b| f64::from(*b))), name.clone())
    };
    expected.iter().map(difference).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap()
}

/// Copies a directory with everything in it.
pub(crate) fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy_dir(&path, &to.join(name));
        } else {
            // Not `fs::copy`, which would keep a file read-only that the test is to change.
            fs::write(to.join(name), fs::read(path).unwrap()).unwrap();
        }
    }
}

fn list(dir: &Path, found: &mut BTreeMap<PathBuf, u64>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let data = path.metadata().unwrap();
        found.insert(path.clone(), if data.is_dir() { 0 } else { data.len() });
        if data.is_dir() {
            list(&path, found);
        }
    }
}

/// Runs the program and expects it to refuse, with all of `fragments` in its one line.
pub(crate) fn check(place: &Place, words: &str, fragments: &[&str]) {
    let before = place.tree();
    let Ended { code, stderr, .. } = place.ended(words);
    let errors: Vec<_> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!((code, errors.len()), (Some(2), 1), "{words}\n{stderr}");
    assert_eq!(stderr.lines().last(), Some(errors[0]), "{words}: something follows the error");
    for fragment in fragments {
        assert!(errors[0].contains(fragment), "{words}\n{}\ndoes not say `{fragment}`", errors[0]);
    }
    assert_eq!(place.tree(), before, "{words}: something changed on disk");
}
