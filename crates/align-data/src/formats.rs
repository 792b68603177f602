//! Formats of data files: the one place that knows their extensions.
//!
//! What is packed (gzip, zstd) is told by content when a file is opened; here a name only has to be known for data.

/// Whether a file of this name is one of data, in a format that is read.
pub fn is_data_file(name: &str) -> bool {
    Format::of(name).is_some()
}

/// The format of a data file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Format {
    /// Columns in row groups.
    Parquet,
    /// Tables of Arrow's, as `datasets.save_to_disk` writes them: known, so that a folder of them is refused for what it is.
    Arrow,
    /// One object per line, or an array of objects.
    Json,
    /// Fields between commas under a line of column names.
    Csv,
    /// The same between tabs.
    Tsv,
    /// A text per line.
    Text,
}

/// In the order in which `datasets` prefers them where as many files have the one as the other.
const EXTENSIONS: [(&str, Format); 8] = [
    (".parquet", Format::Parquet),
    (".arrow", Format::Arrow),
    (".jsonl", Format::Json),
    (".ndjson", Format::Json),
    (".json", Format::Json),
    (".csv", Format::Csv),
    (".tsv", Format::Tsv),
    (".txt", Format::Text),
];
const PACKED: [&str; 3] = ["", ".gz", ".zst"];

/// What is read, for messages.
pub(crate) const READ: &str =
    ".parquet, .jsonl, .ndjson, .json, .csv, .tsv or .txt (texts also as .gz or .zst)";

/// Names of others, and the name of what they are.
const OTHERS: [(&str, &str); 13] = [
    (".yaml", "YAML"),
    (".yml", "YAML"),
    (".xlsx", "Excel"),
    (".xls", "Excel"),
    (".feather", "Feather"),
    (".orc", "ORC"),
    (".avro", "Avro"),
    (".pkl", "a pickle"),
    (".zip", "an archive"),
    (".tar", "an archive"),
    (".7z", "an archive"),
    (".xz", "a file packed by xz"),
    (".bz2", "a file packed by bzip2"),
];

impl Format {
    /// The format that a file's name says, and the name without extensions; none if it is not one of data.
    pub(crate) fn of(name: &str) -> Option<(Self, &str)> {
        PACKED.iter().find_map(|packing| {
            let unpacked = without(name, packing)?;
            let (extension, format) =
                EXTENSIONS.iter().find(|(extension, _)| without(unpacked, extension).is_some())?;
            let is_text = !matches!(format, Self::Parquet | Self::Arrow);
            (packing.is_empty() || is_text).then_some((*format, without(unpacked, extension)?))
        })
    }

    /// What the bytes at a file's beginning say, where its name says nothing.
    pub(crate) fn of_content(start: &[u8]) -> Self {
        match start {
            [b'P', b'A', b'R', b'1', ..] => Self::Parquet,
            [b'A', b'R', b'R', b'O', b'W', b'1', ..] | [0xff, 0xff, 0xff, 0xff, ..] => Self::Arrow,
            _ => Self::Json,
        }
    }

    /// A complaint about a file whose name says that it is of a kind that is not read.
    pub(crate) fn complaint(name: &str) -> Option<String> {
        let (_, format) = OTHERS.iter().find(|(extension, _)| without(name, extension).is_some())?;
        Some(format!(
            "{format} is not read; read are {READ}. In Python: pandas.read_…(file).to_parquet(\"rows.parquet\")"
        ))
    }

    /// A set of files of which no two formats are mixed: CSV and TSV are one.
    pub(crate) fn family(self) -> Self {
        if self == Self::Tsv { Self::Csv } else { self }
    }
}

/// `name` without the extension at its end, in letters of any case.
fn without<'a>(name: &'a str, extension: &str) -> Option<&'a str> {
    let at = name.len().checked_sub(extension.len())?;
    let (stem, end) = name.split_at_checked(at)?;
    end.eq_ignore_ascii_case(extension).then_some(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_format() {
        assert_eq!(Format::of("test.jsonl.zst"), Some((Format::Json, "test")));
        assert_eq!(Format::of("a.b.CSV"), Some((Format::Csv, "a.b")));
        assert_eq!(
            Format::of("train-00000-of-00001.parquet"),
            Some((Format::Parquet, "train-00000-of-00001"))
        );
        assert_eq!(Format::of("notes.txt.gz"), Some((Format::Text, "notes")));
        for other in ["README.md", "a.parquet.gz", "jsonl", "é", ""] {
            assert_eq!(Format::of(other), None, "{other}");
        }
        assert!(Format::complaint("book.xlsx").unwrap().starts_with("Excel is not read; read are .parquet"));
        assert!(Format::complaint("rows").is_none());
    }
}
