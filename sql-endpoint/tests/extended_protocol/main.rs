//! The extended protocol as tokio-postgres and npgsql speak it, against a running `lake-sql` and a real
//! PostgreSQL with the same rows: statements are prepared, parameters and values are binary.
//!
//! Every question is asked of both, and both have to say the same. `tests/test_rust_on_real_servers.py`
//! starts them and names them in the environment (`servers`).

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod parameters;
mod servers;
mod statements;
mod values;
