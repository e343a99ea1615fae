//! The forms in which results leave for other programs, judged by programs that other people wrote.

mod annotations;
mod editors;
mod markdown;
mod pipelines;
mod redaction;
