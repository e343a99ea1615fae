//! `GET openapi.json`: what may be asked and what is answered, for programs that write programs (OpenAPI 3.1). Made
//! from the same list as the routes, and from the types that are read and written.

use std::sync::{Arc, OnceLock};

use axum::body::{Body, Bytes};
use axum::extract::Extension;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::MethodRouter;
use schemars::generate::{Contract, SchemaSettings};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::plan::inert_json::json_text;
use crate::ports::access::Role;
use crate::web::answer::Problem;
use crate::web::routes::Site;

/// Something that may be asked, and what answers it.
pub struct Endpoint {
    /// Below `/api/v1`, as axum writes paths; so does OpenAPI.
    pub path: &'static str,
    /// What is said of it.
    pub operation: Operation,
    /// What answers.
    pub route: MethodRouter<Site>,
}

/// What is said of an operation.
pub struct Operation {
    /// `get` or `post`.
    pub method: &'static str,
    /// By which programs call it.
    pub id: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// What else somebody should know.
    pub description: &'static str,
    /// Who may.
    pub role: Role,
    /// The parameters of the address.
    pub query: Option<Shape>,
    /// The body.
    pub body: Option<Shape>,
    /// What is answered if all goes well.
    pub answer: Answer,
}

/// What is answered if all goes well.
pub struct Answer {
    /// With which status.
    pub status: StatusCode,
    /// What it is.
    pub what: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// What stands in it; `None` for a form that a schema says nothing about.
    pub shape: Option<Shape>,
}

/// Describes a type.
pub type Shape = fn(&mut SchemaGenerator) -> Schema;

/// Returns what describes a type.
pub fn shape<T: JsonSchema>() -> Shape {
    |generator| generator.subschema_for::<T>()
}

/// Returns what describes parameters.
pub fn parameters<T: JsonSchema>() -> Shape {
    |generator| T::json_schema(generator)
}

impl Answer {
    /// Answers with JSON.
    pub fn json<T: JsonSchema>(what: &'static str) -> Self {
        Self { status: StatusCode::OK, what, content_type: "application/json", shape: Some(shape::<T>()) }
    }
}

/// What the parts of paths name.
const NAMES: [(&str, &str); 2] = [
    ("name", "The customer's name."),
    (
        "account",
        "Who: a userPrincipalName, sAMAccountName, mail address, objectGUID or tenant user id. Case does not count.",
    ),
];

/// Writes the document.
pub fn document(endpoints: &[Endpoint]) -> Value {
    let settings = |contract| {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
            settings.contract = contract;
        });
        settings.into_generator()
    };
    let mut written = settings(Contract::Serialize);
    let mut read = settings(Contract::Deserialize);
    let problem = json!({
        "description": "What went wrong (RFC 9457).",
        "content": {"application/problem+json": {"schema": written.subschema_for::<Problem>()}},
    });
    let mut paths = Map::new();
    for Endpoint { path, operation, .. } in endpoints {
        let described = describe(path, operation, &mut written, &mut read, &problem);
        let methods = paths.entry(*path).or_insert_with(|| json!({}));
        methods[operation.method] = described;
    }
    let mut schemas = written.take_definitions(true);
    schemas.extend(read.take_definitions(true));
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Intake",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "How customers stand, what would be done for them and why, and orders about single \
                customers. Nothing here changes who is imported: that is what commits are for.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/api/v1"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of the operator's file. Without any configured, whoever asks \
                        this machine's loopback address is a viewer.",
                },
            },
        },
    })
}

fn describe(
    path: &str,
    operation: &Operation,
    written: &mut SchemaGenerator,
    read: &mut SchemaGenerator,
    problem: &Value,
) -> Value {
    let mut parameters: Vec<Value> = NAMES
        .iter()
        .filter(|(name, _)| path.contains(&format!("{{{name}}}")))
        .map(|(name, what)| {
            let schema = json!({"type": "string", "minLength": 1});
            json!({"name": name, "in": "path", "required": true, "description": what, "schema": schema})
        })
        .collect();
    if let Some(query) = operation.query {
        parameters.extend(query_parameters(query(read)));
    }
    let Answer { status, what, content_type, shape } = &operation.answer;
    let schema = shape.map_or_else(|| json!({"type": "string"}), |shape| json!(shape(written)));
    let who = match operation.role {
        Role::Viewer => "For viewers and operators.",
        Role::Operator => "For operators.",
    };
    let description = format!("{} {who}", operation.description);
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "description": description.trim(),
        "parameters": parameters,
        "responses": {
            status.as_str(): {"description": what, "content": {*content_type: {"schema": schema}}},
            "default": problem,
        },
    });
    if *status == StatusCode::OK && *content_type == "application/json" && operation.method == "get" {
        described["responses"]["304"] =
            json!({"description": "What `If-None-Match` names is what there is."});
    }
    if let Some(body) = operation.body {
        let schema = body(read);
        described["requestBody"] =
            json!({"required": true, "content": {"application/json": {"schema": schema}}});
    }
    described
}

/// Returns the parameters that the fields of a type are, each without the null that stands for its absence.
fn query_parameters(schema: Schema) -> Vec<Value> {
    let mut schema = Value::from(schema);
    let Some(Value::Object(properties)) = schema.get_mut("properties").map(Value::take) else {
        return Vec::new();
    };
    let parameters = properties.into_iter().map(|(name, mut schema)| {
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        json!({"name": name, "in": "query", "description": description, "schema": without_null(schema)})
    });
    parameters.collect()
}

fn without_null(mut schema: Value) -> Value {
    if let Some(types) = schema.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            schema["type"] = only.clone();
        }
    }
    if let Some(choices) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        choices.retain(|choice| *choice != json!({"type": "null"}));
        if let [only] = choices.as_slice() {
            return only.clone();
        }
    }
    schema
}

/// The document, written once.
#[derive(Clone)]
pub struct Document(Arc<OnceLock<Bytes>>, Arc<dyn Fn() -> Value + Send + Sync>);

impl Document {
    /// Makes it, to be written when somebody asks for it.
    pub fn new(write: impl Fn() -> Value + Send + Sync + 'static) -> Self {
        Self(Arc::default(), Arc::new(write))
    }
}

/// Answers with the document.
pub async fn openapi(Extension(Document(written, write)): Extension<Document>) -> Response {
    let content =
        written.get_or_init(|| Bytes::from(json_text(&write()).unwrap_or_default().into_bytes())).clone();
    let mut response = Response::new(Body::from(content));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
