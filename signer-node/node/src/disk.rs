//! The only file that names the file system for a member's records.
//!
//! Two shapes of durable data: small files that are replaced whole (write aside, fsync, rename,
//! fsync the directory) and one log that only grows (write, fsync). When a function returns `Ok`,
//! a power cut cannot undo it; tests/e2e/tests/power_cuts.rs cuts it. [`Disk`] and [`Log`] are traits so that tests can have disks that
//! are full or tear a write.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Small files of one directory, each replaced whole.
pub trait Disk: Send + Sync + 'static {
    /// The file's bytes; `None` if it does not exist.
    ///
    /// # Errors
    /// The platform's; [`io::ErrorKind::FileTooLarge`] if there are more than `bytes_max`.
    fn load(&self, name: &str, bytes_max: u64) -> io::Result<Option<Vec<u8>>>;

    /// Replaces the file so that after any crash it holds either the old or the new bytes.
    ///
    /// # Errors
    /// The platform's; the old bytes still stand.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Opens a log, creating it if need be.
    ///
    /// # Errors
    /// The platform's.
    fn log(&self, name: &str) -> io::Result<Box<dyn Log>>;
}

/// A file that only grows, apart from cutting off a tail that was never acknowledged.
pub trait Log: Send {
    /// All bytes.
    ///
    /// # Errors
    /// The platform's; [`io::ErrorKind::FileTooLarge`] if there are more than `bytes_max`.
    fn read(&mut self, bytes_max: u64) -> io::Result<Vec<u8>>;

    /// Appends and makes durable.
    ///
    /// # Errors
    /// The platform's; part of the bytes may stand at the end then.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the log to `length` bytes, durably.
    ///
    /// # Errors
    /// The platform's.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

/// A directory of this machine, held by one process at a time.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Its lock ends with the process, however that ends.
    _lock: File,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another process has it.
    #[error("{0} is in use by another zq-node")]
    InUse(PathBuf),
    /// The platform refuses.
    #[error("{path}: {error}")]
    Platform {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl Directory {
    /// Creates the directory if need be, readable by its owner only, and takes its lock.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub fn open(path: &Path) -> Result<Self, DirectoryError> {
        let platform = |error| DirectoryError::Platform {
            path: path.to_owned(),
            error,
        };
        create_private(path).map_err(platform)?;
        let lock = private_file()
            .create(true)
            .truncate(false)
            .open(path.join("lock"))
            .map_err(platform)?;
        match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(DirectoryError::InUse(path.to_owned())),
            Err(errno) => Err(platform(errno.into())),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Disk for Directory {
    fn load(&self, name: &str, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
        load(&self.path, name, bytes_max)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        place(&self.path, name, bytes)
    }

    fn log(&self, name: &str) -> io::Result<Box<dyn Log>> {
        let file = private_file()
            .read(true)
            .create(true)
            .truncate(false)
            .open(self.path.join(name))?;
        File::open(&self.path)?.sync_all()?;
        Ok(Box::new(LogFile(file)))
    }
}

/// A file of a directory that another process may hold; `None` if it does not exist.
///
/// # Errors
/// The platform's; [`io::ErrorKind::FileTooLarge`] if there are more than `bytes_max`.
pub fn load(dir: &Path, name: &str, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    match File::open(dir.join(name)) {
        Ok(file) => read_bounded(file, bytes_max).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces a file of a directory that another process may hold: for what an operator gives to a
/// running node.
///
/// # Errors
/// The platform's; the old bytes still stand.
pub fn place(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let aside = dir.join(format!("{name}.new"));
    let mut file = private_file().create(true).truncate(true).open(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&aside, dir.join(name))?;
    File::open(dir)?.sync_all()
}

/// Files of a directory that a running node may hold.
#[derive(Debug)]
pub(crate) struct Reading(pub(crate) PathBuf);

impl Disk for Reading {
    fn load(&self, name: &str, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
        load(&self.0, name, bytes_max)
    }

    fn replace(&self, _: &str, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn log(&self, _: &str) -> io::Result<Box<dyn Log>> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

struct LogFile(File);

impl Log for LogFile {
    fn read(&mut self, bytes_max: u64) -> io::Result<Vec<u8>> {
        self.0.seek(SeekFrom::Start(0))?;
        read_bounded(&mut self.0, bytes_max)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.seek(SeekFrom::End(0))?;
        self.0.write_all(bytes)?;
        self.0.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)?;
        self.0.sync_all()
    }
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// What is in a directory is durable only if the directory's own name is.
fn create_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let missing: Vec<&Path> = path.ancestors().take_while(|dir| !dir.exists()).collect();
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)?;
    for dir in &missing {
        sync_parent(dir)?;
    }
    if missing.is_empty() {
        // Somebody made it a moment ago, or years; where we may not look, it is their promise.
        let _ = sync_parent(path);
    }
    Ok(())
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        None => Ok(()),
        Some(parent) if parent.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(parent) => File::open(parent)?.sync_all(),
    }
}

fn read_bounded(file: impl Read, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > bytes_max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_files_and_logs_are_read_back() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let disk = Directory::open(&dir.path().join("member")).expect("a fresh directory");
        assert_eq!(disk.load("a", 10).expect("readable"), None);
        disk.replace("a", b"one").expect("writable");
        disk.replace("a", b"two").expect("writable");
        assert_eq!(
            disk.load("a", 10).expect("readable").as_deref(),
            Some(&b"two"[..])
        );
        assert_eq!(
            disk.load("a", 2).expect_err("three bytes").kind(),
            io::ErrorKind::FileTooLarge
        );
        let mut log = disk.log("l").expect("writable");
        log.append(b"abc").expect("writable");
        log.append(b"def").expect("writable");
        log.truncate(4).expect("writable");
        log.append(b"x").expect("writable");
        assert_eq!(log.read(10).expect("readable"), b"abcdx");
    }

    #[test]
    fn a_directory_has_one_process() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let held = Directory::open(dir.path()).expect("free");
        assert!(matches!(
            Directory::open(dir.path()),
            Err(DirectoryError::InUse(_))
        ));
        drop(held);
        Directory::open(dir.path()).expect("free again");
    }
}
