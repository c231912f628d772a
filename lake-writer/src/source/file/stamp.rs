//! Whether a file is still the one that was opened.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::{FileError, io_error};

/// Bytes read at once while a file is hashed.
const HASH_BLOCK: usize = 1 << 20;

/// A file as it was when its bytes were hashed. Rows that are written are said to be of those bytes,
/// so nothing may be written that was read after somebody changed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    path: PathBuf,
    fingerprint: String,
    marks: Marks,
}

/// What the operating system changes with each write, and with each other file of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Marks {
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds of the last change, which cannot be set back as `mtime` can.
    changed: (i64, i64),
}

impl Stamp {
    /// Hashes a file.
    ///
    /// # Errors
    /// When it cannot be read, or is being written to.
    pub fn of(path: &Path) -> Result<Self, FileError> {
        let marks = Marks::of(path)?;
        let stamp = Self {
            path: path.to_owned(),
            fingerprint: hash(path).map_err(|source| io_error(path, source))?,
            marks,
        };
        stamp.check()?;
        Ok(stamp)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// XXH3 of the bytes, 16 hexadecimal digits: tells whether it is the file that was read before.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Whether the file is as it was.
    ///
    /// # Errors
    /// [`FileError::Changed`] when it is not, or when it is gone.
    pub fn check(&self) -> Result<(), FileError> {
        match Marks::of(&self.path) {
            Ok(marks) if marks == self.marks => Ok(()),
            _ => Err(FileError::Changed(self.path.clone())),
        }
    }
}

impl Marks {
    fn of(path: &Path) -> Result<Self, FileError> {
        let found = fs::metadata(path).map_err(|source| io_error(path, source))?;
        Ok(Self {
            device: found.dev(),
            inode: found.ino(),
            length: found.size(),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

fn hash(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hash = Xxh3::new();
    let mut block = vec![0; HASH_BLOCK];
    loop {
        match io::Read::read(&mut file, &mut block)? {
            0 => return Ok(format!("{:016x}", hash.digest())),
            read => hash.update(&block[..read]),
        }
    }
}
