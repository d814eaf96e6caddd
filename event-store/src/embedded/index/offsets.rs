use bytes::Bytes;

use super::Blocks;
use crate::embedded::bytes::nth_u32;
use crate::embedded::cache::Io;
use crate::embedded::error::Fault;

/// Offsets of a piece. The events of a stream are apart: small pieces would have each of them ask
/// the cache for another one.
const PIECE: u64 = 8_192;

/// Looks at the offsets at the beginning of an index file, in large pieces through the cache.
#[derive(Debug)]
pub(super) struct Offsets<'a> {
    blocks: &'a Blocks,
    /// How many there are.
    count: u64,
    io: Io,
    held: Option<(u64, Bytes)>,
}

impl<'a> Offsets<'a> {
    pub(super) fn new(blocks: &'a Blocks, count: u64, io: Io) -> Self {
        Self { blocks, count, io, held: None }
    }

    /// The offset of an event's record; `None` where there is no such event.
    pub(super) fn get(&mut self, number: u64) -> Result<Option<u32>, Fault> {
        if number >= self.count {
            return Ok(None);
        }
        let piece = number / PIECE;
        let bytes = match self.held.take() {
            Some((held, bytes)) if held == piece => bytes,
            _ => {
                let range = piece * PIECE * 4..self.count.min((piece + 1) * PIECE) * 4;
                self.blocks.piece(piece, range, self.io)?
            }
        };
        let within = usize::try_from(number % PIECE).unwrap_or_default();
        let offset = nth_u32(&bytes, within);
        self.held = Some((piece, bytes));
        Ok(Some(offset))
    }
}
