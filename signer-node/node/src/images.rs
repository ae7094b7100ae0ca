//! Guests from images: each boots in a virtual machine of its own, and nothing boots that is not
//! the image which the member's card names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, bail};
use attestation::committee::Card;
use attestation::ids::Digest;
use link::local::Role;
use tokio::process::Command;
use vm::accelerator::{Accelerator, Choice};
use vm::image::Image;
use vm::machine;

use crate::board::{MachineFacts, name};

/// What an operator says of the virtual machines.
#[derive(Clone, Debug)]
pub struct ImageOptions {
    /// Folder of `signer.img` and its like, each with its manifest.
    pub folder: PathBuf,
    /// What runs the machines.
    pub accelerator: Choice,
    /// Memory in MiB; what is not named gets the least that its image needs.
    pub memory_mib: BTreeMap<Role, u64>,
    /// Tap devices in `zq-vm`'s words; what is not named gets QEMU's user network.
    pub taps: BTreeMap<Role, String>,
}

impl ImageOptions {
    /// The host's address on the tap devices, which guests dial; they have one between them.
    #[must_use]
    pub fn host_address(&self) -> Option<&str> {
        let tap = self.taps.values().next()?;
        tap.split(',').nth(2)
    }
}

/// Something that is said of one guest: `ROLE=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfRole<T>(pub Role, pub T);

/// The text does not say it of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ROLE=VALUE, where ROLE is signer, executor or coordinator")]
pub struct ParseOfRoleError;

impl<T: FromStr> FromStr for OfRole<T> {
    type Err = ParseOfRoleError;

    fn from_str(text: &str) -> Result<Self, ParseOfRoleError> {
        let (role, value) = text.split_once('=').ok_or(ParseOfRoleError)?;
        let role = role_of(role);
        let value = value.parse().map_err(|_| ParseOfRoleError)?;
        Ok(Self(role.ok_or(ParseOfRoleError)?, value))
    }
}

/// The guest of that name.
#[must_use]
pub fn role_of(text: &str) -> Option<Role> {
    let roles = [Role::Signer, Role::Executor, Role::Coordinator];
    roles.into_iter().find(|role| name(*role) == text)
}

/// The images of a node's guests, looked at and found sound.
#[derive(Debug)]
pub struct Images {
    starter: PathBuf,
    accelerator: Accelerator,
    options: ImageOptions,
    machines: Mutex<BTreeMap<Role, Machine>>,
}

#[derive(Clone, Debug)]
struct Machine {
    image: PathBuf,
    digest: Digest,
    memory_mib: u64,
    tap: Option<String>,
}

impl Images {
    /// Looks at the images of `roles`, and for those that are to be certain ones; nothing boots yet,
    /// but for a machine that tells whether KVM works.
    ///
    /// # Errors
    /// If the emulator is missing, or an image is, or is not what its manifest says.
    pub fn open(options: &ImageOptions, roles: &[(Role, Option<Digest>)]) -> Result<Self> {
        machine::emulator()?;
        let current = std::env::current_exe()?;
        let starter = current.parent().context("a program has a directory")?;
        let mut machines = BTreeMap::new();
        let mut accelerator = None;
        for (role, claimed) in roles {
            let image = find(&options.folder, *role, claimed.as_ref())?;
            accelerator.get_or_insert_with(|| options.accelerator.resolve(&image));
            machines.insert(*role, Machine::new(&image, *role, options)?);
        }
        let accelerator = accelerator.context("a node has guests")?;
        tracing::info!(
            accelerator = accelerator.describe(),
            "guests run in virtual machines"
        );
        Ok(Self {
            starter: starter.join("zq-vm"),
            accelerator,
            options: options.clone(),
            machines: Mutex::new(machines),
        })
    }

    /// Digest of a guest's image.
    #[must_use]
    pub fn digest(&self, role: Role) -> Option<Digest> {
        self.machines().get(&role).map(|machine| machine.digest)
    }

    /// What is known of a guest's machine before it boots.
    #[must_use]
    pub fn facts(&self, role: Role) -> Option<MachineFacts> {
        let machines = self.machines();
        let machine = machines.get(&role)?;
        Some(MachineFacts {
            image: machine.digest,
            accelerator: self.accelerator.name(),
            memory_mib: machine.memory_mib,
        })
    }

    fn machines(&self) -> MutexGuard<'_, BTreeMap<Role, Machine>> {
        // Every change under the lock leaves a whole value.
        self.machines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What boots a guest; the node's address is yet to come. The starter looks at the image again.
    /// If the guest is to be another image than before, that one is looked for.
    ///
    /// # Errors
    /// If the node has no such guest, or not the image that is `claimed`.
    pub fn command(&self, role: Role, claimed: Option<&Digest>) -> Result<Command> {
        let machine = self.machines().get(&role).cloned();
        let mut machine = machine.context("the node has no such guest")?;
        if claimed.is_some_and(|claimed| *claimed != machine.digest) {
            let image = find(&self.options.folder, role, claimed)?;
            machine = Machine::new(&image, role, &self.options)?;
            self.machines().insert(role, machine.clone());
        }
        let mut command = Command::new(&self.starter);
        command
            .arg("--image")
            .arg(&machine.image)
            .args(["--digest", &hex::encode(machine.digest.as_bytes())])
            .args(["--accel", self.accelerator.name()])
            .args(["--memory", &machine.memory_mib.to_string()]);
        if let Some(tap) = &machine.tap {
            command.args(["--tap", tap]);
        }
        Ok(command)
    }
}

impl Machine {
    fn new(image: &Image, role: Role, options: &ImageOptions) -> Result<Self> {
        let least = image.manifest().memory_mib_min;
        let memory_mib = options.memory_mib.get(&role).copied().unwrap_or(least);
        if memory_mib < least {
            bail!(
                "{}: {memory_mib} MiB of memory are too little, its image needs {least} MiB",
                name(role)
            );
        }
        Ok(Self {
            image: image.path().to_path_buf(),
            digest: image.digest(),
            memory_mib,
            tap: options.taps.get(&role).cloned(),
        })
    }
}

/// The image of a guest in `folder`: `ROLE.img`, or if that is not the one that is `claimed`, a
/// `ROLE-….img` beside it that is. So that of the next epoch can lie there before it begins.
fn find(folder: &Path, role: Role, claimed: Option<&Digest>) -> Result<Image> {
    let role = name(role);
    let first = Image::open(&folder.join(role).with_extension("img"));
    let Some(claimed) = claimed else {
        return Ok(first?);
    };
    let is_it = |image: &Image| image.digest() == *claimed;
    let here = match first {
        Ok(image) if is_it(&image) => return Ok(image),
        Ok(image) => format!("{}.img is {}", role, image.digest()),
        Err(error) => error.to_string(),
    };
    let mut others: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| folder.display().to_string())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|kind| kind == "img"))
        .filter(|path| {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            stem.and_then(|stem| stem.strip_prefix(role))
                .is_some_and(|rest| rest.starts_with('-'))
        })
        .take(OTHERS_MAX)
        .collect();
    others.sort();
    let mut others = others.iter().filter_map(|path| Image::open(path).ok());
    others.find(is_it).with_context(|| {
        format!(
            "the committee says that this member's {role} runs the image {claimed}, and in {} {here}: \
             install that image there, as {role}.img or {role}-NAME.img with its manifest",
            folder.display()
        )
    })
}

/// The image that a guest is to be, by its card.
#[must_use]
pub fn claim(card: &Card) -> Option<Digest> {
    (card.image != Card::NO_IMAGE).then_some(card.image)
}

/// A guest that is to be an image is none that runs as a process.
///
/// # Errors
/// If one is claimed.
pub fn check_process(role: Role, claimed: Option<&Digest>) -> Result<()> {
    match claimed {
        Some(claimed) => bail!(
            "the committee says that this member's {} runs the image {claimed}: start the node with \
             --images DIR, where DIR holds that image",
            name(role)
        ),
        None => Ok(()),
    }
}

/// Most images beside a guest's own that are looked at.
const OTHERS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use attestation::ids::{ChannelKey, IdentityKey, Signature};
    use sha2::{Digest as _, Sha256};
    use vm::image::{Inputs, Kernel, Manifest};

    use super::*;

    fn card(image: Digest) -> Card {
        Card {
            identity: IdentityKey::from_bytes([1; 32]),
            channel: ChannelKey::from_bytes([2; 32]),
            image,
            payout: Card::NO_PAYOUT,
            signature: Signature::from_bytes([3; 64]),
            engine: None,
            sentinel: None,
        }
    }

    /// An image of these bytes with its manifest.
    fn image(folder: &Path, file: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::from_bytes(Sha256::digest(bytes).into());
        let manifest = Manifest {
            name: "signer".to_owned(),
            digest: digest.to_string(),
            size_bytes: bytes.len() as u64,
            memory_mib_min: 64,
            kernel: Kernel {
                version: "0.11.0".to_owned(),
                features: Vec::new(),
                patches: Vec::new(),
            },
            inputs: Inputs {
                compiler: "rustc".to_owned(),
                linker: "ld".to_owned(),
                is_reference: false,
                locks: BTreeMap::new(),
            },
            crates: Vec::new(),
        };
        let path = folder.join(file);
        std::fs::write(&path, bytes).expect("a directory");
        let manifest = serde_json::to_vec(&manifest).expect("a manifest");
        std::fs::write(path.with_extension("json"), manifest).expect("a directory");
        digest
    }

    #[test]
    fn a_guest_that_is_not_what_the_committee_says_is_refused() {
        let folder = tempfile::tempdir().expect("a directory");
        let folder = folder.path();
        let found = |claimed: Option<Digest>| {
            let image = find(folder, Role::Signer, claimed.as_ref());
            image
                .map(|image| image.digest())
                .map_err(|error| error.to_string())
        };
        let other = Digest::from_bytes([9; 32]);
        let none = found(Some(other)).expect_err("an empty folder");
        assert!(none.contains(&other.to_string()), "{none}");
        let now = image(folder, "signer.img", b"now");
        assert_eq!(found(None), Ok(now));
        assert_eq!(found(Some(now)), Ok(now));
        let wrong = found(Some(other)).expect_err("another image");
        assert!(wrong.contains(&now.to_string()) && wrong.contains(&other.to_string()));
        assert!(wrong.contains("signer-NAME.img"), "{wrong}");

        // The next one may lie beside it, and nothing else is taken for it.
        let next = image(folder, "signer-2.img", b"next");
        let executors = image(folder, "executor.img", b"executor");
        let glued = image(folder, "signers.img", b"signers");
        assert_eq!(found(Some(next)), Ok(next));
        assert_eq!(found(Some(now)), Ok(now));
        assert_eq!(found(None), Ok(now));
        for strange in [executors, glued] {
            assert!(found(Some(strange)).is_err());
        }
        std::fs::write(folder.join("signer-2.img"), b"torn").expect("a directory");
        assert!(found(Some(next)).is_err(), "not what its manifest says");

        assert_eq!(
            (claim(&card(next)), claim(&card(Card::NO_IMAGE))),
            (Some(next), None)
        );
        assert!(check_process(Role::Signer, None).is_ok());
        let process = check_process(Role::Signer, Some(&now)).expect_err("a process");
        assert!(process.to_string().contains("--images"), "{process}");
    }

    #[test]
    fn what_is_said_of_one_guest_names_it() {
        assert_eq!("executor=512".parse(), Ok(OfRole(Role::Executor, 512_u64)));
        for text in ["executor", "executors=1", "signer=x", "=1", ""] {
            assert_eq!(text.parse::<OfRole<u64>>(), Err(ParseOfRoleError), "{text}");
        }
    }
}
