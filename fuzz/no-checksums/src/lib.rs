//! Checksums that say nothing.

/// The checksum of all bytes.
pub fn crc32c(_: &[u8]) -> u32 {
    0
}

/// The checksum of all bytes and more.
pub fn crc32c_append(_: u32, _: &[u8]) -> u32 {
    0
}
