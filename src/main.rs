//! The command `parkgate`: arguments → configuration → gateway → exit code.
//!
//! Exit codes: 0 done; 1 failed while running; 64 wrong usage; 78 wrong configuration (both of `sysexits.h`).

use std::process::ExitCode;

use clap::Parser;
use parkgate::cli::{self, Arguments};

fn main() -> ExitCode {
    match Arguments::try_parse() {
        Ok(arguments) => cli::run(arguments),
        Err(help_or_error) => {
            let code = if help_or_error.use_stderr() { ExitCode::from(cli::WRONG_USAGE) } else { ExitCode::SUCCESS };
            // A closed terminal is nobody's error.
            drop(help_or_error.print());
            code
        }
    }
}
