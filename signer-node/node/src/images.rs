//! Guests from images: each boots in a virtual machine of its own, and nothing boots that is not
//! the image which the member's card names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

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
#[derive(Clone, Debug)]
pub struct Images {
    starter: PathBuf,
    accelerator: Accelerator,
    machines: BTreeMap<Role, Machine>,
}

#[derive(Clone, Debug)]
struct Machine {
    image: PathBuf,
    digest: Digest,
    memory_mib: u64,
    tap: Option<String>,
}

impl Images {
    /// Looks at the images of `roles`; nothing boots yet, but for a machine that tells whether KVM
    /// works.
    ///
    /// # Errors
    /// If the emulator is missing, or an image is, or is not what its manifest says.
    pub fn open(options: &ImageOptions, roles: &[Role]) -> Result<Self> {
        machine::emulator()?;
        let current = std::env::current_exe()?;
        let starter = current.parent().context("a program has a directory")?;
        let mut machines = BTreeMap::new();
        let mut accelerator = None;
        for role in roles {
            let image = Image::open(&path(&options.folder, *role))?;
            accelerator.get_or_insert_with(|| options.accelerator.resolve(&image));
            let least = image.manifest().memory_mib_min;
            let memory_mib = options.memory_mib.get(role).copied().unwrap_or(least);
            if memory_mib < least {
                bail!(
                    "{}: {memory_mib} MiB of memory are too little, its image needs {least} MiB",
                    name(*role)
                );
            }
            let machine = Machine {
                image: image.path().to_path_buf(),
                digest: image.digest(),
                memory_mib,
                tap: options.taps.get(role).cloned(),
            };
            machines.insert(*role, machine);
        }
        let accelerator = accelerator.context("a node has guests")?;
        tracing::info!(
            accelerator = accelerator.describe(),
            "guests run in virtual machines"
        );
        Ok(Self {
            starter: starter.join("zq-vm"),
            accelerator,
            machines,
        })
    }

    /// Digests of the images.
    #[must_use]
    pub fn digests(&self) -> BTreeMap<Role, Digest> {
        let machines = self.machines.iter();
        machines
            .map(|(role, machine)| (*role, machine.digest))
            .collect()
    }

    /// What is known of each machine before it boots.
    pub fn facts(&self) -> impl Iterator<Item = (Role, MachineFacts)> + '_ {
        self.machines.iter().map(|(role, machine)| {
            let facts = MachineFacts {
                image: machine.digest,
                accelerator: self.accelerator.name(),
                memory_mib: machine.memory_mib,
            };
            (*role, facts)
        })
    }

    /// What boots a guest; the node's address is yet to come. The starter looks at the image again.
    ///
    /// # Errors
    /// [`std::io::ErrorKind::NotFound`] if the node has no such guest.
    pub fn command(&self, role: Role) -> std::io::Result<Command> {
        let machine = self.machines.get(&role);
        let machine = machine.ok_or(std::io::ErrorKind::NotFound)?;
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

/// The image of a guest in `folder`.
fn path(folder: &Path, role: Role) -> PathBuf {
    folder.join(name(role)).with_extension("img")
}

/// Whether what the operator boots is what the committee's record says of the member.
///
/// # Errors
/// If the record names another image, or an image where a process would be started.
pub fn check_claim(role: Role, card: &Card, booted: Option<&Digest>) -> Result<()> {
    let claimed = (card.image != Card::NO_IMAGE).then_some(&card.image);
    let role = name(role);
    match (claimed, booted) {
        (Some(claimed), Some(booted)) if claimed != booted => bail!(
            "the committee's record says that this member's {role} runs the image {claimed}, and \
             the image here is {booted}: install the image of the record"
        ),
        (Some(claimed), None) => bail!(
            "the committee's record says that this member's {role} runs the image {claimed}: \
             start the node with --images DIR, where DIR holds that image"
        ),
        (None, Some(booted)) => {
            tracing::info!(
                guest = role,
                image = %booted,
                "the committee's record names no image for this guest"
            );
            Ok(())
        }
        (Some(_), Some(_)) | (None, None) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use attestation::ids::{ChannelKey, IdentityKey, Signature};

    use super::*;

    fn card(image: Digest) -> Card {
        Card {
            identity: IdentityKey::from_bytes([1; 32]),
            channel: ChannelKey::from_bytes([2; 32]),
            image,
            payout: Card::NO_PAYOUT,
            signature: Signature::from_bytes([3; 64]),
        }
    }

    #[test]
    fn a_guest_that_is_not_what_the_record_names_is_refused() {
        let [one, other] = [1, 2].map(|byte| Digest::from_bytes([byte; 32]));
        let checked = |claimed: Digest, booted: Option<Digest>| {
            let result = check_claim(Role::Signer, &card(claimed), booted.as_ref());
            result.map_err(|error| error.to_string())
        };
        assert_eq!(checked(one, Some(one)), Ok(()));
        assert_eq!(checked(Card::NO_IMAGE, None), Ok(()));
        assert_eq!(checked(Card::NO_IMAGE, Some(one)), Ok(()));
        let wrong = checked(one, Some(other)).expect_err("another image");
        assert!(wrong.contains(&one.to_string()) && wrong.contains(&other.to_string()));
        let process = checked(one, None).expect_err("a process");
        assert!(process.contains("--images"), "{process}");
    }

    #[test]
    fn what_is_said_of_one_guest_names_it() {
        assert_eq!("executor=512".parse(), Ok(OfRole(Role::Executor, 512_u64)));
        for text in ["executor", "executors=1", "signer=x", "=1", ""] {
            assert_eq!(text.parse::<OfRole<u64>>(), Err(ParseOfRoleError), "{text}");
        }
    }
}
