//! Files that the user names: read up to a bound, whatever they turn out to be.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::failure::Failure;

/// Longest module that is sent; the gatekeeper takes less.
pub(crate) const MODULE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Longest JSON file: a committee of 150 members takes a twentieth of it.
pub(crate) const JSON_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Longest attestation or leaf; real ones are far shorter.
pub(crate) const PROOF_BYTES_MAX: u64 = 1024 * 1024;
/// Longest evidence, which holds all changes of a committee's members.
pub(crate) const EVIDENCE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Longest key file.
pub(crate) const KEY_BYTES_MAX: u64 = 4096;

/// The file's bytes. A device without end or a file that grows is cut off like one that is too
/// long: the length that a file says it has is not asked.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    read_within(path, bytes_max)?
        .map_err(|long| Failure::new(long, "check the path: no file of this kind is so long"))
}

/// The bytes of a file that is to prove something. One that is too long proves nothing: it is
/// invalid by the check that reads it, as a short one that is none would be.
pub(crate) fn read_proof(
    path: &Path,
    check: &'static str,
    bytes_max: u64,
) -> Result<Vec<u8>, Failure> {
    read_within(path, bytes_max)?.map_err(|error| Failure::Invalid { check, error })
}

/// The bytes, or, of a file with more of them, what is wrong.
fn read_within(path: &Path, bytes_max: u64) -> Result<Result<Vec<u8>, String>, Failure> {
    let read = File::open(path).and_then(|file| {
        let mut bytes = Vec::new();
        file.take(bytes_max + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    let bytes = read.map_err(|error| Failure::file(path, &error))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= bytes_max) {
        return Ok(Ok(bytes));
    }
    Ok(Err(format!(
        "{}: more than {bytes_max} bytes",
        path.display()
    )))
}

/// The file's text.
pub(crate) fn read_text(path: &Path, bytes_max: u64) -> Result<String, Failure> {
    String::from_utf8(read(path, bytes_max)?).map_err(|_| {
        Failure::new(
            format!("{}: not a text file", path.display()),
            "check the path",
        )
    })
}
