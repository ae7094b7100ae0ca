//! Cuts off a module what a zApp does not need, section by section.

use crate::BuildError;

type Result<T> = std::result::Result<T, BuildError>;

/// The module without custom sections (but the author's two) and without exports other than the
/// memory and `zapp_main`.
///
/// # Errors
/// [`BuildError::Malformed`] if the bytes are no module.
pub fn strip(module: &[u8]) -> Result<Vec<u8>> {
    let mut rest = Reader(module);
    let header = rest.take(HEADER.len())?;
    if header != HEADER {
        return Err(BuildError::Malformed("the header of version 1 is missing"));
    }
    let mut stripped = header.to_vec();
    while !rest.0.is_empty() {
        let id = rest.byte()?;
        let content = rest.sized()?;
        match id {
            CUSTOM if !KEPT_SECTIONS.contains(&Reader(content).sized()?) => {}
            EXPORT => push_section(&mut stripped, id, &kept_exports(content)?)?,
            _ => push_section(&mut stripped, id, content)?,
        }
    }
    Ok(stripped)
}

fn kept_exports(content: &[u8]) -> Result<Vec<u8>> {
    let mut rest = Reader(content);
    let mut kept = Vec::new();
    let mut count = 0;
    for _ in 0..rest.number()? {
        let before = rest.0;
        let name = rest.sized()?;
        rest.byte()?;
        rest.number()?;
        if KEPT_EXPORTS.contains(&name) {
            let length = before.len() - rest.0.len();
            kept.extend_from_slice(Reader(before).take(length)?);
            count += 1;
        }
    }
    let mut exports = Vec::new();
    push_number(&mut exports, count);
    exports.extend_from_slice(&kept);
    Ok(exports)
}

fn push_section(module: &mut Vec<u8>, id: u8, content: &[u8]) -> Result<()> {
    module.push(id);
    let length = u32::try_from(content.len());
    push_number(module, length.map_err(|_| LONG_NUMBER)?);
    module.extend_from_slice(content);
    Ok(())
}

/// Unsigned LEB128.
fn push_number(bytes: &mut Vec<u8>, mut value: u32) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            bytes.push(low & 0x7f);
            return;
        }
        bytes.push(low | 0x80);
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let Some((head, rest)) = self.0.split_at_checked(length) else {
            return Err(BuildError::Malformed("it ends early"));
        };
        self.0 = rest;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?.iter().copied().sum())
    }

    fn number(&mut self) -> Result<u32> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| LONG_NUMBER);
            }
        }
        Err(LONG_NUMBER)
    }

    fn sized(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.number()?).map_err(|_| LONG_NUMBER)?;
        self.take(length)
    }
}

const LONG_NUMBER: BuildError = BuildError::Malformed("a number has more than 32 bits");
const HEADER: &[u8] = b"\0asm\x01\0\0\0";
const CUSTOM: u8 = 0;
const EXPORT: u8 = 7;
const KEPT_SECTIONS: &[&[u8]] = &[b"zapp.abi", b"zapp.manifest"];
const KEPT_EXPORTS: &[&[u8]] = &[b"memory", b"zapp_main"];

#[cfg(test)]
mod tests {
    use super::*;

    fn section(id: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        push_section(&mut bytes, id, content).expect("short");
        bytes
    }

    fn custom(name: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        push_number(&mut content, u32::try_from(name.len()).expect("short"));
        content.extend_from_slice(name);
        content.extend_from_slice(&[1, 2, 3]);
        section(CUSTOM, &content)
    }

    #[test]
    fn only_the_authors_sections_and_the_two_exports_stay() {
        let long = section(11, &[7; 300]);
        let exports = b"\x03\x06memory\x02\x00\x0a__data_end\x03\x01\x09zapp_main\x00\x81\x01";
        let module = [
            HEADER,
            &custom(b"name"),
            &section(EXPORT, exports),
            &long,
            &custom(b"zapp.abi"),
            &custom(b"producers"),
        ];
        let kept = b"\x02\x06memory\x02\x00\x09zapp_main\x00\x81\x01";
        let expected = [HEADER, &section(EXPORT, kept), &long, &custom(b"zapp.abi")];
        let stripped = strip(&module.concat()).expect("a module");
        assert_eq!(stripped, expected.concat());
        assert_eq!(strip(&stripped).expect("a module"), stripped);
    }

    #[test]
    fn what_is_no_module_is_refused() {
        let cut = [HEADER, &section(11, &[7; 300])].concat();
        let endless = [HEADER, &[11, 0x80, 0x80, 0x80, 0x80, 0x80, 0]].concat();
        for bytes in [b"".as_slice(), b"\0asm\x02\0\0\0", &cut[..100], &endless] {
            assert!(strip(bytes).is_err());
        }
    }
}
