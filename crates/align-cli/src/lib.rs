#![doc = include_str!("../README.md")]

mod arguments;
mod device;
pub mod hub;
mod logging;
mod options;
mod policy;
mod rows;
mod run;
mod session;
mod signals;
mod stdout;

pub use align_files::write_json;
pub use arguments::{ArgumentError, Parsed, Program, parse};
pub use device::{DeviceChoice, DeviceError, Dtype};
pub use hub::Hub;
pub use options::{CommonOptions, OutputOptions};
pub use policy::{keep_memory, peak_memory_mb, work_beside_the_kernels};
pub use rows::JsonLines;
pub use run::{Invocation, input_error, internal_error, interrupted, main, one_line};
pub use session::{SETTINGS_FILE, Session, SessionError};
pub use signals::end_tidily;
pub use stdout::{print, print_coloured, print_row};
