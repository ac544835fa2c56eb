//! Columns by the kind of their values: numbers, truth values, bytes, text.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, FixedSizeBinaryArray, PrimitiveArray,
    StringArray,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;

use super::Row;

/// Collects the values of one column.
pub(super) trait Column: Send {
    fn data_type(&self) -> DataType;
    fn reserve(&mut self, rows: usize);
    /// Takes rows. Those whose bit of `present` is not set have no value.
    fn extend(&mut self, rows: &[Row<'_>], present: u64);
    fn finish(&mut self) -> ArrayRef;
}

/// Validity bits, taken up to [`GROUP`] at a time.
#[derive(Default)]
pub(super) struct Validity {
    words: Vec<u64>,
    length: usize,
    valid: usize,
}

impl Validity {
    /// Makes room for so many rows.
    pub(super) fn reserve(&mut self, rows: usize) {
        self.words.reserve(rows / 64 + 1);
    }

    /// Takes the first `count` bits, at most [`GROUP`](super::GROUP).
    pub(super) fn push(&mut self, mask: u64, count: usize) {
        let shift = self.length % 64;
        if shift == 0 {
            self.words.push(mask);
        } else {
            if let Some(last) = self.words.last_mut() {
                *last |= mask << shift;
            }
            if shift + count > 64 {
                self.words.push(mask >> (64 - shift));
            }
        }
        self.length += count;
        self.valid += mask.count_ones() as usize;
    }

    /// The bits as Arrow has them, nothing when all are set; starts anew.
    pub(super) fn finish(&mut self) -> Option<NullBuffer> {
        let all = self.valid == self.length;
        let bits = BooleanBuffer::new(
            Buffer::from_vec(std::mem::take(&mut self.words)),
            0,
            self.length,
        );
        (self.length, self.valid) = (0, 0);
        if all {
            None
        } else {
            Some(NullBuffer::new(bits))
        }
    }
}

/// Numbers.
pub(super) struct Numbers<T: ArrowPrimitiveType, F> {
    values: Vec<T::Native>,
    validity: Validity,
    get: F,
}

impl<T, F> Column for Numbers<T, F>
where
    T: ArrowPrimitiveType,
    F: Fn(&Row<'_>) -> Option<T::Native> + Send,
{
    fn data_type(&self) -> DataType {
        T::DATA_TYPE
    }

    fn reserve(&mut self, rows: usize) {
        self.values.reserve(rows);
        self.validity.reserve(rows);
    }

    fn extend(&mut self, rows: &[Row<'_>], present: u64) {
        let mut mask = 0;
        let mut bit = 0;
        self.values.extend(rows.iter().map(|row| {
            let value = (self.get)(row);
            mask |= u64::from(value.is_some()) << bit;
            bit += 1;
            value.unwrap_or_default()
        }));
        self.validity.push(mask & present, rows.len());
    }

    fn finish(&mut self) -> ArrayRef {
        let values = ScalarBuffer::from(std::mem::take(&mut self.values));
        Arc::new(PrimitiveArray::<T>::new(values, self.validity.finish()))
    }
}

/// Truth values.
pub(super) struct Flags<F> {
    values: Validity,
    validity: Validity,
    get: F,
}

impl<F: Fn(&Row<'_>) -> Option<bool> + Send> Column for Flags<F> {
    fn data_type(&self) -> DataType {
        DataType::Boolean
    }

    fn reserve(&mut self, _rows: usize) {}

    fn extend(&mut self, rows: &[Row<'_>], present: u64) {
        let (mut set, mut known) = (0, 0);
        for (bit, row) in rows.iter().enumerate() {
            if let Some(value) = (self.get)(row) {
                known |= 1 << bit;
                set |= u64::from(value) << bit;
            }
        }
        self.values.push(set, rows.len());
        self.validity.push(known & present, rows.len());
    }

    fn finish(&mut self) -> ArrayRef {
        let bits = BooleanBuffer::new(
            Buffer::from_vec(std::mem::take(&mut self.values.words)),
            0,
            self.values.length,
        );
        self.values = Validity::default();
        Arc::new(BooleanArray::new(bits, self.validity.finish()))
    }
}

/// Values of `N` bytes.
pub(super) struct Fixed<const N: usize, F> {
    values: Vec<[u8; N]>,
    validity: Validity,
    get: F,
}

impl<const N: usize, F: Fn(&Row<'_>) -> Option<[u8; N]> + Send> Column for Fixed<N, F> {
    fn data_type(&self) -> DataType {
        DataType::FixedSizeBinary(N as i32)
    }

    fn reserve(&mut self, rows: usize) {
        self.values.reserve(rows);
    }

    fn extend(&mut self, rows: &[Row<'_>], present: u64) {
        let mut mask = 0;
        let mut bit = 0;
        self.values.extend(rows.iter().map(|row| {
            let value = (self.get)(row);
            mask |= u64::from(value.is_some()) << bit;
            bit += 1;
            value.unwrap_or([0; N])
        }));
        self.validity.push(mask & present, rows.len());
    }

    fn finish(&mut self) -> ArrayRef {
        let values = Buffer::from_vec(std::mem::take(&mut self.values).into_flattened());
        Arc::new(FixedSizeBinaryArray::new(
            N as i32,
            values,
            self.validity.finish(),
        ))
    }
}

/// Values of any length: text or bytes. The function appends the value and says whether there is one.
pub(super) struct Variable<F> {
    values: Vec<u8>,
    ends: Vec<i32>,
    validity: Validity,
    text: bool,
    append: F,
}

impl<F: Fn(&Row<'_>, &mut Vec<u8>) -> bool + Send> Column for Variable<F> {
    fn data_type(&self) -> DataType {
        if self.text {
            DataType::Utf8
        } else {
            DataType::Binary
        }
    }

    fn reserve(&mut self, rows: usize) {
        self.ends.reserve(rows + 1);
        if self.ends.is_empty() {
            self.ends.push(0);
        }
    }

    fn extend(&mut self, rows: &[Row<'_>], present: u64) {
        let mut mask = 0;
        for (bit, row) in rows.iter().enumerate() {
            if (self.append)(row, &mut self.values) {
                mask |= 1 << bit;
            }
            self.ends.push(self.values.len() as i32);
        }
        self.validity.push(mask & present, rows.len());
    }

    fn finish(&mut self) -> ArrayRef {
        if self.ends.is_empty() {
            self.ends.push(0);
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(std::mem::take(&mut self.ends)));
        let values = Buffer::from_vec(std::mem::take(&mut self.values));
        let validity = self.validity.finish();
        if self.text {
            Arc::new(StringArray::new(offsets, values, validity))
        } else {
            Arc::new(BinaryArray::new(offsets, values, validity))
        }
    }
}

pub(super) fn numbers<T: ArrowPrimitiveType>(
    get: impl Fn(&Row<'_>) -> Option<T::Native> + Send + 'static,
) -> Box<dyn Column> {
    Box::new(Numbers::<T, _> {
        values: Vec::new(),
        validity: Validity::default(),
        get,
    })
}

pub(super) fn flags(get: impl Fn(&Row<'_>) -> Option<bool> + Send + 'static) -> Box<dyn Column> {
    Box::new(Flags {
        values: Validity::default(),
        validity: Validity::default(),
        get,
    })
}

pub(super) fn fixed<const N: usize>(
    get: impl Fn(&Row<'_>) -> Option<[u8; N]> + Send + 'static,
) -> Box<dyn Column> {
    Box::new(Fixed {
        values: Vec::new(),
        validity: Validity::default(),
        get,
    })
}

pub(super) fn variable(
    text: bool,
    append: impl Fn(&Row<'_>, &mut Vec<u8>) -> bool + Send + 'static,
) -> Box<dyn Column> {
    Box::new(Variable {
        values: Vec::new(),
        ends: Vec::new(),
        validity: Validity::default(),
        text,
        append,
    })
}

/// Text made by `Display`.
pub(super) fn text<D: std::fmt::Display>(
    get: impl Fn(&Row<'_>) -> Option<D> + Send + 'static,
) -> Box<dyn Column> {
    variable(true, move |row, values| {
        use std::io::Write as _;
        // Writing to a Vec cannot fail.
        get(row).is_some_and(|value| write!(values, "{value}").is_ok())
    })
}
