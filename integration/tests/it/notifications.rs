//! Notifications: who is told what, by which means, and what becomes of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use daybook_database::{Executor, Pool, query};
use daybook_domain::customer::CustomerEvent;
use daybook_domain::order::OrderEvent;
use daybook_domain::values::{CustomerId, Money, PaymentId};
use daybook_event_schemas::DomainEvent;
use daybook_integration::feed::InProcessFeed;
use daybook_integration::notifications::{
    Channels, HttpChannel, Medium, Notifications, Sender, SenderOptions, SmtpChannel, Transport,
    failed, give_up, prefer, retry,
};
use daybook_integration::{Consumer, DELIVERY, Lease, discarded};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::consumers::start;
use crate::support::{Running, Shop, at, order_id, placed, until};

const CUSTOMER: CustomerId = CustomerId(Uuid::from_u128(7));

/// The consumer and the sender, on what happens in a shop.
struct Telling(Running, Running);

impl Telling {
    fn start(shop: &Shop, channels: Channels) -> Self {
        let lease = Lease { owner: "one".into(), length: Duration::from_secs(2) };
        let feed = InProcessFeed::new(
            shop.store.clone(),
            shop.pool.clone(),
            Notifications::NAME,
            Notifications::KINDS,
            lease,
        );
        let consumer = start(Notifications::default(), feed, &shop.pool);
        let options = SenderOptions {
            channels,
            attempts: 3,
            backoff: Duration::from_millis(1),
            interval: Duration::from_millis(10),
            metrics: prometheus::Registry::new(),
        };
        let sender = Sender::new(shop.pool.clone(), options).unwrap();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(sender.run(shutdown.clone()));
        Self(consumer, Running { task, shutdown })
    }

    async fn stop(self) {
        self.0.stop().await;
        self.1.stop().await;
    }
}

pub(crate) fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_micros()).unwrap()
}

pub(crate) async fn registered(shop: &Shop, email: Option<&str>) {
    let customer = CustomerEvent::Registered {
        customer: CUSTOMER,
        name: "Ada".parse().unwrap(),
        email: email.map(|email| email.parse().unwrap()),
        country: None,
        at: at(now()),
    };
    shop.happens(&format!("customer-{CUSTOMER}"), &customer).await;
}

pub(crate) async fn order(shop: &Shop, n: u128, paid_at: i64) {
    let stream = format!("order-{}", order_id(n));
    let total = Money::new(500, "GBP".parse().unwrap());
    shop.happens(&stream, &placed(n, Vec::new(), total, at(paid_at))).await;
    let payment = PaymentId(order_id(n).0);
    let paid = OrderEvent::Paid { payment, amount: total, at: at(paid_at) };
    shop.happens(&stream, &DomainEvent::Order(paid)).await;
}

/// Channel, status and attempts of every notification.
async fn history(pool: &Pool) -> Vec<(String, String, i64)> {
    let all = "SELECT channel, status, attempts FROM notifications ORDER BY channel, order_id";
    let rows = pool.fetch_all(query(all)).await.unwrap();
    let text = |row: &daybook_database::Row, at| row.str(at).unwrap().to_owned();
    rows.iter().map(|row| (text(row, 0), text(row, 1), row.i64(2).unwrap())).collect()
}

async fn settled(pool: &Pool, expected: &[(&str, &str)]) {
    until("the history", || async {
        let history = history(pool).await;
        let found: Vec<_> = history.iter().map(|(of, is, _)| (of.as_str(), is.as_str())).collect();
        found == expected
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sink_records_what_would_be_sent() {
    let shop = Shop::new().await;
    let telling = Telling::start(&shop, Channels::default());
    registered(&shop, Some("ada@example.org")).await;
    order(&shop, 1, now()).await;

    settled(&shop.pool, &[("email", "sent")]).await;
    telling.stop().await;

    let sent = "SELECT via, address, subject, body FROM notifications";
    let sent = &shop.pool.fetch_all(query(sent)).await.unwrap()[0];
    assert_eq!((sent.str(0).unwrap(), sent.str(1).unwrap()), ("sink", "ada@example.org"));
    assert!(sent.str(2).unwrap().contains(&order_id(1).to_string()));
    assert!(sent.str(3).unwrap().contains("5.00 GBP"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_of_what_is_long_past() {
    let shop = Shop::new().await;
    registered(&shop, Some("ada@example.org")).await;
    order(&shop, 1, 1_323_435_000_000_000).await;
    order(&shop, 2, now()).await;

    let telling = Telling::start(&shop, Channels::default());
    settled(&shop.pool, &[("email", "sent")]).await;
    telling.stop().await;

    let of = "SELECT order_id FROM notifications";
    let of = &shop.pool.fetch_all(query(of)).await.unwrap()[0];
    assert_eq!(of.str(0).unwrap(), order_id(2).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_told_what_they_want_where_they_want() {
    let shop = Shop::new().await;
    registered(&shop, Some("ada@example.org")).await;
    let wish = |medium, wanted, address| prefer(&shop.pool, CUSTOMER, medium, wanted, address);
    wish(Medium::Email, false, None).await.unwrap();
    wish(Medium::Sms, true, Some("+442071234567")).await.unwrap();
    for (medium, bad) in [
        (Medium::Email, "ada"),
        (Medium::Sms, "020 7123"),
        (Medium::Push, "a b"),
        (Medium::Push, ""),
    ] {
        wish(medium, true, Some(bad)).await.unwrap_err();
    }

    order(&shop, 1, now()).await;
    let telling = Telling::start(&shop, Channels::default());

    settled(&shop.pool, &[("email", "unwanted"), ("sms", "sent")]).await;
    telling.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_waits_until_the_customer_is_known() {
    let shop = Shop::new().await;
    order(&shop, 1, now()).await;
    let telling = Telling::start(&shop, Channels::default());
    let failed = [("email", "failed"), ("push", "failed"), ("sms", "failed")];
    settled(&shop.pool, &failed).await;

    registered(&shop, Some("ada@example.org")).await;
    let ids = shop.pool.fetch_all(query("SELECT id FROM notifications")).await.unwrap();
    for id in &ids {
        assert!(retry(&shop.pool, id.str(0).unwrap().parse().unwrap()).await.unwrap());
    }
    assert!(!retry(&shop.pool, Uuid::nil()).await.unwrap());

    settled(&shop.pool, &[("email", "sent")]).await;
    telling.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_that_is_given_up_is_kept_with_why() {
    let shop = Shop::new().await;
    order(&shop, 1, now()).await;
    let telling = Telling::start(&shop, Channels::default());
    settled(&shop.pool, &[("email", "failed"), ("push", "failed"), ("sms", "failed")]).await;
    telling.stop().await;
    let lost = failed(&shop.pool).await.unwrap().remove(0);

    let given_up = async || give_up(&shop.pool, lost.id, "gone away", "operator:ann").await;
    assert!(given_up().await.unwrap());
    assert!(!given_up().await.unwrap());

    assert_eq!(failed(&shop.pool).await.unwrap().len(), 2);
    let kept = discarded(&shop.pool).await.unwrap();
    assert_eq!((kept.len(), kept[0].id, &*kept[0].owner), (1, lost.id, DELIVERY));
    assert_eq!((&kept[0].key, &kept[0].kind), (&format!("order-{}", lost.order), &lost.kind));
    assert_eq!((&*kept[0].error, &*kept[0].reason), (&*lost.error, "gone away"));
    assert_eq!((&*kept[0].by, kept[0].at > 0), ("operator:ann", true));
}

/// A server that answers each connection by itself; what it read is kept.
async fn server<F>(
    answer: impl Fn(TcpStream, Arc<Mutex<Vec<String>>>) -> F + Send + 'static,
) -> (String, Arc<Mutex<Vec<String>>>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let read = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&read);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&kept)));
        }
    });
    (address, read)
}

/// Takes letters as a mail server does, but refuses those to `nobody`.
async fn mail(stream: TcpStream, letters: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 test\r\n").await.unwrap();
    let (mut line, mut letter) = (String::new(), None::<String>);
    while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
        let is_end = line == ".\r\n";
        if let Some(text) = letter.as_mut().filter(|_| !is_end) {
            text.push_str(&std::mem::take(&mut line));
            continue;
        }
        letters.lock().unwrap().extend(letter.take());
        let answer = match line.get(..4).unwrap_or_default() {
            "DATA" => {
                letter = Some(String::new());
                "354 go on\r\n"
            }
            "RCPT" if line.contains("nobody") => "550 no such user\r\n",
            _ => "250 ok\r\n",
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
        line.clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_go_through_a_mail_server() {
    let (address, letters) = server(mail).await;
    let shop = Shop::new().await;
    registered(&shop, Some("ada@example.org")).await;
    order(&shop, 1, now()).await;
    let smtp = SmtpChannel::new(&format!("smtp://{address}"), "Shop <shop@example.org>").unwrap();
    let email = Transport::Smtp(Box::new(smtp));

    let telling = Telling::start(&shop, Channels { email, ..Channels::default() });
    settled(&shop.pool, &[("email", "sent")]).await;

    let letter = letters.lock().unwrap()[0].clone();
    assert!(letter.contains("To: ada@example.org") && letter.contains("Message-ID: <"), "{letter}");
    assert!(letter.contains("Dear Ada,"), "{letter}");

    prefer(&shop.pool, CUSTOMER, Medium::Email, true, Some("nobody@example.org")).await.unwrap();
    order(&shop, 2, now()).await;
    settled(&shop.pool, &[("email", "sent"), ("email", "failed")]).await;
    assert_eq!(history(&shop.pool).await[1].2, 1, "what is refused is not tried again");
    telling.stop().await;
}

/// A provider that is busy for the first text, and takes the others.
async fn texts(stream: TcpStream, texts: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    while !request.ends_with('}') {
        let Ok(bytes) = stream.fill_buf().await else { return };
        let read = bytes.len();
        if read == 0 {
            return;
        }
        request.push_str(&String::from_utf8_lossy(bytes));
        stream.consume(read);
    }
    let is_first = texts.lock().unwrap().is_empty();
    texts.lock().unwrap().push(request);
    let status = if is_first { "503 Busy" } else { "202 Accepted" };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_go_through_a_provider_and_are_tried_again_under_the_same_id() {
    let (address, texts) = server(texts).await;
    let shop = Shop::new().await;
    registered(&shop, None).await;
    prefer(&shop.pool, CUSTOMER, Medium::Sms, true, Some("+442071234567")).await.unwrap();
    order(&shop, 1, now()).await;
    let sms = Transport::Http(HttpChannel::new(&format!("http://{address}/send")).unwrap());

    let telling = Telling::start(&shop, Channels { sms, ..Channels::default() });
    settled(&shop.pool, &[("email", "unwanted"), ("sms", "sent")]).await;
    telling.stop().await;

    let key = |text: &String| {
        let mut lines = text.lines().map(str::to_lowercase);
        lines.find(|line| line.starts_with("idempotency-key")).unwrap()
    };
    let texts = texts.lock().unwrap();
    assert_eq!((texts.len(), key(&texts[0])), (2, key(&texts[1])));
    assert!(texts[1].contains("+442071234567"), "{}", texts[1]);
}
