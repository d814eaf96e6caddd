//! `daybook dlq`: everything that could not be processed, whoever was to process it.

mod consumers;
mod processes;
mod read_models;

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, bail};
use daybook_domain::values::Timestamp;
use daybook_event_schemas::format_timestamp;
use futures::future::LocalBoxFuture;
use serde::Serialize;
use serde_json::Value;

use self::read_models::ReadModels;
use crate::cli::{Dlq, DlqChoice, Output};
use crate::config::Config;
use crate::serve;

/// Exit code where something stays parked, or a source could not say all that it put aside.
const UNHEALTHY: u8 = 3;

/// What a source answers in its time.
pub(crate) type Answer<'a, T> = LocalBoxFuture<'a, anyhow::Result<T>>;

/// What a source that keeps things in several places finds in those that are there.
pub(crate) type Found<'a, T> = LocalBoxFuture<'a, Asked<T>>;

/// Something that puts aside what it cannot process.
pub(crate) trait Source {
    /// What it is called in the ids of its letters.
    fn name(&self) -> &'static str;

    /// Everything that it put aside, that of each key in the order in which it is to be processed.
    /// With an owner, at least what that one did, and no place is asked that has nothing of it.
    fn list<'a>(&'a self, owner: Option<&'a str>) -> Found<'a, Letter>;

    /// What a letter says.
    fn contents<'a>(&'a self, letter: &'a Letter) -> Answer<'a, Contents>;

    /// Processes letters after all, each after those of its key that were put aside before it, and
    /// none of a key after one that fails. With `dry_run` everything stays as it is, and the answer
    /// is what would become of them, as far as that can be told.
    fn replay<'a>(&'a self, letters: &'a [Letter], dry_run: bool) -> Answer<'a, Vec<Outcome>>;

    /// Gives a letter up, and has what waited behind it processed. The answer is what became of that.
    fn discard<'a>(&'a self, letter: &'a Letter, why: &'a Verdict) -> Answer<'a, Vec<Outcome>>;

    /// What was given up, in the order in which that was.
    fn discarded(&self) -> Found<'_, Discarded>;
}

/// What people are told where nothing is parked.
const NONE: &str = "no dead letters found";

/// Every source there is.
fn sources(config: &Config) -> Vec<Box<dyn Source + '_>> {
    vec![
        Box::new(ReadModels::in_tables(config)),
        Box::new(processes::Processes(config)),
        Box::new(consumers::Consumers(config)),
        Box::new(ReadModels::search_index(config)),
    ]
}

/// What a letter is known by: its source, who of them put it aside, and which one it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LetterId {
    pub(crate) source: String,
    pub(crate) owner: String,
    pub(crate) local: String,
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.source, self.owner, self.local)
    }
}

impl FromStr for LetterId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '/').filter(|part| !part.is_empty()).map(str::to_owned);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(source), Some(owner), Some(local)) => Ok(Self { source, owner, local }),
            _ => Err("must be an id as `daybook dlq list` shows it, such as projections/stock/17"),
        }
    }
}

impl Serialize for LetterId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// Something that was put aside.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Letter {
    pub(crate) id: LetterId,
    /// What it is about: the stream or instance that waits for it.
    pub(crate) key: String,
    /// What it is: the type of an event or command.
    pub(crate) kind: String,
    /// Where its event stands in the store, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<u64>,
    /// The error, and what caused it.
    pub(crate) error: String,
    /// How often it was tried; none for one that waits behind another.
    pub(crate) attempts: u64,
    /// When it was last tried, or put aside.
    #[serde(serialize_with = "instant")]
    pub(crate) parked_at: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn instant<S: serde::Serializer>(micros: &i64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&format_timestamp(Timestamp::from_micros(*micros)))
}

/// What a letter says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Contents {
    /// As it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) written: Option<Value>,
    /// As it is read today, in the newest form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) read: Option<Value>,
    /// Why it cannot be read, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unreadable: Option<String>,
    /// What is said about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<Value>,
}

/// What was written, as JSON; as text where it is none.
fn as_json(bytes: &[u8]) -> Value {
    let text = |_| String::from_utf8_lossy(bytes).into_owned().into();
    serde_json::from_slice(bytes).unwrap_or_else(text)
}

/// A letter with what it says.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    letter: Letter,
    #[serde(flatten)]
    contents: Contents,
}

/// Why a letter is given up, and who says so.
pub(crate) struct Verdict {
    pub(crate) reason: String,
    pub(crate) by: String,
}

/// A letter that was given up.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Discarded {
    pub(crate) id: LetterId,
    /// What it was about.
    pub(crate) key: String,
    /// What it was: the type of an event or command.
    pub(crate) kind: String,
    /// What was wrong with it; empty for what only waited behind another.
    pub(crate) error: String,
    /// Why it was given up.
    pub(crate) reason: String,
    /// Who gave it up; empty where that was not written down.
    pub(crate) by: String,
    /// When.
    #[serde(serialize_with = "instant")]
    pub(crate) at: i64,
}

/// What became of a letter.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) id: LetterId,
    /// Why it stays where it is, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

pub(crate) async fn run(command: Dlq, config: &Config) -> anyhow::Result<ExitCode> {
    let sources = sources(config);
    match command {
        Dlq::List { choice, discarded: true, output } => {
            let mut asked = ask(named(&sources, &choice)?, |source| source.discarded()).await;
            asked.found.retain(|one| choice.is_about(&one.key));
            asked.write(output.output, "no discarded letters found", given_up)
        }
        Dlq::List { choice, discarded: false, output } => {
            let mut asked = ask(named(&sources, &choice)?, |source| source.list(None)).await;
            asked.found.retain(|letter| choice.is_about(&letter.key));
            asked.write(output.output, NONE, line)
        }
        Dlq::Show { id, output } => {
            let (source, letter) = find(&sources, &id).await?;
            let contents = source.contents(&letter).await?;
            show(&Shown { letter, contents }, output.output)?;
            Ok(ExitCode::SUCCESS)
        }
        Dlq::Replay { ids, all: _, choice, dry_run, output } => {
            let letters = if ids.is_empty() {
                chosen(&sources, &choice).await?
            } else {
                among(&sources, &ids).await?
            };
            let outcomes = replay(&sources, &letters, dry_run).await?;
            tell(&outcomes, if dry_run { "would be done" } else { "done" }, output.output)
        }
        Dlq::Discard { id, reason, by, output } => {
            let (source, letter) = find(&sources, &id).await?;
            let mut outcomes = vec![Outcome { id, error: None }];
            let why = Verdict { reason, by: format!("operator:{by}") };
            outcomes.extend(source.discard(&letter, &why).await?);
            tell(&outcomes, "done", output.output)
        }
    }
}

/// The sources that were asked for.
fn named<'s, 'c>(
    sources: &'s [Box<dyn Source + 'c>],
    choice: &DlqChoice,
) -> anyhow::Result<Vec<&'s (dyn Source + 'c)>> {
    let names: Vec<_> = sources.iter().map(|source| source.name()).collect();
    if let Some(unknown) = choice.source.as_deref().filter(|name| !names.contains(name)) {
        bail!("there is no source {unknown}; there are {}", names.join(", "));
    }
    let wanted = |name| choice.source.as_deref().is_none_or(|wanted| wanted == name);
    Ok(sources.iter().map(|source| &**source).filter(|source| wanted(source.name())).collect())
}

/// What was found, and what is wrong with the places that could not be looked at.
pub(crate) struct Asked<T> {
    found: Vec<T>,
    away: Vec<anyhow::Error>,
}

impl<T, E: Into<anyhow::Error>> FromIterator<Result<Vec<T>, E>> for Asked<T> {
    /// What each place answered.
    fn from_iter<I: IntoIterator<Item = Result<Vec<T>, E>>>(answers: I) -> Self {
        let mut asked = Self { found: Vec::new(), away: Vec::new() };
        for answer in answers {
            match answer {
                Ok(found) => asked.found.extend(found),
                Err(error) => asked.away.push(error.into()),
            }
        }
        asked
    }
}

impl<T> Asked<T> {
    /// What there is in the one place that a source has.
    async fn one(answer: impl Future<Output = anyhow::Result<Vec<T>>>) -> Self {
        std::iter::once(answer.await).collect()
    }

    /// All that there is, if every place could be looked at.
    fn all(self) -> anyhow::Result<Vec<T>> {
        self.away.into_iter().next().map_or(Ok(self.found), Err)
    }
}

/// Asks sources, whichever of them cannot answer, or not of everything.
async fn ask<'s, 'c, T>(
    sources: Vec<&'s (dyn Source + 'c)>,
    question: fn(&'s (dyn Source + 'c)) -> Found<'s, T>,
) -> Asked<T> {
    let mut asked = Asked { found: Vec::new(), away: Vec::new() };
    for source in sources {
        let Asked { found, away } = question(source).await;
        let told = |error: anyhow::Error| {
            error.context(format!("cannot ask the source {}", source.name()))
        };
        asked.found.extend(found);
        asked.away.extend(away.into_iter().map(told));
    }
    asked
}

impl<T: Serialize> Asked<T> {
    /// Writes what was found, and says on standard error what is missing.
    fn write(
        &self,
        output: Output,
        none: &str,
        line: impl Fn(&T) -> String,
    ) -> anyhow::Result<ExitCode> {
        write(&self.found, output, none, line)?;
        for error in &self.away {
            serve::tell(&format!("error: {error:#}"));
        }
        Ok(if self.away.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(UNHEALTHY) })
    }
}

/// The letters of the sources and keys that were asked for.
async fn chosen(
    sources: &[Box<dyn Source + '_>],
    choice: &DlqChoice,
) -> anyhow::Result<Vec<Letter>> {
    let asked = ask(named(sources, choice)?, |source| source.list(None)).await.all();
    let mut found = asked.context(
        "nothing was done: name a source that is there with --source, or the ids of what is there",
    )?;
    found.retain(|letter| choice.is_about(&letter.key));
    Ok(found)
}

/// The letters of these ids, in the order in which they lie. Others than their owners are not asked.
async fn among(sources: &[Box<dyn Source + '_>], ids: &[LetterId]) -> anyhow::Result<Vec<Letter>> {
    let mut letters = Vec::new();
    for source in sources {
        let ids = ids.iter().filter(|id| id.source == source.name());
        for owner in ids.map(|id| &*id.owner).collect::<BTreeSet<_>>() {
            letters.extend(of_owner(&**source, owner).await?);
        }
    }
    if let Some(id) = ids.iter().find(|id| letters.iter().all(|letter| letter.id != **id)) {
        bail!(not_parked(id));
    }
    letters.retain(|letter| ids.contains(&letter.id));
    Ok(letters)
}

async fn find<'s, 'c>(
    sources: &'s [Box<dyn Source + 'c>],
    id: &LetterId,
) -> anyhow::Result<(&'s (dyn Source + 'c), Letter)> {
    let source = sources.iter().find(|source| source.name() == id.source);
    let source = source.with_context(|| not_parked(id))?;
    let mut letters = of_owner(&**source, &id.owner).await?.into_iter();
    let letter = letters.find(|letter| letter.id == *id);
    Ok((&**source, letter.with_context(|| not_parked(id))?))
}

async fn of_owner(source: &dyn Source, owner: &str) -> anyhow::Result<Vec<Letter>> {
    let mut letters = source.list(Some(owner)).await.all()?;
    letters.retain(|letter| letter.id.owner == owner);
    Ok(letters)
}

fn not_parked(id: &LetterId) -> String {
    format!("nothing is parked under {id}; `daybook dlq list` tells what is")
}

async fn replay(
    sources: &[Box<dyn Source + '_>],
    letters: &[Letter],
    dry_run: bool,
) -> anyhow::Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for source in sources {
        let of_source = letters.iter().filter(|letter| letter.id.source == source.name());
        let of_source: Vec<_> = of_source.cloned().collect();
        if !of_source.is_empty() {
            outcomes.extend(source.replay(&of_source, dry_run).await?);
        }
    }
    Ok(outcomes)
}

/// Writes things as one document, as one a line, or for people, who are told where there is none.
fn write<T: Serialize>(
    things: &[T],
    output: Output,
    none: &str,
    line: impl Fn(&T) -> String,
) -> anyhow::Result<()> {
    if things.is_empty() && output == Output::Text {
        serve::tell(none);
    }
    let mut out = std::io::stdout().lock();
    if output == Output::Json {
        writeln!(out, "{}", serde_json::to_string(things)?)?;
        return Ok(());
    }
    for thing in things {
        match output {
            Output::Text => writeln!(out, "{}", line(thing))?,
            Output::Json | Output::Jsonl => {
                writeln!(out, "{}", serde_json::to_string(thing)?)?;
            }
        }
    }
    Ok(())
}

fn line(letter: &Letter) -> String {
    let Letter { id, key, kind, error, attempts, .. } = letter;
    let tried = match attempts {
        0 => "not tried".to_owned(),
        1 => "tried once".to_owned(),
        many => format!("tried {many} times"),
    };
    format!("{id}  {kind} of {key}, {tried}: {error}")
}

fn given_up(discarded: &Discarded) -> String {
    let Discarded { id, key, kind, error, reason, by, at } = discarded;
    let at = format_timestamp(Timestamp::from_micros(*at));
    let by = if by.is_empty() { String::new() } else { format!(" by {by}") };
    format!("{id}  {kind} of {key}, given up at {at}{by}: {reason} (was: {error})")
}

fn show(shown: &Shown, output: Output) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if output != Output::Text {
        writeln!(out, "{}", serde_json::to_string(shown)?)?;
        return Ok(());
    }
    let Shown { letter, contents } = shown;
    writeln!(out, "{}", line(letter))?;
    writeln!(out, "parked at {}", format_timestamp(Timestamp::from_micros(letter.parked_at)))?;
    if let Some(position) = letter.position {
        writeln!(out, "position {position}")?;
    }
    if let Some(error) = &contents.unreadable {
        writeln!(out, "cannot be read: {error}")?;
    }
    let Contents { written, read, metadata, .. } = contents;
    for (what, value) in [("as written", written), ("as read", read), ("metadata", metadata)] {
        if let Some(value) = value {
            writeln!(out, "{what}: {}", serde_json::to_string_pretty(value)?)?;
        }
    }
    Ok(())
}

/// Tells what became of letters. It is not well while any of them stays where it was.
fn tell(outcomes: &[Outcome], done: &str, output: Output) -> anyhow::Result<ExitCode> {
    write(outcomes, output, NONE, |Outcome { id, error }| match error {
        None => format!("{id}  {done}"),
        Some(error) => format!("{id}  stays parked: {error}"),
    })?;
    let all_is_well = outcomes.iter().all(|outcome| outcome.error.is_none());
    Ok(if all_is_well { ExitCode::SUCCESS } else { ExitCode::from(UNHEALTHY) })
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;
    use futures::FutureExt;

    use super::*;

    #[test]
    fn an_id_has_three_parts() {
        let id: LetterId = "projections/stock/17".parse().unwrap();
        assert_eq!((&*id.source, &*id.owner, &*id.local), ("projections", "stock", "17"));
        assert_eq!(id.to_string(), "projections/stock/17");
        let id: LetterId = "consumers/analytics/orders/3/42".parse().unwrap();
        assert_eq!(id.local, "orders/3/42");
        for wrong in ["", "projections", "projections/stock", "projections//17", "//"] {
            assert!(wrong.parse::<LetterId>().is_err(), "{wrong:?}");
        }
    }

    /// Has put nothing aside and given one letter up in each of its places, as far as they are there.
    struct Fake {
        name: &'static str,
        places: &'static [Result<(), &'static str>],
    }

    fn answer<'a, T: 'a>(found: T) -> Answer<'a, T> {
        Box::pin(async { Ok(found) })
    }

    impl Source for Fake {
        fn name(&self) -> &'static str {
            self.name
        }

        fn list<'a>(&'a self, _: Option<&'a str>) -> Found<'a, Letter> {
            Asked::one(answer(Vec::new())).boxed_local()
        }

        fn contents<'a>(&'a self, _: &'a Letter) -> Answer<'a, Contents> {
            answer(Contents { written: None, read: None, unreadable: None, metadata: None })
        }

        fn replay<'a>(&'a self, _: &'a [Letter], _: bool) -> Answer<'a, Vec<Outcome>> {
            answer(Vec::new())
        }

        fn discard<'a>(&'a self, _: &'a Letter, _: &'a Verdict) -> Answer<'a, Vec<Outcome>> {
            answer(Vec::new())
        }

        fn discarded(&self) -> Found<'_, Discarded> {
            let place = |place: &Result<(), &'static str>| {
                let id = "here/owner/1".parse().unwrap();
                let [key, kind, error, reason, by] = [const { String::new() }; 5];
                let one = Discarded { id, key, kind, error, reason, by, at: 0 };
                place.map(|()| vec![one]).map_err(|error| anyhow!(error))
            };
            async move { self.places.iter().map(place).collect() }.boxed_local()
        }
    }

    #[tokio::test]
    async fn what_is_away_hides_nothing_else() {
        const AWAY: Result<(), &str> = Err("no route to it");
        let sources = [
            Fake { name: "here", places: &[Ok(())] },
            Fake { name: "away", places: &[AWAY] },
            Fake { name: "in part", places: &[Ok(()), AWAY, Ok(())] },
        ];
        let sources = sources.iter().map(|source| source as &dyn Source).collect();

        let asked = ask(sources, |source| source.discarded()).await;

        assert_eq!((asked.found.len(), asked.away.len()), (3, 2));
        for (error, name) in asked.away.iter().zip(["away", "in part"]) {
            let expected = format!("cannot ask the source {name}: no route to it");
            assert_eq!(format!("{error:#}"), expected);
        }
        assert!(asked.all().is_err());
    }
}
