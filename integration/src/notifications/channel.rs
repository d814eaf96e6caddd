//! How customers are reached: the port, and what is behind it.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::AsyncSmtpTransport;
use lettre::{AsyncTransport as _, Message as Mail, Tokio1Executor};
use reqwest::{Client, StatusCode};
use serde_json::json;
use thiserror::Error;
use uuid::Uuid;

/// How long a server may take to accept a notification.
const PATIENCE: Duration = Duration::from_secs(20);

/// The means of telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// A letter to an address.
    Email,
    /// A text to a phone.
    Sms,
    /// A text to a device.
    Push,
}

impl Medium {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Email, Self::Sms, Self::Push];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Push => "push",
        }
    }

    /// The one of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|medium| medium.name() == name)
    }
}

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The same whenever it is sent again.
    pub id: Uuid,
    /// By which means.
    pub medium: Medium,
    /// To whom: an e-mail address, a phone number, a device's token.
    pub address: String,
    /// What it is about, on one line.
    pub subject: String,
    /// All of it; of a text to a phone or device only the subject is sent.
    pub body: String,
}

/// Why something was not told.
#[derive(Debug, Error)]
pub enum ChannelError {
    /// Trying again will not help.
    #[error("the notification was refused: {0}")]
    Refused(String),
    /// Trying again may help; whether it was told is not known.
    #[error("the server could not be reached, or did not accept it: {0}")]
    Unavailable(String),
}

/// A way to tell customers something.
pub trait Channel: Send + Sync {
    /// What the history calls it.
    fn name(&self) -> &'static str;

    /// Hands a notification over. The same id again is the same notification.
    ///
    /// # Errors
    /// It was not handed over, or that is not known.
    fn send(&self, outgoing: &Outgoing) -> impl Future<Output = Result<(), ChannelError>> + Send;
}

/// The channels there are.
#[derive(Debug, Clone)]
pub enum Transport {
    /// Nobody is told: the history keeps what would have been sent.
    Sink,
    /// A mail server.
    Smtp(Box<SmtpChannel>),
    /// A provider of texts.
    Http(HttpChannel),
}

impl Channel for Transport {
    fn name(&self) -> &'static str {
        match self {
            Self::Sink => "sink",
            Self::Smtp(channel) => channel.name(),
            Self::Http(channel) => channel.name(),
        }
    }

    async fn send(&self, outgoing: &Outgoing) -> Result<(), ChannelError> {
        match self {
            Self::Sink => Ok(()),
            Self::Smtp(channel) => channel.send(outgoing).await,
            Self::Http(channel) => channel.send(outgoing).await,
        }
    }
}

/// Which channel serves which means.
#[derive(Debug, Clone)]
pub struct Channels {
    /// Letters.
    pub email: Transport,
    /// Texts to phones.
    pub sms: Transport,
    /// Texts to devices.
    pub push: Transport,
}

impl Default for Channels {
    fn default() -> Self {
        Self { email: Transport::Sink, sms: Transport::Sink, push: Transport::Sink }
    }
}

impl Channels {
    /// The channel of a medium.
    pub(crate) fn of(&self, medium: Medium) -> &Transport {
        match medium {
            Medium::Email => &self.email,
            Medium::Sms => &self.sms,
            Medium::Push => &self.push,
        }
    }
}

/// Letters through a mail server.
#[derive(Debug, Clone)]
pub struct SmtpChannel {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl SmtpChannel {
    /// Through the server at `smtp[s]://[user:password@]host[:port][?tls=required]`, from an address
    /// such as `Shop <shop@example.org>`.
    ///
    /// # Errors
    /// One of them makes no sense.
    pub fn new(url: &str, from: &str) -> Result<Self, ChannelError> {
        let refused = |error: &dyn std::fmt::Display| ChannelError::Refused(error.to_string());
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url);
        let server = server.map_err(|error| refused(&error))?.timeout(Some(PATIENCE)).build();
        Ok(Self { server, from: from.parse().map_err(|error| refused(&error))? })
    }
}

impl Channel for SmtpChannel {
    fn name(&self) -> &'static str {
        "smtp"
    }

    async fn send(&self, outgoing: &Outgoing) -> Result<(), ChannelError> {
        let to = outgoing.address.parse();
        let to: Mailbox = to.map_err(|_| ChannelError::Refused("it is no address".into()))?;
        let mail = Mail::builder()
            .from(self.from.clone())
            .to(to)
            .message_id(Some(format!("<{}@daybook>", outgoing.id)))
            .subject(&outgoing.subject)
            .body(outgoing.body.clone())
            .map_err(|error| ChannelError::Refused(error.to_string()))?;
        match self.server.send(mail).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => Err(ChannelError::Refused(error.to_string())),
            Err(error) => Err(ChannelError::Unavailable(error.to_string())),
        }
    }
}

/// Texts through a provider that takes JSON: `{"id", "channel", "to", "text"}` by POST, with the id
/// as `Idempotency-Key`.
#[derive(Debug, Clone)]
pub struct HttpChannel {
    client: Client,
    url: String,
}

impl HttpChannel {
    /// Through the provider at an address.
    ///
    /// # Errors
    /// No client can be made.
    pub fn new(url: &str) -> Result<Self, ChannelError> {
        let client = Client::builder().timeout(PATIENCE).build();
        let client = client.map_err(|error| ChannelError::Refused(error.to_string()))?;
        Ok(Self { client, url: url.to_owned() })
    }
}

impl Channel for HttpChannel {
    fn name(&self) -> &'static str {
        "http"
    }

    async fn send(&self, outgoing: &Outgoing) -> Result<(), ChannelError> {
        let Outgoing { id, medium, address, subject, .. } = outgoing;
        let text = json!({ "id": id, "channel": medium.name(), "to": address, "text": subject });
        let request =
            self.client.post(&self.url).header("Idempotency-Key", id.to_string()).json(&text);
        let status = match request.send().await {
            Ok(answer) => answer.status(),
            Err(error) => {
                let error = error.without_url();
                return Err(ChannelError::Unavailable(daybook_database::chain(&error)));
            }
        };
        let may_pass = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
        match status {
            status if status.is_success() => Ok(()),
            status if status.is_client_error() && !may_pass.contains(&status) => {
                Err(ChannelError::Refused(status.to_string()))
            }
            status => Err(ChannelError::Unavailable(status.to_string())),
        }
    }
}
