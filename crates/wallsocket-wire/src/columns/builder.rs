//! Rows collected into record batches: the columns take the frames in groups.

use std::sync::Arc;

use arrow_array::{RecordBatch, make_array};
use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, Field, Schema, SchemaRef};
use wallsocket_sys::region::Region;

use super::headers::{Headers, Values};
use super::kinds::{Column, Validity};
use super::{ALL, COLUMNS, GROUP, Kind, Meta, Row};
use crate::decode::{Frame, Hints, LinkType, decode_into};
use crate::file::{Chunk, Record};

/// Largest number of bytes in one column of text or bytes of a batch: offsets are 32-bit.
const BATCH_BYTES: usize = 64 << 20;

/// A column of [`Headers`] that is being collected.
struct HeaderColumn {
    values: fn(&Headers) -> (Values<'_>, u64),
    inner: bool,
    width: usize,
    /// Where its values start in the memory of the batch.
    start: usize,
    validity: Validity,
}

/// A column that is made from frames, and is being collected.
struct Made {
    column: Box<dyn Column>,
    inner: bool,
}

/// The header fields of the packets that a group's tunnels carry.
struct Inner {
    headers: Headers,
    /// Which frames of the group carry a packet.
    present: u64,
}

/// Where a column of the schema is collected: its place in one of the two lists of [`Builder`].
#[derive(Clone, Copy)]
enum Place {
    Header(usize),
    Made(usize),
}

/// Collects rows into record batches.
pub struct Builder {
    schema: SchemaRef,
    places: Vec<Place>,
    headers: Vec<HeaderColumn>,
    made: Vec<Made>,
    group: Box<Headers>,
    /// Of the packets inside, where a column asks for them.
    inner: Option<Box<Inner>>,
    /// Values of the header columns, one column after the other, with room for `capacity` rows.
    memory: Option<Region>,
    capacity: usize,
    rows: usize,
    bytes: usize,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Builder")
            .field("schema", &self.schema)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

/// Rows that a batch has room for at first when nobody said how many will come.
const FIRST_ROWS: usize = 1024;

impl Builder {
    /// With the columns of these names, in this order.
    ///
    /// # Errors
    /// Gives back the first name that is not a column.
    pub fn new<S: AsRef<str>>(names: &[S]) -> Result<Self, String> {
        let group = Box::new(Headers::new());
        let mut fields = Vec::with_capacity(names.len());
        let (mut places, mut headers, mut made) = (Vec::new(), Vec::new(), Vec::new());
        let mut inner = None;
        for name in names {
            let Some(definition) = COLUMNS
                .iter()
                .find(|definition| definition.name == name.as_ref())
            else {
                return Err(name.as_ref().to_owned());
            };
            if definition.inner && inner.is_none() {
                inner = Some(Box::new(Inner {
                    headers: Headers::new(),
                    present: 0,
                }));
            }
            let data_type = match definition.kind {
                Kind::Header(values) => {
                    places.push(Place::Header(headers.len()));
                    let (array, _) = values(&group);
                    headers.push(HeaderColumn {
                        values,
                        inner: definition.inner,
                        width: array.width(),
                        start: 0,
                        validity: Validity::default(),
                    });
                    array.data_type()
                }
                Kind::Made(start) => {
                    places.push(Place::Made(made.len()));
                    let column = start();
                    let data_type = column.data_type();
                    made.push(Made {
                        column,
                        inner: definition.inner,
                    });
                    data_type
                }
            };
            fields.push(Field::new(definition.name, data_type, true));
        }
        Ok(Self {
            schema: Arc::new(Schema::new(fields)),
            places,
            headers,
            made,
            group,
            inner,
            memory: None,
            capacity: 0,
            rows: 0,
            bytes: 0,
        })
    }

    /// Names and types.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Rows collected.
    pub const fn len(&self) -> usize {
        self.rows
    }

    /// Whether no row was collected.
    pub const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether the batch should be finished for its size in bytes.
    pub const fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES
    }

    /// Makes room for so many rows in all.
    ///
    /// # Errors
    /// No memory.
    pub fn reserve(&mut self, rows: usize) -> Result<(), ArrowError> {
        if rows <= self.capacity {
            return Ok(());
        }
        // Every column starts at a multiple of 64 bytes, as Arrow recommends.
        let mut length = 0;
        let starts: Vec<usize> = self
            .headers
            .iter()
            .map(|column| {
                let start = length;
                length += (rows * column.width).next_multiple_of(64);
                start
            })
            .collect();
        let mut memory = Region::new(length)?;
        for (column, start) in self.headers.iter_mut().zip(starts) {
            let used = self.rows * column.width;
            if let Some(old) = &self.memory {
                memory[start..start + used]
                    .copy_from_slice(&old[column.start..column.start + used]);
            }
            column.start = start;
            column.validity.reserve(rows);
        }
        for made in &mut self.made {
            made.column.reserve(rows - self.rows);
        }
        self.memory = Some(memory);
        self.capacity = rows;
        Ok(())
    }

    /// Takes the `count` rows, at least one, that were put into `group`; `rows` has them too where there are other columns, and
    /// `inside` the packets that they carry.
    fn take(
        &mut self,
        rows: &[Row<'_>],
        inside: &[Row<'_>],
        count: usize,
    ) -> Result<(), ArrowError> {
        if self.rows + count > self.capacity {
            // Small at first, and soon large: what is never touched costs nothing.
            let factor = if self.capacity < 1 << 16 { 8 } else { 2 };
            self.reserve(
                (self.rows + count)
                    .max(FIRST_ROWS)
                    .max(factor * self.capacity),
            )?;
        }
        if let Some(memory) = &mut self.memory {
            for column in &mut self.headers {
                let (group, present) = match &self.inner {
                    Some(inner) if column.inner => (&inner.headers, inner.present),
                    _ => (&*self.group, ALL),
                };
                let (values, mask) = (column.values)(group);
                let start = column.start + self.rows * column.width;
                values.copy_to(&mut memory[start..start + count * column.width]);
                column
                    .validity
                    .push(mask & present & (ALL >> (GROUP - count)), count);
            }
        }
        for made in &mut self.made {
            match &self.inner {
                Some(inner) if made.inner => made.column.extend(inside, inner.present),
                _ => made.column.extend(rows, ALL),
            }
        }
        self.rows += count;
        self.bytes += self.group.captured_length[..count]
            .iter()
            .map(|length| *length as usize)
            .sum::<usize>();
        Ok(())
    }

    /// The rows collected, as a batch; the builder starts anew.
    ///
    /// # Errors
    /// None that a correct column can cause.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let rows = self.rows;
        let memory = self.memory.take().map_or_else(
            || Buffer::from_vec(Vec::<u8>::new()),
            |memory| Buffer::from(bytes::Bytes::from_owner(memory)),
        );
        let arrays = self
            .places
            .iter()
            .zip(self.schema.fields())
            .map(|(place, field)| match place {
                Place::Header(index) => {
                    let column = &mut self.headers[*index];
                    let values = if rows == 0 {
                        Buffer::from_vec(Vec::<u64>::new())
                    } else {
                        memory.slice_with_length(column.start, rows * column.width)
                    };
                    let data = ArrayData::builder(field.data_type().clone())
                        .len(rows)
                        .nulls(column.validity.finish())
                        .add_buffer(values)
                        .build()?;
                    Ok(make_array(data))
                }
                Place::Made(index) => Ok(self.made[*index].column.finish()),
            })
            .collect::<Result<Vec<_>, ArrowError>>()?;
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows));
        self.rows = 0;
        self.bytes = 0;
        self.capacity = 0;
        RecordBatch::try_new_with_options(self.schema(), arrays, &options)
    }
}

/// Frames that are decoded together, in place: moving a row costs as much as decoding it.
pub struct Group<'a> {
    rows: Box<[Row<'a>; GROUP]>,
    /// The packets that they carry, where a column asks for them.
    inside: Box<[Row<'a>]>,
    count: usize,
    /// Whether some column looks at the rows; else one place serves for all.
    keep: bool,
}

impl std::fmt::Debug for Group<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Group")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl<'a> Group<'a> {
    /// For the columns of `builder`.
    pub fn new(builder: &Builder) -> Self {
        let empty = Row {
            frame: Frame::empty(),
            meta: Meta::default(),
            file: None,
        };
        let inside = if builder.inner.is_some() { GROUP } else { 0 };
        Self {
            rows: Box::new([empty; GROUP]),
            inside: vec![empty; inside].into_boxed_slice(),
            count: 0,
            keep: !builder.made.is_empty(),
        }
    }

    /// Decodes a frame. The builder takes the frames when there are [`GROUP`], and at [`Group::end`].
    ///
    /// # Errors
    /// No memory.
    #[inline]
    pub fn add(
        &mut self,
        builder: &mut Builder,
        link_type: LinkType,
        bytes: &'a [u8],
        original_length: u32,
        hints: Hints,
        meta: Meta,
        file: Option<(&'a Chunk, &'a Record)>,
    ) -> Result<(), ArrowError> {
        let row = &mut self.rows[if self.keep { self.count % GROUP } else { 0 }];
        decode_into(&mut row.frame, link_type, bytes, original_length, hints);
        row.meta = meta;
        row.file = file;
        builder.group.put(self.count, &row.frame, &row.meta);
        if let Some(inner) = &mut builder.inner {
            let row = *row;
            self.add_inside(inner, row);
        }
        self.count += 1;
        if self.count == GROUP {
            self.end(builder)?;
        }
        Ok(())
    }

    /// Decodes what a frame carries.
    #[cold]
    fn add_inside(&mut self, inner: &mut Inner, outer: Row<'a>) {
        if self.count == 0 {
            inner.present = 0;
        }
        let found = outer.frame.innermost();
        inner.present |= u64::from(found.is_some()) << (self.count % GROUP);
        let frame = found.unwrap_or_else(Frame::empty);
        inner.headers.put_apart(self.count, &frame, &outer.meta);
        if let Some(row) = self.inside.get_mut(self.count) {
            *row = Row { frame, ..outer };
        }
    }

    /// Hands the builder what it has not yet taken.
    ///
    /// # Errors
    /// No memory.
    pub fn end(&mut self, builder: &mut Builder) -> Result<(), ArrowError> {
        let count = std::mem::take(&mut self.count);
        if count == 0 {
            return Ok(());
        }
        let inside = self.inside.get(..count).unwrap_or(&[]);
        builder.take(&self.rows[..count], inside, count)
    }
}
