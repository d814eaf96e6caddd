//! The description of the API, and what else the server says about itself.

use std::{env, fs};

use daybook_gateway::openapi;
use serde_json::Value;

use crate::api::Api;

#[test]
fn the_committed_description_is_the_generated_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let generated = openapi().to_pretty_json().expect("JSON") + "\n";
    if env::var_os("DAYBOOK_UPDATE_OPENAPI").is_some() {
        fs::write(path, &generated).expect("openapi.json can be written");
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == generated,
        "gateway/openapi.json has drifted from the routes; \
         set DAYBOOK_UPDATE_OPENAPI=1, run this test and commit the file"
    );
}

#[tokio::test]
async fn every_route_is_described_and_every_described_route_exists() {
    let api = Api::new();
    let document = api.get("/openapi.json").await.is(200);
    assert_eq!(document.body["openapi"], "3.1.0");
    for path in document.body["paths"].as_object().expect("paths").keys() {
        let path = path.replace(['{', '}'], "");
        let answer = api.json("PATCH", &path, &[], &Value::Null).await;
        answer.problem(405, "method-not-allowed");
    }
}

#[tokio::test]
async fn every_operation_promises_problems_and_has_an_id_of_its_own() {
    let document = serde_json::to_value(openapi()).expect("JSON");
    let mut ids = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            ids.push(operation["operationId"].as_str().expect("an id").to_owned());
            let fails = &operation["responses"]["default"]["$ref"];
            let v1 = path.starts_with("/v1/");
            assert_eq!(fails == "#/components/responses/Problem", v1, "{method} {path}");
        }
    }
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

#[test]
fn every_body_is_described_as_refusing_unknown_fields() {
    let document = serde_json::to_value(openapi()).expect("JSON");
    let items = document["paths"].as_object().expect("paths").iter();
    let operations = items.flat_map(|(path, item)| {
        item.as_object()
            .into_iter()
            .flatten()
            .map(move |(method, operation)| (path, method, operation))
    });
    for (path, method, operation) in operations {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let Some(reference) = schema["$ref"].as_str() else { continue };
        let schema = document.pointer(&reference[1..]).expect(reference);
        let closed = schema["additionalProperties"] == false || schema["oneOf"].is_array();
        assert!(closed, "{method} {path}: {reference} {schema}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn check(document: &Value, node: &Value) {
        if let Some(reference) = node["$ref"].as_str() {
            assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
        }
        let members = node.as_object().into_iter().flat_map(|members| members.values());
        let entries = node.as_array().into_iter().flatten();
        members.chain(entries).for_each(|child| check(document, child));
    }
    let document = serde_json::to_value(openapi()).expect("JSON");
    check(&document, &document);
}

#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere() {
    let page = Api::new().get("/docs").await.is(200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    let html = page.body.as_str().expect("HTML");
    assert!(!html.contains("http://") && !html.contains("https://"), "{html}");
}

#[tokio::test]
async fn every_kind_of_problem_is_documented_where_its_type_points() {
    let api = Api::new();
    let kinds = api.get("/problems").await.is(200).body;
    let kinds = kinds.as_array().expect("kinds");
    assert!(kinds.len() > 20);
    for kind in kinds {
        let page = api.get(kind["type"].as_str().expect("a path")).await.is(200);
        assert_eq!(&page.body, kind);
    }
    api.get("/problems/none").await.problem(404, "not-found");
}

#[tokio::test]
async fn the_process_is_alive_and_shows_its_metrics() {
    let api = Api::new();
    api.get("/health/live").await.is(204);
    let metrics = api.get("/metrics").await.is(200);
    assert_eq!(metrics.body, "daybook_test 1\n");
}
