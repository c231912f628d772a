//! SQL over the lake and its mirror, in the PostgreSQL wire protocol.

pub mod catalog;
mod query;
mod lake;
mod mirror;
mod both;
