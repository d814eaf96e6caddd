//! What can be wrong with a group, as clients parse it.

use tonic::{Code, Status};

use crate::errors::exception;

/// A group's name, and the name of what it gets the events of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupName {
    pub(crate) stream: String,
    pub(crate) group: String,
}

impl GroupName {
    /// What the group's own streams are named after, and what consumers are confirmed.
    pub(crate) fn key(&self) -> String {
        format!("{}::{}", self.stream, self.group)
    }

    pub(crate) fn exists(&self) -> Status {
        self.status(Code::AlreadyExists, "persistent-subscription-exists", "exists.", &[])
    }

    pub(crate) fn does_not_exist(&self) -> Status {
        let name = "persistent-subscription-does-not-exist";
        self.status(Code::NotFound, name, "does not exist.", &[])
    }

    pub(crate) fn failed(&self, reason: &str) -> Status {
        let what = format!("failed: '{reason}'");
        let with = [("reason", reason)];
        self.status(Code::InvalidArgument, "persistent-subscription-failed", &what, &with)
    }

    pub(crate) fn dropped(&self) -> Status {
        self.status(Code::Cancelled, "persistent-subscription-dropped", "was dropped.", &[])
    }

    pub(crate) fn is_full(&self) -> Status {
        let Self { stream, group } = self;
        let message = format!(
            "Maximum subscriptions reached for subscription group {group} on stream {stream}."
        );
        let with = self.details(&[]);
        exception(Code::FailedPrecondition, message, "maximum-subscribers-reached", &with)
    }

    fn status(
        &self,
        code: Code,
        name: &'static str,
        what: &str,
        with: &[(&'static str, &str)],
    ) -> Status {
        let Self { stream, group } = self;
        let message = format!("Subscription group {group} on stream {stream} {what}");
        exception(code, message, name, &self.details(with))
    }

    fn details<'a>(&'a self, with: &[(&'static str, &'a str)]) -> Vec<(&'static str, &'a str)> {
        [&[("stream-name", &*self.stream), ("group-name", &*self.group)], with].concat()
    }
}
