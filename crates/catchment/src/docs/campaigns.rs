//! `docs/campaigns.md`: keys, variables, outcomes and reasons of campaigns.

use catchment_domain::campaign::{Reason, VARIABLES};

use super::{FileKey, code, file_keys, sentence, table};

const SPAN: &str = "length of time, as `30m`, `48h`, `7d`";
const TIME: &str = "time of day, as `22:00`";

const KEYS: &[FileKey] = &[
    FileKey {
        path: "name",
        value: "1 to 64 letters, digits, `_`, `-`",
        default: "**required**",
        meaning: "Name. Decisions, triggers and the record of what was sent carry it, so keep it: under another name \
                  it is another campaign, and may send again.",
    },
    FileKey { path: "description", value: "text", default: "empty", meaning: "What it is for; for people." },
    FileKey {
        path: "trigger.event",
        value: "name of an event",
        default: "**required** without `trigger.score`: any event",
        meaning: "The event that starts a decision: the name of a track event such as `Product Added`, or one of \
                  `identify`, `page`, `screen`, `group`, `alias`, `contact`.",
    },
    FileKey {
        path: "trigger.score.model",
        value: "name of a model",
        default: "none",
        meaning: "A decision starts only at an event that takes the model's score to `trigger.score.at_least` or above, from \
                  below it or from none. Of other events nothing is recorded, unlike of those that fail the condition.",
    },
    FileKey {
        path: "trigger.score.at_least",
        value: "number from 0 to 1",
        default: "**required** with `trigger.score.model`",
        meaning: "That score.",
    },
    FileKey {
        path: "trigger.after",
        value: SPAN,
        default: "at once",
        meaning: "How long to wait before deciding, counted from when the event happened.",
    },
    FileKey {
        path: "trigger.unless",
        value: "list of names of events",
        default: "`[]`",
        meaning: "Events that end the wait without a decision. Needs `after`.",
    },
    FileKey {
        path: "scope",
        value: "`event`, `order`, `cart`, `customer`",
        default: "`event`",
        meaning: "What one decision is about. A customer is sent at most one trigger for a campaign and scope.",
    },
    FileKey {
        path: "max_age",
        value: SPAN,
        default: "`1d`",
        meaning: "How old the event, or the end of the wait, may be when it is decided; beyond, the decision is \
                  `expired`.",
    },
    FileKey {
        path: "condition",
        value: "CEL expression that gives true or false",
        default: "always true",
        meaning: "Asked when it is decided, of the profile as it is then.",
    },
    FileKey {
        path: "reentry",
        value: SPAN,
        default: "none",
        meaning: "How long this campaign leaves a customer alone after a trigger, whatever the scope.",
    },
    FileKey {
        path: "channel",
        value: "`email`, `sms`, `push`, `onsite`",
        default: "**required**",
        meaning: "How to reach the customer.",
    },
    FileKey {
        path: "consent",
        value: "name of a purpose, or the word `none`",
        default: "**required**, but for `onsite`",
        meaning: "The purpose that must be granted, such as `email_marketing`. Whoever needs none says so: `none`. Only \
                  `onsite` may leave it out, which means `none`.",
    },
    FileKey {
        path: "quiet_hours.from",
        value: TIME,
        default: "no quiet hours",
        meaning: "From then on (included) nobody is spoken to. Quote it in YAML.",
    },
    FileKey {
        path: "quiet_hours.to",
        value: TIME,
        default: "no quiet hours",
        meaning: "Until then (excluded). Over midnight if it is earlier than `from`.",
    },
];

/// Scopes with what is one, and the text that decisions carry.
const SCOPES: [(&str, &str, &str); 4] = [
    ("event", "the event that starts it", "`<source>:<event id>`"),
    ("order", "the order of the event; for an event without one, the event", "the order's number"),
    ("cart", "all that was put in the cart between two orders", "`cart:<time of its event in ms>`"),
    ("customer", "the customer: once ever", "`customer`"),
];

/// Channels with the identifier that is the address.
const CHANNELS: [(&str, &str); 4] = [
    ("email", "the newest `email`"),
    ("sms", "the newest `phone`"),
    ("push", "the newest `anonymous_id`"),
    ("onsite", "the newest `user_id`, else the newest `anonymous_id`"),
];

/// Outcomes as the contract of decisions has them.
const OUTCOMES: [(&str, &str); 6] = [
    ("send", "A trigger, to be sent now."),
    ("deferred", "A trigger, to be sent not before the end of the quiet hours."),
    ("suppressed", "No trigger."),
    ("held_out", "No trigger: the customer is in the holdout. Not given yet: there are no experiments."),
    ("expired", "No trigger: too late."),
    ("other", "Never written: stands for an outcome of a newer version."),
];

pub(super) fn keys() -> anyhow::Result<String> {
    Ok(file_keys(KEYS))
}

pub(super) fn scopes() -> anyhow::Result<String> {
    let rows = SCOPES.map(|(name, about, text)| [code(name), about.to_owned(), text.to_owned()]);
    Ok(table(["scope", "one decision is about", "`scope` in decisions and triggers"], rows))
}

pub(super) fn channels() -> anyhow::Result<String> {
    Ok(table(["channel", "address"], CHANNELS.map(|(name, address)| [code(name), address.to_owned()])))
}

pub(super) fn variables() -> anyhow::Result<String> {
    Ok(table(["variable", "meaning"], VARIABLES.map(|(name, about)| [code(name), sentence(about)])))
}

pub(super) fn outcomes() -> anyhow::Result<String> {
    let rows = OUTCOMES.map(|(outcome, about)| [code(outcome), about.to_owned()]);
    Ok(table(["outcome", "meaning"], rows))
}

pub(super) fn reasons() -> anyhow::Result<String> {
    let rows = Reason::ALL.iter().map(|reason| [code(reason.as_str()), reason.doc().to_owned()]);
    Ok(table(["reason", "meaning"], rows))
}

#[cfg(test)]
mod tests {
    use catchment_contracts::catalogue::CAMPAIGN_DECISION;
    use catchment_domain::campaign::CampaignFile;

    use super::super::tests::{below, expected};
    use super::*;

    #[test]
    fn keys_are_those_that_are_read() {
        assert_eq!(below(KEYS, ""), expected::<CampaignFile>(r#"{"?":0}"#));
        assert_eq!(below(KEYS, "trigger."), expected::<CampaignFile>(r#"{"trigger":{"?":0}}"#));
        assert_eq!(below(KEYS, "quiet_hours."), expected::<CampaignFile>(r#"{"quiet_hours":{"?":0}}"#));
    }

    #[test]
    fn words_are_those_that_are_read() {
        let listed = |path: &str| {
            let key = KEYS.iter().find(|key| key.path == path).unwrap();
            key.value.split('`').skip(1).step_by(2).collect::<Vec<_>>()
        };
        assert_eq!(listed("scope"), expected::<CampaignFile>(r#"{"scope":"?"}"#));
        assert_eq!(listed("scope"), SCOPES.map(|(name, ..)| name));
        assert_eq!(listed("channel"), expected::<CampaignFile>(r#"{"channel":"?"}"#));
        assert_eq!(listed("channel"), CHANNELS.map(|(name, _)| name));
    }

    #[test]
    fn outcomes_are_those_of_the_contract() {
        let fields = CAMPAIGN_DECISION.fields().unwrap();
        let ty = &fields.iter().find(|field| field.path == "outcome").unwrap().ty;
        assert_eq!(*ty, format!("Outcome ({})", OUTCOMES.map(|(name, _)| name).join(", ")));
    }
}
