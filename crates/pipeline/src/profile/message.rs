//! What nodes say to each other: the value of `customer.inbox`, a version byte and Avro `InboxMessage`.

use super::convert::{self, Foreign};
use super::stored::unreadable;
use super::whole::Whole;
use catchment_contracts::{self as wire, InboxMessage, NodeState};
use catchment_domain::identity::{Customer, Message, Stamp};
use catchment_domain::{IdentifierType, Millis, NodeKey, NodeRef};
use catchment_runtime::Unreadable;
use catchment_runtime::state::{StateFormat, Versions};

/// 1 = Avro `InboxMessage` as it was first.
const VERSIONS: Versions = Versions { what: "inbox message", since: &[(StateFormat::FIRST, 1)] };

/// A message as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter<'a> {
    /// Kind of the identifier that it is for; its key is that of the record.
    pub to: IdentifierType,
    /// When the raw record arrived that it goes back to.
    pub at: Millis,
    /// What it says.
    pub content: Content<'a>,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq)]
pub enum Content<'a> {
    /// An event, for the customer of `own`.
    Observe {
        /// The identifier that it counts for.
        own: NodeRef,
        /// It says something about a device, and links nothing.
        routed: bool,
        /// What the first alias wrote on it.
        stamp: Option<Stamp>,
        /// The event: a datum of `customer_event`.
        event: &'a [u8],
    },
    /// Anything else.
    Other(Box<Message<Whole>>),
}

/// What a message carries besides itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope<'e> {
    /// Kind of the identifier that it is for.
    pub(super) to: IdentifierType,
    /// When the raw record arrived that it goes back to.
    pub(super) at: Millis,
    /// Of an event: its datum.
    pub(super) event: &'e [u8],
}

/// Writes a message.
pub(super) fn write(
    message: &Message<Whole>,
    envelope: &Envelope<'_>,
    format: StateFormat,
    out: &mut Vec<u8>,
) {
    out.push(VERSIONS.written_in(format));
    let empty = InboxMessage {
        to: convert::wire_node(NodeRef { kind: envelope.to, key: NodeKey([0; 16]) }).r#type,
        at: envelope.at,
        observe: None,
        link: None,
        ask: None,
        yes: None,
        no: None,
        absorb: None,
        point: None,
        route: None,
        forget: None,
    };
    let (mut state, mut profile) = (Vec::new(), Vec::new());
    let record = match message {
        Message::Observe { own, routed, stamp, .. } => {
            let observe = wire::ObserveMessage {
                own: convert::wire_node(*own),
                routed: *routed,
                first: stamp.map(|stamp| convert::wire_node(stamp.first)),
                count: stamp.map_or(0, |stamp| i64::try_from(stamp.count).unwrap_or(i64::MAX)),
                aliases: stamp.map_or(0, |stamp| i32::try_from(stamp.aliases).unwrap_or(i32::MAX)),
                event: envelope.event,
            };
            InboxMessage { observe: Some(observe), ..empty }
        }
        Message::Link(link) => InboxMessage { link: Some(convert::wire_link(link)), ..empty },
        Message::Ask(ask) => InboxMessage { ask: Some(convert::wire_ask(ask)), ..empty },
        Message::Yes { root } => InboxMessage { yes: Some(convert::wire_node(*root)), ..empty },
        Message::No { evidence, limit } => {
            let (evidence, limit) = (convert::wire_evidence(evidence), convert::wire_limit(*limit));
            InboxMessage { no: Some(wire::NoMessage { evidence, limit }), ..empty }
        }
        Message::Absorb { customer, from } => {
            convert::wire_customer(customer).encode(&mut state);
            if let Some(known) = &customer.content.profile {
                convert::encode_profile(from.key, known, &mut profile);
            }
            let from = convert::wire_node(*from);
            InboxMessage {
                absorb: Some(wire::AbsorbMessage { from, state: &state, profile: &profile }),
                ..empty
            }
        }
        Message::Point { root, count } => {
            let (root, count) = (convert::wire_node(*root), i64::try_from(*count).unwrap_or(i64::MAX));
            InboxMessage { point: Some(wire::PointMessage { root, count }), ..empty }
        }
        Message::Route { at, to } => {
            let route = wire::Route { at: *at, to: convert::wire_node(*to) };
            InboxMessage { route: Some(route), ..empty }
        }
        Message::Forget { at } => InboxMessage { forget: Some(*at), ..empty },
    };
    record.encode(out);
}

/// Reads a message of any version.
///
/// # Errors
/// Bytes that are none, or of a version that is not known.
pub fn read(bytes: &[u8]) -> Result<Letter<'_>, Unreadable> {
    let (_, datum) = VERSIONS.split(bytes)?;
    let record = InboxMessage::decode(datum).map_err(|error| unreadable(VERSIONS.what, &error))?;
    let to = convert::known_kind(record.to).map_err(|error| unreadable(VERSIONS.what, &error))?;
    let at = record.at;
    Ok(Letter { to, at, content: content(&record)? })
}

fn content<'a>(record: &InboxMessage<'a>) -> Result<Content<'a>, Unreadable> {
    let foreign = |error: Foreign| unreadable(VERSIONS.what, &error);
    if let Some(observe) = &record.observe {
        let stamp = |first: &wire::NodeRef| {
            Ok(Stamp {
                first: convert::node(first)?,
                count: u64::try_from(observe.count).unwrap_or(0),
                aliases: u32::try_from(observe.aliases).unwrap_or(0),
            })
        };
        return Ok(Content::Observe {
            own: convert::node(&observe.own).map_err(foreign)?,
            routed: observe.routed,
            stamp: observe.first.as_ref().map(stamp).transpose().map_err(foreign)?,
            event: observe.event,
        });
    }
    if let Some(absorb) = &record.absorb {
        return read_absorb(absorb).map(|message| Content::Other(Box::new(message)));
    }
    let message = rest(record).map_err(foreign)?;
    let nothing = || unreadable(VERSIONS.what, &"it says nothing that this release knows");
    Ok(Content::Other(Box::new(message.ok_or_else(nothing)?)))
}

fn rest(record: &InboxMessage<'_>) -> Result<Option<Message<Whole>>, Foreign> {
    Ok(Some(if let Some(link) = &record.link {
        Message::Link(Box::new(convert::link(link)?))
    } else if let Some(ask) = &record.ask {
        Message::Ask(Box::new(convert::ask(ask)?))
    } else if let Some(root) = &record.yes {
        Message::Yes { root: convert::node(root)? }
    } else if let Some(no) = &record.no {
        let evidence = Box::new(convert::evidence(&no.evidence)?);
        Message::No { evidence, limit: convert::limit(no.limit)? }
    } else if let Some(point) = &record.point {
        Message::Point { root: convert::node(&point.root)?, count: u64::try_from(point.count).unwrap_or(0) }
    } else if let Some(route) = &record.route {
        let route = convert::route(route)?;
        Message::Route { at: route.at, to: route.to }
    } else if let Some(at) = record.forget {
        Message::Forget { at }
    } else {
        return Ok(None);
    }))
}

fn read_absorb(absorb: &wire::AbsorbMessage<'_>) -> Result<Message<Whole>, Unreadable> {
    let fault = |error: &dyn std::fmt::Display| unreadable(VERSIONS.what, error);
    let state = NodeState::decode(absorb.state).map_err(|error| fault(&error))?;
    let mut customer: Customer<Whole> = convert::customer(&state).map_err(|error| fault(&error))?;
    if !absorb.profile.is_empty() {
        let (_, profile) = convert::decode_profile(absorb.profile).map_err(|error| fault(&error))?;
        customer.content.profile = Some(Box::new(profile));
    }
    let from = convert::node(&absorb.from).map_err(|error| fault(&error))?;
    Ok(Message::Absorb { customer: Box::new(customer), from })
}

#[cfg(test)]
mod tests {
    use super::super::tests::any;
    use super::*;
    use catchment_domain::identity::Seen;
    use catchment_domain::profile::Text;
    use proptest::prelude::*;

    const TO: NodeRef = NodeRef { kind: IdentifierType::Email, key: NodeKey([3; 16]) };

    fn written(message: &Message<Whole>) -> Vec<u8> {
        let mut out = Vec::new();
        let envelope = Envelope { to: TO.kind, at: 1_772_701_200_000, event: b"event" };
        write(message, &envelope, StateFormat::FIRST, &mut out);
        out
    }

    fn observe() -> Message<Whole> {
        let event = Seen {
            id: Text::default(),
            source: Text::default(),
            occurred_at: 0,
            identifiers: Vec::new(),
            event: (),
        };
        let stamp = Some(Stamp { first: TO, count: 300, aliases: 2 });
        Message::Observe { event: Box::new(event), own: TO, routed: true, stamp }
    }

    #[test]
    fn an_event_is_read_back() {
        let stamp = Some(Stamp { first: TO, count: 300, aliases: 2 });
        let content = Content::Observe { own: TO, routed: true, stamp, event: b"event" };
        let letter = Letter { to: TO.kind, at: 1_772_701_200_000, content };
        assert_eq!(read(&written(&observe())).unwrap(), letter);
    }

    #[test]
    fn a_message_of_any_release_is_read_and_written_as_ever() {
        let frozen = include_str!("../../golden/inbox_message.v1.hex");
        let hex: String = written(&observe()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, frozen.trim());
    }

    #[test]
    fn a_message_that_says_nothing_or_is_of_a_newer_release_is_refused() {
        let refusal = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        let nothing = [&[1, 4, 0][..], &[0; 9]].concat();
        assert_eq!(refusal(&nothing), "inbox message: it says nothing that this release knows");
        let newer =
            "inbox message of version 2, where this release reads 1: a newer release wrote it; run that one";
        assert_eq!(refusal(&[2, 4]), newer);
        let form = written(&observe());
        for length in 0..form.len() {
            read(&form[..length]).unwrap_err();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_other_message_is_read_back(message in any::message()) {
            let bytes = written(&message);
            let letter = read(&bytes).unwrap();
            prop_assert_eq!(letter.content, Content::Other(Box::new(message)));
        }
    }
}
