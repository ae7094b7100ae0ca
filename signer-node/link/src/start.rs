//! How a guest program starts: its only argument is its node's address; its token, which an
//! argument would show to every process of the machine, is the first line of standard input, or in
//! a virtual machine the file `opt/zquorum/token` of QEMU's firmware device.

use std::io;

use crate::connection::{Link, LinkError};
use crate::local::Role;
use crate::secret::LinkToken;

/// Longest first line: 64 hexadecimal digits and a line break.
const LINE_BYTES_MAX: u64 = 66;

/// Why a guest program does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Not exactly one argument.
    #[error("the only argument is the node's address; guests are started by zq-node")]
    Arguments,
    /// The token is not 64 hexadecimal digits.
    #[error("the first line of {TOKEN_SOURCE} is the token, 64 hexadecimal digits")]
    Token,
    /// The token cannot be read.
    #[error("{TOKEN_SOURCE}: {0}")]
    Input(io::Error),
    /// The node cannot be reached.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// Connects the program to its node.
///
/// # Errors
/// [`StartError`].
pub fn connect(role: Role) -> Result<Link, StartError> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), None) = (arguments.next(), arguments.next()) else {
        return Err(StartError::Arguments);
    };
    dial(&address, role)
}

/// Connects to the node at `address`, with the token that the platform hands over.
///
/// # Errors
/// [`StartError`].
pub fn dial(address: &str, role: Role) -> Result<Link, StartError> {
    let line = token_line().map_err(StartError::Input)?;
    let token = token(line.trim_end()).ok_or(StartError::Token)?;
    Ok(Link::dial(address, role, token)?)
}

#[cfg(not(target_os = "hermit"))]
fn token_line() -> io::Result<String> {
    use io::{BufRead as _, Read as _};

    let mut line = String::new();
    io::stdin()
        .lock()
        .take(LINE_BYTES_MAX)
        .read_line(&mut line)?;
    Ok(line)
}

#[cfg(target_os = "hermit")]
fn token_line() -> io::Result<String> {
    let bytes_max = usize::try_from(LINE_BYTES_MAX).map_err(io::Error::other)?;
    let mut device = machine::firmware::Device;
    let line = machine::firmware::file(&mut device, TOKEN_SOURCE, bytes_max);
    String::from_utf8(line.map_err(io::Error::other)?).map_err(io::Error::other)
}

/// Where the token comes from.
const TOKEN_SOURCE: &str = if cfg!(target_os = "hermit") {
    "opt/zquorum/token"
} else {
    "standard input"
};

/// An empty line is the token of a network that only node and guest share.
fn token(line: &str) -> Option<LinkToken> {
    let mut bytes = [0; 32];
    if !line.is_empty() {
        hex::decode_to_slice(line, &mut bytes).ok()?;
    }
    Some(LinkToken::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_strictly() {
        assert_eq!(token(""), Some(LinkToken::from_bytes([0; 32])));
        assert_eq!(
            token(&"ab".repeat(32)),
            Some(LinkToken::from_bytes([0xab; 32]))
        );
        for line in ["ab", &"zz".repeat(32), &"ab".repeat(33)] {
            assert_eq!(token(line), None, "{line}");
        }
    }
}
