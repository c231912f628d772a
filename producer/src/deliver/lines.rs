//! Messages as lines on standard output, or nowhere at all.
//!
//! Owns buffering and what a closed pipe means: the reader has enough, which is no error.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use super::{DeliverError, Deliveries, Sent, Sink};

/// Writes each value and a line feed. Keys are left out.
pub struct LineSink<W: Write> {
    out: std::io::BufWriter<W>,
    closed: bool,
}

impl<W: Write> std::fmt::Debug for LineSink<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LineSink")
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl<W: Write> LineSink<W> {
    /// Lines into `out`.
    pub fn new(out: W) -> Self {
        Self {
            out: std::io::BufWriter::with_capacity(1 << 16, out),
            closed: false,
        }
    }

    fn heed(&mut self, result: std::io::Result<()>) -> Result<(), DeliverError> {
        match result {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            other => other.map_err(DeliverError::Output),
        }
    }
}

impl<W: Write> Sink for LineSink<W> {
    fn send(&mut self, _key: &[u8], value: &[u8]) -> Result<Sent, DeliverError> {
        let result = self
            .out
            .write_all(value)
            .and_then(|()| self.out.write_all(b"\n"));
        self.heed(result)?;
        Ok(if self.closed {
            Sent::Abandoned
        } else {
            Sent::Accepted
        })
    }

    fn tend(&mut self) -> Result<(), DeliverError> {
        let result = self.out.flush();
        self.heed(result)
    }

    fn finish(&mut self, _limit: Option<Duration>) -> Result<(), DeliverError> {
        self.tend()
    }

    fn deliveries(&self) -> Deliveries {
        Deliveries::default()
    }
}

/// Takes everything and keeps nothing: for dry runs.
#[derive(Debug)]
pub struct NowhereSink;

impl Sink for NowhereSink {
    fn send(&mut self, _key: &[u8], _value: &[u8]) -> Result<Sent, DeliverError> {
        Ok(Sent::Accepted)
    }

    fn tend(&mut self) -> Result<(), DeliverError> {
        Ok(())
    }

    fn finish(&mut self, _limit: Option<Duration>) -> Result<(), DeliverError> {
        Ok(())
    }

    fn deliveries(&self) -> Deliveries {
        Deliveries::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pipe(ErrorKind);

    impl Write for Pipe {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_ends_the_run_and_a_full_disk_is_an_error() {
        let mut closed = LineSink::new(Pipe(ErrorKind::BrokenPipe));
        assert_eq!(closed.send(b"", b"one").unwrap(), Sent::Accepted);
        closed.tend().unwrap();
        assert_eq!(closed.send(b"", b"two").unwrap(), Sent::Abandoned);
        let mut full = LineSink::new(Pipe(ErrorKind::StorageFull));
        full.send(b"", b"one").unwrap();
        assert!(matches!(full.tend(), Err(DeliverError::Output(_))));
    }
}
