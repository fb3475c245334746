use super::*;

const PATIENCE: Patience = Patience {
    refusals: 3,
    over: Duration::from_secs(30),
    unknown_for: Duration::from_secs(600),
    first_wait: Duration::from_millis(500),
    longest_wait: Duration::from_secs(10),
};
const KEY: SchemaKey = SchemaKey::Id(SchemaId(7));

fn cache() -> Cache {
    Cache {
        patience: PATIENCE,
        entries: FxHashMap::default(),
        order: VecDeque::new(),
        trouble: Backoff::new(PATIENCE.first_wait, PATIENCE.longest_wait),
        counts: SchemaCounts::default(),
    }
}

fn schema(text: &str) -> Result<SchemaText, RegistryError> {
    Ok(SchemaText { id: None, is_avro: true, text: text.to_owned(), references: Vec::new() })
}

fn none() -> Result<SchemaText, RegistryError> {
    Err(Refusal::NoSchema.into())
}

fn known(cache: &Cache, now: Instant) -> &'static str {
    match cache.known(KEY, now) {
        Some(Lookup::Known(_)) => "known",
        Some(Lookup::Unknown) => "unknown",
        Some(Lookup::Unusable(_)) => "unusable",
        Some(Lookup::Pending) => "pending",
        None => "to be asked for",
    }
}

#[test]
fn a_registry_is_believed_after_several_answers_over_some_time() {
    for (refusals, seconds, expected) in
        [(1, 0, false), (1, 60, false), (3, 29, false), (2, 30, false), (3, 30, true), (50, 31, true)]
    {
        let believed = PATIENCE.believes(refusals, Duration::from_secs(seconds));
        assert_eq!(believed, expected, "{refusals} {seconds}");
    }
}

#[test]
fn a_schema_that_is_refused_is_unknown_only_in_the_end_and_not_for_ever() {
    let (mut cache, start) = (cache(), Instant::now());
    let at = |seconds| start + Duration::from_secs(seconds);
    for seconds in [0, 15, 29] {
        cache.asked(KEY);
        assert_eq!(known(&cache, at(seconds)), "pending");
        cache.take(KEY, none(), at(seconds));
        assert_eq!(known(&cache, at(seconds)), "pending");
        assert_eq!(known(&cache, at(seconds + 20)), "to be asked for");
    }
    cache.take(KEY, none(), at(31));
    assert_eq!(known(&cache, at(32)), "unknown");
    assert_eq!(known(&cache, at(31 + 600)), "to be asked for");
    cache.asked(KEY);
    cache.take(KEY, schema("\"int\""), at(700));
    assert_eq!(known(&cache, at(800)), "known");
    assert_eq!(cache.counts, SchemaCounts { fetched: 1, refused: 1, ..SchemaCounts::default() });
}

#[test]
fn trouble_of_the_registry_is_never_the_record_s_fault() {
    let (mut cache, start) = (cache(), Instant::now());
    let denied = || Err(Refusal::Denied { status: 403 }.into());
    // As from a proxy in front of it.
    let elsewhere = || Err(Refusal::Other { status: 404, code: 0, message: String::new() }.into());
    for round in 0..100 {
        let now = start + Duration::from_secs(round * 20);
        assert_eq!(known(&cache, now), "to be asked for", "{round}");
        cache.asked(KEY);
        let trouble = match round % 3 {
            0 => Err(RegistryError::unreachable("gone")),
            1 => denied(),
            _ => elsewhere(),
        };
        cache.take(KEY, trouble, now);
        assert_eq!(known(&cache, now), "pending", "{round}");
    }
    assert_eq!(cache.counts.failed, 100);
    assert_eq!(cache.trouble.attempts(), 100);
    cache.take(KEY, schema("\"int\""), start);
    assert_eq!((known(&cache, start), cache.trouble.attempts()), ("known", 0));
}

#[test]
fn a_registry_that_wants_to_be_left_alone_is() {
    let (mut cache, start) = (cache(), Instant::now());
    cache.asked(KEY);
    let wait = Some(Duration::from_secs(120));
    let busy = RegistryError::Unreachable { reason: "busy".to_owned(), retry_after: wait };
    cache.take(KEY, Err(busy), start);
    assert_eq!(known(&cache, start + Duration::from_secs(119)), "pending");
    assert_eq!(known(&cache, start + Duration::from_secs(120)), "to be asked for");
}

#[test]
fn a_schema_that_is_no_avro_is_unusable() {
    let now = Instant::now();
    let json = SchemaText { is_avro: false, ..schema("{}").unwrap() };
    for found in [Ok(json), schema("{"), Err(Refusal::Invalid("too many references".to_owned()).into())] {
        let mut cache = cache();
        cache.asked(KEY);
        cache.take(KEY, found, now);
        assert_eq!(known(&cache, now), "unusable");
        assert_eq!(cache.counts.refused, 1);
    }
}

#[test]
fn no_more_is_remembered_than_is_allowed() {
    let mut cache = cache();
    let key = |id: usize| SchemaKey::Id(SchemaId(u32::try_from(id).unwrap()));
    for id in 1..=MAX_SCHEMAS + 5 {
        cache.asked(key(id));
    }
    assert_eq!((cache.entries.len(), cache.order.len()), (MAX_SCHEMAS, MAX_SCHEMAS));
    assert!(!cache.entries.contains_key(&key(5)) && cache.entries.contains_key(&key(6)));
    // An answer for one that was pushed out does not bring it back.
    cache.take(key(1), schema("\"int\""), Instant::now());
    assert_eq!(cache.entries.len(), MAX_SCHEMAS);
}

#[test]
fn only_a_guid_may_meet_a_registry_without_the_route() {
    let no_route = Refusal::Other { status: 404, code: 0, message: String::new() };
    assert!(says_none(SchemaKey::Guid([0; 16]), &no_route));
    assert!(!says_none(KEY, &no_route));
    assert!(says_none(KEY, &Refusal::NoSchema));
    assert!(!says_none(KEY, &Refusal::Denied { status: 401 }));
}
