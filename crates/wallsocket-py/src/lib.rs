//! The compiled module `wallsocket._core`: conversions between Python and the crates, and nothing else.
//!
//! One file per submodule; each has `register(module)`.

use pyo3::prelude::*;

mod arrow;
mod framing;
mod kernel;
mod lab;
mod python;
mod recording;
mod segments;
mod sys;
mod trace;
mod wire;

/// Makes the submodule `name`, fills it with `fill`, and adds it to `parent` so that it can also be imported by name.
fn submodule(
    parent: &Bound<'_, PyModule>,
    name: &str,
    fill: fn(&Bound<'_, PyModule>) -> PyResult<()>,
) -> PyResult<()> {
    let full_name = format!("wallsocket._core.{name}");
    let module = PyModule::new(parent.py(), &full_name)?;
    fill(&module)?;
    parent
        .py()
        .import("sys")?
        .getattr("modules")?
        .set_item(full_name, &module)?;
    parent.add(name, module)
}

/// The compiled part of Wallsocket.
#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    submodule(module, "arrow", arrow::register)?;
    submodule(module, "framing", framing::register)?;
    submodule(module, "kernel", kernel::register)?;
    submodule(module, "lab", lab::register)?;
    submodule(module, "python", python::register)?;
    submodule(module, "recording", recording::register)?;
    submodule(module, "segments", segments::register)?;
    submodule(module, "sys", sys::register)?;
    submodule(module, "trace", trace::register)?;
    submodule(module, "wire", wire::register)?;
    Ok(())
}
