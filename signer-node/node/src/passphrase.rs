//! From the operator's passphrase to the keys that seal the guests' secrets (rule B6).
//!
//! argon2id runs here and not in the guests: a unikernel should not need 64 MiB for it. The
//! passphrase comes from a file or a prompt, never from the command line or the environment.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use argon2::{Algorithm, Argon2, Params, Version};
use link::secret::SealingKey;
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::disk::Disk;

/// Longest passphrase in bytes.
const PASSPHRASE_BYTES_MAX: usize = 1024;
const FILE: &str = "kdf.json";
/// Name of the credential in the unit's `LoadCredential`.
const CREDENTIAL: &str = "passphrase";

/// How keys are derived; public, written once per data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Derivation {
    algorithm: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    /// 16 random bytes in hex.
    salt: String,
}

/// One sealing key per guest that has secrets.
#[derive(Clone, Debug)]
pub struct SealingKeys {
    /// The signer's.
    pub signer: SealingKey,
    /// The coordinator's.
    pub coordinator: SealingKey,
}

impl Derivation {
    /// RFC 9106 §4, second recommended option, with a fresh salt and one lane: the members of a
    /// test committee share two cores.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn fresh() -> Result<Self> {
        let mut salt = [0; 16];
        getrandom::getrandom(&mut salt).context("no randomness from the system")?;
        Ok(Self {
            algorithm: "argon2id".into(),
            memory_kib: 64 * 1024,
            passes: 3,
            lanes: 1,
            salt: hex::encode(salt),
        })
    }

    /// The derivation of a data directory.
    ///
    /// # Errors
    /// If the directory was not initialised or the file is not a derivation.
    pub fn load(disk: &dyn Disk) -> Result<Self> {
        let bytes = disk.load(FILE, 4096)?;
        let bytes = bytes.context("no kdf.json: run `zq-node init` first")?;
        serde_json::from_slice(&bytes).context("kdf.json")
    }

    /// Writes the derivation to a data directory.
    ///
    /// # Errors
    /// The disk's.
    pub fn store(&self, disk: &dyn Disk) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(self)?;
        Ok(disk.replace(FILE, &bytes)?)
    }

    /// Derives the keys.
    ///
    /// # Errors
    /// If the parameters are not argon2id's.
    pub fn keys(&self, passphrase: &[u8]) -> Result<SealingKeys> {
        if self.algorithm != "argon2id" || self.memory_kib > 1024 * 1024 || self.passes > 64 {
            bail!("kdf.json: not a derivation of this version");
        }
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(64));
        let params = params.map_err(|error| anyhow::anyhow!("kdf.json: {error}"))?;
        let salt = hex::decode(&self.salt);
        let salt = salt.map_err(|error| anyhow::anyhow!("kdf.json: salt: {error}"))?;
        let mut derived = Zeroizing::new([[0u8; 32]; 2]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase, &salt, derived.as_flattened_mut())
            .map_err(|error| anyhow::anyhow!("argon2id: {error}"))?;
        let [signer, coordinator] = *derived;
        Ok(SealingKeys {
            signer: SealingKey::from_bytes(signer),
            coordinator: SealingKey::from_bytes(coordinator),
        })
    }
}

/// The passphrase: the first line of `file`, else of the systemd credential, else asked for at the
/// terminal.
///
/// # Errors
/// If there is none of them, or the passphrase is empty.
pub fn read(file: Option<&Path>) -> Result<Zeroizing<Vec<u8>>> {
    forbid_core_dumps()?;
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    let credential = credentials.map(|dir| Path::new(&dir).join(CREDENTIAL));
    let credential = credential.filter(|path| path.exists());
    let mut line = match file.or(credential.as_deref()) {
        Some(path) => {
            let file = File::open(path).with_context(|| path.display().to_string())?;
            let mut bytes = Zeroizing::new(Vec::with_capacity(PASSPHRASE_BYTES_MAX));
            file.take(PASSPHRASE_BYTES_MAX as u64)
                .read_to_end(&mut bytes)?;
            bytes
        }
        None => ask()?,
    };
    if let Some(end) = line.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        line.truncate(end);
    }
    if line.is_empty() {
        bail!("the passphrase is empty");
    }
    Ok(line)
}

/// From here on secrets are in memory, and soon in the guests', which inherit the limit: none of
/// these processes may leave them in a file when it dies.
fn forbid_core_dumps() -> Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).context("cannot forbid core dumps")
}

fn ask() -> Result<Zeroizing<Vec<u8>>> {
    let terminal = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    ask_at(&terminal, &mut io::stderr())
}

/// Asks at a terminal, which by then shows nothing of what is typed, and afterwards does again, also
/// where Ctrl-C was the answer: a signal would leave the terminal silent, so it ends the line instead.
fn ask_at(terminal: &File, said: &mut impl Write) -> Result<Zeroizing<Vec<u8>>> {
    let shown = tcgetattr(terminal)
        .context("no terminal to ask for the passphrase: give --passphrase-file FILE or the systemd credential passphrase")?;
    let mut hidden = shown.clone();
    hidden
        .local_modes
        .remove(LocalModes::ECHO | LocalModes::ISIG);
    let interrupt = shown.special_codes[SpecialCodeIndex::VINTR];
    hidden.special_codes[SpecialCodeIndex::VEOL] = interrupt;
    tcsetattr(terminal, OptionalActions::Now, &hidden)?;
    let asked = said.write_all(b"Passphrase: ").and_then(|()| said.flush());
    let answer = asked.and_then(|()| line(terminal));
    // What is beyond the longest passphrase must not reach whoever reads the terminal next.
    tcsetattr(terminal, OptionalActions::Flush, &shown)?;
    writeln!(said)?;
    let answer = answer?;
    if interrupt != 0 && answer.contains(&interrupt) {
        bail!("interrupted: no passphrase was given");
    }
    Ok(answer)
}

/// One line: a terminal gives no more at a time. Not through a buffer, which would keep a copy.
fn line(mut terminal: &File) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(vec![0; PASSPHRASE_BYTES_MAX]);
    let length = loop {
        match terminal.read(&mut line) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    line.truncate(length);
    Ok(line)
}

#[cfg(test)]
mod tests {
    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};

    use super::*;

    fn small() -> Derivation {
        Derivation {
            algorithm: "argon2id".into(),
            memory_kib: 8,
            passes: 1,
            lanes: 1,
            salt: "00112233445566778899aabbccddeeff".into(),
        }
    }

    #[test]
    fn keys_depend_on_passphrase_salt_and_guest() {
        let keys = small().keys(b"correct horse").expect("derives");
        assert_ne!(keys.signer, keys.coordinator);
        assert_eq!(
            keys.signer,
            small().keys(b"correct horse").expect("derives").signer
        );
        assert_ne!(
            keys.signer,
            small().keys(b"correct house").expect("derives").signer
        );
        let salted = Derivation {
            salt: "ff112233445566778899aabbccddeeff".into(),
            ..small()
        };
        assert_ne!(
            keys.signer,
            salted.keys(b"correct horse").expect("derives").signer
        );
    }

    #[test]
    fn passphrase_is_the_first_line_of_its_file() {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        for (text, expected) in [
            ("secret\nmore", Some(&b"secret"[..])),
            ("\n", None),
            ("", None),
        ] {
            std::fs::write(file.path(), text).expect("writable");
            let read = read(Some(file.path())).ok();
            assert_eq!(read.as_deref().map(Vec::as_slice), expected, "{text:?}");
        }
    }

    /// A pseudo terminal: where a person sits, and what a program has.
    fn terminal() -> (File, File) {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo terminal");
        unlockpt(&person).expect("unlocked");
        let program = ioctl_tiocgptpeer(&person, OpenptFlags::RDWR | OpenptFlags::NOCTTY);
        (person.into(), program.expect("its other end").into())
    }

    /// What is seen at the terminal up to these words.
    fn seen_until(mut person: &File, words: &str) -> String {
        let mut seen = Vec::new();
        while !seen.ends_with(words.as_bytes()) {
            let mut byte = [0];
            person.read_exact(&mut byte).expect("more is said");
            seen.extend(byte);
        }
        String::from_utf8(seen).expect("text")
    }

    #[test]
    fn a_passphrase_is_asked_for_at_the_terminal_and_what_is_typed_is_not_shown() {
        let echoes = |terminal: &File| {
            let modes = tcgetattr(terminal).expect("a terminal").local_modes;
            modes.contains(LocalModes::ECHO)
        };
        let longest = "p".repeat(PASSPHRASE_BYTES_MAX);
        for (typed, expected) in [
            ("correct horse\n", "correct horse\n"),
            (&format!("{longest}and more\n"), &*longest),
        ] {
            let (mut person, program) = terminal();
            assert!(echoes(&program), "as terminals do");
            let asking = program.try_clone().expect("another handle");
            let asking = std::thread::spawn(move || ask_at(&asking, &mut &asking));
            let mut seen = seen_until(&person, "Passphrase: ");
            assert!(!echoes(&program), "hidden as soon as it is asked for");
            person.write_all(typed.as_bytes()).expect("typed");
            let answer = asking.join().expect("no panic").expect("an answer");
            assert_eq!(answer.as_slice(), expected.as_bytes());
            assert!(echoes(&program), "shown again");
            // What follows shows all that came before it, and that nothing was left to read.
            person.write_all(b"next\n").expect("typed");
            seen += &seen_until(&person, "next\r\n");
            assert_eq!(seen, "Passphrase: \r\nnext\r\n");
            assert_eq!(line(&program).expect("a line").as_slice(), b"next\n");
        }
        let (mut person, program) = terminal();
        let asking = program.try_clone().expect("another handle");
        let asking = std::thread::spawn(move || ask_at(&asking, &mut &asking));
        seen_until(&person, "Passphrase: ");
        person.write_all(b"corr\x03").expect("typed");
        let refused = asking.join().expect("no panic").expect_err("Ctrl-C");
        assert!(refused.to_string().contains("interrupted"), "{refused}");
        assert!(echoes(&program), "shown again");

        let nowhere = File::open("/dev/null").expect("a device");
        let refused = ask_at(&nowhere, &mut Vec::new()).expect_err("no terminal");
        assert!(refused.to_string().contains("--passphrase-file"));
    }

    #[test]
    fn with_a_passphrase_in_memory_no_core_is_dumped() {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), "secret").expect("writable");
        read(Some(file.path())).expect("a passphrase");
        let limit = rustix::process::getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
    }
}
