//! The forms in which results leave for other programs, judged by programs that other people wrote.

mod markdown;
mod redaction;
