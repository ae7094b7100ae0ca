//! Locks that hold between processes: two runs in one tree must not build into each other's folders.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// A lock, held until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "open as long as the lock is held")] File);

impl Lock {
    /// Takes the lock of this file, which is made if it is missing; says what it waits for while
    /// another process has it.
    pub fn wait(path: &Path, what: &str, say: &mut dyn FnMut(&str)) -> Result<Self> {
        let failed = || format!("cannot lock {}", path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(failed)?;
        }
        let mut options = File::options();
        options.create(true).truncate(false).write(true);
        let file = options.open(path).with_context(failed)?;
        if !take(&file, FlockOperation::NonBlockingLockExclusive).with_context(failed)? {
            say(&format!("{what}: waiting until another process is done"));
            take(&file, FlockOperation::LockExclusive).with_context(failed)?;
        }
        Ok(Self(file))
    }

    /// Takes the lock of this directory, or nothing if another process has it.
    pub fn of_directory(path: &Path) -> Result<Option<Self>> {
        let failed = || format!("cannot lock {}", path.display());
        let directory = File::open(path).with_context(failed)?;
        let taken = take(&directory, FlockOperation::NonBlockingLockExclusive);
        Ok(taken.with_context(failed)?.then_some(Self(directory)))
    }
}

/// Whether the lock was taken; it is not only where another has it and waiting is not asked for.
fn take(file: &File, operation: FlockOperation) -> Result<bool> {
    loop {
        match flock(file, operation) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn whoever_comes_second_says_so_and_waits() {
        let scratch = tempfile::tempdir().expect("writable");
        let path = scratch.path().join("deep/images.lock");
        let mut nothing = |line: &str| panic!("it need not wait: {line}");
        let first = Lock::wait(&path, "images", &mut nothing).expect("free");
        let (told, said) = mpsc::channel();
        let second = thread::spawn({
            let (path, told) = (path.clone(), told.clone());
            move || {
                let mut say = |line: &str| told.send(line.to_owned()).expect("heard");
                Lock::wait(&path, "images", &mut say).expect("free in the end");
                told.send("taken".into()).expect("heard");
            }
        });
        let waits = said.recv().expect("it says that it waits");
        assert!(waits.starts_with("images: waiting"), "{waits}");
        assert!(said.try_recv().is_err(), "it has not got it");
        drop(first);
        assert_eq!(said.recv().as_deref(), Ok("taken"));
        second.join().expect("no panic");
    }

    #[test]
    fn a_directory_has_one_owner_at_a_time() {
        let scratch = tempfile::tempdir().expect("writable");
        let first = Lock::of_directory(scratch.path()).expect("a directory");
        assert!(first.is_some());
        assert!(Lock::of_directory(scratch.path()).expect("one").is_none());
        drop(first);
        assert!(Lock::of_directory(scratch.path()).expect("one").is_some());
    }
}
