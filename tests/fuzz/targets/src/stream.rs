//! Frames on a stream, and the messages that frames are the parts of.

use link::chunk::Assembly;
use signer_protocol::frame::{Frame, FrameReader};

use crate::input::Input;

const ASSEMBLED_MAX: usize = 2_048;

/// A stream cut anywhere gives the same frames as a stream in one piece.
pub fn frames(bytes: &[u8]) -> bool {
    let mut input = Input::new(bytes);
    let step = 1 + usize::from(input.byte());
    let stream = input.rest();
    let whole = read(stream, stream.len().max(1));
    assert_eq!(
        whole,
        read(stream, step),
        "frames depend on how the stream is cut"
    );
    let (frames, _) = whole;
    let mut assembly = Assembly::new(ASSEMBLED_MAX);
    for frame in &frames {
        let written = frame.to_bytes().expect("what was read can be written");
        assert_eq!(read(&written, written.len()).0.first(), Some(frame));
        if let Frame::Local(body) | Frame::Peer(body) = frame {
            match assembly.push(body) {
                Ok(Some(message)) => assert!(message.len() <= ASSEMBLED_MAX),
                Ok(None) => {}
                Err(_) => break,
            }
        }
    }
    !frames.is_empty()
}

/// All frames, and how the stream ended.
fn read(stream: &[u8], step: usize) -> (Vec<Frame>, Option<String>) {
    let mut reader = FrameReader::new();
    let mut frames = Vec::new();
    for mut piece in stream.chunks(step) {
        loop {
            match reader.read(&mut piece) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error.to_string())),
            }
        }
    }
    (frames, None)
}
