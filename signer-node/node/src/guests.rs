//! Starting guests, as processes or in virtual machines, and knowing them again when they dial.
//!
//! A guest gets the node's address as its only argument and a token on standard input: any
//! process of the machine can dial the loopback port, only the one that was started knows the
//! token, and it is good for one connection.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use attestation::ids::Digest;
use link::chunk::Assembly;
use link::local::{LINK_VERSION, LOCAL_BYTES_MAX, Role, ToNode};
use link::secret::{BootSeed, LinkToken};
use signer_protocol::frame::Frame;
use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::board::MachineFacts;
use crate::images::{Images, check_process};
use crate::wire::{FrameStream, WireError};

/// How long a connection may take to say hello.
const HELLO_WAIT: Duration = Duration::from_secs(5);

/// Where the guest programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `zq-signer`.
    pub signer: PathBuf,
    /// `zq-executor`.
    pub executor: PathBuf,
    /// `zq-coordinator`.
    pub coordinator: PathBuf,
    /// Arguments of the signer after the node's address; the real one takes none.
    pub signer_arguments: Vec<String>,
    /// Arguments of the executor after the node's address; the real one takes none.
    pub executor_arguments: Vec<String>,
    /// Boots images in place of the programs.
    pub images: Option<Arc<Images>>,
}

impl Programs {
    /// The programs beside the running one.
    ///
    /// # Errors
    /// If the running program has no directory.
    pub fn beside_current() -> io::Result<Self> {
        let current = std::env::current_exe()?;
        let dir = current.parent().ok_or(io::ErrorKind::NotFound)?;
        Ok(Self {
            signer: dir.join("zq-signer"),
            executor: dir.join("zq-executor"),
            coordinator: dir.join("zq-coordinator"),
            signer_arguments: Vec::new(),
            executor_arguments: Vec::new(),
            images: None,
        })
    }

    /// What starts a guest; its first argument is yet to come.
    fn command(&self, role: Role, claimed: Option<&Digest>) -> io::Result<Command> {
        let program = match (&self.images, role) {
            (Some(images), _) => {
                let command = images.command(role, claimed);
                return command.map_err(|error| io::Error::other(format!("{error:#}")));
            }
            (None, Role::Signer) => &self.signer,
            (None, Role::Executor) => &self.executor,
            (None, Role::Coordinator) => &self.coordinator,
        };
        check_process(role, claimed).map_err(io::Error::other)?;
        Ok(Command::new(program))
    }
}

/// Starts guests and recognises them.
#[derive(Debug)]
pub struct Guests {
    programs: Programs,
    address: SocketAddr,
    expected: Mutex<BTreeMap<Role, (LinkToken, u64)>>,
}

/// This machine's randomness for one start of a guest.
///
/// # Errors
/// If the system has none.
pub fn boot_seed() -> io::Result<BootSeed> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::getrandom(&mut *seed)?;
    Ok(BootSeed::from_bytes(*seed))
}

/// A guest that has said hello.
#[derive(Debug)]
pub struct Greeted {
    /// What it is.
    pub role: Role,
    /// Which of the processes that were started for the role.
    pub generation: u64,
    /// Its frames.
    pub frames: FrameStream<OwnedReadHalf>,
    /// Its messages that are longer than a frame.
    pub assembly: Assembly,
    /// The way back.
    pub writer: OwnedWriteHalf,
}

impl Guests {
    /// Guests that dial `listener`.
    ///
    /// # Errors
    /// If the listener has no address.
    pub fn new(programs: Programs, listener: &TcpListener) -> io::Result<Self> {
        Ok(Self {
            programs,
            address: listener.local_addr()?,
            expected: Mutex::default(),
        })
    }

    /// What is known of a guest's machine, if it is one.
    #[must_use]
    pub fn machine(&self, role: Role) -> Option<MachineFacts> {
        self.programs.images.as_ref()?.facts(role)
    }

    /// Starts a guest, as the image that is `claimed` if one is; the earlier one's token is void
    /// from now on.
    ///
    /// # Errors
    /// If the program or image is not there, or the system has no process or randomness left.
    pub async fn start(
        &self,
        role: Role,
        generation: u64,
        claimed: Option<&Digest>,
    ) -> io::Result<Child> {
        let mut token = Zeroizing::new([0; 32]);
        getrandom::getrandom(&mut *token)?;
        let line = Zeroizing::new(format!("{}\n", hex::encode(*token)));
        self.expect(role, LinkToken::from_bytes(*token), generation);
        let arguments: &[String] = match role {
            Role::Executor => &self.programs.executor_arguments,
            Role::Signer => &self.programs.signer_arguments,
            Role::Coordinator => &[],
        };
        let mut command = self.programs.command(role, claimed)?;
        // A machine's console is what its guest says of itself; a process says it on standard
        // error.
        let (console, errors) = match self.programs.images {
            Some(_) => (Stdio::piped(), Stdio::piped()),
            None => (Stdio::null(), Stdio::inherit()),
        };
        let program = command.as_std().get_program().to_owned();
        let mut child = command
            .arg(self.address.to_string())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(console)
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", program.display()))
            })?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(line.as_bytes()).await?;
        }
        Ok(child)
    }

    /// Hears a connection out until it has said who it is.
    ///
    /// # Errors
    /// [`WireError`] if it is not a guest that was started and has not connected yet.
    pub async fn greet(&self, socket: TcpStream) -> Result<Greeted, WireError> {
        socket.set_nodelay(true)?;
        let (reader, writer) = socket.into_split();
        let mut frames = FrameStream::new(reader);
        let first = timeout(HELLO_WAIT, frames.next()).await;
        let first = first.map_err(|_| WireError::OutOfTurn("no hello"))??;
        let Some(Frame::Local(body)) = first else {
            return Err(WireError::OutOfTurn("no hello"));
        };
        let mut assembly = Assembly::new(LOCAL_BYTES_MAX);
        let hello = assembly
            .push(&body)?
            .ok_or(WireError::OutOfTurn("no hello"))?;
        let ToNode::Hello {
            version,
            role,
            token,
        } = ToNode::from_bytes(&hello)?
        else {
            return Err(WireError::OutOfTurn("no hello"));
        };
        if version != LINK_VERSION {
            return Err(WireError::OutOfTurn("a guest of another version"));
        }
        let generation = self.recognise(role, &token);
        let generation = generation.ok_or(WireError::OutOfTurn("a guest that was not started"))?;
        Ok(Greeted {
            role,
            generation,
            frames,
            assembly,
            writer,
        })
    }

    fn expect(&self, role: Role, token: LinkToken, generation: u64) {
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        expected.insert(role, (token, generation));
    }

    fn recognise(&self, role: Role, token: &LinkToken) -> Option<u64> {
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = expected
            .get(&role)
            .filter(|(expected, _)| expected == token)
            .map(|(_, generation)| *generation)?;
        expected.remove(&role);
        Some(generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_token_is_good_for_its_role_and_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let programs = Programs::beside_current().expect("a directory");
        let guests = Guests::new(programs, &listener).expect("bound");
        let token = LinkToken::from_bytes([5; 32]);
        guests.expect(Role::Signer, token.clone(), 3);
        assert_eq!(guests.recognise(Role::Executor, &token), None);
        let other = LinkToken::from_bytes([6; 32]);
        assert_eq!(guests.recognise(Role::Signer, &other), None);
        assert_eq!(guests.recognise(Role::Signer, &token), Some(3));
        assert_eq!(guests.recognise(Role::Signer, &token), None);
    }
}
