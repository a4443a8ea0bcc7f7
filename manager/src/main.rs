//! `shuntd`, the Shunt switch daemon. See the crate `manager`.
#![forbid(unsafe_code)]

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = manager::args::Args::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("SHUNT_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let done = match &args.plan_memory {
        Some(ask) => manager::daemon::plan_memory(&args, ask).map(|plan| println!("{plan}")),
        None => manager::daemon::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("shuntd: {e}");
            ExitCode::from(1)
        }
    }
}
