//! All groups: which there are is kept in the store; each is started when it is first asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use daybook_event_store::Store;
use tokio::sync::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use uuid::Uuid;

use super::config::{self, Entry, Filter, Source, start_text};
use super::errors::GroupName;
use super::group::{Group, Request};
use super::journal::Journal;
use super::memory::GroupsMemory;
use super::settings::Settings;
use super::source::last_place;
use crate::node::Node;
use crate::protocol::persistent::SubscriptionInfo;
use crate::streams::From;

/// What a group is to be.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) name: GroupName,
    pub(crate) source: Source,
    /// Where it begins; places are those of the wire.
    pub(crate) from: From<u64>,
    pub(crate) settings: Settings,
    pub(crate) filter: Option<Filter>,
}

#[derive(Debug)]
struct Known {
    entry: Entry,
    started: Option<Group>,
}

/// By what the groups' own streams are named after.
type Map = BTreeMap<String, Known>;

/// The groups of a store.
#[derive(Debug, Clone)]
pub(crate) struct Groups {
    store: Store,
    stop: CancellationToken,
    /// The most groups, and what they hold.
    most: usize,
    memory: GroupsMemory,
    /// `None` where they are still to be loaded.
    known: Arc<Mutex<Option<Map>>>,
}

impl Groups {
    pub(crate) fn new(node: &Node) -> Self {
        Self {
            store: node.store.clone(),
            stop: node.stop.clone(),
            most: node.most_groups,
            memory: node.groups.clone(),
            known: Arc::default(),
        }
    }

    /// Makes a group.
    ///
    /// # Errors
    /// There is one of that name, its name cannot be part of a stream's, or there are too many.
    pub(crate) async fn create(&self, wanted: Wanted) -> Result<(), Status> {
        let Wanted { name, source, from, settings, filter } = wanted;
        let mut known = self.known().await?;
        let groups = loaded(&mut known);
        if groups.contains_key(&name.key()) {
            return Err(name.exists());
        }
        if groups.len() >= self.most {
            let most = format!("there are {} groups: delete one that is not needed", self.most);
            return Err(Status::resource_exhausted(most));
        }
        filter.as_ref().map(Filter::build).transpose()?;
        let id = Uuid::now_v7();
        Journal::new(self.store.clone(), &name, id, source.clone())?.begin().await?;
        let start_position = start_text(&source, from);
        let start_after = self.start_after(&source, from).await?;
        let GroupName { stream, group } = name.clone();
        let entry = Entry { stream, group, id, start_position, start_after, settings, filter };
        let others = groups.values().map(|known| known.entry.clone());
        config::save(&self.store, others.chain([entry.clone()]).collect()).await?;
        groups.insert(name.key(), Known { entry, started: None });
        Ok(())
    }

    /// Changes a group's settings. Its consumers are dropped, so that they connect again.
    ///
    /// # Errors
    /// There is no such group.
    pub(crate) async fn update(&self, wanted: Wanted) -> Result<(), Status> {
        let Wanted { name, source, from, settings, filter: _ } = wanted;
        let mut known = self.known().await?;
        let groups = loaded(&mut known);
        let group = named(groups, &name)?;
        let start_position = start_text(&source, from);
        let mut entry = Entry { settings, ..group.entry.clone() };
        if start_position != entry.start_position {
            entry.start_after = self.start_after(&source, from).await?;
            entry.start_position = start_position;
        }
        group.end().await?;
        let changed =
            groups.iter().map(
                |(key, known)| {
                    if *key == name.key() { entry.clone() } else { known.entry.clone() }
                },
            );
        config::save(&self.store, changed.collect()).await?;
        groups.insert(name.key(), Known { entry, started: None });
        Ok(())
    }

    /// Deletes a group, with all that it kept. Its consumers are dropped.
    ///
    /// # Errors
    /// There is no such group.
    pub(crate) async fn delete(&self, name: &GroupName) -> Result<(), Status> {
        let mut known = self.known().await?;
        let groups = loaded(&mut known);
        let group = named(groups, name)?;
        group.end().await?;
        let id = group.entry.id;
        let others = groups.values().filter(|known| known.entry.id != id);
        config::save(&self.store, others.map(|known| known.entry.clone()).collect()).await?;
        groups.remove(&name.key());
        Journal::new(self.store.clone(), name, id, Source::named(&name.stream)?)?.clear().await
    }

    /// A group, started.
    ///
    /// # Errors
    /// There is no such group.
    pub(crate) async fn group(&self, name: &GroupName) -> Result<Group, Status> {
        let mut known = self.known().await?;
        let known = named(loaded(&mut known), name)?;
        known.start(&self.store, &self.memory, &self.stop).await
    }

    /// What is known of the groups of a stream; of all groups, where none is given.
    ///
    /// # Errors
    /// The stream has none.
    pub(crate) async fn list(&self, stream: Option<&str>) -> Result<Vec<SubscriptionInfo>, Status> {
        let mut infos = Vec::new();
        for name in self.names(stream).await? {
            infos.push(self.info(&name).await?);
        }
        match stream {
            Some(stream) if infos.is_empty() => {
                let (stream, group) = (stream.to_owned(), String::new());
                Err(GroupName { stream, group }.does_not_exist())
            }
            _ => Ok(infos),
        }
    }

    /// What is known of a group.
    ///
    /// # Errors
    /// There is no such group.
    pub(crate) async fn info(&self, name: &GroupName) -> Result<SubscriptionInfo, Status> {
        let info = self.group(name).await?.ask(Request::Info).await?;
        let source = Source::named(&name.stream)?;
        let last = last_place(&self.store, &source).await?;
        let last_known_event_position = last.map(|at| source.text(at)).unwrap_or_default();
        Ok(SubscriptionInfo { last_known_event_position, ..info })
    }

    /// Replays a group's parked messages before a revision; all, where none is given.
    ///
    /// # Errors
    /// There is no such group.
    pub(crate) async fn replay(
        &self,
        name: &GroupName,
        stop_at: Option<u64>,
    ) -> Result<(), Status> {
        self.group(name).await?.ask(|reply| Request::Replay(stop_at, reply)).await
    }

    /// Ends all groups and loads them again. Their consumers are dropped.
    pub(crate) async fn restart(&self) -> Result<(), Status> {
        let mut known = self.known().await?;
        for group in loaded(&mut known).values_mut() {
            group.end().await?;
        }
        *known = None;
        Ok(())
    }

    async fn names(&self, stream: Option<&str>) -> Result<Vec<GroupName>, Status> {
        let mut known = self.known().await?;
        let entries = loaded(&mut known).values().map(|known| &known.entry);
        let meant = entries.filter(|entry| stream.is_none_or(|stream| stream == entry.stream));
        Ok(meant.map(name_of).collect())
    }

    async fn known(&self) -> Result<MutexGuard<'_, Option<Map>>, Status> {
        let mut known = self.known.lock().await;
        if known.is_none() {
            let entries = config::load(&self.store).await?.into_iter();
            let started = |entry| (name_of(&entry).key(), Known { entry, started: None });
            *known = Some(entries.map(started).collect());
        }
        Ok(known)
    }

    /// The place of the last event that comes before the beginning.
    async fn start_after(&self, source: &Source, from: From<u64>) -> Result<Option<u64>, Status> {
        match (from, source) {
            (From::Start, _) => Ok(None),
            (From::At(revision), Source::Stream(_)) => Ok(revision.checked_sub(1)),
            (From::At(position), Source::All) => Ok(position.checked_sub(2)),
            (From::End, _) => last_place(&self.store, source).await,
        }
    }
}

impl Known {
    async fn start(
        &mut self,
        store: &Store,
        memory: &GroupsMemory,
        stop: &CancellationToken,
    ) -> Result<Group, Status> {
        match &self.started {
            Some(group) if !group.has_ended() => Ok(group.clone()),
            _ => {
                let group = Group::start(store, &self.entry, memory, stop).await?;
                self.started = Some(group.clone());
                Ok(group)
            }
        }
    }

    async fn end(&mut self) -> Result<(), Status> {
        match self.started.take() {
            Some(group) if !group.has_ended() => group.ask(Request::End).await,
            _ => Ok(()),
        }
    }
}

fn name_of(entry: &Entry) -> GroupName {
    GroupName { stream: entry.stream.clone(), group: entry.group.clone() }
}

fn loaded<'a>(known: &'a mut MutexGuard<'_, Option<Map>>) -> &'a mut Map {
    known.get_or_insert_default()
}

fn named<'a>(groups: &'a mut Map, name: &GroupName) -> Result<&'a mut Known, Status> {
    let known = groups.get_mut(&name.key()).filter(|known| name_of(&known.entry) == *name);
    known.ok_or_else(|| name.does_not_exist())
}
