//! The service `ServerFeatures`: what clients may call.

use tonic::{Request, Response, Status};

use crate::node::VERSION;
use crate::protocol::Empty;
use crate::protocol::features::server_features_server::{ServerFeatures, ServerFeaturesServer};
use crate::protocol::features::{SupportedMethod, SupportedMethods};

/// A service, and its methods with what each can do beside what it always could.
type Supported = (&'static str, &'static [(&'static str, &'static [&'static str])]);

/// In lower case, as clients compare.
const SUPPORTED: &[Supported] = &[
    (
        "event_store.client.streams.streams",
        &[
            ("read", &["position", "events"]),
            ("append", &[]),
            ("batchappend", &["deadline_duration"]),
            ("delete", &[]),
            ("tombstone", &[]),
        ],
    ),
    (
        "kurrentdb.protocol.v2.streams.streamsservice",
        &[("appendsession", &[]), ("appendrecords", &[])],
    ),
    ("event_store.client.gossip.gossip", &[("read", &[])]),
    ("event_store.client.monitoring.monitoring", &[("stats", &[])]),
    (
        "event_store.client.operations.operations",
        &[
            ("startscavenge", &[]),
            ("stopscavenge", &[]),
            ("shutdown", &[]),
            ("mergeindexes", &[]),
            ("resignnode", &[]),
            ("setnodepriority", &[]),
            ("restartpersistentsubscriptions", &[]),
        ],
    ),
    (
        "event_store.client.persistent_subscriptions.persistentsubscriptions",
        &[
            ("create", &["stream", "all"]),
            ("update", &["stream", "all"]),
            ("delete", &["stream", "all"]),
            ("read", &["stream", "all"]),
            ("getinfo", &["stream", "all"]),
            ("replayparked", &["stream", "all"]),
            ("list", &["stream", "all"]),
            ("restartsubsystem", &[]),
        ],
    ),
    (
        "event_store.client.users.users",
        &[
            ("create", &[]),
            ("update", &[]),
            ("delete", &[]),
            ("disable", &[]),
            ("enable", &[]),
            ("details", &[]),
            ("changepassword", &[]),
            ("resetpassword", &[]),
        ],
    ),
    ("event_store.client.server_features.serverfeatures", &[("getsupportedmethods", &[])]),
];

#[derive(Debug, Clone, Copy)]
pub(crate) struct FeaturesService;

impl FeaturesService {
    pub(crate) fn server() -> ServerFeaturesServer<Self> {
        ServerFeaturesServer::new(Self)
    }
}

#[tonic::async_trait]
impl ServerFeatures for FeaturesService {
    async fn get_supported_methods(
        &self,
        _: Request<Empty>,
    ) -> Result<Response<SupportedMethods>, Status> {
        let methods = SUPPORTED.iter().flat_map(|(service, methods)| {
            methods.iter().map(|(method, features)| SupportedMethod {
                method_name: (*method).into(),
                service_name: (*service).into(),
                features: features.iter().map(ToString::to_string).collect(),
            })
        });
        Ok(Response::new(SupportedMethods {
            methods: methods.collect(),
            event_store_server_version: VERSION.into(),
        }))
    }
}
