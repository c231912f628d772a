//! The steps on disk, each blocking, each durable when it returns.
//!
//! ```text
//! write ─► fsync ─► link or rename ─► fsync of the folder
//! ```
//!
//! Owns: files and folders below one root, in the order that survives a loss of power.
//! Does not own: time limits and the meaning of errors (see the parent module).

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::super::{Entry, Published, Put, TablePath};

/// A folder that holds a table.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    /// Folders whose own entries are on disk for sure, so that files in them outlive a power cut.
    durable: Mutex<HashSet<PathBuf>>,
}

/// What is under the final name after a publication.
#[derive(Debug)]
pub(super) enum Found {
    Published(Published),
    /// A file of this size, which is not ours.
    Other(u64),
}

impl Disk {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            durable: Mutex::default(),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where a path of the table lies on this machine.
    pub(super) fn place(&self, path: &TablePath) -> PathBuf {
        self.root.join(path.as_str())
    }

    /// Writes a new file. Its name is not made durable: a temporary may vanish with the power.
    pub(super) fn write_whole(&self, path: &TablePath, bytes: &[u8]) -> io::Result<()> {
        let place = self.place(path);
        let written = self.in_folder(&place, || {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&place)?;
            file.write_all(bytes)?;
            file.sync_all()
        });
        if written
            .as_ref()
            .is_err_and(|it| it.kind() != ErrorKind::AlreadyExists)
        {
            // Half a file would only take room; the error that matters is the first one.
            fs::remove_file(&place).ok();
        }
        written
    }

    /// Gives a written file a second name if nobody has it; `None` when there is no such file.
    pub(super) fn link(&self, from: &TablePath, to: &TablePath) -> io::Result<Option<Put>> {
        let (from, to) = (self.place(from), self.place(to));
        match self.in_folder(&to, || fs::hard_link(&from, &to)) {
            Ok(()) => {
                sync_folder_of(&to)?;
                Ok(Some(Put::Created))
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Some(Put::Exists)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // The temporary is gone. Whoever took it away, the name tells what came of it.
                Ok(size_at(&to)?.map(|_| Put::Exists))
            }
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => Err(io::Error::new(
                ErrorKind::Unsupported,
                "this file system has no hard links, which put-if-absent needs: use ext4, xfs, \
                 btrfs, zfs, apfs or NFS",
            )),
            Err(error) => Err(error),
        }
    }

    pub(super) fn read(&self, path: &TablePath) -> io::Result<Option<Bytes>> {
        match fs::read(self.place(path)) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `None` when the file is missing or has not all of these bytes.
    pub(super) fn read_range(
        &self,
        path: &TablePath,
        range: &Range<u64>,
    ) -> io::Result<Option<Bytes>> {
        let file = match File::open(self.place(path)) {
            Ok(file) => file,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        if range.start > range.end || range.end > file.metadata()?.len() {
            return Ok(None);
        }
        let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, range.start)?;
        Ok(Some(bytes.into()))
    }

    pub(super) fn size(&self, path: &TablePath) -> io::Result<Option<u64>> {
        size_at(&self.place(path))
    }

    /// Files at any depth. What comes or goes meanwhile may be in it or not.
    pub(super) fn list(&self, folder: &TablePath) -> io::Result<Vec<Entry>> {
        let mut files = Vec::new();
        let mut folders = vec![folder.clone()];
        while let Some(folder) = folders.pop() {
            self.visit(&folder, &mut files, &mut folders)?;
        }
        Ok(files)
    }

    /// Files of the folder itself whose names come later, in byte order.
    pub(super) fn list_after(&self, folder: &TablePath, after: &str) -> io::Result<Vec<Entry>> {
        let mut files = Vec::new();
        self.visit(folder, &mut files, &mut Vec::new())?;
        files.retain(|file| file.path.file_name() > after);
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    fn visit(
        &self,
        folder: &TablePath,
        files: &mut Vec<Entry>,
        folders: &mut Vec<TablePath>,
    ) -> io::Result<()> {
        let found = match fs::read_dir(self.place(folder)) {
            Ok(found) => found,
            Err(error) if is_missing(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        for found in found {
            let found = found?;
            let name = found.file_name();
            let path = name
                .to_str()
                .and_then(|name| TablePath::new(format!("{folder}/{name}")).ok())
                .ok_or_else(|| unreadable_name(&found.path()))?;
            if found.file_type()?.is_dir() {
                folders.push(path);
                continue;
            }
            match found.metadata() {
                Ok(metadata) => files.push(Entry {
                    path,
                    size: metadata.len(),
                }),
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Removes a file for good: after a power cut it does not come back.
    pub(super) fn delete(&self, path: &TablePath) -> io::Result<()> {
        let place = self.place(path);
        match fs::remove_file(&place) {
            Ok(()) => sync_folder_of(&place),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes a temporary, which may come back after a power cut and is swept then.
    pub(super) fn forget(&self, path: &TablePath) -> io::Result<()> {
        match fs::remove_file(self.place(path)) {
            Err(error) if !is_missing(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Begins an empty file under a name that nobody has.
    pub(super) fn create(&self, path: &TablePath) -> io::Result<()> {
        let place = self.place(path);
        let created = || OpenOptions::new().write(true).create_new(true).open(&place);
        self.in_folder(&place, created).map(drop)
    }

    pub(super) fn write_at(&self, path: &TablePath, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.place(path))?;
        file.write_all_at(bytes, offset)
    }

    /// Makes a file and its name durable.
    pub(super) fn sync(&self, path: &TablePath) -> io::Result<()> {
        let place = self.place(path);
        File::open(&place)?.sync_all()?;
        sync_folder_of(&place)
    }

    /// Moves a durable file to a name that nobody has.
    pub(super) fn publish(&self, from: &TablePath, to: &TablePath, size: u64) -> io::Result<Found> {
        let (from, to) = (self.place(from), self.place(to));
        match self.in_folder(&to, || move_without_overwrite(&from, &to)) {
            Ok(()) => {
                sync_folder_of(&to)?;
                return Ok(Found::Published(Published::Now));
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists || is_missing(&error) => {}
            Err(error) => return Err(error),
        }
        let Some(there) = size_at(&to)? else {
            return Ok(Found::Published(Published::Missing));
        };
        if there != size {
            return Ok(Found::Other(there));
        }
        // Where moving takes two steps, a crash between them leaves one file with two names.
        if same_file(&from, &to)? {
            fs::remove_file(&from)?;
        }
        sync_folder_of(&to)?;
        Ok(Found::Published(Published::Before))
    }

    /// Takes a step that puts a file into a folder, which is made first, durably, when it is not
    /// there, and again when somebody removed it since.
    fn in_folder<T>(&self, place: &Path, step: impl Fn() -> io::Result<T>) -> io::Result<T> {
        let folder = place.parent().unwrap_or(&self.root);
        self.make_durable(folder)?;
        let outcome = step();
        if outcome.as_ref().is_err_and(is_missing) && !folder.exists() {
            self.known().clear();
            self.make_durable(folder)?;
            return step();
        }
        outcome
    }

    fn make_durable(&self, folder: &Path) -> io::Result<()> {
        if self.known().contains(folder) {
            return Ok(());
        }
        let missing = folder.ancestors().take_while(|it| !it.exists()).count();
        fs::create_dir_all(folder)?;
        for (depth, at) in folder.ancestors().enumerate() {
            let ours = at.starts_with(&self.root);
            if (depth >= missing && !ours) || self.known().contains(at) {
                break;
            }
            sync_folder_of(at)?;
        }
        let mut known = self.known();
        for at in folder
            .ancestors()
            .take_while(|it| it.starts_with(&self.root))
        {
            known.insert(at.to_owned());
        }
        Ok(())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        // A set of paths is whole after every single insertion, also when a thread panicked.
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `NotADirectory` means that a file stands where a folder of the path would have to be.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn size_at(place: &Path) -> io::Result<Option<u64>> {
    match fs::metadata(place) {
        Ok(found) if found.is_file() => Ok(Some(found.len())),
        Ok(_) => Ok(None),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn same_file(one: &Path, other: &Path) -> io::Result<bool> {
    let one = match fs::metadata(one) {
        Err(error) if is_missing(&error) => return Ok(false),
        found => found?,
    };
    let other = fs::metadata(other)?;
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

/// Makes the entry of a file or folder in the folder above it durable.
fn sync_folder_of(place: &Path) -> io::Result<()> {
    match place.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn unreadable_name(place: &Path) -> io::Error {
    let what = format!(
        "`{}` has a name that is not UTF-8: move it out of the table",
        place.display()
    );
    io::Error::new(ErrorKind::InvalidData, what)
}

#[cfg(target_os = "linux")]
fn move_without_overwrite(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;

    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // NFS and old kernels do not know the flag.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => link_and_unlink(from, to),
        outcome => Ok(outcome?),
    }
}

#[cfg(not(target_os = "linux"))]
fn move_without_overwrite(from: &Path, to: &Path) -> io::Result<()> {
    link_and_unlink(from, to)
}

fn link_and_unlink(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}
