use super::*;

#[test]
fn every_field_at_every_depth_is_described() {
    for contract in ALL {
        let fields = contract.fields().unwrap();
        assert!(!fields.is_empty(), "{}", contract.name);
        for field in fields {
            let place = format!("{}: {}", contract.name, field.path);
            for (what, value) in [
                ("doc", &field.doc),
                ("unit", &field.unit),
                ("pii", &field.pii),
                ("freshness", &field.freshness),
            ] {
                assert!(!value.trim().is_empty(), "{place} has no {what}");
            }
            assert!(
                ["none", "pseudonym", "identifier", "personal"].contains(&field.pii.as_str()),
                "{place}: pii is {}",
                field.pii
            );
            let fresh = field.freshness == "none" || field.freshness.parse::<jiff::Span>().is_ok();
            assert!(fresh, "{place}: freshness is {}", field.freshness);
        }
    }
}

#[test]
fn every_field_says_whether_it_is_required() {
    fn check(place: &str, json: &Value) {
        match json {
            Value::Array(items) => items.iter().for_each(|item| check(place, item)),
            Value::Object(object) => {
                for field in object.get("fields").and_then(Value::as_array).into_iter().flatten() {
                    assert!(field["required"].is_boolean(), "{place}: {}", field["name"]);
                }
                object.values().for_each(|value| check(place, value));
            }
            _ => {}
        }
    }
    for contract in ALL {
        check(contract.name, &serde_json::from_str(contract.schema).unwrap());
    }
}

#[test]
fn every_schema_is_one_to_the_avro_library() {
    for contract in ALL {
        apache_avro::Schema::parse_str(contract.schema)
            .unwrap_or_else(|error| panic!("{}: {error}", contract.name));
    }
}

#[test]
fn places_are_unique_and_in_order() {
    for (index, contract) in ALL.into_iter().enumerate() {
        assert_eq!(contract.place as usize, index + 1, "{}", contract.name);
        assert_eq!(find(contract.name), Some(contract));
        assert_eq!(by_builtin_id(contract.builtin_id()), Some(contract));
        if let Some(topic) = contract.topic {
            assert_eq!(by_topic(topic), Some(contract));
            assert_eq!(contract.subject().unwrap(), format!("{topic}-value"));
        }
    }
}

#[test]
fn fields_are_listed_with_path_and_type() {
    let lines: Vec<String> = CUSTOMER_EVENT
        .fields()
        .unwrap()
        .into_iter()
        .map(|field| format!("{}: {}", field.path, field.ty))
        .collect();
    for expected in [
        "event_id: string",
        "event: string or null",
        "occurred_at: timestamp-millis",
        "identifiers: array of Identifier",
        "identifiers[].type: IdentifierType (user_id, crm_id, email, phone, anonymous_id, other)",
        "identifiers[].key: NodeKey (16 bytes)",
        "order: OrderTotal or null",
        "order.total: long or null",
    ] {
        assert!(lines.iter().any(|line| line == expected), "no `{expected}` in {lines:#?}");
    }
    let outer = lines.iter().position(|line| line.starts_with("order:")).unwrap();
    assert!(lines[outer + 1].starts_with("order.order_id"));
}

#[test]
fn a_type_used_again_by_name_is_listed_again() {
    let fields = BEHAVIOUR_EVENT.fields().unwrap();
    for path in ["product.price", "products[].price", "consents{}"] {
        let found = fields.iter().any(|field| field.path == path);
        assert_eq!(found, path != "consents{}", "{path}");
    }
}

#[test]
fn an_enum_of_a_contract_can_grow() {
    fn check(contract: &Contract, json: &Value) {
        match json {
            Value::Array(items) => items.iter().for_each(|item| check(contract, item)),
            Value::Object(object) => {
                if let Some(symbols) = object.get("symbols").and_then(Value::as_array) {
                    // A reader of an older version takes the default for a symbol that it does not know.
                    let default = object.get("default").unwrap_or(&Value::Null);
                    assert!(symbols.contains(default), "{}: {}", contract.name, object["name"]);
                    assert!([Some("other"), Some("unknown")].contains(&default.as_str()), "{default}");
                }
                object.values().for_each(|value| check(contract, value));
            }
            _ => {}
        }
    }
    for contract in ALL {
        check(contract, &serde_json::from_str(contract.schema).unwrap());
    }
}

#[test]
fn no_amount_of_money_is_a_floating_point_number() {
    for contract in ALL {
        for field in contract.fields().unwrap() {
            let money = field.unit.contains("currency");
            assert!(!(money && field.ty.contains("double")), "{}: {}", contract.name, field.path);
        }
    }
}
