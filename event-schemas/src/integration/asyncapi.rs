use serde_json::{Map, Value, json};

use super::{Topic, type_name};
use crate::EventForm;

/// Where the schemas of payloads are, as seen from the document.
const SCHEMAS: &str = "./schemas";

/// The `AsyncAPI` 3 document of the topics: what other systems may count on.
pub fn asyncapi() -> Value {
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Daybook integration events",
            "version": "1.0.0",
            "description": "Every event of the business as a CloudEvents 1.0 message in binary \
                mode. Messages of one key come in order; any may come more than once, with the \
                same ce_id. A topic's name begins with the installation's prefix.",
        },
        "defaultContentType": "application/json",
        "channels": object(Topic::ALL.map(|topic| (topic.name(), channel(topic)))),
        "operations": object(Topic::ALL.map(|topic| (topic.name(), operation(topic)))),
        "components": {
            "messages": object(Topic::ALL.iter().flat_map(|&topic| {
                topic.forms().iter().map(move |form| (form.kind, message(topic, form)))
            })),
            "schemas": { "headers": headers() },
        },
    })
}

fn object<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Map<String, Value> {
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn channel(topic: Topic) -> Value {
    let messages = topic
        .forms()
        .iter()
        .map(|form| (form.kind, json!({ "$ref": format!("#/components/messages/{}", form.kind) })));
    json!({
        "address": format!("{{prefix}}.{}", topic.name()),
        "parameters": {
            "prefix": { "description": "That of the installation.", "default": "daybook" },
        },
        "description": format!("What happened to streams {}-<id>.", topic.category()),
        "messages": object(messages),
    })
}

fn operation(topic: Topic) -> Value {
    json!({
        "action": "send",
        "channel": { "$ref": format!("#/channels/{}", topic.name()) },
    })
}

fn message(topic: Topic, form: &EventForm) -> Value {
    let EventForm { kind, version, schema, .. } = *form;
    let summary = schema().get("description").cloned().unwrap_or_default();
    json!({
        "name": type_name(kind, version),
        "title": kind,
        "summary": summary,
        "contentType": "application/json",
        "headers": {
            "allOf": [
                { "$ref": "#/components/schemas/headers" },
                {
                    "type": "object",
                    "properties": {
                        "ce_type": { "const": type_name(kind, version) },
                        "ce_source": { "const": format!("/daybook/{}", topic.name()) },
                    },
                },
            ],
        },
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": { "$ref": format!("{SCHEMAS}/{kind}.v{version}.json") },
        },
        "bindings": { "kafka": { "key": {
            "type": "string",
            "description": "The aggregate's id, as in ce_subject.",
        } } },
    })
}

fn headers() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let of = |format: &str, description: &str| json!({ "type": "string", "format": format, "description": description });
    let number = |description: &str| json!({ "type": "string", "pattern": "^[0-9]{1,20}$", "description": description });
    let optional = "ce_traceparent";
    let properties = object([
        ("ce_specversion", json!({ "const": "1.0" })),
        ("ce_id", of("uuid", "The event's id: the same in every copy of the message.")),
        ("ce_source", of("uri-reference", "Which topic's events.")),
        ("ce_type", text("The event's type and version: daybook.<type>.v<version>.")),
        ("ce_subject", text("The aggregate's id.")),
        ("ce_time", of("date-time", "When the event was recorded.")),
        ("content-type", json!({ "const": "application/json" })),
        ("ce_revision", number("The event's place among those of its aggregate, from 0.")),
        ("ce_position", number("The event's place among all events; there are gaps.")),
        ("ce_correlationid", of("uuid", "Shared by everything that one request set off.")),
        ("ce_causationid", of("uuid", "The command that decided the event.")),
        ("ce_actor", text("On whose behalf: kind:name.")),
        (optional, text("W3C Trace Context of the request, where there was one.")),
    ]);
    let required: Vec<_> = properties.keys().filter(|name| *name != optional).collect();
    json!({ "type": "object", "required": required, "properties": properties })
}
