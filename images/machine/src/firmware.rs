//! QEMU's firmware configuration device (`fw_cfg`): files that the host hands to its guest, which
//! no other process of the host sees on a command line.
//!
//! The device is two ports: one selects an item, the other gives its bytes one by one. Item 0x19
//! is the directory: a big-endian count, then entries of 64 bytes (size, item, reserved, name).

/// Most files that a directory may have: more is no directory.
const FILES_MAX: u32 = 256;
const SIGNATURE: u16 = 0x00;
const DIRECTORY: u16 = 0x19;

/// Why a file is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FirmwareError {
    /// There is no such device.
    #[error("the machine has no firmware configuration device")]
    NoDevice,
    /// The host does not offer the file.
    #[error("the host offers no such file")]
    NoFile,
    /// The file is longer than it may be.
    #[error("the file is longer than it may be")]
    TooLong,
}

/// The device's two ports.
pub trait Ports {
    /// Selects an item; reading begins at its first byte.
    fn select(&mut self, item: u16);
    /// The item's next byte; zero beyond its end.
    fn read(&mut self) -> u8;
}

/// The bytes of the file `name`.
///
/// # Errors
/// [`FirmwareError`] if it is not there or longer than `bytes_max`.
pub fn file(
    device: &mut impl Ports,
    name: &str,
    bytes_max: usize,
) -> Result<Vec<u8>, FirmwareError> {
    device.select(SIGNATURE);
    if take::<4>(device) != *b"QEMU" {
        return Err(FirmwareError::NoDevice);
    }
    let (item, bytes) = find(device, name)?;
    if bytes > bytes_max {
        return Err(FirmwareError::TooLong);
    }
    device.select(item);
    Ok((0..bytes).map(|_| device.read()).collect())
}

fn find(device: &mut impl Ports, name: &str) -> Result<(u16, usize), FirmwareError> {
    device.select(DIRECTORY);
    let count = u32::from_be_bytes(take(device));
    for _ in 0..count.min(FILES_MAX) {
        let bytes = u32::from_be_bytes(take(device));
        let item = u16::from_be_bytes(take(device));
        let _reserved: [u8; 2] = take(device);
        let field: [u8; 56] = take(device);
        let written = field.split(|byte| *byte == 0).next();
        if written == Some(name.as_bytes()) {
            let bytes = usize::try_from(bytes).map_err(|_| FirmwareError::TooLong)?;
            return Ok((item, bytes));
        }
    }
    Err(FirmwareError::NoFile)
}

fn take<const N: usize>(device: &mut impl Ports) -> [u8; N] {
    core::array::from_fn(|_| device.read())
}

/// The device of this machine.
#[cfg(target_os = "hermit")]
#[derive(Debug)]
pub struct Device;

#[cfg(target_os = "hermit")]
#[allow(unsafe_code, reason = "ports are reached by instructions alone")]
impl Ports for Device {
    fn select(&mut self, item: u16) {
        // SAFETY: the selector of fw_cfg; without the device the write goes nowhere. Guests run
        // in ring 0, where the instruction is allowed.
        unsafe {
            core::arch::asm!("out dx, ax", in("dx") 0x510_u16, in("ax") item, options(nomem, nostack));
        }
    }

    fn read(&mut self) -> u8 {
        let byte: u8;
        // SAFETY: as above, for the data port.
        unsafe {
            core::arch::asm!("in al, dx", in("dx") 0x511_u16, out("al") byte, options(nomem, nostack));
        }
        byte
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Default)]
    struct Played {
        items: BTreeMap<u16, Vec<u8>>,
        selected: u16,
        at: usize,
    }

    impl Ports for Played {
        fn select(&mut self, item: u16) {
            (self.selected, self.at) = (item, 0);
        }

        fn read(&mut self) -> u8 {
            let item = self.items.get(&self.selected);
            let byte = item.and_then(|item| item.get(self.at)).copied();
            self.at += 1;
            byte.unwrap_or(0)
        }
    }

    fn with(files: &[(&str, &[u8])]) -> Played {
        let mut directory = u32::try_from(files.len())
            .expect("few")
            .to_be_bytes()
            .to_vec();
        let mut items = BTreeMap::from([(SIGNATURE, b"QEMU".to_vec())]);
        for (item, (name, bytes)) in (0x20_u16..).zip(files) {
            let length = u32::try_from(bytes.len()).expect("short");
            directory.extend_from_slice(&length.to_be_bytes());
            directory.extend_from_slice(&item.to_be_bytes());
            directory.extend_from_slice(&[0; 2]);
            let mut field = name.as_bytes().to_vec();
            field.resize(56, 0);
            directory.extend_from_slice(&field);
            items.insert(item, bytes.to_vec());
        }
        items.insert(DIRECTORY, directory);
        Played {
            items,
            ..Played::default()
        }
    }

    #[test]
    fn a_file_is_found_by_its_whole_name() {
        let mut device = with(&[("opt/a/tokens", b"no"), ("opt/a/token", b"yes")]);
        assert_eq!(file(&mut device, "opt/a/token", 3), Ok(b"yes".to_vec()));
        let missing = file(&mut device, "opt/a/tok", 3);
        assert_eq!(missing, Err(FirmwareError::NoFile));
    }

    #[test]
    fn a_machine_without_device_and_a_long_file_are_refused() {
        let none = file(&mut Played::default(), "opt/a", 3);
        assert_eq!(none, Err(FirmwareError::NoDevice));
        let long = file(&mut with(&[("opt/a", b"four")]), "opt/a", 3);
        assert_eq!(long, Err(FirmwareError::TooLong));
    }

    #[test]
    fn a_directory_that_claims_to_be_endless_ends() {
        let mut device = with(&[]);
        device.items.insert(DIRECTORY, vec![0xff; 4]);
        assert_eq!(file(&mut device, "opt/a", 3), Err(FirmwareError::NoFile));
    }
}
