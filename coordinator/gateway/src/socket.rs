//! A stream to an engine process that is patient for so long and no longer.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use runtime::apart::Wire;

/// The node's end of a socket pair.
#[derive(Debug)]
pub struct Socket {
    stream: UnixStream,
    until: Option<Instant>,
}

impl Socket {
    /// Endlessly patient until [`Wire::set_patience`].
    #[must_use]
    pub const fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            until: None,
        }
    }

    /// What is left; an error once nothing is.
    fn left(&self) -> io::Result<Option<Duration>> {
        let Some(until) = self.until else {
            return Ok(None);
        };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(Some(left))
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Wire for Socket {
    fn set_patience(&mut self, patience: Duration) -> io::Result<()> {
        self.until = Some(Instant::now() + patience);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_however_often_the_other_side_writes() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut socket = Socket::new(ours);
        theirs.write_all(&[1]).unwrap();
        let mut byte = [0];
        assert_eq!(socket.read(&mut byte).unwrap(), 1);
        socket.set_patience(Duration::ZERO).unwrap();
        theirs.write_all(&[2]).unwrap();
        for error in [socket.read(&mut byte).err(), socket.write(&byte).err()] {
            assert_eq!(error.unwrap().kind(), io::ErrorKind::TimedOut);
        }
        socket.set_patience(Duration::from_secs(60)).unwrap();
        assert_eq!(socket.read(&mut byte).unwrap(), 1);
        assert_eq!(byte, [2]);
        socket.set_patience(Duration::from_millis(1)).unwrap();
        assert!(socket.read(&mut byte).is_err(), "nobody writes");
    }
}
