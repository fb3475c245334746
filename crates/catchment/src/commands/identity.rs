//! `catchment identity`

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use catchment_connectors::kafka::{Cluster, NamedPartition, Place, Scan};
use catchment_contracts::{CustomerProfile, topics, wire};
use catchment_domain::identity::{Evidence, Member, Root, Standing, Tried};
use catchment_domain::normalise::Policy;
use catchment_domain::time::format_rfc3339;
use catchment_domain::{IdentifierType, KeySecret, Millis, NodeKey, NodeRef, normalise};
use catchment_pipeline::profile::StoredNode;
use catchment_runtime::Stored as _;
use catchment_runtime::partition::for_key;
use serde::Serialize;

use super::UsageError;
use crate::config::Config;
use crate::connect;
use crate::out::Out;
use crate::wiring;

/// How long the brokers may be silent.
const PATIENCE: Duration = Duration::from_secs(20);

/// The longest way to a root that is followed: it gets shorter with each event over it.
const MOST_ALIASES: usize = 100;

#[derive(clap::Subcommand, Debug)]
pub(crate) enum IdentityCommand {
    /// Show who an identifier belongs to
    ///
    /// The customer, her identifiers and by which event each came to her, and what was kept apart, by which limit. Read
    /// from the topics in which profile keeps its state; nobody is disturbed. Prints personal data.
    Show(ShowArgs),
}

#[derive(clap::Args, Debug)]
pub(crate) struct ShowArgs {
    /// Type and value, as `email:mia@example.com`, or a profile id of 32 hex digits
    #[arg(value_name = "IDENTIFIER")]
    pub(crate) identifier: String,
    /// Configuration file
    #[arg(long, value_name = "FILE", default_value = "catchment.yaml")]
    pub(crate) config: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

pub(super) fn run<W: Write>(out: &mut Out<W>, command: &IdentityCommand) -> anyhow::Result<()> {
    let IdentityCommand::Show(args) = command;
    let config = connect::config(&args.config)?;
    let secret = config.secret()?.unwrap_or(KeySecret::PUBLISHED);
    let asked = key_of(&args.identifier, &secret, &wiring::policy(&config))?;
    let cluster = connect::cluster(&config.kafka)?;
    let shown = show(&config, &cluster, asked)?;
    if args.json {
        return out.line(serde_json::to_string(&shown)?);
    }
    shown.print(out)
}

/// The node that a text on the command line means.
fn key_of(text: &str, secret: &KeySecret, policy: &Policy) -> Result<NodeKey, UsageError> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let types = IdentifierType::ALL.map(IdentifierType::as_str).join(", ");
    let expected = || {
        UsageError(format!(
            "`{text}`: expected TYPE:VALUE with one of the types {types}, or a profile id of 32 hex digits"
        ))
    };
    let (kind, value) = text.split_once(':').ok_or_else(expected)?;
    let kind = IdentifierType::ALL.into_iter().find(|known| known.as_str() == kind).ok_or_else(expected)?;
    let normal = match kind {
        IdentifierType::Email => normalise::email(value),
        IdentifierType::Phone => normalise::phone(value),
        _ => normalise::plain_id(value),
    };
    let normal = normal.ok_or_else(|| {
        UsageError(format!("`{value}` is no usable {kind}: docs/normalisation.md says which are"))
    })?;
    let taken = policy.take(kind, normal);
    let taken = taken.ok_or_else(|| {
        UsageError(format!("`{value}` is blocked: by `identity.blocked` it identifies nobody"))
    })?;
    Ok(secret.node_key(kind, &taken))
}

/// What is stored under a key, and published.
#[derive(Debug, Default)]
struct Found {
    node: Option<Vec<u8>>,
    profile: Option<Vec<u8>>,
}

/// The last record of a key in the topics of the state.
fn find(config: &Config, cluster: &Cluster, key: NodeKey) -> anyhow::Result<Found> {
    let partition = i32::try_from(for_key(&key.0, u32::from(config.partitions)))?;
    let state = topics::profile_state(&config.app);
    let of = [&*state, topics::CUSTOMER_PROFILES].map(|topic| NamedPartition::new(topic, partition));
    let mut scan = Scan::new(cluster, &of, Place::Earliest, PATIENCE)?;
    let mut found = Found::default();
    while let Some(record) = scan.next_record()? {
        if record.key.as_deref() == Some(&key.0) {
            let place = if record.at.topic == state { &mut found.node } else { &mut found.profile };
            *place = record.value;
        }
    }
    Ok(found)
}

/// What is known of an identifier.
#[derive(Debug, Serialize)]
struct Shown {
    /// The node that was asked for.
    asked: String,
    /// The nodes on the way to the customer, the asked one first.
    aliases: Vec<String>,
    /// The customer; `None` if the identifier was never seen, or is gone.
    profile_id: Option<String>,
    events: i64,
    members: Vec<ShownMember>,
    kept_apart: Vec<KeptApart>,
    shared_devices: Vec<ShownNode>,
    /// Up to when identifiers were forgotten.
    forgotten: BTreeMap<String, String>,
    /// The customer that this one has asked to become a part of, while there is no answer.
    asking: Option<String>,
    /// Customers that are about to become a part of this one.
    expected: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ShownNode {
    r#type: &'static str,
    key: String,
}

#[derive(Debug, Serialize)]
struct ShownMember {
    #[serde(flatten)]
    node: ShownNode,
    value: Option<String>,
    since: Option<String>,
    published: bool,
    linked_by: Option<ShownEvidence>,
}

#[derive(Debug, Serialize)]
struct ShownEvidence {
    event_id: String,
    source: String,
    at: String,
    with: ShownNode,
}

#[derive(Debug, Serialize)]
struct KeptApart {
    #[serde(flatten)]
    node: ShownNode,
    value: String,
    /// The limit that the two together would break; `None` while the answer is awaited.
    limit: Option<&'static str>,
    tried_again: String,
}

fn time(at: Millis) -> String {
    format_rfc3339(at)
}

fn shown_node(node: NodeRef) -> ShownNode {
    ShownNode { r#type: node.kind.as_str(), key: node.key.to_string() }
}

fn show(config: &Config, cluster: &Cluster, asked: NodeKey) -> anyhow::Result<Shown> {
    let mut shown = Shown {
        asked: asked.to_string(),
        aliases: Vec::new(),
        profile_id: None,
        events: 0,
        members: Vec::new(),
        kept_apart: Vec::new(),
        shared_devices: Vec::new(),
        forgotten: BTreeMap::new(),
        asking: None,
        expected: Vec::new(),
    };
    let mut key = asked;
    for _ in 0..MOST_ALIASES {
        let found = find(config, cluster, key)?;
        let node = found.node.as_deref().map(StoredNode::decode).transpose();
        let node = node.with_context(|| format!("the state of node {key} can't be read"))?;
        if let Some(StoredNode { standing: Standing::Alias(alias), .. }) = &node {
            shown.aliases.push(key.to_string());
            key = alias.parent.key;
            continue;
        }
        let profile = found.profile.as_deref().map(profile).transpose()?;
        match node.map(|node| node.standing) {
            Some(Standing::Root(root)) => shown.take_root(&root),
            _ => shown.take_single(key, profile.as_ref()),
        }
        let is_known = profile.is_some() || !shown.members.is_empty();
        shown.profile_id = is_known.then(|| key.to_string());
        shown.events = profile.map_or(0, |profile| profile.events);
        return Ok(shown);
    }
    anyhow::bail!("the way from {asked} leads over more than {MOST_ALIASES} aliases")
}

fn profile(value: &[u8]) -> anyhow::Result<CustomerProfile<'_>> {
    let (_, datum) = wire::split(value).context("a profile can't be read")?;
    CustomerProfile::decode(datum).context("a profile can't be read")
}

impl Shown {
    fn take_root(&mut self, root: &Root<catchment_pipeline::profile::Whole>) {
        let customer = &root.customer;
        let published: Vec<NodeRef> = customer.published().map(|(node, ..)| node).collect();
        for (node, member) in customer.members.iter() {
            let Member { value, since, evidence, .. } = member;
            self.members.push(ShownMember {
                node: shown_node(*node),
                value: value.as_ref().map(ToString::to_string),
                since: since.map(time),
                published: published.contains(node),
                linked_by: evidence.as_deref().map(|evidence| shown_evidence(*node, evidence)),
            });
        }
        for (node, Tried { value, until, refused, .. }) in customer.tried.iter() {
            self.kept_apart.push(KeptApart {
                node: shown_node(*node),
                value: value.to_string(),
                limit: refused.map(catchment_domain::identity::Limit::as_str),
                tried_again: time(*until),
            });
        }
        self.shared_devices = customer.shared.keys().map(|node| shown_node(*node)).collect();
        self.forgotten =
            customer.forgotten.iter().map(|(node, at)| (node.key.to_string(), time(*at))).collect();
        self.asking = root.asking.map(|asked| asked.key.to_string());
        self.expected = customer.expected.iter().map(|node| node.key.to_string()).collect();
    }

    /// A customer of one identifier, of whom nothing is stored but the profile.
    fn take_single(&mut self, key: NodeKey, profile: Option<&CustomerProfile<'_>>) {
        let identifiers = profile.map_or(&[][..], |profile| &profile.identifiers);
        self.members = identifiers
            .iter()
            .map(|known| ShownMember {
                node: ShownNode { r#type: known.r#type.as_str(), key: key.to_string() },
                value: Some(known.value.to_owned()),
                since: Some(time(known.at)),
                published: true,
                linked_by: None,
            })
            .collect();
    }

    fn print<W: Write>(&self, out: &mut Out<W>) -> anyhow::Result<()> {
        let Some(id) = &self.profile_id else {
            return out.line(format!("{} was never seen, or is gone", self.asked));
        };
        out.line(format!("customer {id}, {} events", self.events))?;
        for alias in &self.aliases {
            out.line(format!("  by way of {alias}"))?;
        }
        let rows: Vec<[String; 5]> = self.members.iter().map(ShownMember::row).collect();
        out.table("  ", &rows)?;
        for kept in &self.kept_apart {
            let why = kept.limit.map_or("asked for, no answer yet".to_owned(), |limit| {
                format!("kept apart by the limit of {limit}, tried again from {}", kept.tried_again)
            });
            out.line(format!("  {} {}: {why}", kept.node.r#type, kept.value))?;
        }
        for device in &self.shared_devices {
            out.line(format!("  {} {} is used by others, too", device.r#type, device.key))?;
        }
        for (node, at) in &self.forgotten {
            out.line(format!("  {node} is forgotten up to {at}"))?;
        }
        if let Some(asked) = &self.asking {
            out.line(format!("  has asked {asked} to become a part of it"))?;
        }
        self.expected
            .iter()
            .try_for_each(|from| out.line(format!("  {from} is about to become a part of it")))
    }
}

fn shown_evidence(node: NodeRef, evidence: &Evidence) -> ShownEvidence {
    let with = if evidence.p == node { evidence.j } else { evidence.p };
    ShownEvidence {
        event_id: evidence.event_id.to_string(),
        source: evidence.source.to_string(),
        at: time(evidence.at),
        with: shown_node(with),
    }
}

impl ShownMember {
    fn row(&self) -> [String; 5] {
        let linked = match &self.linked_by {
            Some(by) => {
                format!("by event {} of {} at {}, with a {}", by.event_id, by.source, by.at, by.with.r#type)
            }
            None => "from the beginning".to_owned(),
        };
        let published = if self.published { "" } else { "not published" };
        [
            self.node.r#type.to_owned(),
            self.value.clone().unwrap_or_else(|| format!("(key {})", self.node.key)),
            self.since.as_ref().map_or(String::new(), |since| format!("since {since}")),
            linked,
            published.to_owned(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_named_by_type_and_value_or_by_profile_id() {
        let secret = KeySecret::PUBLISHED;
        let of =
            |text: &str, policy: &Policy| key_of(text, &secret, policy).map_err(|error| error.to_string());
        let key = |text: &str| of(text, &Policy::default());
        let mia = secret.node_key(IdentifierType::Email, "mia@example.com");
        assert_eq!(key(" email:Mia@Example.COM ".trim()), Ok(mia));
        assert_eq!(key(&mia.to_string()), Ok(mia));
        assert_eq!(key("phone:+44 (0)20 7946 0958"), key("phone:+442079460958"));
        assert!(
            key("mia").unwrap_err().contains("expected TYPE:VALUE with one of the types user_id, crm_id, ")
        );
        assert!(key("name:mia").unwrap_err().contains("expected TYPE:VALUE"));
        assert!(key("user_id:undefined").unwrap_err().contains("is no usable user_id"));
        // As ingest takes them.
        let policy = Policy::new(["till@example.com"], true);
        assert_eq!(of("email:mia+shoes@example.com", &policy), Ok(mia));
        assert_ne!(key("email:mia+shoes@example.com"), Ok(mia));
        assert!(of("email:Till+1@example.com", &policy).unwrap_err().contains("identity.blocked"));
    }
}
