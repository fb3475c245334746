//! Asking a registry, asynchronously.

use super::error::{classify, not_answered};
use super::settings::Credentials;
use super::{Refusal, RegistryError, RegistrySettings};
use catchment_contracts::catalogue::{Compatibility, Contract};
use catchment_contracts::wire::{SchemaId, SchemaKey};
use reqwest::header::RETRY_AFTER;
use reqwest::{Method, StatusCode};
use schema_registry_converter::async_impl::schema_registry::{
    SrSettings, get_all_versions, get_referenced_schema, get_schema_by_guid, get_schema_by_id,
    get_schema_by_subject_and_version, is_compatible_schema, perform_sr_call, post_schema,
};
use schema_registry_converter::schema_registry_common::{
    RawError, RegisteredReference, RegisteredSchema, SchemaType, SrCall, SuppliedSchema,
};
use serde_json::{Value, json};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The most schemas that one may refer to, directly and through others.
const MAX_REFERENCES: usize = 64;

/// A schema, as the registry has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaText {
    /// Its id; `None` where it was asked for by GUID.
    pub id: Option<SchemaId>,
    /// Whether it is an Avro schema, and not JSON Schema or Protobuf.
    pub is_avro: bool,
    /// The schema.
    pub text: String,
    /// The schemas that it refers to, each after those that it refers to itself.
    pub references: Vec<String>,
}

/// A client of a registry. After an answer 401 it reads its secrets again, once for a request.
#[derive(Debug)]
pub struct Client {
    settings: RegistrySettings,
    connection: Mutex<Arc<Connection>>,
}

/// What is made anew when secrets are read again.
struct Connection {
    registry: SrSettings,
    http: reqwest::Client,
    credentials: Credentials,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    fn new(settings: &RegistrySettings) -> Result<Self, RegistryError> {
        let credentials = settings.credentials()?;
        let mut builder = SrSettings::new_builder(settings.base().to_owned());
        builder.set_timeout(settings.timeout);
        match &credentials {
            Credentials::None => {}
            Credentials::Basic { username, password } => {
                builder.set_basic_authorization(username, password.as_deref());
            }
            Credentials::Token(token) => {
                builder.set_token_authorization(token);
            }
        }
        let registry =
            builder.build_with(settings.http()?).map_err(|error| RegistryError::Settings(error.error))?;
        let http = settings.http()?.build().map_err(|error| RegistryError::Settings(error.to_string()))?;
        Ok(Connection { registry, http, credentials })
    }
}

impl Client {
    /// A client by these settings. Nothing is asked yet.
    ///
    /// # Errors
    /// [`RegistryError::Settings`]: a file can't be read, or the URL can't be used.
    pub fn new(settings: RegistrySettings) -> Result<Self, RegistryError> {
        let connection = Mutex::new(Arc::new(Connection::new(&settings)?));
        Ok(Client { settings, connection })
    }

    /// Asks, and asks again with secrets read anew if those that were known are refused.
    async fn ask<T, F>(&self, ask: impl Fn(Arc<Connection>) -> F) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        let known = Arc::clone(&self.connection.lock().unwrap_or_else(PoisonError::into_inner));
        match ask(known).await {
            Err(error) if error.is_unauthenticated() => {
                let renewed = Arc::new(Connection::new(&self.settings)?);
                *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&renewed);
                ask(renewed).await
            }
            answer => answer,
        }
    }

    /// The schema that a record names, with all that it refers to.
    ///
    /// # Errors
    /// [`Refusal::NoSchema`], and what any request may meet.
    pub async fn schema(&self, key: SchemaKey) -> Result<SchemaText, RegistryError> {
        self.ask(|connection| async move {
            let registry = &connection.registry;
            match key {
                SchemaKey::Id(id) => {
                    let found = get_schema_by_id(id.0, registry).await?;
                    with_references(registry, found, Some(id)).await
                }
                SchemaKey::Guid(_) => {
                    let found = get_schema_by_guid(&key.to_string(), registry).await?;
                    with_references(registry, found, None).await
                }
            }
        })
        .await
    }

    /// The numbers of a subject's versions; `None` if there is no such subject.
    ///
    /// # Errors
    /// What any request may meet.
    pub async fn versions(&self, subject: &str) -> Result<Option<Vec<u32>>, RegistryError> {
        let found =
            self.ask(|connection| async move {
                Ok(get_all_versions(&connection.registry, subject.to_owned()).await?)
            })
            .await;
        match found {
            Err(RegistryError::Refused(Refusal::NoSubject)) => Ok(None),
            found => found.map(Some),
        }
    }

    /// The schema of one version of a subject.
    ///
    /// # Errors
    /// [`Refusal::NoSubject`], [`Refusal::NoVersion`], and what any request may meet.
    pub async fn version(&self, subject: &str, version: u32) -> Result<SchemaText, RegistryError> {
        self.ask(|connection| async move {
            let registry = &connection.registry;
            let found = get_schema_by_subject_and_version(registry, subject, Some(version)).await?;
            let id = Some(SchemaId(found.id));
            with_references(registry, found, id).await
        })
        .await
    }

    /// Registers a schema and gives its id; that of the version that there is, if it is registered already.
    ///
    /// # Errors
    /// [`Refusal::Incompatible`], [`Refusal::Invalid`], and what any request may meet.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<SchemaId, RegistryError> {
        self.ask(|connection| async move {
            let posted = post_schema(&connection.registry, subject.to_owned(), supplied(schema)).await?;
            Ok(SchemaId(posted.id))
        })
        .await
    }

    /// The id under which a subject has this schema; `None` if no version of it is that schema. White space and the
    /// order of keys make no difference, anything else does.
    ///
    /// # Errors
    /// What any request may meet.
    pub async fn lookup(&self, subject: &str, schema: &str) -> Result<Option<SchemaId>, RegistryError> {
        let body = json!({ "schema": schema, "schemaType": "AVRO" }).to_string();
        let body = body.as_str();
        let found = self
            .ask(|connection| async move {
                let call = SrCall::PostForVersion(subject, body);
                Ok(perform_sr_call(&connection.registry, call).await?.id.map(SchemaId))
            })
            .await;
        match found {
            Ok(Some(id)) => Ok(Some(id)),
            Err(RegistryError::Refused(Refusal::NoSubject)) => Ok(None),
            // Some registries compare texts.
            Ok(None) | Err(RegistryError::Refused(Refusal::NoSchema)) => {
                self.lookup_by_content(subject, schema).await
            }
            Err(error) => Err(error),
        }
    }

    async fn lookup_by_content(
        &self,
        subject: &str,
        schema: &str,
    ) -> Result<Option<SchemaId>, RegistryError> {
        let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
        let wanted = parse(schema);
        // The newest first: it is the one that is looked for, as a rule.
        for version in self.versions(subject).await?.unwrap_or_default().into_iter().rev() {
            let found = self.version(subject, version).await?;
            if found.is_avro && wanted.is_some() && parse(&found.text) == wanted {
                return Ok(found.id);
            }
        }
        Ok(None)
    }

    /// Whether a schema may become the next version of a subject, by the subject's own level.
    ///
    /// # Errors
    /// What any request may meet.
    pub async fn is_compatible(&self, subject: &str, schema: &str) -> Result<bool, RegistryError> {
        self.ask(|connection| async move {
            let registry = &connection.registry;
            Ok(is_compatible_schema(registry, subject.to_owned(), supplied(schema)).await?)
        })
        .await
    }

    /// A subject's own level of compatibility; `None` if it has none, so that the registry's holds.
    ///
    /// # Errors
    /// What any request may meet.
    pub async fn level(&self, subject: &str) -> Result<Option<String>, RegistryError> {
        let answer = self.ask(|connection| self.config(connection, Method::GET, subject, None)).await;
        match answer {
            Ok(answer) => Ok(answer["compatibilityLevel"].as_str().map(str::to_ascii_uppercase)),
            // 40401: no such subject; 40408: a subject without a level of its own.
            Err(RegistryError::Refused(Refusal::NoSubject | Refusal::Other { status: 404, .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives a subject a level of compatibility of its own.
    ///
    /// # Errors
    /// What any request may meet.
    pub async fn set_level(&self, subject: &str, level: Compatibility) -> Result<(), RegistryError> {
        let body = json!({ "compatibility": level.as_str() });
        let body = &body;
        self.ask(|connection| self.config(connection, Method::PUT, subject, Some(body))).await?;
        Ok(())
    }

    /// The route that the library lacks.
    async fn config(
        &self,
        connection: Arc<Connection>,
        method: Method,
        subject: &str,
        body: Option<&Value>,
    ) -> Result<Value, RegistryError> {
        let url = format!("{}/config/{subject}", self.settings.base());
        let mut request = connection.http.request(method, url);
        request = match &connection.credentials {
            Credentials::None => request,
            Credentials::Basic { username, password } => request.basic_auth(username, password.as_deref()),
            Credentials::Token(token) => request.bearer_auth(token),
        };
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(|error| not_answered(&error))?;
        let status = answer.status();
        if status.is_success() {
            return answer.json().await.map_err(|error| not_answered(&error));
        }
        Err(refused(status, answer).await)
    }

    /// The id under which a contract's schema is registered for the values of its topic.
    ///
    /// # Errors
    /// [`RegistryError::NotRegistered`], and what any request may meet.
    pub async fn contract_id(&self, contract: &'static Contract) -> Result<SchemaId, RegistryError> {
        let subject = contract.subject().unwrap_or_default();
        let found = self.lookup(&subject, contract.schema).await?;
        found.ok_or(RegistryError::NotRegistered { subject, contract: contract.name })
    }
}

/// What an answer without success means.
async fn refused(status: StatusCode, answer: reqwest::Response) -> RegistryError {
    // Seconds; the date that HTTP also allows is nothing a registry sends.
    let header = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = header.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let (code, message) = match answer.json::<RawError>().await {
        Ok(error) => (error.error_code, error.message),
        Err(_) => (0, "no reason given".to_owned()),
    };
    classify(status.as_u16(), code, &message, retry_after)
}

fn supplied(schema: &str) -> SuppliedSchema {
    SuppliedSchema::new(None, SchemaType::Avro, schema.to_owned())
}

/// A schema with those that it refers to, each after its own references.
async fn with_references(
    registry: &SrSettings,
    found: RegisteredSchema,
    id: Option<SchemaId>,
) -> Result<SchemaText, RegistryError> {
    let mut references = Vec::new();
    let mut known: Vec<(String, u32)> = Vec::new();
    // What is still to be fetched; a schema that is fetched waits below its own references until they are.
    let mut open: Vec<Open> = found.references.into_iter().map(Open::Fetch).collect();
    while let Some(next) = open.pop() {
        match next {
            Open::Take(text) => references.push(text),
            Open::Fetch(reference) => {
                let place = (reference.subject.clone(), reference.version);
                if known.contains(&place) {
                    continue;
                }
                if known.len() == MAX_REFERENCES {
                    let words = format!("it refers to more than {MAX_REFERENCES} others");
                    return Err(Refusal::Invalid(words).into());
                }
                known.push(place);
                let schema = get_referenced_schema(registry, &reference).await?;
                open.push(Open::Take(schema.schema));
                open.extend(schema.references.into_iter().map(Open::Fetch));
            }
        }
    }
    let is_avro = found.schema_type == SchemaType::Avro;
    Ok(SchemaText { id, is_avro, text: found.schema, references })
}

enum Open {
    Fetch(RegisteredReference),
    Take(String),
}
