//! Numbers in little-endian byte order, and between widths.

use uuid::Uuid;

/// A length or offset in memory. Saturates, which no file that fits an address space does.
pub(crate) fn size(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// An offset or count within a segment, all of which the options keep under 4 GiB.
pub(crate) fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

/// The n-th of an array of numbers.
pub(crate) fn nth_u32(bytes: &[u8], n: usize) -> u32 {
    u32_at(bytes, n * 4)
}

/// The bytes at an offset, which the caller has found to be there.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

/// Spreads the bits of a number evenly (the finalizer of splitmix64).
pub(crate) fn mix(mut n: u64) -> u64 {
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// A hash of a stream's name that is the same on every machine and for ever (FNV-1a, mixed).
pub(crate) fn hash_name(name: &str) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(name.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step))
}

/// A hash of an event's id that is the same on every machine and for ever.
pub(crate) fn hash_id(id: Uuid) -> u64 {
    let (high, low) = id.as_u64_pair();
    mix(high.wrapping_add(mix(low)))
}

/// A hash of what an event is known by: the [hash](hash_name) of its stream's name, and its id.
pub(crate) fn hash_event(stream: u64, id: Uuid) -> u64 {
    mix(stream ^ hash_id(id))
}
