//! The guest's side of the kernel's tests: one test per boot, named by the first argument, each
//! about one patch. The host's side (`cargo xtask image test`) plays the peer, watches the console
//! and decides; this side prints `passed` if what it sees is right.

use std::process::ExitCode;

#[cfg(target_os = "hermit")]
mod memory;
#[cfg(target_os = "hermit")]
mod network;
#[cfg(target_os = "hermit")]
mod system_calls;
#[cfg(target_os = "hermit")]
mod threads;

#[cfg(target_os = "hermit")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["randomness"] => randomness(),
        ["poll-timeout", peer] => network::poll_timeout(peer),
        ["close-limit", peer] => network::close_limit(peer),
        ["connect-timeout", silent, refusing] => network::connect_timeout(silent, refusing),
        ["ephemeral-ports", refusing] => network::ephemeral_ports(refusing),
        ["late-answer", peer] => network::late_answer(peer),
        ["nodelay", peer] => network::nodelay(peer),
        ["sequence-numbers", peer] => network::sequence_numbers(peer),
        ["no-listening"] => network::no_listening(),
        ["woken-twice"] => threads::woken_twice(),
        ["write-and-execute"] => memory::write_and_execute(),
        ["write-to-code"] => memory::write_to_code(),
        ["run-data"] => memory::run_data(),
        ["unmap-parts"] => memory::unmap_parts(),
        ["protect-parts"] => memory::protect_parts(),
        ["exhaustion"] => memory::exhaustion(),
        // What a node gives its guests is its address.
        [address] if address.parse::<std::net::SocketAddr>().is_ok() => {
            panic!("a guest that panics")
        }
        _ => Err("no such test".into()),
    };
    match done {
        Ok(()) => {
            println!("passed");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("failed: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The kernel's randomness and the processor's both come, and not the same twice.
#[cfg(target_os = "hermit")]
fn randomness() -> Result<(), String> {
    let kernel = [system_calls::randomness()?, system_calls::randomness()?];
    let mut processor = [[0; 32]; 2];
    for bytes in &mut processor {
        machine::randomness::fill(bytes).map_err(|error| error.to_string())?;
    }
    if kernel[0] == kernel[1] || processor[0] == processor[1] {
        return Err("the same bytes twice".into());
    }
    Ok(())
}

#[cfg(not(target_os = "hermit"))]
fn main() -> ExitCode {
    eprintln!("zq-guest-tests runs in a virtual machine: cargo xtask image test");
    ExitCode::FAILURE
}
