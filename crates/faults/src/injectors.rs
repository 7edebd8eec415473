//! What an injector's settings offer, and the macro that makes what is written of the registry's one list.

use std::path::Path;
use std::sync::Arc;

use serde::de::{Error, MapAccess};

use super::{Fault, FaultContext};
use slatest_core::target::{Guard, Mistake};

/// The settings of an injector, as those see them who know none.
pub trait FaultSection {
    /// The programs that it starts on this machine, by the names that the file gives them.
    fn programs(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Name of the target's proxy that it acts on, under its key `proxy`.
    fn proxy(&self) -> Option<&str> {
        None
    }

    /// Finds everything wrong with it that shows without contacting anybody, by the key within it: hosts that aren't
    /// allowed, credentials that aren't there or are written out, settings that exclude each other. `folder` is where
    /// relative paths start. No secret is quoted.
    fn mistakes(&self, folder: &Path, guard: &Guard, found: &mut Vec<Mistake>);

    /// Makes it ready. Contacts nobody.
    ///
    /// # Errors
    /// What is wrong, by the key within it.
    fn compile(&self, context: &FaultContext) -> Result<Arc<dyn Fault>, Mistake>;
}

/// Makes [`FaultSpec`](crate::FaultSpec) and [`InjectSpec`](crate::InjectSpec) of one line an injector:
///
/// ```text
/// /// What it does.
/// FOLDER: VARIANT(SETTINGS)
/// ```
///
/// The folder's name is the injector's key.
macro_rules! injectors {
    ($(
        $(#[doc = $about:literal])+
        $(#[cfg($known:meta)])?
        $folder:ident: $variant:ident($settings:ident)
    )+) => {
        /// What is broken in a sentence of YAML: an injector by its key, with its settings.
        #[derive(Clone, Debug, PartialEq, serde::Serialize, schemars::JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum FaultSpec {
            $(
                $(#[doc = $about])+
                $(#[cfg($known)])?
                $variant(Box<crate::$folder::$settings>),
            )+
        }

        impl FaultSpec {
            /// The keys of all injectors.
            pub const INJECTORS: &[&str] = &[$($(#[cfg($known)])? stringify!($folder),)+];
            /// The first keys of what a drill injects.
            pub(crate) const INJECTED: &[&str] = &["fault", $($(#[cfg($known)])? stringify!($folder),)+];

            /// The key of its injector.
            pub const fn injector(&self) -> &'static str {
                match self {
                    $($(#[cfg($known)])? Self::$variant(_) => stringify!($folder),)+
                }
            }

            /// The injector's settings.
            pub(crate) fn section(&self) -> &dyn $crate::injectors::FaultSection {
                match self {
                    $($(#[cfg($known)])? Self::$variant(section) => section.as_ref(),)+
                }
            }

            /// Reads the settings of the injector of this key, one of `known`.
            pub(crate) fn read<'de, A: serde::de::MapAccess<'de>>(
                key: &str,
                map: &mut A,
                known: &'static [&'static str],
            ) -> Result<Self, A::Error> {
                match key {
                    $($(#[cfg($known)])? stringify!($folder) => map.next_value().map(Self::$variant),)+
                    other => Err(serde::de::Error::unknown_field(other, known)),
                }
            }
        }
    };
}

/// Refuses a second key beside an injector's.
pub(crate) fn alone<'de, A: MapAccess<'de>>(first: &str, map: &mut A) -> Result<(), A::Error> {
    match map.next_key::<String>()? {
        None => Ok(()),
        Some(second) => Err(Error::custom(format!(
            "`{first}` and `{second}`: one fault breaks one thing; write two faults, and a drill for each"
        ))),
    }
}
