//! Access lists from the table of topics: what each role may do, and no more.

use std::collections::BTreeMap;
use std::io::Write;

use catchment_contracts::topics::{self, Party};

use crate::config::Config;
use crate::connect;
use crate::out::Out;
use crate::wiring;

/// Prints the commands, party by party.
pub(super) fn print<W: Write>(out: &mut Out<W>, config: &Config) -> anyhow::Result<()> {
    out.line("# Users are named APP-PARTY here; put in those that your cluster knows.")?;
    for party in [Party::Ingest, Party::Profile, Party::Catalog, Party::Operator, Party::Public] {
        let title = match party {
            Party::Operator => "topics, dlq, lag, offsets, read",
            Party::Public => "each consumer of the results; it also needs Read on its own group",
            _ => "the role",
        };
        out.line(format_args!("\n# {party}: {title}"))?;
        for line in lines(config, party)? {
            out.line(line)?;
        }
    }
    Ok(())
}

/// Commands that allow a party what it needs.
fn lines(config: &Config, party: Party) -> anyhow::Result<Vec<String>> {
    let app = &config.app;
    let command = |operations: &[&str], resource: &str| {
        let brokers = config.kafka.brokers.as_deref().unwrap_or("BROKERS");
        let operations: String =
            operations.iter().map(|operation| format!(" --operation {operation}")).collect();
        format!(
            "kafka-acls --bootstrap-server {brokers} --add --allow-principal User:{app}-{party}{operations}{resource}"
        )
    };
    let mut lines = Vec::new();
    for (operations, names) in by_operations(config, party)? {
        let resource: String = names.iter().map(|name| format!(" --topic {name}")).collect();
        lines.push(command(&operations, &resource));
    }
    let groups: &[&str] = match party {
        Party::Ingest => &[topics::INGEST],
        Party::Profile => &[topics::PROFILE],
        Party::Catalog => &[topics::CATALOG],
        Party::Operator => &topics::ROLES,
        _ => &[],
    };
    for role in groups {
        let resource = format!(" --group {}", topics::group(app, role));
        lines.push(command(&["Read", "Describe"], &resource));
    }
    let prefix = match party {
        Party::Ingest | Party::Profile | Party::Catalog => Some(format!("{app}.{party}.")),
        Party::Operator => Some(connect::operator(app, "")),
        _ => None,
    };
    if let Some(prefix) = prefix {
        let resource = format!(" --transactional-id {prefix} --resource-pattern-type prefixed");
        lines.push(command(&["Write", "Describe"], &resource));
    }
    Ok(lines)
}

/// Topics by what the party does with them. Who checks topics at its start may describe all of them.
fn by_operations(config: &Config, party: Party) -> anyhow::Result<BTreeMap<Vec<&'static str>, Vec<String>>> {
    let topology = wiring::topology(config, config.topics.raw_partitions.into(), &BTreeMap::new())?;
    let mut found: BTreeMap<Vec<&'static str>, Vec<String>> = BTreeMap::new();
    for (_, topic) in topology.table.iter() {
        let Some(spec) = topics::spec(&topic.name).or_else(|| topics::spec(topics::BEHAVIOUR_EVENTS)) else {
            continue;
        };
        let mut operations = Vec::new();
        // `catchment read` shows an operator what consumers get.
        let shows = party == Party::Operator && spec.readers.contains(&Party::Public);
        if spec.readers.contains(&party) || shows {
            operations.push("Read");
        }
        if spec.writers.contains(&party) {
            operations.push("Write");
        }
        if party == Party::Operator {
            operations.push("Create");
        }
        if party == Party::Public && operations.is_empty() {
            continue;
        }
        operations.push("Describe");
        if party != Party::Public {
            operations.push("DescribeConfigs");
        }
        found.entry(operations).or_default().push(topic.name.clone());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acls(party: Party) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catchment.yaml");
        let text = "app: shop\nkafka: {brokers: 'kafka:9092'}\nsources:\n  - {name: crm, topic: contacts, mapping: contact}\n";
        std::fs::write(&path, text).unwrap();
        lines(&crate::config::load(&path, []).unwrap(), party).unwrap()
    }

    #[test]
    fn a_role_may_read_its_input_and_write_its_output_and_nothing_else() {
        let ingest = acls(Party::Ingest);
        let of = |operations: &str| {
            ingest
                .iter()
                .find(|line| line.contains(operations))
                .unwrap_or_else(|| panic!("{ingest:#?}"))
                .clone()
        };
        let read = of("--operation Read --operation Describe --operation DescribeConfigs");
        assert!(read.starts_with(
            "kafka-acls --bootstrap-server kafka:9092 --add --allow-principal User:shop-ingest "
        ));
        assert!(read.ends_with(" --topic contacts --topic shop.settings"), "{read}");
        let write = of("--operation Write --operation Describe --operation DescribeConfigs");
        for topic in ["dlq.crm", "dlq.ingest", "customer.events", "catalog.updates", "customer.unattributed"]
        {
            assert!(write.contains(&format!(" --topic {topic}")), "{topic}: {write}");
        }
        assert!(!write.contains("contacts") && !write.contains("customer.profiles"), "{write}");
        assert!(of("--group").ends_with("--operation Read --operation Describe --group shop.ingest"));
        assert!(
            of("--transactional-id")
                .ends_with("--transactional-id shop.ingest. --resource-pattern-type prefixed")
        );
    }

    #[test]
    fn consumers_of_results_may_read_them_and_the_operator_brings_letters_back() {
        let public = acls(Party::Public);
        assert_eq!(public.len(), 1, "{public:#?}");
        assert!(public[0].contains("--operation Read --operation Describe --topic"), "{public:#?}");
        assert!(public[0].contains(" --topic campaign.triggers") && !public[0].contains("customer.events"));
        let operator = acls(Party::Operator);
        let reads = operator.iter().find(|line| line.contains("--operation Read --operation Create"));
        assert!(reads.unwrap().contains(" --topic campaign.triggers"), "{operator:#?}");
        let operator = operator.join("\n");
        for part in [
            "--operation Write --operation Create --operation Describe --operation DescribeConfigs --topic contacts",
            "--transactional-id shop.operator. --resource-pattern-type prefixed",
            "--group shop.profile",
        ] {
            assert!(operator.contains(part), "{part}\n{operator}");
        }
    }
}
