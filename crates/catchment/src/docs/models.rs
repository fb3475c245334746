//! `docs/models.md`: the format of a model file, and the features.

use catchment_domain::features::Feature;

use super::{FileKey, code, file_keys, table};

const KEYS: &[FileKey] = &[
    FileKey { path: "format", value: "`1`", default: "**required**", meaning: "Version of the file format." },
    FileKey {
        path: "name",
        value: "letters, digits and `_`, not a digit first",
        default: "**required**",
        meaning: "Name. Predictions carry it, and conditions ask for `score.<name>`.",
    },
    FileKey {
        path: "version",
        value: "text",
        default: "**required**",
        meaning: "Version. Predictions carry it. Quote it in YAML.",
    },
    FileKey {
        path: "kind",
        value: "`linear`",
        default: "**required**",
        meaning: "How the score is computed: intercept + Σ coefficient · (value − mean) ÷ scale.",
    },
    FileKey { path: "description", value: "text", default: "**required**", meaning: "What it is for." },
    FileKey {
        path: "output.kind",
        value: "`probability`",
        default: "**required**",
        meaning: "What the score is: 0 to 1.",
    },
    FileKey {
        path: "output.link",
        value: "`logistic`",
        default: "**required**",
        meaning: "From the sum to the score: 1 ÷ (1 + e^−sum).",
    },
    FileKey {
        path: "currency",
        value: "ISO 4217 code",
        default: "`USD`",
        meaning: "Currency of the features that are amounts. Orders in another one do not count for them.",
    },
    FileKey { path: "intercept", value: "number", default: "**required**", meaning: "Constant term." },
    FileKey {
        path: "features[].name",
        value: "name of a feature",
        default: "**required**",
        meaning: "One of the features below, each at most once.",
    },
    FileKey {
        path: "features[].coefficient",
        value: "number",
        default: "**required**",
        meaning: "Weight of the feature.",
    },
    FileKey {
        path: "features[].mean",
        value: "number",
        default: "`0`",
        meaning: "Subtracted from the value.",
    },
    FileKey {
        path: "features[].scale",
        value: "number, not 0",
        default: "`1`",
        meaning: "The difference is divided by it.",
    },
    FileKey {
        path: "features[].missing",
        value: "`no_score`, or `{value: NUMBER}`",
        default: "**required**",
        meaning: "What a missing value means: no score at all, or this value in its place; the prediction then says \
                  `missing`.",
    },
    FileKey {
        path: "golden[].inputs",
        value: "map from every feature of the model to a number, or `null` for missing",
        default: "**required**, at least one vector",
        meaning: "Inputs of a golden vector.",
    },
    FileKey {
        path: "golden[].score",
        value: "number, or `null` where there must be no score",
        default: "`null`",
        meaning: "The score that the trainer computed; it must come out to 1e-9.",
    },
    FileKey { path: "trained_on", value: "map", default: "empty", meaning: "For people; not read." },
    FileKey { path: "metrics", value: "map", default: "empty", meaning: "For people; not read." },
];

pub(super) fn keys() -> anyhow::Result<String> {
    Ok(file_keys(KEYS))
}

pub(super) fn features() -> anyhow::Result<String> {
    let rows = Feature::ALL.iter().map(|feature| [code(feature.name()), feature.doc().to_owned()]);
    Ok(table(["feature", "value"], rows))
}

#[cfg(test)]
mod tests {
    use catchment_domain::model::ModelFile;

    use super::super::tests::{below, expected};
    use super::*;

    #[test]
    fn keys_are_those_that_are_read() {
        assert_eq!(below(KEYS, ""), expected::<ModelFile>(r#"{"?":0}"#));
        assert_eq!(below(KEYS, "output."), expected::<ModelFile>(r#"{"output":{"?":0}}"#));
        assert_eq!(below(KEYS, "features[]."), expected::<ModelFile>(r#"{"features":[{"?":0}]}"#));
        assert_eq!(below(KEYS, "golden[]."), expected::<ModelFile>(r#"{"golden":[{"?":0}]}"#));
    }

    #[test]
    fn words_are_those_that_are_read() {
        assert_eq!(expected::<ModelFile>(r#"{"kind":"?"}"#), ["linear"]);
        assert_eq!(expected::<ModelFile>(r#"{"output":{"kind":"?"}}"#), ["probability"]);
        assert_eq!(expected::<ModelFile>(r#"{"output":{"link":"?"}}"#), ["logistic"]);
        let missing = r#"{"features":[{"missing":"?"}]}"#;
        assert_eq!(expected::<ModelFile>(missing), ["no_score", "value"]);
    }
}
