//! A file system for tests whose power can be cut, and that can be full.
//!
//! [`LossyDisk`] is mounted through FUSE and keeps everything twice: what programs see, and what a
//! power cut would leave. Only fsync moves the second to the first, as strictly as POSIX allows: a
//! file's bytes and length by fsync of the file, a directory's names (created, renamed, removed)
//! by fsync of the directory. [`LossyDisk::cut_power`] forgets the rest.
//!
//! [`LossyDisk::lie_about`] makes fsync of some files a lie, as cheap disks do: a test shows with
//! it that it would notice a missing fsync. [`LossyDisk::fill`] leaves no room in a directory.

mod fuse;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use fuser::{BackgroundSession, Config, MountOption};
use rustix::mount::{UnmountFlags, unmount};
use tempfile::TempDir;

use fuse::Fuse;
use tree::Tree;

/// A mounted disk; unmounted when dropped.
pub struct LossyDisk {
    // Before the directory that it is mounted on.
    session: Option<BackgroundSession>,
    shared: Shared,
    dir: TempDir,
}

impl LossyDisk {
    /// Mounts an empty disk.
    ///
    /// # Errors
    /// If this machine lets nobody mount a FUSE file system here: no /dev/fuse, or neither root
    /// nor fusermount3.
    pub fn mount() -> Result<Self> {
        let dir = TempDir::new()?;
        let shared = Shared::default();
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("lossy-disk".into()),
            MountOption::DefaultPermissions,
        ];
        let session = fuser::spawn_mount(Fuse::new(shared.clone()), dir.path(), &config)
            .context("cannot mount a FUSE file system")?;
        Ok(Self {
            session: Some(session),
            shared,
            dir,
        })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Forgets what was not fsynced under `path`, a directory of this disk. Whoever wrote there
    /// must be dead.
    ///
    /// # Errors
    /// If there is no such directory.
    pub fn cut_power(&self, path: &Path) -> Result<()> {
        let names = self.names(path)?;
        self.shared.tree().cut_power(&names).context("no directory")
    }

    /// Makes all that is there durable, as if the machine had been shut down in order.
    pub fn settle(&self) {
        self.shared.tree().settle();
    }

    /// From now on fsync does nothing for files, and for the names of files, whose name begins
    /// with one of `prefixes`.
    pub fn lie_about(&self, prefixes: &[&str]) {
        self.shared.tree().lie_about(prefixes);
    }

    /// From now on there is room for so many more bytes in `path`, a file or directory of this disk: what
    /// makes a file there longer is cut off where the room ends, and then refused like new files,
    /// with "no space left". What is overwritten or deleted changes nothing.
    ///
    /// # Errors
    /// If there is no such file or directory.
    pub fn fill(&self, path: &Path, room_bytes: usize) -> Result<()> {
        let names = self.names(path)?;
        let filled = self.shared.tree().fill(&names, room_bytes);
        filled.context("no such file or directory")
    }

    /// There is room again everywhere.
    pub fn make_room(&self) {
        self.shared.tree().make_room();
    }

    fn names(&self, path: &Path) -> Result<PathBuf> {
        let names = path.strip_prefix(self.path());
        Ok(names.context("not on this disk")?.to_owned())
    }
}

impl Drop for LossyDisk {
    fn drop(&mut self) {
        // Processes that were just killed may still hold files: it goes when they are gone.
        let detached = unmount(self.dir.path(), UnmountFlags::DETACH);
        if let Some(session) = self.session.take()
            && detached.is_err()
            && let Err(error) = session.umount_and_join()
        {
            eprintln!("lossy-disk: not unmounted: {error}");
        }
    }
}

/// The tree, between the disk's owner and the thread that serves the kernel.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Tree>>);

impl Shared {
    fn tree(&self) -> MutexGuard<'_, Tree> {
        // A test that panicked elsewhere still unmounts.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs::{self, File};
    use std::io::{ErrorKind, Write as _};

    use super::*;

    fn disk() -> Option<LossyDisk> {
        LossyDisk::mount()
            .inspect_err(|error| println!("SKIP: a disk whose power is cut: {error:#}"))
            .ok()
    }

    #[test]
    fn programs_see_an_ordinary_file_system() {
        let Some(disk) = disk() else { return };
        let dir = disk.path().join("a/b");
        fs::create_dir_all(&dir).expect("created");
        fs::write(dir.join("one"), vec![7; 300_000]).expect("written");
        fs::rename(dir.join("one"), dir.join("two")).expect("renamed");
        assert_eq!(fs::read(dir.join("two")).expect("there"), vec![7; 300_000]);
        let file = File::options().write(true).open(dir.join("two"));
        file.expect("there").set_len(5).expect("cut");
        assert_eq!(fs::read(dir.join("two")).expect("there"), vec![7; 5]);
        let names: Vec<_> = fs::read_dir(&dir)
            .expect("a directory")
            .map(|entry| entry.expect("readable").file_name())
            .collect();
        assert_eq!(names, ["two"]);
        assert!(fs::remove_dir(&dir).is_err(), "not empty");
        fs::remove_file(dir.join("two")).expect("removed");
        fs::remove_dir(&dir).expect("removed");
        assert!(!dir.exists());
    }

    #[test]
    fn a_power_cut_leaves_what_was_fsynced() {
        let Some(disk) = disk() else { return };
        disk.settle();
        let path = disk.path().join("log");
        let mut file = File::create(&path).expect("created");
        file.write_all(b"kept").expect("written");
        file.sync_all().expect("synced");
        drop(file);
        disk.cut_power(disk.path()).expect("the root");
        assert!(!path.exists(), "its name was never fsynced");

        let mut file = File::create(&path).expect("created");
        file.write_all(b"kept").expect("written");
        file.sync_data().expect("synced");
        let root = File::open(disk.path()).expect("a directory");
        root.sync_all().expect("synced");
        drop(file);
        // Of what was not fsynced a cut leaves all, nothing, or the beginning.
        let mut seen = BTreeSet::new();
        for _ in 0..60 {
            let mut file = File::options().append(true).open(&path).expect("there");
            file.write_all(b" and lost").expect("written");
            disk.cut_power(disk.path()).expect("the root");
            let left = fs::read(&path).expect("there");
            assert!(b"kept and lost".starts_with(&left) && left.len() >= 4);
            seen.insert(left.len());
            file.set_len(4).expect("cut");
            file.sync_all().expect("synced");
        }
        assert!(seen.contains(&4) && seen.contains(&13) && seen.len() > 4);

        fs::write(disk.path().join("new"), b"new").expect("written");
        fs::rename(disk.path().join("new"), &path).expect("renamed");
        disk.cut_power(disk.path()).expect("the root");
        assert_eq!(fs::read(&path).expect("the old one"), b"kept");
    }

    #[test]
    fn a_lie_is_found_out_by_a_power_cut() {
        let Some(disk) = disk() else { return };
        let path = disk.path().join("log");
        fs::write(&path, b"first").expect("written");
        disk.settle();
        disk.lie_about(&["log"]);
        let mut file = File::options().append(true).open(&path).expect("there");
        file.write_all(b", second").expect("written");
        file.sync_all().expect("so it says");
        drop(file);
        disk.cut_power(disk.path()).expect("the root");
        assert_eq!(fs::read(&path).expect("there"), b"first");
    }

    #[test]
    fn a_full_directory_takes_what_there_is_room_for_and_refuses_the_rest() {
        let Some(disk) = disk() else { return };
        let (full, other) = (disk.path().join("full"), disk.path().join("other"));
        for dir in [&full, &other] {
            fs::create_dir_all(dir.join("below")).expect("created");
            fs::write(dir.join("below/log"), b"first").expect("written");
        }
        disk.fill(&full, 4).expect("a directory");
        let append = |dir: &Path| {
            let log = dir.join("below/log");
            let mut file = File::options().append(true).open(log).expect("there");
            file.write_all(b", second")
        };
        let kind = |refused: std::io::Result<()>| refused.expect_err("no room").kind();
        assert_eq!(kind(append(&full)), ErrorKind::StorageFull);
        let left = fs::read(full.join("below/log")).expect("there");
        assert_eq!(left, b"first, se", "torn where the room ended");
        assert_eq!(kind(append(&full)), ErrorKind::StorageFull);
        assert_eq!(
            kind(fs::write(full.join("new"), b"")),
            ErrorKind::StorageFull
        );
        let log = File::options().write(true).open(full.join("below/log"));
        let mut log = log.expect("there");
        assert_eq!(kind(log.set_len(10)), ErrorKind::StorageFull);
        log.write_all(b"First").expect("overwritten in place");
        append(&other).expect("room elsewhere");
        fs::remove_file(other.join("below/log")).expect("removed");

        disk.make_room();
        append(&full).expect("room again");
        let left = fs::read(full.join("below/log")).expect("there");
        assert_eq!(left, b"First, se, second");
    }
}
