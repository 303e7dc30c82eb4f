//! The OpenAPI document says what the API does.

use crate::fixture::{Site, status};
use ringfort_web::api::routes;
use serde_json::Value;
use std::collections::BTreeSet;

async fn document(site: &Site) -> Value {
    site.browser("192.0.2.9").get("/api/v1/openapi.json").await.body
}

#[tokio::test]
async fn every_route_is_documented_and_every_documented_route_exists() {
    let site = Site::new();
    let document = document(&site).await;
    let paths = document["paths"].as_object().unwrap();
    let documented: BTreeSet<&str> = paths.keys().map(String::as_str).collect();
    assert_eq!(documented, routes().iter().map(|(path, _)| *path).collect());
    assert_eq!(document["servers"][0]["url"], "/api/v1");
    for (path, operations) in paths {
        let url = format!("/api/v1{}", path.replace("{id}", "c1f"));
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            let is_documented = operations.get(method.to_ascii_lowercase()).is_some();
            let reply = site.browser("192.0.2.9").send(method, &url, None).await;
            assert_eq!(reply.status != 405, is_documented, "{method} {path}");
            if !is_documented {
                assert_eq!(reply.code(), "method-not-allowed");
            }
        }
    }
}

#[tokio::test]
async fn every_operation_says_what_it_does_and_how_it_fails() {
    let site = Site::new();
    let document = document(&site).await;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let summary = operation["summary"].as_str().unwrap_or_default();
            assert!(!summary.is_empty(), "{method} {path} has no summary");
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(!response["description"].as_str().unwrap_or_default().is_empty(), "{method} {path} {status}");
                if status.as_str() >= "400" {
                    let schema = &response["content"]["application/json"]["schema"]["$ref"];
                    assert_eq!(schema, "#/components/schemas/ErrorBody", "{method} {path} {status}");
                }
            }
        }
    }
}

/// Every value that the node has is in the answer, and every value of the answer is in the schema.
#[tokio::test]
async fn the_schema_covers_the_status() {
    let site = Site::new();
    let schemas = document(&site).await["components"]["schemas"].clone();
    let answer = site.admin().await.get("/api/v1/status").await.body;
    covers(&schemas, &schemas["StatusView"], &answer, "status");
    let known = serde_json::to_value(status()).unwrap();
    contains(&answer, &known, "status");
    let list = site.admin_list().await;
    covers(&schemas, &schemas["CallList"], &list, "calls");
}

fn resolve<'a>(schemas: &'a Value, schema: &'a Value) -> &'a Value {
    let schema = match schema["oneOf"].as_array() {
        // An optional value: null, or what it is.
        Some(variants) => variants.iter().find(|v| v["type"] != "null").unwrap_or(schema),
        None => schema,
    };
    match schema["$ref"].as_str() {
        Some(name) => &schemas[name.rsplit('/').next().unwrap()],
        None => schema,
    }
}

fn covers(schemas: &Value, schema: &Value, value: &Value, at: &str) {
    let schema = resolve(schemas, schema);
    match value {
        Value::Object(fields) => {
            let properties = schema["properties"].as_object().unwrap_or_else(|| panic!("{at} is no object in the schema"));
            let described: BTreeSet<_> = properties.keys().collect();
            assert_eq!(described, fields.keys().collect(), "{at}");
            fields.iter().for_each(|(name, field)| {
                covers(schemas, &properties[name], field, &format!("{at}.{name}"));
            });
        }
        Value::Array(items) => {
            items.iter().for_each(|item| covers(schemas, &schema["items"], item, &format!("{at}[]")));
        }
        Value::Null => panic!("the sample leaves {at} out"),
        _ => assert!(!schema["type"].is_null() || !schema["enum"].is_null(), "{at} has no type: {schema}"),
    }
}

/// The answer has every field of the node's own status, with the same value, but for calls' ids, which are text.
fn contains(answer: &Value, known: &Value, at: &str) {
    match known {
        Value::Object(fields) => {
            for (name, field) in fields.iter().filter(|(name, _)| *name != "call") {
                contains(&answer[name], field, &format!("{at}.{name}"));
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                contains(&answer[n], item, &format!("{at}[{n}]"));
            }
        }
        _ => assert_eq!(answer, known, "{at}"),
    }
}

impl Site {
    async fn admin_list(&self) -> Value {
        let mut browser = self.browser("192.0.2.1");
        browser.sign_in("admin", crate::fixture::ADMIN_PASSWORD).await;
        browser.get("/api/v1/calls").await.body
    }
}
