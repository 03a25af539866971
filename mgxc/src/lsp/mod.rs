//! The language server: `mgxc lsp`, over standard input and output. The only place that knows the protocol's types; what is answered comes from `mgx-ide`.
//!
//! One thread reads, answers and reports, in this order: what has arrived is taken as a whole, so that text is brought up to date before anything is computed
//! and a request that was cancelled meanwhile is not computed at all. Nothing is fetched, and nothing is run.

mod convert;
mod documents;
mod library;
mod reports;
mod requests;
mod server;
mod workspace;
mod world;

use std::process::ExitCode;

use lsp_server::Connection;

/// Serves until the client says to exit or closes its end.
pub fn run() -> ExitCode {
    let (connection, threads) = Connection::stdio();
    let served = server::serve(&connection);
    drop(connection);
    let written = threads.join();
    match served.and_then(|()| written.map_err(|error| error.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("mgxc lsp: {reason}");
            ExitCode::FAILURE
        }
    }
}
