//! SQL over the lake and its mirror, in the PostgreSQL wire protocol.
