//! The other process: one line asks, one line answers.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// `zq zapp serve-chain`, which ends when its input does.
pub(crate) struct Server {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Server {
    #[track_caller]
    pub(crate) fn start(module: &str) -> Self {
        let zq = zq();
        let child = Command::new(&zq)
            .args(["zapp", "serve-chain", module])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.unwrap_or_else(|error| {
            panic!("{zq}: {error}. Run `zq zapp test`, or put zq into PATH, or set ZQ to its path")
        });
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.expect("both are piped");
        let mut server = Self {
            child,
            input: Some(input),
            output: BufReader::new(output),
        };
        let greeting = server.line();
        server.answer(&greeting);
        server
    }

    /// Sends a line; returns the answer's words without the first, which says that it is one.
    #[track_caller]
    pub(crate) fn ask(&mut self, line: &str) -> String {
        let input = self.input.as_mut().expect("open until dropped");
        // Where zq has ended, its last line says why.
        let _ = writeln!(input, "{line}").and_then(|()| input.flush());
        let answer = self.line();
        self.answer(&answer)
    }

    #[track_caller]
    fn answer(&self, line: &str) -> String {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("ok", rest) => rest.to_owned(),
            ("error", text) => panic!("{}", text_of(text)),
            _ => panic!("zq ended early; what it said stands above"),
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        let _ = self.output.read_line(&mut line);
        line.trim_end().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// Where `zq` is: `zq zapp test` says it, else PATH is searched.
pub(crate) fn zq() -> String {
    std::env::var("ZQ").unwrap_or_else(|_| "zq".to_owned())
}

/// Bytes as a word of the protocol.
pub(crate) fn bytes(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-".to_owned();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A word of the protocol as bytes.
pub(crate) fn bytes_of(word: &str) -> Option<Vec<u8>> {
    if word == "-" {
        return Some(Vec::new());
    }
    let digits: Option<Vec<u8>> = word
        .chars()
        .map(|digit| u8::try_from(digit.to_digit(16)?).ok())
        .collect();
    let digits = digits?;
    let pairs = digits.chunks_exact(2);
    pairs.remainder().is_empty().then(|| {
        pairs
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect()
    })
}

/// A word of the protocol as text.
pub(crate) fn text_of(word: &str) -> String {
    let bytes = bytes_of(word).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_words_and_words_are_bytes() {
        for (plain, word) in [(&b""[..], "-"), (b"\0\xff", "00ff"), (b"az", "617a")] {
            assert_eq!(bytes(plain), word);
            assert_eq!(bytes_of(word).as_deref(), Some(plain));
        }
        for word in ["0", "0g", "é0"] {
            assert_eq!(bytes_of(word), None, "{word}");
        }
    }
}
