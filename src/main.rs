//! The program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    // One provider of cryptography for everything that speaks TLS. It can be chosen once only,
    // and nobody chose before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    ExitCode::from(intake::cli::entry::main(std::env::args_os()))
}
