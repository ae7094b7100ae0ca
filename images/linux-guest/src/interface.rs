//! A network interface gets its IPv4 address and is switched on, by the three requests of
//! netdevice(7).

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd as _;

use libc::{c_char, c_short, ifreq, sockaddr, sockaddr_in};

const MASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);

/// Sets the address in a network of 256 and switches the interface on.
///
/// # Errors
/// What the kernel says.
pub fn configure(name: &str, address: Ipv4Addr) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let mut wanted = request(name);
    wanted.ifr_ifru.ifru_addr = socket_address(address);
    send(&socket, libc::SIOCSIFADDR, &wanted)?;
    wanted.ifr_ifru.ifru_netmask = socket_address(MASK);
    send(&socket, libc::SIOCSIFNETMASK, &wanted)?;
    #[allow(clippy::cast_possible_truncation, reason = "the flag is 1")]
    let up = libc::IFF_UP as c_short;
    wanted.ifr_ifru.ifru_flags = up;
    send(&socket, libc::SIOCSIFFLAGS, &wanted)
}

#[allow(unsafe_code, reason = "the kernel's structure is made of zeros")]
fn request(name: &str) -> ifreq {
    // SAFETY: numbers and a union of numbers: all zeros is a value of each.
    let mut request: ifreq = unsafe { std::mem::zeroed() };
    let last = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name.iter_mut().take(last).zip(name.bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    request
}

#[allow(unsafe_code, reason = "the kernel's structures overlay each other")]
fn socket_address(address: Ipv4Addr) -> sockaddr {
    // SAFETY: numbers alone: all zeros is a value.
    let mut internet: sockaddr_in = unsafe { std::mem::zeroed() };
    #[allow(clippy::cast_possible_truncation, reason = "the family is 2")]
    let family = libc::AF_INET as libc::sa_family_t;
    internet.sin_family = family;
    internet.sin_addr.s_addr = u32::from(address).to_be();
    // SAFETY: both have 16 bytes and the family first; that is how the interface is defined.
    unsafe { std::mem::transmute::<sockaddr_in, sockaddr>(internet) }
}

#[allow(unsafe_code, reason = "the request has no other interface")]
fn send(socket: &UdpSocket, request: libc::Ioctl, argument: &ifreq) -> io::Result<()> {
    // SAFETY: the three requests read an `ifreq`, which outlives the call.
    match unsafe { libc::ioctl(socket.as_raw_fd(), request, std::ptr::from_ref(argument)) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
