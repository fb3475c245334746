//! `docs/errors.md`: the codes of dead letters.

use catchment_contracts::dead_letter::ErrorCode;

use super::{code, table};

pub(super) fn codes() -> anyhow::Result<String> {
    let rows = ErrorCode::ALL
        .iter()
        .map(|error| [code(error.as_str()), error.meaning().to_owned(), error.remedy().to_owned()]);
    Ok(table(["code", "meaning", "what to do"], rows))
}
