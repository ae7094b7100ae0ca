//! The archive that a Linux kernel unpacks into its first file system: `newc`, as the kernel's
//! documentation has it (driver-api/early-userspace/buffer-format).

use anyhow::{Context as _, Result};

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;
/// Headers and contents begin at multiples of it.
const ALIGNMENT: usize = 4;

/// An archive under way.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// Adds a folder; those above it come first.
    pub fn folder(&mut self, name: &str) -> Result<()> {
        self.entry(name, DIRECTORY, (0, 0), &[])
    }

    /// Adds a file that may be run.
    pub fn file(&mut self, name: &str, contents: &[u8]) -> Result<()> {
        self.entry(name, PROGRAM, (0, 0), contents)
    }

    /// Adds a character device by its two numbers.
    pub fn device(&mut self, name: &str, numbers: (u32, u32)) -> Result<()> {
        self.entry(name, CHARACTER_DEVICE, numbers, &[])
    }

    /// The archive's bytes.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        self.entries = 0;
        self.entry("TRAILER!!!", 0, (0, 0), &[])?;
        Ok(self.bytes)
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), contents: &[u8]) -> Result<()> {
        let size = u32::try_from(contents.len()).with_context(|| format!("{name} is too long"))?;
        let name_size = u32::try_from(name.len() + 1)?;
        // Number, mode, user, group, links, time, size, device of the file, device that it is,
        // length of the name with its zero, checksum (none).
        let fields = [
            self.entries,
            mode,
            0,
            0,
            1,
            0,
            size,
            0,
            0,
            device.0,
            device.1,
            name_size,
            0,
        ];
        self.entries += 1;
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(contents);
        self.align();
        Ok(())
    }

    fn align(&mut self) {
        let length = self.bytes.len().next_multiple_of(ALIGNMENT);
        self.bytes.resize(length, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_the_trailer_is_last() {
        let mut archive = Archive::default();
        archive.folder("dev").expect("short");
        archive.device("dev/console", (5, 1)).expect("short");
        archive.file("init", b"12345").expect("short");
        let bytes = archive.finish().expect("short");
        assert_eq!(bytes.len() % ALIGNMENT, 0);
        let starts: Vec<usize> = bytes
            .windows(6)
            .enumerate()
            .filter_map(|(at, window)| (window == b"070701").then_some(at))
            .collect();
        assert_eq!(starts.len(), 4);
        assert!(starts.iter().all(|start| start % ALIGNMENT == 0));
        let text = String::from_utf8(bytes).expect("text");
        assert!(text.trim_end_matches('\0').ends_with("TRAILER!!!"));
        // The file's header ends in its size, two devices twice, its name's length and no checksum.
        let (_, file) = text.split_once("dev/console\0").expect("an entry");
        let header = file.trim_start_matches('\0');
        assert_eq!(header.get(54..62), Some("00000005"));
        assert_eq!(header.get(94..102), Some("00000005"));
        assert_eq!(header.get(110..121), Some("init\0\x0012345"));
    }
}
