//! The shape of a row: the schema's tree with the levels at which its parts are there.
//!
//! A definition level says how much of the way from the row down to a value exists, a repetition level which of the lists
//! on that way goes on (Melnik et al. 2010, "Dremel").

use parquet::basic::{ConvertedType, LogicalType, Repetition};
use parquet::schema::types::Type;

use super::Result;

/// A part of a row.
pub(super) struct Node {
    /// Columns below it, by their numbers.
    pub(super) columns: std::ops::Range<usize>,
    /// The definition level from which on it is not null.
    pub(super) defined: i16,
    pub(super) kind: Kind,
}

/// What a part of a row is.
pub(super) enum Kind {
    /// A column's value.
    Value,
    /// An object with these fields.
    Struct(Vec<(String, Node)>),
    /// A list.
    List(List),
    /// An object whose keys are the first fields of the elements, and whose values are the second.
    Map(List),
}

/// Elements of a list.
pub(super) struct List {
    /// The definition level from which on there is an element.
    pub(super) filled: i16,
    /// The repetition level of all elements but the first.
    pub(super) repeated: i16,
    pub(super) element: Box<Node>,
}

/// The fields of a row.
pub(super) fn fields(schema: &Type) -> Result<Vec<(String, Node)>> {
    let mut place = Place::default();
    let fields = place.fields(schema)?;
    if place.columns == 0 { Err("it has no columns".to_owned()) } else { Ok(fields) }
}

/// Where the walk through the schema stands.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Columns so far.
    columns: usize,
    definition: i16,
    repetition: i16,
}

impl Place {
    fn fields(&mut self, group: &Type) -> Result<Vec<(String, Node)>> {
        let fields = group.get_fields().iter();
        fields.map(|field| Ok((field.name().to_owned(), self.node(field)?))).collect()
    }

    /// A field, with what its being optional or repeated means for the levels below it.
    fn node(&mut self, field: &Type) -> Result<Node> {
        let (first, mut below) = (self.columns, *self);
        let repetition = field.get_basic_info().has_repetition().then(|| field.get_basic_info().repetition());
        let node = match repetition {
            // A list without a mark that it is one: of what is repeated.
            Some(Repetition::REPEATED) => {
                let kind = Kind::List(below.list(field, false)?);
                Node { columns: first..below.columns, defined: self.definition, kind }
            }
            repetition => {
                below.definition += i16::from(repetition == Some(Repetition::OPTIONAL));
                let defined = below.definition;
                let kind = below.kind(field)?;
                Node { columns: first..below.columns, defined, kind }
            }
        };
        self.columns = below.columns;
        Ok(node)
    }

    /// What a field is, apart from being optional or repeated.
    fn kind(&mut self, field: &Type) -> Result<Kind> {
        if field.is_primitive() {
            self.columns += 1;
            return Ok(Kind::Value);
        }
        let info = field.get_basic_info();
        let (logical, converted) = (info.logical_type_ref(), info.converted_type());
        let only = match field.get_fields() {
            [only] if only.get_basic_info().repetition() == Repetition::REPEATED => Some(only),
            [] => return Err(format!("column `{}`: a group without columns", field.name())),
            _ => None,
        };
        let is_list = logical == Some(&LogicalType::List) || converted == ConvertedType::LIST;
        let is_map = logical == Some(&LogicalType::Map)
            || matches!(converted, ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE);
        match only {
            Some(repeated) if is_list => {
                let is_wrapped = is_wrapper(field, repeated);
                Ok(Kind::List(self.list(repeated, is_wrapped)?))
            }
            Some(entry) if is_map && entry.is_group() && entry.get_fields().len() == 2 => {
                Ok(Kind::Map(self.list(entry, false)?))
            }
            _ => Ok(Kind::Struct(self.fields(field)?)),
        }
    }

    /// The list that a repeated field makes; if it is only the wrapper of its elements, of what is in it.
    fn list(&mut self, repeated: &Type, is_wrapped: bool) -> Result<List> {
        self.definition += 1;
        self.repetition += 1;
        let (filled, repetition, first) = (self.definition, self.repetition, self.columns);
        let element = match repeated.is_group().then(|| repeated.get_fields()) {
            Some([element]) if is_wrapped => self.node(element)?,
            _ => {
                let kind = self.kind(repeated)?;
                Node { columns: first..self.columns, defined: filled, kind }
            }
        };
        Ok(List { filled, repeated: repetition, element: Box::new(element) })
    }
}

/// Whether the repeated field in a list is only the wrapper of its elements, and no element itself: the format's rules for
/// what old writers wrote.
fn is_wrapper(list: &Type, repeated: &Type) -> bool {
    let name = repeated.name();
    repeated.is_group()
        && repeated.get_fields().len() == 1
        && name != "array"
        && name.strip_suffix("_tuple") != Some(list.name())
}
