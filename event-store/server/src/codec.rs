//! The codec of all calls: prost's, but for what a message takes in memory beside its bytes. An
//! empty record has two of them on the wire, and some hundreds once it was read.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost::{Message, Name};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

use crate::budget::{Held, Share};

/// What each message within a message, and each value of a list, is taken to need.
const EACH: usize = 256;
/// How deep messages may be within each other; prost reads none that are deeper.
const DEPTH: usize = 100;

/// Of each message, by name, the fields with which it grows in memory: those of messages, with the
/// name of what they are, and lists.
static GROWING: &[(&str, &[(u32, &str)])] = include!(concat!(env!("OUT_DIR"), "/growing.rs"));

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
    type Encoder = ProstEncoder<T>;
    type Decoder = CountingDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        let prost = ProstCodec::<T, U>::raw_decoder(BufferSettings::default());
        CountingDecoder { prost, name: U::full_name(), call: CALL.try_with(Decoded::clone).ok() }
    }
}

/// Reads a call's messages, if the call can hold what they take.
#[derive(Debug)]
pub(crate) struct CountingDecoder<U> {
    prost: ProstDecoder<U>,
    name: String,
    call: Option<Decoded>,
}

impl<U: Message + Default> Decoder for CountingDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        if let Some(call) = &self.call {
            call.hold(EACH * parts(buffer.chunk(), &self.name, DEPTH))?;
        }
        self.prost.decode(buffer)
    }
}

/// How many messages and values of lists are in a message, at any depth. What is malformed ends
/// the count: it will not be read either.
fn parts(mut bytes: &[u8], message: &str, depth: usize) -> usize {
    let known = GROWING.binary_search_by_key(&message, |(name, _)| name);
    let (growing, mut parts) = (known.map_or(&[][..], |at| GROWING[at].1), 0);
    while let Ok((tag, wire)) = decode_key(&mut bytes) {
        let field = growing.iter().find(|(known, _)| *known == tag);
        parts += usize::from(field.is_some());
        match field {
            Some((_, inner)) if wire == WireType::LengthDelimited && depth > 0 => {
                let length = decode_varint(&mut bytes).ok().and_then(|n| usize::try_from(n).ok());
                let Some((within, rest)) = length.and_then(|n| bytes.split_at_checked(n)) else {
                    break;
                };
                if !inner.is_empty() {
                    parts += self::parts(within, inner, depth - 1);
                }
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
        parts(&message.encode_to_vec(), &M::full_name(), DEPTH)
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
            let name = AppendRecordsRequest::full_name();
            prop_assert!(parts(&bytes, &name, DEPTH) <= bytes.len());
        }
    }
}
