//! How a node is told to start its signer in each form.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use launch::{Bridge, Machines};
use serde_json::Value;
use vm::accelerator::Accelerator;

/// What the signers of a committee are. Executors and coordinators are processes, but for the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// The signer's image in a virtual machine.
    Image,
    /// A minimal Linux guest in the same virtual machine.
    Linux,
    /// A process in namespaces of its own, as a container is one.
    Contained,
    /// A process of the host.
    Process,
    /// Images for executors and coordinators as well.
    AllImages,
}

pub(crate) const ALL: [Form; 5] = [
    Form::Image,
    Form::Linux,
    Form::Contained,
    Form::Process,
    Form::AllImages,
];

impl Form {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Image => "signer image",
            Self::Linux => "Linux guest",
            Self::Contained => "contained",
            Self::Process => "plain process",
            Self::AllImages => "all images",
        }
    }
}

/// Where the guests are that nodes start.
pub(crate) struct Guests {
    images: PathBuf,
    accelerator: Accelerator,
    linux: Linux,
    bridge: Option<Bridge>,
}

/// What `cargo xtask image compare` built and measured.
struct Linux {
    kernel: String,
    initramfs: String,
    memory_mib: u64,
    signer: String,
    contained: String,
}

impl Guests {
    /// Guests as they were compared, and the images of a folder.
    pub(crate) fn new(
        compared: &Value,
        images: PathBuf,
        accelerator: Accelerator,
        bridge: Option<Bridge>,
    ) -> Result<Self> {
        let text = |pointer: &str| {
            let text = compared.pointer(pointer).and_then(Value::as_str);
            text.map(str::to_owned)
                .with_context(|| format!("no {pointer} was compared"))
        };
        let memory = compared.pointer("/subjects/1/given_memory_mib");
        Ok(Self {
            images,
            accelerator,
            linux: Linux {
                kernel: text("/linux/kernel")?,
                initramfs: text("/linux/initramfs")?,
                memory_mib: memory.and_then(Value::as_u64).context("its memory")?,
                signer: text("/linux/signer")?,
                contained: text("/linux/contained")?,
            },
            bridge,
        })
    }

    /// The machines of a committee of this form, where its nodes boot images by themselves.
    pub(crate) fn machines(&self, form: Form) -> Option<Machines> {
        (form == Form::AllImages).then(|| Machines {
            images: self.images.clone(),
            accelerator: self.accelerator.name().into(),
            taps: false,
            slots: None,
        })
    }

    /// Arguments of the node in `slot`: what it starts as its signer. The static program is the
    /// same in the Linux guest, contained, and plain.
    pub(crate) fn arguments(
        &self,
        form: Form,
        slot: u16,
        program: impl Fn(&str) -> PathBuf,
    ) -> Result<Vec<String>> {
        let signer = |path: &Path, arguments: &[String]| {
            let arguments = arguments.iter();
            let arguments = arguments.map(|argument| format!("--signer-argument={argument}"));
            let path = format!("--signer={}", path.display());
            [path].into_iter().chain(arguments).collect::<Vec<_>>()
        };
        let image = format!("--image={}", self.images.join("signer.img").display());
        let accelerator = format!("--accel={}", self.accelerator.name());
        let linux = &self.linux;
        Ok(match form {
            Form::Image => signer(&program("zq-vm"), &[image, accelerator]),
            Form::Linux => {
                let guest = [
                    format!("--kernel={}", linux.kernel),
                    format!("--initramfs={}", linux.initramfs),
                    format!("--memory={}", linux.memory_mib),
                ];
                let arguments = [&guest[..], &[image, accelerator]].concat();
                signer(&program("linux-machine"), &arguments)
            }
            Form::Contained => {
                let bridge = self.bridge.as_ref().context("no bridge")?;
                // 1 is the host.
                let address = bridge.address(u8::try_from(slot + 1)?).to_string();
                let arguments = [bridge.name().into(), address, linux.signer.clone()];
                let mut arguments = signer(Path::new(&linux.contained), &arguments);
                arguments.push(format!("--guests-listen={}:0", bridge.host()));
                arguments
            }
            Form::Process => signer(Path::new(&linux.signer), &[]),
            Form::AllImages => Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn guests() -> Guests {
        let compared = json!({
            "subjects": [{ "given_memory_mib": 64 }, { "given_memory_mib": 128 }],
            "linux": {
                "kernel": "/l/vmlinuz",
                "initramfs": "/l/initramfs.cpio",
                "signer": "/l/zq-signer",
                "contained": "/l/linux-contained",
            },
        });
        let guests = Guests::new(&compared, "/images".into(), Accelerator::Emulation, None);
        guests.expect("all is said")
    }

    #[test]
    fn only_the_signer_differs() {
        let guests = guests();
        let said = |form| {
            let arguments = guests.arguments(form, 3, |name| Path::new("/p").join(name));
            arguments.map(|arguments| arguments.join(" ")).ok()
        };
        let image = "--signer-argument=--image=/images/signer.img --signer-argument=--accel=tcg";
        let expected = [
            (Form::Image, Some(format!("--signer=/p/zq-vm {image}"))),
            (
                Form::Linux,
                Some(format!(
                    "--signer=/p/linux-machine --signer-argument=--kernel=/l/vmlinuz \
                     --signer-argument=--initramfs=/l/initramfs.cpio \
                     --signer-argument=--memory=128 {image}"
                )),
            ),
            // Nobody made a bridge.
            (Form::Contained, None),
            (Form::Process, Some("--signer=/l/zq-signer".into())),
            (Form::AllImages, Some(String::new())),
        ];
        for (form, expected) in expected {
            assert_eq!(said(form), expected, "{}", form.name());
            let boots = guests.machines(form).is_some();
            assert_eq!(boots, form == Form::AllImages, "{}", form.name());
        }
    }

    #[test]
    fn what_was_not_compared_is_named() {
        let guests = Guests::new(&json!({}), "/".into(), Accelerator::Emulation, None);
        let error = guests.err().expect("nothing was compared").to_string();
        assert!(error.contains("/linux/kernel"), "{error}");
    }
}
