//! The rows of a row group, put together from its columns.

use std::fs::File;
use std::sync::{Arc, Mutex};

use parquet::basic::Type as Physical;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use serde_json::{Map, Value};

use super::Result;
use super::budget::Budget;
use super::column::{Column, column};
use super::pages::Pages;
use super::shape::{Kind, List, Node};
use crate::guard::guarded;

/// Rows that are taken from all columns at a time.
const BATCH: usize = 128;
/// Bytes and values of the largest row, as in other formats.
const LARGEST: usize = 256 << 20;
const MOST_VALUES: usize = 20_000_000;

/// The rows of a row group that are still to come.
pub(super) struct Group {
    columns: Vec<Box<dyn Column>>,
    budget: Arc<Budget>,
    /// Rows of the group, and of the batch.
    left: u64,
    in_batch: usize,
}

impl Group {
    /// The rows of a group whose pages lie before `end` in the file.
    pub(super) fn new(file: &Arc<Mutex<File>>, end: u64, group: &RowGroupMetaData) -> Result<Self> {
        let budget = Arc::new(Budget::default());
        let open = |chunk: &ColumnChunkMetaData| {
            let pages = Pages::new(file.clone(), end, chunk, budget.clone())?;
            let schema = chunk.column_descr_ptr();
            Ok(column(guarded(|| reader(pages, chunk))?, schema))
        };
        let columns = group.columns().iter().map(open).collect::<Result<Vec<_>>>()?;
        let left =
            u64::try_from(group.num_rows()).map_err(|_| "a row group of less than no rows".to_owned())?;
        Ok(Self { columns, budget, left, in_batch: 0 })
    }

    /// The next row.
    pub(super) fn next_row(&mut self, fields: &[(String, Node)]) -> Result<Option<Map<String, Value>>> {
        if self.left == 0 {
            return Ok(None);
        }
        if self.in_batch == 0 {
            self.refill()?;
        }
        self.left -= 1;
        self.in_batch -= 1;
        // Where one column begins a row, all do; else they are not the columns of one table.
        if self.columns.iter().any(|column| column.level().is_none_or(|(_, repeated)| repeated != 0)) {
            return Err("its columns have different numbers of rows".to_owned());
        }
        let mut row = Row { columns: &mut self.columns, bytes: 0, values: 0 };
        row.fields(fields).map(Some)
    }

    fn refill(&mut self) -> Result<()> {
        self.in_batch = usize::try_from(self.left).unwrap_or(BATCH).min(BATCH);
        self.budget.reset();
        let Self { columns, in_batch, .. } = self;
        guarded(|| columns.iter_mut().try_for_each(|column| column.refill(*in_batch)))?
    }
}

fn reader(pages: Pages, chunk: &ColumnChunkMetaData) -> ColumnReader {
    fn typed<T: DataType>(pages: Pages, chunk: &ColumnChunkMetaData) -> ColumnReaderImpl<T> {
        ColumnReaderImpl::new(chunk.column_descr_ptr(), Box::new(pages))
    }
    match chunk.column_descr().physical_type() {
        Physical::BOOLEAN => ColumnReader::BoolColumnReader(typed(pages, chunk)),
        Physical::INT32 => ColumnReader::Int32ColumnReader(typed(pages, chunk)),
        Physical::INT64 => ColumnReader::Int64ColumnReader(typed(pages, chunk)),
        Physical::INT96 => ColumnReader::Int96ColumnReader(typed(pages, chunk)),
        Physical::FLOAT => ColumnReader::FloatColumnReader(typed(pages, chunk)),
        Physical::DOUBLE => ColumnReader::DoubleColumnReader(typed(pages, chunk)),
        Physical::BYTE_ARRAY => ColumnReader::ByteArrayColumnReader(typed(pages, chunk)),
        Physical::FIXED_LEN_BYTE_ARRAY => ColumnReader::FixedLenByteArrayColumnReader(typed(pages, chunk)),
    }
}

/// A row that is being put together.
struct Row<'a> {
    columns: &'a mut [Box<dyn Column>],
    /// Bytes and values so far: a few bytes of a page can say that a long text comes any number of times.
    bytes: usize,
    values: usize,
}

impl Row<'_> {
    fn fields(&mut self, fields: &[(String, Node)]) -> Result<Map<String, Value>> {
        fields.iter().map(|(name, node)| Ok((name.clone(), self.value(node)?))).collect()
    }

    fn value(&mut self, node: &Node) -> Result<Value> {
        let (defined, _) = self.level(node)?;
        if defined < node.defined {
            self.pass(node)?;
            return Ok(Value::Null);
        }
        match &node.kind {
            Kind::Value => self.take(node.columns.start),
            Kind::Struct(fields) => self.fields(fields).map(Value::Object),
            Kind::List(list) => self.list(node, list).map(Value::Array),
            Kind::Map(list) => {
                self.list(node, list).map(|entries| Value::Object(entries.into_iter().map(entry).collect()))
            }
        }
    }

    fn list(&mut self, node: &Node, list: &List) -> Result<Vec<Value>> {
        let mut elements = Vec::new();
        let (defined, _) = self.level(node)?;
        if defined < list.filled {
            self.pass(node)?;
            return Ok(elements);
        }
        loop {
            elements.push(self.value(&list.element)?);
            // The first column says for all whether the list goes on; where another says otherwise, the row does not end
            // where the next begins.
            match self.columns[node.columns.start].level() {
                Some((_, repeated)) if repeated >= list.repeated => {}
                _ => return Ok(elements),
            }
        }
    }

    fn level(&self, node: &Node) -> Result<(i16, i16)> {
        let column = self.columns.get(node.columns.start).ok_or("a row group that lacks columns")?;
        column.level().ok_or_else(|| "a list that its columns do not end alike".to_owned())
    }

    /// Passes over what is not there: each column says so once.
    fn pass(&mut self, node: &Node) -> Result<()> {
        node.columns.clone().try_for_each(|column| self.take(column).map(drop))
    }

    fn take(&mut self, column: usize) -> Result<Value> {
        let column = self.columns.get_mut(column).ok_or("a row group that lacks columns")?;
        let (value, bytes) = column.take()?;
        (self.bytes, self.values) = (self.bytes.saturating_add(bytes), self.values + 1);
        if self.bytes > LARGEST || self.values > MOST_VALUES {
            let megabytes = LARGEST >> 20;
            return Err(format!(
                "a row of more than {megabytes} MiB or {MOST_VALUES} values, which is the most that is read"
            ));
        }
        Ok(value)
    }
}

/// A map's entry, whatever its two fields are called. JSON has texts for keys.
fn entry(entry: Value) -> (String, Value) {
    let Value::Object(fields) = entry else { return (String::new(), entry) };
    let mut values = fields.into_iter().map(|(_, value)| value);
    let key = match values.next() {
        Some(Value::String(key)) => key,
        other => other.unwrap_or_default().to_string(),
    };
    (key, values.next().unwrap_or_default())
}
