//! Reading edits back: each document is opened once more, and what the server then has says of every edit whether it
//! is there. An edit is a client and the clock that this client had reached with it; text that was removed since is
//! still there in that sense.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, sleep};
use yrs::StateVector;
use yrs::block::ClientID;

use super::plan::Shared;
use crate::failure::Failure;
use crate::{ReadBack, ReadBackError};
use slatest_core::model::WritePlace;
use slatest_core::writes::Found;

/// Documents that are read at a time.
const READS: usize = 8;
/// Wait before a document is asked for again.
const AGAIN: Duration = Duration::from_millis(100);

/// Where an edit is found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EditPlace {
    /// Number of the document.
    pub(super) document: u64,
    /// Who made it.
    pub(super) client: ClientID,
    /// The clock that a replica has reached when it has it.
    pub(super) clock: u32,
}

impl EditPlace {
    /// As the ledger keeps it.
    pub(super) fn place(self) -> WritePlace {
        WritePlace::Key(format!("{}/{}/{}", self.document, self.client.get(), self.clock).into())
    }

    fn of(place: Option<&WritePlace>) -> Option<Self> {
        let Some(WritePlace::Key(key)) = place else { return None };
        let mut parts = key.split('/');
        let document = parts.next()?.parse().ok()?;
        let client = ClientID::new(parts.next()?.parse().ok().filter(|id| *id < 1 << 53)?);
        Some(Self { document, client, clock: parts.next()?.parse().ok()? })
    }
}

/// Reads every document that the ledger's edits were made in.
///
/// # Errors
/// A document that the server doesn't give within the patience.
pub(super) async fn read_back(shared: &Shared, reading: &mut ReadBack<'_>) -> Result<(), ReadBackError> {
    let mut documents = BTreeSet::new();
    for write in reading.writes() {
        documents.extend(EditPlace::of(write?.place.as_ref()).map(|place| place.document));
    }
    let patience = reading.patience().as_duration();
    let fetches = stream::iter(documents).map(async |document| {
        let deadline = Instant::now() + patience;
        loop {
            match shared.fetch(&document.to_string()).await {
                Ok(fetched) => return Ok((document, fetched.replica.state())),
                Err(reason) if Instant::now() >= deadline => return Err((document, reason)),
                Err(_) => sleep(AGAIN).await,
            }
        }
    });
    let mut states: BTreeMap<u64, StateVector> = BTreeMap::new();
    let mut fetches = std::pin::pin!(fetches.buffer_unordered(READS));
    while let Some(fetched) = fetches.next().await {
        let (document, state) = fetched.map_err(|(document, reason): (u64, Failure)| {
            let address = shared.dialer.address();
            ReadBackError::Store(format!("{address}: document {document}: {}", reason.detail))
        })?;
        states.insert(document, state);
    }
    for write in reading.writes() {
        let write = write?;
        let place = EditPlace::of(write.place.as_ref());
        match place.and_then(|place| states.get(&place.document).map(|state| (place, state))) {
            Some((place, state)) if state.get(&place.client) >= place.clock => {
                reading.found(&Found::present(write.id))?;
            }
            Some(_) => {}
            // It was given up before it was made.
            None => reading.found(&Found::unreadable(write.id))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_kept_and_nonsense_is_none() {
        let place = EditPlace { document: 17, client: ClientID::new(4_000_000_000), clock: 12 };
        assert_eq!(EditPlace::of(Some(&place.place())), Some(place));
        for nonsense in ["", "1/2", "1/99999999999999999999/3", "1/9007199254740992/3", "a/b/c"] {
            assert_eq!(EditPlace::of(Some(&WritePlace::Key(nonsense.into()))), None, "{nonsense}");
        }
    }
}
