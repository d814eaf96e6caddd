//! A shop behind its API.

use std::time::Duration;

use anyhow::{Context, bail};
use daybook_domain::values::{Money, OrderId};
use daybook_event_schemas::format_timestamp;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::online_retail::Invoice;
use super::shop::{
    PAYMENT_METHOD, Person, Shop, Supply, command_id, customer_id, order_id, pounds, seller,
};

/// How often a request that may be repeated is repeated, and how long in between at most.
const ATTEMPTS: u32 = 10;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long an order, or the read models, may stand still before the import gives up.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running server as a shop.
pub(crate) struct Rest {
    client: Client,
    url: String,
}

/// What the server said.
struct Answer {
    status: StatusCode,
    body: Value,
}

/// How far the server's read models are.
#[derive(Deserialize)]
struct Progress {
    head: Option<u64>,
    projections: Vec<Projection>,
    /// Databases that cannot be read, and may be behind.
    #[serde(default)]
    unread: Vec<String>,
}

#[derive(Deserialize)]
struct Projection {
    live: bool,
    position: Option<u64>,
}

impl Rest {
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        let client = Client::builder().timeout(Duration::from_secs(30)).build()?;
        let parsed = reqwest::Url::parse(url)
            .with_context(|| format!("{url:?} is not a URL; try http://127.0.0.1:8420"))?;
        Ok(Self { client, url: parsed.as_str().trim_end_matches('/').to_owned() })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.url))
            .header("X-Daybook-Actor", "import:online-retail")
    }

    async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(|| self.request(Method::GET, path)).await
    }

    async fn projections(&self) -> anyhow::Result<Progress> {
        Ok(serde_json::from_value(self.get("/v1/projections").await?.body)?)
    }

    /// Sends a command once for all time, however often it is sent: `what` names it.
    async fn command(&self, path: &str, what: &str, body: &Value) -> anyhow::Result<Answer> {
        let key = command_id(what).to_string();
        self.send(|| self.request(Method::POST, path).header("Idempotency-Key", &key).json(body))
            .await
    }

    /// Sends a command that may have been carried out before, by whatever key.
    async fn done(&self, path: &str, what: &str, body: &Value, done: &str) -> anyhow::Result<()> {
        let answer = self.command(path, what, body).await?;
        if answer.status.is_success() || answer.body["rule"] == done {
            return Ok(());
        }
        Err(answer.refusal(what))
    }

    /// Sends a request until it is answered for good.
    async fn send(&self, request: impl Fn() -> RequestBuilder) -> anyhow::Result<Answer> {
        let mut pause = Duration::from_millis(50);
        for attempt in 1.. {
            match answer(request()).await {
                Ok(answer) if !answer.is_passing() || attempt == ATTEMPTS => return Ok(answer),
                Err(error) if attempt == ATTEMPTS => {
                    return Err(error)
                        .with_context(|| format!("no answer from the server at {}", self.url));
                }
                Ok(_) | Err(_) => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        unreachable!("the last attempt returns")
    }

    /// The order once the server says that it has got where it should.
    async fn until(&self, order: OrderId, reached: fn(&str) -> bool) -> anyhow::Result<Value> {
        let path = format!("/v1/orders/{order}");
        let (mut pause, mut waited) = (Duration::from_millis(5), Duration::ZERO);
        while waited < PATIENCE {
            let answer = self.get(&path).await?;
            let status = answer.body["status"].as_str().unwrap_or_default();
            if reached(status) {
                return Ok(answer.body);
            }
            if status == "cancelled" {
                bail!("order {order} was cancelled: {}", answer.body["cancellation"]);
            }
            tokio::time::sleep(pause).await;
            waited += pause;
            pause = (pause * 2).min(Duration::from_millis(250));
        }
        bail!("order {order} stands still; look at {}{path}", self.url)
    }
}

async fn answer(request: RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let status = response.status();
    let body = response.bytes().await?;
    Ok(Answer { status, body: serde_json::from_slice(&body).unwrap_or_default() })
}

impl Answer {
    /// Whether the same request may get another answer later.
    fn is_passing(&self) -> bool {
        self.status.is_server_error()
            || matches!(self.status, StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS)
    }

    fn refusal(&self, what: &str) -> anyhow::Error {
        let detail = self.body["detail"].as_str().unwrap_or("the server gave no reason");
        anyhow::anyhow!("{what}: {} ({detail})", self.status)
    }
}

impl Shop for Rest {
    async fn supply(&self, supply: Supply) -> anyhow::Result<()> {
        let Supply { sku, name, price, quantity, receipt, .. } = supply;
        let product = json!({
            "sku": sku.as_str(),
            "seller": seller().as_str(),
            "name": name.as_str(),
            "category": "Gifts",
            "price": money(price),
        });
        self.done("/v1/products", &format!("list {sku}"), &product, "already-listed").await?;
        let path = format!("/v1/stock/{}/receipts", segment(sku.as_str())?);
        let what = format!("{receipt} {sku}");
        let receive = json!({ "receipt": receipt, "quantity": quantity.get() });
        let answer = self.command(&path, &what, &receive).await?;
        if answer.status.is_success() { Ok(()) } else { Err(answer.refusal(&what)) }
    }

    async fn register(&self, person: Person) -> anyhow::Result<()> {
        let Person { id, name, country, .. } = person;
        let mut customer = json!({ "id": id.to_string(), "name": name.as_str() });
        if let Some(country) = country {
            customer["country"] = country.as_str().into();
        }
        self.done("/v1/customers", &format!("register {id}"), &customer, "already-registered").await
    }

    async fn trade(&self, invoice: Invoice) -> anyhow::Result<Money> {
        let order = order_id(&invoice.number);
        let lines = invoice.lines.iter().map(|line| {
            json!({
                "sku": line.sku.as_str(),
                "quantity": line.quantity.get(),
                "agreedPrice": money(pounds(line.unit_price)),
            })
        });
        let place = json!({
            "id": order.to_string(),
            "customer": customer_id(&invoice.customer).to_string(),
            "lines": lines.collect::<Vec<_>>(),
            "paymentMethod": PAYMENT_METHOD,
            "placedAt": format_timestamp(invoice.at),
        });
        self.done("/v1/orders", &format!("place {order}"), &place, "already-placed").await?;
        self.until(order, |status| matches!(status, "paid" | "fulfilled")).await?;
        let ship =
            json!({ "seller": seller().as_str(), "shippedAt": format_timestamp(invoice.at) });
        let path = format!("/v1/orders/{order}/shipments");
        self.done(&path, &format!("ship {order}"), &ship, "already-shipped").await?;
        let done = self.until(order, |status| status == "fulfilled").await?;
        let pence = done["total"]["amount"].as_i64().context("the order has no total")?;
        Ok(pounds(pence))
    }

    async fn events(&self) -> anyhow::Result<u64> {
        Ok(self.projections().await?.head.map_or(0, |last| last + 1))
    }

    async fn settle(&self) -> anyhow::Result<()> {
        let mut waited = Duration::ZERO;
        let pause = Duration::from_millis(50);
        while waited < PATIENCE {
            let Progress { head, projections, unread } = self.projections().await?;
            let mut live = projections.iter().filter(|one| one.live);
            if unread.is_empty() && live.all(|one| one.position >= head) {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
            waited += pause;
        }
        bail!("the read models stay behind; look at {}/v1/projections", self.url)
    }
}

/// A text as one segment of a URL's path.
fn segment(text: &str) -> anyhow::Result<String> {
    let mut url = reqwest::Url::parse("http://localhost")?;
    if let Ok(mut path) = url.path_segments_mut() {
        path.push(text);
    }
    Ok(url.path().trim_start_matches('/').to_owned())
}

fn money(money: Money) -> Value {
    json!({ "amount": money.minor, "currency": money.currency.code() })
}
