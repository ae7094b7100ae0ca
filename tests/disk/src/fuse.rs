//! The tree as the kernel asks for it. Nothing is cached on the kernel's side between two opens,
//! so that a power cut shows at once.

use std::ffi::OsStr;
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use rustix::process::{getgid, getuid};

use crate::Shared;
use crate::tree::{Content, Failure, ROOT, Tree};

const UNCACHED: Duration = Duration::ZERO;
const BLOCK_BYTES: u32 = 4096;

/// Serves the kernel.
pub struct Fuse(Shared);

impl Fuse {
    pub fn new(shared: Shared) -> Self {
        Self(shared)
    }

    fn enter(&self, reply: ReplyEntry, made: impl FnOnce(&mut Tree) -> Result<u64, Failure>) {
        let mut tree = self.0.tree();
        match made(&mut tree).and_then(|number| attributes(&tree, number)) {
            Ok(attributes) => reply.entry(&UNCACHED, &attributes, Generation(0)),
            Err(failure) => reply.error(errno(failure)),
        }
    }

    fn empty(&self, reply: ReplyEmpty, done: impl FnOnce(&mut Tree) -> Result<(), Failure>) {
        match done(&mut self.0.tree()) {
            Ok(()) => reply.ok(),
            Err(failure) => reply.error(errno(failure)),
        }
    }
}

impl Filesystem for Fuse {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.enter(reply, |tree| tree.lookup(parent.0, name));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match attributes(&self.0.tree(), ino.0) {
            Ok(attributes) => reply.attr(&UNCACHED, &attributes),
            Err(failure) => reply.error(errno(failure)),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut tree = self.0.tree();
        let mut set = || {
            if let Some(mode) = mode {
                tree.node_mut(ino.0)?.mode = permissions(mode);
            }
            if let Some(size) = size {
                tree.resize(ino.0, place(size)?)?;
            }
            attributes(&tree, ino.0)
        };
        match set() {
            Ok(attributes) => reply.attr(&UNCACHED, &attributes),
            Err(failure) => reply.error(errno(failure)),
        }
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let mode = permissions(mode & !umask);
        self.enter(reply, |tree| tree.create(parent.0, name, mode, true));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.empty(reply, |tree| tree.remove(parent.0, name, false));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.empty(reply, |tree| tree.remove(parent.0, name, true));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if flags.is_empty() {
            self.empty(reply, |tree| {
                tree.rename((parent.0, name), (newparent.0, newname))
            });
        } else {
            reply.error(Errno::EINVAL);
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let mut tree = self.0.tree();
        let made = tree.create(parent.0, name, permissions(mode & !umask), false);
        match made.and_then(|number| attributes(&tree, number)) {
            Ok(attributes) => reply.created(
                &UNCACHED,
                &attributes,
                Generation(0),
                FileHandle(0),
                FopenFlags::empty(),
            ),
            Err(failure) => reply.error(errno(failure)),
        }
    }

    fn open(&self, _: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.0.tree().node(ino.0) {
            Ok(_) => reply.opened(FileHandle(0), FopenFlags::empty()),
            Err(failure) => reply.error(errno(failure)),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let tree = self.0.tree();
        match tree.node(ino.0).map(|node| &node.content) {
            Ok(Content::File(bytes)) => {
                let bytes = bytes.now();
                let from = place(offset).unwrap_or(usize::MAX).min(bytes.len());
                let rest = bytes.get(from..).unwrap_or_default();
                let length = place(size.into()).unwrap_or(usize::MAX).min(rest.len());
                reply.data(rest.get(..length).unwrap_or_default());
            }
            Ok(Content::Directory { .. }) => reply.error(Errno::EISDIR),
            Err(failure) => reply.error(errno(failure)),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = place(offset).and_then(|offset| self.0.tree().write(ino.0, offset, data));
        match written {
            // The kernel sends at most a few hundred KiB at once.
            Ok(length) => reply.written(u32::try_from(length).unwrap_or(u32::MAX)),
            Err(failure) => reply.error(errno(failure)),
        }
    }

    fn flush(
        &self,
        _: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        // Closing a file makes nothing durable.
        reply.ok();
    }

    fn fsync(
        &self,
        _: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        self.empty(reply, |tree| tree.sync(ino.0));
    }

    fn fsyncdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        self.empty(reply, |tree| tree.sync(ino.0));
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let tree = self.0.tree();
        let names = match tree.names(ino.0) {
            Ok(names) => names,
            Err(failure) => return reply.error(errno(failure)),
        };
        let entries = (1..).zip(names).skip(place(offset).unwrap_or(usize::MAX));
        for (next, (name, number)) in entries {
            let kind = match tree.node(*number).map(|node| &node.content) {
                Ok(Content::Directory { .. }) => FileType::Directory,
                _ => FileType::RegularFile,
            };
            if reply.add(INodeNo(*number), next, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        let (blocks, files) = (1 << 24, 1 << 20);
        reply.statfs(
            blocks,
            blocks,
            blocks,
            files,
            files,
            BLOCK_BYTES,
            255,
            BLOCK_BYTES,
        );
    }
}

fn attributes(tree: &Tree, number: u64) -> Result<FileAttr, Failure> {
    let node = tree.node(number)?;
    let (kind, size) = match &node.content {
        Content::File(bytes) => (FileType::RegularFile, bytes.now().len()),
        Content::Directory { .. } => (FileType::Directory, 0),
    };
    let size = u64::try_from(size).map_err(|_| Failure::TooLarge)?;
    Ok(FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(512),
        atime: node.changed,
        mtime: node.changed,
        ctime: node.changed,
        crtime: node.changed,
        kind,
        perm: node.mode,
        nlink: if number == ROOT { 2 } else { 1 },
        uid: getuid().as_raw(),
        gid: getgid().as_raw(),
        rdev: 0,
        blksize: BLOCK_BYTES,
        flags: 0,
    })
}

fn permissions(mode: u32) -> u16 {
    u16::try_from(mode & 0o7777).unwrap_or(0o700)
}

fn place(number: u64) -> Result<usize, Failure> {
    usize::try_from(number).map_err(|_| Failure::TooLarge)
}

fn errno(failure: Failure) -> Errno {
    match failure {
        Failure::NotFound => Errno::ENOENT,
        Failure::Exists => Errno::EEXIST,
        Failure::NotDirectory => Errno::ENOTDIR,
        Failure::IsDirectory => Errno::EISDIR,
        Failure::NotEmpty => Errno::ENOTEMPTY,
        Failure::TooLarge => Errno::EFBIG,
        Failure::Full => Errno::ENOSPC,
    }
}
