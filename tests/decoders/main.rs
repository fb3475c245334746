//! Every decoder over its seeds, over changes of them, and over noise: some seconds of what the fuzzer does for hours.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use catchment_tests::fuzz::{TARGETS, Target};
    use proptest::prelude::*;
    use proptest::sample::{Index, select};
    use proptest::test_runner::{Config, TestRunner};

    /// Texts and bytes that decoders stumble over: lengths that lie, ends, brackets, numbers out of range.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let texts = [
            "",
            "null",
            "1e400",
            "-1",
            "[]",
            "{",
            "}",
            "\"",
            "\\",
            "\\ud800",
            "[[[[",
            "((((",
            ",",
            ":",
            "&a [*a]",
            "0",
            "é",
            "\u{feff}",
            "\n  - ",
            "9223372036854775807",
            "-9223372036854775808",
        ];
        let bytes: [&[u8]; 6] = [
            &[0xff; 8],
            &[0xff, 0xff, 0xff, 0xff, 0x0f],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[0x80],
            &[0x7f, 0xff, 0xff, 0xff],
            &[0; 4],
        ];
        let known: Vec<Vec<u8>> =
            texts.iter().map(|text| text.as_bytes()).chain(bytes).map(<[u8]>::to_vec).collect();
        prop_oneof![2 => select(known), 1 => prop::collection::vec(any::<u8>(), 0..4)]
    }

    fn changes() -> impl Strategy<Value = Vec<(Index, usize, Vec<u8>)>> {
        prop::collection::vec((any::<Index>(), 0..6_usize, piece()), 0..5)
    }

    fn try_some(target: &Target) {
        target.prepare();
        let seeds = (target.seeds)();
        seeds.iter().for_each(|seed| target.run(seed));
        let config = Config { cases: 1_000, failure_persistence: None, ..Config::default() };
        TestRunner::new(config.clone())
            .run(&(any::<Index>(), changes()), |(seed, changes)| {
                let mut input = seed.get(&seeds).clone();
                for (at, cut, piece) in changes {
                    let start = at.index(input.len() + 1);
                    let end = (start + cut).min(input.len());
                    input.splice(start..end, piece);
                }
                target.run(&input);
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{}: {error}", target.name));
        TestRunner::new(config)
            .run(&prop::collection::vec(any::<u8>(), 0..300), |noise| {
                target.run(&noise);
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{}: {error}", target.name));
    }

    macro_rules! targets {
        ($($name:ident)*) => {
            $(#[test] fn $name() { try_some(Target::of(stringify!($name))); })*
            const TRIED: &[&str] = &[$(stringify!($name)),*];
        };
    }

    targets! { contracts stored headers tools snapshot transcode schema ingest foreign config files values }

    #[test]
    fn every_target_is_tried_here_and_has_its_file_for_the_fuzzer() {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        assert_eq!(names, TRIED);
        let fuzzer = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let manifest = fs::read_to_string(fuzzer.join("Cargo.toml")).unwrap();
        for name in names {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} has no [[bin]]");
            let text = fs::read_to_string(fuzzer.join(format!("fuzz_targets/{name}.rs"))).unwrap();
            assert!(text.contains(&format!("Target::of(\"{name}\")")), "{name}: calls another target");
        }
    }

    #[test]
    #[should_panic(expected = "made it hold")]
    fn an_allocation_that_no_input_pays_for_is_found() {
        let believes_lengths = Target {
            name: "believes lengths",
            body: |input| drop(std::hint::black_box(Vec::<u8>::with_capacity(usize::from(input[0]) << 24))),
            seeds: || vec![vec![0]],
            least: 1_024,
            per_byte: 16,
        };
        believes_lengths.run(&[255]);
    }
}
