//! Commands, output and exit codes: the only place that prints.

pub mod accounts;
pub mod annotations;
pub mod apply;
pub mod arguments;
pub mod discover;
pub mod entry;
pub mod exit;
pub mod explain;
pub mod history;
pub mod init;
pub mod init_files;
pub mod logging;
pub mod output;
pub mod plan;
pub mod progress;
pub mod round;
pub mod run;
pub mod sarif;
pub mod saved_plan;
pub mod schema;
pub mod selection;
pub mod session;
pub mod sources;
pub mod status;
pub mod validate;
pub mod wiring;
