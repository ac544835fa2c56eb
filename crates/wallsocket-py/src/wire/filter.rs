//! Packet filters.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use wallsocket_wire::decode::LinkType;
use wallsocket_wire::filter::{Filter as Program, Filters, Instruction};

use super::frame::Frame;

pub(super) fn instructions(program: Vec<(u16, u8, u8, u32)>) -> Vec<Instruction> {
    program
        .into_iter()
        .map(|(code, jump_true, jump_false, operand)| Instruction {
            code,
            jump_true,
            jump_false,
            operand,
        })
        .collect()
}

pub(super) fn program_of(program: Vec<(u16, u8, u8, u32)>) -> PyResult<Program> {
    Program::new(instructions(program)).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// A packet filter: a program for each link type, and one for every other.
#[pyclass(frozen, module = "wallsocket._core.wire")]
pub(super) struct Filter {
    pub(super) filters: Filters,
}

#[pymethods]
impl Filter {
    /// Frames of link types without a program do not match.
    #[new]
    #[pyo3(signature = (programs, other = None))]
    fn new(
        programs: std::collections::HashMap<u32, Vec<(u16, u8, u8, u32)>>,
        other: Option<Vec<(u16, u8, u8, u32)>>,
    ) -> PyResult<Self> {
        let programs = programs
            .into_iter()
            .map(|(link_type, program)| Ok((LinkType(link_type), program_of(program)?)))
            .collect::<PyResult<_>>()?;
        let other = other.map(program_of).transpose()?;
        Ok(Self {
            filters: Filters::new(programs, other),
        })
    }

    /// Whether a frame matches.
    fn matches(&self, py: Python<'_>, frame: &Frame) -> bool {
        self.filters.matches(
            frame.link_type,
            frame.bytes.as_bytes(py),
            frame.original_length,
        )
    }
}

/// The programs, to be taken along.
pub(super) fn filters_of(filter: Option<&Bound<'_, Filter>>) -> Option<Filters> {
    filter.map(|filter| filter.get().filters.clone())
}
