//! Files that are damaged, not whole, or of something else: one error each, never a panic.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::{Path, PathBuf};

use align_gguf::{Field, Fields, GgufFile, GgufWriter, Kind, tokenizer_files};

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("model.gguf")
    }

    /// What is wrong with these bytes.
    fn problem(&self, bytes: &[u8]) -> String {
        std::fs::write(self.path(), bytes).unwrap();
        GgufFile::open(&self.path()).unwrap_err().to_string()
    }
}

fn text(name: &str, text: &str) -> (String, Field) {
    (name.to_owned(), Field::Text(text.to_owned()))
}

/// A small file: a tokenizer of three tokens, and a tensor.
fn fields() -> Fields {
    let tokens = ["a", "b", "ab"].map(str::to_owned).to_vec();
    vec![
        text("general.architecture", "llama"),
        text("tokenizer.ggml.model", "gpt2"),
        text("tokenizer.ggml.pre", "gpt-2"),
        ("tokenizer.ggml.tokens".to_owned(), Field::Texts(tokens)),
        ("tokenizer.ggml.token_type".to_owned(), Field::I32s(vec![1, 1, 3])),
        ("tokenizer.ggml.merges".to_owned(), Field::Texts(vec!["a b".to_owned()])),
        ("tokenizer.ggml.eos_token_id".to_owned(), Field::U32(2)),
    ]
}

fn written(path: &Path, fields: &Fields) -> Vec<u8> {
    let mut writer = GgufWriter::create(path, fields, &[("w".to_owned(), Kind::Q8_0, vec![2, 32])]).unwrap();
    writer.tensor(&[7; 68]).unwrap();
    writer.finish().unwrap();
    std::fs::read(path).unwrap()
}

fn valid() -> Vec<u8> {
    let place = Place::new();
    written(&place.path(), &fields())
}

#[test]
fn what_is_written_is_read() {
    let place = Place::new();
    written(&place.path(), &fields());
    let file = GgufFile::open(&place.path()).unwrap();
    let info = &file.tensors()["w"];
    assert_eq!((info.shape.as_slice(), info.kind, info.bytes()), ([2, 32].as_slice(), Kind::Q8_0, 68));
    assert_eq!(file.bytes(info).unwrap(), [7; 68]);
    assert_eq!(tokenizer_files(file.metadata()).unwrap().len(), 2);
}

#[test]
fn no_part_of_a_file_is_taken_for_the_whole() {
    let (place, bytes) = (Place::new(), valid());
    for length in 0..bytes.len() - 28 {
        let problem = place.problem(&bytes[..length]);
        assert!(
            problem.contains("is it damaged, or not whole?") || problem.contains("downloaded in full"),
            "{length}: {problem}"
        );
    }
}

#[test]
fn no_byte_makes_a_reader_panic() {
    let (place, bytes) = (Place::new(), valid());
    for at in 0..bytes.len() {
        for value in [0, 1, 9, 0x7f, 0xff] {
            let mut other = bytes.clone();
            other[at] = value;
            std::fs::write(place.path(), &other).unwrap();
            if let Ok(file) = GgufFile::open(&place.path()) {
                let _ = tokenizer_files(file.metadata());
                file.tensors().values().for_each(|info| drop(file.bytes(info)));
            }
        }
    }
}

#[test]
fn each_mistake_has_its_words() {
    let (place, bytes) = (Place::new(), valid());
    let with = |at: usize, value: &[u8]| {
        let mut other = bytes.clone();
        other[at..at + value.len()].copy_from_slice(value);
        other
    };
    let check = |bytes: &[u8], words: &str| {
        let problem = place.problem(bytes);
        assert!(problem.contains(words), "{problem}");
    };
    check(b"PK\x03\x04 is a zip file, not what its name says", "does not begin with `GGUF`");
    check(&with(4, &1_u32.to_le_bytes()), "of version 1 of GGUF");
    check(&with(4, &3_u32.to_be_bytes()), "big-endian");
    check(&with(8, &u64::MAX.to_le_bytes()), "tensor ``: its shape [] is not made of blocks");
    check(&with(16, &u64::MAX.to_le_bytes()), "is it damaged, or not whole?");
    check(&with(24, &u64::MAX.to_le_bytes()), "is it damaged, or not whole?");

    let kind = bytes.windows(9).position(|it| *it == *b"\x01\0\0\0\0\0\0\0w").unwrap() + 9 + 4 + 16;
    check(
        &with(kind, &23_u32.to_le_bytes()),
        "tensor `w`: is in blocks of IQ4_XS (type 23); read are F32, F16, BF16, Q4_0",
    );
    check(&with(kind, &12_u32.to_le_bytes()), "is not made of blocks of Q4_K");
    check(&with(kind - 16, &33_u64.to_le_bytes()), "is not made of blocks of Q8_0");
    let changed = |change: &dyn Fn(&mut Fields)| {
        let mut fields = fields();
        change(&mut fields);
        written(&Place::new().path(), &fields)
    };
    check(
        &changed(&|fields| fields.push(text("general.architecture", "qwen2"))),
        "names `general.architecture` twice",
    );
    check(
        &changed(&|fields| fields.push(("general.alignment".to_owned(), Field::U32(0)))),
        "expected a power of 2, found 0",
    );
    check(
        &changed(&|fields| fields.push(("split.count".to_owned(), Field::U32(2)))),
        "is one of 2 parts; name the first",
    );
}

#[test]
fn tokenizers_that_are_not_understood_are_refused() {
    let problem = |name: &str, field: Option<Field>| {
        let place = Place::new();
        let mut fields = fields();
        fields.retain(|(own, _)| own != name);
        fields.extend(field.map(|field| (name.to_owned(), field)));
        written(&place.path(), &fields);
        tokenizer_files(GgufFile::open(&place.path()).unwrap().metadata()).unwrap_err().to_string()
    };
    let text = |text: &str| Some(Field::Text(text.to_owned()));
    let check = |problem: String, words: &str| assert!(problem.contains(words), "{problem}");
    check(problem("tokenizer.ggml.pre", text("default")), "expected how texts are cut, one of gpt-2, mpt");
    check(problem("tokenizer.ggml.pre", None), "found nothing");
    check(problem("tokenizer.ggml.model", text("bert")), "expected `gpt2` (byte-level BPE) or `llama`");
    check(problem("tokenizer.ggml.tokens", None), "has no `tokenizer.ggml.tokens`");
    check(
        problem("tokenizer.ggml.merges", Some(Field::Texts(vec!["ab".to_owned()]))),
        "two parts with a space between",
    );
    check(
        problem("tokenizer.ggml.token_type", Some(Field::I32s(vec![1]))),
        "expected one for each of 3 tokens",
    );
    check(
        problem("tokenizer.ggml.eos_token_id", Some(Field::U32(3))),
        "expected a token's id below 3, found 3",
    );
    check(
        problem("tokenizer.ggml.add_bos_token", Some(Field::Flag(true))),
        "is set, but it names no such token",
    );
}

#[test]
fn a_split_model_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let part = |number: usize| dir.path().join(format!("model-{number:05}-of-00002.gguf"));
    for (number, name) in [(1, "a"), (2, "b")] {
        let mut own = if number == 1 { fields() } else { Vec::new() };
        own.push(("split.count".to_owned(), Field::U32(2)));
        let mut writer =
            GgufWriter::create(&part(number), &own, &[(name.to_owned(), Kind::F32, vec![2])]).unwrap();
        writer.tensor(&[number as u8; 8]).unwrap();
        writer.finish().unwrap();
    }
    let file = GgufFile::open(&part(1)).unwrap();
    let bytes = |name: &str| file.bytes(&file.tensors()[name]).unwrap();
    assert_eq!((bytes("a"), bytes("b")), (vec![1; 8], vec![2; 8]));
    assert!(GgufFile::open(&part(2)).unwrap_err().to_string().contains("name the first"));
    std::fs::remove_file(part(2)).unwrap();
    assert!(GgufFile::open(&part(1)).unwrap_err().to_string().contains("-00002-of-00002.gguf is missing"));
}
