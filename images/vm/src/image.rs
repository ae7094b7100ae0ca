//! An image file and its manifest.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use attestation::ids::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Longest image that is looked at, in bytes.
pub const IMAGE_BYTES_MAX: u64 = 256 << 20;
/// Longest manifest, in bytes.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// What an image is made of, written by the build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Which guest: signer, executor, coordinator.
    pub name: String,
    /// SHA-256 of the image file, in hexadecimal digits.
    pub digest: String,
    /// Length of the image file.
    pub size_bytes: u64,
    /// Least memory that the guest boots and works with.
    pub memory_mib_min: u64,
    /// The kernel inside.
    pub kernel: Kernel,
    /// What the build was given.
    pub inputs: Inputs,
    /// Every crate that the guest program links, with its version.
    pub crates: Vec<Crate>,
}

/// The kernel of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// Version of hermit-kernel.
    pub version: String,
    /// Its features.
    pub features: Vec<String>,
    /// Our patches, in the order in which they are applied, each with its SHA-256.
    pub patches: Vec<Patch>,
}

/// A patch of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// What it fixes.
    pub name: String,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// What decides the bytes of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// The compiler, as it names itself.
    pub compiler: String,
    /// The linker, as it names itself.
    pub linker: String,
    /// Whether that compiler gives the digests that committees use.
    pub is_reference: bool,
    /// SHA-256 of each lock file.
    pub locks: BTreeMap<String, String>,
}

/// A crate and its version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crate {
    /// Its name in the registry.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// An image that is what its manifest says.
#[derive(Clone, Debug)]
pub struct Image {
    path: PathBuf,
    digest: Digest,
    manifest: Manifest,
}

/// Why an image is not booted.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file is not there or cannot be read.
    #[error("{path}: {error}; `cargo xtask image build` makes images")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file is longer than any image or manifest.
    #[error("{path} has {bytes} bytes, no image and no manifest is so long")]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// The manifest is not one.
    #[error("{path} is no manifest of an image: {error}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Where it stops being one.
        error: serde_json::Error,
    },
    /// The file is shorter or longer than the manifest says.
    #[error(
        "{path} has {actual} bytes, its manifest says {expected}: the file is cut off or is not \
         the one that was built; build or copy it again"
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// The manifest's length.
        expected: u64,
        /// The file's length.
        actual: u64,
    },
    /// The file has other bytes than the manifest says.
    #[error(
        "{path} has the digest {actual}, its manifest says {expected}: the file is damaged or \
         was changed; build or copy it again"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The manifest's digest.
        expected: String,
        /// The file's digest.
        actual: Digest,
    },
    /// The image is sound, but another one than was asked for.
    #[error(
        "{path} is the image {actual}, {expected} was asked for: the committee's record names \
         the image that a member runs; install that one, or announce this one first"
    )]
    Other {
        /// The file.
        path: PathBuf,
        /// The digest that was asked for.
        expected: Digest,
        /// The file's digest.
        actual: Digest,
    },
}

impl Image {
    /// Opens the image at `path` and the manifest beside it, and compares the two.
    ///
    /// # Errors
    /// [`ImageError`] if either cannot be read or they do not belong together.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        let manifest_path = path.with_extension("json");
        let text = read(&manifest_path, MANIFEST_BYTES_MAX)?;
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| ImageError::Manifest {
                path: manifest_path,
                error,
            })?;
        let bytes = read(path, IMAGE_BYTES_MAX)?;
        let actual = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if actual != manifest.size_bytes {
            return Err(ImageError::Length {
                path: path.to_path_buf(),
                expected: manifest.size_bytes,
                actual,
            });
        }
        let digest = digest(&bytes);
        if hex::encode(digest.as_bytes()) != manifest.digest {
            return Err(ImageError::Damaged {
                path: path.to_path_buf(),
                expected: manifest.digest,
                actual: digest,
            });
        }
        Ok(Self {
            path: path.to_path_buf(),
            digest,
            manifest,
        })
    }

    /// Insists on one image.
    ///
    /// # Errors
    /// [`ImageError::Other`] if this is not the one.
    pub fn expect(self, expected: &Digest) -> Result<Self, ImageError> {
        if self.digest == *expected {
            return Ok(self);
        }
        Err(ImageError::Other {
            path: self.path,
            expected: *expected,
            actual: self.digest,
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SHA-256 of the file.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// What it is made of.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

/// SHA-256 of an image file's bytes.
#[must_use]
pub fn digest(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, ImageError> {
    let unreadable = |error| ImageError::Unreadable {
        path: path.to_path_buf(),
        error,
    };
    let bytes = fs::metadata(path).map_err(unreadable)?.len();
    if bytes > bytes_max {
        return Err(ImageError::TooLong {
            path: path.to_path_buf(),
            bytes,
        });
    }
    fs::read(path).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(bytes: &[u8]) -> Manifest {
        Manifest {
            name: "signer".into(),
            digest: hex::encode(digest(bytes).as_bytes()),
            size_bytes: u64::try_from(bytes.len()).expect("short"),
            memory_mib_min: 32,
            kernel: Kernel {
                version: "0.11.0".into(),
                features: vec!["tcp".into()],
                patches: Vec::new(),
            },
            inputs: Inputs {
                compiler: "rustc".into(),
                linker: "ld.lld".into(),
                is_reference: true,
                locks: BTreeMap::new(),
            },
            crates: Vec::new(),
        }
    }

    fn written(bytes: &[u8], manifest: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("writable");
        let path = folder.path().join("signer.img");
        fs::write(&path, bytes).expect("writable");
        fs::write(path.with_extension("json"), manifest).expect("writable");
        (folder, path)
    }

    fn opened(bytes: &[u8], manifest: &Manifest) -> Result<Image, ImageError> {
        let text = serde_json::to_string(manifest).expect("serialises");
        let (_folder, path) = written(bytes, &text);
        Image::open(&path)
    }

    #[test]
    fn a_sound_image_opens_and_is_the_one_that_was_asked_for() {
        let image = opened(b"image", &manifest(b"image")).expect("sound");
        let digest = digest(b"image");
        assert_eq!(image.digest(), digest);
        let image = image.expect(&digest).expect("the same");
        let other = image.expect(&Digest::from_bytes([1; 32])).unwrap_err();
        assert!(matches!(other, ImageError::Other { .. }), "{other}");
    }

    #[test]
    fn a_cut_off_and_a_damaged_image_are_told_apart() {
        let cut = opened(b"imag", &manifest(b"image")).unwrap_err();
        assert!(
            matches!(
                cut,
                ImageError::Length {
                    expected: 5,
                    actual: 4,
                    ..
                }
            ),
            "{cut}"
        );
        let damaged = opened(b"imagE", &manifest(b"image")).unwrap_err();
        assert!(matches!(damaged, ImageError::Damaged { .. }), "{damaged}");
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        for text in ["", "{}", "[]", "{\"name\":1}"] {
            let (_folder, path) = written(b"image", text);
            let error = Image::open(&path).unwrap_err();
            assert!(matches!(error, ImageError::Manifest { .. }), "{text}");
        }
        let (_folder, path) = written(b"image", "{}");
        fs::remove_file(path.with_extension("json")).expect("written");
        let error = Image::open(&path).unwrap_err();
        assert!(matches!(error, ImageError::Unreadable { .. }), "{error}");
    }
}
