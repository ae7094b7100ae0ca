//! Files and directories, each as programs see it and as a power cut would leave it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::path::Path;
use std::time::SystemTime;

/// The root directory's number, as FUSE has it.
pub const ROOT: u64 = 1;

/// What goes wrong, in the words of POSIX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `ENOENT`.
    NotFound,
    /// `EEXIST`.
    Exists,
    /// `ENOTDIR`.
    NotDirectory,
    /// `EISDIR`.
    IsDirectory,
    /// `ENOTEMPTY`.
    NotEmpty,
    /// `EFBIG`.
    TooLarge,
    /// `ENOSPC`.
    Full,
}

/// Longest file: a test that writes more has a bug.
const FILE_BYTES_MAX: usize = 1 << 30;

/// All files.
#[derive(Debug)]
pub struct Tree {
    nodes: BTreeMap<u64, Node>,
    last: u64,
    lies: Vec<OsString>,
    full: Option<Full>,
    /// Power cuts so far, by file: each tears its last writes elsewhere.
    cuts: u64,
}

/// A file, or a directory with what is below, in which there is room for so many more bytes.
#[derive(Debug)]
struct Full {
    top: u64,
    room_bytes: usize,
}

/// One file or directory.
#[derive(Debug)]
pub struct Node {
    /// What it holds.
    pub content: Content,
    /// Permission bits.
    pub mode: u16,
    /// Last change.
    pub changed: SystemTime,
    /// The name it was made under.
    name: OsString,
}

/// What a node holds, now and durably.
#[derive(Debug)]
pub enum Content {
    /// Bytes.
    File(Bytes),
    /// Names.
    Directory {
        /// As programs see them.
        now: BTreeMap<OsString, u64>,
        /// As a power cut leaves them.
        durable: BTreeMap<OsString, u64>,
    },
}

/// A file's bytes.
#[derive(Debug, Default)]
pub struct Bytes {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Where `now` may differ from `durable`.
    dirty: Range<usize>,
}

impl Bytes {
    /// As programs see them.
    pub fn now(&self) -> &[u8] {
        &self.now
    }

    fn touch(&mut self, range: Range<usize>) {
        self.dirty = match self.dirty.is_empty() {
            true => range,
            false => self.dirty.start.min(range.start)..self.dirty.end.max(range.end),
        };
    }

    fn write(&mut self, at: usize, data: &[u8]) -> Result<(), Failure> {
        let end = at.checked_add(data.len()).ok_or(Failure::TooLarge)?;
        let old = self.now.len();
        if end > old {
            self.resize(end)?;
        }
        if let Some(place) = self.now.get_mut(at..end) {
            place.copy_from_slice(data);
        }
        self.touch(at.min(old)..end);
        Ok(())
    }

    fn resize(&mut self, length: usize) -> Result<(), Failure> {
        if length > FILE_BYTES_MAX {
            return Err(Failure::TooLarge);
        }
        let old = self.now.len();
        self.now.resize(length, 0);
        self.touch(old.min(length)..old.max(length));
        Ok(())
    }

    fn sync(&mut self) {
        self.durable.resize(self.now.len(), 0);
        let dirty = self.dirty.start..self.dirty.end.min(self.now.len());
        if let (Some(to), Some(from)) = (
            self.durable.get_mut(dirty.clone()),
            self.now.get(dirty.clone()),
        ) {
            to.copy_from_slice(from);
        }
        self.dirty = 0..0;
    }

    /// Only so many of the bytes that were not synchronised have reached the disk, from the first on.
    fn lose(&mut self, kept: usize) {
        let end = self.dirty.start.saturating_add(kept);
        let kept = self.dirty.start..end.min(self.dirty.end).min(self.now.len());
        if self.durable.len() < kept.end {
            self.durable.resize(kept.end, 0);
        }
        if let (Some(to), Some(from)) = (self.durable.get_mut(kept.clone()), self.now.get(kept)) {
            to.copy_from_slice(from);
        }
        self.now.clone_from(&self.durable);
        self.dirty = 0..0;
    }
}

fn begins_with_one_of(name: &OsStr, prefixes: &[OsString]) -> bool {
    let name = name.as_encoded_bytes();
    let mut prefixes = prefixes.iter().map(|prefix| prefix.as_encoded_bytes());
    prefixes.any(|prefix| name.starts_with(prefix))
}

/// How many of so many bytes a cut leaves: none, all, or some, each time others.
fn torn(cut: u64, bytes: usize) -> usize {
    // SplitMix64 of the count, whose value nobody has to foresee.
    let mut mixed = cut.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    match mixed % 4 {
        0 => 0,
        1 => bytes,
        _ => usize::try_from(mixed >> 32).map_or(0, |some| some % (bytes + 1)),
    }
}

impl Default for Tree {
    fn default() -> Self {
        let root = Node {
            content: directory(),
            mode: 0o755,
            changed: SystemTime::now(),
            name: OsString::new(),
        };
        Self {
            nodes: BTreeMap::from([(ROOT, root)]),
            last: ROOT,
            lies: Vec::new(),
            full: None,
            cuts: 0,
        }
    }
}

impl Tree {
    /// A file or directory.
    pub fn node(&self, number: u64) -> Result<&Node, Failure> {
        self.nodes.get(&number).ok_or(Failure::NotFound)
    }

    /// A file or directory, to be changed.
    pub fn node_mut(&mut self, number: u64) -> Result<&mut Node, Failure> {
        self.nodes.get_mut(&number).ok_or(Failure::NotFound)
    }

    /// What stands under a name.
    pub fn lookup(&self, parent: u64, name: &OsStr) -> Result<u64, Failure> {
        let names = self.names(parent)?;
        names.get(name).copied().ok_or(Failure::NotFound)
    }

    /// The names in a directory.
    pub fn names(&self, number: u64) -> Result<&BTreeMap<OsString, u64>, Failure> {
        match &self.node(number)?.content {
            Content::Directory { now, .. } => Ok(now),
            Content::File(_) => Err(Failure::NotDirectory),
        }
    }

    /// Makes an empty file or directory.
    pub fn create(
        &mut self,
        parent: u64,
        name: &OsStr,
        mode: u16,
        is_directory: bool,
    ) -> Result<u64, Failure> {
        if self.names(parent)?.contains_key(name) {
            return Err(Failure::Exists);
        }
        if self.room(parent).is_some_and(|room| *room == 0) {
            return Err(Failure::Full);
        }
        self.last += 1;
        let number = self.last;
        let content = match is_directory {
            true => directory(),
            false => Content::File(Bytes::default()),
        };
        let node = Node {
            content,
            mode,
            changed: SystemTime::now(),
            name: name.to_owned(),
        };
        self.nodes.insert(number, node);
        self.names_mut(parent)?.insert(name.to_owned(), number);
        Ok(number)
    }

    /// Removes a file, or an empty directory.
    pub fn remove(&mut self, parent: u64, name: &OsStr, is_directory: bool) -> Result<(), Failure> {
        let number = self.lookup(parent, name)?;
        match (&self.node(number)?.content, is_directory) {
            (Content::Directory { now, .. }, true) if !now.is_empty() => {
                return Err(Failure::NotEmpty);
            }
            (Content::Directory { .. }, false) => return Err(Failure::IsDirectory),
            (Content::File(_), true) => return Err(Failure::NotDirectory),
            _ => {}
        }
        // The node stays: open files go on, and the durable name may still stand for it.
        self.names_mut(parent)?.remove(name);
        Ok(())
    }

    /// Moves a name, over another if need be.
    pub fn rename(
        &mut self,
        (from, old): (u64, &OsStr),
        (to, new): (u64, &OsStr),
    ) -> Result<(), Failure> {
        let number = self.lookup(from, old)?;
        if let Ok(there) = self.lookup(to, new)
            && let Content::Directory { now, .. } = &self.node(there)?.content
            && !now.is_empty()
        {
            return Err(Failure::NotEmpty);
        }
        self.names_mut(to)?.insert(new.to_owned(), number);
        if (from, old) != (to, new) {
            self.names_mut(from)?.remove(old);
        }
        self.node_mut(number)?.name = new.to_owned();
        Ok(())
    }

    /// Writes into a file as much as there is room for; returns how many bytes that is.
    pub fn write(&mut self, number: u64, at: usize, data: &[u8]) -> Result<usize, Failure> {
        let old = file(self.node_mut(number)?)?.now.len();
        let more = at.saturating_add(data.len()).saturating_sub(old);
        let left_out = more - self.take_room(number, more);
        let data = match data.len().checked_sub(left_out) {
            Some(length) if length > 0 || data.is_empty() => data.get(..length).unwrap_or(data),
            _ => return Err(Failure::Full),
        };
        let node = self.node_mut(number)?;
        node.changed = SystemTime::now();
        file(node)?.write(at, data)?;
        Ok(data.len())
    }

    /// Sets a file's length.
    pub fn resize(&mut self, number: u64, length: usize) -> Result<(), Failure> {
        let old = file(self.node_mut(number)?)?.now.len();
        let more = length.saturating_sub(old);
        if self.take_room(number, more) < more {
            return Err(Failure::Full);
        }
        let node = self.node_mut(number)?;
        node.changed = SystemTime::now();
        file(node)?.resize(length)
    }

    /// Leaves room for so many more bytes in a file, or in a directory and below, until there is room again.
    /// `None` if there is no such directory.
    pub fn fill(&mut self, path: &Path, room_bytes: usize) -> Option<()> {
        let top = self.find(path)?;
        self.full = Some(Full { top, room_bytes });
        Some(())
    }

    /// There is room again everywhere.
    pub fn make_room(&mut self) {
        self.full = None;
    }

    /// The room that a file or directory has, if it is bounded.
    fn room(&mut self, number: u64) -> Option<&mut usize> {
        let mut below = vec![self.full.as_ref()?.top];
        while let Some(at) = below.pop() {
            if at == number {
                return self.full.as_mut().map(|full| &mut full.room_bytes);
            }
            below.extend(self.names(at).into_iter().flat_map(BTreeMap::values));
        }
        None
    }

    /// How many of so many more bytes a file has room for, which is then used up.
    fn take_room(&mut self, number: u64, more: usize) -> usize {
        let Some(room) = self.room(number) else {
            return more;
        };
        let taken = more.min(*room);
        *room -= taken;
        taken
    }

    fn find(&self, path: &Path) -> Option<u64> {
        path.iter()
            .try_fold(ROOT, |number, name| self.lookup(number, name).ok())
    }

    /// Makes a file's bytes, or a directory's names, durable.
    pub fn sync(&mut self, number: u64) -> Result<(), Failure> {
        let lies = std::mem::take(&mut self.lies);
        let is_lie = |name: &OsStr| begins_with_one_of(name, &lies);
        let node = self.node_mut(number);
        if let Ok(node) = node {
            match &mut node.content {
                Content::File(_) if is_lie(&node.name) => {}
                Content::File(bytes) => bytes.sync(),
                Content::Directory { now, durable } => {
                    durable.retain(|name, _| is_lie(name));
                    let honest = now.iter().filter(|(name, _)| !is_lie(name));
                    durable.extend(honest.map(|(name, number)| (name.clone(), *number)));
                }
            }
        }
        self.lies = lies;
        self.node(number).map(drop)
    }

    /// Makes everything durable.
    pub fn settle(&mut self) {
        for node in self.nodes.values_mut() {
            match &mut node.content {
                Content::File(bytes) => bytes.sync(),
                Content::Directory { now, durable } => durable.clone_from(now),
            }
        }
        self.sweep();
    }

    /// Forgets what is not durable in a directory and below; of the last writes to a file a part may
    /// have come through. `None` if there is no such directory.
    pub fn cut_power(&mut self, path: &Path) -> Option<()> {
        let mut below = vec![self.find(path)?];
        while let Some(number) = below.pop() {
            let node = self.nodes.get_mut(&number)?;
            let lied = begins_with_one_of(&node.name, &self.lies);
            match &mut node.content {
                Content::File(bytes) => {
                    self.cuts += 1;
                    let kept = match lied {
                        true => 0,
                        false => torn(self.cuts, bytes.dirty.len()),
                    };
                    bytes.lose(kept);
                }
                Content::Directory { now, durable } => {
                    now.clone_from(durable);
                    below.extend(now.values());
                }
            }
        }
        self.sweep();
        Some(())
    }

    /// From now on fsync does nothing for names that begin so, and a cut takes all that was written.
    pub fn lie_about(&mut self, prefixes: &[&str]) {
        self.lies = prefixes.iter().map(OsString::from).collect();
    }

    /// Drops what no name stands for.
    fn sweep(&mut self) {
        let mut named = BTreeSet::new();
        let mut below = vec![ROOT];
        while let Some(number) = below.pop() {
            if !named.insert(number) {
                continue;
            }
            if let Some(Node {
                content: Content::Directory { now, durable },
                ..
            }) = self.nodes.get(&number)
            {
                below.extend(now.values().chain(durable.values()));
            }
        }
        self.nodes.retain(|number, _| named.contains(number));
    }

    fn names_mut(&mut self, number: u64) -> Result<&mut BTreeMap<OsString, u64>, Failure> {
        let node = self.node_mut(number)?;
        node.changed = SystemTime::now();
        match &mut node.content {
            Content::Directory { now, .. } => Ok(now),
            Content::File(_) => Err(Failure::NotDirectory),
        }
    }
}

fn file(node: &mut Node) -> Result<&mut Bytes, Failure> {
    match &mut node.content {
        Content::File(bytes) => Ok(bytes),
        Content::Directory { .. } => Err(Failure::IsDirectory),
    }
}

fn directory() -> Content {
    Content::Directory {
        now: BTreeMap::new(),
        durable: BTreeMap::new(),
    }
}
