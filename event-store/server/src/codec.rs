//! The codec of all calls: prost's, but for what a message takes in memory beside its bytes. An
//! empty record has two of them on the wire, and some hundreds once it was read.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost::{Message, Name};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic_prost::{ProstCodec, ProstDecoder};

use crate::budget::{Held, Share};

/// What each message within a message, and each value of a list, is taken to need.
const EACH: usize = 256;
/// How deep messages may be within each other; prost reads none that are deeper.
const DEPTH: usize = 100;

/// A field with which a message grows in memory: a message, with its place in the table of all of
/// them, or a list.
type Field = (u32, Option<usize>);
/// The fields of each message, by name.
static GROWING: &[(&str, &[Field])] = include!(concat!(env!("OUT_DIR"), "/growing.rs"));

tokio::task_local! {
    static CALL: Decoded;
}

/// What a call holds for the message that was read last.
#[derive(Debug, Clone)]
pub(crate) struct Decoded {
    share: Share,
    held: Arc<Mutex<Option<Held>>>,
}

impl Decoded {
    /// Nothing yet.
    pub(crate) fn new(share: Share) -> Self {
        Self { share, held: Arc::default() }
    }

    /// Answers a call, whose messages are counted.
    pub(crate) async fn count<T>(self, call: impl Future<Output = T>) -> T {
        CALL.scope(self, call).await
    }

    /// Holds what the next message takes; the one before was dealt with.
    fn hold(&self, bytes: usize) -> Result<(), Status> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        *held = None;
        let mut next = self.share.nothing();
        next.grow(bytes)?;
        *held = Some(next);
        Ok(())
    }
}

/// prost's codec for a call's messages, which are counted.
#[derive(Debug)]
pub(crate) struct CountingCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for CountingCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for CountingCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = RoomyEncoder<T>;
    type Decoder = CountingDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        RoomyEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        let prost = ProstCodec::<T, U>::raw_decoder(buffers());
        CountingDecoder { prost, message: place::<U>(), call: CALL.try_with(Decoded::clone).ok() }
    }
}

/// What each call begins with, there and back. Most have no more to say, and the allocator has
/// pieces of up to 1,032 bytes at hand.
const BUFFER: usize = 1_000;
/// The bytes of messages that are sent together, if they are there. With the last of them they fill
/// two frames of HTTP/2 and seldom begin a third, which would be as much work for the system.
const TOGETHER: usize = 30 << 10;

fn buffers() -> BufferSettings {
    BufferSettings::new(BUFFER, TOGETHER)
}

/// The room that is made for messages, where there is too little: about as much as is sent at once.
const ROOM: usize = 40 << 10;

/// Writes a call's messages. Room for one is made before it is written, and for many of them at
/// once: what is written so far is copied then.
#[derive(Debug)]
pub(crate) struct RoomyEncoder<T>(PhantomData<T>);

impl<T: Message> Encoder for RoomyEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let length = message.encoded_len();
        if buffer.chunk_mut().len() < length {
            buffer.reserve(length.max(ROOM));
        }
        message.encode_raw(buffer);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

/// Reads a call's messages, if the call can hold what they take.
#[derive(Debug)]
pub(crate) struct CountingDecoder<U> {
    prost: ProstDecoder<U>,
    /// Its place among [`GROWING`].
    message: Option<usize>,
    call: Option<Decoded>,
}

impl<U: Message + Default> Decoder for CountingDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        if let (Some(call), Some(message)) = (&self.call, self.message) {
            call.hold(EACH * parts(buffer.chunk(), message, DEPTH))?;
        }
        self.prost.decode(buffer)
    }
}

/// The place of a message among [`GROWING`]; none if it is not of this protocol.
fn place<M: Name>() -> Option<usize> {
    GROWING.binary_search_by_key(&&*M::full_name(), |(name, _)| name).ok()
}

/// How many messages and values of lists are in a message, at any depth. What is malformed ends
/// the count: it will not be read either.
fn parts(mut bytes: &[u8], message: usize, depth: usize) -> usize {
    let (growing, mut parts) = (GROWING[message].1, 0);
    while !bytes.is_empty() {
        let Ok((tag, wire)) = decode_key(&mut bytes) else { break };
        let field = growing.iter().find(|(known, _)| *known == tag);
        parts += usize::from(field.is_some());
        match field {
            Some((_, inner)) if wire == WireType::LengthDelimited && depth > 0 => {
                let length = decode_varint(&mut bytes).ok().and_then(|n| usize::try_from(n).ok());
                let Some((within, rest)) = length.and_then(|n| bytes.split_at_checked(n)) else {
                    break;
                };
                parts += inner.map_or(0, |inner| self::parts(within, inner, depth - 1));
                bytes = rest;
            }
            _ => {
                if skip_field(wire, tag, &mut bytes, DecodeContext::default()).is_err() {
                    break;
                }
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::bytes::Bytes;
    use tonic::Code;

    use super::*;
    use crate::budget::{Budget, FREE};
    use crate::protocol::sessions::{AppendRecord, AppendRecordsRequest};
    use crate::protocol::streams::ReadReq;
    use crate::protocol::streams::read_req::Options;
    use crate::protocol::streams::read_req::options::filter_options::{Expression, Filter};
    use crate::protocol::streams::read_req::options::{FilterOption, FilterOptions};

    fn parts_of<M: Message + Name>(message: &M) -> usize {
        parts(&message.encode_to_vec(), place::<M>().unwrap(), DEPTH)
    }

    #[test]
    fn records_that_are_empty_count() {
        let records = |n| AppendRecordsRequest {
            records: vec![AppendRecord::default(); n],
            checks: Vec::new(),
        };
        assert_eq!([0, 1, 10_000].map(|n| parts_of(&records(n))), [0, 1, 10_000]);
    }

    #[test]
    fn what_is_far_within_counts() {
        let prefix = vec![String::new(); 7];
        let expression = Expression { regex: String::new(), prefix };
        let filter = Some(Filter::EventType(expression));
        let filter = FilterOption::Filter(FilterOptions { filter, ..FilterOptions::default() });
        let options = Options { filter_option: Some(filter), ..Options::default() };
        // The options, their filter, its expression, and its prefixes.
        assert_eq!(parts_of(&ReadReq { options: Some(options) }), 3 + 7);
    }

    #[test]
    fn payloads_do_not_count() {
        let data = Bytes::from(AppendRecordsRequest::default().encode_to_vec());
        let data = Bytes::from([&data[..], &[10, 0, 10, 0, 10, 0]].concat());
        let records = vec![AppendRecord { data, ..AppendRecord::default() }];
        assert_eq!(parts_of(&AppendRecordsRequest { records, checks: Vec::new() }), 1);
    }

    #[test]
    fn a_call_holds_its_last_message() {
        let budget = Budget::new(1_000);
        let call = Decoded::new(budget.share());

        call.hold(FREE + 1_000).unwrap();
        assert_eq!(call.hold(FREE + 1_001).unwrap_err().code(), Code::ResourceExhausted);
        call.hold(FREE + 1_000).unwrap();
        assert_eq!(budget.held(), 1_000);

        drop(call);
        assert_eq!(budget.held(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_counted_to_their_end(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let message = place::<AppendRecordsRequest>().unwrap();
            prop_assert!(parts(&bytes, message, DEPTH) <= bytes.len());
        }
    }
}
