//! Rows in a file: the same rows as in memory, found again by the next run, and never trusted where they are not whole.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::fs;
use std::path::{Path, PathBuf};

use align_data::{
    DataOptions, Dataset, LearnedPart, Prepared, Records, Source, StoredRow, TokenCache, TokenizeOptions,
    TokenizedPair, Tokenizer, open_demonstrations, open_pairs, open_rankings, open_tasks, open_unpaired,
    prepare_demonstrations, prepare_pairs, prepare_rankings, prepare_tasks, prepare_unpaired,
};

fn tokenizer() -> Tokenizer {
    Tokenizer::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/runs/model")).unwrap()
}

fn options() -> TokenizeOptions {
    DataOptions { dataset_name: Some("rows".to_owned()), ..DataOptions::default() }.check().unwrap().tokenize
}

/// A directory with a file of rows and one of held-out rows; a cache in it, if rows are to be in a file.
struct Place {
    dir: tempfile::TempDir,
    in_memory: usize,
}

impl Place {
    fn new(in_memory: usize) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap(), in_memory };
        place.write("train", (0..300).map(|row| row * 7));
        place.write("test", 3..9);
        place
    }

    fn write(&self, name: &str, rows: impl Iterator<Item = usize>) {
        let row = |row: usize| {
            let chosen = "Blue ".repeat(1 + row % 5);
            format!(
                "{{\"prompt\": \"Name {row}\", \"chosen\": \"{chosen}.\", \"rejected\": \"No {row}.\"}}\n"
            )
        };
        fs::write(self.dir.path().join(format!("{name}.jsonl")), rows.map(row).collect::<String>()).unwrap();
    }

    fn dataset(&self) -> Dataset {
        let cache = TokenCache { dir: Some(self.cache()), in_memory: self.in_memory };
        Dataset { cache, ..Dataset::from(self.dir.path()) }
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join(".cache")
    }

    /// The files in the cache.
    fn kept(&self) -> Vec<PathBuf> {
        let found = fs::read_dir(self.cache()).into_iter().flatten();
        found.map(|entry| entry.unwrap().path()).collect()
    }

    fn pairs(&self) -> Prepared<TokenizedPair> {
        let open = |split: &str| open_pairs(self.dataset(), split).unwrap();
        let records = Records { train: open("train"), held_out: open("test") };
        prepare_pairs(&records, &tokenizer(), &options()).unwrap()
    }
}

/// Everything that a run takes from its data, with places as the paths below `dir`.
fn content<T: StoredRow + std::fmt::Debug>(data: &Prepared<T>, dir: &Path) -> String {
    let rows: Vec<_> = data.train.iter().map(|row| row.unwrap().into_owned()).collect();
    let all = format!(
        "{rows:?} {:?} {:?} {} {} {}",
        data.held_out,
        data.held_out_prompts,
        data.fingerprint,
        data.longest,
        serde_json::to_string(&data.findings).unwrap()
    );
    assert_eq!(data.train.lengths(), rows.iter().map(T::tokens).collect::<Vec<_>>());
    all.replace(dir.to_str().unwrap(), "")
}

#[test]
fn rows_in_a_file_are_those_in_memory_and_are_found_again() {
    let (memory, file) = (Place::new(usize::MAX), Place::new(0));
    // More than are read at once.
    for place in [&memory, &file] {
        place.write("train", (0..4500).map(|row| row * 7));
    }
    let expected = content(&memory.pairs(), memory.dir.path());
    assert!(memory.kept().is_empty(), "few rows leave nothing");
    let made = file.pairs();
    assert_eq!(content(&made, file.dir.path()), expected);
    let [kept] = file.kept().try_into().unwrap();
    let written = fs::read(&kept).unwrap();
    let read = file.pairs();
    assert_eq!(content(&read, file.dir.path()), expected);
    assert_eq!((file.kept(), fs::read(&kept).unwrap()), (vec![kept.clone()], written));
    // A run reads on where its file is gone.
    fs::remove_file(kept).unwrap();
    assert_eq!(content(&read, file.dir.path()), expected);
}

#[test]
fn every_kind_of_row_is_kept_whole() {
    let (memory, file) = (Place::new(usize::MAX), Place::new(0));
    let (tokenizer, options) = (tokenizer(), options());
    fn check<R, T: StoredRow + std::fmt::Debug>(
        places: [&Place; 2],
        open: impl Fn(Dataset, &str) -> align_data::Result<Source<R>>,
        prepare: impl Fn(&Records<R>) -> align_data::Result<Prepared<T>>,
    ) {
        let [expected, made, read] = [places[0], places[1], places[1]].map(|place| {
            let open = |split| open(place.dataset(), split).unwrap();
            let data = prepare(&Records { train: open("train"), held_out: open("test") }).unwrap();
            content(&data, place.dir.path())
        });
        assert_eq!(made, expected);
        assert_eq!(read, expected);
    }
    let places = [&memory, &file];
    check(places, open_pairs, |it| prepare_pairs(it, &tokenizer, &options));
    check(places, open_unpaired, |it| prepare_unpaired(it, &tokenizer, &options));
    check(
        places,
        |data, split| open_rankings(data, split, "source"),
        |it| prepare_rankings(it, &tokenizer, &options),
    );
    check(
        places,
        |data, split| open_tasks(data, split, "rejected"),
        |it| prepare_tasks(it, &tokenizer, &options),
    );
    for place in places {
        for name in ["train", "test"] {
            let path = place.dir.path().join(format!("{name}.jsonl"));
            let text = fs::read_to_string(&path).unwrap().replace("chosen", "completion");
            fs::write(path, text.replace("rejected", "other")).unwrap();
        }
    }
    check(places, open_demonstrations, |it| {
        prepare_demonstrations(it, &tokenizer, &options, &LearnedPart::default())
    });
}

#[test]
fn other_rows_options_and_names_are_another_file() {
    let place = Place::new(0);
    place.pairs();
    let open = |split: &str| open_pairs(place.dataset(), split).unwrap();
    let prepare = |options: &TokenizeOptions| {
        prepare_pairs(&Records { train: open("train"), held_out: open("test") }, &tokenizer(), options)
            .unwrap()
    };
    prepare(&TokenizeOptions { max_length: Some(8), ..options() });
    assert_eq!(place.kept().len(), 2);
    let path = place.dir.path().join("train.jsonl");
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("Blue", "Pink", 1)).unwrap();
    fs::File::options().append(true).open(&path).unwrap().set_modified(before).unwrap();
    let changed = prepare(&options());
    assert_eq!(place.kept().len(), 3, "a date says nothing");
    fs::rename(&path, place.dir.path().join("train-0.jsonl")).unwrap();
    let renamed = prepare(&options());
    assert_eq!(renamed.fingerprint, changed.fingerprint);
    assert!(renamed.train.get(7).unwrap().origin.to_string().ends_with("train-0.jsonl:8"));
    assert_eq!(place.kept().len(), 4);
    // Standard input and records of a caller's own are not known again.
    let own = open("train").load().unwrap();
    prepare_pairs(&Records { train: own.into(), held_out: Source::default() }, &tokenizer(), &options())
        .unwrap();
    assert_eq!(place.kept().len(), 4);
}

#[test]
fn what_is_cut_or_damaged_is_made_again() {
    let place = Place::new(0);
    let expected = content(&place.pairs(), place.dir.path());
    let [kept] = place.kept().try_into().unwrap();
    let whole = fs::read(&kept).unwrap();
    let half = whole.len() / 2;
    let broken: [fn(&mut Vec<u8>, usize); 6] = [
        |bytes, _| bytes.clear(),
        |bytes, half| bytes.truncate(half),
        |bytes, _| bytes.truncate(bytes.len() - 1),
        |bytes, half| bytes[half] ^= 4,
        |bytes, _| bytes.push(0),
        |bytes, _| bytes[3] ^= 1,
    ];
    for breaks in broken {
        let mut bytes = whole.clone();
        breaks(&mut bytes, half);
        fs::write(&kept, &bytes).unwrap();
        assert_eq!(content(&place.pairs(), place.dir.path()), expected);
        assert_eq!(fs::read(&kept).unwrap(), whole, "it is whole again");
    }
    // Lengths that are not those of their frames, from the first byte behind the line in front.
    for at in [22, 25, 26, 30] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x80;
        fs::write(&kept, &bytes).unwrap();
        assert_eq!(content(&place.pairs(), place.dir.path()), expected);
    }
}

#[test]
fn a_file_that_changes_under_a_run_is_an_error() {
    let place = Place::new(0);
    let data = place.pairs();
    let [kept] = place.kept().try_into().unwrap();
    let mut bytes = fs::read(&kept).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    fs::write(&kept, &bytes).unwrap();
    let errors: Vec<_> = data.train.iter().filter_map(Result::err).map(|error| error.to_string()).collect();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("was changed since it was opened; remove the file and start"), "{errors:?}");
    fs::write(&kept, &bytes[..middle]).unwrap();
    let cut = data.train.get(299).unwrap_err().to_string();
    assert!(cut.contains("cannot be read (") && cut.contains(".tokens"), "{cut}");
}

#[test]
fn a_second_run_does_without_the_file_that_a_first_one_writes() {
    let place = Place::new(0);
    let expected = content(&place.pairs(), place.dir.path());
    let [kept] = place.kept().try_into().unwrap();
    fs::remove_file(&kept).unwrap();
    let lock = align_files::Lock::take(kept.with_extension("lock")).unwrap();
    assert_eq!(content(&place.pairs(), place.dir.path()), expected);
    assert!(!kept.exists());
    drop(lock);
    place.pairs();
    assert!(kept.exists());
}

#[test]
fn no_more_than_eight_files_are_kept() {
    let place = Place::new(0);
    for max_length in 8..18 {
        let records =
            Records { train: open_pairs(place.dataset(), "train").unwrap(), held_out: Source::default() };
        let options = TokenizeOptions { max_length: Some(max_length), ..options() };
        prepare_pairs(&records, &tokenizer(), &options).unwrap();
    }
    assert_eq!(place.kept().len(), 8);
}
