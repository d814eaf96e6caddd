//! What it costs to write and to read an event: `cargo bench -p daybook-event-schemas`.

use std::fs;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use daybook_domain::Effect;
use daybook_domain::checkout::{Checkout, CheckoutCommand, CheckoutFact, CheckoutInput};
use daybook_domain::order::OrderEvent;
use daybook_domain::stock::StockEvent;
use daybook_domain::values::{OrderId, Quantity, Sku, Timestamp};
use daybook_event_schemas::{Actor, Advanced, Contract, DomainEvent, Metadata, open, seal};
use daybook_event_store::{Position, Recorded, RecordedEvent, Revision, StreamId};
use uuid::Uuid;

/// SKUs of the largest order of a real retailer's year.
const SKUS: usize = 542;

fn fixture<E: Contract>(kind: &str) -> E {
    let path = format!("{}/fixtures/{kind}.v1.json", env!("CARGO_MANIFEST_DIR"));
    let data = fs::read(&path).expect("the fixture is there");
    E::decode(kind, 1, &data).expect("it can be read").expect("it is not retired")
}

/// A checkout that learns of an order and reserves all of it.
fn large_checkout() -> Advanced<Checkout> {
    let at = Timestamp::from_micros(1_323_435_000_000_000);
    let quantity = Quantity::try_from(6).expect("it is in range");
    let skus = (0..SKUS).map(|n| format!("{}", 20_000 + n).parse::<Sku>().expect("it is a SKU"));
    let inputs = skus.clone().map(|sku| CheckoutInput {
        order: OrderId(Uuid::nil()),
        at,
        what: CheckoutFact::Reserved { sku },
    });
    let reserve = |sku| CheckoutCommand::Reserve { sku, quantity, expires_at: at };
    let effects = skus.map(|sku| Effect::Dispatch(reserve(sku)));
    Advanced { inputs: inputs.collect(), effects: effects.collect(), upto: 42 }
}

fn measure<E: Contract>(c: &mut Criterion, name: &str, event: &E) {
    let wire = event.encode();
    let mut group = c.benchmark_group(format!("{name}, {} bytes", wire.data.len()));
    group.bench_function("encode", |b| b.iter(|| black_box(event).encode()));
    group.bench_function("decode", |b| {
        b.iter(|| E::decode(wire.kind, wire.version, black_box(&wire.data)));
    });
    group.finish();
}

fn measure_whole(c: &mut Criterion, event: &StockEvent) {
    let id = Uuid::from_u128(0x0190_f0c4_0a2b_7c3d_8e4f_5a6b_7c8d_9e0f);
    let metadata = Metadata {
        schema_version: 1,
        correlation_id: id,
        causation_id: id,
        actor: Actor("process:checkout".into()),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
    };
    let sealed = seal(id, event, &metadata);
    let recorded = RecordedEvent {
        stream: StreamId::new("stock", "22423").expect("it is a stream's name"),
        revision: Revision::START,
        position: Position(0),
        recorded_at: 0,
        id,
        kind: sealed.kind,
        data: sealed.data,
        metadata: sealed.metadata,
        is_json: true,
    };
    let recorded = Recorded::from(recorded);
    c.bench_function("StockReserved with metadata/seal", |b| {
        b.iter(|| seal(id, black_box(event), &metadata));
    });
    c.bench_function("StockReserved with metadata/open", |b| {
        b.iter(|| open::<DomainEvent>(black_box(&recorded)));
    });
}

fn codec(c: &mut Criterion) {
    measure::<StockEvent>(c, "StockReserved", &fixture("StockReserved"));
    measure::<DomainEvent>(c, "StockReserved as a domain event", &fixture("StockReserved"));
    measure::<OrderEvent>(c, "OrderPlaced of 2 lines", &fixture("OrderPlaced"));
    measure(c, "CheckoutAdvanced of 542 SKUs", &large_checkout());
    measure_whole(c, &fixture("StockReserved"));
}

criterion_group!(benches, codec);
criterion_main!(benches);
