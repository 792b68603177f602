//! A column of a row group: its values, and the levels that say where rows, lists and nulls are.

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::schema::types::ColumnDescPtr;
use serde_json::Value;

use super::Result;
use super::value::{Json, Meaning, meaning};

/// A column that is read a batch of rows at a time.
pub(super) trait Column {
    /// Takes the next rows, when those before are done with. The library that reads them may panic.
    fn refill(&mut self, rows: usize) -> Result<()>;

    /// The definition and repetition level that comes next; none at the end of what was taken.
    fn level(&self) -> Option<(i16, i16)>;

    /// The next value, and the bytes that it takes; null where there is none.
    fn take(&mut self) -> Result<(Value, usize)>;
}

/// The column that a reader reads.
pub(super) fn column(reader: ColumnReader, schema: ColumnDescPtr) -> Box<dyn Column> {
    match reader {
        ColumnReader::BoolColumnReader(reader) => Typed::boxed(reader, schema),
        ColumnReader::Int32ColumnReader(reader) => Typed::boxed(reader, schema),
        ColumnReader::Int64ColumnReader(reader) => Typed::boxed(reader, schema),
        ColumnReader::Int96ColumnReader(reader) => Typed::boxed(reader, schema),
        ColumnReader::FloatColumnReader(reader) => Typed::boxed(reader, schema),
        ColumnReader::DoubleColumnReader(reader) => Typed::boxed(reader, schema),
        ColumnReader::ByteArrayColumnReader(reader) => Typed::boxed(reader, schema),
        ColumnReader::FixedLenByteArrayColumnReader(reader) => Typed::boxed(reader, schema),
    }
}

struct Typed<T: DataType> {
    reader: ColumnReaderImpl<T>,
    schema: ColumnDescPtr,
    meaning: Meaning,
    /// Levels of the batch; empty where all values are there and none is repeated.
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
    levels: usize,
    values: Vec<T::T>,
    /// Levels and values that are taken.
    level: usize,
    value: usize,
}

impl<T: DataType> Typed<T>
where
    T::T: Json,
{
    fn boxed(reader: ColumnReaderImpl<T>, schema: ColumnDescPtr) -> Box<dyn Column> {
        let meaning = meaning(&schema);
        let (definitions, repetitions, values) = (Vec::new(), Vec::new(), Vec::new());
        Box::new(Self {
            reader,
            schema,
            meaning,
            definitions,
            repetitions,
            levels: 0,
            values,
            level: 0,
            value: 0,
        })
    }

    fn wrong(&self, problem: &str) -> String {
        format!("column `{}`: {problem}", self.schema.path().string())
    }
}

impl<T: DataType> Column for Typed<T>
where
    T::T: Json,
{
    fn refill(&mut self, rows: usize) -> Result<()> {
        if self.level < self.levels {
            return Err(self.wrong("it has more values than there are rows"));
        }
        (self.levels, self.level, self.value) = (0, 0, 0);
        self.definitions.clear();
        self.repetitions.clear();
        self.values.clear();
        let definitions = (self.schema.max_def_level() > 0).then_some(&mut self.definitions);
        let repetitions = (self.schema.max_rep_level() > 0).then_some(&mut self.repetitions);
        let read = self.reader.read_records(rows, definitions, repetitions, &mut self.values);
        let (_, _, levels) = read.map_err(|error| self.wrong(&error.to_string()))?;
        self.levels = levels;
        Ok(())
    }

    fn level(&self) -> Option<(i16, i16)> {
        let level = |levels: &[i16]| levels.get(self.level).copied();
        (self.level < self.levels).then(|| {
            // Without levels every value is there.
            let definition = level(&self.definitions).unwrap_or(self.schema.max_def_level());
            (definition, level(&self.repetitions).unwrap_or(0))
        })
    }

    fn take(&mut self) -> Result<(Value, usize)> {
        let Some((definition, _)) = self.level() else {
            return Err(self.wrong("it has fewer values than there are rows"));
        };
        self.level += 1;
        if definition < self.schema.max_def_level() {
            return Ok((Value::Null, 0));
        }
        let Some(value) = self.values.get(self.value) else {
            return Err(self.wrong("it has fewer values than its levels say"));
        };
        self.value += 1;
        let json = value.json(self.meaning).map_err(|problem| self.wrong(&problem))?;
        Ok((json, value.size()))
    }
}
